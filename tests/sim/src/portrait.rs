//! What a world looks like at rest, without what differs between two runs alike: times, versions, random values.

use serde_json::{Map, Value, json};

use crate::place::State;

/// The portrait of a state.
pub fn of(state: &State) -> Value {
    let objects = state.cluster.every().filter(|(key, _)| !is_passing(key.0.kind));
    let named: Map<String, Value> = objects
        .map(|((resource, namespace, name), object)| {
            (format!("{}/{namespace}/{name}", resource.kind), drawn(resource.kind, &object.value))
        })
        .collect();
    let mut vendors = state.vendors.inventory(true);
    mask(&mut vendors);
    json!({"cluster": named, "vendors": vendors})
}

/// Hides what is random by design: the key of an endpoint's create.
fn mask(value: &mut Value) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(name, value)| match name.as_str() {
            "golive_attempt" => *value = Value::Null,
            _ => mask(value),
        }),
        Value::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

/// Kinds that come and go without anybody's wish.
fn is_passing(kind: &str) -> bool {
    matches!(kind, "Event" | "Lease" | "Pod")
}

fn drawn(kind: &str, object: &Value) -> Value {
    let metadata = &object["metadata"];
    let keys = |value: &Value| value.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
    let annotations = keys(&metadata["annotations"]);
    let marks = json!({"labels": metadata["labels"], "annotations": annotations, "finalizers": metadata["finalizers"]});
    let status = if kind == "SaasDeployment" { conditions(&object["status"]) } else { Value::Null };
    // Most of an object is who owns which field of it: that is not copied.
    let fields = object.as_object().into_iter().flatten().filter(|(name, _)| *name != "metadata" && *name != "status");
    let mut object: Value = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
    (object["metadata"], object["status"]) = (marks, status);
    if kind == "Secret" {
        object["data"] = json!(keys(&object["data"]));
    }
    if let Some(annotations) = object.pointer_mut("/spec/template/metadata/annotations") {
        *annotations = json!(keys(annotations));
    }
    object
}

fn conditions(status: &Value) -> Value {
    let list = status["conditions"].as_array();
    let short = |c: &Value| json!([c["type"], c["status"], c["reason"]]);
    json!({
        "conditions": list.into_iter().flatten().map(short).collect::<Vec<_>>(),
        "url": status["url"], "revision": status["release"]["revision"],
    })
}

/// Where two portraits differ, in words: at most a few places.
pub fn differences(a: &Value, b: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", a, b, &mut found);
    found.truncate(8);
    found
}

fn compare(at: &str, a: &Value, b: &Value, found: &mut Vec<String>) {
    match (a, b) {
        _ if a == b => {}
        (Value::Object(x), Value::Object(y)) => {
            let mut names: Vec<&String> = x.keys().chain(y.keys()).collect();
            names.sort();
            names.dedup();
            let part = |map: &Map<String, Value>, name: &String| map.get(name).cloned().unwrap_or_default();
            names.into_iter().for_each(|name| compare(&format!("{at}/{name}"), &part(x, name), &part(y, name), found));
        }
        _ => found.push(format!("{at}: {} instead of {}", short(b), short(a))),
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    text.chars().take(400).collect()
}
