//! Cloudflare's API for zones and DNS records, as <https://developers.cloudflare.com/api/> describes it.

mod answer;
mod batch;
mod listing;
pub mod record;
mod rules;
mod zone;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Moment;
use crate::config::CloudflareSeed;
use crate::gate::{Headers, Vendor};
use crate::ids::{Ids, named};
use crate::limits::{Limit, Windows, whole_seconds};
use crate::message::{Request, Response};
use answer::{Problem, done, failed};
pub use record::Record;
pub use zone::Zone;

/// A free zone holds so many records: <https://developers.cloudflare.com/dns/manage-dns-records/>.
pub const RECORDS_PER_ZONE: usize = 200;
/// A batch of a free zone holds so many operations:
/// <https://developers.cloudflare.com/dns/manage-dns-records/how-to/batch-record-changes/>.
pub const BATCH_OPERATIONS: usize = 200;
/// <https://developers.cloudflare.com/fundamentals/api/reference/limits/>
const PER_TOKEN: Limit = Limit { requests: 1200, span: Duration::from_secs(300) };
const PER_ADDRESS: Limit = Limit::per_second(200);

/// One account with its tokens and zones.
#[derive(Clone, Serialize, Deserialize)]
pub struct State {
    ids: Ids,
    /// Identifiers by token.
    tokens: BTreeMap<String, String>,
    account: String,
    name_servers: Vec<String>,
    pub zones: Vec<Zone>,
    #[serde(skip)]
    windows: Windows,
    /// Until when a token that broke its limit is shut out.
    #[serde(skip)]
    blocked: BTreeMap<String, Moment>,
}

type Outcome = Result<Response, Problem>;

impl State {
    /// No account yet.
    pub fn new(entropy: &str) -> Self {
        Self {
            ids: Ids::new(&format!("cloudflare/{entropy}")),
            tokens: BTreeMap::new(),
            account: String::new(),
            name_servers: Vec::new(),
            zones: Vec::new(),
            windows: Windows::default(),
            blocked: BTreeMap::new(),
        }
    }

    /// Adds the seed's tokens and zones.
    pub fn sow(&mut self, seed: &CloudflareSeed) {
        self.account = if seed.account.is_empty() { named("account", 32) } else { seed.account.clone() };
        self.name_servers = seed.name_servers.clone();
        if self.name_servers.is_empty() {
            self.name_servers = vec!["ns1.vendors.test".into(), "ns2.vendors.test".into()];
        }
        for token in &seed.tokens {
            self.tokens.entry(token.clone()).or_insert_with(|| named(token, 32));
        }
        for name in &seed.zones {
            if !self.zones.iter().any(|zone| &zone.name == name) {
                self.zones.push(Zone::new(name));
            }
        }
    }

    /// The names of the servers that answer for the zones.
    pub fn name_servers(&self) -> &[String] {
        &self.name_servers
    }

    fn route(&mut self, now: Moment, request: &Request) -> Outcome {
        let segments = request.segments();
        let Some(segments) = segments.strip_prefix(&["client", "v4"]) else {
            return Err(Problem::no_route(&request.path));
        };
        match (request.method.as_str(), segments) {
            ("GET", ["user", "tokens", "verify"]) if is_of_account(request) => Err(unknown_token(request)),
            ("GET", ["user", "tokens", "verify"]) => self.verify(request),
            ("GET", ["accounts", account, "tokens", "verify"]) => self.verify_in(account, request),
            ("GET", ["zones"]) => self.list_zones(request),
            ("GET", ["zones", zone]) => Ok(done(self.zone(zone)?.shown(self))),
            (_, ["zones", zone, "dns_records", rest @ ..]) => self.records(now, (zone, rest), request),
            _ => Err(Problem::no_route(&request.path)),
        }
    }

    fn records(&mut self, now: Moment, (zone, rest): (&str, &[&str]), request: &Request) -> Outcome {
        let place = self.zone_place(zone)?;
        let (ids, zone) = (&mut self.ids, &mut self.zones[place]);
        match (request.method.as_str(), rest) {
            ("GET", []) => listing::records(zone, request),
            ("POST", []) => zone.create(&answer::object(request)?, ids, now).map(|record| done(record.shown())),
            ("POST", ["batch"]) => batch::apply(zone, request, ids, now),
            ("GET", [id]) => zone.record(id).map(|record| done(record.shown())),
            ("PATCH", [id]) => zone.patch(id, &answer::object(request)?, now).map(|record| done(record.shown())),
            ("PUT", [id]) => zone.put(id, &answer::object(request)?, now).map(|record| done(record.shown())),
            ("DELETE", [id]) => zone.delete(id).map(|record| done(json!({"id": record.id}))),
            _ => Err(Problem::no_route(&request.path)),
        }
    }

