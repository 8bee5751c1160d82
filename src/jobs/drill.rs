//! `golive drill`: restores the newest verified snapshot into a throw-away directory, and dates the proof.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::budget::Budget;
use super::recover::{Recovered, Wanted, recover};
use super::scratch::Scratch;
use crate::evidence::{DrillTask, Evidence, Failure, RestoreFacts};

/// Does the task.
pub async fn run(task: DrillTask, budget: Budget) -> Evidence<RestoreFacts> {
    let budget = budget.within(Duration::from_secs(task.limits.job_seconds));
    match practise(&task, &budget).await {
        Ok(facts) => Evidence::success(facts),
        Err(failure) => Evidence::failed(failure, None),
    }
}

async fn practise(task: &DrillTask, budget: &Budget) -> Result<RestoreFacts, Failure> {
    let (started, scratch) = (Instant::now(), Scratch::new(&task.workdir, "drill")?);
    let (target, tags, snapshot, limits) = (&task.target, &task.tags, task.snapshot.as_deref(), &task.limits);
    let recovered = recover(&Wanted { target, tags, snapshot, limits }, &scratch, budget).await?;
    Ok(facts(&recovered, started, None))
}

/// The evidence of a recovery that began at `started`.
pub fn facts(recovered: &Recovered, started: Instant, safety: Option<String>) -> RestoreFacts {
    RestoreFacts {
        snapshot: recovered.snapshot.id.clone(),
        snapshot_time: recovered.snapshot.time,
        contents: recovered.manifest.contents(),
        bytes: recovered.manifest.bytes,
        seconds: started.elapsed().as_secs() + 1,
        safety,
        time: Timestamp::now(),
    }
}
