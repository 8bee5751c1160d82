//! The gate of one credential: a token bucket, the vendor's own word to wait, and a circuit for a denied credential.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Limit;
use crate::fault::{Fault, Seen};

/// A denied credential is tried again this often: it may have been given back its rights.
const PROBE: Duration = Duration::from_secs(60);
/// The longest wait for a place; beyond it the pass goes on without this vendor.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who asks: several accounts may use one credential.
#[derive(Clone, Copy)]
pub struct Who<'a> {
    /// The vendor, as messages call it.
    pub vendor: &'a str,
    /// The ProviderAccount.
    pub account: &'a str,
}

/// What an answer teaches the gate.
pub enum Lesson {
    /// The vendor wants to be left alone.
    Wait(Duration, Fault),
    /// The credential is no good.
    Denied(Fault),
    /// The credential may not do this one thing.
    Forbidden(Fault),
    /// The credential is good for this.
    Good,
}

struct Shut {
    until: Instant,
    fault: Fault,
    /// The account that was told; others may use the same credential.
    account: String,
}

impl Shut {
    fn for_(wait: Duration, fault: Fault, account: &str) -> Self {
        Shut { until: Instant::now() + wait, fault, account: account.to_owned() }
    }

    /// Refuses an account until the time is over.
    fn refuse(&mut self, now: Instant, account: &str) -> Seen<()> {
        self.decide(now).map_err(|fault| fault.retold(&self.account, account))
    }

    /// Of a denial one call is let through when the time is over, to see.
    fn decide(&mut self, now: Instant) -> Seen<()> {
        let left = self.until.saturating_duration_since(now);
        match &self.fault {
            Fault::Throttled { message, .. } if !left.is_zero() => {
                Err(Fault::Throttled { message: message.clone(), after: left })
            }
            fault if !left.is_zero() => Err(fault.clone()),
            Fault::Throttled { .. } => Ok(()),
            _ => {
                self.until = now + PROBE;
                Ok(())
            }
        }
    }
}

struct State {
    limit: Limit,
    tokens: f64,
    at: Instant,
    shut: Option<Shut>,
    /// By method and path: what this credential may not do.
    forbidden: HashMap<String, Shut>,
}

/// Lets requests of one credential through at its rate.
pub struct Gate(Mutex<State>);

