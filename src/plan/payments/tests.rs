use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::api::SaasDeployment;
use crate::certificate::Certificate;
use crate::config::Config;
use crate::kinds::Kind;
use crate::plan::tests::{saas, world};
use crate::rows::Id;
use crate::vault::Vault;
use crate::world::World;

const DAY: i64 = 86_400;

/// An application with these webhooks, and more in its block about payments.
fn shop(webhooks: Value, more: Value) -> SaasDeployment {
    let mut stripe = json!({"webhooks": webhooks});
    crate::plan::pod::merge(&mut stripe, more);
    let mut saas = saas(json!({"domains": ["a.example"], "environment": "Production", "payments": {"stripe": stripe}}));
    saas.metadata.generation = Some(2);
    saas
}

fn hook() -> Value {
    json!({"secretEnv": "HOOK", "path": "/hook", "events": ["a", "b"]})
}

/// A world with two accounts, in which the host is served, and so many days have passed.
fn at(days: i64) -> World {
    let stripe = |mode: &str, default: bool| json!({"default": default, "stripe": {"mode": mode, "keySecret": {"name": "s", "key": "k"}}});
    let mut world = world(&[("live", stripe("Live", true)), ("test", stripe("Test", false))]);
    world.config = Arc::new(Config::read("gateway: {class: c}").unwrap());
    world.served = Kind::ALL.into();
    world.now = Timestamp::from_second(days * DAY).unwrap();
    world.certificate = Ok(Some(Certificate {
        names: BTreeSet::from(["a.example".to_owned()]),
        not_before: Timestamp::UNIX_EPOCH,
        not_after: Timestamp::MAX,
        issuer: String::new(),
        serial: String::new(),
        key_id: String::new(),
    }));
    for account in ["live", "test"] {
        world.endpoints.insert(account.into(), Ok(Vec::new().into()));
    }
    world.vault = Ok(Vault::default());
    world
}

/// An endpoint of this application at Stripe.
fn held(world: &World, id: &str, slot: &str) -> Held<Endpoint> {
    let row = Endpoint {
        slot: slot.into(),
        url: "https://a.example/hook".into(),
        events: BTreeSet::from(["a".to_owned(), "b".to_owned()]),
        api_version: None,
        enabled: true,
        attempt: format!("made-{id}"),
    };
    Held { id: Id(id.into()), mark: Some(world.mark.clone()), row }
}

fn issued(id: &str, day: i64) -> Option<Issued> {
    Some(Issued { id: Id(id.into()), at: Timestamp::from_second(day * DAY).unwrap() })
}

fn note(world: &mut World, note: Note) {
    world.vault.as_mut().unwrap().enter(note);
}

/// The same world, where endpoint `we` of the slot stands at an account since the first day, and its secret is stored.
fn standing(mut world: World, account: &str) -> World {
    let table = vec![held(&world, "we", "HOOK")];
    world.endpoints.insert(account.into(), Ok(table.into()));
    let webhook = Webhook { account: account.into(), current: issued("we", 0), previous: None, attempt: None };
    note(&mut world, Note::Account(payments_at(account)));
    note(&mut world, Note::Webhook("HOOK".into(), Some(webhook)));
    note(&mut world, Note::Value("HOOK".into(), "whsec".to_owned().into()));
    world
}

/// The same, where every pod runs with the environment of now.
fn rolled(saas: &SaasDeployment, mut world: World) -> World {
    let hash = Ask { saas, world: &world }.environment_hash();
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app", "generation": 1},
        "spec": {"replicas": 1, "template": {"metadata": {"annotations": {"golive.dev/environment": hash}}}},
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}});
    world.children = world.children.with(Kind::Deployment, serde_json::from_value(object).unwrap());
    world
}

/// What is done at Stripe and noted, in words, and why it waits.
fn told(saas: &SaasDeployment, world: &World) -> (Vec<String>, Option<&'static str>) {
    let steps = plan(Ask { saas, world }).unwrap().ok().unwrap();
    (steps.actions.iter().flat_map(words).collect(), steps.waits.map(|hold| hold.reason))
}

