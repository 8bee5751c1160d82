//! Stripe's API for webhook endpoints and events, as <https://docs.stripe.com/api> describes it.

pub mod delivery;
mod endpoint;
pub mod event;
mod form;
mod idempotency;
mod params;
mod problem;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::Moment;
use crate::config::StripeSeed;
use crate::gate::{Headers, Vendor};
use crate::ids::{Ids, named};
use crate::limits::{Limit, Windows};
use crate::message::{Request, Response};
pub use endpoint::{ENDPOINTS, Endpoint};
pub use event::Event;
use idempotency::Keys;
use problem::Problem;

/// The version of accounts that never chose one.
pub const API_VERSION: &str = "2026-10-28.endive";
/// <https://docs.stripe.com/rate-limits>
const LIVE: Limit = Limit::per_second(100);
const TEST: Limit = Limit::per_second(25);
const PER_RESOURCE: Limit = Limit::per_second(25);

/// What one kind of key sees: test and live know nothing of each other.
#[derive(Clone, Serialize, Deserialize)]
pub struct Mode {
    pub live: bool,
    keys: Vec<String>,
    pub endpoints: Vec<Endpoint>,
    pub events: Vec<Event>,
    idempotency: Keys,
    /// So many endpoints may exist.
    #[serde(default = "usual_limit")]
    limit: usize,
}

/// One account.
#[derive(Clone, Serialize, Deserialize)]
pub struct State {
    ids: Ids,
    account: String,
    pub live: Mode,
    pub test: Mode,
    #[serde(skip)]
    windows: Windows,
}

type Outcome = Result<Value, Problem>;

fn usual_limit() -> usize {
    ENDPOINTS
}

impl Mode {
    fn new(live: bool) -> Self {
        let (keys, endpoints, events) = (Vec::new(), Vec::new(), Vec::new());
        Self { live, keys, endpoints, events, idempotency: Keys::default(), limit: ENDPOINTS }
    }

    fn inventory(&self, stable: bool) -> Value {
        let shown = |endpoint: &Endpoint| if stable { endpoint.row() } else { endpoint.shown(self.live) };
        let mut endpoints: Vec<Value> = self.endpoints.iter().map(shown).collect();
        endpoints.sort_by_key(Value::to_string);
        let mut inventory = json!({"webhookEndpoints": endpoints});
        if !stable {
            inventory["events"] = self.events.iter().map(|event| event.shown(self.live, API_VERSION)).collect();
        }
        inventory
    }
}

impl State {
    /// An account without keys.
    pub fn new(entropy: &str) -> Self {
        let ids = Ids::new(&format!("stripe/{entropy}"));
        let (live, test) = (Mode::new(true), Mode::new(false));
        Self { ids, account: format!("acct_1{}", named("stripe", 16)), live, test, windows: Windows::default() }
    }

    /// Adds the seed's keys.
    pub fn sow(&mut self, seed: &StripeSeed) {
        for (mode, key) in [(&mut self.live, &seed.live), (&mut self.test, &seed.test)] {
            if !key.is_empty() && !mode.keys.contains(key) {
                mode.keys.push(key.clone());
            }
        }
    }

    /// Chooses whether a replayed create shows its secret.
    pub fn set_replays_secret(&mut self, shows: bool) {
        for mode in [&mut self.live, &mut self.test] {
            mode.idempotency.hides_secret = !shows;
        }
    }

    /// Chooses how many endpoints each mode takes.
    pub fn set_endpoint_limit(&mut self, most: usize) {
        for mode in [&mut self.live, &mut self.test] {
            mode.limit = most;
        }
    }

    /// The inventory of one kind of key.
    pub fn mode_mut(&mut self, live: bool) -> &mut Mode {
        if live { &mut self.live } else { &mut self.test }
    }

    fn is_live(&self, request: &Request) -> Result<bool, Problem> {
        let Some(key) = request.credential() else { return Err(no_key()) };
        if self.live.keys.contains(&key) {
            return Ok(true);
        }
        if self.test.keys.contains(&key) { Ok(false) } else { Err(wrong_key("Invalid API Key provided", &key)) }
    }

