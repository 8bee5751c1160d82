//! Judges an object by its definition as the API server does, without one: in its words, so that the same expectations
//! serve for both, and with what the field is for as advice. The rules in CEL are judged by kube-cel, everything else here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use kube_cel::{CompiledSchema, Validator, apply_defaults, compile_schema};
use regex::Regex;
use serde_json::{Map, Value};

use crate::api::crds;

/// What an object may have beside its `metadata`.
const OUTER: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// A kind of ours, by its definition.
struct Definition {
    schema: Value,
    rules: CompiledSchema,
}

/// The definitions by their kinds: made once, for they cost far more than to judge an object does.
static DEFINITIONS: LazyLock<BTreeMap<String, Definition>> = LazyLock::new(|| {
    let definition = |crd: Value| {
        let kind = crd.pointer("/spec/names/kind")?.as_str()?.to_owned();
        let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema")?.clone();
        let rules = compile_schema(&schema);
        Some((kind, Definition { schema, rules }))
    };
    crds().into_iter().filter_map(definition).collect()
});

/// Every pattern of the definitions.
static PATTERNS: LazyLock<BTreeMap<&str, Regex>> = LazyLock::new(|| {
    let mut found = BTreeMap::new();
    DEFINITIONS.values().for_each(|definition| patterns(&definition.schema, &mut found));
    found
});

fn patterns(schema: &'static Value, found: &mut BTreeMap<&'static str, Regex>) {
    let pattern = schema["pattern"].as_str().and_then(|text| Some((text, Regex::new(text).ok()?)));
    found.extend(pattern);
    let below = schema["properties"].as_object().into_iter().flat_map(Map::values);
    let single = ["items", "additionalProperties"].into_iter().filter_map(|field| schema.get(field));
    below.chain(single).for_each(|inner| patterns(inner, found));
}

/// The schema of a kind; `None` where it is not ours.
pub fn schema_of(kind: &str) -> Option<&'static Value> {
    DEFINITIONS.get(kind).map(|definition| &definition.schema)
}

/// An object with the defaults of its schema.
pub fn defaulted(object: &Value) -> Value {
    let schema = object["kind"].as_str().and_then(schema_of);
    schema.map_or_else(|| object.clone(), |schema| apply_defaults(schema, object))
}

/// What the API server would say against an object, or against its change.
pub fn faults(object: &Value, before: Option<&Value>) -> Vec<String> {
    let definition = object["kind"].as_str().and_then(|kind| DEFINITIONS.get(kind));
    let Some(Definition { schema, rules }) = definition else {
        return vec![format!("no kind of golive's: {}", object["kind"])];
    };
    let mut found = around(object);
    found.extend(below(&schema["properties"]["spec"], &object["spec"], "spec"));
    let judged = Validator::new().validate_compiled(rules, object, before);
    found.extend(judged.err().into_iter().flat_map(|errors| errors.into_vec()).map(|error| error.to_string()));
    found
}

/// What is wrong around the spec.
fn around(object: &Value) -> Vec<String> {
    let version = &object["apiVersion"];
    let other =
        (version != "golive.dev/v1alpha1").then(|| format!("apiVersion: must be golive.dev/v1alpha1, not {version}"));
    let nameless =
        object["metadata"]["name"].is_null().then(|| "metadata.name: Required value: name the object".to_owned());
    let fields = object.as_object().into_iter().flat_map(Map::keys);
    let unknown = fields.filter(|name| !OUTER.contains(&name.as_str()));
    let told = unknown.map(|name| format!("unknown field \"{name}\": {}", instead(name, OUTER.into_iter())));
    other.into_iter().chain(nameless).chain(told).collect()
}

fn below(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let kind = schema["type"].as_str().unwrap_or_default();
    if kind != kind_of(value) {
        return vec![told(schema, format!("{path} in body must be of type {kind}: \"{}\"", kind_of(value)))];
    }
    match value {
        Value::Object(fields) => object(schema, fields, path),
        Value::Array(items) => array(schema, items, path),
        Value::String(text) => string(schema, text, path),
        Value::Number(number) => integer(schema, number.as_i64().unwrap_or(i64::MAX), path),
        _ => Vec::new(),
    }
}

/// A fault, with what the field is for.
fn told(schema: &Value, fault: String) -> String {
    match schema["description"].as_str() {
        Some(purpose) => format!("{fault} ({purpose})"),
        None => fault,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
    }
}

fn object(schema: &Value, fields: &Map<String, Value>, path: &str) -> Vec<String> {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return Vec::new();
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing = required
        .filter(|name| !fields.contains_key(*name))
        .map(|name| told(&schema["properties"][name], format!("{path}.{name}: Required value")));
    let known = || schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str);
    let present = fields.iter().flat_map(|(name, value)| {
        let path = format!("{path}.{name}");
        match schema["properties"].get(name).or(schema.get("additionalProperties")) {
            Some(inner) => below(inner, value, &path),
            None => vec![format!("unknown field \"{path}\": {}", instead(name, known()))],
        }
    });
    missing.chain(present).collect()
}

