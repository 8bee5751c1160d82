//! What the operator hands to the commands that run inside pods, and what they hand back as proof.
//!
//! Pure data for both sides. A task travels as JSON in the environment variable `GOLIVE_TASK`; it names files that hold
//! secrets and never carries one. The evidence is JSON of at most [`LIMIT`] bytes in the file named by `GOLIVE_RESULT`,
//! by default the container's termination message, which Kubernetes copies into the pod's status
//! (<https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/>).

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest evidence, in bytes: the kubelet cuts a termination message there.
pub const LIMIT: usize = 4096;

/// The longest text of a failure in shortened evidence, in characters.
const SHORT: usize = 240;

/// Which database a job works on. More engines become more variants here, and nothing else in the contract changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A SQLite file on a volume that is mounted into the job.
    Sqlite {
        /// The absolute path of the database file.
        file: PathBuf,
    },
}

/// One restic repository and where its secrets are mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The name of the ProviderAccount, for messages and evidence.
    pub account: String,
    /// `s3:https://host/bucket/prefix`, or the absolute path of a directory.
    pub repository: String,
    /// The S3 region, where the account names one.
    #[serde(default)]
    pub region: Option<String>,
    /// A directory with the files `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    #[serde(default)]
    pub credentials: Option<PathBuf>,
    /// The file with the repository's encryption password.
    pub password: PathBuf,
    /// A PEM file: the only certificate authorities to trust, in place of the system's.
    #[serde(default)]
    pub roots: Option<PathBuf>,
}

/// Whose snapshots these are: every read and every removal is limited to this namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tags {
    /// The namespace of the SaasDeployment.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The release that a backup precedes, where it is a restore point.
    #[serde(default)]
    pub revision: Option<String>,
}

/// How long a job may take. A repository that does not answer is given up much earlier than a large copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The whole job, in seconds.
    pub job_seconds: u64,
    /// The first answer of a repository, in seconds.
    pub answer_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { job_seconds: 3600, answer_seconds: 30 }
    }
}

/// The task of `golive backup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupTask {
    /// What is backed up.
    pub source: Source,
    /// Where to; each target gets its own snapshot and its own proof.
    pub targets: Vec<Target>,
    /// Snapshots older than this are forgotten, save the newest verified one.
    pub keep_days: u32,
    /// Whose snapshot it is.
    pub tags: Tags,
    /// The only directory that is written to: copies, restic's cache and temporary files.
    pub workdir: PathBuf,
    /// A database that does not exist yet is no failure (the restore point before the very first release).
    #[serde(default)]
    pub allow_missing: bool,
    /// How long it may take.
    #[serde(default)]
    pub limits: Limits,
}

/// The task of `golive drill`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillTask {
    /// Where the snapshot is.
    pub target: Target,
    /// Whose snapshot it is.
    pub tags: Tags,
    /// A certain snapshot; without it, the newest verified one.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// The throw-away place.
    pub workdir: PathBuf,
    /// How long it may take.
    #[serde(default)]
    pub limits: Limits,
}

/// The task of `golive restore`. The application must be stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreTask {
    /// What is replaced.
    pub source: Source,
    /// Where the snapshot is, and where the safety copy goes.
    pub target: Target,
    /// Whose snapshot it is.
    pub tags: Tags,
    /// A certain snapshot; without it, the newest verified one.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// Where the snapshot is unpacked and proven before it replaces anything.
    pub workdir: PathBuf,
    /// How long it may take.
    #[serde(default)]
    pub limits: Limits,
}

/// The task of `golive smoke`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmokeTask {
    /// The public URL, without a trailing slash.
    pub base_url: String,
    /// What is asked, in this order.
    pub checks: Vec<Check>,
    /// When trying again ends, for all checks together, in seconds. Each check is tried at least once.
    #[serde(default = "minute")]
    pub deadline_seconds: u64,
}

/// One HTTP request and the answer that is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The name of the line in the smoke plan.
    pub name: String,
    /// The HTTP method.
    #[serde(default = "get")]
    pub method: String,
    /// The path, with a leading slash.
    pub path: String,
    /// A JSON body to send.
    #[serde(default)]
    pub json: Option<serde_json::Value>,
    /// The expected status; where nothing is said any below 400, once redirects on the host were followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Text that the first mebibyte of the answer must contain.
    #[serde(default)]
    pub contains: Option<String>,
    /// How long one answer may take.
    #[serde(default = "ten")]
    pub timeout_seconds: u64,
}

fn get() -> String {
    "GET".into()
}

fn ten() -> u64 {
    10
}

fn minute() -> u64 {
    60
}

