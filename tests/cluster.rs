//! The operator on a real cluster: installed by its chart, driven by kubectl, judged by foreign tools.

#[path = "cluster/stage.rs"]
mod stage;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use stage::{Outcome, RESYNC, Stage, run, stage, until};

const CSVBOARD: &str = include_str!("../examples/s0-csvboard.yaml");
const ROWS: &str = "import os, json, sqlite3; c = sqlite3.connect(os.environ['DATABASE_PATH']); \
    names = [n for (n,) in c.execute(\"select name from sqlite_master where type='table' and name not like 'sqlite_%'\")]; \
    print(json.dumps({n: c.execute(f'select count(*) from \"{n}\"').fetchone()[0] for n in names}))";

/// A SaasDeployment of `hello` with more fields.
fn hello(namespace: &str, name: &str, more: Value) -> String {
    let mut spec = json!({"image": "registry.example.com/hello:1.0.0", "domains": [format!("{name}.example.com")]});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    let metadata = json!({"name": name, "namespace": namespace});
    json!({"apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment", "metadata": metadata, "spec": spec})
        .to_string()
}

fn operation(namespace: &str, name: &str, deployment: &str, kind: &str) -> String {
    let spec = json!({"deployment": deployment, kind: {}});
    let metadata = json!({"name": name, "namespace": namespace});
    json!({"apiVersion": "golive.dev/v1alpha1", "kind": "SaasOperation", "metadata": metadata, "spec": spec})
        .to_string()
}

/// Brings csvboard to production, or finds it there from an earlier scenario.
fn csvboard(stage: &Stage) -> Outcome<()> {
    if stage.saas("csvboard", "csvboard").is_err() {
        stage.tenant("csvboard")?;
        stage.apply(CSVBOARD)?;
    }
    stage.live("csvboard", "csvboard")
}

