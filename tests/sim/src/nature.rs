//! What the kubelet, the controllers and the gateway do in a cluster: each look brings every object one step further.
//!
//! All of it follows from the state alone, so it goes on wherever a copy of a state is taken up.

use golive::evidence::{BackupFacts, BackupTask, Contents, DrillTask, Evidence, RestoreFacts, SolveTask, TargetFacts};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cluster::resource::Resource;
use crate::cluster::write::{self, Writer};
use crate::cluster::{CONTENT, Cluster, Object, second};

/// The address of the gateway.
pub const ADDRESS: &str = "203.0.113.7";

/// Brings everything one step further; returns whether anything moved.
pub fn step(cluster: &mut Cluster, now: Timestamp) -> bool {
    let before = cluster.version();
    cluster.relieve(now);
    cluster.collect(now);
    finish(cluster, now);
    let moving = cluster.every().filter(|(_, object)| !object.rests());
    let moving: Vec<_> = moving.map(|((resource, ..), object)| (*resource, object.clone())).collect();
    for (resource, object) in moving {
        match next(cluster, resource, &object, now) {
            Some(status) => tell(cluster, resource, &object, status, now),
            None if is_late_once(&object) => {}
            None => object.rest(),
        }
    }
    cluster.version() != before
}

/// Whether time alone brings an object further: one whose image cannot be pulled is late after a while.
fn is_late_once(object: &Object) -> bool {
    has_tag(&object.value["spec"]["template"]["spec"]["containers"][0]["image"], "-missing")
}

/// Namespaces that are going take what is in them with them, and go once they are empty.
fn finish(cluster: &mut Cluster, now: Timestamp) {
    let going: Vec<String> = cluster
        .of_kind("Namespace")
        .filter(|ns| !ns.value["metadata"]["deletionTimestamp"].is_null())
        .map(|ns| ns.meta("name").to_owned())
        .collect();
    for namespace in going {
        let inside: Vec<_> =
            cluster.every().filter(|(key, _)| key.1 == namespace).map(|(key, _)| key.clone()).collect();
        inside.iter().for_each(|key| drop(cluster.delete(key, now)));
        if cluster.every().all(|(key, _)| key.1 != namespace)
            && let Some(resource) = Resource::of_kind("Namespace")
        {
            cluster.relieve_of(&(resource, String::new(), namespace), CONTENT, now);
        }
    }
}

fn tell(cluster: &mut Cluster, resource: &'static Resource, object: &Object, status: Value, now: Timestamp) {
    let writer = Writer { manager: "nature", subresource: "status", force: false };
    let mut new = object.value.clone();
    new["status"] = status;
    let value = write::replace(resource, &object.value, &new, writer);
    cluster.store(resource, value, now);
}

/// The next status of an object, where it is to change.
fn next(cluster: &mut Cluster, resource: &'static Resource, object: &Object, now: Timestamp) -> Option<Value> {
    let status = match resource.kind {
        "Deployment" => deployment(&object.value, now),
        "Job" => job(cluster, object, now)?,
        "PersistentVolumeClaim" => json!({"phase": "Bound"}),
        "Gateway" => gateway(&object.value, now),
        "HTTPRoute" => route(&object.value, now),
        "Ingress" => json!({"loadBalancer": {"ingress": [{"ip": ADDRESS}]}}),
        _ => return None,
    };
    (status != object.value["status"]).then_some(status)
}

/// One look sees the new generation, the next its pods; with a `-missing` tag, their image cannot be pulled.
fn deployment(object: &Value, now: Timestamp) -> Value {
    let (wanted, generation) = (object["spec"]["replicas"].as_i64().unwrap_or(1), &object["metadata"]["generation"]);
    let seen = object["status"]["observedGeneration"] == *generation;
    if seen && has_tag(&object["spec"]["template"]["spec"]["containers"][0]["image"], "-missing") {
        let conditions = json!([progress(object, now)]);
        return json!({
            "observedGeneration": generation, "replicas": wanted, "updatedReplicas": wanted,
            "unavailableReplicas": wanted, "conditions": conditions,
        });
    }
    if seen {
        let conditions = json!([condition(object, "Available", now)]);
        return json!({
            "observedGeneration": generation, "replicas": wanted, "updatedReplicas": wanted,
            "readyReplicas": wanted, "availableReplicas": wanted, "conditions": conditions,
        });
    }
    json!({"observedGeneration": generation, "replicas": wanted, "updatedReplicas": wanted, "unavailableReplicas": wanted})
}

