//! What golive runs inside pods: one command each, one task in, one piece of evidence out, always within a time limit.
//!
//! No shell, no write outside the task's working directory (and, for a restore, the database), and no secret in any output.

mod backup;
mod budget;
mod child;
mod drill;
mod faults;
mod look;
mod recover;
mod replace;
mod restic;
mod restore;
mod retention;
mod scratch;
mod smoke;
mod solve;
mod source;
mod sqlite;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use self::budget::Budget;
use crate::evidence::{BackupFacts, Evidence, Failure, LookFacts, RestoreFacts, Shorten, SmokeFacts, SolveFacts};

/// Where the task comes from and where the evidence goes. The contract is in [`crate::evidence`].
#[derive(Clone, clap::Args)]
pub struct Order {
    /// The task, as JSON.
    #[arg(long, env = "GOLIVE_TASK", hide_env_values = true)]
    task: String,
    /// The file that the evidence is written to.
    #[arg(long, env = "GOLIVE_RESULT", default_value = "/dev/termination-log")]
    result: PathBuf,
}

/// `golive backup`.
pub fn backup(order: &Order) -> ExitCode {
    conduct::<_, BackupFacts, _>(order, backup::run)
}

/// `golive drill`.
pub fn drill(order: &Order) -> ExitCode {
    conduct::<_, RestoreFacts, _>(order, drill::run)
}

/// `golive look`.
pub fn look(order: &Order) -> ExitCode {
    conduct::<_, LookFacts, _>(order, look::run)
}

/// `golive restore`.
pub fn restore(order: &Order) -> ExitCode {
    conduct::<_, RestoreFacts, _>(order, restore::run)
}

/// `golive solve`.
pub fn solve(order: &Order) -> ExitCode {
    conduct::<_, SolveFacts, _>(order, solve::run)
}

/// `golive smoke`.
pub fn smoke(order: &Order) -> ExitCode {
    conduct::<_, SmokeFacts, _>(order, smoke::run)
}

/// Reads the task, does the job, hands in the evidence.
fn conduct<T, F, R>(order: &Order, job: impl FnOnce(T, Budget) -> R) -> ExitCode
where
    T: DeserializeOwned,
    F: Serialize + Clone + Shorten,
    R: Future<Output = Evidence<F>>,
{
    let evidence = match serde_json::from_str(&order.task) {
        Ok(task) => execute(|budget| job(task, budget)),
        Err(error) => {
            Evidence::failed(Failure::new("TaskInvalid", format!("GOLIVE_TASK cannot be read: {error}")), None)
        }
    };
    match &evidence.failure {
        None => tracing::info!("done"),
        Some(failure) => tracing::error!(%failure, "failed"),
    }
    hand_in(&order.result, &evidence);
    if evidence.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a job on one thread, with SIGTERM and SIGINT ending its budget.
fn execute<F, R: Future<Output = Evidence<F>>>(job: impl FnOnce(Budget) -> R) -> Evidence<F> {
    let broken = |error: std::io::Error| Evidence::failed(Failure::new("RuntimeFailed", error.to_string()), None);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return broken(error),
    };
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        match listen(stop) {
            Ok(()) => job(Budget::new(stopped)).await,
            Err(error) => broken(error),
        }
    })
}

fn listen(stop: watch::Sender<bool>) -> std::io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        stop.send_replace(true);
        // The budgets see the value as long as the sender lives.
        std::future::pending::<()>().await;
    });
    Ok(())
}

fn hand_in<F: Serialize + Clone + Shorten>(path: &Path, evidence: &Evidence<F>) {
    let written = evidence.json().map_err(std::io::Error::other).and_then(|text| std::fs::write(path, text));
    if let Err(error) = written {
        tracing::error!(file = %path.display(), %error, "the evidence cannot be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_read<T: DeserializeOwned + Serialize>(text: &str) -> bool {
        serde_json::from_str::<T>(text).is_ok_and(|task| serde_json::to_string(&task).is_ok())
    }

    #[test]
    fn no_task_breaks_its_reader() {
        use crate::evidence::{BackupTask, DrillTask, LookTask, RestoreTask, SmokeTask, SolveTask};
        let target = serde_json::json!({"account": "s3", "repository": "s3:https://s3.test/b", "password": "/p"});
        let tags = serde_json::json!({"namespace": "n", "name": "a"});
        let task = serde_json::json!({
            "source": {"sqlite": {"file": "/data/app.db"}}, "target": target, "targets": [target], "keep_days": 30, "tags": tags,
            "workdir": "/scratch", "base_url": "https://app.example.com", "deadline_seconds": 60, "port": 8089,
            "checks": [{"name": "a", "path": "/", "json": {"a": 1}, "status": 200}], "answers": {"t": "p"},
            "limits": {"job_seconds": 60, "answer_seconds": 9},
        });
        let mut read = 0;
        crate::fuzz::json(&task, 2_000, |task| {
            let text = task.to_string();
            let all = [is_read::<BackupTask>, is_read::<DrillTask>, is_read::<RestoreTask>];
            let more = [is_read::<SmokeTask>, is_read::<SolveTask>, is_read::<LookTask>];
            read += all.into_iter().chain(more).filter(|reads| reads(&text)).count();
        });
        assert!(read > 1_000, "{read}");
    }
}
