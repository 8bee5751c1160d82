//! What every leaf of a schema must have, so that the API server can bound and explain it.

use serde_json::Value;

/// What breaks a rule in the schema of a definition.
pub fn faults(crd: &Value) -> Vec<String> {
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    of(schema, "")
}

/// What breaks a rule in a schema and below.
pub fn of(schema: &Value, path: &str) -> Vec<String> {
    let mut found = own(schema, path);
    for (name, property) in fields(schema) {
        let below = format!("{path}.{name}");
        if !described(property, name) {
            found.push(format!("{below}: its description does not begin with its name"));
        }
        found.extend(of(property, &below));
    }
    for key in ["items", "additionalProperties"] {
        found.extend(schema.get(key).map(|inner| of(inner, &format!("{path}[]"))).unwrap_or_default());
    }
    found
}

fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

fn described(property: &Value, name: &str) -> bool {
    property["description"].as_str().is_some_and(|text| text.starts_with(&format!("{name} ")) && text.ends_with('.'))
}

fn own(schema: &Value, path: &str) -> Vec<String> {
    let free = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let has = |key: &str| schema.get(key).is_some();
    let mut broken = match schema["type"].as_str() {
        Some("string") => string(schema),
        Some("integer") => integer(schema),
        Some("array") => list(schema),
        Some("object") if has("additionalProperties") && !has("maxProperties") => vec!["a map without maxProperties"],
        Some("object" | "boolean") => Vec::new(),
        _ => vec!["no type of ours"],
    };
    if free && !path.ends_with(".merge") && !path.ends_with(".json") {
        broken.push("takes anything");
    }
    if ["nullable", "anyOf", "oneOf", "allOf"].iter().any(|key| has(key)) {
        broken.push("more than one kind of value");
    }
    broken.extend(rules(schema).filter(|rule| !told(rule)).map(|_| "a rule without a message that names a field"));
    broken.into_iter().map(|what| format!("{path}: {what}")).collect()
}

fn string(schema: &Value) -> Vec<&'static str> {
    let choices = schema["enum"].as_array();
    let capital =
        |choice: &Value| choice.as_str().is_some_and(|c| c.starts_with(|first: char| first.is_ascii_uppercase()));
    match choices {
        Some(choices) if choices.iter().all(capital) => Vec::new(),
        Some(_) => vec!["an enum that is not in CamelCase"],
        None if schema["maxLength"].is_u64() => Vec::new(),
        None => vec!["a string without maxLength"],
    }
}

fn integer(schema: &Value) -> Vec<&'static str> {
    let bounded = schema["minimum"].is_i64() && schema["maximum"].is_i64();
    let sized = ["int32", "int64"].iter().any(|format| schema["format"] == *format);
    let mut broken = Vec::new();
    if !bounded {
        broken.push("an integer without bounds");
    }
    if !sized {
        broken.push("an integer of no usual size");
    }
    broken
}

fn list(schema: &Value) -> Vec<&'static str> {
    let scalar = matches!(schema["items"]["type"].as_str(), Some("string" | "integer"));
    let required = |key: &Value| schema["items"]["required"].as_array().is_some_and(|all| all.contains(key));
    let keys = schema["x-kubernetes-list-map-keys"].as_array();
    let typed = match schema["x-kubernetes-list-type"].as_str() {
        Some("atomic") => true,
        Some("set") => scalar,
        Some("map") => keys.is_some_and(|keys| !keys.is_empty() && keys.iter().all(required)),
        _ => false,
    };
    let mut broken = Vec::new();
    if !typed {
        broken.push("a list without a fitting list type");
    }
    if !schema["maxItems"].is_u64() {
        broken.push("a list without maxItems");
    }
    broken
}

fn rules(schema: &Value) -> impl Iterator<Item = &Value> {
    schema["x-kubernetes-validations"].as_array().into_iter().flatten()
}

/// A message names the field in back-quotes, and says what to do after a colon.
fn told(rule: &Value) -> bool {
    rule["message"].as_str().is_some_and(|message| message.matches('`').count() >= 2 && message.contains(": "))
}

/// The messages of all rules of a definition.
pub fn messages(crd: &Value) -> Vec<String> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        into.extend(rules(value).filter_map(|rule| rule["message"].as_str()).map(str::to_owned));
        match value {
            Value::Object(fields) => fields.values().for_each(|inner| collect(inner, into)),
            Value::Array(items) => items.iter().for_each(|inner| collect(inner, into)),
            _ => (),
        }
    }
    let mut all = Vec::new();
    collect(crd, &mut all);
    all
}
