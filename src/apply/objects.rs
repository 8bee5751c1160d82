//! Kubernetes objects: declared by server-side apply where they differ, pruned where no part wants them any more.

use futures::stream::{self, StreamExt};
use kube::ResourceExt;
use kube::api::{DeleteParams, DynamicObject, Preconditions, PropagationPolicy};
use serde_json::{Value, json};

use super::{Done, Drift, PartDone, Wrote, owner_reference};
use crate::child::Child;
use crate::cluster;
use crate::fault::{Fault, Seen};
use crate::kinds::Kind;
use crate::objects::APPLIED;
use crate::observe::{Observer, owner};
use crate::plan::names::hash_of;
use crate::plan::{Ask, Manifest, Part, Plan, Steps, Verdict};

/// Writes of one part that are under way at once.
const AT_ONCE: usize = 4;

/// Applies the objects of a part that differ from what is there.
pub async fn declare(observer: &Observer, ask: Ask<'_>, (part, steps): (Part, &Steps), done: &mut PartDone) {
    let mut manifests: Vec<&Manifest> = steps.manifests.iter().collect();
    manifests.sort_by_key(|manifest| manifest.kind);
    let mut writes = Vec::new();
    for manifest in manifests {
        let object = rendered(ask, part, manifest);
        let found = ask.world.children.find(manifest.kind, &manifest.name);
        if !agrees(&object, found) {
            let drift = match found {
                None => Drift::IfWell,
                Some(found) if applied(&object) == found.applied.as_deref() => Drift::Yes,
                Some(_) => Drift::No,
            };
            writes.push(write(observer, ask, manifest, (object, drift)));
        }
    }
    let results: Vec<_> = stream::iter(writes).buffered(AT_ONCE).collect().await;
    results.into_iter().for_each(|(wrote, result)| done.write(wrote, result.map(|()| true)));
}

/// Applies one object. Where somebody else changed it, it is taken over first: server-side apply leaves what another
/// manager owns.
async fn write(
    observer: &Observer,
    ask: Ask<'_>,
    manifest: &Manifest,
    (object, drift): (Value, Drift),
) -> (Wrote, Seen<()>) {
    let namespace = ask.saas.namespace().unwrap_or_default();
    let api = cluster::objects(&observer.client, &namespace, manifest.kind);
    let reset = async {
        match drift {
            Drift::Yes => cluster::take_over(&api, &manifest.name).await,
            Drift::IfWell | Drift::No => Ok(()),
        }
    };
    let written = match reset.await {
        Ok(()) => cluster::apply(&api, &manifest.name, &object).await,
        Err(fault) => Err(fault),
    };
    let wrote = Wrote { what: manifest.to_string(), drift };
    (wrote, written.map(|written| observer.cache.written(manifest.kind, written)))
}

/// A manifest as it is sent: with its owner, labels, and the hash of it all.
pub fn rendered(ask: Ask<'_>, part: Part, manifest: &Manifest) -> Value {
    let mut labels = ask.labels(part);
    labels.extend(manifest.labels.clone());
    let mut object = manifest.body.clone();
    object["apiVersion"] = json!(manifest.kind.api_version());
    object["kind"] = json!(manifest.kind.name());
    object["metadata"] = json!({"name": manifest.name, "labels": labels, "annotations": manifest.annotations});
    if !manifest.retained {
        object["metadata"]["ownerReferences"] = json!([owner_reference(ask.saas)]);
    }
    object["metadata"]["annotations"][APPLIED] = json!(hash_of(&object, 16));
    object
}

/// Whether an object is as it was last declared, and nobody has changed a field of it since.
pub fn agrees(wanted: &Value, found: Option<&Child>) -> bool {
    let Some(found) = found else { return false };
    let hash = applied(wanted);
    hash.is_some() && hash == found.applied.as_deref() && found.is_as_applied(|object| is_same(object, wanted))
}

/// Whether an object has every mark and field that is wanted.
fn is_same(found: &DynamicObject, wanted: &Value) -> bool {
    let fields = wanted.as_object().into_iter().flatten();
    is_marked(found, wanted)
        && fields
            .filter(|(name, _)| !["metadata", "apiVersion", "kind"].contains(&name.as_str()))
            .all(|(name, value)| holds(found.data.get(name), value))
}

