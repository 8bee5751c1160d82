//! The SaasDeployment: one application, from its image to its monitors.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::app::{CommandLine, Port, Replicas};
use super::shape::{Atomic, Env, Host, Image, Keyed, ObjectName, Set, forbid, rule};
use super::{
    Autoscale, Backup, Cache, Cron, Database, DeletionPolicy, Dns, Edge, EnvFrom, Environment, Gates, Health, Mail,
    Monitors, Patch, Payments, Process, Release, Resources, Route, SaasDeploymentStatus, Secrets, Tls, Worker,
};

/// spec is the desired state of one application.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "golive.dev",
    version = "v1alpha1",
    kind = "SaasDeployment",
    namespaced,
    status = "SaasDeploymentStatus",
    shortname = "saas",
    category = "golive",
    doc = "SaasDeployment is one application on its way to production and in it: pods, secrets, DNS, TLS, payments, backups, monitors.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    selectable = ".spec.environment",
    selectable = ".spec.image"
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules()))]
pub struct SaasDeploymentSpec {
    /// environment says what the application is for; live keys are refused outside of Production.
    #[serde(default)]
    pub environment: Environment,
    /// image is what runs, by tag or digest.
    #[schemars(with = "Image")]
    pub image: String,
    /// imagePullSecrets lists the Secrets of the namespace that let the image be pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Set<ObjectName, 10>")]
    pub image_pull_secrets: Vec<String>,
    /// command runs in place of the image's own entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "CommandLine")]
    pub command: Vec<String>,
    /// args are handed to the command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "CommandLine")]
    pub args: Vec<String>,
    /// port is where the application listens.
    #[serde(default = "port")]
    #[schemars(with = "Port")]
    pub port: i32,
    /// routes are the requests that go to the application's own process; all where nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<Route, 20>")]
    pub routes: Vec<Route>,
    /// health is how the cluster learns that the application serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// replicas is how many run; 1 where nothing is said. Set it before an autoscaler of your own reads the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Replicas")]
    pub replicas: Option<i32>,
    /// autoscale lets the number of replicas follow the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscale: Option<Autoscale>,
    /// resources is what one pod may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// processes lists what runs beside the application's own process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<Process, 20>")]
    pub processes: Vec<Process>,
    /// cron lists commands that run on a schedule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<Cron, 20>")]
    pub cron: Vec<Cron>,
    /// env holds variables that are no secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Env")]
    pub env: BTreeMap<String, String>,
    /// envFrom lists Secrets and ConfigMaps of the namespace whose keys become variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Atomic<EnvFrom, 20>")]
    pub env_from: Vec<EnvFrom>,
    /// secrets says which values golive makes and which must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Secrets>,
    /// database is where the application keeps its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// cache is what the application keeps only for speed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// domains lists the hosts of the application; the first is its public one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Set<Host, 50>")]
    pub domains: Vec<String>,
    /// redirectFrom lists hosts that redirect to the first of `domains`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Set<Host, 50>")]
    pub redirect_from: Vec<String>,
    /// dns keeps the records of all hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// tls says where the certificate comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// edge is what happens to requests before they reach the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<Edge>,
    /// workers lists scripts that run at Cloudflare.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<Worker, 10>")]
    pub workers: Vec<Worker>,
    /// release is how a new revision reaches customers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// payments is how customers pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payments: Option<Payments>,
    /// mail is who sends mail, as whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// backup says when data is backed up, and where to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// monitors watch the application once it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitors: Option<Monitors>,
    /// gates say what must be true before customers are let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<Gates>,
    /// suspend stops golive from changing anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// deletionPolicy says what becomes of data when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// patches change generated objects where the API has no word for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<Patch, 20>")]
    pub patches: Vec<Patch>,
}

fn port() -> i32 {
    8000
}

const SQLITE: &str = "!has(self.database) || !has(self.database.sqlite)";
const DOMAINS: &str = "has(self.domains) && self.domains.size() > 0";
const NO_HOOKS: &str = "!has(self.payments) || !has(self.payments.stripe) || !has(self.payments.stripe.webhooks)";

/// What must hold between blocks.
fn rules() -> Vec<Value> {
    [replicas(), hosts(), names(), variables(), webhooks()].concat()
}

fn replicas() -> Vec<Value> {
    vec![
        forbid(
            ".replicas",
            &format!("{SQLITE} || !has(self.replicas) || self.replicas <= 1"),
            "`replicas` must be at most 1 with `database.sqlite`, for one process can write the file: remove `replicas`, or use `database.postgres`",
        ),
        forbid(
            ".autoscale",
            &format!("{SQLITE} || !has(self.autoscale)"),
            "`autoscale` must not be set with `database.sqlite`, for one process can write the file: remove `autoscale`, or use `database.postgres`",
        ),
        rule(
            ".processes",
            &format!(
                "{SQLITE} || !has(self.processes) || self.processes.all(p, !has(p.autoscale) && (!has(p.replicas) || p.replicas <= 1))"
            ),
            "a process must not have more than one replica with `database.sqlite`, for all of them have its file: remove `replicas` and `autoscale`, or use `database.postgres`",
        ),
        forbid(
            ".replicas",
            "!has(self.autoscale) || !has(self.replicas)",
            "`replicas` must not be set together with `autoscale`: remove one of them",
        ),
    ]
}

