//! Vendors that answer anything: every client refuses or reads it, ends in time, and never takes a part for the whole.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use super::*;
use crate::outside::Real;

/// What the server says to every question.
type Said = Arc<Mutex<Vec<u8>>>;

async fn server(said: Said) -> SocketAddr {
    let answer = move || {
        let body = said.lock().unwrap().clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    address
}

/// One page of each vendor's lists.
fn pages() -> Vec<(&'static str, Value)> {
    vec![
        (
            "cloudflare",
            json!({"success": true, "errors": [], "messages": [], "result": [{
                "id": "0123456789abcdef0123456789abcdef", "name": "a.example.com", "type": "A", "content": "192.0.2.1",
                "proxied": false, "ttl": 1, "comment": "golive/1a2b3c4d/0123456789ab n/a", "status": "active",
                "name_servers": ["ns1.example.com"], "account": {"id": "a", "name": "a"},
            }], "result_info": {"page": 1, "per_page": 100, "count": 1, "total_count": 1, "total_pages": 1}}),
        ),
        (
            "stripe",
            json!({"object": "list", "has_more": false, "url": "/v1/webhook_endpoints", "data": [{
                "id": "we_1", "object": "webhook_endpoint", "api_version": null, "application": null, "created": 1,
                "description": null, "enabled_events": ["charge.succeeded"], "livemode": false, "status": "enabled",
                "metadata": {"golive": "golive/1a2b3c4d/0123456789ab", "slot": "A", "attempt": "b"}, "url": "https://example.com/a",
            }]}),
        ),
        (
            "uptimerobot",
            json!({"data": [{
                "id": 7, "friendlyName": "n/a", "url": "https://example.com/health", "type": "HTTP", "interval": 60,
                "status": "UP", "customFields": [], "tags": [], "timeout": 30, "gracePeriod": 0,
            }], "nextLink": null}),
        ),
        (
            "sentry",
            json!([{"id": "1", "slug": "a", "name": "a", "label": "golive/1a2b3c4d/0123456789ab n/a", "isActive": true,
                "dsn": {"public": "https://k@o1.ingest.sentry.io/1", "secret": "s"}, "public": "k", "teams": []}]),
        ),
    ]
}

/// The account with a credential of its own each time: a denial closes the gate of a credential.
fn access(vendor: &str, base: &str, number: usize) -> Access {
    let key = || format!("sk_test_canary{number}").into();
    let mut access = match vendor {
        "cloudflare" => Access::cloudflare("a", Some(base), key(), None).of_account("a"),
        "stripe" => Access::stripe("a", Some(base), key(), None),
        "uptimerobot" => Access::uptime_robot("a", Some(base), key(), None),
        _ => Access::sentry("a", Some(base), key(), None).of_team("a", "b"),
    };
    access.limit = transport::Limit { per_second: 1e9, burst: 1e9 };
    access.told = |_| None;
    access
}

/// Asks a vendor for everything that is listed; gives the texts of what was refused, and how much was read.
async fn ask(vendors: &Vendors, vendor: &str, access: &Access) -> (Vec<String>, usize) {
    let zone = Zone { id: Id("z".into()), name: "example.com".into(), name_servers: Vec::new() };
    let mut told = Vec::new();
    let mut note = |seen: Seen<usize>| told.push(seen.map_err(|fault| fault.to_string()));
    match vendor {
        "cloudflare" => {
            note(vendors.zones(access).await.map(|rows| rows.len()));
            note(vendors.records(access, &zone, Duration::MAX).await.map(|rows| rows.len()));
            note(vendors.verify_token(access).await.map(|()| 1));
        }
        "stripe" => note(vendors.endpoints(access).await.map(|rows| rows.len())),
        "uptimerobot" => note(vendors.monitors(access).await.map(|rows| rows.len())),
        _ => note(vendors.projects(access).await.map(|rows| rows.len())),
    }
    let read = told.iter().filter(|seen| seen.is_ok()).count();
    (told.into_iter().filter_map(Result::err).collect(), read)
}

#[test]
fn no_answer_of_a_vendor_breaks_its_client() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let said = Said::default();
    let base = format!("http://{}", runtime.block_on(server(said.clone())));
    for (vendor, page) in pages() {
        let vendors = Vendors::new(&mut Registry::default(), Duration::ZERO, Arc::new(Real::default()));
        let (mut read, mut refused) = (0, 0);
        let mut answer = |body: &[u8]| {
            *said.lock().unwrap() = body.to_vec();
            let access = access(vendor, &base, read + refused);
            let asked = async { tokio::time::timeout(Duration::from_secs(20), ask(&vendors, vendor, &access)).await };
            let (faults, whole) = runtime.block_on(asked).unwrap_or_else(|_| {
                panic!("{vendor} does not end with {}", String::from_utf8_lossy(body));
            });
            faults.iter().for_each(|fault| assert!(fault.len() < 1_200 && !fault.contains("canary"), "{fault}"));
            (read, refused) = (read + whole, refused + faults.len());
        };
        crate::fuzz::json(&page, 60, |page| answer(page.to_string().as_bytes()));
        crate::fuzz::bytes(&[page.to_string().as_bytes()], 60, &mut answer);
        assert!(read > 5 && refused > 5, "{vendor}: {read} read, {refused} refused");
    }
}
