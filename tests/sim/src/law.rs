//! What must hold at rest, whatever happened on the way.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::cluster::resource::Resource;
use crate::place::State;
use crate::portrait;
use crate::run::Ended;
use crate::secrets;

/// Every breach of a law by a run that should have ended as `wanted` did.
pub fn breaches(wanted: &Portrait, ended: &Ended) -> Vec<String> {
    let mut found = always(ended);
    let drawn = portrait::of(&ended.state);
    found.extend(match wanted.inherits {
        true => portrait::differences(&without_records(wanted.drawn.clone()), &without_records(drawn)),
        false => portrait::differences(&wanted.drawn, &drawn),
    });
    let (orders, accounts) = (ended.state.authority.orders.len(), ended.state.authority.accounts());
    if orders > wanted.orders + wanted.extra_orders {
        found.push(format!("{orders} ACME orders where {} do", wanted.orders));
    }
    if accounts > 1 {
        found.push(format!("{accounts} ACME accounts"));
    }
    found
}

/// Where a world that went a long way differs from one that went straight, but for history and what outlives a wish.
pub fn strays(direct: &Ended, walked: &Ended) -> Vec<String> {
    let still = |ended: &Ended| {
        let mut drawn = portrait::of(&ended.state);
        if let Some(objects) = drawn["cluster"].as_object_mut() {
            leave_out_unnamed(objects, &ended.state);
            objects.retain(|place, drawn| !is_history(place) && !is_memory(place, drawn));
            leave_to_autoscalers(objects);
        }
        drawn["told"] = told(&drawn["cluster"]);
        drawn
    };
    let mut found = always(walked);
    // A spec that cannot be met stops where it is: what ran before goes on running, but why it is not live is the same.
    let pointer = if is_live(&direct.state) { "" } else { "/told" };
    let [direct, walked] =
        [still(direct), still(walked)].map(|drawn| drawn.pointer(pointer).cloned().unwrap_or_default());
    found.extend(portrait::differences(&direct, &walked));
    found
}

/// Whether SaasDeployments are ready as a whole. A single part may go on with what ran before, and of several reasons why they
/// are not the way decides which comes first.
fn told(objects: &Value) -> Value {
    let ours = objects.as_object().into_iter().flatten().filter(|(place, _)| place.starts_with("SaasDeployment/"));
    let conditions = ours.flat_map(|(_, drawn)| drawn["status"]["conditions"].as_array().cloned().unwrap_or_default());
    let whole = conditions.filter(|c| ["Ready", "Reconciling", "Stalled"].iter().any(|whole| c[0] == *whole));
    whole.map(|c| json!([c[0], c[1]])).collect()
}

/// What was done, at any moment of a run, to an object of somebody else's that has the name of one of golive's; and whether
/// its SaasDeployment ever said so, unless it went live all the same.
pub fn trespasses(theirs: &Value, ended: &Ended) -> Vec<String> {
    let states = || ended.writes.iter().filter_map(|write| Some(&write.states.as_ref()?.1)).chain([&ended.state]);
    let touched = states().skip_while(|state| place(theirs, state).is_none()).find_map(|state| touched(theirs, state));
    let tells = |saas: &Value| saas["status"].to_string().contains("is not golive's");
    let told = states().any(|state| state.cluster.of_kind("SaasDeployment").any(|saas| tells(&saas.value)));
    let silent = (!told && !is_live(&ended.state)).then(|| "nobody is told why it does not go live".to_owned());
    touched.into_iter().chain(silent).collect()
}

/// An object where it stands in a world.
fn place<'a>(theirs: &Value, state: &'a State) -> Option<&'a Value> {
    let [kind, namespace, name] = [&theirs["kind"], &theirs["metadata"]["namespace"], &theirs["metadata"]["name"]]
        .map(|text| text.as_str().unwrap_or_default());
    state.cluster.find(Resource::of_kind(kind)?, namespace, name).map(|object| &object.value)
}

/// How an object of somebody else's shows that golive wrote to it. Jobs go when their time is over.
fn touched(theirs: &Value, state: &State) -> Option<String> {
    let Some(found) = place(theirs, state) else {
        return (theirs["kind"] != "Job").then(|| format!("{} of somebody else's is gone", theirs["kind"]));
    };
    let metadata = &found["metadata"];
    let mut writers = metadata["managedFields"].as_array().into_iter().flatten();
    let is_theirs = metadata["labels"] == theirs["metadata"]["labels"] && metadata["ownerReferences"].is_null();
    let is_free = is_theirs && !writers.any(|entry| entry["manager"] == "golive");
    (!is_free).then(|| format!("{} of somebody else's became {metadata}", theirs["kind"]))
}

/// What is a breach wherever a run was to end.
fn always(ended: &Ended) -> Vec<String> {
    let mut found: Vec<String> = (!ended.rests).then(|| "it never came to rest".to_owned()).into_iter().collect();
    found.extend(secrets_in_step(&ended.state));
    found.extend(secrets::shown(&ended.state, ended.began));
    found.extend(secrets::lost(&ended.state, ended.began));
    found.extend(ended.hasty.first().cloned());
    found
}