/// What may have been meant by an unknown name: one of which no more than half the letters, and three, are others.
fn instead<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let far = |word: &&&str| distance(&name.to_lowercase(), &word.to_lowercase());
    let alike = |word: &&str| name.chars().zip(word.chars()).take_while(|(a, b)| a == b).count();
    match known.iter().min_by_key(|word| (far(word), std::cmp::Reverse(alike(word)))) {
        Some(word) if far(&word) <= 3.min(name.chars().count() / 2) => format!("did you mean `{word}`?"),
        _ => format!("known here are {}", known.join(", ")),
    }
}

/// How many letters have to change, or to be swapped with the next, to make one word of another:
/// <https://en.wikipedia.org/wiki/Damerau%E2%80%93Levenshtein_distance>.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut table: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let changed = table[i][j] + usize::from(a != b);
            let swapped = match (i, j) {
                (1.., 1..) if *a == to[j - 1] && from[i - 1] == *b => table[i - 1][j - 1] + 1,
                _ => usize::MAX,
            };
            row.push(changed.min(swapped).min(row[j] + 1).min(table[i][j + 1] + 1));
        }
        table.push(row);
    }
    table[from.len()][to.len()]
}

fn array(schema: &Value, items: &[Value], path: &str) -> Vec<String> {
    let most = schema["maxItems"].as_u64().unwrap_or(0);
    if items.len() as u64 > most {
        return vec![told(schema, format!("{path}: Too many: {}: must have at most {most} items", items.len()))];
    }
    let keys = schema["x-kubernetes-list-map-keys"].as_array();
    let key = |item: &Value| match keys {
        Some(keys) => keys.iter().filter_map(Value::as_str).map(|key| (key.to_owned(), item[key].clone())).collect(),
        None => item.clone(),
    };
    let distinct = schema["x-kubernetes-list-type"] != "atomic";
    let each = items.iter().enumerate().flat_map(|(i, item)| {
        let again = distinct && items[..i].iter().any(|earlier| key(earlier) == key(item));
        let told = again.then(|| format!("{path}[{i}]: Duplicate value: {}", key(item)));
        told.into_iter().chain(below(&schema["items"], item, &format!("{path}[{i}]")))
    });
    each.collect()
}

fn string(schema: &Value, text: &str, path: &str) -> Vec<String> {
    if let Some(choices) = schema["enum"].as_array().filter(|choices| !choices.contains(&text.into())) {
        return vec![told(schema, format!("{path}: Unsupported value: \"{text}\": supported values: {choices:?}"))];
    }
    let longest = schema["maxLength"].as_u64().filter(|longest| text.chars().count() as u64 > *longest);
    let long = longest.map(|longest| format!("{path}: Too long: may not be more than {longest} bytes"));
    let unfit = |pattern: &&str| !PATTERNS.get(pattern).is_some_and(|pattern| pattern.is_match(text));
    let pattern = schema["pattern"].as_str().filter(unfit);
    let other = pattern.map(|pattern| format!("{path} in body should match '{pattern}'"));
    long.into_iter().chain(other).map(|fault| told(schema, fault)).collect()
}

fn integer(schema: &Value, number: i64, path: &str) -> Vec<String> {
    let (least, most) = (schema["minimum"].as_i64().unwrap_or(0), schema["maximum"].as_i64().unwrap_or(0));
    match number {
        low if low < least => vec![told(schema, format!("{path} in body should be greater than or equal to {least}"))],
        high if high > most => vec![told(schema, format!("{path} in body should be less than or equal to {most}"))],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn saas(spec: Value) -> Value {
        json!({"apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment", "metadata": {"name": "a"}, "spec": spec})
    }

    #[test]
    fn a_name_that_is_nearly_right_is_told_the_right_one() {
        assert_eq!(
            faults(&saas(json!({"image": "a:1", "domian": []})), None),
            ["unknown field \"spec.domian\": did you mean `domains`?"]
        );
        let far = faults(&saas(json!({"image": "a:1", "health": {"zzzzzzzz": 1, "path": "/"}})), None);
        assert_eq!(far, ["unknown field \"spec.health.zzzzzzzz\": known here are path"]);
    }

    #[test]
    fn a_value_that_does_not_fit_is_told_what_the_field_is_for() {
        let found = faults(&saas(json!({"image": "a:1", "port": 70000})), None);
        let expected =
            "spec.port in body should be less than or equal to 65535 (port is where the application listens.)";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn what_stands_around_the_spec_is_judged_too() {
        let object = json!({"apiVersion": "golive.dev/v1", "kind": "SaasDeployment", "metadata": {}, "spce": {}});
        let found = faults(&object, None);
        for expected in
            ["apiVersion: must be", "metadata.name: Required", "unknown field \"spce\": did you mean `spec`?"]
        {
            assert!(found.iter().any(|fault| fault.starts_with(expected)), "{expected}: {found:?}");
        }
    }

    #[test]
    fn distances_are_counted_by_letters() {
        for (from, to, expected) in [("", "abc", 3), ("kitten", "sitting", 3), ("spce", "spec", 1), ("a", "a", 0)] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }
}
