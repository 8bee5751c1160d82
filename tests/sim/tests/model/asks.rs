//! What is asked: writes of all kinds by several managers, by chance.

use serde_json::{Value, json};
use sim::laws::subjects;
use sim::walk::{Chance, Vocabulary};

/// How a request names the version that it was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Unnamed,
    Newest,
    Stale,
}

/// How an object is written or read.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    Get,
    List,
    Create(Value),
    Apply {
        config: Value,
        force: bool,
    },
    Merge(Value),
    /// What somebody wrote becomes what he applied, by a JSON patch.
    Own,
    /// What was read, with a merge patch on it, in its place.
    Replace(Value),
    Delete,
}

/// One request; both sides fill in what only they know.
#[derive(Clone, Debug)]
pub struct Ask {
    pub kind: &'static str,
    pub namespace: String,
    pub name: &'static str,
    /// `status` or empty.
    pub subresource: &'static str,
    pub manager: &'static str,
    pub version: Version,
    pub verb: Verb,
}

impl Ask {
    /// The request in a line.
    pub fn line(&self) -> String {
        let Ask { kind, name, subresource, manager, version, verb, .. } = self;
        let verb = match verb {
            Verb::Get | Verb::List | Verb::Own | Verb::Delete => format!("{verb:?}"),
            Verb::Create(body) => format!("Create {body}"),
            Verb::Apply { config, force } => format!("Apply (force {force}) {config}"),
            Verb::Merge(patch) => format!("Merge {patch}"),
            Verb::Replace(patch) => format!("Replace with {patch}"),
        };
        format!("  {manager}: {kind} {name} {subresource} {version:?} {verb}")
    }

    /// Whether this request is about the same object as another.
    pub fn concerns(&self, other: &Ask) -> bool {
        self.kind == other.kind && (self.name == other.name || other.verb == Verb::List)
    }
}

/// Thinks up requests for one namespace.
pub struct Asker {
    chance: Chance,
    namespace: String,
    words: Vocabulary,
    saas: Value,
}

const MANAGERS: [&str; 3] = ["kubectl", "golive", "editor"];

impl Asker {
    pub fn new(seed: u64) -> Asker {
        let subjects = subjects();
        let words = Vocabulary::of(&subjects.iter().map(|saas| saas["spec"].clone()).collect::<Vec<_>>());
        let mut chance = Chance(seed);
        let mut saas = subjects[chance.below(subjects.len())].clone();
        saas["metadata"] = json!({"name": "a"});
        Asker { chance, namespace: format!("room-{seed}"), words, saas }
    }

    /// The namespace of all that follows.
    pub fn room(&self) -> Ask {
        let config = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        let name: &'static str = Box::leak(self.namespace.clone().into_boxed_str());
        let verb = Verb::Apply { config, force: false };
        Ask {
            kind: "Namespace",
            namespace: String::new(),
            name,
            subresource: "",
            manager: "kubectl",
            version: Version::Unnamed,
            verb,
        }
    }

    /// The next request.
    pub fn next(&mut self) -> Ask {
        let kind = self.one(&["SaasDeployment", "SaasDeployment", "ConfigMap", "Secret", "Deployment"]);
        let name = self.one(&["a", "b"]);
        let subresource = if kind == "SaasDeployment" { self.one(&["", "", "status"]) } else { "" };
        let verb = match subresource {
            "status" => self.status(name),
            _ => self.verb(kind, name),
        };
        let version = self.version(&verb);
        let manager = self.one(&MANAGERS);
        Ask { kind, namespace: self.namespace.clone(), name, subresource, manager, version, verb }
    }

    fn one(&mut self, list: &[&'static str]) -> &'static str {
        list[self.chance.below(list.len())]
    }

    /// What names no version cannot be stale; replacing always names one.
    fn version(&mut self, verb: &Verb) -> Version {
        let versions = match verb {
            Verb::Get | Verb::List | Verb::Create(_) | Verb::Own => &[Version::Unnamed][..],
            Verb::Replace(_) => &[Version::Newest, Version::Newest, Version::Stale],
            _ => &[Version::Unnamed, Version::Unnamed, Version::Unnamed, Version::Newest, Version::Stale],
        };
        versions[self.chance.below(versions.len())]
    }

    fn verb(&mut self, kind: &'static str, name: &'static str) -> Verb {
        match self.chance.below(20) {
            0 => Verb::Get,
            1 => Verb::List,
            2 => Verb::Delete,
            10 => Verb::Own,
            3 | 4 if kind != "Deployment" => Verb::Create(self.config(kind, name)),
            5..=7 => Verb::Merge(self.patch(kind)),
            8 | 9 if kind != "Deployment" => Verb::Replace(self.patch(kind)),
            _ => Verb::Apply { config: self.config(kind, name), force: self.chance.below(3) > 0 },
        }
    }

    /// A status as golive writes it, whole or a condition of it.
    fn status(&mut self, name: &str) -> Verb {
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "Settled", "message": "", "lastTransitionTime": "2027-01-15T08:51:40Z"});
        let (kind, state) = (self.one(&["Ready", "AppReady", "DnsReady"]), self.one(&["True", "False"]));
        let mut status = json!({"conditions": [condition(kind, state)]});
        if self.chance.below(2) == 0 {
            status["url"] = json!(self.one(&["https://a.example.com", "https://b.example.com"]));
        }
        let config = json!({"apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment", "metadata": {"name": name}, "status": status});
        match self.chance.below(4) {
            0 => Verb::Merge(json!({"status": status})),
            1 => Verb::Merge(json!({"status": {"url": null}})),
            _ => Verb::Apply { config, force: true },
        }
    }

