//! `golive restore`: puts a proven snapshot in the place of the database, after a safety copy of what is there.
//!
//! Killed anywhere, it leaves the old database or the new one, never a mix; run again, it does all of it again.

use std::time::{Duration, Instant};

use super::budget::Budget;
use super::drill;
use super::recover::{Recovered, Wanted, recover};
use super::replace;
use super::scratch::Scratch;
use super::source;
use crate::evidence::{Evidence, Failure, RestoreFacts, RestoreTask};

/// Does the task.
pub async fn run(task: RestoreTask, budget: Budget) -> Evidence<RestoreFacts> {
    let budget = budget.within(Duration::from_secs(task.limits.job_seconds));
    match exchange(&task, &budget).await {
        Ok(facts) => Evidence::success(facts),
        Err(failure) => Evidence::failed(failure, None),
    }
}

async fn exchange(task: &RestoreTask, budget: &Budget) -> Result<RestoreFacts, Failure> {
    let (started, scratch) = (Instant::now(), Scratch::new(&task.workdir, "restore")?);
    replace::idle(&task.source, budget).await?;
    let (target, tags, snapshot, limits) = (&task.target, &task.tags, task.snapshot.as_deref(), &task.limits);
    let recovered = recover(&Wanted { target, tags, snapshot, limits }, &scratch, budget).await?;
    let safety = keep_old(task, &recovered, &scratch, budget).await?;
    replace::replace(&task.source, &recovered.dir, &recovered.manifest, budget).await?;
    tracing::info!(snapshot = recovered.snapshot.id, "the database is replaced");
    Ok(drill::facts(&recovered, started, safety))
}

/// Stores what is there now; a database too damaged for a proper copy is stored file by file.
async fn keep_old(
    task: &RestoreTask,
    recovered: &Recovered,
    scratch: &Scratch,
    budget: &Budget,
) -> Result<Option<String>, Failure> {
    if !source::exists(&task.source) {
        return Ok(None);
    }
    let mut dir = scratch.dir("safety")?;
    if let Err(failure) = source::copy(&task.source, &dir, budget).await {
        if failure.reason != "DatabaseCorrupt" {
            return Err(failure);
        }
        tracing::warn!(%failure, "the damaged database is kept as it is");
        dir = scratch.dir("damaged")?;
        replace::salvage(&task.source, &dir)?;
    }
    let id = recovered.repository.safety_copy(&dir).await?;
    tracing::info!(snapshot = id, "what was there is stored");
    Ok(Some(id))
}
