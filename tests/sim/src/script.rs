//! Scripts: what users do to a place, made from manifests as they write them.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use crate::place::CANARY;
use crate::run::Act;

/// The documents of a YAML text.
pub fn documents(text: &str) -> Vec<Value> {
    text.split("\n---").filter_map(|part| serde_saphyr::from_str(part).ok()).filter(Value::is_object).collect()
}

/// The namespace of an object.
pub fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or("default")
}

/// What has to be there before a manifest is applied: its namespace and the Secrets that it reads.
pub fn ground(saas: &Value) -> Vec<Act> {
    let namespace = namespace(saas);
    let labels = json!({"golive.dev/tenant": "yes"});
    let room = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}});
    let mut acts = vec![Act::Apply(room)];
    for (kind, name) in sources(saas) {
        let keys = required(saas);
        let values = keys.iter().map(|key| (key.clone(), json!(value(kind, key)))).collect::<serde_json::Map<_, _>>();
        acts.push(Act::Apply(json!({
            "apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "data": values,
        })));
    }
    acts
}

/// A ConfigMap holds nothing that may not be seen.
fn value(kind: &str, key: &str) -> String {
    match kind {
        "Secret" => BASE64_STANDARD.encode(format!("{CANARY}-{key}")),
        _ => format!("value-of-{key}"),
    }
}

/// The Secrets and ConfigMaps that a spec names anywhere under `envFrom`.
fn sources(saas: &Value) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut lists = vec![&saas["spec"]["envFrom"]];
    lists.extend(saas["spec"]["processes"].as_array().into_iter().flatten().map(|process| &process["envFrom"]));
    for entry in lists.into_iter().filter_map(Value::as_array).flatten() {
        for (field, kind) in [("secret", "Secret"), ("configMap", "ConfigMap")] {
            found.extend(entry[field].as_str().map(|name| (kind, name.to_owned())));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// The required keys that nothing else in the spec provides.
fn required(saas: &Value) -> Vec<String> {
    let spec = &saas["spec"];
    let list = |pointer: &str| spec.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut made: Vec<Value> = list("/secrets/generate").iter().map(|g| g["env"].clone()).collect();
    made.extend(
        list("/payments/stripe/webhooks").iter().flat_map(|w| [w["secretEnv"].clone(), w["previousSecretEnv"].clone()]),
    );
    made.extend(
        ["/database/sqlite/env", "/monitors/sentry/env"].map(|at| spec.pointer(at).cloned().unwrap_or_default()),
    );
    let names = list("/secrets/require").into_iter().filter(|key| !made.contains(key));
    names.filter_map(|key| key.as_str().map(str::to_owned)).chain(["EXTRA".to_owned()]).collect()
}

/// From nothing to live.
pub fn go_live(saas: &Value) -> Vec<Act> {
    applied(ground(saas), std::slice::from_ref(saas))
}

/// The ground, then one manifest after the other.
pub fn applied(ground: Vec<Act>, manifests: &[Value]) -> Vec<Act> {
    std::iter::once(Act::Ground(ground)).chain(manifests.iter().cloned().map(Act::Apply)).collect()
}

/// Applications with one ground, all of it at one moment.
pub fn at_once(manifests: Vec<Value>) -> Act {
    let ground = manifests.first().map(ground).unwrap_or_default();
    Act::AtOnce(ground.into_iter().chain(manifests.into_iter().map(Act::Apply)).collect())
}

/// The least application: an image and a host.
pub fn least([namespace, name, host]: [&str; 3]) -> Value {
    json!({
        "apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"image": "registry.example.com/hello:1.0.0", "port": 8000, "domains": [host]},
    })
}

/// The end of a SaasDeployment.
pub fn delete(saas: &Value, foreground: bool) -> Act {
    let name = saas["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    Act::Delete("SaasDeployment", [namespace(saas).to_owned(), name], foreground)
}

/// The end of its namespace.
pub fn delete_namespace(saas: &Value) -> Act {
    Act::Delete("Namespace", [String::new(), namespace(saas).to_owned()], false)
}

/// The same with a spec that names nothing at vendors.
pub fn bare(saas: &Value) -> Act {
    let mut bare = saas.clone();
    bare["spec"] = json!({"image": saas["spec"]["image"], "deletionPolicy": saas["spec"]["deletionPolicy"]});
    bare["spec"].as_object_mut().into_iter().for_each(|spec| spec.retain(|_, value| !value.is_null()));
    Act::Apply(bare)
}
