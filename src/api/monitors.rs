//! What watches the application once it is live.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{EnvName, Int, ObjectName, Percent, UrlPath};

/// Who looks, at what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Monitors {
    /// uptime asks the public URL from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<Uptime>,
    /// sentry collects the application's errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentry: Option<Sentry>,
    /// metrics are collected by Prometheus, with alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// objectives are what customers are promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectives: Option<Objectives>,
    /// logs says what becomes of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,
}

/// A monitor outside of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Uptime {
    /// account is the ProviderAccount; the default one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub account: Option<String>,
    /// path is what is asked for.
    #[schemars(with = "UrlPath")]
    pub path: String,
    /// everySeconds is how often it is asked for.
    #[serde(default = "every_seconds")]
    #[schemars(with = "Int<30, 86_400>")]
    pub every_seconds: i32,
    /// failures is how many in a row raise an alarm.
    #[serde(default = "failures")]
    #[schemars(with = "Int<1, 10>")]
    pub failures: i32,
}

fn every_seconds() -> i32 {
    60
}

fn failures() -> i32 {
    2
}

/// A project at Sentry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sentry {
    /// account is the ProviderAccount; the default one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub account: Option<String>,
    /// env is the variable that carries the DSN.
    #[schemars(with = "EnvName")]
    pub env: String,
}

/// What Prometheus collects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// path is where the application shows its metrics.
    #[serde(default = "metrics")]
    #[schemars(with = "UrlPath")]
    pub path: String,
    /// dashboard adds a dashboard for Grafana.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dashboard: Option<bool>,
}

fn metrics() -> String {
    "/metrics".into()
}

/// What customers are promised.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Objectives {
    /// availabilityPercent is how many of all requests succeed, such as `99.9`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Percent")]
    pub availability_percent: Option<String>,
    /// errorPercent is how many of all requests may fail, such as `0.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Percent")]
    pub error_percent: Option<String>,
    /// latencyMillis is how long 95 of 100 answers take at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Int<1, 600_000>")]
    pub latency_millis: Option<i32>,
}

/// What becomes of logs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Logs {
    /// retainDays is how long they are kept.
    #[serde(default = "retain_days")]
    #[schemars(with = "Int<1, 3650>")]
    pub retain_days: i32,
}

fn retain_days() -> i32 {
    30
}
