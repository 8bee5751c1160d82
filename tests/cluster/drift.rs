//! What somebody changes by hand, in the cluster or at a vendor, is put right and told.

use std::time::Duration;

use serde_json::json;

use crate::apps::{answers, endpoints};
use crate::csvboard::csvboard;
use crate::stage::{Outcome, Stage, until};

const HOST: &str = "app.example.com";

pub fn is_repaired(stage: &Stage) -> Outcome<()> {
    let _turn = csvboard(stage)?;
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
    stage.event("csvboard", "DriftRepaired", "Deployment csvboard")?;
    let board = ["configmap/csvboard-dashboard", "-n", "csvboard"];
    stage.kubectl(&[&["label"], &board[..], &["--overwrite", "app.kubernetes.io/name=by-hand"]].concat())?;
    stage.event("csvboard", "DriftRepaired", "ConfigMap csvboard-dashboard")
}

fn signing_secret_deleted(stage: &Stage) -> Outcome<()> {
    stage.live("csvboard", "csvboard")?;
    let vault = ["secret", "csvboard-secrets", "-n", "csvboard"];
    stage.kubectl(&[&["delete"], &vault[..], &["--wait=false"]].concat())?;
    stays(stage, &vault)?;
    stage
        .kubectl(&[&["patch"], &vault[..], &["--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]].concat())?;
    stage.event("csvboard", "DriftRepaired", "Secret csvboard-secrets")?;
    one_endpoint_that_works(stage)
}

/// What is remembered stays for as long as golive holds it, which says so.
fn stays(stage: &Stage, vault: &[&str]) -> Outcome<()> {
    until(Duration::from_secs(60), || {
        let secrets = stage.condition(("csvboard", "csvboard"), "SecretsReady", ("True", ""))?;
        Ok(secrets["message"].as_str().is_some_and(|text| text.contains("somebody deleted them")).then_some(()))
    })?;
    let deleted = stage.json(&[&["get"], vault].concat())?;
    assert!(deleted["metadata"]["deletionTimestamp"].is_string(), "{}", deleted["metadata"]);
    one_endpoint_that_works(stage)
}

fn endpoint_deleted_at_stripe(stage: &Stage) -> Outcome<()> {
    let before = endpoints(stage, HOST)?;
    let (api, key) =
        (format!("{}/v1/webhook_endpoints", stage.env["STRIPE_API"]), format!("{}:", stage.env["STRIPE_KEY"]));
    stage.vendor(&["-u", &key, "-X", "DELETE", &format!("{api}/{}", before.first().ok_or("no endpoint")?)])?;
    until(Duration::from_secs(60), || {
        let now = endpoints(stage, HOST)?;
        Ok((now.len() == 1 && now != before).then_some(()))
    })?;
    one_endpoint_that_works(stage)
}

/// One endpoint stands, and the application knows its secret.
fn one_endpoint_that_works(stage: &Stage) -> Outcome<()> {
    until(Duration::from_secs(180), || {
        let event = json!({"type": "invoice.payment_failed", "livemode": true, "data": {"id": "in_2"}});
        Ok((answers(stage, HOST, event)? == vec![200]).then_some(()))
    })
}