fn completed(stage: &Stage, name: &str) -> Outcome<Value> {
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

#[test]
fn csvboard_goes_live_and_foreign_tools_agree() -> Outcome<()> {
    let (stage, _turn) = stage()?;
    csvboard(stage)?;
    served_over_the_gateway(stage)?;
    names_lead_to_the_edge(stage)?;
    events_are_verified(stage)?;
    runs_restricted(stage)?;
    is_watched(stage)?;
    backup_and_drill_on_request(stage)
}

fn served_over_the_gateway(stage: &Stage) -> Outcome<()> {
    let health = stage.through_gateway("https://app.example.com/health", &[])?.to_lowercase();
    assert!(health.starts_with("http/2 200"), "{health}");
    assert!(health.contains("strict-transport-security: max-age=31536000"), "{health}");
    assert!(health.contains("cache-control: no-cache"), "{health}");
    let missing = stage.through_gateway("https://app.example.com/static/none", &[])?.to_lowercase();
    assert!(missing.contains("cache-control: public, max-age=31536000, immutable"), "{missing}");
    let plain = stage.through_gateway("http://app.example.com/x", &[])?;
    assert!(plain.starts_with("HTTP/1.1 301") && plain.contains("ocation: https://app.example.com/x"), "{plain}");
    let www = stage.through_gateway("https://www.app.example.com/", &[])?.to_lowercase();
    assert!(www.starts_with("http/2 301") && www.contains("location: https://app.example.com/"), "{www}");
    Ok(())
}

fn names_lead_to_the_edge(stage: &Stage) -> Outcome<()> {
    let (server, port) = stage.env["DNS_SERVER"].split_once(':').ok_or("no port")?;
    for name in ["app.example.com", "www.app.example.com"] {
        let answer = run(Command::new("dig").args([&format!("@{server}"), "-p", port, "+short", name, "A"]))?;
        assert_eq!(answer.trim(), stage.env["EDGE_HOST"], "{name}");
    }
    Ok(())
}

/// Stripe delivers a signed event through DNS and the edge to the application, which accepts it, and refuses a forged one.
fn events_are_verified(stage: &Stage) -> Outcome<()> {
    let event = json!({"type": "checkout.session.completed", "livemode": true, "data": {"id": "cs_1", "object": "checkout.session"}});
    let sent = stage.control("POST", "/stripe/events", event)?;
    assert_eq!(codes(&sent), vec![200], "{sent}");
    let forged =
        json!({"type": "invoice.payment_failed", "livemode": true, "data": {"id": "in_1"}, "wrongSignature": true});
    let sent = stage.control("POST", "/stripe/events", forged)?;
    assert_eq!(codes(&sent), vec![400], "{sent}");
    Ok(())
}

fn codes(sent: &Value) -> Vec<i64> {
    sent["deliveries"].as_array().into_iter().flatten().filter_map(|d| d["responseCode"].as_i64()).collect()
}

fn runs_restricted(stage: &Stage) -> Outcome<()> {
    let namespace = stage.json(&["get", "namespace", "csvboard"])?;
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    let pods = stage.json(&["get", "pods", "-n", "csvboard", "-l", "app.kubernetes.io/component=app"])?;
    let phases: Vec<&Value> =
        pods["items"].as_array().into_iter().flatten().map(|pod| &pod["status"]["phase"]).collect();
    assert_eq!(phases, vec!["Running"]);
    Ok(())
}

fn is_watched(stage: &Stage) -> Outcome<()> {
    let monitors = stage.inventory()?["uptimerobot"]["monitors"].clone();
    let ours: Vec<&Value> =
        monitors.as_array().into_iter().flatten().filter(|m| m["url"] == "https://app.example.com/health").collect();
    assert_eq!(ours.len(), 1, "{monitors}");
    assert_eq!(ours[0]["interval"], 60, "{monitors}");
    Ok(())
}

fn backup_and_drill_on_request(stage: &Stage) -> Outcome<()> {
    stage.kubectl(&["delete", "saasop", "--all", "-n", "csvboard"])?;
    let web = "deployment/csvboard";
    let rows = stage.kubectl(&["exec", "-n", "csvboard", web, "--", "python", "-c", ROWS])?;
    stage.apply(&operation("csvboard", "backup-now", "csvboard", "backup"))?;
    let done = completed(stage, "backup-now")?;
    assert!(done["status"]["snapshot"].is_string() && done["status"]["bytes"].as_i64() > Some(0), "{}", done["status"]);
    stage.apply(&operation("csvboard", "drill-now", "csvboard", "drill"))?;
    completed(stage, "drill-now")?;
    let saas = stage.saas("csvboard", "csvboard")?;
    assert!(saas["status"]["backups"]["lastProvenRestore"].is_string(), "{}", saas["status"]);
    let uid = stage.json(&["get", "namespace", "kube-system"])?["metadata"]["uid"]
        .as_str()
        .unwrap_or_default()
        .replace('-', "");
    let mut referees = Command::new(python()?);
    referees.envs(stage.env.iter()).env("CLUSTER", &uid[..8]).arg(here("tests/cluster/referees.py")).arg(rows.trim());
    assert!(run(&mut referees)?.contains("the referees agree"));
    Ok(())
}

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A Python with the vendors' own SDKs, made once.
fn python() -> Outcome<std::path::PathBuf> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("referees-cluster");
    let (python, wanted) = (venv.join("bin/python"), here("tests/world/vendors/referees/requirements.txt"));
    let done = venv.join("requirements.txt");
    if std::fs::read(&wanted).ok() != std::fs::read(&done).ok() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&wanted))?;
        std::fs::copy(&wanted, &done)?;
    }
    Ok(python)
}

