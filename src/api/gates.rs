//! What must be true before customers are let in.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{Item, Keyed, Moment, Set, Text, Word};

/// How the scorecard is used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gates {
    /// mode says whether failing checks stop the switch of traffic.
    #[serde(default)]
    pub mode: GateMode,
    /// signOff lists who must attest before the switch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Set<Word, 32>")]
    pub sign_off: Vec<String>,
    /// waivers lists checks that may fail for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<Waiver, 64>")]
    pub waivers: Vec<Waiver>,
}

/// Whether failing checks are told or stop the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GateMode {
    #[default]
    Report,
    Enforce,
}

/// A check that may fail until a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Waiver {
    /// check is the id of the check.
    #[schemars(with = "Word")]
    pub check: String,
    /// reason says why it may fail.
    #[schemars(with = "Text<1024>")]
    pub reason: String,
    /// untilTime ends the waiver.
    #[schemars(with = "Moment")]
    pub until_time: Time,
}

impl Item for Waiver {
    const KEYS: &'static [&'static str] = &["check"];
}