fn hosts() -> Vec<Value> {
    vec![
        forbid(
            ".redirectFrom",
            &format!("!has(self.redirectFrom) || self.redirectFrom.size() == 0 || ({DOMAINS})"),
            "`redirectFrom` needs `domains` to redirect to: add at least one domain",
        ),
        forbid(
            ".redirectFrom",
            "!has(self.redirectFrom) || !has(self.domains) || self.redirectFrom.all(host, !(host in self.domains))",
            "a host of `redirectFrom` must not be in `domains`: remove it from one of them",
        ),
    ]
}

fn names() -> Vec<Value> {
    vec![
        rule(
            ".cron",
            "!has(self.cron) || !has(self.processes) || self.cron.all(c, !self.processes.exists(p, p.name == c.name))",
            "a name of `cron` must not be one of `processes`: rename one of them",
        ),
        rule(
            ".cron",
            "!has(self.cron) || !has(self.backup) || self.cron.all(c, !(c.name in ['backup', 'drill']))",
            "`backup` and `drill` are the names of golive's own CronJobs for `backup`: give yours another name",
        ),
        rule(
            ".secrets",
            "!has(self.secrets) || !has(self.secrets.generate) || !has(self.env) || self.secrets.generate.all(g, !(g.env in self.env))",
            "a variable of `secrets.generate` must not be in `env`: remove it from one of them",
        ),
    ]
}

/// In CEL, whether a condition holds of each name that a source fills.
type Filled = fn(&dyn Fn(&str) -> String) -> String;

/// What fills variables beside `env`, which may name them too: over `port` and the database's it wins, and gives way to
/// what golive obtains.
const FILLED: [Filled; 5] = [
    |holds| holds("'PORT'"),
    |holds| format!("({SQLITE} || {})", holds("self.database.sqlite.env")),
    |holds| format!("(!has(self.monitors) || !has(self.monitors.sentry) || {})", holds("self.monitors.sentry.env")),
    |holds| {
        let (now, before) = (holds("g.env"), holds("g.keepPreviousAs"));
        format!(
            "(!has(self.secrets) || !has(self.secrets.generate) || self.secrets.generate.all(g, {now} && (!has(g.keepPreviousAs) || {before})))"
        )
    },
    |holds| {
        let (now, before) = (holds("w.secretEnv"), holds("w.previousSecretEnv"));
        format!(
            "({NO_HOOKS} || self.payments.stripe.webhooks.all(w, {now} && (!has(w.previousSecretEnv) || {before})))"
        )
    },
];

/// A container's list of variables takes each name once. One rule for each source: none of its names is one of a source
/// before it.
fn variables() -> Vec<Value> {
    let blamed = [
        (".database", "`database.sqlite.env` must not be `PORT`, which `port` fills: rename the variable"),
        (
            ".monitors",
            "`monitors.sentry.env` must be a variable that nothing else fills, such as `port` or `database`: rename it",
        ),
        (
            ".secrets",
            "a variable of `secrets.generate` must be one that nothing else fills, such as `database` or `monitors`: rename it",
        ),
        (
            ".payments",
            "a variable of `payments.stripe.webhooks` must be one that nothing else fills, such as `secrets.generate`: rename it",
        ),
    ];
    let once = |at: usize| {
        FILLED[at](&|name| {
            let others = FILLED[..at].iter().map(|filled| filled(&|other| format!("{name} != {other}")));
            others.collect::<Vec<_>>().join(" && ")
        })
    };
    blamed.into_iter().enumerate().map(|(at, (field, message))| rule(field, &once(at + 1), message)).collect()
}

fn webhooks() -> Vec<Value> {
    let known = "!has(w.worker) || (has(self.workers) && self.workers.exists(x, x.name == w.worker))";
    vec![
        rule(
            ".payments",
            &format!("{NO_HOOKS} || ({DOMAINS}) || self.payments.stripe.webhooks.all(w, has(w.worker))"),
            "`payments.stripe.webhooks` needs `domains` to be delivered to: add a domain, or name a `worker`",
        ),
        rule(
            ".payments",
            &format!("!has(self.payments) || !has(self.payments.razorpay) || ({DOMAINS})"),
            "`payments.razorpay.webhooks` needs `domains` to be delivered to: add a domain",
        ),
        rule(
            ".payments",
            &format!("{NO_HOOKS} || self.payments.stripe.webhooks.all(w, {known})"),
            "`worker` of a webhook must be the name of one of `workers`: correct the name, or add the worker",
        ),
    ]
}