fn words(action: &Action) -> Vec<String> {
    match action {
        Action::Note(notes) => notes.iter().map(noted).collect(),
        Action::CreateEndpoint { account, env, .. } => vec![format!("create {env} at {account}")],
        Action::Endpoint { account, change: Change::Update(id, row) } => {
            let events: Vec<&str> = row.events.iter().map(String::as_str).collect();
            vec![format!("update {id} at {account}: {} {}", row.url, events.join("+"))]
        }
        Action::Endpoint { account, change: Change::Delete(id) } => vec![format!("delete {id} at {account}")],
        other => vec![format!("{other:?}")],
    }
}

fn noted(note: &Note) -> String {
    match note {
        Note::Account(at) => format!("remember {}", at.account),
        Note::Forget(at) => format!("forget {}", at.account),
        Note::Webhook(slot, None) => format!("forget {slot}"),
        Note::Webhook(slot, Some(webhook)) => {
            let id = |issued: &Option<Issued>| issued.as_ref().map_or("-".to_owned(), |issued| issued.id.0.clone());
            let tried = if webhook.attempt.is_some() { ", trying" } else { "" };
            format!("note {slot}: {} after {}{tried}", id(&webhook.current), id(&webhook.previous))
        }
        other => format!("{other:?}"),
    }
}

fn lines(text: &[&str]) -> (Vec<String>, Option<&'static str>) {
    (text.iter().map(|line| (*line).to_owned()).collect(), None)
}

#[test]
fn an_endpoint_is_made_once_the_host_is_served_and_an_attempt_is_taken_up_again() {
    let shop = shop(json!([hook()]), json!({}));
    let mut world = at(0);
    let made = lines(&["remember live", "note HOOK: - after -, trying", "create HOOK at live"]);
    assert_eq!(told(&shop, &world), made);
    assert!(!plan(Ask { saas: &shop, world: &world }).unwrap().ok().unwrap().upkeep);
    let attempt = |world: &World| {
        let steps = plan(Ask { saas: &shop, world }).unwrap().ok().unwrap();
        steps.actions.into_iter().find_map(|action| match action {
            Action::CreateEndpoint { endpoint, .. } => Some(endpoint.attempt),
            _ => None,
        })
    };
    let first = attempt(&world).unwrap();
    note(&mut world, Note::Account(payments_at("live")));
    let tried = |attempt: &str| Webhook {
        account: "live".into(),
        current: None,
        previous: None,
        attempt: Some(attempt.to_owned()),
    };
    // The answer was lost: the same request again, with the same key, whatever the randomness of this pass.
    note(&mut world, Note::Webhook("HOOK".into(), Some(tried(&first))));
    world.entropy = [1; 32];
    assert_eq!((told(&shop, &world), attempt(&world)), (lines(&["create HOOK at live"]), Some(first.clone())));
    // What that key made stands, and its secret is lost; or the key was for another wish.
    let mut lost = held(&world, "we", "HOOK");
    lost.row.attempt.clone_from(&first);
    world.endpoints.insert("live".into(), Ok(vec![lost].into()));
    assert_ne!(attempt(&world), Some(first));
    world.endpoints.insert("live".into(), Ok(Vec::new().into()));
    note(&mut world, Note::Webhook("HOOK".into(), Some(tried("of-another"))));
    assert_eq!(told(&shop, &world), lines(&["note HOOK: - after -, trying", "create HOOK at live"]));
    world.certificate = Ok(None);
    assert_eq!(told(&shop, &world), (Vec::new(), Some("CertificatePending")));
}

#[test]
fn an_endpoint_that_stands_is_corrected_and_replaced_when_it_is_due() {
    let world = |days| standing(at(days), "live");
    let plain = shop(json!([hook()]), json!({}));
    assert_eq!(told(&plain, &world(1)), lines(&[]));
    let with = |field: &str, value: Value| {
        let mut hook = hook();
        hook[field] = value;
        shop(json!([hook]), json!({}))
    };
    let corrected = lines(&["update we at live: https://a.example/hook a"]);
    assert_eq!(told(&with("events", json!(["a"])), &world(1)), corrected);
    let moved = lines(&["update we at live: https://a.example/ a+b"]);
    assert_eq!(told(&with("path", Value::Null), &world(1)), moved);
    let subscriptions = told(&with("preset", json!("Subscriptions")), &world(1)).0;
    assert!(subscriptions[0].contains("customer.subscription.deleted"), "{subscriptions:?}");
    let replaced = lines(&["note HOOK: we after -, trying", "create HOOK at live"]);
    assert_eq!(told(&with("rotateAfterDays", json!(30)), &world(29)), lines(&[]));
    assert_eq!(told(&with("rotateAfterDays", json!(30)), &world(30)), replaced);
    assert_eq!(told(&with("apiVersion", json!("2025-01-01")), &world(1)), replaced);
    // Its version is not to be told again where it is the wanted one, or where none is wanted.
    let mut versioned = world(1);
    let mut row = held(&versioned, "we", "HOOK");
    row.row.api_version = Some("2025-01-01".into());
    versioned.endpoints.insert("live".into(), Ok(vec![row].into()));
    assert_eq!(told(&with("apiVersion", json!("2025-01-01")), &versioned), lines(&[]));
    assert_eq!(told(&plain, &versioned), lines(&[]));
    // Without its secret, or without the row, it is of no use.
    let mut lost = world(1);
    note(&mut lost, Note::Drop("HOOK".into()));
    assert_eq!(told(&plain, &lost), replaced);
    let mut gone = world(1);
    gone.endpoints.insert("live".into(), Ok(vec![held(&gone, "other", "HOOK")].into()));
    assert_eq!(told(&plain, &gone), replaced);
}

