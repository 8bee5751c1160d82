//! Which deliveries are due, what they carry, and what their outcome changes. Sending is the transport's work.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::event::{Delivery, Event, Status};
use super::{API_VERSION, Mode, State};
use crate::clock::Moment;
use crate::message::hex;

/// One POST to be sent.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub live: bool,
    pub event: String,
    pub endpoint: String,
    pub url: String,
    pub payload: String,
    pub signature: String,
}

impl State {
    /// Creates an event and a delivery for every endpoint that wants it; returns its identifier.
    pub fn happen(&mut self, now: Moment, happening: Happening) -> String {
        let id = format!("evt_1{}", self.ids.base62(23));
        let mode = self.mode_mut(happening.live);
        let takers = mode.endpoints.iter().filter(|endpoint| endpoint.wants(&happening.kind));
        let deliveries = takers.map(|endpoint| Delivery::to(&endpoint.id, now)).collect();
        mode.events.push(Event {
            id: id.clone(),
            kind: happening.kind,
            object: happening.object,
            created: now,
            deliveries,
            wrong_signature: happening.wrong_signature,
        });
        id
    }

    /// Takes the deliveries that are due; each comes once until its outcome is told. `stamp` goes into the signature.
    pub fn due(&mut self, now: Moment, stamp: Moment) -> Vec<Parcel> {
        let mut parcels = due_in(&mut self.test, now, stamp);
        parcels.extend(due_in(&mut self.live, now, stamp));
        parcels
    }

    /// When the next delivery is due.
    pub fn next_due(&self) -> Option<Moment> {
        let events = self.test.events.iter().chain(&self.live.events);
        events.flat_map(|event| &event.deliveries).filter_map(|delivery| delivery.next).min()
    }

    /// Takes note of a try.
    pub fn delivered(&mut self, now: Moment, parcel: &Parcel, outcome: Result<u16, String>) {
        let mode = self.mode_mut(parcel.live);
        let event = mode.events.iter_mut().find(|event| event.id == parcel.event);
        let deliveries = event.map(|event| &mut event.deliveries);
        let delivery = deliveries.and_then(|all| all.iter_mut().find(|delivery| delivery.endpoint == parcel.endpoint));
        if let Some(delivery) = delivery {
            delivery.tried(now, parcel.live, outcome);
        }
    }

    /// What became of an event's deliveries.
    pub fn deliveries(&self, event: &str) -> Option<Value> {
        let mut events = self.test.events.iter().chain(&self.live.events);
        let event = events.find(|candidate| candidate.id == event)?;
        Some(json!({"id": event.id, "type": event.kind, "deliveries": event.deliveries}))
    }
}

/// Something that happens in an account.
#[derive(Clone, Debug)]
pub struct Happening {
    pub kind: String,
    pub object: Value,
    pub live: bool,
    pub wrong_signature: bool,
}

fn due_in(mode: &mut Mode, now: Moment, stamp: Moment) -> Vec<Parcel> {
    let (live, endpoints) = (mode.live, &mode.endpoints);
    let mut parcels = Vec::new();
    for event in &mut mode.events {
        for place in 0..event.deliveries.len() {
            if event.deliveries[place].next.is_none_or(|next| now < next) {
                continue;
            }
            let delivery = &mut event.deliveries[place];
            delivery.next = None;
            let receiver = endpoints.iter().find(|endpoint| endpoint.id == delivery.endpoint && !endpoint.disabled);
            match receiver {
                Some(endpoint) => parcels.push(parcel(event, endpoint, live, stamp)),
                None => delivery.status = Status::Cancelled,
            }
        }
    }
    parcels
}

fn parcel(event: &Event, endpoint: &super::Endpoint, live: bool, stamp: Moment) -> Parcel {
    let shown = event.shown(live, endpoint.api_version.as_deref().unwrap_or(API_VERSION));
    let payload = serde_json::to_string_pretty(&shown).unwrap_or_default();
    let secret = if event.wrong_signature { "whsec_of_nobody" } else { &endpoint.secret };
    let signature = signature(secret, stamp.seconds(), &payload);
    let (event, endpoint_id, url) = (event.id.clone(), endpoint.id.clone(), endpoint.url.clone());
    Parcel { live, event, endpoint: endpoint_id, url, payload, signature }
}

/// The header `Stripe-Signature`: <https://docs.stripe.com/webhooks#verify-manually>.
pub fn signature(secret: &str, seconds: i64, payload: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{seconds}.{payload}").as_bytes());
    format!("t={seconds},v1={}", hex(&mac.finalize().into_bytes()))
}