    fn answer(&mut self, now: Moment, request: &Request, id: &str) -> Response {
        let live = match self.is_live(request) {
            Ok(live) => live,
            Err(problem) => return problem.answer(false, id).with("www-authenticate", "Basic realm=\"Stripe\""),
        };
        match self.mode_mut(live).idempotency.replay(now, request) {
            Ok(Some(answer)) => return answer,
            Ok(None) => {}
            Err(problem) => return problem.answer(live, id),
        }
        let outcome = version(request).and_then(|()| self.route(now, live, request));
        let keep = outcome.as_ref().map_or_else(|problem| problem.started, |_| true);
        let answer = outcome.map_or_else(|problem| problem.answer(live, id), |value| pretty(&value));
        if keep {
            let saved = answer.clone().with("request-id", id);
            self.mode_mut(live).idempotency.save(now, request, &saved);
        }
        answer
    }

    fn route(&mut self, now: Moment, live: bool, request: &Request) -> Outcome {
        let (body, query) = (form::decode(&request.body), form::tree(request.query.clone()));
        let account = self.account.clone();
        let mode = if live { &mut self.live } else { &mut self.test };
        let segments = request.segments();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["v1", "account"]) => Ok(shown_account(&account)),
            ("GET", ["v1", "webhook_endpoints"]) => list_endpoints(mode, &query),
            ("POST", ["v1", "webhook_endpoints"]) => endpoint::create(mode, &body, &mut self.ids, now),
            ("GET", ["v1", "webhook_endpoints", id]) => endpoint::retrieve(mode, id),
            ("POST", ["v1", "webhook_endpoints", id]) => endpoint::update(mode, id, &body),
            ("DELETE", ["v1", "webhook_endpoints", id]) => endpoint::delete(mode, id),
            ("GET", ["v1", "events"]) => list_events(mode, &query, now),
            ("GET", ["v1", "events", id]) => one_event(mode, id),
            (method, _) => Err(Problem::no_route(method, &request.path)),
        }
    }
}

fn list_endpoints(mode: &Mode, query: &Map<String, Value>) -> Outcome {
    params::only(query, &["limit", "starting_after", "ending_before", "expand"])?;
    let rows = mode.endpoints.iter().rev().map(|endpoint| endpoint.shown(mode.live)).collect();
    listed(rows, query, "/v1/webhook_endpoints")
}

fn list_events(mode: &Mode, query: &Map<String, Value>, now: Moment) -> Outcome {
    let rows = event::list(mode, query, now)?.iter().map(|event| event.shown(mode.live, API_VERSION)).collect();
    listed(rows, query, "/v1/events")
}

fn one_event(mode: &Mode, id: &str) -> Outcome {
    let event = mode.events.iter().find(|event| event.id == id);
    event.map(|event| event.shown(mode.live, API_VERSION)).ok_or_else(|| Problem::not_found(404, "event", id))
}

/// One page around a cursor: <https://docs.stripe.com/api/pagination>.
fn listed(rows: Vec<Value>, query: &Map<String, Value>, url: &str) -> Outcome {
    let limit = params::number(query, "limit", 10)?;
    let place = |name: &str| params::text(query, name).map(|id| position(&rows, name, id)).transpose();
    let (after, before) = (place("starting_after")?, place("ending_before")?);
    let start = after.map_or(0, |place| place + 1);
    let end = before.unwrap_or(rows.len());
    let start = if before.is_some() { start.max(end.saturating_sub(limit)) } else { start };
    let stop = end.min(start.saturating_add(limit));
    let more = if before.is_some() { start > after.map_or(0, |place| place + 1) } else { stop < end };
    let data = rows.get(start..stop).unwrap_or_default();
    Ok(json!({"object": "list", "data": data, "has_more": more, "url": url}))
}

fn position(rows: &[Value], name: &str, id: &str) -> Result<usize, Problem> {
    let place = rows.iter().position(|row| row["id"] == id);
    place.ok_or_else(|| Problem::not_found(400, "object", id).param(name.to_string()))
}

fn shown_account(id: &str) -> Value {
    json!({
        "id": id, "object": "account", "business_profile": {"name": "golive world", "url": null}, "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"}, "charges_enabled": true, "country": "US",
        "created": 1_767_322_800, "default_currency": "usd", "details_submitted": true, "email": "owner@example.com",
        "metadata": {}, "payouts_enabled": true, "settings": {"dashboard": {"display_name": "golive world", "timezone": "Etc/UTC"}},
        "type": "standard",
    })
}

