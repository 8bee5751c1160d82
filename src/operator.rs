//! The operator put together: watches, passes, and the Lease that lets one of several replicas write.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::channel::mpsc::UnboundedSender;
use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::runtime::controller::Controller;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tracing::info;

use crate::accounts::Accounts;
use crate::api::{ProviderAccount, SaasDeployment, SaasOperation};
use crate::apply::vault::Vaults;
use crate::config::Config;
use crate::controller::{self, Context, Followable, Gone};
use crate::ground::{Ground, Plot};
use crate::kinds::Kind;
use crate::latest::Latest;
use crate::lease::Candidate;
use crate::metrics::Metrics;
use crate::objects::Cache;
use crate::observe::Observer;
use crate::outside::Outside;
use crate::pace::Pace;
use crate::patience::Patience;
use crate::vendors::Vendors;
use crate::vendors::snapshots::Snapshots;

/// How long passes under way may take to end once the operator is told to stop.
const FAREWELL: Duration = Duration::from_secs(20);

/// What the operator is put together from.
pub struct Operator {
    /// The API server.
    pub client: Client,
    /// Everything else outside.
    pub outside: Arc<dyn Outside>,
    /// The configuration.
    pub config: Arc<Config>,
    /// This cluster's id, in the marks on vendors' rows.
    pub cluster: String,
    /// The operator's own namespace.
    pub namespace: String,
    /// This replica's name in the Lease.
    pub identity: String,
}

/// An operator whose watches run; it does not write before it leads.
pub struct Assembled {
    context: Arc<Context>,
    passes: Passes,
    candidate: Candidate,
    /// The watches: they end with the operator.
    _watches: JoinSet<()>,
}

impl Assembled {
    /// Tells whether this replica could lead: its watches are filled.
    pub fn readiness(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let (cache, ground) = (self.context.observer.cache.clone(), self.context.observer.ground.clone());
        move || cache.is_ready() && ground.is_ready()
    }

    /// Leads until `stop` resolves; then passes under way are finished and the lease is given up.
    ///
    /// # Errors
    /// The leadership was lost.
    pub async fn lead(self, stop: impl Future<Output = ()> + Send) -> Result<(), String> {
        let Assembled { context, passes, candidate, _watches } = self;
        let ended = lead(&candidate, passes, context, Box::pin(stop)).await;
        candidate.release().await;
        ended
    }
}

/// The passes over all applications, which begin once this replica leads.
struct Passes {
    controller: Controller<SaasDeployment>,
    /// Those that go.
    gone: Gone,
    /// Whether changes wake passes yet.
    leads: Arc<AtomicBool>,
}

impl Passes {
    /// Begins with a pass over each application: what changed before needs no other.
    async fn run(self, context: Arc<Context>, halted: impl Future<Output = ()> + Send + Sync + 'static) {
        self.leads.store(true, Ordering::SeqCst);
        controller::run((self.controller, self.gone), context, halted).await;
    }
}

/// What a replica says that no longer leads.
const LOST: &str = "the lease was lost: another replica leads";

/// Leads once the watches are filled, until it is told to stop or loses the lease. That is renewed from the first moment to
/// the end of the last pass, and looked at before anything else: what stood still for too long is not to write any more.
async fn lead(
    candidate: &Candidate,
    passes: Passes,
    context: Arc<Context>,
    mut stop: Pin<Box<impl Future<Output = ()> + Send>>,
) -> Result<(), String> {
    let began = tokio::select! {
        began = candidate.lead() => began,
        () = &mut stop => return Ok(()),
    };
    let mut lost = std::pin::pin!(candidate.keep(began));
    tokio::select! {
        biased;
        () = &mut lost => return Err(LOST.into()),
        () = context.observer.filled() => {}
        () = &mut stop => return Ok(()),
    }
    let (halt, halted) = tokio::sync::oneshot::channel::<()>();
    let accounts = context.clone();
    let mut passes = std::pin::pin!(passes.run(context, async move { drop(halted.await) }));
    // In this order, which else chance would choose: a simulation is to repeat itself.
    tokio::select! {
        biased;
        () = &mut lost => return Err(LOST.into()),
        () = &mut passes => return Err("the controller ended by itself".into()),
        () = accounts.observer.keep_standings() => {}
        () = &mut stop => {}
    }
    info!("stopping: no new passes, those under way are finished");
    drop(halt);
    tokio::select! {
        biased;
        () = &mut lost => Err(LOST.into()),
        _ = tokio::time::timeout(FAREWELL, passes) => Ok(()),
    }
}

impl Operator {
    /// Starts the watches.
    pub fn assemble(self, registry: &mut Registry) -> Assembled {
        let mut watches = JoinSet::new();
        let candidate = Candidate::new(self.client.clone(), self.outside.clone(), &self.namespace, &self.identity);
        let (context, passes) = self.parts(registry, &mut watches);
        Assembled { context, passes, candidate, _watches: watches }
    }

