//! Every kind of fault, seen by a client over the wire.

mod common;

use std::time::{Duration, Instant};

use common::{TOKEN, World};
use serde_json::{Value, json};
use vendors::message::fingerprint;

const RECORD: &str = r#"{"type":"TXT","name":"t","content":"v"}"#;

async fn zone(world: &World) -> String {
    let answer = world.call("cloudflare", "GET", "/client/v4/zones?name=example.com").send().await.unwrap();
    let body: Value = answer.json().await.unwrap();
    format!("/client/v4/zones/{}/dns_records", body["result"][0]["id"].as_str().unwrap())
}

async fn post(world: &World, path: &str) -> reqwest::Result<reqwest::Response> {
    world.call("cloudflare", "POST", path).body(RECORD).send().await
}

fn rows(world: &World) -> usize {
    world.running.inventory(true)["cloudflare"]["zones"]["example.com"].as_array().unwrap().len()
}

async fn order(world: &World, fault: Value) {
    let mut whole = json!({"vendor": "cloudflare", "method": "POST"});
    whole.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
    world.control("POST", "/faults", whole).await;
}

#[tokio::test]
async fn status_answers_in_the_vendors_stead_so_many_times() {
    let world = World::start("fault-status").await;
    let path = zone(&world).await;
    order(
        &world,
        json!({"kind": "status", "code": 503, "times": 2, "headers": {"retry-after": "7"}, "body": {"a": 1}}),
    )
    .await;
    for _ in 0..2 {
        let answer = post(&world, &path).await.unwrap();
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "7");
        assert_eq!(answer.json::<Value>().await.unwrap(), json!({"a": 1}));
    }
    assert_eq!(rows(&world), 0);
    assert_eq!(post(&world, &path).await.unwrap().status(), 200);
    assert_eq!(rows(&world), 1);
}

#[tokio::test]
async fn a_fault_of_one_credential_spares_the_others_and_is_forgotten_alone() {
    let world = World::start("fault-credential").await;
    let path = zone(&world).await;
    let status =
        |code: u16, credential: &str| json!({"kind": "status", "code": code, "times": 9, "credential": credential});
    order(&world, status(503, "000000000000")).await;
    assert_eq!(post(&world, &path).await.unwrap().status(), 200, "somebody else's");
    let own = fingerprint(TOKEN);
    order(&world, status(502, &own)).await;
    assert_eq!(post(&world, &path).await.unwrap().status(), 502);
    world.control("DELETE", &format!("/faults?credential={own}"), json!({})).await;
    assert_eq!(world.control("GET", "/faults", json!({})).await.as_array().unwrap().len(), 1);
    assert_ne!(post(&world, &path).await.unwrap().status(), 502);
}

#[tokio::test]
async fn status_with_apply_does_the_work_behind_the_callers_back() {
    let world = World::start("fault-apply").await;
    let path = zone(&world).await;
    order(&world, json!({"kind": "status", "code": 502, "apply": true, "body": "<html>bad gateway</html>"})).await;
    let answer = post(&world, &path).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (502, "<html>bad gateway</html>"));
    assert_eq!(rows(&world), 1);
}

#[tokio::test]
async fn lost_does_the_work_and_hangs_up() {
    let world = World::start("fault-lost").await;
    let path = zone(&world).await;
    order(&world, json!({"kind": "lost"})).await;
    assert!(post(&world, &path).await.is_err());
    assert_eq!(rows(&world), 1);
    let calls = world.running.calls("cloudflare");
    assert_eq!(calls.last().unwrap().status, 0, "the caller saw no status");
}

#[tokio::test]
async fn reset_does_nothing_and_breaks_the_connection() {
    let world = World::start("fault-reset").await;
    let path = zone(&world).await;
    order(&world, json!({"kind": "reset"})).await;
    let error = format!("{:?}", post(&world, &path).await.unwrap_err());
    assert!(error.contains("ConnectionReset"), "{error}");
    assert_eq!(rows(&world), 0);
}