#[test]
fn what_was_replaced_serves_until_every_pod_knows_the_new_secret() {
    let shop = shop(json!([hook()]), json!({}));
    let replaced = |seconds: i64| {
        let mut world = standing(at(0), "live");
        world.now = Timestamp::from_second(seconds).unwrap();
        let table = vec![held(&world, "we", "HOOK"), held(&world, "old", "HOOK"), held(&world, "stray", "HOOK")];
        world.endpoints.insert("live".into(), Ok(table.into()));
        let webhook =
            Webhook { account: "live".into(), current: issued("we", 0), previous: issued("old", 0), attempt: None };
        note(&mut world, Note::Webhook("HOOK".into(), Some(webhook)));
        world
    };
    let again = |world: &World| plan(Ask { saas: &shop, world }).unwrap().ok().unwrap().again;
    let young = lines(&["delete stray at live"]);
    let over = OVERLAP.as_secs();
    assert_eq!(told(&shop, &rolled(&shop, replaced(over - 1))), young);
    assert_eq!(told(&shop, &replaced(over)), young, "pods still know the old secret");
    assert!(again(&replaced(over)).is_some());
    let world = rolled(&shop, replaced(over));
    let gone = lines(&["delete old at live", "delete stray at live", "note HOOK: we after -"]);
    assert_eq!((told(&shop, &world), again(&world)), (gone, None));
    assert!(plan(Ask { saas: &shop, world: &world }).unwrap().ok().unwrap().upkeep);
}

#[test]
fn what_the_spec_no_longer_names_goes_once_what_it_names_stands() {
    let (one, none) = (shop(json!([hook()]), json!({})), saas(json!({"domains": ["a.example"]})));
    let mut world = standing(at(1), "live");
    let table = vec![held(&world, "we", "HOOK"), held(&world, "extra", "FORMER")];
    world.endpoints.insert("live".into(), Ok(table.into()));
    let former = Webhook { account: "live".into(), current: issued("extra", 0), previous: None, attempt: None };
    note(&mut world, Note::Webhook("FORMER".into(), Some(former)));
    assert_eq!(told(&one, &world), lines(&[]), "pods do not know the secret yet");
    assert_eq!(told(&one, &rolled(&one, world.clone())), lines(&["delete extra at live", "forget FORMER"]));
    let mut unmade = rolled(&one, world.clone());
    note(&mut unmade, Note::Webhook("HOOK".into(), None));
    assert!(!told(&one, &unmade).0.iter().any(|line| line.contains("extra") || line.contains("FORMER")));
    assert_eq!(told(&none, &world), lines(&["delete we at live", "delete extra at live"]));
}

