//! Fetches a snapshot into the scratch directory and proves it: what a drill measures, and what a restore begins with.

use std::path::PathBuf;

use super::restic::{Absent, Repository};
use super::retention::{Snapshot, newest};
use super::scratch::Scratch;
use super::source::{self, Manifest};
use crate::evidence::{Failure, Limits, Tags, Target};
use crate::jobs::budget::Budget;

/// Which snapshot of which repository.
pub struct Wanted<'a> {
    /// The repository.
    pub target: &'a Target,
    /// Whose snapshots count.
    pub tags: &'a Tags,
    /// A certain one; without it, the newest verified one.
    pub snapshot: Option<&'a str>,
    /// How long the repository may take to answer.
    pub limits: &'a Limits,
}

/// A snapshot that was fetched and proven.
pub struct Recovered {
    /// The snapshot's entry.
    pub snapshot: Snapshot,
    /// What it was proven to hold.
    pub manifest: Manifest,
    /// Where it was unpacked.
    pub dir: PathBuf,
    /// The repository it came from.
    pub repository: Repository,
}

/// Fetches and proves the wanted snapshot.
pub async fn recover(wanted: &Wanted<'_>, scratch: &Scratch, budget: &Budget) -> Result<Recovered, Failure> {
    let repository = Repository::open(wanted.target, wanted.tags, scratch, budget)?;
    let all = repository.answer(Absent::Refuse, wanted.limits).await?;
    let snapshot = choose(wanted, &repository, &all)?;
    let dir = scratch.dir("restored")?;
    repository.restore(&snapshot.id, &dir).await?;
    let manifest = source::prove(&dir, budget).await?;
    tracing::info!(snapshot = snapshot.id, bytes = manifest.bytes, "fetched and proven");
    Ok(Recovered { snapshot, manifest, dir, repository })
}

fn choose(wanted: &Wanted<'_>, repository: &Repository, all: &[Snapshot]) -> Result<Snapshot, Failure> {
    match wanted.snapshot {
        Some(id) if id.len() >= 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) => repository.find(all, id),
        Some(id) => {
            Err(Failure::new("SnapshotMissing", format!("{id:?} is no snapshot id: give 8 or more hex digits")))
        }
        None => newest(all, Snapshot::sound).cloned().ok_or_else(|| unproven(wanted)),
    }
}

fn unproven(wanted: &Wanted<'_>) -> Failure {
    let text = format!("account {}: there is no verified snapshot yet; make a backup first", wanted.target.account);
    Failure::new("SnapshotMissing", text)
}
