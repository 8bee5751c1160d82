//! What golive reports of a SaasDeployment.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::app::Replicas;
use super::shape::{Atomic, Host, Int, Long, Moment, Text, Word};

/// A sentence for people.
pub(super) type Message = Text<32768>;
/// The generation of an object; -1 before it was first seen.
pub(super) type Generation = Long<-1>;
/// A count that may be large.
pub(super) type Count = Long<0>;

/// The generation that nothing was seen of.
pub(super) fn never() -> i64 {
    -1
}

/// The status of an object that no controller has seen: never a false Ready. What it waits for may be missing for ever.
pub(super) fn unseen(awaited: &str) -> Value {
    json!({
        "observedGeneration": never(),
        "conditions": [{
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": format!("waiting for {awaited}"),
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }],
    })
}

/// The shape of conditions, as Kubernetes defines them.
pub struct Conditions;

impl JsonSchema for Conditions {
    fn schema_name() -> Cow<'static, str> {
        "Conditions".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "array",
            "maxItems": 32,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": {
                "type": "object",
                "required": ["type", "status", "lastTransitionTime", "reason", "message"],
                "properties": {
                    "type": text("type says what the condition is about.", 316),
                    "status": {"description": "status is True, False or Unknown.", "type": "string", "enum": ["True", "False", "Unknown"]},
                    "observedGeneration": {
                        "description": "observedGeneration is the generation that the condition is about.",
                        "type": "integer", "format": "int64", "minimum": 0, "maximum": 9_007_199_254_740_991_i64,
                    },
                    "lastTransitionTime": {
                        "description": "lastTransitionTime is when the status last changed.",
                        "type": "string", "format": "date-time", "maxLength": 40,
                    },
                    "reason": text("reason is a stable word in CamelCase for why it is so.", 1024),
                    "message": text("message says for people why it is so, and what happens next.", 32768),
                },
            },
        })
    }
}

fn text(description: &str, longest: u32) -> Value {
    json!({"description": description, "type": "string", "maxLength": longest})
}

/// status is what golive reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SaasDeploymentStatus {
    /// conditions tell of each part whether it is as wanted, and of all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Conditions")]
    pub conditions: Vec<Condition>,
    /// observedGeneration is the generation that this status is about.
    #[serde(default = "never")]
    #[schemars(with = "Generation")]
    pub observed_generation: i64,
    /// url is where customers find the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<1024>")]
    pub url: Option<String>,
    /// hosts lists the hosts that are this application's: no other one that names them had them first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Atomic<Host, 100>")]
    pub hosts: Vec<String>,
    /// release tells which revision runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseStatus>,
    /// certificate tells until when it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
    /// backups tells of the last backup and of the last proof that one can be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups: Option<BackupStatus>,
    /// scorecard counts what is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scorecard: Option<Scorecard>,
    /// replicas is how many of the application's own process are available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Replicas")]
    pub replicas: Option<i32>,
    /// selector selects the pods of the application's own process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Text<1024>")]
    pub selector: Option<String>,
}

/// Which revision runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// revision names what is released: image, command, environment and stages.
    #[schemars(with = "Word")]
    pub revision: String,
    /// image is that of the revision.
    #[schemars(with = "Text<512>")]
    pub image: String,
    /// stage is how far the revision has come.
    #[schemars(with = "Word")]
    pub stage: String,
    /// history lists the revisions before, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Atomic<Word, 20>")]
    pub history: Vec<String>,
}

/// Until when the certificate is valid.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// notAfter is when the certificate expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub not_after: Option<Time>,
    /// renewAt is when golive renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub renew_at: Option<Time>,
}

/// Backups and their proof.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// lastTime is when the last backup was made and read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub last_time: Option<Time>,
    /// lastBytes is the size of the last backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Count")]
    pub last_bytes: Option<i64>,
    /// lastSnapshot is the id of the last backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Word")]
    pub last_snapshot: Option<String>,
    /// lastProvenRestore is when a backup was last restored and checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Moment")]
    pub last_proven_restore: Option<Time>,
}

/// What is proven.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scorecard {
    /// passed is how many checks are proven.
    #[schemars(with = "Int<0, 10_000>")]
    pub passed: i32,
    /// failed is how many checks are not.
    #[schemars(with = "Int<0, 10_000>")]
    pub failed: i32,
    /// waived is how many checks may fail for a while.
    #[schemars(with = "Int<0, 10_000>")]
    pub waived: i32,
    /// failing lists the checks that are not proven, with their reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Atomic<Text<1024>, 200>")]
    pub failing: Vec<String>,
}
