//! Kinds that the cluster lacks: nothing is asked about them, and once they come they are used.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::apps::hello;
use crate::stage::{Outcome, Stage, until};

const GROUP: &str = "monitoring.coreos.com";

pub fn that_arrive(stage: &Stage) -> Outcome<()> {
    stage.tenant("arrival")?;
    stage.apply(&hello("arrival", "arrival", json!({"monitors": {"metrics": {"path": "/metrics"}}})))?;
    let held = stage.condition(("arrival", "arrival"), "MonitorsReady", ("True", ""))?;
    assert!(held["message"].as_str().is_some_and(|text| text.contains(&format!("does not serve {GROUP}"))), "{held}");
    nothing_is_asked(stage)?;
    stage.apply(&definition("ServiceMonitor", "servicemonitors"))?;
    let begun = Instant::now();
    until(Duration::from_secs(20), || Ok(stage.kubectl(&["get", "servicemonitor", "arrival", "-n", "arrival"]).ok()))?;
    assert!(begun.elapsed() < Duration::from_secs(15), "{} s", begun.elapsed().as_secs());
    stage.kubectl(&["delete", "crd", &format!("servicemonitors.{GROUP}")])?;
    until(Duration::from_secs(30), || {
        let held = stage.condition(("arrival", "arrival"), "MonitorsReady", ("True", ""))?;
        Ok(held["message"].as_str().filter(|text| text.contains("no ServiceMonitor")).map(drop))
    })?;
    stage.kubectl(&["delete", "saas", "arrival", "-n", "arrival", "--timeout=90s"]).map(drop)
}

/// For as long as two of the pauses between polls were once, the server is asked for no kind of the group.
fn nothing_is_asked(stage: &Stage) -> Outcome<()> {
    let before = stage.audited()?;
    std::thread::sleep(Duration::from_secs(20));
    let asked: Vec<Value> = stage
        .audit_since(before)?
        .into_iter()
        .filter(|event| event["objectRef"]["apiGroup"] == GROUP && event["objectRef"]["namespace"].is_null())
        .map(|event| event["requestURI"].clone())
        .collect();
    assert_eq!(asked, Vec::<Value>::new());
    Ok(())
}

/// The smallest definition that serves a kind: any fields are good.
fn definition(kind: &str, plural: &str) -> String {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    let names =
        json!({"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")});
    let spec = json!({"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]});
    let metadata = json!({"name": format!("{plural}.{GROUP}")});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec})
        .to_string()
}
