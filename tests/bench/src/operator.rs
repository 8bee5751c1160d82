//! The real `golive run` as a process of its own, with a user of its own.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use tokio::process::Command;
use tokio::time::sleep;

use crate::process::Program;
use crate::stage::Stage;
use crate::{Result, deadline};

/// How often a figure is looked at while it is waited for.
const GLANCE: Duration = Duration::from_millis(20);

/// A running operator.
pub struct Operator {
    /// The process.
    pub program: Program,
    identity: &'static str,
    port: String,
}

impl Operator {
    /// Starts it and returns at once.
    pub fn start(stage: &Stage, identity: &'static str) -> Result<Self> {
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program());
        command.env("KUBECONFIG", stage.user("golive")?);
        command.args(["run", "--namespace", "golive-system", "--identity", identity, "--listen", &listen.to_string()]);
        let program = Program::start(&mut command, &stage.world.log(&format!("golive-{identity}")))?;
        Ok(Operator { program, identity, port: format!("http://{listen}") })
    }

    /// Starts it and waits until it leads.
    pub async fn lead(stage: &Stage) -> Result<Self> {
        let operator = Self::start(stage, "bench")?;
        operator.leads(stage).await?;
        until("the operator serves its port", async || operator.passes().await.is_ok()).await?;
        Ok(operator)
    }

    /// Starts one that stands by, and waits until it could lead.
    pub async fn stand_by(stage: &Stage, identity: &'static str) -> Result<Self> {
        let operator = Self::start(stage, identity)?;
        let ready = format!("{}/readyz", operator.port);
        let is_ready = async || reqwest::get(&ready).await.is_ok_and(|answer| answer.status() == 200);
        until("an operator stands by", is_ready).await?;
        Ok(operator)
    }

    /// Waits until it leads.
    pub async fn leads(&self, stage: &Stage) -> Result<()> {
        let leases: Api<Lease> = Api::namespaced(stage.client.clone(), "golive-system");
        until("the operator leads", async || holder(&leases).await.as_deref() == Some(self.identity)).await
    }

    /// Passes since it began.
    pub async fn passes(&self) -> Result<usize> {
        let text = reqwest::get(format!("{}/metrics", self.port)).await?.text().await?;
        let counted = text.lines().filter(|line| line.starts_with("golive_passes_total{"));
        Ok(counted.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum())
    }

    /// Waits until so many passes were made since the beginning; gives the moment.
    pub async fn passed(&self, count: usize) -> Result<Instant> {
        until("the operator passes over all", async || self.passes().await.unwrap_or(0) >= count).await?;
        Ok(Instant::now())
    }
}

/// Looks again and again until it is so.
async fn until(what: &str, is: impl AsyncFn() -> bool) -> Result<()> {
    let waits = async {
        while !is().await {
            sleep(GLANCE).await;
        }
    };
    deadline(what, waits).await
}

async fn holder(leases: &Api<Lease>) -> Option<String> {
    leases.get_opt("golive").await.ok()??.spec?.holder_identity
}

/// The operator that was built with this program, or the one that `GOLIVE` names.
fn program() -> PathBuf {
    let beside = || std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("golive")));
    std::env::var_os("GOLIVE").map(PathBuf::from).or_else(beside).unwrap_or_else(|| "golive".into())
}