#[test]
fn at_rest_nothing_is_written_and_vendors_are_only_listed() -> Outcome<()> {
    let (stage, _turn) = stage()?;
    csvboard(stage)?;
    let mark = |stage: &Stage| std::fs::read_to_string(&stage.env["AUDIT_LOG"]).map(|text| text.len());
    let settled = until(Duration::from_secs(60), || {
        let before = mark(stage)?;
        std::thread::sleep(Duration::from_secs(RESYNC));
        Ok(writes(stage, before)?.is_empty().then_some(()))
    });
    settled?;
    let before = mark(stage)?;
    stage.control("DELETE", "/calls", json!({}))?;
    std::thread::sleep(Duration::from_secs(3 * RESYNC));
    assert_eq!(writes(stage, before)?, Vec::<String>::new());
    let calls = stage.vendor(&[&format!("{}/calls", stage.env["VENDORS_CONTROL"])])?;
    let list = calls.as_array().cloned().or(calls["calls"].as_array().cloned()).unwrap_or_default();
    let ours: Vec<&Value> =
        list.iter().filter(|c| c["userAgent"].as_str().is_some_and(|agent| agent.starts_with("golive/"))).collect();
    assert!(ours.iter().all(|c| c["method"] == "GET"), "{ours:?}");
    // Six tables (zones, records, endpoints, monitors, projects and a project's keys), once in each interval, and one for the edges of the window.
    assert!(ours.len() <= 6 * 4, "{} calls", ours.len());
    Ok(())
}

/// What the operator wrote since a place in the audit log, but for its lease.
fn writes(stage: &Stage, from: usize) -> Outcome<Vec<String>> {
    let text = std::fs::read_to_string(&stage.env["AUDIT_LOG"])?;
    let events = text[from..].lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = events.filter(|e| e["user"]["username"] == "system:serviceaccount:golive-system:golive");
    let writes = ours.filter(|e| ["create", "update", "patch", "delete"].iter().any(|verb| e["verb"] == *verb));
    let named = writes.map(|e| format!("{} {} {}", e["verb"], e["objectRef"]["resource"], e["objectRef"]["name"]));
    Ok(named.filter(|text| !text.contains("leases")).collect())
}

#[test]
fn drift_is_repaired_and_told() -> Outcome<()> {
    let (stage, _turn) = stage()?;
    csvboard(stage)?;
    record_deleted_at_the_vendor(stage)?;
    deployment_edited(stage)?;
    signing_secret_deleted(stage)?;
    endpoint_deleted_at_stripe(stage)?;
    stage.live("csvboard", "csvboard")
}

