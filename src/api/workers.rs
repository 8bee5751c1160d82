//! Cloudflare Workers beside the application.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{Env, EnvName, Host, Item, Keyed, Label, ObjectName, Set, Word};
use super::{ConfigText, Health};

/// A script that runs at Cloudflare.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Worker {
    /// name tells the worker apart, in lower case.
    #[schemars(with = "Label")]
    pub name: String,
    /// account is the ProviderAccount; the default one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub account: Option<String>,
    /// script is the module to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<ConfigText>,
    /// domain is the host that the worker answers on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Host")]
    pub domain: Option<String>,
    /// health is asked for to learn that the worker serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// d1 lists the databases that the worker uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<D1Database, 16>")]
    pub d1: Vec<D1Database>,
    /// env holds variables of the worker that are no secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Env")]
    pub env: BTreeMap<String, String>,
    /// secrets lists variables that are taken from the deployment's own Secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Set<EnvName, 64>")]
    pub secrets: Vec<String>,
}

impl Item for Worker {
    const KEYS: &'static [&'static str] = &["name"];
}

/// A D1 database of a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct D1Database {
    /// binding is the name by which the script reaches the database.
    #[schemars(with = "EnvName")]
    pub binding: String,
    /// name is that of the database at Cloudflare.
    #[schemars(with = "Word")]
    pub name: String,
    /// schema is SQL that brings the database up to date; it may run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<ConfigText>,
}

impl Item for D1Database {
    const KEYS: &'static [&'static str] = &["binding"];
}
