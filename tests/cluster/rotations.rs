//! Secrets that change: by request, by age, or by hand; and who restarts because of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use world::platform::secret;

use crate::apps::{CSVBOARD, answers, completed, endpoints, hello, operation_of};
use crate::csvboard::csvboard;
use crate::stage::{Outcome, Stage, until};

const HOST: &str = "app.example.com";
const SIGNING: &str = "STRIPE_WEBHOOK_SECRET";
const PREVIOUS: &str = "STRIPE_WEBHOOK_SECRET_PREVIOUS";

/// The signing secret and the session key of csvboard, by SaasOperation and then because they are too old.
pub fn by_request_and_by_age(stage: &Stage) -> Outcome<()> {
    let _turn = csvboard(stage)?;
    stage.apply(&with_overlap()?)?;
    stage.live("csvboard", "csvboard")?;
    let before = State::read(stage)?;
    stage.apply(&operation_of("csvboard", "rotate-now", json!({"rotate": {"env": [SIGNING, "SECRET_KEY"]}})))?;
    overlaps(stage, &before)?;
    completed(stage, "rotate-now")?;
    let renewed = settled(stage, &before)?;
    made_long_ago(stage)?;
    overlaps(stage, &renewed)?;
    settled(stage, &renewed)?;
    stage.kubectl(&["delete", "saasop", "rotate-now", "-n", "csvboard"])?;
    stage.apply(CSVBOARD)?;
    stage.live("csvboard", "csvboard")
}

fn with_overlap() -> Outcome<String> {
    let mut board: Value = serde_saphyr::from_str(CSVBOARD)?;
    board["spec"]["payments"]["stripe"]["webhooks"][0]["previousSecretEnv"] = json!(PREVIOUS);
    Ok(board.to_string())
}

/// What a rotation changes.
#[derive(PartialEq)]
struct State {
    values: BTreeMap<String, Value>,
    endpoints: Vec<String>,
}

impl State {
    fn read(stage: &Stage) -> Outcome<State> {
        let held = stage.json(&["get", "secret", "csvboard-secrets", "-n", "csvboard"])?;
        let values = serde_json::from_value(held["data"].clone())?;
        Ok(State { values, endpoints: endpoints(stage, HOST)? })
    }
}

/// For a while two endpoints deliver, and the application is told both secrets.
fn overlaps(stage: &Stage, before: &State) -> Outcome<()> {
    let both = until(Duration::from_secs(60), || {
        let now = State::read(stage)?;
        let published = now.values.get(PREVIOUS) == before.values.get(SIGNING);
        Ok((published && now.endpoints.len() == 2 && now.endpoints.contains(&before.endpoints[0])).then_some(()))
    });
    both.map_err(|e| format!("both endpoints with both secrets: {e}"))?;
    until(Duration::from_secs(90), || {
        let script = format!("import os; print(os.environ['{PREVIOUS}'], os.environ['{SIGNING}'])");
        let web = ["exec", "-n", "csvboard", "deployment/csvboard", "--", "python", "-c", &script];
        Ok((stage.kubectl(&web)?.split_whitespace().count() == 2).then_some(()))
    })
    .map_err(|e| format!("the pod knows both secrets: {e}").into())
}

/// The old endpoint is gone, every value is new, and events are taken.
fn settled(stage: &Stage, before: &State) -> Outcome<State> {
    let now = until(Duration::from_secs(240), || {
        let now = State::read(stage)?;
        let one = now.endpoints.len() == 1 && now.endpoints != before.endpoints;
        Ok((one && [SIGNING, "SECRET_KEY"].iter().all(|env| now.values[*env] != before.values[*env])).then_some(now))
    })?;
    stage.live("csvboard", "csvboard")?;
    let event = json!({"type": "invoice.payment_failed", "livemode": true, "data": {"id": "in_3"}});
    assert_eq!(answers(stage, HOST, event)?, vec![200]);
    Ok(now)
}

/// Dates what the ledger says was made back by more than `rotateAfterDays`.
fn made_long_ago(stage: &Stage) -> Outcome<()> {
    let held = stage.json(&["get", "secret", "csvboard-secrets", "-n", "csvboard"])?;
    let text = held["metadata"]["annotations"]["golive.dev/ledger"].as_str().ok_or("no ledger")?;
    let mut ledger: Value = serde_json::from_str(text)?;
    let old = json!("2026-01-01T00:00:00Z");
    ledger["generated"]["SECRET_KEY"] = old.clone();
    ledger["webhooks"][SIGNING]["current"]["at"] = old;
    let annotation = format!("golive.dev/ledger={ledger}");
    stage.kubectl(&["annotate", "secret", "csvboard-secrets", "-n", "csvboard", "--overwrite", &annotation]).map(drop)
}

/// A value changed by hand restarts every pod that takes it, and no other.
pub fn restart_exactly_the_consumers(stage: &Stage) -> Outcome<()> {
    stage.tenant("consumers")?;
    let process = json!([{"name": "side", "image": "registry.example.com/hello:1.0.0"}]);
    stage.apply(&hello("consumers", "reader", json!({"envFrom": [{"secret": "shared"}], "processes": process})))?;
    stage.apply(&hello("consumers", "bystander", json!({"envFrom": [{"secret": "other"}]})))?;
    for name in ["shared", "other"] {
        stage.apply(&secret("consumers", name, &[("GREETING", "good morning")]).to_string())?;
    }
    stage.live("consumers", "reader")?;
    stage.live("consumers", "bystander")?;
    let before = pods(stage)?;
    stage.apply(&secret("consumers", "shared", &[("GREETING", "good night")]).to_string())?;
    let after = until(Duration::from_secs(60), || {
        let now = pods(stage)?;
        let fresh = ["app/reader", "process-side/reader"]
            .iter()
            .all(|who| now.get(*who).is_some_and(|p| !p.is_empty() && p != &before[*who]));
        Ok(fresh.then_some(now))
    })?;
    assert_eq!(after["app/bystander"], before["app/bystander"]);
    stage.live("consumers", "reader")?;
    stage.kubectl(&["delete", "saas", "--all", "-n", "consumers", "--timeout=90s"]).map(drop)
}

/// The running pods by what they are.
fn pods(stage: &Stage) -> Outcome<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pod in stage.json(&["get", "pods", "-n", "consumers"])?["items"].as_array().into_iter().flatten() {
        let labels = &pod["metadata"]["labels"];
        let label = |name: &str| labels[name].as_str().unwrap_or_default().to_owned();
        let who = format!("{}/{}", label("app.kubernetes.io/component"), label("golive.dev/deployment"));
        if pod["metadata"]["deletionTimestamp"].is_null() {
            found.entry(who).or_default().push(pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned());
        }
    }
    Ok(found)
}