/// What is said of pods that do not come up: after a while, that they are late.
fn progress(object: &Value, now: Timestamp) -> Value {
    let mut told = condition(object, "Progressing", now);
    let begun: Option<Timestamp> = told["lastTransitionTime"].as_str().and_then(|time| time.parse().ok());
    let limit = object["spec"]["progressDeadlineSeconds"].as_i64().unwrap_or(600);
    let is_late = begun.is_some_and(|begun| now.duration_since(begun).as_secs() >= limit);
    if told["status"] == "True" && is_late {
        told["status"] = json!("False");
        told["reason"] = json!("ProgressDeadlineExceeded");
        told["lastTransitionTime"] = json!(second(now));
    }
    told
}

/// A condition that keeps its time while it stands.
fn condition(object: &Value, kind: &str, now: Timestamp) -> Value {
    let old =
        object["status"]["conditions"].as_array().and_then(|list| list.iter().find(|c| c["type"] == kind)).cloned();
    old.unwrap_or_else(|| {
        let generation = &object["metadata"]["generation"];
        json!({"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": generation, "lastTransitionTime": second(now)})
    })
}

fn gateway(object: &Value, now: Timestamp) -> Value {
    let conditions = json!([condition(object, "Accepted", now), condition(object, "Programmed", now)]);
    json!({"addresses": [{"type": "IPAddress", "value": ADDRESS}], "conditions": conditions})
}

fn route(object: &Value, now: Timestamp) -> Value {
    let list = object["spec"]["parentRefs"].as_array().cloned().unwrap_or_default();
    let at = object.pointer("/status/parents/0/conditions").cloned();
    let fresh = json!([condition(object, "Accepted", now), condition(object, "ResolvedRefs", now)]);
    let conditions = at.unwrap_or(fresh);
    let parent = |reference: &Value| json!({"parentRef": reference, "controllerName": "sim", "conditions": conditions});
    json!({"parents": list.iter().map(parent).collect::<Vec<_>>()})
}

/// A Job's pod starts, then ends; a solver goes on until it is removed, and so does what runs an image with an `-endless` tag.
/// With a `-starting` tag the pod is about to start, and with a `-missing` tag its image cannot be pulled.
fn job(cluster: &mut Cluster, object: &Object, now: Timestamp) -> Option<Value> {
    let status = &object.value["status"];
    if status["conditions"].is_array() || !object.value["metadata"]["deletionTimestamp"].is_null() {
        return None;
    }
    let container = &object.value["spec"]["template"]["spec"]["containers"][0];
    let has = |tag| has_tag(&container["image"], tag);
    if status["active"] != 1 {
        if has("-missing") {
            let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}});
            pod(cluster, object, ("Pending", waiting), now);
        }
        let ready = i32::from(!has("-starting") && !has("-missing"));
        return Some(json!({"active": 1, "ready": ready, "startTime": second(now)}));
    }
    if container["args"][0] == "solve" || ["-endless", "-starting", "-missing"].into_iter().any(has) {
        return None;
    }
    let fails = container["args"][0] == "smoke" && serves_broken(cluster, object.meta("namespace"));
    let (code, message) = if fails { (1, BROKEN.to_owned()) } else { (0, told(container, now)) };
    let ended = json!({"exitCode": code, "message": message, "startedAt": second(now), "finishedAt": second(now)});
    pod(cluster, object, (if fails { "Failed" } else { "Succeeded" }, json!({"terminated": ended})), now);
    let ends = if fails { ["FailureTarget", "Failed"] } else { ["SuccessCriteriaMet", "Complete"] };
    let conditions: Vec<Value> = ends.iter().map(|end| condition(&object.value, end, now)).collect();
    let counted = if fails { "failed" } else { "succeeded" };
    let mut ended = json!({"startTime": status["startTime"], "completionTime": second(now), "conditions": conditions});
    ended[counted] = json!(1);
    Some(ended)
}

/// What a smoke test tells of an application that does not answer as it should.
const BROKEN: &str = r#"{"ok":false,"reason":"SmokeFailed","message":"1 of 1 checks failed; health: GET /health answered 500 instead of 200"}"#;