#[test]
fn what_is_left_at_another_account_goes_last_and_is_then_forgotten() {
    let shop = shop(json!([hook()]), json!({"account": "test"}));
    let mut world = standing(at(1), "live");
    let begun = lines(&["remember test", "note HOOK: - after -, trying", "create HOOK at test"]);
    assert_eq!(told(&shop, &world), begun);
    let left = world.endpoints["live"].clone();
    world = standing(world, "test");
    assert_eq!(told(&shop, &world), lines(&[]), "pods do not know the secret yet");
    world = rolled(&shop, world);
    assert_eq!(told(&shop, &world), lines(&["delete we at live"]));
    let of_other = Webhook { account: "live".into(), current: issued("x", 0), previous: None, attempt: None };
    note(&mut world, Note::Webhook("FORMER".into(), Some(of_other)));
    world.endpoints.insert("live".into(), Ok(Vec::new().into()));
    let (forgotten, _) = told(&shop, &world);
    assert_eq!(forgotten, ["forget FORMER", "forget FORMER", "forget live"]);
    world.endpoints.insert("live".into(), left);
    // What goes removes all, wherever it is.
    let steps = farewell(Ask { saas: &shop, world: &world }).unwrap().ok().unwrap();
    let removed: Vec<String> = steps.actions.iter().flat_map(words).collect();
    assert_eq!(removed, ["delete we at live", "delete we at test"]);
    let plain = saas(json!({"domains": ["a.example"]}));
    assert_eq!(told(&plain, &world).0, ["delete we at live", "delete we at test"]);
    assert!(plan(Ask { saas: &plain, world: &at(0) }).is_none(), "nothing was ever made");
}

#[test]
fn a_trial_goes_live_once_everything_else_is_ready_and_never_back() {
    let mut shop = shop(json!([hook()]), json!({"startInTestMode": {"account": "test"}}));
    let told_of = |shop: &SaasDeployment, world: &World| told(shop, world);
    let on_trial = lines(&["remember test", "note HOOK: - after -, trying", "create HOOK at test"]).0;
    assert_eq!(told_of(&shop, &at(1)), (on_trial, Some("InTestMode")));
    let world = rolled(&shop, standing(at(1), "test"));
    let status = |conditions: &[(&str, &str, i64)]| {
        let condition = |(kind, status, generation): &(&str, &str, i64)| {
            json!({"type": kind, "status": status, "reason": "r", "message": "", "observedGeneration": generation,
                "lastTransitionTime": "2020-01-01T00:00:00Z"})
        };
        let all: Vec<Value> = conditions.iter().map(condition).collect();
        serde_json::from_value(json!({"conditions": all})).ok()
    };
    let own = [("Ready", "False", 2), ("PaymentsReady", "False", 2)];
    let green = [own[0], own[1], ("AppReady", "True", 2), ("TlsReady", "True", 2)];
    let trial = (Vec::new(), Some("InTestMode"));
    for conditions in [&own[..], &[green[2], ("TlsReady", "False", 2)], &[green[2], ("TlsReady", "True", 1)]] {
        shop.status = status(conditions);
        assert_eq!(told_of(&shop, &world), trial, "{conditions:?}");
    }
    shop.status = status(&green);
    let live = lines(&["remember live", "note HOOK: - after -, trying", "create HOOK at live"]);
    assert_eq!(told_of(&shop, &world), live);
    // What has been live stays so, whatever is ready.
    shop.status = None;
    let mut was_live = world.clone();
    note(&mut was_live, Note::Account(payments_at("live")));
    assert_eq!(told_of(&shop, &was_live).0, live.0[1..]);
    let mut lost = world.clone();
    lost.endpoints.insert("live".into(), Ok(vec![held(&lost, "x", "HOOK")].into()));
    assert_eq!(told_of(&shop, &lost).0[..], live.0[..]);
    shop.spec.payments.as_mut().unwrap().stripe.as_mut().unwrap().account = Some("test".into());
    assert_eq!(told_of(&shop, &world), (Vec::new(), Some("InTestMode")), "an account that is its own trial");
}

#[test]
fn live_keys_stay_out_of_trials_and_of_what_is_not_production() {
    let mut staging = shop(json!([hook()]), json!({}));
    staging.spec.environment = Environment::Staging;
    assert_eq!(told(&staging, &at(1)), (Vec::new(), Some("LiveKeyOutsideProduction")));
    let of_live = shop(json!([hook()]), json!({"account": "test", "startInTestMode": {"account": "live"}}));
    assert_eq!(told(&of_live, &at(1)), (Vec::new(), Some("LiveKeyInTrial")));
    let none = shop(json!([]), json!({"startInTestMode": {"account": "test"}}));
    assert_eq!(told(&none, &at(1)), lines(&[]), "nothing is on trial without a webhook");
    let worker = shop(json!([{"secretEnv": "HOOK", "worker": "w", "events": ["a"]}]), json!({}));
    assert_eq!(told(&worker, &at(1)), (Vec::new(), Some("NotSupported")));
}
