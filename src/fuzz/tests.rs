//! Parsers of outside data that have no room of their own for such a test, or that go through many modules.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::outside::{Babble, answer};
use crate::apply::certificate::Order;
use crate::config::Config;
use crate::ground::{Ground, Plot};
use crate::outside::{Outside, Real, Terms};
use crate::rows::Mark;
use crate::vendors::acme::{AcmeAccess, Issuer, Kind};

#[test]
fn no_mark_and_no_configuration_breaks_its_reader() {
    let mut read = 0;
    super::texts(&["golive/1a2b3c4d/0123456789ab shop/shop", "golive/a/b"], 5_000, |text| {
        if let Ok(mark) = text.parse::<Mark>() {
            assert_eq!(mark.to_string().parse(), Ok(mark), "{text}");
            read += 1;
        }
    });
    let config =
        "clusterId: 1a2b3c4d\ngateway: {class: c, shared: {name: public, namespace: infra}}\nresyncSeconds: 60\n";
    super::texts(&[config, "ingress: {class: nginx}"], 1_000, |text| read += usize::from(Config::read(text).is_ok()));
    assert!(read > 100, "{read}");
}

/// Tenants can write the Secret of an order.
#[test]
fn no_order_breaks_its_reader() {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let mut read = 0;
    let texts = ["app.example.com,www.example.com", "2026-11-21T06:00:00Z", "https://ca.example.com/order/1", ""];
    super::texts(&texts, 2_000, |text| {
        let values = ["names", "account", "at", "url", "tls.key"].map(|key| {
            let kept = if key == "at" && text.len() > 30 { "2026-11-21T06:00:00Z" } else { text };
            (key.to_owned(), json!(BASE64_STANDARD.encode(kept)))
        });
        let data: serde_json::Map<String, Value> = values.into_iter().collect();
        let secret: Secret = serde_json::from_value(json!({"data": data})).unwrap();
        read += usize::from(Order::of(&secret).is_some());
    });
    assert!(read > 10, "{read}");
}

