//! Walks come to every field of the spec that golive acts on; what they leave out it refuses, and says so.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sim::cluster::write::patched;
use sim::laws::subjects;
use sim::walk::paths;
use sim::words;

/// Fields of the API that golive does not act on: each with a spec that asks for it.
const REFUSED: [(&str, &str); 17] = [
    (
        "backup.d1",
        "{database: {sqlite: {file: /data/a.db, env: DB}}, backup: {d1: [db], schedule: '0 2 * * *', to: [{account: s3-eu}]}}",
    ),
    ("cache", "{cache: {redis: {env: REDIS_URL}}}"),
    ("database.postgres", "{database: {postgres: {env: DB, urlSecret: {name: pg, key: url}}}}"),
    ("edge.compress", "{edge: {compress: true}}"),
    ("edge.cors", "{edge: {cors: {origins: ['https://a.example.com']}}}"),
    ("edge.originTls", "{edge: {originTls: Full}}"),
    ("edge.rateLimit", "{edge: {rateLimit: [{path: /, requestsPerMinute: 60}]}}"),
    ("gates", "{gates: {mode: Enforce}}"),
    ("mail", "{mail: {ses: {domain: example.com}}}"),
    ("monitors.objectives", "{monitors: {objectives: {latencyMillis: 300}}}"),
    ("patches", "{patches: [{kind: Deployment, name: hello, merge: {spec: {paused: true}}}]}"),
    ("payments.razorpay", "{payments: {razorpay: {webhooks: [{path: /r, events: [payment.captured], secretEnv: R}]}}}"),
    (
        "payments.stripe.products",
        "{payments: {stripe: {products: [{name: P, prices: [{name: p, currency: eur, amountMinor: 100, env: PRICE}]}]}}}",
    ),
    (
        "payments.stripe.webhooks[].worker",
        "{workers: [{name: w, domain: w.example.com, script: {configMap: c}}], payments: {stripe: {webhooks: [{path: /h, preset: Subscriptions, secretEnv: H, worker: w}]}}}",
    ),
    ("release.rehearse", "{release: {rehearse: true}}"),
    ("release.soakMinutes", "{release: {soakMinutes: 5}}"),
    ("workers", "{workers: [{name: w, domain: w.example.com, script: {configMap: c}}]}"),
];

/// The fields of a schema that hold values, as paths.
fn leaves(schema: &Value, path: &str, into: &mut Vec<String>) {
    let inner = |key: &str| schema.get(key).filter(|inner| inner["properties"].is_object());
    match (schema["properties"].as_object(), inner("items"), inner("additionalProperties")) {
        (Some(fields), ..) => {
            fields.iter().for_each(|(name, field)| leaves(field, &format!("{path}.{name}"), into));
        }
        (_, Some(item), _) => leaves(item, &format!("{path}[]"), into),
        (.., Some(value)) => leaves(value, &format!("{path}.*"), into),
        _ => into.push(path.trim_start_matches('.').to_owned()),
    }
}

fn spec_leaves() -> Vec<String> {
    let crd = golive::api::crds().into_iter().find(|crd| crd["spec"]["names"]["kind"] == "SaasDeployment").unwrap();
    let mut found = Vec::new();
    leaves(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], "", &mut found);
    found
}

/// Whether a path is that place, or one below it.
fn is_in(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[test]
fn walks_come_to_every_field_that_golive_acts_on() {
    let (leaves, said) = (spec_leaves(), words::all().paths());
    let refused = |leaf: &String| REFUSED.iter().any(|(place, _)| is_in(leaf, place));
    let is_said = |leaf: &String| said.iter().any(|path| is_in(path, leaf));
    assert!(leaves.len() > 150, "{leaves:?}");
    let missing: Vec<&String> = leaves.iter().filter(|leaf| !is_said(leaf) && !refused(leaf)).collect();
    assert!(missing.is_empty(), "words.yaml has no value for {missing:#?}");
    let idle: Vec<&String> = leaves.iter().filter(|leaf| is_said(leaf) && refused(leaf)).collect();
    assert!(idle.is_empty(), "said, and refused: {idle:?}");
    let unknown: Vec<&String> = said.iter().filter(|path| !leaves.iter().any(|leaf| is_in(path, leaf))).collect();
    assert!(unknown.is_empty(), "not in the schema: {unknown:?}");
}

#[test]
fn what_walks_leave_out_golive_refuses() {
    let (hello, leaves) = (&subjects()[2], spec_leaves());
    for (place, spec) in REFUSED {
        assert!(leaves.iter().any(|leaf| is_in(leaf, place)), "{place} is no field");
        let spec: Value = serde_saphyr::from_str(spec).unwrap();
        let saas = patched(hello, &json!({"spec": spec}));
        let told = golive::offline::render(&saas.to_string()).unwrap_or_else(|e| panic!("{place}: {e}"));
        let refusal = format!("NotSupported: `spec.{}`", place.replace("[]", ""));
        assert!(told.contains(&refusal), "{place}: {told}");
    }
}

#[test]
fn walks_say_every_word() {
    let words = words::all();
    let walks = subjects().into_iter().flat_map(|saas| (0..60).map(move |seed| (saas.clone(), seed)));
    let specs = walks.flat_map(|(saas, seed)| words.walk(&saas, seed, 4));
    let said: BTreeSet<String> = specs.flat_map(|saas| paths(&saas["spec"])).map(|path| path[1..].to_owned()).collect();
    let leaves = spec_leaves();
    let known = |leaf: &&String| words.paths().iter().any(|path| is_in(path, leaf));
    let silent: Vec<&String> =
        leaves.iter().filter(known).filter(|leaf| !said.iter().any(|path| is_in(path, leaf))).collect();
    assert!(silent.is_empty(), "no walk comes to {silent:?}");
}
