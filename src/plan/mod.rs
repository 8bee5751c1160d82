//! The plan: what a SaasDeployment and a World call for. Pure: no I/O, no clock, no randomness, no environment.
//!
//! One file per part. Each part declares its Kubernetes objects and its changes at vendors, or says why it waits.

pub mod app;
pub mod backup;
pub mod claims;
pub mod database;
pub mod diff;
pub mod dns;
pub mod edge;
pub mod left;
pub mod monitors;
pub mod names;
pub mod payments;
pub mod pod;
pub mod release;
pub mod rollback;
pub mod secrets;
pub mod solver;
pub mod tls;
pub mod unsupported;

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::Value;

use crate::api::SaasDeployment;
use crate::fault::Hold;
use crate::kinds::Kind;
use crate::rows::{Change, Endpoint, Monitor, Project, Record, RecordType, Zone};
use crate::vault::{Ledger, Note};
use crate::vendors::acme::is_proof;
use crate::world::{Origin, World};

/// A part of a SaasDeployment: one block of the spec, one condition, one label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Secrets,
    Database,
    Dns,
    Tls,
    Edge,
    Payments,
    Release,
    App,
    Backup,
    Monitors,
    Cache,
    Workers,
    Mail,
    Gates,
}

impl Part {
    /// All parts, in the order of a go-live.
    pub const ALL: [Part; 14] = [
        Part::Secrets,
        Part::Database,
        Part::Dns,
        Part::Tls,
        Part::Edge,
        Part::Payments,
        Part::Release,
        Part::App,
        Part::Backup,
        Part::Monitors,
        Part::Cache,
        Part::Workers,
        Part::Mail,
        Part::Gates,
    ];

    /// The part's word in labels and the scorecard, as in the spec.
    pub fn word(self) -> &'static str {
        match self {
            Part::Secrets => "secrets",
            Part::Database => "database",
            Part::Dns => "dns",
            Part::Tls => "tls",
            Part::Edge => "edge",
            Part::Payments => "payments",
            Part::Release => "release",
            Part::App => "app",
            Part::Backup => "backup",
            Part::Monitors => "monitors",
            Part::Cache => "cache",
            Part::Workers => "workers",
            Part::Mail => "mail",
            Part::Gates => "gates",
        }
    }

    /// The type of the part's condition.
    pub fn condition(self) -> &'static str {
        match self {
            Part::Secrets => "SecretsReady",
            Part::Database => "DatabaseReady",
            Part::Dns => "DnsReady",
            Part::Tls => "TlsReady",
            Part::Edge => "EdgeReady",
            Part::Payments => "PaymentsReady",
            Part::Release => "ReleaseReady",
            Part::App => "AppReady",
            Part::Backup => "BackupReady",
            Part::Monitors => "MonitorsReady",
            Part::Cache => "CacheReady",
            Part::Workers => "WorkersReady",
            Part::Mail => "MailReady",
            Part::Gates => "GatesReady",
        }
    }
}

/// A Kubernetes object as it is to be.
#[derive(Clone, PartialEq)]
pub struct Manifest {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Labels beside golive's own.
    pub labels: BTreeMap<String, String>,
    /// Annotations beside golive's own.
    pub annotations: BTreeMap<String, String>,
    /// Everything but `apiVersion`, `kind` and `metadata`.
    pub body: Value,
    /// Whether it outlives the SaasDeployment.
    pub retained: bool,
}

impl Manifest {
    /// An object that goes when the SaasDeployment goes.
    pub fn new(kind: Kind, name: impl Into<String>, body: Value) -> Self {
        Manifest {
            kind,
            name: name.into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            body,
            retained: false,
        }
    }
}

/// A change outside of what is declared: at a vendor, or in the vault.
#[derive(Clone, Debug)]
pub enum Action {
    /// Write notes into the vault: before anything that relies on them.
    Note(Vec<Note>),
    /// Change records of a zone.
    Records { account: String, zone: Zone, changes: Vec<Change<Record>> },
    /// Create a webhook endpoint and store its secret under `env`; `endpoint.attempt` is noted already.
    CreateEndpoint { account: String, endpoint: Endpoint, env: String, previous_env: Option<String> },
    /// Change or remove a webhook endpoint.
    Endpoint { account: String, change: Change<Endpoint> },
    /// Change a monitor.
    Monitor { account: String, change: Change<Monitor> },
    /// Change a Sentry project.
    Project { account: String, change: Change<Project> },
    /// A step of issuing a certificate.
    Acme(AcmeStep),
    /// Write a copy of an account's credentials for pods of this application.
    Credentials { name: String, values: BTreeMap<String, SecretString> },
    /// Remove such a copy.
    DropCredentials { name: String },
    /// Delete an object of ours now, so that a fresh one can take its place.
    Delete { kind: Kind, name: String },
    /// Let an object of ours outlive the SaasDeployment.
    Retain { kind: Kind, name: String },
}