/// Whether an application in a namespace runs an image with a `-broken` tag.
fn serves_broken(cluster: &Cluster, namespace: &str) -> bool {
    let image = |object: &Object| object.value["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    let here = cluster.of_kind("Deployment").filter(|object| object.meta("namespace") == namespace);
    here.into_iter().any(|object| has_tag(&image(object), "-broken"))
}

fn has_tag(image: &Value, end: &str) -> bool {
    image.as_str().is_some_and(|image| image.ends_with(end))
}

/// The pod of a Job in a phase, with the state of its container.
fn pod(cluster: &mut Cluster, job: &Object, (phase, state): (&str, Value), now: Timestamp) {
    let Some(resource) = Resource::of_kind("Pod") else { return };
    let name = format!("{}-{}", job.meta("name"), job.meta("uid").get(4..8).unwrap_or_default());
    let mut labels = job.value["spec"]["template"]["metadata"]["labels"].clone();
    labels["batch.kubernetes.io/job-name"] = json!(job.meta("name"));
    let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": job.meta("name"), "uid": job.meta("uid"), "controller": true, "blockOwnerDeletion": true}]);
    let container =
        json!({"name": "main", "image": "x", "imageID": "x", "ready": false, "restartCount": 0, "state": state});
    let value = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": job.meta("namespace"), "labels": labels, "ownerReferences": owner},
        "spec": {"containers": []},
        "status": {"phase": phase, "containerStatuses": [container]},
    });
    cluster.store(resource, value, now);
}

/// What the container of a golive job tells: that all went well.
fn told(container: &Value, now: Timestamp) -> String {
    let env = container["env"].as_array().and_then(|env| env.iter().find(|e| e["name"] == "GOLIVE_TASK"));
    let task = env.and_then(|e| e["value"].as_str()).unwrap_or_default();
    match container["args"][0].as_str() {
        Some("backup") => serde_json::from_str(task).ok().and_then(|task| backup(&task, now)),
        Some("drill") => serde_json::from_str(task).ok().and_then(|task| drill(&task, now)),
        _ => None,
    }
    .unwrap_or_default()
}

fn contents() -> Contents {
    Contents::new([("users".to_owned(), 3)].into())
}

fn backup(task: &BackupTask, now: Timestamp) -> Option<String> {
    let target = |target: &golive::evidence::Target| TargetFacts {
        account: target.account.clone(),
        ok: true,
        failure: None,
        snapshot: Some("5eed5eed".into()),
        bytes: 4096,
        stored_bytes: 4096,
        forgotten: 0,
        seconds: 1,
    };
    let targets = task.targets.iter().map(target).collect();
    let facts = BackupFacts { targets, contents: contents(), warnings: vec![], missing: false, seconds: 1, time: now };
    Evidence::success(facts).json().ok()
}

fn drill(_task: &DrillTask, now: Timestamp) -> Option<String> {
    let facts = RestoreFacts {
        snapshot: "5eed5eed".into(),
        snapshot_time: now,
        contents: contents(),
        bytes: 4096,
        seconds: 1,
        safety: None,
        time: now,
    };
    Evidence::success(facts).json().ok()
}

/// What a solver that runs answers the CA under a token, if a route leads to it from this host.
pub fn solved(cluster: &Cluster, host: &str, token: &str) -> Option<String> {
    let routed = |object: &Object, pointer: &str, field: &str| {
        let list = object.value.pointer(pointer).and_then(Value::as_array);
        list.is_some_and(|list| list.iter().any(|entry| entry == host || entry[field] == host))
    };
    let by_route = cluster.of_kind("HTTPRoute").any(|route| routed(route, "/spec/hostnames", ""));
    let by_ingress = cluster.of_kind("Ingress").any(|ingress| routed(ingress, "/spec/rules", "host"));
    let runs = |job: &&std::sync::Arc<Object>| job.value["status"]["ready"] == 1;
    let task = |job: &std::sync::Arc<Object>| {
        let env = job.value.pointer("/spec/template/spec/containers/0/env")?.as_array()?.clone();
        let task = env.iter().find(|e| e["name"] == "GOLIVE_TASK")?["value"].as_str()?.to_owned();
        serde_json::from_str::<SolveTask>(&task).ok()
    };
    let answers =
        cluster.of_kind("Job").filter(runs).filter_map(task).find_map(|task| task.answers.get(token).cloned());
    answers.filter(|_| by_route || by_ingress)
}
