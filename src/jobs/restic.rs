//! One restic repository (<https://restic.readthedocs.io/en/stable/075_scripting.html>): every call has a deadline and a
//! named failure, and no call's text shows a secret.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use super::budget::{Budget, LATE};
use super::child::{self, Feed, Unfinished};
use super::faults;
use super::retention::{BEFORE_RESTORE, Snapshot, VERIFIED};
use super::scratch::{Scratch, mounted};
use super::source::MANIFEST;
use crate::evidence::{Failure, Limits, Tags, Target};

/// The host that snapshots are filed under: a pod's own name changes with every run.
const HOST: &str = "golive";

/// How long another job's lock is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// How often a locked repository is tried again.
const LOCK_PAUSE: Duration = Duration::from_secs(2);

/// A repository that answered, opened with the right password.
pub struct Repository {
    target: Target,
    keys: Vec<(&'static str, String)>,
    secrets: Vec<String>,
    cache: PathBuf,
    filter: String,
    budget: Budget,
}

/// What a backup added.
#[derive(Clone, Debug, Deserialize)]
pub struct Added {
    /// The new snapshot's id, perhaps shortened.
    pub snapshot_id: String,
    /// Bytes before compression and, in newer releases of restic, after it.
    data_added: u64,
    data_added_packed: Option<u64>,
}

impl Added {
    /// How much the repository grew by, as far as restic says.
    pub fn stored(&self) -> u64 {
        self.data_added_packed.unwrap_or(self.data_added)
    }
}

/// How to treat a repository that does not exist yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Make it.
    Create,
    /// Say so.
    Refuse,
}

impl Repository {
    /// Reads the secrets of a target. Nothing is sent yet: see [`Repository::answer`].
    pub fn open(target: &Target, tags: &Tags, scratch: &Scratch, budget: &Budget) -> Result<Self, Failure> {
        if !target.repository.starts_with("s3:http") && !target.repository.starts_with('/') {
            let text = format!("account {}: {} is no s3:https://… URL", target.account, target.repository);
            return Err(Failure::new("RepositoryUnsupported", text));
        }
        let (keys, secrets) = secrets(target)?;
        let filter = format!("namespace={},name={}", tags.namespace, tags.name);
        let (target, cache, budget) = (target.clone(), scratch.dir("cache")?, budget.clone());
        Ok(Repository { target, keys, secrets, cache, filter, budget })
    }

    /// Makes the repository answer within the deadline for that, creates it where it is missing and that is wished, and
    /// lists our snapshots in it.
    pub async fn answer(&self, absent: Absent, limits: &Limits) -> Result<Vec<Snapshot>, Failure> {
        let brief = self.budget.within(Duration::from_secs(limits.answer_seconds));
        match self.list(&brief).await {
            Err(failure) if failure.reason == faults::MISSING && absent == Absent::Create => {
                tracing::info!(account = %self.target.account, "the repository is new");
                self.call(&["init"], None, &brief).await.map(|_| vec![])
            }
            Err(failure) if failure.reason == LATE => Err(faults::silent(&self.target, limits, &failure)),
            other => other,
        }
    }

    /// Our snapshots in it.
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>, Failure> {
        self.list(&self.budget).await
    }

    async fn list(&self, budget: &Budget) -> Result<Vec<Snapshot>, Failure> {
        let text = self.call(&["snapshots", "--json", "--no-lock", "--tag", &self.filter], None, budget).await?;
        // An empty repository is listed as `null` by some releases.
        let parsed = serde_json::from_str::<Option<Vec<Snapshot>>>(&text);
        parsed.map(Option::unwrap_or_default).map_err(|error| faults::babble(&self.target, &error))
    }

