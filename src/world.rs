//! Everything that one pass over a SaasDeployment saw, at one moment. `plan` asks it for facts; a fact that is not
//! there yet is a [`Hold`], and those are the whole dependency graph between parts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use crate::api::{ProviderAccount, SaasDeploymentSpec, SaasOperation};
use crate::certificate::{Certificate, Window};
use crate::config::Config;
use crate::fault::{Hold, Seen};
use crate::ground::Facts;
use crate::kinds::Kind;
use crate::objects::Children;
use crate::rows::{Endpoint, Held, Id, Mark, Monitor, Project, Record, Zone};
use crate::vault::{Remembered, Vault, Webhook};
use crate::vendors::acme::Progress;

/// The table of a vendor as last listed, shared by all passes.
pub type Table<T> = Arc<Vec<Held<T>>>;

/// What a pass saw. What could not be seen is an `Err`, and holds only the parts that ask for it.
#[derive(Clone)]
pub struct World {
    /// The moment of this pass: the only clock.
    pub now: Timestamp,
    /// Fresh randomness, for values that are generated once.
    pub entropy: [u8; 32],
    /// The operator's configuration.
    pub config: Arc<Config>,
    /// The mark of this object on vendors' rows.
    pub mark: Mark,
    /// The objects that golive wrote for it.
    pub children: Children,
    /// The kinds that this cluster serves.
    pub served: BTreeSet<Kind>,
    /// What the platform team laid for routes.
    pub ground: Arc<Facts>,
    /// The values and the ledger that golive keeps for it.
    pub vault: Seen<Vault>,
    /// The user's Secrets and ConfigMaps that the spec names; `None` where there is none of that name.
    pub sources: BTreeMap<Source, Seen<Option<BTreeMap<String, SecretString>>>>,
    /// The accounts, with whether this object may use each.
    pub accounts: BTreeMap<String, Account>,
    /// Hosts of the spec that another SaasDeployment has: host to `namespace/name`.
    pub rivals: BTreeMap<String, String>,
    /// For each host of the spec, the zone that holds it; `None` where no account of ours does. And by [`left_at`] the
    /// zones where rows of ours may be left, with the account by way of which they are read and written now.
    pub zones: BTreeMap<String, Seen<Option<HostedZone>>>,
    /// The records of each zone in use, by the vendor's id of it: two accounts may have zones of one name.
    pub records: BTreeMap<Id, Seen<Table<Record>>>,
    /// Webhook endpoints, by account.
    pub endpoints: BTreeMap<String, Seen<Table<Endpoint>>>,
    /// Uptime monitors, by account.
    pub monitors: BTreeMap<String, Seen<Table<Monitor>>>,
    /// Sentry projects, by account.
    pub projects: BTreeMap<String, Seen<Table<Project>>>,
    /// The certificate in the TLS Secret; `None` where there is none, or none that can be read.
    pub certificate: Seen<Option<Certificate>>,
    /// Where that certificate came from; `None` where golive did not note it.
    pub origin: Option<Origin>,
    /// The key and order of a certificate that is being issued.
    pub order: Seen<Option<Pending>>,
    /// When the CA wants the certificate renewed; `None` where it does not say.
    pub window: Option<Window>,
    /// What the zone's own name servers answer for a challenge's name: values that all of them give.
    pub published: BTreeMap<String, Seen<BTreeSet<String>>>,
    /// The copies of accounts' credentials in the object's namespace, by Secret name.
    pub copies: BTreeMap<String, Seen<Option<BTreeMap<String, SecretString>>>>,
    /// What the pods of finished Jobs told and was not taken in yet, by Job name.
    pub outcomes: BTreeMap<String, Value>,
    /// The spec of the last proven revision, where that of now gives way to it.
    pub former: Seen<Option<SaasDeploymentSpec>>,
    /// Why pods of a workload do not start, by workload, in the words of the kubelet.
    pub troubles: BTreeMap<String, String>,
    /// Requests that wait or run.
    pub operations: Vec<SaasOperation>,
    /// The labels of its namespace.
    pub namespace_labels: BTreeMap<String, String>,
    /// The roots that smoke tests trust beside the system's.
    pub trust: Option<String>,
}

/// A Secret or ConfigMap of the user's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// By name, in the object's namespace.
    Secret(String),
    /// By name, in the object's namespace.
    ConfigMap(String),
}

