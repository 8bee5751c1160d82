//! What every call passes: the log, ordered faults, revoked credentials and the rate limit, then the vendor itself.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::calls::Call;
use crate::clock::Moment;
use crate::faults::{Faults, Kind, cut, ordered_answer, swollen};
use crate::message::{Request, Response, fingerprint};
use crate::{Config, cloudflare, sentry, stripe, uptimerobot};

/// Headers that tell a caller how much of a limit is left.
pub type Headers = Vec<(String, String)>;

/// One vendor as a state machine without sockets or clock.
pub trait Vendor {
    /// Does the work and answers.
    fn handle(&mut self, now: Moment, request: &Request) -> Response;

    /// The answer to a credential that is unknown, or no longer good.
    fn refuse(&mut self, request: &Request) -> Response;

    /// Counts the call against the vendor's limits: the headers to add, or the answer to one too many.
    fn throttle(&mut self, now: Moment, request: &Request) -> Result<Headers, Response>;

    /// All rows; `stable` leaves out what differs between two runs alike: identifiers and times.
    fn inventory(&self, stable: bool) -> Value;

    /// What must not run twice at once: an idempotency key.
    fn lock(&self, _request: &Request) -> Option<String> {
        None
    }

    /// The answer while the lock is held by another request.
    fn busy(&mut self, request: &Request) -> Response {
        self.refuse(request)
    }

    /// Learns that a fault answered in its stead.
    fn spoiled(&mut self, _now: Moment, _request: &Request, _answer: &Response) {}
}

/// How an answer travels.
#[derive(Clone, Debug, PartialEq)]
pub enum Manner {
    Plain,
    /// The connection closes without it.
    Lost,
    /// The connection is reset without it.
    Reset,
    /// It comes late.
    Delay(Duration),
    /// Its body comes a byte at a time.
    Slow(Duration),
}

/// An answer, and how it travels; `lock` is to be released once it is on its way.
#[derive(Clone, Debug)]
pub struct Reply {
    pub answer: Response,
    pub manner: Manner,
    pub lock: Option<String>,
}

/// All vendors with everything they keep.
#[derive(Clone, Serialize, Deserialize)]
pub struct Vendors {
    pub cloudflare: cloudflare::State,
    pub stripe: stripe::State,
    pub uptimerobot: uptimerobot::State,
    pub sentry: sentry::State,
    #[serde(skip)]
    pub faults: Faults,
    #[serde(skip)]
    pub calls: Vec<Call>,
    /// Pairs of a vendor's name and a fingerprint, or `all`.
    #[serde(default)]
    revoked: BTreeSet<(String, String)>,
    #[serde(skip)]
    locks: BTreeSet<String>,
}

/// The vendors' names, as paths and faults use them.
pub const NAMES: [&str; 4] = ["cloudflare", "stripe", "uptimerobot", "sentry"];

impl Vendors {
    /// Vendors with the seed's accounts and no rows.
    pub fn new(config: &Config) -> Self {
        let mut vendors = Self {
            cloudflare: cloudflare::State::new(&config.entropy),
            stripe: stripe::State::new(&config.entropy),
            uptimerobot: uptimerobot::State::new(&config.entropy),
            sentry: sentry::State::new(&config.entropy),
            faults: Faults::default(),
            calls: Vec::new(),
            revoked: BTreeSet::new(),
            locks: BTreeSet::new(),
        };
        vendors.sow(config);
        vendors
    }

    /// Adds what the seed names and is not there yet.
    pub fn sow(&mut self, config: &Config) {
        self.cloudflare.sow(&config.seed.cloudflare);
        self.stripe.sow(&config.seed.stripe);
        self.uptimerobot.sow(&config.seed.uptimerobot);
        self.sentry.sow(&config.seed.sentry);
    }

    /// A vendor by its name.
    pub fn by_name(&mut self, name: &str) -> Option<&mut dyn Vendor> {
        match name {
            "cloudflare" => Some(&mut self.cloudflare),
            "stripe" => Some(&mut self.stripe),
            "uptimerobot" => Some(&mut self.uptimerobot),
            "sentry" => Some(&mut self.sentry),
            _ => None,
        }
    }

