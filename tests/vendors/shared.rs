//! What all passes share: snapshots, own writes, and the transport's patience.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use golive::fault::Fault;
use golive::outside::Real;
use golive::rows::{Change, Provider};
use golive::vendors::transport::{Call, Limit};
use golive::vendors::{Vendors, cloudflare};
use prometheus_client::registry::Registry;
use reqwest::Method;
use serde_json::json;

use crate::case::{Bench, Case, Endpoints, Monitors, Records, mark};
use crate::contract::draft;
use crate::place::{Place, text_of};

fn shared() -> (Vendors, Registry) {
    let mut registry = Registry::default();
    (Vendors::new(&mut registry, Duration::from_secs(60), Arc::new(Real::default())), registry)
}

#[tokio::test]
async fn a_hundred_passes_are_one_list() {
    let place = Place::start().await;
    let ((vendors, _), access) = (shared(), place.access("stripe"));
    let seen = join_all((0..100).map(|_| vendors.endpoints(&access))).await;
    assert!(seen.iter().all(|table| table.as_ref().is_ok_and(|table| table.is_empty())));
    assert_eq!(place.calls("stripe"), 1);
    vendors.create_endpoint(&access, draft(&Endpoints.row(), &mark())).await.unwrap();
    assert_eq!(vendors.endpoints(&access).await.unwrap().len(), 1, "after a write of ours the list is a new one");
}

#[tokio::test]
async fn zones_and_records_are_read_and_written() {
    let place = Place::start().await;
    let ((vendors, _), access) = (shared(), place.access("cloudflare"));
    vendors.verify_token(&access).await.unwrap();
    let zones = vendors.zones(&access).await.unwrap();
    assert_eq!((zones[0].name.as_str(), zones[0].name_servers.len()), ("example.com", 2));
    assert!(vendors.records(&access, &zones[0], Duration::MAX).await.unwrap().is_empty());
    vendors.write_records(&access, &zones[0], &mark(), vec![Change::Create(Records.row())]).await.unwrap();
    assert_eq!(vendors.records(&access, &zones[0], Duration::MAX).await.unwrap()[0].row, Records.row());
}

