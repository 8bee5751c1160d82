//! Events, and what became of their delivery: <https://docs.stripe.com/api/events>, <https://docs.stripe.com/webhooks>.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::problem::Problem;
use super::{Mode, params};
use crate::clock::Moment;

type Body = Map<String, Value>;

/// Events can be listed for so long.
const LISTED: Duration = Duration::from_secs(30 * 24 * 3600);
/// Pauses between tries, in minutes. Stripe says only: up to three days with growing pauses in live mode,
/// three tries over a few hours with test keys.
const LIVE_PAUSES: [u64; 9] = [5, 30, 120, 300, 600, 720, 720, 720, 720];
const TEST_PAUSES: [u64; 2] = [60, 120];

/// A stored event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    pub id: String,
    pub kind: String,
    pub object: Value,
    pub created: Moment,
    pub deliveries: Vec<Delivery>,
    /// Signs with a secret that no endpoint has.
    pub wrong_signature: bool,
}

/// One event on its way to one endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    pub endpoint: String,
    pub status: Status,
    pub attempts: u32,
    pub response_code: Option<u16>,
    /// What went wrong before there was an answer.
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Moment>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Pending,
    Succeeded,
    Failed,
    /// The endpoint went away or was disabled.
    Cancelled,
}

impl Delivery {
    /// A delivery that is due at once.
    pub fn to(endpoint: &str, now: Moment) -> Self {
        let (status, next) = (Status::Pending, Some(now));
        Self { endpoint: endpoint.into(), status, attempts: 0, response_code: None, error: None, next }
    }

    /// Counts a try: 2xx ends it, everything else leads to the next one, or to none.
    pub fn tried(&mut self, now: Moment, live: bool, outcome: Result<u16, String>) {
        let pauses: &[u64] = if live { &LIVE_PAUSES } else { &TEST_PAUSES };
        let pause = pauses.get(usize::try_from(self.attempts).unwrap_or(usize::MAX));
        self.attempts += 1;
        self.response_code = outcome.as_ref().ok().copied();
        self.error = outcome.err();
        if self.response_code.is_some_and(|code| (200..300).contains(&code)) {
            (self.status, self.next) = (Status::Succeeded, None);
            return;
        }
        self.next = pause.map(|minutes| now.plus(Duration::from_secs(minutes * 60)));
        self.status = if self.next.is_some() { Status::Pending } else { Status::Failed };
    }
}

impl Event {
    fn pending(&self) -> usize {
        self.deliveries.iter().filter(|delivery| matches!(delivery.status, Status::Pending | Status::Failed)).count()
    }

    /// The event as the API and its receivers see it.
    pub fn shown(&self, live: bool, api_version: &str) -> Value {
        json!({
            "id": self.id, "object": "event", "api_version": api_version, "created": self.created.seconds(),
            "data": {"object": self.object}, "livemode": live, "pending_webhooks": self.pending(),
            "request": {"id": null, "idempotency_key": null}, "type": self.kind,
        })
    }
}

/// The events that the call asks for, newest first.
pub fn list<'a>(mode: &'a Mode, query: &Body, now: Moment) -> Result<Vec<&'a Event>, Problem> {
    let known = ["delivery_success", "type", "types", "created", "limit", "starting_after", "ending_before", "expand"];
    params::only(query, &known)?;
    let success = params::boolean(query, "delivery_success")?;
    let kinds = kinds(query);
    let wanted = |event: &&Event| {
        now < event.created.plus(LISTED)
            && success.is_none_or(|success| success == (event.pending() == 0))
            && kinds.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| fits(kind, &event.kind)))
            && created(query.get("created"), event.created.seconds())
    };
    Ok(mode.events.iter().rev().filter(wanted).collect())
}

fn kinds(query: &Body) -> Option<Vec<&str>> {
    if let Some(types) = query.get("types").and_then(Value::as_array) {
        return Some(types.iter().filter_map(Value::as_str).collect());
    }
    params::text(query, "type").map(|kind| vec![kind])
}

fn fits(wanted: &str, kind: &str) -> bool {
    wanted.strip_suffix('*').map_or(wanted == kind, |prefix| kind.starts_with(prefix))
}

/// `created=x`, or `created[gt|gte|lt|lte]=x`.
fn created(filter: Option<&Value>, seconds: i64) -> bool {
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<i64>().ok());
    match filter {
        Some(Value::Object(bounds)) => bounds.iter().all(|(name, value)| match (name.as_str(), number(value)) {
            ("gt", Some(bound)) => seconds > bound,
            ("gte", Some(bound)) => seconds >= bound,
            ("lt", Some(bound)) => seconds < bound,
            ("lte", Some(bound)) => seconds <= bound,
            _ => false,
        }),
        Some(value) => number(value) == Some(seconds),
        None => true,
    }
}