/// The task of `golive solve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SolveTask {
    /// Key authorizations by token (RFC 8555, section 8.3).
    pub answers: BTreeMap<String, String>,
    /// The port to listen on.
    #[serde(default = "solver_port")]
    pub port: u16,
    /// When it ends by itself, in seconds.
    #[serde(default = "hour")]
    pub deadline_seconds: u64,
}

/// The task of `golive look`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookTask {
    /// What has to be seen, by URL.
    pub proofs: BTreeMap<String, String>,
    /// When it gives up, in seconds.
    #[serde(default = "hour")]
    pub deadline_seconds: u64,
}

fn solver_port() -> u16 {
    8089
}

fn hour() -> u64 {
    3600
}

/// Why something failed: a stable word, and what happened, to what, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Failure {
    /// A stable CamelCase word.
    pub reason: String,
    /// What happened, to what, what to do next.
    pub message: String,
}

impl Failure {
    /// A failure in words.
    pub fn new(reason: &str, message: impl Into<String>) -> Self {
        Failure { reason: reason.into(), message: message.into() }
    }

    /// The failure that a pod told; of one that told nothing, that it failed.
    pub fn told(told: &serde_json::Value) -> Self {
        let silent = || Failure::new("Failed", "its pod ended with an error");
        serde_json::from_value(told.clone()).unwrap_or_else(|_| silent())
    }
}

/// What a job hands back: whether it succeeded, why not, and what it measured (also on failure, as far as it came).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence<T> {
    /// Whether all of the task was done and proven.
    pub ok: bool,
    /// Why not.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What was done and measured.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub facts: Option<T>,
}

impl<T> Evidence<T> {
    /// All was done: these are the facts.
    pub fn success(facts: T) -> Self {
        Evidence { ok: true, failure: None, facts: Some(facts) }
    }

    /// Not all was done: the failure, and the facts as far as there are any.
    pub fn failed(failure: Failure, facts: Option<T>) -> Self {
        Evidence { ok: false, failure: Some(failure), facts }
    }
}

/// Rows by table. In shortened evidence only the largest tables are named; `tables` and `total` always count them all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// How many tables there are.
    pub tables: usize,
    /// How many rows there are in all tables.
    pub total: u64,
}

impl Contents {
    /// The contents with these rows.
    pub fn new(rows: BTreeMap<String, u64>) -> Self {
        Contents { tables: rows.len(), total: rows.values().sum(), rows }
    }
}

/// What `golive backup` proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupFacts {
    /// One proof or failure for each target, in the task's order.
    pub targets: Vec<TargetFacts>,
    /// What the copy held.
    #[serde(flatten)]
    pub contents: Contents,
    /// What looks wrong though nothing failed: an empty database, where the one before was not.
    pub warnings: Vec<String>,
    /// The database did not exist, and the task allowed that: nothing was backed up.
    #[serde(default)]
    pub missing: bool,
    /// How long the whole job took.
    pub seconds: u64,
    /// When the copy was made.
    pub time: Timestamp,
}

/// The outcome at one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFacts {
    /// The name of the ProviderAccount.
    pub account: String,
    /// Whether the snapshot is there and was proven by reading it back.
    pub ok: bool,
    /// Why not.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The verified snapshot's id.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// The size of the database copy.
    #[serde(default)]
    pub bytes: u64,
    /// What this snapshot added to the repository.
    #[serde(default)]
    pub stored_bytes: u64,
    /// How many older snapshots were forgotten.
    #[serde(default)]
    pub forgotten: usize,
    /// How long this target took, reading back included.
    #[serde(default)]
    pub seconds: u64,
}

/// What `golive drill` and `golive restore` prove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreFacts {
    /// The snapshot that was restored.
    pub snapshot: String,
    /// When it was made.
    pub snapshot_time: Timestamp,
    /// What the restored database holds.
    #[serde(flatten)]
    pub contents: Contents,
    /// The size of the restored database.
    pub bytes: u64,
    /// The measured time to recover, in seconds; at least one.
    pub seconds: u64,
    /// The snapshot of what was there before; none if there was nothing.
    #[serde(default)]
    pub safety: Option<String>,
    /// When the restored database was proven.
    pub time: Timestamp,
}

/// What `golive smoke` saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmokeFacts {
    /// One line for each check, in the task's order.
    pub checks: Vec<CheckFacts>,
    /// How long all of them took.
    pub seconds: u64,
    /// When they were finished.
    pub time: Timestamp,
}

/// The outcome of one check: the last try's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckFacts {
    /// The check's name.
    pub name: String,
    /// Whether the expected answer came.
    pub ok: bool,
    /// The last answer's status; none if nobody answered.
    #[serde(default)]
    pub status: Option<u16>,
    /// How long the last answer took.
    pub millis: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// What was wrong, of what; empty when all is well.
    #[serde(default)]
    pub message: String,
}