impl Gate {
    /// An open gate with a full bucket.
    pub fn new(limit: Limit) -> Self {
        let state = State { limit, tokens: limit.burst, at: Instant::now(), shut: None, forbidden: HashMap::new() };
        Gate(Mutex::new(state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// The gate is closed, or the wait would be too long.
    pub async fn pass(&self, who: Who<'_>, route: &str) -> Seen<()> {
        let wait = self.take(Instant::now(), who, route)?;
        if wait.is_zero() {
            return Ok(());
        }
        sleep(wait).await;
        self.still_open(Instant::now(), who)
    }

    fn take(&self, now: Instant, who: Who<'_>, route: &str) -> Seen<Duration> {
        let mut state = self.state();
        state.shut.as_mut().map_or(Ok(()), |shut| shut.refuse(now, who.account))?;
        state.forbidden.get_mut(route).map_or(Ok(()), |shut| shut.refuse(now, who.account))?;
        let earned = now.saturating_duration_since(state.at).as_secs_f64() * state.limit.per_second;
        let tokens = (state.tokens + earned).min(state.limit.burst) - 1.0;
        let wait = Duration::from_secs_f64((-tokens).max(0.0) / state.limit.per_second);
        if wait > PATIENCE {
            let message = format!(
                "{} (account `{}`): our own throttle is full, so that the vendor's limit holds",
                who.vendor, who.account
            );
            return Err(Fault::Throttled { message, after: wait });
        }
        (state.tokens, state.at) = (tokens, now);
        Ok(wait)
    }

    /// Goes by another limit from now on; what a larger burst adds has to be earned.
    pub fn keep_to(&self, limit: Limit) {
        self.state().limit = limit;
    }

    /// Others may have been told to wait while this one stood in line.
    fn still_open(&self, now: Instant, who: Who<'_>) -> Seen<()> {
        let mut state = self.state();
        state.shut.as_mut().filter(|shut| shut.until > now).map_or(Ok(()), |shut| shut.refuse(now, who.account))
    }

    /// Learns from an answer. A good one does not undo a wait: it may have been asked for before that.
    pub fn learn(&self, who: Who<'_>, route: &str, lesson: Lesson) {
        let mut state = self.state();
        match lesson {
            Lesson::Wait(wait, fault) => state.shut = Some(Shut::for_(wait, fault, who.account)),
            Lesson::Denied(fault) => state.shut = Some(Shut::for_(PROBE, fault, who.account)),
            Lesson::Forbidden(fault) => {
                let now = Instant::now();
                state.forbidden.retain(|_, shut| shut.until + PROBE > now);
                state.forbidden.insert(route.to_owned(), Shut::for_(PROBE, fault, who.account));
            }
            Lesson::Good => {
                state.shut.take_if(|shut| matches!(shut.fault, Fault::Denied(_)));
                state.forbidden.remove(route);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Who<'_> = Who { vendor: "X", account: "x" };

    fn gate() -> Gate {
        Gate::new(Limit { per_second: 2.0, burst: 2.0 })
    }

    fn slow(seconds: u64) -> Lesson {
        let after = Duration::from_secs(seconds);
        Lesson::Wait(after, Fault::Throttled { message: "slow".into(), after })
    }

    fn no() -> Fault {
        Fault::Denied("no".into())
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_burst_requests_come_at_the_rate() {
        let (gate, started) = (gate(), Instant::now());
        for _ in 0..6 {
            gate.pass(WHO, "GET /").await.unwrap();
        }
        assert_eq!(started.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_the_vendor_tells_takes_the_place_of_the_assumed_one() {
        let gate = Gate::new(Limit { per_second: 0.1, burst: 1.0 });
        gate.pass(WHO, "GET /").await.unwrap();
        gate.keep_to(Limit { per_second: 10.0, burst: 5.0 });
        let started = Instant::now();
        for _ in 0..20 {
            gate.pass(WHO, "GET /").await.unwrap();
        }
        assert_eq!(started.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_too_long_is_told_and_not_joined() {
        let gate = Gate::new(Limit { per_second: 0.1, burst: 1.0 });
        gate.pass(WHO, "GET /").await.unwrap();
        gate.pass(WHO, "GET /").await.unwrap();
        let (one, two) = tokio::join!(gate.pass(WHO, "GET /"), gate.pass(WHO, "GET /"));
        assert_eq!(one, Ok(()));
        assert!(matches!(two, Err(Fault::Throttled { after, .. }) if after.as_secs() == 20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_gate_stays_closed_for_as_long_as_the_vendor_said() {
        let gate = gate();
        gate.learn(WHO, "GET /", slow(7));
        gate.learn(WHO, "GET /", Lesson::Good);
        assert!(matches!(gate.pass(WHO, "POST /").await, Err(Fault::Throttled { after, .. }) if after.as_secs() == 7));
        sleep(Duration::from_secs(7)).await;
        assert_eq!(gate.pass(WHO, "POST /").await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_stands_in_line_hears_that_the_vendor_wants_to_be_left_alone() {
        let gate = gate();
        gate.pass(WHO, "GET /").await.unwrap();
        gate.pass(WHO, "GET /").await.unwrap();
        let (told, ()) = tokio::join!(gate.pass(WHO, "GET /"), async { gate.learn(WHO, "GET /", slow(7)) });
        assert!(matches!(told, Err(Fault::Throttled { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_denied_credential_is_probed_by_one_call_at_a_time() {
        let gate = gate();
        gate.learn(WHO, "GET /", Lesson::Denied(no()));
        assert_eq!(gate.pass(WHO, "POST /").await, Err(no()));
        sleep(PROBE).await;
        assert_eq!(gate.pass(WHO, "POST /").await, Ok(()));
        assert_eq!(gate.pass(WHO, "POST /").await, Err(no()), "one is on its way");
        gate.learn(WHO, "POST /", Lesson::Good);
        assert_eq!(gate.pass(WHO, "GET /").await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_is_refused_in_its_own_name() {
        let gate = gate();
        gate.learn(WHO, "GET /", Lesson::Denied(Fault::Denied("account `x` is denied".into())));
        let refused = gate.pass(Who { account: "y", ..WHO }, "GET /").await;
        assert_eq!(refused, Err(Fault::Denied("account `y` is denied".into())));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_credential_may_not_do_holds_nothing_else() {
        let gate = gate();
        gate.learn(WHO, "POST /", Lesson::Forbidden(no()));
        assert_eq!(gate.pass(WHO, "GET /").await, Ok(()));
        assert_eq!(gate.pass(WHO, "POST /").await, Err(no()));
        sleep(PROBE).await;
        assert_eq!(gate.pass(WHO, "POST /").await, Ok(()));
    }
}
