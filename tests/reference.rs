//! docs/reference.md is every field of every kind, as the definitions say it: `GOLDEN=write cargo test --test reference`.

use serde_json::Value;

const PAGE: &str = "docs/reference.md";

fn page() -> String {
    let head = "# Reference\n\nEvery field of every kind, made from the definitions that the API server has; what holds between \
                fields stands below each kind. `golive plan -f manifest.yaml` checks a manifest against all of it.\n";
    std::iter::once(head.to_owned()).chain(golive::api::crds().iter().map(kind)).collect()
}

fn kind(crd: &Value) -> String {
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let name = crd["spec"]["names"]["kind"].as_str().unwrap_or_default();
    let mut rows = Vec::new();
    fields("spec", &schema["properties"]["spec"], &mut rows);
    let mut rules = Vec::new();
    rules_of(&schema["properties"]["spec"], &mut rules);
    let told = if rules.is_empty() { String::new() } else { format!("\n{}\n", rules.join("\n")) };
    format!("\n## {name}\n\n| field | type | |\n|---|---|---|\n{}\n{told}", rows.join("\n"))
}

/// A row for each field below a place.
fn fields(path: &str, schema: &Value, rows: &mut Vec<String>) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        rows.push(row(&path, field, required.contains(&name.as_str())));
        fields(&path, field, rows);
        fields(&format!("{path}[]"), &field["items"], rows);
        fields(&format!("{path}.*"), &field["additionalProperties"], rows);
    }
}

fn row(path: &str, field: &Value, required: bool) -> String {
    let text = field["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
    let fallback = field.get("default").filter(|value| !value.is_object()).map(|value| format!(" Default: `{value}`."));
    let needed = if required { " **Required.**" } else { "" };
    format!("| `{path}` | {} | {text}{needed}{} |", kind_of(field), fallback.unwrap_or_default())
}

/// A field's type in words, with its bounds.
fn kind_of(field: &Value) -> String {
    let kind = field["type"].as_str().unwrap_or("any");
    if let Some(values) = field["enum"].as_array() {
        return values
            .iter()
            .map(|value| format!("`{}`", value.as_str().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join(", ");
    }
    match (kind, &field["minimum"], &field["maximum"]) {
        ("array", ..) => format!("list of {}", kind_of(&field["items"])),
        ("object", ..) if !field["additionalProperties"].is_null() => "map".into(),
        (_, Value::Null, _) | (_, _, Value::Null) => kind.into(),
        (_, least, most) => format!("{kind}, {least} to {most}"),
    }
}

/// What must hold between fields, in the words of the API server, anywhere below a place.
fn rules_of(schema: &Value, rules: &mut Vec<String>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        rules.extend(rule["message"].as_str().map(|message| format!("* {message}")));
    }
    let below = schema["properties"].as_object().into_iter().flat_map(|map| map.values());
    below.chain([&schema["items"], &schema["additionalProperties"]]).for_each(|inner| {
        if !inner.is_null() {
            rules_of(inner, rules);
        }
    });
}

#[test]
fn the_reference_is_what_the_definitions_say() {
    let page = page();
    assert!(page.matches("\n| `spec.").count() > 200);
    if std::env::var("GOLDEN").is_ok_and(|what| what == "write") {
        std::fs::write(PAGE, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(PAGE).unwrap_or_default() == page,
        "{PAGE} is old: GOLDEN=write cargo test --test reference"
    );
}