/// What `golive solve` did until it was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SolveFacts {
    /// How many challenges were answered.
    pub answered: u64,
}

/// What `golive look` saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookFacts {
    /// How many proofs were seen.
    pub seen: usize,
}

/// Evidence that can be made shorter without losing what is decided by.
pub trait Shorten {
    /// Leaves out the least important details.
    fn shorten(&mut self);
}

impl Shorten for Contents {
    fn shorten(&mut self) {
        let mut rows: Vec<_> =
            std::mem::take(&mut self.rows).into_iter().filter(|(name, _)| name.len() <= 64).collect();
        rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        rows.truncate(16);
        self.rows = rows.into_iter().collect();
    }
}

impl Shorten for Failure {
    fn shorten(&mut self) {
        self.message = cut(&self.message);
    }
}

impl Shorten for BackupFacts {
    fn shorten(&mut self) {
        self.contents.shorten();
        self.warnings = self.warnings.iter().take(2).map(|text| cut(text)).collect();
        self.targets.iter_mut().filter_map(|target| target.failure.as_mut()).for_each(Shorten::shorten);
        self.targets.truncate(4);
    }
}

impl Shorten for RestoreFacts {
    fn shorten(&mut self) {
        self.contents.shorten();
    }
}

impl Shorten for SmokeFacts {
    fn shorten(&mut self) {
        self.checks.sort_by_key(|check| check.ok);
        self.checks.truncate(8);
        self.checks.iter_mut().for_each(|check| check.message = cut(&check.message));
    }
}

impl Shorten for SolveFacts {
    fn shorten(&mut self) {}
}

impl Shorten for LookFacts {
    fn shorten(&mut self) {}
}

impl<T: Serialize + Clone + Shorten> Evidence<T> {
    /// The evidence as JSON of at most [`LIMIT`] bytes: details go first, then the facts; `ok` and the failure stay.
    pub fn json(&self) -> serde_json::Result<String> {
        let full = serde_json::to_string(self)?;
        if full.len() <= LIMIT {
            return Ok(full);
        }
        let mut short = self.clone();
        short.facts.iter_mut().for_each(Shorten::shorten);
        short.failure.iter_mut().for_each(Shorten::shorten);
        let text = serde_json::to_string(&short)?;
        if text.len() <= LIMIT {
            return Ok(text);
        }
        short.facts = None;
        serde_json::to_string(&short)
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup(tables: usize) -> Evidence<BackupFacts> {
        let rows = (0..tables).map(|n| (format!("a_rather_long_table_name_{n}"), n as u64)).collect();
        let target = TargetFacts {
            account: "s3-eu".into(),
            ok: false,
            failure: Some(Failure::new("Unreachable", "x".repeat(3000))),
            snapshot: None,
            bytes: 1,
            stored_bytes: 1,
            forgotten: 0,
            seconds: 1,
        };
        let facts = BackupFacts {
            targets: vec![target],
            contents: Contents::new(rows),
            warnings: vec![],
            missing: false,
            seconds: 3,
            time: Timestamp::UNIX_EPOCH,
        };
        Evidence::failed(Failure::new("TargetFailed", "s3-eu failed"), Some(facts))
    }

    #[test]
    fn evidence_survives_the_way_to_the_operator() {
        let sent = backup(3);
        let read: Evidence<BackupFacts> = serde_json::from_str(&sent.json().unwrap()).unwrap();
        assert_eq!(read, sent);
        let bare = Evidence::<DrillOnly>::failed(Failure::new("Interrupted", "stopped"), None);
        let read: Evidence<RestoreFacts> = serde_json::from_str(&bare.json().unwrap()).unwrap();
        assert_eq!((read.ok, read.facts), (false, None));
        assert_eq!(read.failure.unwrap().reason, "Interrupted");
    }

    type DrillOnly = RestoreFacts;

    #[test]
    fn long_evidence_is_cut_to_the_limit_and_still_says_what_counts() {
        let text = backup(500).json().unwrap();
        assert!(text.len() <= LIMIT, "{} bytes", text.len());
        let facts = serde_json::from_str::<Evidence<BackupFacts>>(&text).unwrap().facts.unwrap();
        assert_eq!((facts.contents.tables, facts.contents.total), (500, 124_750));
        assert!(facts.contents.rows.contains_key("a_rather_long_table_name_499"));
        assert_eq!(facts.targets[0].failure.as_ref().unwrap().reason, "Unreachable");
    }

    #[test]
    fn a_task_needs_only_what_has_no_default() {
        let task: SmokeTask =
            serde_json::from_str(r#"{"base_url":"https://a.example","checks":[{"name":"health","path":"/health"}]}"#)
                .unwrap();
        assert_eq!((task.checks[0].status, task.checks[0].method.as_str(), task.deadline_seconds), (None, "GET", 60));
    }
}
