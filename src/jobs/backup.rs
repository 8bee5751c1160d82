//! `golive backup`: one consistent copy, one snapshot for each target, and each snapshot proven by reading it back.

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::budget::Budget;
use super::restic::{Absent, Repository};
use super::retention::{SUSPICIOUS, Snapshot, expired, newest};
use super::scratch::Scratch;
use super::source::{self, Manifest};
use crate::evidence::{BackupFacts, BackupTask, Contents, Evidence, Failure, Target, TargetFacts};

/// A copy that is ready to be stored.
struct Copy<'a> {
    task: &'a BackupTask,
    scratch: &'a Scratch,
    dir: &'a Path,
    manifest: &'a Manifest,
}

/// What one target has, before anything is said about it.
#[derive(Default)]
struct Stored {
    snapshot: String,
    stored_bytes: u64,
    forgotten: usize,
    warnings: Vec<String>,
}

/// Does the task.
pub async fn run(task: BackupTask, budget: Budget) -> Evidence<BackupFacts> {
    let budget = budget.within(Duration::from_secs(task.limits.job_seconds));
    if !source::exists(&task.source) {
        return absent(&task);
    }
    match store(&task, &budget).await {
        Ok(facts) => judge(facts),
        Err(failure) => Evidence::failed(failure, None),
    }
}

fn absent(task: &BackupTask) -> Evidence<BackupFacts> {
    if !task.allow_missing {
        return Evidence::failed(source::missing(&task.source), None);
    }
    Evidence::success(BackupFacts {
        targets: vec![],
        contents: Contents::default(),
        warnings: vec![],
        missing: true,
        seconds: 0,
        time: Timestamp::now(),
    })
}

async fn store(task: &BackupTask, budget: &Budget) -> Result<BackupFacts, Failure> {
    let (started, scratch) = (Instant::now(), Scratch::new(&task.workdir, "backup")?);
    let dir = scratch.dir("copy")?;
    let manifest = source::copy(&task.source, &dir, budget).await?;
    tracing::info!(bytes = manifest.bytes, tables = manifest.rows.len(), "the database is copied");
    let copy = Copy { task, scratch: &scratch, dir: &dir, manifest: &manifest };
    let (mut targets, mut warnings) = (vec![], vec![]);
    for (done, target) in task.targets.iter().enumerate() {
        let share = budget.share(task.targets.len() - done);
        let (facts, mut notes) = one_target(&copy, target, &share).await;
        targets.push(facts);
        warnings.append(&mut notes);
    }
    warnings.dedup();
    let seconds = started.elapsed().as_secs();
    Ok(BackupFacts { targets, contents: manifest.contents(), warnings, missing: false, seconds, time: manifest.time })
}

/// Success only if every target holds a verified snapshot.
fn judge(facts: BackupFacts) -> Evidence<BackupFacts> {
    let failed: Vec<_> = facts.targets.iter().filter(|target| !target.ok).collect();
    let Some(first) = failed.first().and_then(|target| target.failure.clone()) else {
        return Evidence::success(facts);
    };
    let names: Vec<_> = failed.iter().map(|target| target.account.as_str()).collect();
    let text =
        format!("{} of {} targets failed ({}): {}", names.len(), facts.targets.len(), names.join(", "), first.message);
    Evidence::failed(Failure::new(&first.reason, text), Some(facts))
}

async fn one_target(copy: &Copy<'_>, target: &Target, budget: &Budget) -> (TargetFacts, Vec<String>) {
    let started = Instant::now();
    let outcome = keep(copy, target, budget).await;
    let seconds = started.elapsed().as_secs();
    let (stored, failure) = match outcome {
        Ok(stored) => (stored, None),
        Err(failure) => (Stored::default(), Some(failure)),
    };
    match &failure {
        None => tracing::info!(account = %target.account, snapshot = stored.snapshot, seconds, "stored and read back"),
        Some(failure) => tracing::error!(account = %target.account, %failure, "not stored"),
    }
    let facts = TargetFacts {
        account: target.account.clone(),
        ok: failure.is_none(),
        snapshot: failure.is_none().then_some(stored.snapshot),
        failure,
        bytes: copy.manifest.bytes,
        stored_bytes: stored.stored_bytes,
        forgotten: stored.forgotten,
        seconds,
    };
    (facts, stored.warnings)
}

async fn keep(copy: &Copy<'_>, target: &Target, budget: &Budget) -> Result<Stored, Failure> {
    let repository = Repository::open(target, &copy.task.tags, copy.scratch, budget)?;
    let before = repository.answer(Absent::Create, &copy.task.limits).await?;
    let Opinion { mut warnings, suspicious } = compare(&repository, &before, copy.manifest).await;
    let added = repository.backup(copy.dir, &tags(copy.task, suspicious)).await?;
    read_back(copy, &repository, &added.snapshot_id, budget).await?;
    repository.verify(&added.snapshot_id).await?;
    let all = repository.snapshots().await?;
    let snapshot = repository.find(&all, &added.snapshot_id)?.id;
    let forgotten = retain(&repository, &all, copy.task.keep_days).await.unwrap_or_else(|failure| {
        warnings.push(format!("old snapshots could not be forgotten: {}", failure.message));
        0
    });
    Ok(Stored { snapshot, stored_bytes: added.stored(), forgotten, warnings })
}

/// What is to be thought of a copy, beside the ones that were made before.
#[derive(Default)]
struct Opinion {
    warnings: Vec<String>,
    suspicious: bool,
}

/// Whether the database lost everything since the last sound snapshot. Such a copy is kept apart from the sound ones, so
/// that retention never replaces data by nothing.
async fn compare(repository: &Repository, before: &[Snapshot], manifest: &Manifest) -> Opinion {
    let had = match newest(before, Snapshot::sound) {
        None => 0,
        Some(last) => match repository.manifest(&last.id).await.and_then(|text| source::read_manifest(&text)) {
            Ok(manifest) => manifest.contents().total,
            Err(failure) => return Opinion { warnings: vec![failure.message], suspicious: false },
        },
    };
    let what = match (manifest.rows.is_empty(), manifest.contents().total) {
        (true, _) => "the database has no tables",
        (false, 0) if had > 0 => "all tables are empty",
        _ => return Opinion::default(),
    };
    Opinion { warnings: vec![format!("{what}; the last sound snapshot had {had} rows")], suspicious: had > 0 }
}

fn tags(task: &BackupTask, suspicious: bool) -> Vec<String> {
    let revision = task.tags.revision.iter().map(|revision| format!("revision={revision}"));
    revision.chain(suspicious.then(|| SUSPICIOUS.to_owned())).collect()
}

/// The proof: the very snapshot, fetched from the target, holds what the copy holds.
async fn read_back(copy: &Copy<'_>, repository: &Repository, id: &str, budget: &Budget) -> Result<(), Failure> {
    let dir = copy.scratch.dir("read-back")?;
    repository.restore(id, &dir).await?;
    let restored = source::prove(&dir, budget).await?;
    copy.scratch.clear("read-back")?;
    if restored == *copy.manifest {
        return Ok(());
    }
    Err(Failure::new(
        "SnapshotDiffers",
        format!("snapshot {id} holds another manifest than was stored; do not rely on it"),
    ))
}

/// Forgets what is old. Only called with a snapshot that was just verified.
async fn retain(repository: &Repository, all: &[Snapshot], keep_days: u32) -> Result<usize, Failure> {
    let old = expired(all, Timestamp::now(), keep_days);
    if !old.is_empty() {
        repository.forget(&old).await?;
    }
    Ok(old.len())
}
