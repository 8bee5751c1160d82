//! The gate of one credential: a token bucket, the vendor's own word to wait, and a circuit for a revoked credential.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Limit;
use crate::fault::{Fault, Seen};

/// A denied credential is tried again this often: it may have been given back its rights.
const PROBE: Duration = Duration::from_secs(60);
/// The longest wait for a place; beyond it the pass goes on without this vendor.
const PATIENCE: Duration = Duration::from_secs(10);

struct State {
    tokens: f64,
    at: Instant,
    closed: Option<(Instant, Fault)>,
}

/// Lets requests of one credential through at its rate.
pub struct Gate {
    limit: Limit,
    state: Mutex<State>,
}

impl Gate {
    /// An open gate with a full bucket.
    pub fn new(limit: Limit) -> Self {
        Gate { limit, state: Mutex::new(State { tokens: limit.burst, at: Instant::now(), closed: None }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// The gate is closed, or the wait would be too long.
    pub async fn pass(&self, who: &str) -> Seen<()> {
        let wait = self.take(Instant::now(), who)?;
        if !wait.is_zero() {
            sleep(wait).await;
        }
        Ok(())
    }

    fn take(&self, now: Instant, who: &str) -> Seen<Duration> {
        let mut state = self.state();
        if let Some((until, fault)) = &state.closed {
            let left = until.saturating_duration_since(now);
            if !left.is_zero() {
                return Err(match fault {
                    Fault::Throttled { message, .. } => Fault::Throttled { message: message.clone(), after: left },
                    other => other.clone(),
                });
            }
            state.closed = None;
        }
        let earned = now.saturating_duration_since(state.at).as_secs_f64() * self.limit.per_second;
        let tokens = (state.tokens + earned).min(self.limit.burst) - 1.0;
        let wait = Duration::from_secs_f64((-tokens).max(0.0) / self.limit.per_second);
        if wait > PATIENCE {
            let message = format!("{who}: our own throttle is full, so that the vendor's limit holds");
            return Err(Fault::Throttled { message, after: wait });
        }
        (state.tokens, state.at) = (tokens, now);
        Ok(wait)
    }

    /// Closes the gate where the fault says so.
    pub fn learn(&self, fault: &Fault) {
        let wait = match fault {
            Fault::Throttled { after, .. } => *after,
            Fault::Denied(_) => PROBE,
            _ => return,
        };
        self.state().closed = Some((Instant::now() + wait, fault.clone()));
    }

    /// Notes that the vendor answers.
    pub fn open(&self) {
        self.state().closed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate::new(Limit { per_second: 2.0, burst: 2.0 })
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_burst_requests_come_at_the_rate() {
        let (gate, started) = (gate(), Instant::now());
        for _ in 0..6 {
            gate.pass("x").await.unwrap();
        }
        assert_eq!(started.elapsed().as_secs(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_gate_stays_closed_for_as_long_as_the_vendor_said() {
        let gate = gate();
        gate.learn(&Fault::Throttled { message: "slow".into(), after: Duration::from_secs(7) });
        assert!(matches!(gate.pass("x").await, Err(Fault::Throttled { after, .. }) if after.as_secs() == 7));
        sleep(Duration::from_secs(7)).await;
        assert_eq!(gate.pass("x").await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_denied_credential_is_probed_once_a_minute() {
        let gate = gate();
        gate.learn(&Fault::Denied("no".into()));
        assert!(matches!(gate.pass("x").await, Err(Fault::Denied(_))));
        sleep(PROBE).await;
        assert_eq!(gate.pass("x").await, Ok(()));
    }
}
