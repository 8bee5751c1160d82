//! Backups, and the proof that they can be restored.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{Int, Item, Keyed, ObjectName, Schedule, Set, Word};

/// When data is backed up, where to, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// schedule has the five fields of cron, in UTC.
    #[schemars(with = "Schedule")]
    pub schedule: String,
    /// keepDays is how long a backup is kept; the newest verified one is kept for ever.
    #[serde(default = "keep_days")]
    #[schemars(with = "Int<1, 3650>")]
    pub keep_days: i32,
    /// to lists where backups go; the default account where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<BackupTarget, 4>")]
    pub to: Vec<BackupTarget>,
    /// d1 lists the names of Cloudflare D1 databases to back up too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Set<Word, 16>")]
    pub d1: Vec<String>,
    /// drill restores a backup into a throw-away place and checks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Drill>,
}

fn keep_days() -> i32 {
    30
}

/// A place that backups go to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupTarget {
    /// account is the ProviderAccount.
    #[schemars(with = "ObjectName")]
    pub account: String,
}

impl Item for BackupTarget {
    const KEYS: &'static [&'static str] = &["account"];
}

/// When a restore is practised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drill {
    /// schedule has the five fields of cron, in UTC.
    #[schemars(with = "Schedule")]
    pub schedule: String,
}
