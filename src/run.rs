//! `golive run`: the operator with its configuration, its port and the signals that end it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use golive::cluster;
use golive::config::Config;
use golive::operator::Operator;
use golive::outside::Real;
use golive::serve::{self, Told};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, ResourceExt};
use prometheus_client::registry::Registry;
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
    info!(cluster, version = golive::VERSION, "golive starts");
    let mut registry = Registry::default();
    let outside = Arc::new(Real::default());
    let (namespace, identity) = (args.namespace, args.identity);
    let operator = Operator { client, outside, config, cluster, namespace, identity }.assemble(&mut registry);
    let told = Told { registry, ready: Box::new(operator.readiness()) };
    let mut port = JoinSet::new();
    port.spawn(async move {
        if let Err(e) = serve::serve(args.listen, told).await {
            tracing::error!("{} cannot be served: {e}", args.listen);
        }
    });
    operator.lead(stopped()).await
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