/// The steps of issuing a certificate; each is repeatable from what the one before stored.
#[derive(Clone, Debug, PartialEq)]
pub enum AcmeStep {
    /// Make the certificate's key and store it with the intent to order.
    Intend { account: String, names: Vec<String> },
    /// Place the order and store its URL.
    Order { account: String, names: Vec<String>, replaces: bool },
    /// Tell the CA that it can check the challenge of each of these names: over DNS, or (`false`) over HTTP.
    Ready { account: String, url: String, names: BTreeMap<String, bool> },
    /// Send the signing request.
    Finalize { account: String, url: String, names: Vec<String> },
    /// Fetch the chain, verify it and store it as the certificate.
    Take { account: String, url: String, names: Vec<String> },
    /// Forget an order that failed.
    Abandon { names: Vec<String> },
    /// Note where the certificate that serves came from.
    Note(Origin),
}

impl AcmeStep {
    /// The step in a word, for events.
    pub fn word(&self) -> &'static str {
        match self {
            AcmeStep::Intend { .. } => "key made",
            AcmeStep::Order { .. } => "ordered",
            AcmeStep::Ready { .. } => "challenges ready",
            AcmeStep::Finalize { .. } => "signing request sent",
            AcmeStep::Take { .. } => "issued",
            AcmeStep::Abandon { .. } => "order dropped",
            AcmeStep::Note(_) => "origin noted",
        }
    }
}

/// What a part wants now.
#[derive(Clone, Default)]
pub struct Steps {
    /// Its objects.
    pub manifests: Vec<Manifest>,
    /// Objects of an earlier pass that stay as they are.
    pub kept: Vec<(Kind, String)>,
    /// Its changes elsewhere.
    pub actions: Vec<Action>,
    /// Why it is not ready although all of the above is as wanted.
    pub waits: Option<Hold>,
    /// What it can show once it is ready.
    pub evidence: String,
    /// When it wants to be looked at again, although nothing happened.
    pub again: Option<Duration>,
    /// Whether all that it wants is upkeep: what stands goes on as it is meanwhile.
    pub upkeep: bool,
    /// While the object goes: the rows that may still stand at vendors, in words.
    pub left: Vec<String>,
}

impl Steps {
    /// Declares an object.
    pub fn declare(&mut self, manifest: Manifest) {
        self.manifests.push(manifest);
    }

    /// Keeps an object as an earlier pass wrote it.
    pub fn keep(&mut self, kind: Kind, name: impl Into<String>) {
        self.kept.push((kind, name.into()));
    }

    /// Takes an action.
    pub fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Notes something in the vault.
    pub fn note(&mut self, note: Note) {
        self.actions.push(Action::Note(vec![note]));
    }

    /// Waits, for the first reason given.
    pub fn wait(&mut self, hold: Hold) {
        self.waits.get_or_insert(hold);
    }

    /// Waits where `result` is an error; gives the value else.
    pub fn or_wait<T>(&mut self, result: Result<T, Hold>) -> Option<T> {
        result.map_err(|hold| self.wait(hold)).ok()
    }
}

impl Ask<'_> {
    /// Whether a change is one that golive makes by itself at rest: proofs for the CA come and go, endpoints rotate.
    pub fn is_upkeep(self, action: &Action) -> bool {
        match action {
            Action::Note(_) | Action::Endpoint { change: Change::Delete(_), .. } => true,
            Action::Records { zone, changes, .. } => changes.iter().all(|change| match change {
                Change::Create(row) | Change::Update(_, row) => is_proof(&row.name),
                Change::Delete(id) => {
                    let table = self.world.records.get(&zone.id).and_then(|seen| seen.as_ref().ok());
                    table.is_some_and(|table| table.iter().any(|held| held.id == *id && is_proof(&held.row.name)))
                }
            }),
            Action::CreateEndpoint { account, env, .. } => self.world.webhook(env).is_some_and(|webhook| {
                webhook.account == *account && webhook.current.is_some() && self.is_listed(webhook)
            }),
            _ => false,
        }
    }
}

