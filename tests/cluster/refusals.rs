//! An API server that refuses, throttles or dies: it is said in its own words, and once it lets golive, golive goes on.

use std::time::Duration;

use serde_json::{Value, json};
use world::platform::NAMESPACE;

use crate::apps::{all_blocks, hello, rows, shows};
use crate::stage::{Outcome, Stage, until};

/// The tenant of what others' rules forbid.
const RULED: (&str, &str) = ("ruled", "ruled");

/// Quota, admission and another manager of fields, one after the other.
pub fn by_rules_of_others(stage: &Stage) -> Outcome<()> {
    stage.tenant(RULED.0)?;
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": RULED.0},
        "spec": {"hard": {"count/deployments.apps": "0"}}});
    stage.apply(&quota.to_string())?;
    // The quota counts once its controller has seen it.
    until(Duration::from_secs(30), || {
        let seen = stage.json(&["get", "resourcequota", "none", "-n", RULED.0])?;
        Ok(seen["status"]["hard"]["count/deployments.apps"].is_string().then_some(()))
    })?;
    stage.apply(&hello(RULED.0, RULED.1, json!({})))?;
    is_refused(stage, "exceeded quota")?;
    stage.kubectl(&["delete", "resourcequota", "none", "-n", RULED.0])?;
    stage.live(RULED.0, RULED.1)?;
    admission_denies(stage)?;
    another_manager_takes_fields(stage)?;
    admission_changes(stage)?;
    stage.kubectl(&["delete", "saas", RULED.1, "-n", RULED.0, "--timeout=90s"]).map(drop)
}

/// Only the application's own part says so, with the API server's words; what is declared beside it stands.
fn is_refused(stage: &Stage, words: &str) -> Outcome<()> {
    let held = stage.condition(RULED, "AppReady", ("False", "Rejected"))?;
    assert!(held["message"].as_str().is_some_and(|text| text.contains(words)), "{held}");
    for part in ["DnsReady", "TlsReady", "SecretsReady"] {
        stage.condition(RULED, part, ("True", ""))?;
    }
    Ok(())
}

/// What a policy is about: Deployments that are written,
fn writes_of_deployments() -> Value {
    json!([{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}])
}

/// and where it binds.
fn only_here() -> Value {
    json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": RULED.0}}})
}

fn admission_denies(stage: &Stage) -> Outcome<()> {
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "frozen"}, "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": writes_of_deployments()},
        "validations": [{"expression": "false", "message": "nothing is released on Fridays"}]}});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "frozen"}, "spec": {"policyName": "frozen", "validationActions": ["Deny"], "matchResources": only_here()}});
    stage.apply(&policy.to_string())?;
    stage.apply(&binding.to_string())?;
    let denied = is_denied(stage);
    stage.kubectl(&["delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "frozen"])?;
    denied?;
    stage.live(RULED.0, RULED.1)?;
    shows(stage, "https://ruled.example.com/env?name=DAY", "true")
}

fn is_denied(stage: &Stage) -> Outcome<()> {
    // A policy is enforced some time after it is there.
    until(Duration::from_secs(30), || {
        let tried = stage.kubectl(&["label", "deployment", RULED.1, "-n", RULED.0, "by=hand", "--dry-run=server"]);
        Ok(tried.is_err_and(|e| e.to_string().contains("Fridays")).then_some(()))
    })?;
    stage.apply(&hello(RULED.0, RULED.1, json!({"env": {"DAY": "Friday"}})))?;
    is_refused(stage, "nothing is released on Fridays")?;
    shows(stage, "https://ruled.example.com/", "http/2 200")
}

/// Somebody else applies the same object by force: what the spec says comes back, and what it does not say goes.
fn another_manager_takes_fields(stage: &Stage) -> Outcome<()> {
    let theirs = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": RULED.1, "namespace": RULED.0, "annotations": {"by": "hand"}},
        "spec": {"replicas": 3, "minReadySeconds": 7}});
    let apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=another", "-f", "-"];
    stage.kubectl_with(&apply, &theirs.to_string())?;
    until(Duration::from_secs(60), || {
        let now = stage.json(&["get", "deployment", RULED.1, "-n", RULED.0])?;
        let theirs = now["metadata"]["annotations"]["by"].is_string() || now["spec"]["minReadySeconds"].is_number();
        Ok((now["spec"]["replicas"] == 1 && !theirs).then_some(()))
    })?;
    stage.event(RULED.0, "DriftRepaired", "Deployment ruled")
}