    /// Puts the files of a directory into a new snapshot with our tags and these.
    pub async fn backup(&self, dir: &Path, tags: &[String]) -> Result<Added, Failure> {
        let mut names: Vec<String> = std::fs::read_dir(dir)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect())
            .map_err(|error| super::scratch::unwritable(dir, &error))?;
        names.sort();
        let mut args = vec!["backup", "--json", "--quiet", "--host", HOST, "--tag", &self.filter];
        tags.iter().for_each(|tag| args.extend(["--tag", tag.as_str()]));
        args.push("--");
        args.extend(names.iter().map(String::as_str));
        let text = self.locking(&args, Some(dir)).await?;
        let summary = text.lines().rev().find_map(|line| serde_json::from_str::<Added>(line).ok());
        summary.ok_or_else(|| faults::babble(&self.target, &"no summary"))
    }

    /// The entry of a snapshot that was named in short.
    pub fn find(&self, all: &[Snapshot], short: &str) -> Result<Snapshot, Failure> {
        all.iter().find(|entry| entry.named(short)).cloned().ok_or_else(|| faults::no_snapshot(&self.target, short))
    }

    /// Unpacks a snapshot into an empty directory.
    pub async fn restore(&self, snapshot: &str, dir: &Path) -> Result<(), Failure> {
        let dir = dir.to_string_lossy();
        self.locking(&["restore", "--target", &dir, snapshot], None).await.map(drop)
    }

    /// The text of a snapshot's manifest.
    pub async fn manifest(&self, snapshot: &str) -> Result<String, Failure> {
        let path = format!("/{MANIFEST}");
        self.call(&["dump", "--no-lock", snapshot, &path], None, &self.budget).await
    }

    /// Marks a snapshot as proven. It gets a new id: restic writes a changed snapshot anew.
    pub async fn verify(&self, snapshot: &str) -> Result<(), Failure> {
        self.locking(&["tag", "--add", VERIFIED, snapshot], None).await.map(drop)
    }

    /// Forgets snapshots and frees their space.
    pub async fn forget(&self, snapshots: &[String]) -> Result<(), Failure> {
        let mut args = vec!["forget", "--prune", "--quiet"];
        args.extend(snapshots.iter().map(String::as_str));
        self.locking(&args, None).await.map(drop)
    }

    /// Stores what a restore is about to replace.
    pub async fn safety_copy(&self, dir: &Path) -> Result<String, Failure> {
        let added = self.backup(dir, &[BEFORE_RESTORE.to_owned()]).await?;
        Ok(self.find(&self.snapshots().await?, &added.snapshot_id)?.id)
    }

    /// A call that takes a lock: waits for other jobs, and removes only locks whose owners are gone.
    async fn locking(&self, args: &[&str], dir: Option<&Path>) -> Result<String, Failure> {
        let patience = self.budget.within(LOCK_PATIENCE);
        let mut locked = None;
        loop {
            let failure = match self.call(args, dir, &self.budget).await {
                Err(failure) if failure.reason == faults::LOCKED => failure,
                // Time ran out because of the lock.
                Err(failure) if failure.reason == LATE => return Err(locked.unwrap_or(failure)),
                other => return other,
            };
            match self.make_way(&patience).await {
                Err(spent) if spent.reason == LATE => return Err(failure),
                other => other?,
            }
            locked = Some(failure);
        }
    }

    async fn make_way(&self, patience: &Budget) -> Result<(), Failure> {
        tracing::info!(account = %self.target.account, "the repository is locked: waiting");
        self.call(&["unlock"], None, patience).await?;
        patience.pause(LOCK_PAUSE).await
    }

    async fn call(&self, args: &[&str], dir: Option<&Path>, budget: &Budget) -> Result<String, Failure> {
        let feed = Feed { input: String::new(), hopeless: Some(faults::hopeless) };
        let started = std::time::Instant::now();
        let ended = child::run(self.command(args, dir), feed, budget).await;
        let said = match &ended {
            Ok(finished) => &finished.err,
            Err(unfinished) => &unfinished.err,
        };
        let said = self.redact(said);
        let seconds = started.elapsed().as_secs_f64();
        tracing::debug!(account = %self.target.account, call = args[0], seconds, said = said.trim(), "restic ended");
        match ended {
            Ok(finished) if finished.code == Some(0) => Ok(finished.out),
            Ok(finished) => Err(faults::read(&self.target, finished.code, &said)),
            Err(Unfinished { failure, .. }) => Err(faults::unfinished(&self.target, failure, &said)),
        }
    }

    fn command(&self, args: &[&str], dir: Option<&Path>) -> Command {
        let mut command = Command::new("restic");
        if let Some(region) = &self.target.region {
            command.args(["-o", &format!("s3.region={region}")]);
        }
        if let Some(roots) = &self.target.roots {
            command.arg("--cacert").arg(roots);
        }
        command.args(args).env_remove("GOLIVE_TASK");
        command.env("RESTIC_REPOSITORY", &self.target.repository).env("RESTIC_PASSWORD_FILE", &self.target.password);
        command.env("RESTIC_CACHE_DIR", &self.cache).env("TMPDIR", &self.cache).env("HOME", &self.cache);
        command.envs(self.keys.iter().map(|(name, value)| (name, value)));
        // Pods are small: half the usual garbage for a little more time.
        command.env("GOGC", "50");
        command.current_dir(dir.unwrap_or(&self.cache));
        command
    }

    fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]"))
    }
}

type Keys = Vec<(&'static str, String)>;

/// The credential as restic's environment, and every text that must not be shown.
fn secrets(target: &Target) -> Result<(Keys, Vec<String>), Failure> {
    let mut keys = Keys::new();
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        if let Some(dir) = &target.credentials {
            keys.push((name, mounted(&dir.join(name))?));
        }
    }
    let mut secrets: Vec<String> = keys.iter().map(|(_, value)| value.clone()).collect();
    secrets.push(mounted(&target.password)?);
    if secrets.iter().any(String::is_empty) {
        let text = format!("account {}: a credential or the password is empty; fill in its Secret", target.account);
        return Err(Failure::new("SecretMissing", text));
    }
    Ok((keys, secrets))
}
