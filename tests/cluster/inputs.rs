//! What users write and cannot be done: a condition names it, and nothing is half made.

use serde_json::json;

use crate::apps::hello;
use crate::stage::{Outcome, Stage};

pub fn that_are_bad(stage: &Stage) -> Outcome<()> {
    stage.tenant("bad")?;
    let cases = [
        ("unknown-account", json!({"dns": {"account": "nobody"}}), "DnsReady", "AccountMissing"),
        ("foreign-domain", json!({"domains": ["app.example.org"]}), "Ready", ""),
        ("missing-secret", json!({"envFrom": [{"secret": "not-there"}]}), "SecretsReady", "SourceMissing"),
        ("missing-key", json!({"secrets": {"require": ["PAYMENT_TOKEN"]}}), "SecretsReady", "KeysMissing"),
        (
            "live-key",
            json!({"environment": "Staging", "envFrom": [{"secret": "csvboard-env"}]}),
            "SecretsReady",
            "LiveKeyOutsideProduction",
        ),
        ("weak-secret", json!({"env": {"SECRET_KEY": "change-me"}}), "SecretsReady", "WeakSecret"),
        ("unbuilt", json!({"cache": {"redis": {"size": "1Gi", "env": "REDIS_URL"}}}), "CacheReady", "NotSupported"),
    ];
    for (name, more, kind, reason) in cases {
        stage.apply(&hello("bad", name, more))?;
        let found = stage.condition(("bad", name), kind, ("False", reason))?;
        assert!(!found["message"].as_str().unwrap_or_default().contains("change-me"), "{found}");
    }
    let pods = stage.json(&[
        "get",
        "deployments",
        "missing-key",
        "weak-secret",
        "live-key",
        "-n",
        "bad",
        "--ignore-not-found",
    ]);
    assert!(
        pods.is_err() || pods?["items"].as_array().is_none_or(Vec::is_empty),
        "an application ran without what it needs"
    );
    stage.apply(&hello("bad", "rival", json!({"domains": ["unknown-account.example.com"]})))?;
    stage.condition(("bad", "rival"), "EdgeReady", ("False", "HostClaimed"))?;
    stage.kubectl(&["delete", "saas", "--all", "-n", "bad", "--timeout=90s"]).map(drop)
}