/// A policy changes what golive declares each time it does: that is said, and golive does not fight it.
fn admission_changes(stage: &Stage) -> Outcome<()> {
    let api = "admissionregistration.k8s.io/v1beta1";
    let place = "/spec/template/spec/terminationGracePeriodSeconds";
    let patch = json!({"expression": format!("[JSONPatch{{op: 'replace', path: '{place}', value: 91}}]")});
    let policy = json!({"apiVersion": api, "kind": "MutatingAdmissionPolicy", "metadata": {"name": "patient"},
        "spec": {"failurePolicy": "Fail", "reinvocationPolicy": "Never", "matchConstraints": {"resourceRules": writes_of_deployments()},
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": patch}]}});
    let binding = json!({"apiVersion": api, "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "patient"}, "spec": {"policyName": "patient", "matchResources": only_here()}});
    stage.apply(&policy.to_string())?;
    stage.apply(&binding.to_string())?;
    let changed = is_changed(stage);
    stage.kubectl(&["delete", "mutatingadmissionpolicybinding,mutatingadmissionpolicy", "patient"])?;
    changed
}

fn is_changed(stage: &Stage) -> Outcome<()> {
    // A policy is enforced some time after it is there.
    until(Duration::from_secs(30), || {
        let web = ["annotate", "deployment", RULED.1, "-n", RULED.0, "by=hand", "--dry-run=server", "-o", "json"];
        let tried = stage.kubectl(&web)?;
        Ok(tried.contains("\"terminationGracePeriodSeconds\": 91").then_some(()))
    })?;
    stage.apply(&hello(RULED.0, RULED.1, json!({"env": {"DAY": "Saturday"}})))?;
    stage.live(RULED.0, RULED.1)?;
    let ready = stage.condition(RULED, "AppReady", ("True", "InSync"))?;
    let told = "admission changes Deployment ruled (spec.template.spec.terminationGracePeriodSeconds)";
    assert!(ready["message"].as_str().is_some_and(|text| text.contains(told)), "{ready}");
    Ok(())
}

/// A right that is taken away, a server that has no time for golive, and one that dies: each in the middle of work.
pub fn by_force(stage: &Stage) -> Outcome<()> {
    stage.tenant("forced")?;
    a_right_is_revoked(stage)?;
    everything_is_throttled(stage)?;
    the_server_dies(stage)?;
    the_leader_changes(stage)?;
    stage.kubectl(&["delete", "saas", "--all", "-n", "forced", "--timeout=120s"])?;
    assert_eq!(rows(stage, "forced/")?, Vec::<Value>::new());
    Ok(())
}

fn a_right_is_revoked(stage: &Stage) -> Outcome<()> {
    let role = stage.json(&["get", "clusterrole", "golive"])?;
    let mut less = role.clone();
    let others =
        |rule: &Value| !rule["resources"].to_string().contains("deployments\"") || rule["apiGroups"] != json!(["apps"]);
    less["rules"] = role["rules"].as_array().into_iter().flatten().filter(|rule| others(rule)).cloned().collect();
    assert_ne!(less["rules"], role["rules"], "no rule is about Deployments");
    stage.kubectl_with(&["replace", "-f", "-"], &less.to_string())?;
    stage.apply(&hello("forced", "righted", json!({})))?;
    let told = stage.condition(("forced", "righted"), "AppReady", ("False", ""));
    let told = told.and_then(|_| is_forbidden(stage));
    let now = stage.json(&["get", "clusterrole", "golive"])?;
    let mut back = role;
    back["metadata"]["resourceVersion"] = now["metadata"]["resourceVersion"].clone();
    stage.kubectl_with(&["replace", "-f", "-"], &back.to_string())?;
    told?;
    stage.live("forced", "righted")
}

fn is_forbidden(stage: &Stage) -> Outcome<()> {
    until(Duration::from_secs(60), || {
        let saas = stage.saas("forced", "righted")?;
        let told = crate::stage::conditions(&saas).find(|c| c["type"] == "AppReady").map(|c| c["message"].to_string());
        Ok(told.is_some_and(|text| text.contains("forbidden") && text.contains("deployments")).then_some(()))
    })
}

/// All that golive writes and reads but its Lease is answered 429: nothing can be told, and nothing is lost.
fn everything_is_throttled(stage: &Stage) -> Outcome<()> {
    let version = "flowcontrol.apiserver.k8s.io/v1";
    let limited = json!({"nominalConcurrencyShares": 0, "lendablePercent": 0, "limitResponse": {"type": "Reject"}});
    let level = json!({"apiVersion": version, "kind": "PriorityLevelConfiguration", "metadata": {"name": "no-time"},
        "spec": {"type": "Limited", "limited": limited}});
    let what = json!([{"verbs": ["*"], "apiGroups": ["", "apps", "golive.dev", "batch"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true}]);
    let who = json!([{"kind": "ServiceAccount", "serviceAccount": {"name": "golive", "namespace": NAMESPACE}}]);
    let flow = json!({"apiVersion": version, "kind": "FlowSchema", "metadata": {"name": "no-time"},
        "spec": {"matchingPrecedence": 2, "priorityLevelConfiguration": {"name": "no-time"}, "rules": [{"subjects": who, "resourceRules": what}]}});
    let from = stage.audited()?;
    stage.apply(&level.to_string())?;
    stage.apply(&flow.to_string())?;
    let refused = refusals_since(stage, from);
    stage.kubectl(&["delete", "flowschema,prioritylevelconfiguration", "no-time"])?;
    refused?;
    stage.live("forced", "throttled")
}

fn refusals_since(stage: &Stage, from: u64) -> Outcome<()> {
    let refused = || -> Outcome<usize> {
        Ok(stage.audit_since(from)?.iter().filter(|event| event["responseStatus"]["code"] == 429).count())
    };
    until(Duration::from_secs(60), || Ok((refused()? > 0).then_some(())))?;
    stage.apply(&hello("forced", "throttled", all_blocks()))?;
    let before = refused()?;
    until(Duration::from_secs(60), || Ok((refused()? > before).then_some(())))
}

/// The API server is killed while an application goes live, and comes back.
fn the_server_dies(stage: &Stage) -> Outcome<()> {
    stage.apply(&hello("forced", "survivor", all_blocks()))?;
    // It has begun: the finalizer is there.
    until(Duration::from_secs(30), || {
        Ok(stage.saas("forced", "survivor")?["metadata"]["finalizers"].is_array().then_some(()))
    })?;
    stage.kill_the_server()?;
    stage.live("forced", "survivor")?;
    let (calm, survivor) = (rows(stage, "forced/throttled")?.len(), rows(stage, "forced/survivor")?.len());
    assert_eq!(calm, survivor, "something stands twice, or not at all");
    shows(stage, "https://survivor.example.com/", "http/2 200")
}

/// A leader that is asked to go hands over at once; one that dies is followed when its Lease ends.
fn the_leader_changes(stage: &Stage) -> Outcome<()> {
    let holder = || -> Outcome<String> {
        let lease = stage.json(&["get", "lease", "golive", "-n", NAMESPACE])?;
        Ok(lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned())
    };
    for how in [&["--grace-period=30"][..], &["--grace-period=0", "--force"]] {
        let leader = until(Duration::from_secs(60), || Ok(Some(holder()?).filter(|holder| !holder.is_empty())))?;
        stage.kubectl(&[&["delete", "pod", &leader, "-n", NAMESPACE, "--wait=false"][..], how].concat())?;
        let other = |now: &String| !now.is_empty() && *now != leader;
        until(Duration::from_secs(30), || Ok(Some(holder()?).filter(other)))?;
    }
    stage.apply(&hello("forced", "after", json!({})))?;
    stage.live("forced", "after")
}