#[test]
fn nothing_of_the_platform_breaks_its_reader() {
    let conditions = json!([{"type": "Programmed", "status": "False", "reason": "R", "message": "m"}]);
    let object = json!({
        "apiVersion": "v1", "kind": "K", "metadata": {"name": "public"},
        "spec": {
            "controller": "c", "listeners": [{"name": "web", "protocol": "HTTPS", "hostname": "*.example.com", "port": 443}],
            "allowedListeners": {"namespaces": {"from": "Selector", "selector": {"matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}}},
        },
        "status": {
            "supportedFeatures": [{"name": "ListenerSet"}, "HTTPRoute"], "addresses": [{"value": "192.0.2.1"}],
            "conditions": conditions, "listeners": [{"name": "web", "conditions": conditions}],
        },
    });
    let config = "gateway: {class: c, shared: {name: public, namespace: infra}}\ningress: {class: nginx}";
    let config = Config::read(config).unwrap();
    let mut read = 0;
    super::json(&object, 1_000, |object| {
        let Ok(object) = serde_json::from_value::<DynamicObject>(object.clone()) else { return };
        let ground = Ground::new(&config);
        for plot in Plot::all(&config) {
            ground.take(&plot, Some(Event::Apply(object.clone())));
        }
        if let Some(shared) = &ground.facts().shared {
            shared.listener("HTTPS", "app.example.com");
            shared.admits("n", &[("k".to_owned(), "v".to_owned())].into());
            read += 1;
        }
    });
    assert!(read > 500, "{read}");
}

/// A platform team writes the bundle; it need not be one.
#[test]
fn no_bundle_of_roots_breaks_the_client() {
    let root = rcgen::generate_simple_self_signed(["ca.example.com".to_owned()]).unwrap().cert.pem();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let real = Real::default();
    super::texts(&[&root, "-----BEGIN CERTIFICATE-----\n"], 60, |pem| {
        let roots = pem.to_owned();
        // Nothing listens there: it is about what comes before the connection.
        let request = http::Request::get("https://127.0.0.1:1/").body(bytes::Bytes::new()).unwrap();
        let broken = runtime.block_on(real.exchange(request, Terms { roots: Some(&roots), longest: 9 }));
        assert!(broken.is_err_and(|broken| broken.is_unsent()), "{pem}");
    });
}

/// All that a CA says, in one value.
fn authority() -> Value {
    let order = json!({
        "status": "ready", "expires": "2026-12-01T00:00:00Z", "identifiers": [{"type": "dns", "value": "a.example.com"}],
        "authorizations": ["https://ca.example.com/authorization"], "finalize": "https://ca.example.com/finalize",
        "certificate": "https://ca.example.com/chain", "error": {"type": "urn:ietf:params:acme:error:dns", "detail": "d"},
    });
    let authorization = json!({
        "status": "pending", "identifier": {"type": "dns", "value": "a.example.com"}, "expires": "2026-12-01T00:00:00Z",
        "challenges": [
            {"type": "dns-01", "url": "https://ca.example.com/challenge", "status": "pending", "token": "t"},
            {"type": "http-01", "url": "https://ca.example.com/challenge", "status": "pending", "token": "t",
             "error": {"type": "urn:ietf:params:acme:error:connection", "detail": "d", "subproblems": []}},
        ],
        "wildcard": false,
    });
    let directory = json!({
        "newNonce": "https://ca.example.com/nonce", "newAccount": "https://ca.example.com/account",
        "newOrder": "https://ca.example.com/new-order", "renewalInfo": "https://ca.example.com/window",
        "revokeCert": "https://ca.example.com/revoke", "keyChange": "https://ca.example.com/key",
        "meta": {"profiles": {"classic": "c"}, "termsOfService": "https://ca.example.com/tos"},
    });
    let window = json!({"suggestedWindow": {"start": "2026-11-01T00:00:00Z", "end": "2026-11-03T00:00:00Z"}, "explanationURL": "u"});
    let said = |status: u16, place: &str, body: Value| {
        let headers = json!({"replay-nonce": "bm9uY2U", "location": place, "retry-after": "7"});
        json!({"status": status, "headers": headers, "body": body})
    };
    json!({
        "directory": said(200, "", directory), "nonce": said(200, "", Value::Null),
        "account": said(201, "https://ca.example.com/account", json!({"status": "valid", "contact": ["mailto:a@example.com"]})),
        "new-order": said(201, "https://ca.example.com/order", order.clone()), "order": said(200, "", order.clone()),
        "authorization": said(200, "", authorization.clone()), "challenge": said(200, "", authorization["challenges"][0].clone()),
        "finalize": said(200, "", order), "chain": said(200, "", json!("-----BEGIN CERTIFICATE-----\n")),
        "window": said(200, "", window),
    })
}

/// Every step of an issuing with such a CA; how many it let be taken.
async fn issue(said: Value, chain: &str, key: &secrecy::SecretString) -> usize {
    let outside = Babble::of(move |request| {
        let room = request.uri().path().split('/').nth(1).unwrap_or_default().to_owned();
        answer(&said[room.as_str()])
    });
    let access = AcmeAccess {
        account: "ca".into(),
        directory: "https://ca.example.com/directory".into(),
        email: Some("a@example.com".into()),
        roots: None,
        eab: None,
        profile: None,
    };
    let Ok(issuer) = Issuer::open(&outside, &access, key).await else { return 0 };
    let (names, url) = (BTreeSet::from(["a.example.com".to_owned()]), "https://ca.example.com/order");
    let steps = [
        issuer.order(&names, Some(chain)).await.is_ok(),
        issuer.look(url).await.is_ok(),
        issuer.ready(url, |_| Kind::Dns01).await.is_ok(),
        issuer.finalize(url, key, &names).await.is_ok(),
        issuer.chain(url).await.is_ok(),
        issuer.window(chain).await.is_ok(),
    ];
    1 + steps.into_iter().filter(|taken| *taken).count()
}

#[test]
fn no_authority_breaks_its_client() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let key = crate::certificate::new_key().unwrap();
    let chain = rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap().cert.pem();
    let plain = runtime.block_on(issue(authority(), &chain, &key));
    assert!(plain >= 4, "{plain} steps with a CA that is well");
    let mut taken = 0;
    super::json(&authority(), 300, |said| taken += runtime.block_on(issue(said.clone(), &chain, &key)));
    assert!(taken > 300, "{taken}");
}
