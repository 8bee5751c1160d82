//! The only reader and the only clock: gathers the World of one pass. What cannot be seen becomes an `Err` in it.

mod claims;
mod cluster;
mod issuing;
mod rows;

pub use issuing::text;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use tokio::sync::Mutex;

use crate::accounts::Accounts;
use crate::api::{SaasDeployment, SaasOperation};
use crate::apply::vault::Vaults;
use crate::certificate::Window;
use crate::cluster::find;
use crate::config::Config;
use crate::fault::Seen;
use crate::ground::Ground;
use crate::kinds::Kind;
use crate::latest::Latest;
use crate::objects::{Cache, Children, Owner, Presence};
use crate::outside::Outside;
use crate::plan::Ask;
use crate::rows::Mark;
use crate::vendors::Vendors;
use crate::vendors::acme::Issuer;
use crate::vendors::snapshots::Snapshots;
use crate::world::World;

/// Everything that passes look at.
pub struct Observer {
    /// The API server.
    pub client: Client,
    /// Time, chance, HTTP and DNS.
    pub outside: Arc<dyn Outside>,
    /// The operator's configuration.
    pub config: Arc<Config>,
    /// This cluster's id, in the marks on rows.
    pub cluster: String,
    /// What golive wrote into the cluster.
    pub cache: Arc<Cache>,
    /// What the platform team laid for routes.
    pub ground: Arc<Ground>,
    /// All SaasDeployments: for claims on hosts.
    pub deployments: Store<SaasDeployment>,
    /// What was written to SaasDeployments and no watch has brought yet.
    pub latest: Latest,
    /// All namespaces: their labels decide on accounts.
    pub namespaces: Store<Namespace>,
    /// Vaults that were read before.
    pub vaults: Vaults,
    /// All requests.
    pub operations: Store<SaasOperation>,
    /// Vendor accounts.
    pub accounts: Accounts,
    /// The vendors, with shared snapshots.
    pub vendors: Arc<Vendors>,
    /// ACME accounts that are open, by fingerprint.
    pub issuers: Snapshots<Issuer>,
    /// Orders that were placed and are not stored yet, by uid, with the time of the intent.
    pub placed: Mutex<HashMap<String, (Timestamp, String)>>,
    /// Renewal windows by certificate key, with the time of the next question.
    pub windows: Mutex<HashMap<String, (Option<Window>, Timestamp)>>,
}

/// The mark of an object on vendors' rows.
pub fn mark(cluster: &str, saas: &SaasDeployment) -> Mark {
    let uid: String = saas.uid().unwrap_or_default().chars().filter(|c| *c != '-').take(12).collect();
    let label = format!("{}/{}", saas.namespace().unwrap_or_default(), saas.name_any());
    Mark { cluster: cluster.to_owned(), owner: uid, label }
}

/// The SaasDeployment as an owner of objects.
pub fn owner(saas: &SaasDeployment) -> Owner {
    Owner { namespace: saas.namespace().unwrap_or_default(), name: saas.name_any() }
}

impl Observer {
    /// Waits until every watch has brought its first list: a pass before that would take what it does not see as gone.
    pub async fn filled(&self) {
        let Accounts { accounts, secrets, config_maps, .. } = &self.accounts;
        let stores = async {
            drop(tokio::join!(accounts.wait_until_ready(), secrets.wait_until_ready(), config_maps.wait_until_ready()));
            drop(tokio::join!(self.operations.wait_until_ready(), self.namespaces.wait_until_ready()));
        };
        stores.await;
        while !(self.cache.is_ready() && self.ground.is_ready()) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Observes the world of one object.
    pub async fn observe(&self, saas: &SaasDeployment) -> World {
        let mut world = self.cluster_world(saas).await;
        let zones = self.zones(saas, &world).await;
        world.zones = zones;
        let (records, endpoints, monitors, projects) = tokio::join!(
            self.records(&world, Duration::MAX),
            self.endpoints(saas, &world),
            self.monitors(saas, &world),
            self.projects(saas, &world)
        );
        (world.records, world.endpoints, world.monitors, world.projects) = (records, endpoints, monitors, projects);
        self.certificates(saas, &mut world).await;
        world
    }

    /// What the cluster itself tells.
    async fn cluster_world(&self, saas: &SaasDeployment) -> World {
        let namespace = saas.namespace().unwrap_or_default();
        let (labels, vault) = tokio::join!(self.namespace_labels(&namespace), self.vault(saas));
        let namespace_labels = labels.unwrap_or_default();
        let marked = mark(&self.cluster, saas);
        let mut world = World::new(self.outside.now(), self.outside.entropy(), self.config.clone(), marked);
        world.children = self.children(saas);
        world.served = Kind::ALL.into_iter().filter(|kind| self.cache.presence(*kind) == Presence::Served).collect();
        world.accounts = self.accounts.seen_by(&namespace_labels);
        world.ground = self.ground.facts();
        world.rivals = self.rivals(saas);
        world.operations = self.operations_of(saas);
        world.trust = self.trust();
        (world.namespace_labels, world.vault) = (namespace_labels, vault);
        world.former = self.former(Ask { saas, world: &world }).await;
        let ask = Ask { saas, world: &world };
        let (sources, copies, outcomes, troubles) =
            tokio::join!(self.sources(ask), self.copies(ask), self.outcomes(ask), self.troubles(ask));
        (world.sources, world.copies, world.outcomes, world.troubles) = (sources, copies, outcomes, troubles);
        world
    }

    /// Looks again at what this pass itself has written.
    pub async fn refresh(&self, saas: &SaasDeployment, world: &mut World) {
        world.vault = self.vault(saas).await;
        world.children = self.children(saas);
        world.former = self.former(Ask { saas, world }).await;
    }

    /// What golive wrote for it. What it wrote for one that had the name before says nothing of this one.
    fn children(&self, saas: &SaasDeployment) -> Children {
        self.cache.of(&owner(saas)).of_uid(&saas.uid().unwrap_or_default())
    }

    /// A namespace is asked for only where the watch has not brought it yet.
    async fn namespace_labels(&self, namespace: &str) -> Seen<BTreeMap<String, String>> {
        if let Some(known) = self.namespaces.get(&ObjectRef::new(namespace)) {
            return Ok(known.labels().clone());
        }
        let api: Api<Namespace> = Api::all(self.client.clone());
        Ok(find(&api, namespace).await?.map(|ns| ns.labels().clone()).unwrap_or_default())
    }

    /// Open requests for this object, oldest first.
    fn operations_of(&self, saas: &SaasDeployment) -> Vec<SaasOperation> {
        let ours = |o: &SaasOperation| o.namespace() == saas.namespace() && o.spec.deployment == saas.name_any();
        let open = |o: &SaasOperation| o.status.as_ref().is_none_or(|status| status.completion_time.is_none());
        let mut found: Vec<_> =
            self.operations.state().iter().filter(|o| ours(o) && open(o)).map(|o| (**o).clone()).collect();
        found.sort_by_key(|o| (o.creation_timestamp(), o.name_any()));
        found
    }

    /// The platform's own roots.
    fn trust(&self) -> Option<String> {
        let path = self.config.trust_file.as_ref()?;
        std::fs::read_to_string(path).inspect_err(|e| tracing::warn!("{}: {e}", path.display())).ok()
    }
}
