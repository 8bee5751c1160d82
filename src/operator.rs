//! The operator put together: watches, passes, and the Lease that lets one of several replicas write.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::runtime::controller::Controller;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tracing::info;

use crate::accounts::Accounts;
use crate::api::{ProviderAccount, SaasDeployment, SaasOperation};
use crate::apply::vault::Vaults;
use crate::config::Config;
use crate::controller::{self, Context};
use crate::ground::{Ground, Plot};
use crate::kinds::Kind;
use crate::latest::Latest;
use crate::lease::Candidate;
use crate::metrics::Metrics;
use crate::objects::Cache;
use crate::observe::Observer;
use crate::outside::Outside;
use crate::patience::Patience;
use crate::vendors::Vendors;

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
    controller: Controller<SaasDeployment>,
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
        let Assembled { context, controller, candidate, _watches } = self;
        let ended = lead(&candidate, controller, context, Box::pin(stop)).await;
        candidate.release().await;
        ended
    }
}

/// Leads once the watches are filled, until it is told to stop or loses the lease.
async fn lead(
    candidate: &Candidate,
    controller: Controller<SaasDeployment>,
    context: Arc<Context>,
    mut stop: Pin<Box<impl Future<Output = ()> + Send>>,
) -> Result<(), String> {
    tokio::select! {
        () = candidate.lead() => {}
        () = &mut stop => return Ok(()),
    }
    tokio::select! {
        () = context.observer.filled() => {}
        () = &mut stop => return Ok(()),
    }
    let (halt, halted) = tokio::sync::oneshot::channel::<()>();
    let accounts = context.clone();
    let passes = controller::run(controller, context, async move { drop(halted.await) });
    tokio::pin!(passes);
    tokio::select! {
        () = &mut passes => return Err("the controller ended by itself".into()),
        () = candidate.keep() => return Err("the lease was lost: another replica leads".into()),
        () = accounts.observer.keep_standings() => {}
        () = &mut stop => {}
    }
    info!("stopping: no new passes, those under way are finished");
    drop(halt);
    drop(tokio::time::timeout(FAREWELL, passes).await);
    Ok(())
}

impl Operator {
    /// Starts the watches.
    pub fn assemble(self, registry: &mut Registry) -> Assembled {
        let mut watches = JoinSet::new();
        let candidate = Candidate::new(self.client.clone(), self.outside.clone(), &self.namespace, &self.identity);
        let (context, controller) = self.parts(registry, &mut watches);
        Assembled { context, controller, candidate, _watches: watches }
    }

    fn parts(self, registry: &mut Registry, tasks: &mut JoinSet<()>) -> (Arc<Context>, Controller<SaasDeployment>) {
        let (cache, ground) = (Arc::new(Cache::default()), Arc::new(Ground::new(&self.config)));
        let stream = controller::of(Api::all(self.client.clone()));
        let (operations, follow_operations) = controller::follow(Api::<SaasOperation>::all(self.client.clone()));
        tasks.spawn(follow_operations);
        let (namespaces, follow_namespaces) = controller::follow(Api::<Namespace>::all(self.client.clone()));
        tasks.spawn(follow_namespaces);
        let accounts = self.accounts(tasks);
        let observer = Observer {
            client: self.client.clone(),
            outside: self.outside.clone(),
            config: self.config.clone(),
            cluster: self.cluster.clone(),
            cache: cache.clone(),
            ground: ground.clone(),
            deployments: stream.store(),
            operations,
            namespaces,
            vaults: Vaults::default(),
            accounts,
            vendors: Arc::new(Vendors::new(
                registry,
                Duration::from_secs(self.config.refresh_seconds),
                self.outside.clone(),
            )),
            issuers: Mutex::new(HashMap::new()),
            windows: Mutex::new(HashMap::new()),
        };
        let reporter = Reporter { controller: "golive.dev/golive".into(), instance: Some(self.identity.clone()) };
        let recorder = Recorder::new(self.client.clone(), reporter);
        let context = Arc::new(Context {
            observer,
            recorder,
            metrics: Metrics::new(registry),
            latest: Latest::default(),
            patience: Patience::default(),
        });
        let controller = self.woken(stream, (cache, ground), tasks);
        (context, controller)
    }

    fn accounts(&self, tasks: &mut JoinSet<()>) -> Accounts {
        let (accounts, follow_accounts) = controller::follow(Api::<ProviderAccount>::all(self.client.clone()));
        let (secrets, follow_secrets) =
            controller::follow(Api::<Secret>::namespaced(self.client.clone(), &self.namespace));
        let (config_maps, follow_maps) =
            controller::follow(Api::<ConfigMap>::namespaced(self.client.clone(), &self.namespace));
        tasks.spawn(follow_accounts);
        tasks.spawn(follow_secrets);
        tasks.spawn(follow_maps);
        Accounts { namespace: self.namespace.clone(), accounts, secrets, config_maps }
    }

    /// What wakes a pass: the object itself, its children, its requests, a change of any account, and of what routes rest on.
    fn woken(
        &self,
        controller: Controller<SaasDeployment>,
        (cache, ground): (Arc<Cache>, Arc<Ground>),
        tasks: &mut JoinSet<()>,
    ) -> Controller<SaasDeployment> {
        let config = kube::runtime::controller::Config::default()
            .concurrency(self.config.concurrency)
            .debounce(Duration::from_millis(50));
        let requested = |operation: SaasOperation| {
            let namespace = operation.namespace().unwrap_or_default();
            Some(ObjectRef::new(&operation.spec.deployment).within(&namespace))
        };
        let operations: Api<SaasOperation> = Api::all(self.client.clone());
        let all = controller.store();
        let everyone = move || all.state().into_iter().map(|saas| ObjectRef::from_obj(&*saas)).collect::<Vec<_>>();
        let accounts: Api<ProviderAccount> = Api::all(self.client.clone());
        let (wake, woken) = futures::channel::mpsc::unbounded();
        for kind in Kind::ALL {
            let (children, wake) = (controller::children(self.client.clone(), cache.clone(), kind), wake.clone());
            tasks.spawn(children.map(Ok).forward(wake).map(drop));
        }
        for plot in Plot::all(&self.config) {
            let (changes, everyone) = (controller::ground(self.client.clone(), ground.clone(), plot), everyone.clone());
            let concerned = changes.flat_map(move |()| stream::iter(everyone()));
            tasks.spawn(concerned.map(Ok).forward(wake.clone()).map(drop));
        }
        controller
            .with_config(config)
            .watches(operations, watcher::Config::default(), requested)
            .watches(accounts, watcher::Config::default(), move |_| everyone())
            .reconcile_on(woken)
    }
}
