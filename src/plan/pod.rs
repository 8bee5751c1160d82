//! Pods that meet the `restricted` standard, for the application and for golive's own work beside it.
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Ask;
use super::names::hash;
use crate::objects::{MANAGED_BY, OWNER, PART};
use crate::world::Source;

/// The user and group of pods that share a volume, so that the files of one are the other's.
pub const VOLUME_USER: i64 = 10001;
/// The label of pods that use the database's volume.
const VOLUME: &str = "golive.dev/volume";
/// What the operator's own image runs as.
const JOB_USER: i64 = 65532;

/// A container, short of what every container of golive's gets.
#[derive(Clone, Debug, Default)]
pub struct Container {
    /// Its name, and that of its workload.
    pub name: String,
    /// The image.
    pub image: String,
    /// The entry point; empty for the image's own.
    pub command: Vec<String>,
    /// Arguments.
    pub args: Vec<String>,
    /// `env`, in order.
    pub env: Vec<Value>,
    /// `envFrom`, in order.
    pub env_from: Vec<Value>,
    /// Ports, probes and what else the kind of workload needs.
    pub extra: Value,
    /// CPU and memory.
    pub resources: Value,
    /// `volumes` with their `volumeMounts`.
    pub volumes: Vec<(Value, Value)>,
}

impl Container {
    /// Mounts a volume.
    pub fn mount(mut self, name: &str, source: Value, path: &str, read_only: bool) -> Self {
        let mut volume = source;
        volume["name"] = json!(name);
        let mut mount = json!({"name": name, "mountPath": path});
        if read_only {
            mount["readOnly"] = json!(true);
        }
        self.volumes.push((volume, mount));
        self
    }

    fn has_claim(&self) -> bool {
        self.volumes.iter().any(|(volume, _)| volume.get("persistentVolumeClaim").is_some())
    }

    fn spec(self) -> Value {
        let mut spec = json!({
            "name": self.name,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
        });
        spec["resources"] = self.resources;
        spec["volumeMounts"] = Value::Array(self.volumes.into_iter().map(|(_, mount)| mount).collect());
        let lists = [
            ("command", json!(self.command)),
            ("args", json!(self.args)),
            ("env", Value::Array(self.env)),
            ("envFrom", Value::Array(self.env_from)),
        ];
        for (field, list) in lists.into_iter().filter(|(_, list)| list.as_array().is_some_and(|l| !l.is_empty())) {
            spec[field] = list;
        }
        merge(&mut spec, self.extra);
        spec
    }
}

/// An object of these fields. `json!` copies every value that it is given; this takes it.
pub fn fields<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Puts the fields of `extra` into `target`, deeply.
pub fn merge(target: &mut Value, extra: Value) {
    match (target, extra) {
        (Value::Object(target), Value::Object(extra)) => {
            for (key, value) in extra {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, extra) if !extra.is_null() => *target = extra,
        _ => {}
    }
}

/// How a workload's pods differ from each other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Until it is told to stop.
    Always,
    /// Once to the end; a failure ends it.
    Once,
}

