//! Secrets: what golive makes up, what must be there, and references to keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{DataKey, EnvName, Int, Item, Keyed, ObjectName, Set, rule};

/// A number of days between two rotations.
pub(super) type RotationDays = Int<1, 3650>;

/// Values that golive makes and values that must be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(".generate", &format!("!has(self.generate) || self.generate.all(g, {})", differs_from_all()),
        "`keepPreviousAs` must be a variable of its own, neither an `env` of `generate` nor another `keepPreviousAs`: rename it"),
]))]
pub struct Secrets {
    /// generate lists values that golive makes once and keeps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<Generate, 50>")]
    pub generate: Vec<Generate>,
    /// require lists the variables without which nothing is rolled out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Set<EnvName, 200>")]
    pub require: Vec<String>,
}

/// A value that golive makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Generate {
    /// env is the variable that carries the value; a value that no entry names any more is kept for seven days.
    #[schemars(with = "EnvName")]
    pub env: String,
    /// bytes is how many random bytes the value has.
    #[serde(default = "bytes")]
    #[schemars(with = "Int<16, 128>")]
    pub bytes: i32,
    /// rotateAfterDays replaces the value when it is that old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RotationDays")]
    pub rotate_after_days: Option<i32>,
    /// keepPreviousAs is the variable that carries the value before, for a smooth change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EnvName")]
    pub keep_previous_as: Option<String>,
}

fn bytes() -> i32 {
    32
}

/// In CEL, whether `g.keepPreviousAs` is no name of another value: `env` tells the items of the list apart.
fn differs_from_all() -> String {
    let other = "o.env == g.env || !has(o.keepPreviousAs) || o.keepPreviousAs != g.keepPreviousAs";
    format!("!has(g.keepPreviousAs) || self.generate.all(o, o.env != g.keepPreviousAs && ({other}))")
}

impl Item for Generate {
    const KEYS: &'static [&'static str] = &["env"];
}

/// A key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// name is that of the Secret.
    #[schemars(with = "ObjectName")]
    pub name: String,
    /// key is the one in it that is read.
    #[schemars(with = "DataKey")]
    pub key: String,
}

/// A Secret whose keys are fixed by what it is for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretName {
    /// name is that of the Secret.
    #[schemars(with = "ObjectName")]
    pub name: String,
}

/// Certificates to trust, in PEM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CaBundle {
    /// configMap is the name of the ConfigMap.
    #[schemars(with = "ObjectName")]
    pub config_map: String,
    /// key is the one in it that holds the certificates.
    #[schemars(with = "DataKey")]
    pub key: String,
}

/// A text in a ConfigMap of the namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigText {
    /// configMap is the name of the ConfigMap.
    #[schemars(with = "ObjectName")]
    pub config_map: String,
    /// key is the one in it that is read; its only one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DataKey")]
    pub key: Option<String>,
}