    /// One call, from its arrival to the answer and the way it travels.
    pub fn serve(&mut self, name: &str, now: Moment, request: &Request) -> Reply {
        let mut call = Call::of(name, now, request);
        let reply = self.reply(name, now, request);
        call.status = if matches!(reply.manner, Manner::Lost | Manner::Reset) { 0 } else { reply.answer.status };
        self.calls.push(call);
        reply
    }

    /// Lets the next request with the same idempotency key in.
    pub fn release(&mut self, lock: &str) {
        self.locks.remove(lock);
    }

    /// Makes a credential useless, by fingerprint or `all`, until it is restored.
    pub fn revoke(&mut self, vendor: &str, credential: &str) {
        self.revoked.insert((vendor.into(), credential.into()));
    }

    /// Makes a credential good again; `all` restores every one of the vendor.
    pub fn restore(&mut self, vendor: &str, credential: &str) {
        self.revoked.retain(|(name, kept)| name != vendor || (credential != "all" && kept != credential));
    }

    /// All rows of all vendors.
    pub fn inventory(&self, stable: bool) -> Value {
        serde_json::json!({
            "cloudflare": self.cloudflare.inventory(stable),
            "stripe": self.stripe.inventory(stable),
            "uptimerobot": self.uptimerobot.inventory(stable),
            "sentry": self.sentry.inventory(stable),
        })
    }

    fn reply(&mut self, name: &str, now: Moment, request: &Request) -> Reply {
        let fault = self.faults.take(name, request);
        let lock = self.by_name(name).and_then(|vendor| vendor.lock(request));
        if lock.as_ref().is_some_and(|lock| self.locks.contains(lock)) {
            let answer = self.by_name(name).map_or(Response::empty(404), |vendor| vendor.busy(request));
            return Reply { answer, manner: Manner::Plain, lock: None };
        }
        let (answer, manner) = self.spoil(fault, (name, now), request);
        let held = lock.filter(|_| matches!(manner, Manner::Delay(_) | Manner::Slow(_)));
        self.locks.extend(held.clone());
        Reply { answer, manner, lock: held }
    }

    fn spoil(&mut self, fault: Option<Kind>, at: (&str, Moment), request: &Request) -> (Response, Manner) {
        let millis = Duration::from_millis;
        match fault {
            None => (self.work(at, request), Manner::Plain),
            Some(Kind::Reset) => (Response::empty(500), Manner::Reset),
            Some(Kind::Lost) => (self.work(at, request), Manner::Lost),
            Some(Kind::Delay { ms }) => (self.work(at, request), Manner::Delay(millis(ms))),
            Some(Kind::Slow { ms }) => (self.work(at, request), Manner::Slow(millis(ms))),
            Some(Kind::Huge { megabytes }) => (swollen(self.work(at, request), megabytes), Manner::Plain),
            Some(Kind::Malformed) => (cut(self.work(at, request)), Manner::Plain),
            Some(Kind::Status { code, body, headers, apply }) => {
                if apply {
                    self.work(at, request);
                }
                let answer = ordered_answer(code, &body, &headers);
                if let Some(vendor) = self.by_name(at.0) {
                    vendor.spoiled(at.1, request, &answer);
                }
                (answer, Manner::Plain)
            }
        }
    }

    fn work(&mut self, (name, now): (&str, Moment), request: &Request) -> Response {
        let revoked = self.is_revoked(name, request);
        let Some(vendor) = self.by_name(name) else { return Response::empty(404) };
        if revoked {
            return vendor.refuse(request);
        }
        match vendor.throttle(now, request) {
            Ok(headers) => {
                headers.iter().fold(vendor.handle(now, request), |answer, (name, value)| answer.with(name, value))
            }
            Err(too_many) => too_many,
        }
    }

    fn is_revoked(&self, name: &str, request: &Request) -> bool {
        let Some(credential) = request.credential() else { return false };
        let revoked = |credential: &str| self.revoked.contains(&(name.to_string(), credential.to_string()));
        revoked("all") || revoked(&fingerprint(&credential))
    }
}
