//! What all vendors share: credentials, the log, inventories, locks, and that nothing secret leaves them.

mod common;

use std::time::Duration;

use common::{LIVE, MONITORS, SENTRY, TEST, TOKEN, World, seed};
use serde_json::{Value, json};
use vendors::clock::Moment;
use vendors::faults::Fault;
use vendors::message::{Request, fingerprint};
use vendors::{Config, Vendors};

const READS: [(&str, &str); 4] = [
    ("cloudflare", "/client/v4/zones"),
    ("stripe", "/v1/account"),
    ("uptimerobot", "/v3/user/me"),
    ("sentry", "/api/0/organizations/acme/"),
];
const ENDPOINT: &str = "url=https://app.example.com/hook&enabled_events[]=*&metadata[uid]=7";

fn stripe(method: &str, target: &str) -> Request {
    Request::new(method, target).header("authorization", &format!("Bearer {TEST}"))
}

fn vendors(entropy: &str) -> Vendors {
    Vendors::new(&Config { entropy: entropy.into(), ..Config::local("unused", seed()) })
}

async fn status(world: &World, vendor: &str, path: &str) -> u16 {
    world.call(vendor, "GET", path).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn revoked_credentials_are_refused_until_they_are_restored() {
    let world = World::start("gate-revoked").await;
    for (vendor, path) in READS {
        let key = world.call(vendor, "GET", path).build().unwrap().headers()["authorization"].to_str().unwrap()[7..]
            .to_string();
        for named in ["all".to_string(), fingerprint(&key)] {
            assert_eq!(status(&world, vendor, path).await, 200);
            let which = json!({"vendor": vendor, "credential": named});
            world.control("POST", "/credentials/revoke", which.clone()).await;
            assert!(matches!(status(&world, vendor, path).await, 401 | 403), "{vendor}");
            world.control("POST", "/credentials/restore", which).await;
        }
        world.control("POST", "/credentials/revoke", json!({"vendor": vendor, "credential": "0123456789ab"})).await;
        assert_eq!(status(&world, vendor, path).await, 200, "another credential of {vendor}");
    }
}

#[tokio::test]
async fn the_log_says_who_called_what() {
    let world = World::start("gate-log").await;
    for (vendor, path) in READS {
        world.call(vendor, "GET", path).query(&[("a", "b")]).header("user-agent", "golive/1").send().await.unwrap();
    }
    let calls = world.control("GET", "/calls?vendor=stripe", json!({})).await;
    let call = &calls[0];
    assert_eq!(calls.as_array().unwrap().len(), 1);
    assert_eq!((&call["method"], &call["path"], &call["query"]), (&json!("GET"), &json!("/v1/account"), &json!("a=b")));
    assert_eq!((&call["status"], &call["userAgent"]), (&json!(200), &json!("golive/1")));
    assert_eq!(call["credential"], fingerprint(TEST));
    let later = call["time"].as_i64().unwrap() + 1;
    world.running.advance(Duration::from_secs(5));
    status(&world, "stripe", "/v1/account").await;
    let since = world.control("GET", &format!("/calls?vendor=stripe&since={later}"), json!({})).await;
    assert_eq!(since.as_array().unwrap().len(), 1);
    world.control("DELETE", "/calls", json!({})).await;
    assert_eq!(world.control("GET", "/calls", json!({})).await, json!([]));
}

#[tokio::test]
async fn nothing_secret_is_in_the_log_or_the_inventory() {
    let world = World::start("gate-secrets").await;
    for (vendor, path) in READS {
        status(&world, vendor, path).await;
    }
    let made: Value = world
        .call("stripe", "POST", "/v1/webhook_endpoints")
        .body(ENDPOINT)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let project = world.call("sentry", "POST", "/api/0/teams/acme/platform/projects/").body(r#"{"name":"app"}"#);
    assert_eq!(project.send().await.unwrap().status(), 201);
    let keys = world.call("sentry", "GET", "/api/0/projects/acme/app/keys/").send().await.unwrap();
    let keys: Value = keys.json().await.unwrap();
    let secrets =
        [made["secret"].as_str().unwrap(), keys[0]["secret"].as_str().unwrap(), TOKEN, LIVE, TEST, MONITORS, SENTRY];
    for page in ["/calls", "/inventory", "/inventory?stable=true"] {
        let text = world.control("GET", page, json!({})).await.to_string();
        for secret in secrets {
            assert!(!text.contains(secret), "{page} shows {secret}");
        }
    }
}

fn furnish(vendors: &mut Vendors, now: Moment) {
    let zone = |name: &str| format!("/client/v4/zones/{}/dns_records", vendors::ids::named(name, 32));
    let calls = [
        ("cloudflare", zone("example.com"), TOKEN, r#"{"type":"A","name":"b","content":"192.0.2.1"}"#.to_string()),
        ("cloudflare", zone("example.com"), TOKEN, r#"{"type":"A","name":"a","content":"192.0.2.1"}"#.to_string()),
        ("stripe", "/v1/webhook_endpoints".into(), LIVE, ENDPOINT.into()),
        (
            "uptimerobot",
            "/v3/monitors".into(),
            MONITORS,
            r#"{"friendlyName":"m","url":"https://a","type":"HTTP","interval":60}"#.into(),
        ),
        ("sentry", "/api/0/teams/acme/platform/projects/".into(), SENTRY, r#"{"name":"app"}"#.into()),
    ];
    for (vendor, path, key, body) in calls {
        let request = Request::new("POST", &path).header("authorization", &format!("Bearer {key}")).body(body);
        let answer = vendors.serve(vendor, now, &request).answer;
        assert!(answer.status < 300, "{vendor}: {answer:?}");
    }
}

#[test]
fn stable_inventories_of_two_runs_alike_are_equal() {
    let (mut one, mut other) = (vendors("one"), vendors("other"));
    furnish(&mut one, Moment(1_000_000));
    furnish(&mut other, Moment(2_000_000));
    assert_eq!(one.inventory(true), other.inventory(true));
    assert_ne!(one.inventory(false), other.inventory(false), "identifiers differ");
    assert_ne!(one.inventory(true), vendors("one").inventory(true));
}

#[test]
fn the_same_seed_gives_the_same_identifiers() {
    let (mut one, mut again) = (vendors("same"), vendors("same"));
    furnish(&mut one, Moment(1_000_000));
    furnish(&mut again, Moment(1_000_000));
    assert_eq!(one.inventory(false), again.inventory(false));
}

#[test]
fn a_key_in_flight_and_a_locked_object_are_told_apart() {
    let mut vendors = vendors("locks");
    let delayed = |path: &str| -> Fault {
        serde_json::from_value(json!({"vendor": "stripe", "method": "POST", "path": path, "kind": "delay", "ms": 1}))
            .unwrap()
    };
    let create = stripe("POST", "/v1/webhook_endpoints").header("idempotency-key", "k").body(ENDPOINT);
    vendors.faults.add(delayed("/v1/webhook_endpoints"));
    let first = vendors.serve("stripe", Moment(0), &create);
    let second = vendors.serve("stripe", Moment(0), &create).answer;
    assert_eq!((second.status, &second.value()["error"]["type"]), (409, &json!("idempotency_error")));
    vendors.release(&first.lock.unwrap());
    let replay = vendors.serve("stripe", Moment(0), &create).answer;
    assert_eq!((replay.status, replay.head("idempotent-replayed")), (200, Some("true")));
    assert_eq!(replay.value(), first.answer.value());

    let path = format!("/v1/webhook_endpoints/{}", replay.value()["id"].as_str().unwrap());
    vendors.faults.add(delayed("/v1/webhook_endpoints/we_"));
    let held = vendors.serve("stripe", Moment(0), &stripe("POST", &path).body("disabled=true"));
    let refused = vendors.serve("stripe", Moment(0), &stripe("POST", &path).body("disabled=false")).answer;
    assert_eq!((refused.status, &refused.value()["error"]["code"]), (429, &json!("lock_timeout")));
    vendors.release(&held.lock.unwrap());
    assert_eq!(vendors.serve("stripe", Moment(0), &stripe("POST", &path).body("disabled=false")).answer.status, 200);
}

#[test]
fn stripe_counts_live_and_test_calls_apart() {
    let mut vendors = vendors("rates");
    let mut calls = |key: &str, resource: &str, count: usize| -> Vec<u16> {
        let request = Request::new("GET", resource).header("authorization", &format!("Bearer {key}"));
        (0..count).map(|_| vendors.serve("stripe", Moment(0), &request).answer.status).collect()
    };
    assert_eq!(calls(TEST, "/v1/account", 26).iter().filter(|status| **status == 429).count(), 1);
    assert_eq!(
        calls(LIVE, "/v1/account", 26).iter().filter(|status| **status == 429).count(),
        1,
        "25 for one resource"
    );
    assert_eq!(calls(LIVE, "/v1/events", 25), [200; 25]);
}

#[test]
fn the_state_as_saved_holds_everything() {
    let mut vendors = vendors("saved");
    furnish(&mut vendors, Moment(1_000_000));
    vendors.revoke("stripe", "all");
    let mut again: Vendors = serde_json::from_value(serde_json::to_value(&vendors).unwrap()).unwrap();
    assert_eq!(again.inventory(false), vendors.inventory(false));
    assert_eq!(again.serve("stripe", Moment(0), &stripe("GET", "/v1/account")).answer.status, 401);
}
