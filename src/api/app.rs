//! The application's pods: processes, their schedules, their environment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{
    Atomic, Image, Int, Item, Keyed, Label, ObjectName, Quantity, Schedule, Text, UrlPath, forbid, one_of, rule,
};

/// Most replicas of one process.
pub(super) type Replicas = Int<0, 100>;
/// A command line.
pub(super) type CommandLine = Atomic<Text<4096>, 64>;
/// A port to listen on.
pub(super) type Port = Int<1, 65535>;

/// What the application is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Environment {
    #[default]
    Production,
    Staging,
    Preview,
    Development,
}

/// Requests that go to a process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// path is the beginning of the paths that go to this process.
    #[schemars(with = "UrlPath")]
    pub path: String,
    /// stripPrefix removes `path` before the process sees the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<bool>,
}

impl Item for Route {
    const KEYS: &'static [&'static str] = &["path"];
}

/// How the cluster learns that a process serves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// path is answered with a status below 400 once the process can serve.
    #[schemars(with = "UrlPath")]
    pub path: String,
}

/// How many replicas run, by load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(".max", "self.min <= self.max", "`autoscale.max` must not be below `autoscale.min`: raise `max` or lower `min`"),
]))]
pub struct Autoscale {
    /// min is how many replicas run at least.
    #[schemars(with = "Int<1, 100>")]
    pub min: i32,
    /// max is how many replicas run at most.
    #[schemars(with = "Int<1, 100>")]
    pub max: i32,
    /// cpuPercent is the load to aim at, in percent of the CPU that a pod asks for.
    #[serde(default = "cpu_percent")]
    #[schemars(with = "Int<1, 100>")]
    pub cpu_percent: i32,
}

fn cpu_percent() -> i32 {
    70
}

/// What one pod may use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// cpu is in cores, such as `2` or `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Quantity")]
    pub cpu: Option<String>,
    /// memory is in bytes, such as `512Mi` or `2Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Quantity")]
    pub memory: Option<String>,
}

/// A further process beside the application's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    forbid(".replicas", "!has(self.autoscale) || !has(self.replicas)", "`replicas` must not be set together with `autoscale`: remove one of them"),
    forbid(".singleton", "!has(self.singleton) || !self.singleton || (!has(self.autoscale) && (!has(self.replicas) || self.replicas <= 1))",
        "`singleton` allows one replica: remove `autoscale` and `replicas`"),
    forbid(".routes", "!has(self.routes) || self.routes.size() == 0 || has(self.port)", "`routes` need a `port` to go to: add the port that the process listens on"),
    rule(".name", "self.name != 'solver'", "`solver` is the name of golive's own Service that answers a CA's challenges: give the process another name"),
]))]
pub struct Process {
    /// name tells the process apart, in lower case.
    #[schemars(with = "Label")]
    pub name: String,
    /// image is another image than the application's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Image")]
    pub image: Option<String>,
    /// command runs in place of the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "CommandLine")]
    pub command: Vec<String>,
    /// port is where the process listens, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Port")]
    pub port: Option<i32>,
    /// routes are the requests that go to this process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<Route, 20>")]
    pub routes: Vec<Route>,
    /// replicas is how many run; 1 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Replicas")]
    pub replicas: Option<i32>,
    /// autoscale lets the number of replicas follow the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<Autoscale>,
    /// singleton keeps two of this process from ever running at once.
    #[serde(default)]
    pub singleton: bool,
}

impl Item for Process {
    const KEYS: &'static [&'static str] = &["name"];
}

/// A command that runs on a schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cron {
    /// name tells the command apart, in lower case.
    #[schemars(with = "Label")]
    pub name: String,
    /// schedule has the five fields of cron, in UTC.
    #[schemars(with = "Schedule")]
    pub schedule: String,
    /// command runs in a pod of the application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "CommandLine")]
    pub command: Vec<String>,
}

impl Item for Cron {
    const KEYS: &'static [&'static str] = &["name"];
}

/// An object of the namespace whose keys become environment variables.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    one_of(&["secret", "configMap"], "exactly one of `secret` and `configMap` must be set: write one item for each object"),
]))]
pub struct EnvFrom {
    /// secret is the name of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub secret: Option<String>,
    /// configMap is the name of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub config_map: Option<String>,
}

/// A change to a generated object that the API does not name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    /// kind is that of the object, such as `Deployment`.
    #[schemars(with = "Text<63>")]
    pub kind: String,
    /// name is that of the object.
    #[schemars(with = "ObjectName")]
    pub name: String,
    /// merge is a JSON merge patch over the object.
    #[schemars(with = "super::shape::AnyObject")]
    pub merge: serde_json::Value,
}

impl Item for Patch {
    const KEYS: &'static [&'static str] = &["kind", "name"];
}

/// What becomes of data when the SaasDeployment is deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionPolicy {
    /// volumes says what becomes of volumes with data when this object is deleted; a block that leaves the spec takes none along.
    #[serde(default)]
    pub volumes: Retention,
    /// backups says what becomes of backups.
    #[serde(default)]
    pub backups: Retention,
}

/// What becomes of something that holds data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Retention {
    #[default]
    Retain,
    Delete,
}