fn version(request: &Request) -> Result<(), Problem> {
    request.head("stripe-version").map(params::api_version).transpose().map(|_| ())
}

/// Stripe prints its JSON with indentation.
fn pretty(value: &Value) -> Response {
    Response::text(200, "application/json", serde_json::to_string_pretty(value).unwrap_or_default())
}

fn no_key() -> Problem {
    Problem::invalid(
        401,
        "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or we can help at https://support.stripe.com/.",
    )
}

/// Stripe shows a key's beginning and its last four letters.
fn wrong_key(message: &str, key: &str) -> Problem {
    let letters: Vec<char> = key.chars().collect();
    let (start, end) = (8.min(letters.len()), letters.len().saturating_sub(4));
    let masked: String = letters
        .iter()
        .enumerate()
        .map(|(place, letter)| if (start..end).contains(&place) { '*' } else { *letter })
        .collect();
    Problem::invalid(401, format!("{message}: {masked}"))
}

impl Vendor for State {
    fn handle(&mut self, now: Moment, request: &Request) -> Response {
        let id = format!("req_{}", self.ids.base62(14));
        let answer = self.answer(now, request, &id).with("request-id", &id).with("stripe-version", API_VERSION);
        match idempotency::key(request) {
            Some(key) => answer.with("idempotency-key", key),
            None => answer,
        }
    }

    fn refuse(&mut self, request: &Request) -> Response {
        let id = format!("req_{}", self.ids.base62(14));
        let problem = request
            .credential()
            .map_or_else(no_key, |key| wrong_key("Expired API Key provided", &key).code("api_key_expired"));
        problem.answer(false, &id).with("request-id", &id)
    }

    fn throttle(&mut self, now: Moment, request: &Request) -> Result<Headers, Response> {
        let Ok(live) = self.is_live(request) else { return Ok(Headers::new()) };
        let resource = request.segments().get(1).copied().unwrap_or_default().to_string();
        let all = self.windows.take(&format!("{live}"), if live { LIVE } else { TEST }, now);
        let one = self.windows.take(&format!("{live}/{resource}"), PER_RESOURCE, now);
        if all.admitted && one.admitted {
            return Ok(Headers::new());
        }
        Err(too_many(live, &format!("req_{}", self.ids.base62(14)), all.admitted))
    }

    fn inventory(&self, stable: bool) -> Value {
        json!({"live": self.live.inventory(stable), "test": self.test.inventory(stable)})
    }

    /// An idempotency key, or the object that is being changed: <https://docs.stripe.com/rate-limits#object-lock-timeouts>.
    fn lock(&self, request: &Request) -> Option<String> {
        let live = self.is_live(request).ok()?;
        let object = || Some(request.path.clone()).filter(|path| request.method == "POST" && path.contains("/we_"));
        let what = idempotency::key(request).map(String::from).or_else(object)?;
        Some(format!("stripe/{live}/{what}"))
    }

    fn busy(&mut self, request: &Request) -> Response {
        let id = format!("req_{}", self.ids.base62(14));
        let problem = if idempotency::key(request).is_some() { Problem::key_in_use() } else { Problem::locked() };
        problem.answer(self.is_live(request).unwrap_or(false), &id).with("request-id", &id)
    }

    fn spoiled(&mut self, now: Moment, request: &Request, answer: &Response) {
        let Ok(live) = self.is_live(request) else { return };
        // A 500 of the API itself is kept for the key; what stands in front of it (502, 503, 504) never saw the key.
        if answer.status == 500 {
            self.mode_mut(live).idempotency.save(now, request, answer);
        }
    }
}

fn too_many(live: bool, id: &str, endpoint_only: bool) -> Response {
    let problem = Problem::invalid(
        429,
        "Request rate limit exceeded. Learn more about rate limits at https://stripe.com/docs/rate-limits.",
    );
    let reason = if endpoint_only { "endpoint-rate" } else { "global-rate" };
    let answer = problem.code("rate_limit").answer(live, id).with("request-id", id);
    answer.with("stripe-rate-limited-reason", reason)
}