#[tokio::test]
async fn a_monitor_that_we_made_is_seen_before_the_vendor_lists_it() {
    let place = Place::start().await;
    let ((vendors, _), access) = (shared(), place.access("uptimerobot"));
    let created = vendors.create_monitor(&access, draft(&Monitors.row(), &mark())).await.unwrap();
    let seen = vendors.monitors(&access).await.unwrap();
    assert_eq!((seen.len(), &seen[0].id, &seen[0].row), (1, &created.id, &Monitors.row()));
    vendors.delete_monitor(&access, &created.id).await.unwrap();
    assert!(vendors.monitors(&access).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_monitor_whose_create_was_lost_is_not_made_twice() {
    let place = Place::start().await;
    let ((vendors, _), access) = (shared(), place.access("uptimerobot"));
    place.fault("uptimerobot", "POST", &json!({"kind": "lost"}));
    let lost = vendors.create_monitor(&access, draft(&Monitors.row(), &mark())).await;
    assert!(matches!(lost, Err(Fault::Lost(_))), "{lost:?}");
    let again = vendors.create_monitor(&access, draft(&Monitors.row(), &mark())).await;
    assert!(matches!(again, Err(Fault::Throttled { .. })), "{again:?}");
    place.catch_up();
    assert_eq!((vendors.monitors(&access).await.unwrap().len(), Monitors.count(&place)), (1, 1));
}

#[tokio::test]
async fn accounts_in_other_places_with_the_same_credential_are_other_tables() {
    let place = Place::start().await;
    let ((vendors, _), access) = (shared(), place.access("sentry"));
    assert!(vendors.projects(&access).await.is_ok());
    let elsewhere = golive::vendors::Access { scope: vec!["acme".into(), "nobody".into()], ..access };
    assert!(vendors.projects(&elsewhere).await.is_err());
}

#[tokio::test]
async fn our_own_throttle_spreads_calls_and_tells_when_the_line_is_too_long() {
    let place = Place::start().await;
    let mut bench = Bench::of(Endpoints, &place);
    bench.access.limit = Limit { per_second: 20.0, burst: 1.0 };
    let started = Instant::now();
    for _ in 0..5 {
        Endpoints.provider(&bench).list().await.unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(190), "{:?}", started.elapsed());
    let mut slow = Bench::of(Endpoints, &place);
    slow.access.limit = Limit { per_second: 0.01, burst: 1.0 };
    Endpoints.provider(&slow).list().await.unwrap();
    let told = Endpoints.provider(&slow).list().await.unwrap_err();
    assert!(matches!(told, Fault::Throttled { after, .. } if after > Duration::from_secs(60)), "{told:?}");
    assert!(text_of(&told).contains("our own throttle"));
}

#[tokio::test]
async fn an_answer_that_drips_is_not_waited_for_beyond_the_timeout() {
    let place = Place::start().await;
    let bench = Bench::of(Records, &place);
    place.fault("cloudflare", "GET", &json!({"kind": "slow", "ms": 1000}));
    let started = Instant::now();
    let listed = Records.provider(&bench).list().await;
    assert!(matches!(listed, Err(Fault::Unreachable(_))), "{listed:?}");
    assert!((15..25).contains(&started.elapsed().as_secs()), "once, and not again: {:?}", started.elapsed());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let place = Place::start().await;
    let bench = Bench::of(Records, &place);
    let here = format!("{}/client/v4/zones", bench.access.base.trim_end_matches("/client/v4"));
    place.fault("cloudflare", "GET", &json!({"kind": "status", "code": 307, "headers": {"location": here}}));
    assert!(Records.provider(&bench).list().await.is_err());
    assert_eq!(place.calls("cloudflare"), 1);
}

#[tokio::test]
async fn what_cannot_be_called_with_is_told_before_anything_is_sent() {
    let place = Place::start().await;
    let mut bench = Bench::of(Records, &place);
    bench.access.credential = "canary\nwith a line".to_owned().into();
    let refused = Records.provider(&bench).create(draft(&Records.row(), &mark())).await.unwrap_err();
    assert!(matches!(refused, Fault::Denied(_)), "{refused:?}");
    text_of(&refused);
    let mut bench = Bench::of(Records, &place);
    bench.access.roots = Some("no certificate".into());
    let refused = Records.provider(&bench).list().await.unwrap_err();
    assert!(matches!(refused, Fault::Denied(_)) && text_of(&refused).contains("caBundle"), "{refused:?}");
    assert_eq!(place.calls("cloudflare"), 0);
}

#[tokio::test]
async fn who_is_not_vouched_for_is_not_talked_to() {
    let place = Place::start().await;
    let mut bench = Bench::of(Records, &place);
    bench.access.roots = None;
    let refused = cloudflare::zones(&bench.transport, &bench.access).await.unwrap_err();
    assert!(matches!(refused, Fault::Unreachable(_)) && text_of(&refused).contains("certificate"), "{refused:?}");
    assert_eq!(place.calls("cloudflare"), 0);
}

#[tokio::test]
async fn calls_are_counted_by_vendor_account_method_and_code() {
    let place = Place::start().await;
    let ((vendors, registry), access) = (shared(), place.access("cloudflare"));
    vendors.zones(&access).await.unwrap();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let line = "golive_vendor_requests_total{vendor=\"Cloudflare\",account=\"dns\",method=\"GET\",code=\"200\"} 1";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("golive_vendor_request_duration_seconds_count 1"), "{text}");
}

#[test]
fn what_is_shown_for_debugging_holds_no_credential() {
    let access = golive::vendors::Access::stripe("pay", None, "sk_test_canary".to_owned().into(), None);
    let shown = format!("{access:?} {}", Call::new(Method::GET, "/x").path);
    assert!(shown.contains("pay") && !shown.contains("canary"), "{shown}");
}