#[tokio::test]
async fn delay_does_the_work_and_answers_late() {
    let world = World::start("fault-delay").await;
    let path = zone(&world).await;
    order(&world, json!({"kind": "delay", "ms": 300})).await;
    let impatient = world.call("cloudflare", "POST", &path).body(RECORD).timeout(Duration::from_millis(100));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    assert_eq!(rows(&world), 1);
    order(&world, json!({"kind": "delay", "ms": 300})).await;
    let start = Instant::now();
    assert_eq!(post(&world, &path).await.unwrap().status(), 400, "the record exists");
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn malformed_cuts_the_body() {
    let world = World::start("fault-malformed").await;
    let path = zone(&world).await;
    order(&world, json!({"kind": "malformed"})).await;
    let answer = post(&world, &path).await.unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    assert!(!text.is_empty() && serde_json::from_str::<Value>(&text).is_err(), "{text}");
    assert_eq!(rows(&world), 1);
}

#[tokio::test]
async fn huge_swells_the_body() {
    let world = World::start("fault-huge").await;
    let path = zone(&world).await;
    order(&world, json!({"kind": "huge", "megabytes": 3})).await;
    let body = post(&world, &path).await.unwrap().bytes().await.unwrap();
    assert!(body.len() > 3 << 20 && serde_json::from_slice::<Value>(&body).is_ok());
    assert_eq!(rows(&world), 1);
}

#[tokio::test]
async fn an_untrusted_vendor_shows_the_certificate_of_another_host() {
    let world = World::start("fault-untrusted").await;
    let account = || world.call("stripe", "GET", "/v1/account").send();
    world.control("POST", "/vendors/stripe/untrusted", json!({})).await;
    let error = format!("{:?}", account().await.unwrap_err());
    assert!(error.contains("NotValidForName"), "{error}");
    assert!(zone(&world).await.contains("dns_records"), "the others go on");
    world.control("POST", "/vendors/stripe/trusted", json!({})).await;
    assert_eq!(account().await.unwrap().status(), 200);
}

#[tokio::test]
async fn slow_sends_a_byte_at_a_time() {
    let world = World::start("fault-slow").await;
    let path = zone(&world).await;
    order(&world, json!({"kind": "slow", "ms": 20})).await;
    let mut answer = post(&world, &path).await.unwrap();
    for _ in 0..5 {
        assert_eq!(answer.chunk().await.unwrap().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn faults_choose_by_vendor_method_and_path_and_can_be_forgotten() {
    let world = World::start("fault-choice").await;
    let path = zone(&world).await;
    order(&world, json!({"kind": "reset", "path": "/client/v4/accounts", "times": 9})).await;
    order(&world, json!({"kind": "reset", "method": "DELETE", "times": 9})).await;
    world.control("POST", "/faults", json!({"vendor": "stripe", "kind": "reset", "times": 9})).await;
    assert_eq!(post(&world, &path).await.unwrap().status(), 200);
    assert!(world.call("stripe", "GET", "/v1/account").send().await.is_err());
    assert_eq!(world.control("GET", "/faults", json!({})).await.as_array().unwrap().len(), 3);
    world.control("DELETE", "/faults", json!({})).await;
    assert_eq!(world.call("stripe", "GET", "/v1/account").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused() {
    let world = World::start("fault-nonsense").await;
    let url = format!("{}/faults", world.running.control().unwrap());
    for body in [json!({"vendor": "acme", "kind": "lost"}), json!({"vendor": "stripe", "kind": "explode"})] {
        assert_eq!(world.client.post(&url).json(&body).send().await.unwrap().status(), 400, "{body}");
    }
}

#[tokio::test]
async fn a_vendor_that_is_down_refuses_connections_until_it_is_up() {
    let world = World::start("fault-down").await;
    let account = || world.call("stripe", "GET", "/v1/account").send();
    let before = world.running.url("stripe");
    world.control("POST", "/vendors/stripe/down", json!({})).await;
    assert!(account().await.unwrap_err().is_connect());
    assert!(zone(&world).await.contains("dns_records"), "the others go on");
    world.control("POST", "/vendors/stripe/up", json!({})).await;
    assert_eq!(account().await.unwrap().status(), 200);
    assert_eq!(world.running.url("stripe"), before);
}

#[tokio::test]
async fn going_down_ends_connections_that_are_open() {
    let world = World::start("fault-down-open").await;
    world.control("POST", "/faults", json!({"vendor": "stripe", "kind": "slow", "ms": 50})).await;
    let mut answer = world.call("stripe", "GET", "/v1/account").send().await.unwrap();
    assert!(answer.chunk().await.unwrap().is_some());
    world.running.set_up("stripe", false).await;
    let cut = loop {
        match answer.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(cut, "the answer ended as if it were whole");
}