/// A vendor account.
#[derive(Clone)]
pub struct Account {
    /// The object of the platform team.
    pub object: Arc<ProviderAccount>,
    /// Whether this SaasDeployment's namespace may use it.
    pub allowed: bool,
    /// The values of its Secrets that pods need (S3), by key.
    pub credentials: Seen<BTreeMap<String, SecretString>>,
}

/// A zone, and the account that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedZone {
    /// The ProviderAccount.
    pub account: String,
    /// The zone.
    pub zone: Zone,
}

/// Where the zones of [`World::zones`] have one in which rows of ours may be left.
pub fn left_at(remembered: &Remembered) -> String {
    format!("zone:{}/{}", remembered.account, remembered.zone.as_deref().unwrap_or_default())
}

/// Who issued a certificate, and to which account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The ACME account.
    pub account: String,
    /// The address of the CA's directory.
    pub directory: String,
}

/// A certificate under way: what was stored before each step, and how far the CA says it is.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The names asked for, sorted.
    pub names: Vec<String>,
    /// The ACME account.
    pub account: String,
    /// When the order was intended.
    pub at: Timestamp,
    /// The order's URL; `None` while it is only intended.
    pub url: Option<String>,
    /// What the CA says of it.
    pub progress: Option<Seen<Progress>>,
}

impl World {
    /// A world of which nothing was seen yet: its clock, its randomness, the operator's configuration and the object's mark.
    pub fn new(now: Timestamp, entropy: [u8; 32], config: Arc<Config>, mark: Mark) -> Self {
        World {
            now,
            entropy,
            config,
            mark,
            children: Children::default(),
            ground: Arc::default(),
            served: BTreeSet::new(),
            vault: Ok(Vault::default()),
            sources: BTreeMap::new(),
            accounts: BTreeMap::new(),
            rivals: BTreeMap::new(),
            zones: BTreeMap::new(),
            records: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            monitors: BTreeMap::new(),
            projects: BTreeMap::new(),
            certificate: Ok(None),
            origin: None,
            order: Ok(None),
            window: None,
            published: BTreeMap::new(),
            copies: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            former: Ok(None),
            troubles: BTreeMap::new(),
            operations: Vec::new(),
            namespace_labels: BTreeMap::new(),
            trust: None,
        }
    }

    /// The vault, or why it cannot be read.
    pub fn vault(&self) -> Result<&Vault, Hold> {
        self.vault.as_ref().map_err(Hold::from)
    }

    /// The state of a webhook slot, where there is one.
    pub fn webhook(&self, slot: &str) -> Option<&Webhook> {
        self.vault.as_ref().ok()?.ledger.webhooks.get(slot)
    }

    /// Whether this cluster serves a kind.
    pub fn serves(&self, kind: Kind) -> bool {
        self.served.contains(&kind)
    }

    /// The keys and values of a Secret or ConfigMap of the user's.
    ///
    /// # Errors
    /// It is missing, or cannot be read.
    pub fn source(&self, source: &Source) -> Result<&BTreeMap<String, SecretString>, Hold> {
        let missing = || Hold::event("SourceMissing", format!("{source} does not exist: create it in this namespace"));
        self.sources.get(source).ok_or_else(missing)?.as_ref().map_err(Hold::from)?.as_ref().ok_or_else(missing)
    }

    /// The valid certificate for these names.
    ///
    /// # Errors
    /// There is none yet.
    pub fn certificate(&self, names: &[String]) -> Result<&Certificate, Hold> {
        let held = self.certificate.as_ref().map_err(Hold::from)?.as_ref();
        let fits = |c: &&Certificate| c.not_after > self.now && names.iter().all(|name| c.covers(name));
        held.filter(fits).ok_or_else(|| {
            Hold::event("CertificatePending", format!("waits for a certificate for {}: see TlsReady", names.join(", ")))
        })
    }

    /// A field of a child's status (or spec), by JSON pointer.
    pub fn field(&self, kind: Kind, name: &str, pointer: &str) -> Option<&Value> {
        self.children.find(kind, name)?.field(pointer)
    }

    /// Whether a child's status has this condition as `True`.
    pub fn has_condition(&self, kind: Kind, name: &str, condition: &str) -> bool {
        let find = || {
            let list = self.field(kind, name, "/status/conditions")?.as_array()?;
            list.iter().find(|c| c["type"] == condition)?.get("status")?.as_str()
        };
        find() == Some("True")
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Secret(name) => write!(f, "Secret `{name}`"),
            Source::ConfigMap(name) => write!(f, "ConfigMap `{name}`"),
        }
    }
}