fn record_deleted_at_the_vendor(stage: &Stage) -> Outcome<()> {
    let (api, auth) =
        (&stage.env["CLOUDFLARE_API"], format!("Authorization: Bearer {}", stage.env["CLOUDFLARE_TOKEN"]));
    let zone = stage.vendor(&["-H", &auth, &format!("{api}/zones?name=example.com")])?["result"][0]["id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let records = format!("{api}/zones/{zone}/dns_records");
    let find = || stage.vendor(&["-H", &auth, &format!("{records}?name=www.app.example.com")]);
    let id = find()?["result"][0]["id"].as_str().ok_or("no record")?.to_owned();
    stage.vendor(&["-X", "DELETE", "-H", &auth, &format!("{records}/{id}")])?;
    until(Duration::from_secs(60), || {
        Ok(find()?["result"][0]["id"].as_str().filter(|new| **new != id).map(str::to_owned))
    })?;
    stage.event("csvboard", "DriftRepaired", "zone example.com")
}

fn deployment_edited(stage: &Stage) -> Outcome<()> {
    let web = "deployment/csvboard";
    stage.kubectl(&["scale", web, "-n", "csvboard", "--replicas=2"])?;
    stage.kubectl(&["set", "env", web, "-n", "csvboard", "ADDED=by-hand"])?;
    until(Duration::from_secs(60), || {
        let deployment = stage.json(&["get", web, "-n", "csvboard"])?;
        let env = deployment["spec"]["template"]["spec"]["containers"][0]["env"].to_string();
        Ok((deployment["spec"]["replicas"] == 1 && !env.contains("ADDED")).then_some(()))
    })?;
    stage.event("csvboard", "DriftRepaired", "Deployment csvboard")
}

fn signing_secret_deleted(stage: &Stage) -> Outcome<()> {
    stage.live("csvboard", "csvboard")?;
    stage.kubectl(&["delete", "secret", "csvboard-secrets", "-n", "csvboard"])?;
    stage.event("csvboard", "DriftRepaired", "Secret csvboard-secrets")?;
    one_endpoint_that_works(stage)
}

fn endpoint_deleted_at_stripe(stage: &Stage) -> Outcome<()> {
    let (api, key) =
        (format!("{}/v1/webhook_endpoints", stage.env["STRIPE_API"]), format!("{}:", stage.env["STRIPE_KEY"]));
    let id = stage.vendor(&["-u", &key, &api])?["data"][0]["id"].as_str().ok_or("no endpoint")?.to_owned();
    stage.vendor(&["-u", &key, "-X", "DELETE", &format!("{api}/{id}")])?;
    until(Duration::from_secs(60), || {
        Ok(stage.vendor(&["-u", &key, &api])?["data"][0]["id"].as_str().filter(|new| **new != id).map(drop))
    })?;
    one_endpoint_that_works(stage)
}

/// One endpoint stands, and the application knows its secret.
fn one_endpoint_that_works(stage: &Stage) -> Outcome<()> {
    until(Duration::from_secs(180), || {
        let event = json!({"type": "invoice.payment_failed", "livemode": true, "data": {"id": "in_2"}});
        let endpoints = stage.inventory()?["stripe"]["live"]["webhookEndpoints"].as_array().map(Vec::len);
        Ok((endpoints == Some(1) && codes(&stage.control("POST", "/stripe/events", event)?) == vec![200]).then_some(()))
    })
}

#[test]
fn a_vendor_that_is_down_holds_only_its_part() -> Outcome<()> {
    let (stage, _turn) = stage()?;
    csvboard(stage)?;
    stage.control("POST", "/vendors/stripe/down", json!({}))?;
    let held = stage.condition(("csvboard", "csvboard"), "PaymentsReady", ("False", "Unreachable"));
    let others = stage.saas("csvboard", "csvboard");
    stage.control("POST", "/vendors/stripe/up", json!({}))?;
    held?;
    let conditions = others?["status"]["conditions"].as_array().cloned().unwrap_or_default();
    for part in ["DnsReady", "TlsReady", "AppReady", "EdgeReady", "BackupReady"] {
        assert!(conditions.iter().any(|c| c["type"] == part && c["status"] == "True"), "{part}: {conditions:?}");
    }
    stage.live("csvboard", "csvboard")?;
    stage.control("POST", "/credentials/revoke", json!({"vendor": "cloudflare", "credential": "all"}))?;
    let denied = stage.condition(("csvboard", "csvboard"), "DnsReady", ("False", "CredentialDenied"));
    stage.control("POST", "/credentials/restore", json!({"vendor": "cloudflare", "credential": "all"}))?;
    let message = denied?["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("cloudflare") && !message.contains(&stage.env["CLOUDFLARE_TOKEN"]), "{message}");
    stage.live("csvboard", "csvboard")
}

#[test]
fn the_spec_is_followed_field_by_field_and_deletion_leaves_nothing() -> Outcome<()> {
    let (stage, _turn) = stage()?;
    stage.tenant("walk")?;
    let before = stage.inventory()?;
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
    assert_eq!(stage.inventory()?, before);
    Ok(())
}

/// Waits until an answer through the gateway contains a text: a pod that is going may still answer for a moment.
fn shows(stage: &Stage, url: &str, text: &str) -> Outcome<()> {
    until(Duration::from_secs(30), || Ok(stage.through_gateway(url, &[])?.to_lowercase().contains(text).then_some(())))
        .map_err(|e| format!("{url} shows no {text}: {e}").into())
}

fn records(stage: &Stage, name: &str) -> Outcome<usize> {
    let inventory = stage.inventory()?;
    let rows = inventory["cloudflare"]["zones"]["example.com"].as_array().cloned().unwrap_or_default();
    Ok(rows.iter().filter(|row| row["name"] == name).count())
}

#[test]
fn a_deletion_waits_for_a_vendor_and_leaves_nothing_even_with_its_namespace() -> Outcome<()> {
    let (stage, _turn) = stage()?;
    stage.tenant("gone")?;
    stage.apply(&hello("gone", "gone", json!({})))?;
    stage.live("gone", "gone")?;
    stage.control("POST", "/vendors/cloudflare/down", json!({}))?;
    let held = stage
        .kubectl(&["delete", "saas", "gone", "-n", "gone", "--wait=false"])
        .and_then(|_| stage.condition(("gone", "gone"), "DnsReady", ("False", "Unreachable")));
    stage.control("POST", "/vendors/cloudflare/up", json!({}))?;
    held?;
    stage.kubectl(&["wait", "--for=delete", "saas/gone", "-n", "gone", "--timeout=90s"])?;
    assert_eq!(records(stage, "gone.example.com")?, 0);
    stage.apply(&hello("gone", "again", json!({})))?;
    stage.live("gone", "again")?;
    stage.kubectl(&["delete", "namespace", "gone", "--timeout=120s"])?;
    assert_eq!(records(stage, "again.example.com")?, 0);
    Ok(())
}

#[test]
fn a_suspended_application_is_left_alone() -> Outcome<()> {
    let (stage, _turn) = stage()?;
    stage.tenant("paused")?;
    stage.apply(&hello("paused", "paused", json!({"suspend": true})))?;
    stage.condition(("paused", "paused"), "Ready", ("False", "Suspended"))?;
    assert_eq!(records(stage, "paused.example.com")?, 0);
    stage.apply(&hello("paused", "paused", json!({})))?;
    stage.live("paused", "paused")?;
    stage.kubectl(&["delete", "saas", "paused", "-n", "paused", "--timeout=90s"]).map(drop)
}

#[test]
fn bad_input_is_named_and_nothing_is_half_made() -> Outcome<()> {
    let (stage, _turn) = stage()?;
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

#[test]
fn an_operator_that_is_killed_again_and_again_makes_nothing_twice() -> Outcome<()> {
    let (stage, _turn) = stage()?;
    csvboard(stage)?;
    let wanted = stage.inventory()?;
    stage.tenant("csvboard")?;
    stage.apply(CSVBOARD)?;
    for pause in [150, 700, 350, 1100, 500, 900, 250, 1300] {
        std::thread::sleep(Duration::from_millis(pause));
        stage.kubectl(&["delete", "pods", "--all", "-n", "golive-system", "--grace-period=0", "--force"])?;
        stage.kubectl(&["rollout", "status", "deployment/golive", "-n", "golive-system", "--timeout=60s"])?;
    }
    stage.live("csvboard", "csvboard")?;
    let same =
        until(Duration::from_secs(200), || Ok((shape(stage.inventory()?) == shape(wanted.clone())).then_some(())));
    same.map_err(|e| format!("{e}: {} and {}", shape(wanted), shape(stage.inventory().unwrap_or_default())).into())
}

/// An inventory without the marks, which name the object's uid.
fn shape(inventory: Value) -> Value {
    match inventory {
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, shape(value))).collect(),
        Value::Array(list) => list.into_iter().map(shape).collect(),
        Value::String(text) if text.starts_with("golive/") => json!("mark"),
        Value::String(text) if text.len() == 12 && text.chars().all(|c| c.is_ascii_hexdigit()) => json!("owner"),
        Value::String(text) if text.contains('-') && text.len() > 20 => json!("attempt"),
        other => other,
    }
}
