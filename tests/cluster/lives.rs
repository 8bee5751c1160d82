//! Lives of small applications: a spec that changes, one that is suspended, one that goes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::apps::{hello, records, rows, shows};
use crate::stage::{Outcome, Stage, until};

pub fn field_by_field(stage: &Stage) -> Outcome<()> {
    stage.tenant("walk")?;
    let apply = |more: Value| -> Outcome<()> {
        stage.apply(&hello("walk", "walk", more))?;
        stage.live("walk", "walk")
    };
    apply(json!({}))?;
    shows(stage, "https://walk.example.com/", "http/2 200")?;
    apply(
        json!({"domains": ["walk.example.com", "second.example.com"], "redirectFrom": ["third.example.com"], "replicas": 2}),
    )?;
    shows(stage, "https://second.example.com/", "http/2 200")?;
    assert_eq!(records(stage, "second.example.com")?, 1);
    stage.kubectl(&["get", "poddisruptionbudget", "walk", "-n", "walk"])?;
    apply(
        json!({"env": {"GREETING": "good day"}, "edge": {"hsts": {"maxAgeSeconds": 60}}, "processes": [{"name": "side", "image": "registry.example.com/hello:1.0.0"}]}),
    )?;
    shows(stage, "https://walk.example.com/env?name=GREETING", "true")?;
    shows(stage, "https://walk.example.com/", "max-age=60")?;
    assert_eq!(records(stage, "second.example.com")? + records(stage, "third.example.com")?, 0);
    stage.kubectl(&["get", "deployment", "walk-side", "-n", "walk"])?;
    apply(json!({}))?;
    until(Duration::from_secs(60), || {
        let left = stage.json(&["get", "deployments,poddisruptionbudgets,httproutes", "-n", "walk"])?;
        let names: Vec<&str> =
            left["items"].as_array().into_iter().flatten().filter_map(|o| o["metadata"]["name"].as_str()).collect();
        Ok((names == ["walk", "walk", "walk-http"]).then_some(()))
    })?;
    stage.kubectl(&["delete", "saas", "walk", "-n", "walk", "--timeout=90s"])?;
    assert_eq!(rows(stage, "walk/walk")?, Vec::<Value>::new());
    Ok(())
}

/// Objects that the other scenarios never need to remove, or to read.
pub fn of_rare_kinds(stage: &Stage) -> Outcome<()> {
    let who = ("rare", "rare");
    stage.tenant(who.0)?;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": who.0}, "data": {"MOOD": "calm"}});
    stage.apply(&map.to_string())?;
    let apply = |more: Value| -> Outcome<()> {
        stage.apply(&hello(who.0, who.1, more))?;
        stage.live(who.0, who.1)
    };
    let side = json!({"name": "side", "image": "registry.example.com/hello:1.0.0", "port": 9000, "routes": [{"path": "/side"}]});
    apply(json!({
        "autoscale": {"min": 2, "max": 3}, "envFrom": [{"configMap": "settings"}], "routes": [{"path": "/"}], "processes": [side],
    }))?;
    shows(stage, "https://rare.example.com/env?name=MOOD", "true")?;
    shows(stage, "https://rare.example.com/side", "http/2 ")?;
    stage.kubectl(&["get", "service/rare-side", "-n", who.0])?;
    labels_come_back(stage, who, &["horizontalpodautoscaler/rare", "poddisruptionbudget/rare", "networkpolicy/rare"])?;
    let sqlite = json!({"file": "/data/app.sqlite3", "size": "1Gi", "env": "DATABASE_PATH"});
    let deleted_with_it = json!({"volumes": "Delete"});
    apply(json!({"database": {"sqlite": sqlite}, "deletionPolicy": deleted_with_it}))?;
    labels_come_back(stage, who, &["persistentvolumeclaim/rare-data"])?;
    apply(json!({"deletionPolicy": deleted_with_it}))?;
    let rare = ["get", "horizontalpodautoscalers,services,persistentvolumeclaims", "-n", who.0, "-o", "name"];
    let left =
        |names: &str| until(Duration::from_secs(60), || Ok((stage.kubectl(&rare)?.trim() == names).then_some(())));
    // Data goes with the whole, and not with a block.
    left("service/rare\npersistentvolumeclaim/rare-data")?;
    stage.kubectl(&["delete", "saas", who.1, "-n", who.0, "--timeout=90s"])?;
    left("")
}

/// Somebody changes a label that golive puts on its objects.
fn labels_come_back(stage: &Stage, (namespace, name): (&str, &str), objects: &[&str]) -> Outcome<()> {
    for object in objects {
        stage.kubectl(&["label", object, "-n", namespace, "--overwrite", "app.kubernetes.io/name=by-hand"])?;
        until(Duration::from_secs(60), || {
            let found = stage.json(&["get", object, "-n", namespace])?;
            Ok((found["metadata"]["labels"]["app.kubernetes.io/name"] == name).then_some(()))
        })?;
    }
    Ok(())
}

pub fn suspended(stage: &Stage) -> Outcome<()> {
    stage.tenant("paused")?;
    stage.apply(&hello("paused", "paused", json!({"suspend": true})))?;
    stage.condition(("paused", "paused"), "Ready", ("False", "Suspended"))?;
    assert_eq!(records(stage, "paused.example.com")?, 0);
    stage.apply(&hello("paused", "paused", json!({})))?;
    stage.live("paused", "paused")?;
    stage.kubectl(&["delete", "saas", "paused", "-n", "paused", "--timeout=90s"]).map(drop)
}
