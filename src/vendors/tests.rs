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

/// What vendors say to a write, well or not, with every header that a client reads.
fn replies(vendor: &str) -> Vec<Value> {
    let headers = json!({
        "retry-after": "7", "x-ratelimit-limit": "10", "x-ratelimit-remaining": "9", "ratelimit": "\"default\";r=50;t=30",
        "link": "<https://sentry.io/api/0/p/?cursor=0:100:0>; rel=\"next\"; results=\"false\"; cursor=\"0:100:0\"",
        "request-id": "req_1", "idempotent-replayed": "true",
    });
    let page = pages().into_iter().find(|(name, _)| *name == vendor).map(|(_, page)| page).unwrap_or_default();
    let mut made = match vendor {
        "stripe" | "uptimerobot" => page["data"][0].clone(),
        "sentry" => page[0].clone(),
        _ => {
            json!({"success": true, "errors": [], "result": {"posts": page["result"], "puts": [], "patches": [], "deletes": []}})
        }
    };
    if vendor == "stripe" {
        made["secret"] = json!("whsec_canary");
    }
    let refusal = json!({
        "success": false, "errors": [{"code": 81057, "message": "m", "error_chain": [{"code": 1, "message": "m"}]}],
        "error": {"type": "idempotency_error", "code": "c", "message": "m", "param": "url"}, "message": "m", "detail": "d",
    });
    let reply = |status: u16, body: &Value| json!({"status": status, "headers": headers, "body": body});
    vec![reply(200, &page), reply(201, &made), reply(400, &refusal), reply(429, &refusal), reply(503, &refusal)]
}

/// Makes, changes and removes a row at a vendor; gives the texts of what was refused.
async fn write(vendors: &Vendors, vendor: &str, access: &Access) -> Vec<String> {
    let mark = Mark { cluster: "1a2b3c4d".into(), owner: "0123456789ab".into(), label: "n/a".into() };
    let id = Id("a/1".into());
    let mut told: Vec<Seen<()>> = Vec::new();
    macro_rules! each {
        ($row:expr, $create:ident, $update:ident, $delete:ident) => {{
            let row = $row;
            let draft = Draft { row: &row, mark: &mark, key: "k" };
            told.push(vendors.$create(access, draft).await.map(drop));
            told.push(vendors.$update(access, &id, draft).await);
            told.push(vendors.$delete(access, &id).await);
        }};
    }
    match vendor {
        "cloudflare" => {
            let zone = Zone { id: Id("z".into()), name: "example.com".into(), name_servers: Vec::new() };
            let kind = crate::rows::RecordType::A;
            let row =
                Record { name: "a.example.com".into(), kind, content: "192.0.2.1".into(), proxied: false, ttl: 1 };
            let changes =
                vec![Change::Create(row.clone()), Change::Update(id.clone(), row), Change::Delete(id.clone())];
            told.push(vendors.write_records(access, &zone, &mark, changes).await);
        }
        "stripe" => each!(endpoint(), create_endpoint, update_endpoint, delete_endpoint),
        "uptimerobot" => each!(monitor(), create_monitor, update_monitor, delete_monitor),
        _ => each!(Project { slug: "a".into(), dsn: None }, create_project, update_project, delete_project),
    }
    told.into_iter().filter_map(Result::err).map(|fault| fault.to_string()).collect()
}

fn endpoint() -> Endpoint {
    let (slot, url) = ("A".into(), "https://example.com/a".into());
    let events = ["charge.succeeded".to_owned()].into();
    Endpoint { slot, url, events, api_version: None, enabled: true, attempt: "b".into() }
}

fn monitor() -> Monitor {
    let (name, url) = ("n/a".into(), "https://example.com/health".into());
    Monitor { name, url, every_seconds: 60, alert_after_seconds: 120 }
}

#[test]
fn no_answer_to_a_write_and_no_header_breaks_a_client() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    for vendor in ["cloudflare", "stripe", "uptimerobot", "sentry"] {
        let (mut number, mut refused) = (0, 0);
        for reply in replies(vendor) {
            crate::fuzz::json(&reply, 40, |reply| {
                let (said, mut access) =
                    (crate::fuzz::outside::answer(reply), access(vendor, "https://v.test", number));
                access.told = Access::uptime_robot("a", None, "k".to_owned().into(), None).told;
                let outside = crate::fuzz::outside::Babble::of(move |_| said.clone());
                let vendors = Vendors::new(&mut Registry::default(), Duration::ZERO, outside);
                let asked = async { (write(&vendors, vendor, &access).await, ask(&vendors, vendor, &access).await.0) };
                let ended = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(3600), asked).await });
                let (writes, reads) = ended.unwrap_or_else(|_| panic!("{vendor} does not end with {reply}"));
                for fault in writes.iter().chain(&reads) {
                    assert!(fault.len() < 1_200 && !fault.contains("canary"), "{vendor}: {fault}");
                }
                (number, refused) = (number + 1, refused + writes.len());
            });
        }
        assert!(refused > 20, "{vendor}: {refused} refused of {number}");
    }
}