    fn zone_place(&self, id: &str) -> Result<usize, Problem> {
        self.zones.iter().position(|zone| zone.id == id).ok_or_else(|| Problem::zone_unknown(id))
    }

    fn zone(&self, id: &str) -> Result<&Zone, Problem> {
        self.zone_place(id).map(|place| &self.zones[place])
    }

    fn list_zones(&self, request: &Request) -> Outcome {
        listing::zones(self, request)
    }

    fn verify(&self, request: &Request) -> Outcome {
        let id = request.credential().and_then(|token| self.tokens.get(&token).cloned());
        let message = json!({"code": 10000, "message": "This API Token is valid and active", "type": null});
        let answer = done(json!({"id": id, "status": "active"}));
        Ok(answer::with_message(answer, message))
    }

    fn verify_in(&self, account: &str, request: &Request) -> Outcome {
        if account != self.account {
            return Err(Problem::authentication());
        }
        self.verify(request)
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let header = request.head("authorization").ok_or_else(Problem::no_credential)?;
        let well_formed = header.strip_prefix("Bearer ").is_some_and(is_token);
        if !well_formed {
            return Err(Problem::bad_header());
        }
        let known = request.credential().is_some_and(|token| self.tokens.contains_key(&token));
        if known { Ok(()) } else { Err(unknown_token(request)) }
    }
}

/// A token of an account instead of a user:
/// <https://developers.cloudflare.com/fundamentals/api/get-started/account-owned-tokens/>.
fn is_of_account(request: &Request) -> bool {
    request.credential().is_some_and(|token| token.starts_with("cfat_"))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
}

fn unknown_token(request: &Request) -> Problem {
    if request.path.ends_with("/tokens/verify") {
        return Problem::new(401, 1000, "Invalid API Token");
    }
    if request.path.contains("/dns_records") {
        return Problem::authentication();
    }
    Problem::new(403, 9109, "Invalid access token")
}

impl Vendor for State {
    fn handle(&mut self, now: Moment, request: &Request) -> Response {
        let outcome = self.check(request).and_then(|()| self.route(now, request));
        outcome.unwrap_or_else(|problem| failed(&problem)).with("cf-ray", format!("{}-GLV", self.ids.hex(16)))
    }

    fn refuse(&mut self, request: &Request) -> Response {
        failed(&unknown_token(request))
    }

    fn throttle(&mut self, now: Moment, request: &Request) -> Result<Headers, Response> {
        let name = request.credential().unwrap_or_default();
        if let Some(until) = self.blocked.get(&name).filter(|until| now < **until) {
            return Err(too_many(until.since(now)));
        }
        let second = self.windows.take("address", PER_ADDRESS, now);
        if !second.admitted {
            return Err(too_many(second.reset));
        }
        let token = self.windows.take(&format!("token/{name}"), PER_TOKEN, now);
        if !token.admitted {
            self.blocked.insert(name, now.plus(PER_TOKEN.span));
            return Err(too_many(PER_TOKEN.span));
        }
        Ok(limit_headers(token.remaining, token.reset))
    }

    fn inventory(&self, stable: bool) -> Value {
        let zones = self.zones.iter().map(|zone| (zone.name.clone(), zone.inventory(stable)));
        json!({"zones": zones.collect::<serde_json::Map<_, _>>()})
    }
}

fn limit_headers(remaining: usize, reset: Duration) -> Headers {
    let left = format!("\"default\";r={remaining};t={}", whole_seconds(reset));
    vec![("ratelimit".into(), left), ("ratelimit-policy".into(), "\"default\";q=1200;w=300".into())]
}

fn too_many(wait: Duration) -> Response {
    let problem = Problem::new(429, 971, "Please wait and consider throttling your request speed");
    let answer = failed(&problem).with("retry-after", whole_seconds(wait));
    limit_headers(0, wait).iter().fold(answer, |answer, (name, value)| answer.with(name, value))
}