/// Whether an object has the labels and annotations that were declared: gateways are told things by annotations.
fn is_marked(found: &DynamicObject, wanted: &Value) -> bool {
    let marks = [("labels", &found.metadata.labels), ("annotations", &found.metadata.annotations)];
    marks.into_iter().all(|(field, have)| {
        let wanted = wanted["metadata"][field].as_object().into_iter().flatten();
        wanted
            .into_iter()
            .all(|(key, value)| have.as_ref().and_then(|have| have.get(key)).map(String::as_str) == value.as_str())
    })
}

fn applied(wanted: &Value) -> Option<&str> {
    wanted.pointer(&format!("/metadata/annotations/{}", APPLIED.replace('/', "~1")))?.as_str()
}

/// Lists to which nobody else may add: an application's environment, its mounts and its ports.
const CLOSED: [&str; 4] = ["env", "envFrom", "volumeMounts", "ports"];

/// Whether `found` has everything that `wanted` says; the API server may have added to it.
fn holds(found: Option<&Value>, wanted: &Value) -> bool {
    match (found, wanted) {
        (_, Value::Null) => true,
        (Some(Value::Object(found)), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| holds(found.get(key), value) && !is_added_to(key, found.get(key), value))
        }
        (Some(Value::Array(found)), Value::Array(wanted)) => list_holds(found, wanted),
        (Some(found), wanted) => found == wanted || is_same_quantity(found, wanted),
        (None, wanted) => is_empty(wanted),
    }
}

/// Whether a list that is ours alone is longer than declared.
fn is_added_to(key: &str, found: Option<&Value>, wanted: &Value) -> bool {
    let length = |value: &Value| value.as_array().map(Vec::len);
    CLOSED.contains(&key) && found.and_then(length).is_some_and(|found| Some(found) != length(wanted))
}