impl Ask<'_> {
    /// The labels of the pods of one workload: also its selector.
    pub fn selector(self, workload: &str) -> Value {
        json!({OWNER: self.name(), "app.kubernetes.io/component": workload})
    }

    /// The labels of an object of golive's.
    pub fn labels(self, part: super::Part) -> BTreeMap<String, String> {
        let labels = [
            (MANAGED_BY, "golive".to_owned()),
            (OWNER, self.name()),
            (PART, part.word().to_owned()),
            ("app.kubernetes.io/name", self.name()),
        ];
        labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// A pod template for one container.
    pub fn pod(self, mut container: Container, runs: Runs) -> Value {
        let has_claim = container.has_claim();
        let mut volumes: Vec<Value> = container.volumes.iter_mut().map(|(volume, _)| volume.take()).collect();
        volumes.push(json!({"name": "tmp", "emptyDir": {}}));
        container.volumes.push((Value::Null, json!({"name": "tmp", "mountPath": "/tmp"})));
        let mut labels = self.selector(&container.name);
        labels["app.kubernetes.io/name"] = json!(self.name());
        if has_claim {
            labels[VOLUME] = json!("data");
        }
        let mut spec = json!({
            "serviceAccountName": self.name(),
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
        });
        spec["securityContext"] = self.security(&container);
        spec["containers"] = Value::Array(vec![container.spec()]);
        spec["volumes"] = Value::Array(volumes);
        if has_claim {
            spec["affinity"] = self.beside_the_volume();
        }
        if runs == Runs::Once {
            spec["restartPolicy"] = json!("Never");
        }
        if !self.saas.spec.image_pull_secrets.is_empty() {
            let names: Vec<_> = self.saas.spec.image_pull_secrets.iter().map(|name| json!({"name": name})).collect();
            spec["imagePullSecrets"] = json!(names);
        }
        fields([("metadata", fields([("labels", labels)])), ("spec", spec)])
    }

    /// A volume that only one node may mount: whoever uses it runs where the others do. The first goes anywhere:
    /// <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity>.
    fn beside_the_volume(self) -> Value {
        let others = json!({"matchLabels": {OWNER: self.name(), VOLUME: "data"}});
        let near = json!([{"labelSelector": others, "topologyKey": "kubernetes.io/hostname"}]);
        json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": near}})
    }

    /// The pod's identity. With a volume all pods run as one user, so that they can share its files; without one the
    /// application's image decides, and golive's own image runs as its own user.
    fn security(self, container: &Container) -> Value {
        let mut context = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
        let user = match (self.has_volume(), container.image == self.world.config.job_image) {
            (true, _) => Some(VOLUME_USER),
            (false, true) => Some(JOB_USER),
            (false, false) => None,
        };
        if let Some(user) = user {
            merge(&mut context, json!({"runAsUser": user, "runAsGroup": user, "fsGroup": user}));
            context["fsGroupChangePolicy"] = json!("OnRootMismatch");
        }
        context
    }

    /// Whether the application keeps its database on a volume.
    pub fn has_volume(self) -> bool {
        self.saas.spec.database.as_ref().is_some_and(|database| database.sqlite.is_some())
    }

    /// The environment of the application's own containers: what the spec says, the user's Secrets and ConfigMaps,
    /// and the values that golive keeps, each by its own reference.
    pub fn environment(self, container: &mut Container, port: Option<i32>) {
        let spec = &self.saas.spec;
        // A name may stand only once in the list; what golive obtains for it is what the spec asks for.
        let names = self.kept_env();
        let free = spec.env.iter().filter(|(name, _)| !names.contains(name));
        let literal = free.map(|(name, value)| json!({"name": name, "value": value}));
        let computed = self.computed_env(port).into_iter().map(|(name, value)| json!({"name": name, "value": value}));
        let vault = self.vault_name();
        let kept =
            names.iter().map(|name| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": vault, "key": name}}}));
        container.env.extend(computed.chain(kept).chain(literal));
        container.env_from.extend(self.sources().into_iter().map(|source| match source {
            Source::Secret(name) => json!({"secretRef": {"name": name}}),
            Source::ConfigMap(name) => json!({"configMapRef": {"name": name}}),
        }));
    }

    /// A hash of every value that the application's containers take from Secrets and ConfigMaps: its change restarts
    /// exactly the pods that consume them.
    pub fn environment_hash(self) -> String {
        let mut text = String::new();
        let mut add =
            |name: &str, value: &str| text.push_str(&format!("{}:{name}={}:{value};", name.len(), value.len()));
        for source in self.sources() {
            for (name, value) in self.world.source(&source).into_iter().flatten() {
                add(name, secrecy::ExposeSecret::expose_secret(value));
            }
        }
        let vault = self.world.vault().ok();
        for name in self.kept_env() {
            add(&name, vault.and_then(|v| v.value(&name)).unwrap_or_default());
        }
        hash(text.as_bytes(), 16)
    }

    /// The user's Secrets and ConfigMaps, in the order of the spec.
    pub fn sources(self) -> Vec<Source> {
        let source = |from: &crate::api::EnvFrom| match (&from.secret, &from.config_map) {
            (Some(name), _) => Some(Source::Secret(name.clone())),
            (None, Some(name)) => Some(Source::ConfigMap(name.clone())),
            (None, None) => None,
        };
        self.saas.spec.env_from.iter().filter_map(source).collect()
    }

    /// The same for every revision that may run.
    pub fn all_sources(self) -> Vec<Source> {
        let mut sources = self.sources();
        if let Ok(Some(former)) = self.former() {
            sources.extend(Ask { saas: &former, ..self }.sources());
        }
        sources.sort();
        sources.dedup();
        sources
    }

    /// Requests and limits: the spec says what a pod may use; a quarter of the CPU and all of the memory is set aside
    /// for it, since CPU can be shared when it is short and memory can't. Without the block: modest ones.
    pub fn resources(self) -> Value {
        let asked = self.saas.spec.resources.clone().unwrap_or_default();
        let memory = asked.memory.unwrap_or_else(|| "256Mi".to_owned());
        let mut resources = json!({"requests": {"cpu": "50m", "memory": memory}, "limits": {"memory": memory}});
        if let Some(cpu) = asked.cpu {
            // A quarter, but no sliver; the API server refuses a request that is above its limit.
            let limit = millis(&cpu);
            resources["requests"]["cpu"] = json!(format!("{}m", (limit / 4).max(10).min(limit)));
            resources["limits"]["cpu"] = json!(cpu);
        }
        resources
    }

    /// A container of golive's own image that runs the subcommand `name`.
    pub fn worker(self, name: &str, task: &impl serde::Serialize) -> Container {
        let task = verbatim(&serde_json::to_string(task).unwrap_or_default());
        Container {
            name: name.to_owned(),
            image: self.world.config.job_image.clone(),
            args: vec![name.to_owned()],
            env: vec![json!({"name": "GOLIVE_TASK", "value": task}), json!({"name": "TMPDIR", "value": "/tmp"})],
            resources: json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}),
            ..Container::default()
        }
    }
}

