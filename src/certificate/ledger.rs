//! The ledger of orders: whether a new one would break the CA's limits
//! (<https://letsencrypt.org/docs/rate-limits/>), before the CA has to say so.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Certificates for one exact set of names in [`DUPLICATE_SPAN`].
const DUPLICATES: usize = 5;
const DUPLICATE_SPAN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Renewals are exempt from the CA's limits. More than these for one set of names help nobody: a CA wishes renewal of what it has
/// just issued, or the clock is far ahead.
const RENEWALS: usize = 3;
const RENEWAL_SPAN: SignedDuration = SignedDuration::from_hours(24);
/// Five failed authorizations of a name in an hour are allowed: one in twelve minutes.
const FIRST_BACK_OFF: SignedDuration = SignedDuration::from_mins(12);
const LAST_BACK_OFF: SignedDuration = SignedDuration::from_hours(24);
/// Enough for every rule above; the oldest are forgotten first.
const REMEMBERED: usize = 32;
/// How long their names are together, in bytes: the ledger is an annotation, and those have 256 KiB.
const LONGEST: usize = 128 * 1024;

/// One order, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it was placed.
    pub at: Timestamp,
    /// For which names.
    pub names: BTreeSet<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether it named the certificate that it replaces: such renewals are exempt from the CA's limits.
    #[serde(default)]
    pub replaces: bool,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Not decided yet, or not known.
    Open,
    /// A certificate was issued.
    Issued,
    /// The CA did not issue.
    Failed,
}

/// Why a new order has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// A stable word for the condition's reason.
    pub reason: &'static str,
    /// The limit, in words.
    pub message: String,
    /// When the order is allowed.
    pub until: Timestamp,
}

/// The reason of a wait for the limit of orders for exactly the same names.
pub const DUPLICATE_LIMIT: &str = "DuplicateLimit";

/// What an order is to the limits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// Whether it names the certificate that it replaces: the CA's limits exempt it.
    pub exempt: bool,
    /// How long the certificate lasts that it renews.
    pub lifetime: Option<SignedDuration>,
}

/// Whether an order for these names may be placed now. The later of two waits is told.
pub fn may_order(ledger: &[Attempt], names: &BTreeSet<String>, terms: Terms, now: Timestamp) -> Result<(), Wait> {
    let duplicate = Limit::of(terms).wait(ledger, names, now);
    let waits = [duplicate, failure_wait(ledger, names)];
    match waits.into_iter().flatten().filter(|wait| wait.until > now).max_by_key(|wait| wait.until) {
        Some(wait) => Err(wait),
        None => Ok(()),
    }
}

/// The ledger with one more order, bounded, in order of time.
pub fn remember(mut ledger: Vec<Attempt>, attempt: Attempt) -> Vec<Attempt> {
    ledger.push(attempt);
    ledger.sort_by_key(|a| a.at);
    let length = |attempt: &Attempt| attempt.names.iter().map(String::len).sum::<usize>();
    let fits = |room: &mut usize, attempt: &Attempt| {
        *room = room.checked_sub(length(attempt))?;
        Some(())
    };
    let kept = ledger.iter().rev().take(REMEMBERED).scan(LONGEST, fits).count().max(1);
    ledger.split_off(ledger.len() - kept)
}

/// How many orders for exactly the same names are placed in a time.
struct Limit {
    /// Whether it is about renewals that the CA exempts from its own.
    replaces: bool,
    most: usize,
    span: SignedDuration,
    why: &'static str,
}

impl Limit {
    /// A certificate that lasts for days has to be renewed more often than the CA's limit knows.
    fn of(terms: Terms) -> Self {
        match (terms.exempt, terms.lifetime) {
            (true, lifetime) => Limit {
                replaces: true,
                most: RENEWALS,
                span: lifetime.map_or(RENEWAL_SPAN, |lifetime| lifetime.min(RENEWAL_SPAN)),
                why: "of these names were ordered in a short time, and the CA, or this machine's clock, calls for more",
            },
            (false, lifetime) => Limit {
                replaces: false,
                most: lifetime.map_or(0, |lifetime| times_in(DUPLICATE_SPAN, lifetime / 2)).max(DUPLICATES),
                span: DUPLICATE_SPAN,
                why: "for exactly these names were ordered in 7 days, the limit",
            },
        }
    }

    /// Orders that were issued count; an open one may still become one.
    fn wait(&self, ledger: &[Attempt], names: &BTreeSet<String>, now: Timestamp) -> Option<Wait> {
        let counts = |a: &&Attempt| {
            let same = a.names == *names && a.replaces == self.replaces;
            same && a.outcome != Outcome::Failed && later(a.at, self.span) > now
        };
        let mut times: Vec<_> = ledger.iter().filter(counts).map(|a| a.at).collect();
        times.sort();
        let nth = times.len().checked_sub(self.most)?;
        let message = format!("{} certificates {}", self.most, self.why);
        Some(Wait { reason: DUPLICATE_LIMIT, message, until: later(times[nth], self.span) })
    }
}

/// Failures count per name, so that every order which shares a name counts, until one is issued.
fn failure_wait(ledger: &[Attempt], names: &BTreeSet<String>) -> Option<Wait> {
    let mut related: Vec<_> = ledger.iter().filter(|a| !a.names.is_disjoint(names)).collect();
    related.sort_by_key(|a| std::cmp::Reverse(a.at));
    let failed: Vec<_> = related
        .into_iter()
        .take_while(|a| a.outcome != Outcome::Issued)
        .filter(|a| a.outcome == Outcome::Failed)
        .collect();
    let last = failed.first()?;
    let message = format!("{} orders for these names failed in a row", failed.len());
    Some(Wait { reason: "OrderFailed", message, until: later(last.at, back_off(failed.len())) })
}

/// Twelve minutes, doubling, up to a day.
fn back_off(failures: usize) -> SignedDuration {
    (1..failures).fold(FIRST_BACK_OFF, |wait, _| (wait + wait).min(LAST_BACK_OFF))
}

/// How often one length of time goes into another.
fn times_in(span: SignedDuration, one: SignedDuration) -> usize {
    usize::try_from(span.as_secs() / one.as_secs().max(1)).unwrap_or(usize::MAX)
}

fn later(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.checked_add(span).unwrap_or(Timestamp::MAX)
}