    fn parts(self, registry: &mut Registry, tasks: &mut JoinSet<()>) -> (Arc<Context>, Passes) {
        let (cache, ground) = (Arc::new(Cache::default()), Arc::new(Ground::new(&self.config)));
        let (controller, gone) = controller::of(Api::all(self.client.clone()));
        let (wake, woken) = futures::channel::mpsc::unbounded();
        let leads = Arc::new(AtomicBool::new(false));
        let mut watches = Watches { tasks, wake, leads: leads.clone(), deployments: controller.store() };
        let operations = watches.follow(Api::all(self.client.clone()), |operation: SaasOperation, _| {
            let namespace = operation.namespace().unwrap_or_default();
            vec![ObjectRef::new(&operation.spec.deployment).within(&namespace)]
        });
        // Their labels decide on accounts.
        let namespaces = watches.follow(Api::<Namespace>::all(self.client.clone()), |namespace, everyone| {
            let within = |saas: &Concerned| saas.namespace == namespace.metadata.name;
            everyone().into_iter().filter(within).collect()
        });
        let accounts = self.accounts(&mut watches);
        self.follow_children((&cache, &ground), &mut watches);
        let observer = Observer {
            client: self.client.clone(),
            outside: self.outside.clone(),
            config: self.config.clone(),
            cluster: self.cluster.clone(),
            cache: cache.clone(),
            ground: ground.clone(),
            deployments: controller.store(),
            latest: Latest::default(),
            operations,
            namespaces,
            vaults: Vaults::default(),
            accounts,
            vendors: Arc::new(Vendors::new(
                registry,
                Duration::from_secs(self.config.refresh_seconds),
                self.outside.clone(),
            )),
            issuers: Snapshots::ungated(Duration::MAX),
            placed: Mutex::new(HashMap::new()),
            windows: Mutex::new(HashMap::new()),
        };
        let reporter = Reporter { controller: "golive.dev/golive".into(), instance: Some(self.identity.clone()) };
        let recorder = Recorder::new(self.client.clone(), reporter);
        let context = Arc::new(Context {
            observer,
            recorder,
            metrics: Metrics::new(registry),
            patience: Patience::default(),
            pace: Pace::default(),
        });
        let config = kube::runtime::controller::Config::default().concurrency(context.observer.config.concurrency);
        (context, Passes { controller: controller.with_config(config).reconcile_on(woken), gone, leads })
    }

    fn accounts(&self, watches: &mut Watches<'_>) -> Accounts {
        let accounts = watches.follow(Api::<ProviderAccount>::all(self.client.clone()), |_, everyone| everyone());
        let secrets = watches.keep(Api::<Secret>::namespaced(self.client.clone(), &self.namespace));
        let config_maps = watches.keep(Api::<ConfigMap>::namespaced(self.client.clone(), &self.namespace));
        Accounts { namespace: self.namespace.clone(), accounts, secrets, config_maps }
    }

    /// Follows the children of all applications, and what routes rest on.
    fn follow_children(&self, (cache, ground): (&Arc<Cache>, &Arc<Ground>), watches: &mut Watches<'_>) {
        for kind in Kind::ALL {
            watches.wakes(controller::children(self.client.clone(), cache.clone(), kind));
        }
        for plot in Plot::all(&self.config) {
            let changes = controller::ground(self.client.clone(), ground.clone(), plot);
            let everyone = everyone(watches.deployments.clone());
            watches.wakes(changes.flat_map(move |()| stream::iter(everyone())));
        }
    }
}

/// An application to look at.
type Concerned = ObjectRef<SaasDeployment>;

/// The watches, and what each wakes: the passes over the applications that a change concerns.
struct Watches<'a> {
    tasks: &'a mut JoinSet<()>,
    wake: UnboundedSender<Concerned>,
    leads: Arc<AtomicBool>,
    deployments: Store<SaasDeployment>,
}

impl Watches<'_> {
    /// Keeps a store of all objects of a kind, whose changes concern nobody at once.
    fn keep<K: Followable>(&mut self, api: Api<K>) -> Store<K> {
        self.follow(api, |_, _| Vec::new())
    }

    /// Keeps a store of all objects of a kind, and wakes those whom a change concerns; the second argument gives everybody.
    fn follow<K: Followable>(
        &mut self,
        api: Api<K>,
        concerned: impl Fn(K, &dyn Fn() -> Vec<Concerned>) -> Vec<Concerned> + Send + Sync + 'static,
    ) -> Store<K> {
        let (store, changed) = controller::follow(api);
        let everyone = everyone(self.deployments.clone());
        self.wakes(changed.flat_map(move |object| stream::iter(concerned(object, &everyone))));
        store
    }

    /// Wakes passes, once there are any: a standby would gather wakes for as long as it stands by.
    fn wakes(&mut self, concerned: impl stream::Stream<Item = Concerned> + Send + 'static) {
        let leads = self.leads.clone();
        let concerned = concerned.filter(move |_| std::future::ready(leads.load(Ordering::SeqCst)));
        self.tasks.spawn(concerned.map(Ok).forward(self.wake.clone()).map(drop));
    }
}

fn everyone(deployments: Store<SaasDeployment>) -> impl Fn() -> Vec<Concerned> {
    move || deployments.state().into_iter().map(|saas| ObjectRef::from_obj(&*saas)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_standby_gathers_no_wakes() {
        let (wake, mut woken) = futures::channel::mpsc::unbounded();
        let (mut tasks, leads) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
        let (deployments, _) = kube::runtime::reflector::store();
        let mut watches = Watches { tasks: &mut tasks, wake, leads: leads.clone(), deployments };
        for expected in [0, 3] {
            watches.wakes(stream::iter(["a", "b", "c"].map(ObjectRef::new)));
            assert!(watches.tasks.join_next().await.is_some());
            let mut count = 0;
            while woken.try_recv().is_ok() {
                count += 1;
            }
            assert_eq!(count, expected);
            leads.store(true, Ordering::SeqCst);
        }
    }
}