/// A text that the kubelet hands on as it is: in values of variables it puts others for `$(NAME)`, and `$` for `$$`
/// (<https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/>).
fn verbatim(text: &str) -> String {
    text.replace('$', "$$")
}

/// A CPU quantity in thousandths: `2`, `0.5`, `250m`.
fn millis(cpu: &str) -> u64 {
    match cpu.strip_suffix('m') {
        Some(millis) => millis.parse().unwrap_or(0),
        None => {
            let (whole, fraction) = cpu.split_once('.').unwrap_or((cpu, ""));
            let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
            whole.parse::<u64>().unwrap_or(0).saturating_mul(1000).saturating_add(fraction.parse::<u64>().unwrap_or(0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{saas, world};
    use crate::vault::Note;
    use crate::world::World;

    #[test]
    fn cpu_quantities_are_read_in_thousandths() {
        let cases = [("2", 2000), ("0.5", 500), ("1.25", 1250), ("250m", 250), ("", 0)];
        cases.into_iter().for_each(|(cpu, expected)| assert_eq!(millis(cpu), expected, "{cpu}"));
    }

    /// As the kubelet expands values where no other variable is declared before:
    /// <https://github.com/kubernetes/kubernetes/blob/master/third_party/forked/golang/expansion/expand.go>.
    fn expanded(value: &str) -> String {
        value.replace("$$", "$")
    }

    #[test]
    fn a_task_reaches_its_pod_as_it_was_written() {
        let (saas, world) = (saas(json!({})), world(&[]));
        for text in ["a $$ sign", "$(TMPDIR)", "$$(X) and $Y", "$", "plain", "$$$"] {
            let container = Ask { saas: &saas, world: &world }.worker("smoke", &json!({"json": text}));
            let value = container.env[0]["value"].as_str().unwrap();
            assert_eq!(value.matches('$').count(), 2 * text.matches('$').count(), "{value}");
            let task: Value = serde_json::from_str(&expanded(value)).unwrap();
            assert_eq!(task["json"], text);
        }
    }

    #[test]
    fn what_the_user_wrote_in_env_keeps_the_kubelets_meaning() {
        let (saas, world) = (saas(json!({"env": {"A": "1", "B": "$(A) and $$"}})), world(&[]));
        let mut container = Container::default();
        Ask { saas: &saas, world: &world }.environment(&mut container, None);
        assert!(container.env.contains(&json!({"name": "B", "value": "$(A) and $$"})), "{:?}", container.env);
    }

    #[test]
    fn no_pod_requests_more_cpu_than_it_may_use() {
        for (limit, request) in [("5m", "5m"), ("12m", "10m"), ("0.001", "1m"), ("250m", "62m"), ("2", "500m")] {
            let (saas, world) = (saas(json!({"resources": {"cpu": limit}})), world(&[]));
            let resources = Ask { saas: &saas, world: &world }.resources();
            assert_eq!((&resources["requests"]["cpu"], &resources["limits"]["cpu"]), (&json!(request), &json!(limit)));
        }
    }

    #[test]
    fn merging_goes_deep_and_leaves_the_rest() {
        let mut target = json!({"a": {"b": 1, "c": 2}});
        merge(&mut target, json!({"a": {"b": 3}, "d": null}));
        assert_eq!(target["a"], json!({"b": 3, "c": 2}));
    }

    #[test]
    fn no_text_breaks_the_reader_of_cpu_quantities() {
        crate::fuzz::texts(&["1.5", "250m", "18446744073709551615", "99999999999999999999"], 20_000, |text| {
            assert!(millis(text) == 0 || text.contains(|c: char| c.is_ascii_digit()), "{text}");
        });
        assert_eq!(millis("18446744073709551615"), u64::MAX);
    }

    #[test]
    fn golives_own_image_runs_as_its_own_user_and_all_pods_of_a_volume_as_one() {
        let world = world(&[]);
        let users = |spec: Value| {
            let saas = saas(spec);
            let ask = Ask { saas: &saas, world: &world };
            [ask.application("app"), ask.worker("smoke", &json!({}))].map(|c| ask.security(&c)["runAsUser"].clone())
        };
        assert_eq!(users(json!({})), [Value::Null, json!(JOB_USER)], "the application's image decides");
        let sqlite = json!({"file": "/data/a.db", "size": "1Gi", "env": "DB"});
        assert_eq!(users(json!({"database": {"sqlite": sqlite}})), [json!(VOLUME_USER), json!(VOLUME_USER)]);
    }

    /// A world in which a Secret of the user's has this value, and golive keeps that one.
    fn valued(given: &str, kept: &str) -> World {
        let mut world = world(&[]);
        let values = [("TOKEN".to_owned(), given.to_owned().into())].into();
        world.sources.insert(Source::Secret("given".into()), Ok(Some(values)));
        world.vault.as_mut().unwrap().enter(Note::Value("KEY".into(), kept.to_owned().into()));
        world
    }

    #[test]
    fn pods_start_anew_with_each_value_that_changes_and_with_nothing_else() {
        let spec = json!({"envFrom": [{"secret": "given"}], "secrets": {"generate": [{"env": "KEY"}]}});
        let hash = |replicas: i32, world: &World| {
            let mut spec = spec.clone();
            spec["replicas"] = json!(replicas);
            Ask { saas: &saas(spec), world }.environment_hash()
        };
        let first = hash(1, &valued("a", "b"));
        assert_eq!(first, hash(2, &valued("a", "b")));
        assert_ne!(first, hash(1, &valued("c", "b")));
        assert_ne!(first, hash(1, &valued("a", "c")));
    }

    #[test]
    fn what_the_revision_takes_that_runs_again_is_looked_at_too() {
        let (saas, mut world) = (saas(json!({"envFrom": [{"secret": "now"}]})), world(&[]));
        let sources = |world: &World| Ask { saas: &saas, world }.all_sources();
        let [before, now] = ["before", "now"].map(|name| Source::Secret(name.into()));
        assert_eq!(sources(&world), std::slice::from_ref(&now));
        let former = json!({"envFrom": [{"secret": "now"}, {"secret": "before"}]});
        world.former = Ok(Some(crate::plan::tests::saas(former).spec));
        assert_eq!(sources(&world), [before, now]);
    }
}
