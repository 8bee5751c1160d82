//! Sends Stripe's events to their endpoints, through our own DNS and the edge.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;

use super::client::{Failure, send};
use super::hub::Hub;
use super::visit::target;
use crate::clock::Clock;
use crate::stripe::delivery::Parcel;

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends what is due, whenever something is.
pub async fn keep(hub: Arc<Hub>) {
    loop {
        let due = hub.with(|vendors| vendors.stripe.next_due());
        let pause = due.map_or(Duration::from_secs(3600), |due| due.since(hub.clock.now()));
        let _ = tokio::time::timeout(pause, hub.changed.notified()).await;
        let (parcels, hub) = (take(&hub), hub.clone());
        tokio::spawn(async move { send_all(&hub, parcels).await });
    }
}

/// Sends what is due now, and returns when the outcome of each is known.
pub async fn now(hub: &Arc<Hub>) {
    send_all(hub, take(hub)).await;
}

fn take(hub: &Hub) -> Vec<Parcel> {
    hub.with(|vendors| vendors.stripe.due(hub.clock.now(), Clock::real()))
}

async fn send_all(hub: &Arc<Hub>, parcels: Vec<Parcel>) {
    let mut sending = tokio::task::JoinSet::new();
    for parcel in parcels {
        let hub = hub.clone();
        sending.spawn(async move { hand_over(&hub, &parcel).await });
    }
    while sending.join_next().await.is_some() {}
}

async fn hand_over(hub: &Arc<Hub>, parcel: &Parcel) {
    let answer = tokio::time::timeout(PATIENCE, post(hub, parcel)).await;
    let outcome = answer.unwrap_or(Err(Failure::TimedOut)).map_err(|failure| failure.to_string());
    hub.with(|vendors| vendors.stripe.delivered(hub.clock.now(), parcel, outcome));
    hub.changed.notify_one();
}

async fn post(hub: &Arc<Hub>, parcel: &Parcel) -> Result<u16, Failure> {
    let url: http::Uri = parcel.url.parse().map_err(|_| Failure::NotFound)?;
    let authority = url.authority().ok_or(Failure::NotFound)?;
    let request = hyper::Request::post(url.path_and_query().map_or("/", |target| target.as_str()))
        .header("host", authority.as_str())
        .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .header("content-type", "application/json; charset=utf-8")
        .header("stripe-signature", &parcel.signature)
        .body(Full::new(Bytes::from(parcel.payload.clone())))
        .map_err(|_| Failure::NotFound)?;
    Ok(send(target(hub, &url)?, request).await?.status().as_u16())
}
