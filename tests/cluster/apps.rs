//! The applications that scenarios bring to life, and what is asked about them.

use std::time::Duration;

use serde_json::{Value, json};

use crate::stage::{Outcome, Stage, until};

pub const CSVBOARD: &str = include_str!("../../examples/s0-csvboard.yaml");

/// A SaasDeployment of `hello` with more fields.
pub fn hello(namespace: &str, name: &str, more: Value) -> String {
    let mut spec = json!({"image": "registry.example.com/hello:1.0.0", "domains": [format!("{name}.example.com")]});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    let metadata = json!({"name": name, "namespace": namespace});
    json!({"apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment", "metadata": metadata, "spec": spec})
        .to_string()
}

/// The fields of csvboard that lead to vendors, for `hello`.
pub fn all_blocks() -> Value {
    let webhook = json!({"path": "/hook", "events": ["invoice.payment_failed"], "secretEnv": "STRIPE_WEBHOOK_SECRET"});
    json!({
        "environment": "Production",
        "health": {"path": "/health"},
        "secrets": {"generate": [{"env": "SECRET_KEY", "bytes": 32}], "require": ["SECRET_KEY", "SENTRY_DSN"]},
        "dns": {},
        "payments": {"stripe": {"webhooks": [webhook]}},
        "monitors": {"uptime": {"path": "/health", "everySeconds": 60}, "sentry": {"env": "SENTRY_DSN"}},
    })
}

/// A request to `namespace`'s SaasDeployment of the same name.
pub fn operation_of(namespace: &str, name: &str, what: Value) -> String {
    let mut spec = what;
    spec["deployment"] = json!(namespace);
    let metadata = json!({"name": name, "namespace": namespace});
    json!({"apiVersion": "golive.dev/v1alpha1", "kind": "SaasOperation", "metadata": metadata, "spec": spec})
        .to_string()
}

pub fn completed(stage: &Stage, name: &str) -> Outcome<Value> {
    until(Duration::from_secs(120), || {
        let found = stage.json(&["get", "saasop", name, "-n", "csvboard"])?;
        let conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
        match conditions.iter().find(|c| c["type"] == "Complete") {
            Some(c) if c["status"] == "True" => Ok(Some(found)),
            Some(c) if c["reason"] == "Failed" => Err(format!("{name} failed: {}", c["message"]).into()),
            _ => Ok(None),
        }
    })
}

/// Waits until an answer through the gateway contains a text: a pod that is going may still answer for a moment.
pub fn shows(stage: &Stage, url: &str, text: &str) -> Outcome<()> {
    until(Duration::from_secs(30), || Ok(stage.through_gateway(url, &[])?.to_lowercase().contains(text).then_some(())))
        .map_err(|e| format!("{url} shows no {text}: {e}").into())
}

pub fn records(stage: &Stage, name: &str) -> Outcome<usize> {
    let inventory = stage.inventory()?;
    let rows = inventory["cloudflare"]["zones"]["example.com"].as_array().cloned().unwrap_or_default();
    Ok(rows.iter().filter(|row| row["name"] == name).count())
}

/// Lets an event happen at Stripe, and gives what the live endpoints below a host answer to it.
pub fn answers(stage: &Stage, host: &str, event: Value) -> Outcome<Vec<i64>> {
    let ours = endpoints(stage, host)?;
    let sent = stage.control("POST", "/stripe/events", event)?;
    let deliveries = sent["deliveries"].as_array().into_iter().flatten();
    let to_us = deliveries.filter(|d| ours.iter().any(|id| d["endpoint"] == id.as_str()));
    Ok(to_us.filter_map(|d| d["responseCode"].as_i64()).collect())
}

/// The ids of the live endpoints below a host, in order.
pub fn endpoints(stage: &Stage, host: &str) -> Outcome<Vec<String>> {
    let (key, below) = (format!("{}:", stage.env["STRIPE_KEY"]), format!("https://{host}/"));
    let all = format!("{}/v1/webhook_endpoints?limit=100", stage.env["STRIPE_API"]);
    let listed = stage.vendor(&["-u", &key, &all])?;
    let ours = listed["data"].as_array().into_iter().flatten();
    let ours = ours.filter(|e| e["url"].as_str().is_some_and(|url| url.starts_with(&below)));
    let mut ids: Vec<String> = ours.filter_map(|e| Some(e["id"].as_str()?.to_owned())).collect();
    ids.sort();
    Ok(ids)
}

/// Every row at any vendor with a field that contains a text.
pub fn rows(stage: &Stage, text: &str) -> Outcome<Vec<Value>> {
    let mut found = Vec::new();
    collect(&stage.inventory()?, text, &mut found);
    Ok(found)
}

fn collect(inventory: &Value, text: &str, found: &mut Vec<Value>) {
    match inventory {
        Value::Object(row) if row.values().any(|v| v.as_str().is_some_and(|v| v.contains(text))) => {
            found.push(inventory.clone());
        }
        Value::Object(map) => map.values().for_each(|value| collect(value, text, found)),
        Value::Array(rows) => rows.iter().for_each(|row| collect(row, text, found)),
        _ => {}
    }
}
