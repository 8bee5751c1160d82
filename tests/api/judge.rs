//! Judges an object by a definition as the API server does, without one: in its words, so that the same expectations
//! serve for both. The rules in CEL are judged by kube-cel, everything else here.

use kube_cel::{Validator, apply_defaults};
use regex::Regex;
use serde_json::Value;

use crate::schema_of;

/// An object with the defaults of its schema.
pub fn defaulted(schema: &Value, object: &Value) -> Value {
    apply_defaults(schema, object)
}

/// What the API server would say against an object, or against its change.
pub fn faults(object: &Value, before: Option<&Value>) -> Vec<String> {
    let schema = schema_of(object);
    let mut found = below(&schema["properties"]["spec"], &object["spec"], "spec");
    let judged = Validator::new().validate(&schema, object, before);
    found.extend(judged.err().into_iter().flat_map(|errors| errors.into_vec()).map(|error| error.to_string()));
    found
}

fn below(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let kind = schema["type"].as_str().unwrap_or_default();
    if kind != kind_of(value) {
        return vec![format!("{path} in body must be of type {kind}: \"{}\"", kind_of(value))];
    }
    match value {
        Value::Object(fields) => object(schema, fields, path),
        Value::Array(items) => array(schema, items, path),
        Value::String(text) => string(schema, text, path),
        Value::Number(number) => integer(schema, number.as_i64().unwrap_or(i64::MAX), path),
        _ => Vec::new(),
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

fn object(schema: &Value, fields: &serde_json::Map<String, Value>, path: &str) -> Vec<String> {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return Vec::new();
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing =
        required.filter(|name| !fields.contains_key(*name)).map(|name| format!("{path}.{name}: Required value"));
    let present = fields.iter().flat_map(|(name, value)| {
        let path = format!("{path}.{name}");
        match schema["properties"].get(name).or(schema.get("additionalProperties")) {
            Some(inner) => below(inner, value, &path),
            None => vec![format!("unknown field \"{path}\"")],
        }
    });
    missing.chain(present).collect()
}

fn array(schema: &Value, items: &[Value], path: &str) -> Vec<String> {
    let most = schema["maxItems"].as_u64().unwrap_or(0);
    if items.len() as u64 > most {
        return vec![format!("{path}: Too many: {}: must have at most {most} items", items.len())];
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
        return vec![format!("{path}: Unsupported value: \"{text}\": supported values: {choices:?}")];
    }
    let longest = schema["maxLength"].as_u64().filter(|longest| text.chars().count() as u64 > *longest);
    let long = longest.map(|longest| format!("{path}: Too long: may not be more than {longest} bytes"));
    let pattern = schema["pattern"].as_str().filter(|pattern| !Regex::new(pattern).unwrap().is_match(text));
    long.into_iter().chain(pattern.map(|pattern| format!("{path} in body should match '{pattern}'"))).collect()
}

fn integer(schema: &Value, number: i64, path: &str) -> Vec<String> {
    let (least, most) = (schema["minimum"].as_i64().unwrap_or(0), schema["maximum"].as_i64().unwrap_or(0));
    match number {
        low if low < least => vec![format!("{path} in body should be greater than or equal to {least}")],
        high if high > most => vec![format!("{path} in body should be less than or equal to {most}")],
        _ => Vec::new(),
    }
}