/// Lists of named things may have been added to by others; all other lists are equal in length and order.
fn list_holds(found: &[Value], wanted: &[Value]) -> bool {
    let named = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    if !wanted.is_empty() && wanted.iter().all(|value| named(value).is_some()) {
        return wanted
            .iter()
            .all(|want| found.iter().any(|have| named(have) == named(want) && holds(Some(have), want)));
    }
    found.len() == wanted.len() && found.iter().zip(wanted).all(|(have, want)| holds(Some(have), want))
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// `1000m` and `1`, `1024Mi` and `1Gi`: the API server writes quantities in its own way.
fn is_same_quantity(found: &Value, wanted: &Value) -> bool {
    let amount = |value: &Value| quantity(value.as_str()?);
    matches!((amount(found), amount(wanted)), (Some(a), Some(b)) if a == b)
}

/// A quantity in thousandths: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.
fn quantity(text: &str) -> Option<u128> {
    let units = [
        ("Ki", 1_024_000),
        ("Mi", 1_048_576_000),
        ("Gi", 1_073_741_824_000),
        ("Ti", 1_099_511_627_776_000),
        ("m", 1),
        ("k", 1_000_000),
        ("M", 1_000_000_000),
        ("G", 1_000_000_000_000),
        ("T", 1_000_000_000_000_000),
        ("", 1_000),
    ];
    let (number, scale) = units.into_iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = u32::try_from(fraction.len()).ok()?;
    let value: u128 = format!("{whole}{fraction}").parse().ok()?;
    Some(value.checked_mul(scale)? / 10u128.checked_pow(digits)?)
}

/// Deletes objects of ours that no part wants.
pub async fn prune(observer: &Observer, ask: Ask<'_>, plan: &Plan, done: &mut Done) {
    if ask.saas.metadata.deletion_timestamp.is_some() {
        return;
    }
    for (part, kind, name) in unwanted(ask, plan) {
        let result = delete(observer, ask, kind, &name).await;
        done.parts.entry(part).or_default().record(format!("{} {name} deleted", kind.name()), result);
    }
}

/// The objects of ours that no part wants: of parts that hold, none.
pub fn unwanted(ask: Ask<'_>, plan: &Plan) -> Vec<(Part, Kind, String)> {
    let owned = ask.world.children.iter().filter(|(_, object)| is_owned(ask, object));
    let known = owned.filter_map(|(kind, object)| Some((object.part?, kind, object.name.to_string())));
    known.filter(|(part, kind, name)| !is_wanted(plan.parts.get(part), *kind, name)).collect()
}

/// Only what carries our reference is removed: not what is retained, nor what CronJobs made.
fn is_owned(ask: Ask<'_>, object: &Child) -> bool {
    ask.saas.metadata.uid.as_ref().is_some_and(|uid| object.belongs_to(uid))
}

fn is_wanted(verdict: Option<&Verdict>, kind: Kind, name: &str) -> bool {
    match verdict {
        None => false,
        Some(Err(_)) => true,
        Some(Ok(steps)) => {
            let declared = steps.manifests.iter().any(|m| m.kind == kind && m.name == name);
            declared || steps.kept.iter().any(|(k, n)| *k == kind && n == name)
        }
    }
}

/// Deletes the object that was observed, and no later one of its name.
pub async fn delete(observer: &Observer, ask: Ask<'_>, kind: Kind, name: &str) -> Seen<bool> {
    let Some(object) = ask.world.children.find(kind, name) else { return Ok(false) };
    if object.going {
        return Ok(false);
    }
    let api = cluster::objects(&observer.client, &ask.saas.namespace().unwrap_or_default(), kind);
    let preconditions = Preconditions { uid: Some(object.uid.to_string()), ..Preconditions::default() };
    let params = DeleteParams {
        preconditions: Some(preconditions),
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    match cluster::within(&format!("delete {} {name}", kind.name()), api.delete(name, &params)).await {
        Ok(_) | Err(Fault::Rejected(_) | Fault::Outrun(_)) => {
            observer.cache.deleted(kind, &owner(ask.saas), name);
            Ok(true)
        }
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_added_is_no_difference_and_what_somebody_changed_is() {
        let wanted = json!({"replicas": 2, "list": [{"name": "a", "image": "x"}], "gone": {}});
        let found =
            json!({"replicas": 2, "list": [{"name": "a", "image": "x", "tty": false}, {"name": "b"}], "more": 1});
        assert!(holds(Some(&found), &wanted));
        let added = json!({"env": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]});
        assert!(!holds(Some(&added), &json!({"env": [{"name": "a", "value": "1"}]})), "an added variable");
        for (pointer, value) in [("/replicas", json!(3)), ("/list/0/image", json!("y")), ("/list", json!([]))] {
            let mut changed = found.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            assert!(!holds(Some(&changed), &wanted), "{pointer}");
        }
    }

    #[test]
    fn an_annotation_that_somebody_took_away_is_a_difference() {
        let wanted =
            json!({"metadata": {"labels": {"a": "b"}, "annotations": {APPLIED: "h", "tls": "true"}}, "spec": {}});
        let found = |labels: Value, annotations: Value| -> DynamicObject {
            let metadata = json!({"name": "n", "labels": labels, "annotations": annotations});
            serde_json::from_value(json!({"apiVersion": "v1", "kind": "K", "metadata": metadata, "spec": {}})).unwrap()
        };
        let whole = json!({APPLIED: "h", "tls": "true", "added": "by a controller"});
        let agrees = |object| agrees(&wanted, Some(&Child::new(Kind::Service, object)));
        assert!(agrees(found(json!({"a": "b", "c": "d"}), whole.clone())));
        assert!(!agrees(found(json!({"a": "b"}), json!({APPLIED: "h"}))));
        assert!(!agrees(found(json!({"a": "x"}), whole)));
    }

    #[test]
    fn quantities_are_compared_by_what_they_mean() {
        for (a, b) in [("1000m", "1"), ("1024Mi", "1Gi"), ("0.5", "500m"), ("2", "2")] {
            assert!(is_same_quantity(&json!(a), &json!(b)), "{a} {b}");
        }
        assert!(!is_same_quantity(&json!("1Gi"), &json!("1G")));
        assert!(!is_same_quantity(&json!("csvboard"), &json!("hello")));
    }

    #[test]
    fn no_text_breaks_the_reader_of_quantities() {
        crate::fuzz::texts(&["1.5Gi", "250m", "99999999999999999999", "1Ti", "0.001k"], 20_000, |text| {
            assert!(quantity(text).is_none() || text.contains(|c: char| c.is_ascii_digit()), "{text}")
        });
    }
}