/// A drawn world without what is done once and cannot be changed: Jobs of stages, and the record of releases.
fn without_records(mut drawn: Value) -> Value {
    let objects = drawn["cluster"].as_object_mut();
    let is_record = |place: &String| place.starts_with("Job/") || place.starts_with("ControllerRevision/");
    objects.into_iter().for_each(|objects| objects.retain(|place, _| !is_record(place)));
    drawn
}

/// Whose number of pods an autoscaler decides on begins with as many as ran before.
fn leave_to_autoscalers(objects: &mut Map<String, Value>) {
    let scaled = objects.keys().filter_map(|place| place.strip_prefix("HorizontalPodAutoscaler/"));
    let scaled: Vec<String> = scaled.map(|name| format!("Deployment/{name}")).collect();
    for place in scaled {
        objects.get_mut(&place).into_iter().for_each(|drawn| drawn["spec"]["replicas"] = Value::Null);
    }
}

/// Values that a spec on the way named are kept for a week.
fn leave_out_unnamed(objects: &mut Map<String, Value>, state: &State) {
    for secret in state.cluster.of_kind("Secret") {
        let ledger = secrets::ledger(secret);
        let (place, unnamed) =
            (format!("Secret/{}/{}", secret.meta("namespace"), secret.meta("name")), &ledger["unnamed"]);
        let Some(drawn) = objects.get_mut(&place).filter(|_| unnamed.is_object()) else { continue };
        let named = drawn["data"].as_array().into_iter().flatten();
        let named: Vec<Value> =
            named.filter(|env| unnamed[env.as_str().unwrap_or_default()].is_null()).cloned().collect();
        drawn["data"] = if named.is_empty() { Value::Null } else { json!(named) };
    }
}

/// Whether every SaasDeployment is ready.
pub fn is_live(state: &State) -> bool {
    let ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
    let is = |object: &Value| object["status"]["conditions"].as_array().is_some_and(|list| list.iter().any(ready));
    state.cluster.of_kind("SaasDeployment").all(|object| is(&object.value))
}

/// A vault without values remembers what was done, such as orders at the CA.
fn is_memory(place: &str, drawn: &Value) -> bool {
    place.starts_with("Secret/") && place.ends_with("-secrets") && drawn["data"].is_null()
}

/// Records of releases, volumes that are kept, certificates that may be wanted again, and the operator's account at the CA.
fn is_history(place: &str) -> bool {
    let kept = ["ControllerRevision/", "PersistentVolumeClaim/", "Job/", "Secret/golive-system/acme-"];
    kept.iter().any(|kind| place.starts_with(kind)) || (place.starts_with("Secret/") && place.ends_with("-tls"))
}

/// How a world should look in the end.
#[derive(Clone)]
pub struct Portrait {
    drawn: Value,
    orders: usize,
    /// ACME orders that a run may place beyond those of an untroubled one.
    pub extra_orders: usize,
    /// Whether an earlier version began: what it did once stands as it made it.
    pub inherits: bool,
}

impl Portrait {
    /// That of a run without troubles.
    pub fn of(ended: &Ended) -> Portrait {
        let orders = ended.state.authority.orders.len();
        Portrait { drawn: portrait::of(&ended.state), orders, extra_orders: 0, inherits: false }
    }
}

/// The signing secrets that applications have are those of the endpoints that stand.
fn secrets_in_step(state: &State) -> Vec<String> {
    let endpoints: Vec<String> = endpoint_secrets(&json!(state.vendors.stripe));
    let stored = stored(state, "webhooks");
    let lost = stored.iter().filter(|(_, value)| !endpoints.contains(value));
    lost.map(|(slot, _)| format!("the secret in {slot} is of no endpoint that stands")).collect()
}

fn endpoint_secrets(stripe: &Value) -> Vec<String> {
    match stripe {
        Value::Object(map) => {
            let own = map.get("secret").and_then(Value::as_str).filter(|text| text.starts_with("whsec_"));
            own.map(str::to_owned).into_iter().chain(map.values().flat_map(endpoint_secrets)).collect()
        }
        Value::Array(items) => items.iter().flat_map(endpoint_secrets).collect(),
        _ => Vec::new(),
    }
}

/// The values that vaults keep for what a part of their ledger names.
fn stored(state: &State, part: &str) -> BTreeMap<String, String> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let mut found = BTreeMap::new();
    for secret in state.cluster.of_kind("Secret") {
        let ledger = secrets::ledger(secret);
        for slot in ledger[part].as_object().into_iter().flat_map(|map| map.keys()) {
            let value = secret.value["data"][slot].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
            let text = value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
            found.insert(format!("{}/{slot}", secret.meta("name")), text);
        }
    }
    found
}
