//! How a new revision reaches customers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::app::CommandLine;
use super::shape::{Int, Item, Keyed, Label, UrlPath, forbid, rule};

/// The stages of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// test runs before anything else, in a pod of the new image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Step>,
    /// backupFirst makes a restore point before the migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_first: Option<bool>,
    /// rehearse migrates a restored copy of the database first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearse: Option<bool>,
    /// migrate runs once for each revision, before it is rolled out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrate: Option<Step>,
    /// smoke lists what is asked of the running revision before it counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<SmokeStep, 32>")]
    pub smoke: Vec<SmokeStep>,
    /// soakMinutes is how long a revision is watched before it counts as proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Int<1, 43_200>")]
    pub soak_minutes: Option<i32>,
    /// rollback says what is undone when a stage fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackPolicy>,
}

/// A command in a pod of the application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(".command", "has(self.command) && self.command.size() > 0", "`command` must name what to run: add it, or remove the stage"),
]))]
pub struct Step {
    /// command is what runs, without a shell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "CommandLine")]
    pub command: Vec<String>,
}

/// One question to the running revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("", "[has(self.get), has(self.post), has(self.command)].filter(x, x).size() == 1",
        "exactly one of `get`, `post` and `command` must be set in a step of `release.smoke`: split it into several steps"),
    forbid(".json", "!has(self.json) || has(self.post)", "`json` is the body of a `post`: add `post`, or remove `json`"),
    forbid(".status", "!has(self.status) || !has(self.command)", "`status` is that of an HTTP answer: remove it, a `command` succeeds by its exit code"),
]))]
pub struct SmokeStep {
    /// name tells the step apart, in lower case.
    #[schemars(with = "Label")]
    pub name: String,
    /// get is a path that is fetched over the public URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UrlPath")]
    pub get: Option<String>,
    /// post is a path that `json` is sent to over the public URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UrlPath")]
    pub post: Option<String>,
    /// command runs in a pod of the application and must end with 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "CommandLine")]
    pub command: Vec<String>,
    /// json is the body of `post`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "super::shape::AnyObject")]
    pub json: Option<serde_json::Value>,
    /// status is the HTTP status to be answered; any below 400 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Int<100, 599>")]
    pub status: Option<i32>,
}

impl Item for SmokeStep {
    const KEYS: &'static [&'static str] = &["name"];
}

/// What is undone when a stage fails.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackPolicy {
    /// app says whether the last proven revision is rolled out again.
    #[serde(default)]
    pub app: AppRollback,
    /// database says whether the restore point may replace the database.
    #[serde(default)]
    pub database: DatabaseRollback,
}

/// Whether a failed revision gives way to the last proven one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AppRollback {
    #[default]
    Automatic,
    Never,
}

/// When the restore point may replace the database: never, only while no customer has reached the new revision, or when
/// somebody approves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DatabaseRollback {
    #[default]
    Never,
    BeforeTraffic,
    Approval,
}
