//! One-off requests, kept as a record.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{EnvName, Int, Moment, ObjectName, Set, Text, Word, one_of, rule};
use super::status::{Conditions, Count, Generation, Message, never};

const ONE_KIND: &str = "exactly one of `backup`, `restore`, `drill`, `rotate`, `rollback`, `approve` and `attest` must be set: make one SaasOperation for each";
const FINAL: &str = "`spec` of a SaasOperation must stay as it is, for it is a record: make another SaasOperation";

/// spec is a request to do something once.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "golive.dev",
    version = "v1alpha1",
    kind = "SaasOperation",
    namespaced,
    status = "SaasOperationStatus",
    shortname = "saasop",
    category = "golive",
    doc = "SaasOperation is a request to do something once with a SaasDeployment; it cannot be changed, and stays as a record.",
    selectable = ".spec.deployment"
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    one_of(&["backup", "restore", "drill", "rotate", "rollback", "approve", "attest"], ONE_KIND),
    rule("", "self == oldSelf", FINAL),
]))]
pub struct SaasOperationSpec {
    /// deployment is the name of the SaasDeployment, in the same namespace.
    #[schemars(with = "ObjectName")]
    pub deployment: String,
    /// backup makes a backup now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupRequest>,
    /// restore replaces the data by a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreRequest>,
    /// drill restores a backup into a throw-away place now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillRequest>,
    /// rotate replaces secrets now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Rotate>,
    /// rollback rolls an earlier revision out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackRequest>,
    /// approve lets a stage go on that waits for somebody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approve>,
    /// attest states what only people can know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attest: Option<Attest>,
}

/// A backup to each of the targets, now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupRequest {}

/// A drill with the newest backup, now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DrillRequest {}

/// Data to be replaced by a backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreRequest {
    /// account is the ProviderAccount to restore from; the first target where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub account: Option<String>,
    /// snapshot is the id of the backup; the newest verified one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Word")]
    pub snapshot: Option<String>,
}

/// Secrets to be replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(".env", "has(self.env) && self.env.size() > 0", "`rotate.env` must name the variables to replace: add at least one"),
]))]
pub struct Rotate {
    /// env lists the variables whose values are replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Set<EnvName, 50>")]
    pub env: Vec<String>,
}

/// A revision to go back to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackRequest {
    /// revision is the one to roll out; the last proven one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Word")]
    pub revision: Option<String>,
}

/// Leave for a stage that waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approve {
    /// revision is the one whose stage waits.
    #[schemars(with = "Word")]
    pub revision: String,
    /// stage is the one that may go on.
    pub stage: ApprovedStage,
}

/// Stages that can wait for somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovedStage {
    #[default]
    DatabaseRollback,
    Switch,
}

/// A statement of a person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attest {
    /// check is the id of the check or the role of `gates.signOff` that this is about.
    #[schemars(with = "Word")]
    pub check: String,
    /// statement says what was seen.
    #[schemars(with = "Text<1024>")]
    pub statement: String,
    /// validDays is how long the statement holds.
    #[serde(default = "valid_days")]
    #[schemars(with = "Int<1, 3650>")]
    pub valid_days: i32,
}

fn valid_days() -> i32 {
    90
}

/// status is how the request stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SaasOperationStatus {
    /// conditions tell whether the request is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Conditions")]
    pub conditions: Vec<Condition>,
    /// observedGeneration is the generation that this status is about.
    #[serde(default = "never")]
    #[schemars(with = "Generation")]
    pub observed_generation: i64,
    /// startTime is when it was taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub start_time: Option<Time>,
    /// completionTime is when it ended, well or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub completion_time: Option<Time>,
    /// message says what happened, or what happens next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Message")]
    pub message: Option<String>,
    /// snapshot is the id of the backup that was made or restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Word")]
    pub snapshot: Option<String>,
    /// bytes is the size of that backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Count")]
    pub bytes: Option<i64>,
    /// rows is how many rows it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Count")]
    pub rows: Option<i64>,
}

/// The kinds of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    Backup,
    Restore,
    Drill,
    Rotate,
    Rollback,
    Approve,
    Attest,
}

impl SaasOperationSpec {
    /// Which request this is.
    pub fn kind(&self) -> Option<OperationKind> {
        let kinds = [
            (self.backup.is_some(), OperationKind::Backup),
            (self.restore.is_some(), OperationKind::Restore),
            (self.drill.is_some(), OperationKind::Drill),
            (self.rotate.is_some(), OperationKind::Rotate),
            (self.rollback.is_some(), OperationKind::Rollback),
            (self.approve.is_some(), OperationKind::Approve),
            (self.attest.is_some(), OperationKind::Attest),
        ];
        kinds.into_iter().find(|(set, _)| *set).map(|(_, kind)| kind)
    }
}