    fn config(&mut self, kind: &'static str, name: &'static str) -> Value {
        let mut config = match kind {
            "SaasDeployment" => self.application(),
            "Secret" => json!({"apiVersion": "v1", "type": "Opaque", "data": self.data(|text| base64(&text))}),
            "ConfigMap" => json!({"apiVersion": "v1", "data": self.data(|text| text)}),
            _ => self.deployment(),
        };
        config["kind"] = json!(kind);
        config["metadata"] = self.metadata();
        config["metadata"]["name"] = json!(name);
        config
    }

    /// Most often a whole valid spec; sometimes only a part of one, or none that the schema takes.
    fn application(&mut self) -> Value {
        self.saas = self.words.step(&self.saas, &mut self.chance).unwrap_or_else(|| self.saas.clone());
        let spec = match self.chance.below(8) {
            0 => json!({"replicas": 1 + self.chance.below(4)}),
            1 => json!({"env": {self.one(&["A", "B"]): self.one(&["1", "2"])}}),
            2 => json!({"image": "registry.example.com/a:1", "replicas": -1}),
            _ => self.saas["spec"].clone(),
        };
        json!({"apiVersion": "golive.dev/v1alpha1", "spec": spec})
    }

    fn deployment(&mut self) -> Value {
        let mut container = json!({"name": "app", "image": self.one(&["a:1", "a:2"])});
        for (at, list) in [
            ("env", json!([{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])),
            ("ports", json!([{"name": "http", "containerPort": 80, "protocol": "TCP"}])),
            ("volumeMounts", json!([{"name": "data", "mountPath": "/data"}])),
            ("resources", json!({"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}})),
        ] {
            if self.chance.below(2) == 0 {
                container[at] = list;
            }
        }
        let labels = json!({"app": "a"});
        json!({"apiVersion": "apps/v1", "spec": {"replicas": 1 + self.chance.below(3), "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]}}}})
    }

    fn data(&mut self, form: fn(String) -> String) -> Value {
        let count = 1 + self.chance.below(2);
        let pair = |_| (self.one(&["a", "b", "c"]).to_owned(), json!(form(self.one(&["1", "2"]).to_owned())));
        Value::Object((0..count).map(pair).collect())
    }

    fn metadata(&mut self) -> Value {
        let mut metadata = json!({});
        for field in ["labels", "annotations"] {
            if self.chance.below(2) == 0 {
                metadata[field] = json!({self.one(&["x", "y", "golive.dev/z"]): self.one(&["1", "2"])});
            }
        }
        if self.chance.below(6) == 0 {
            metadata["finalizers"] = json!([self.one(&["golive.dev/rows", "example.com/other"])]);
        }
        metadata
    }

    /// A small change by hand, or one that takes something away.
    fn patch(&mut self, kind: &'static str) -> Value {
        let label = self.one(&["x", "y"]);
        let value = [json!("1"), json!("3"), Value::Null][self.chance.below(3)].clone();
        match (self.chance.below(6), kind) {
            (0, _) => json!({"metadata": {"labels": {label: value}}}),
            (1, _) => json!({"metadata": {"finalizers": null}}),
            // Of a Deployment, the server would own all the defaults then.
            (2, kind) if kind != "Deployment" => {
                json!({"metadata": {"annotations": {label: value}, "managedFields": [{}]}})
            }
            (_, "SaasDeployment") => json!({"spec": {"env": {label: value}}}),
            (3, "Deployment") => json!({"spec": {"replicas": 1 + self.chance.below(3)}}),
            (_, "Secret") => json!({"data": {label: value.as_str().map(base64)}}),
            (_, "ConfigMap") => json!({"data": {label: value}}),
            _ => json!({"metadata": {"annotations": {label: value}}}),
        }
    }
}

fn base64(text: impl AsRef<str>) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    BASE64_STANDARD.encode(text.as_ref())
}
