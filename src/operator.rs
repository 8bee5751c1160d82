//! `golive run`: builds the operator from its configuration and keeps it running.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures::{FutureExt, StreamExt};
use golive::accounts::Accounts;
use golive::api::{ProviderAccount, SaasDeployment, SaasOperation};
use golive::cluster;
use golive::config::Config;
use golive::controller::{self, Context};
use golive::kinds::Kind;
use golive::lease::Candidate;
use golive::metrics::Metrics;
use golive::objects::Cache;
use golive::observe::Observer;
use golive::serve::{self, Told};
use golive::vendors::Vendors;
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

/// Arguments of `golive run`.
#[derive(Args)]
pub struct Run {
    /// The operator's configuration, in YAML.
    #[arg(long, env = "GOLIVE_CONFIG")]
    config: Option<PathBuf>,
    /// The operator's own namespace: where the Secrets of accounts are.
    #[arg(long, env = "POD_NAMESPACE", default_value = "golive-system")]
    namespace: String,
    /// This replica's name in the Lease.
    #[arg(long, env = "POD_NAME", default_value = "golive")]
    identity: String,
    /// Where health and metrics are served.
    #[arg(long, env = "GOLIVE_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
}

/// Runs until it is told to stop.
///
/// # Errors
/// The configuration or the cluster cannot be used, or the leadership was lost.
pub fn run(args: Run) -> Result<(), String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|e| format!("no runtime: {e}"))?;
    runtime.block_on(operate(args))
}

async fn operate(args: Run) -> Result<(), String> {
    let config = Arc::new(read_config(&args)?);
    let client = cluster::connect().await?;
    let cluster = match &config.cluster_id {
        Some(id) => id.clone(),
        None => cluster_id(&client).await?,
    };
    info!(cluster, version = env!("CARGO_PKG_VERSION"), "golive starts");
    let mut registry = Registry::default();
    let mut tasks = JoinSet::new();
    let parts = Parts {
        client: client.clone(),
        config,
        cluster,
        namespace: args.namespace.clone(),
        identity: args.identity.clone(),
    };
    let (context, controller) = parts.assemble(&mut registry, &mut tasks);
    let cache = context.observer.cache.clone();
    tasks.spawn(async move {
        let told = Told { registry, ready: Box::new(move || cache.is_ready()) };
        if let Err(e) = serve::serve(args.listen, told).await {
            tracing::error!("{} cannot be served: {e}", args.listen);
        }
    });
    let candidate = Candidate::new(client, &args.namespace, "golive", &args.identity);
    let ended = lead(&candidate, controller, context).await;
    candidate.release().await;
    ended
}

fn read_config(args: &Run) -> Result<Config, String> {
    let Some(path) = &args.config else { return Ok(Config::default()) };
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Config::read(&text)
}

/// Eight digits that tell this cluster's marks from others'.
async fn cluster_id(client: &Client) -> Result<String, String> {
    let api: Api<Namespace> = Api::all(client.clone());
    let found = cluster::find(&api, "kube-system").await.map_err(|e| e.to_string())?;
    let uid = found.and_then(|ns| ns.uid()).ok_or("namespace kube-system has no uid: set `clusterId`")?;
    Ok(uid.chars().filter(|c| *c != '-').take(8).collect())
}

/// Leads once the watches are filled, until it is told to stop or loses the lease.
async fn lead(
    candidate: &Candidate,
    controller: Controller<SaasDeployment>,
    context: Arc<Context>,
) -> Result<(), String> {
    let mut stop = Box::pin(stopped());
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
    drop(tokio::time::timeout(Duration::from_secs(20), passes).await);
    Ok(())
}

async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut term), Ok(mut int)) => tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        },
        _ => std::future::pending().await,
    }
}

/// What the operator is put together from.
struct Parts {
    client: Client,
    config: Arc<Config>,
    cluster: String,
    namespace: String,
    identity: String,
}

impl Parts {
    fn assemble(self, registry: &mut Registry, tasks: &mut JoinSet<()>) -> (Arc<Context>, Controller<SaasDeployment>) {
        let cache = Arc::new(Cache::default());
        let deployments: Api<SaasDeployment> = Api::all(self.client.clone());
        let stream = Controller::new(deployments, watcher::Config::default());
        let (operations, follow_operations) = controller::follow(Api::<SaasOperation>::all(self.client.clone()));
        tasks.spawn(follow_operations);
        let accounts = self.accounts(tasks);
        let observer = Observer {
            client: self.client.clone(),
            config: self.config.clone(),
            cluster: self.cluster.clone(),
            cache: cache.clone(),
            deployments: stream.store(),
            operations,
            accounts,
            vendors: Arc::new(Vendors::new(registry, Duration::from_secs(self.config.refresh_seconds))),
            issuers: Mutex::new(HashMap::new()),
            windows: Mutex::new(HashMap::new()),
        };
        let reporter = Reporter { controller: "golive.dev/golive".into(), instance: Some(self.identity.clone()) };
        let recorder = Recorder::new(self.client.clone(), reporter);
        let context = Arc::new(Context { observer, recorder, metrics: Metrics::new(registry) });
        let controller = self.woken(stream, cache, tasks);
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

    /// What wakes a pass: the object itself, its children, its requests, and a change of any account.
    fn woken(
        &self,
        controller: Controller<SaasDeployment>,
        cache: Arc<Cache>,
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
        let everyone = move |_: ProviderAccount| {
            all.state().into_iter().map(|saas| ObjectRef::from_obj(&*saas)).collect::<Vec<_>>()
        };
        let accounts: Api<ProviderAccount> = Api::all(self.client.clone());
        let (wake, woken) = futures::channel::mpsc::unbounded();
        for kind in Kind::ALL {
            let (children, wake) = (controller::children(self.client.clone(), cache.clone(), kind), wake.clone());
            tasks.spawn(children.map(Ok).forward(wake).map(drop));
        }
        controller
            .with_config(config)
            .watches(operations, watcher::Config::default(), requested)
            .watches(accounts, watcher::Config::default(), everyone)
            .reconcile_on(woken)
    }
}