/// A part's answer: what it wants, or why it wants nothing to be touched.
pub type Verdict = Result<Steps, Hold>;

/// The whole plan of one pass.
#[derive(Clone, Default)]
pub struct Plan {
    /// The parts in use.
    pub parts: BTreeMap<Part, Verdict>,
}

impl Plan {
    /// When to look again although nothing happened, as these parts want it.
    pub fn again(&self, resync: Duration, counts: impl Fn(&Part) -> bool) -> Duration {
        let parts = self.parts.iter().filter(|(part, _)| counts(part));
        parts.filter_map(|(_, verdict)| verdict.as_ref().ok()?.again).fold(resync, Duration::min)
    }

    fn actions(&self) -> impl Iterator<Item = &Action> {
        self.parts.values().flatten().flat_map(|steps| &steps.actions)
    }

    /// Whether something is still to be kept from going with the object.
    pub fn retains(&self) -> bool {
        self.actions().any(|action| matches!(action, Action::Retain { .. }))
    }

    /// Whether it makes records under names that may have become somebody else's since the zone was listed.
    pub fn claims_names(&self) -> bool {
        let claims = |change: &Change<Record>| matches!(change, Change::Create(row) if row.kind != RecordType::Txt);
        self.actions().any(|action| matches!(action, Action::Records { changes, .. } if changes.iter().any(claims)))
    }

    /// Whether there is something to note and nothing to change elsewhere.
    pub fn only_notes(&self) -> bool {
        let mut actions = self.actions().peekable();
        actions.peek().is_some() && actions.all(|action| matches!(action, Action::Note(_)))
    }
}

/// One pass's question: the object and what was seen.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// What is wanted.
    pub saas: &'a SaasDeployment,
    /// What is there.
    pub world: &'a World,
}

/// Plans one pass.
pub fn plan(saas: &SaasDeployment, world: &World) -> Plan {
    let ask = Ask { saas, world };
    let verdict = |part| match saas.metadata.deletion_timestamp {
        Some(_) => ask.farewell(part),
        None => ask.part(part),
    };
    Plan { parts: Part::ALL.into_iter().filter_map(|part| Some((part, verdict(part)?))).collect() }
}

impl Ask<'_> {
    /// A part's verdict; `None` where the part is not in use and nothing of it remains.
    fn part(self, part: Part) -> Option<Verdict> {
        match part {
            Part::Secrets => Some(secrets::plan(self)),
            Part::Database => database::plan(self),
            Part::Dns => dns::plan(self),
            Part::Tls => tls::plan(self),
            Part::Edge => Some(edge::plan(self)),
            Part::Payments => payments::plan(self),
            Part::Release => release::plan(self),
            Part::App => Some(rollback::plan(self)),
            Part::Backup => backup::plan(self),
            Part::Monitors => monitors::plan(self),
            Part::Cache | Part::Workers | Part::Mail | Part::Gates => unsupported::plan(self, part),
        }
    }

    /// What was done, where that can be read.
    fn ledger(&self) -> Option<&Ledger> {
        self.world.vault.as_ref().ok().map(|vault| &vault.ledger)
    }

    /// Keeps everything of a part as it is, also what the spec does not name any more.
    fn keep_all(self, part: Part, steps: &mut Steps) {
        let own = self.world.children.iter().filter(|(_, child)| child.part == Some(part));
        own.for_each(|(kind, child)| steps.keep(kind, &*child.name));
    }

    /// What a part still has to remove at vendors, or to keep from going too, when the object is deleted.
    fn farewell(self, part: Part) -> Option<Verdict> {
        let verdict = match part {
            Part::Monitors => monitors::farewell(self),
            Part::Payments => payments::farewell(self),
            Part::Dns => dns::farewell(self),
            Part::Database => database::let_stay(self),
            _ => None,
        };
        verdict.map(|verdict| verdict.map(|steps| Steps { left: self.left(part), ..steps }))
    }
}

/// `kind/name`, for messages.
impl std::fmt::Display for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.name)
    }
}

#[cfg(test)]
pub(crate) mod tests;
