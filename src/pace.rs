//! How often one application may be looked at: somebody who changes it without pause, or a controller that fights with
//! golive over a child, takes no more than a share of the operator's time and of the API server's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time of one pass, once so many followed each other.
const EVERY: Duration = Duration::from_millis(500);
/// Passes that may follow each other at once: more than a first go-live takes.
const BURST: u32 = 30;

/// When each application, by uid, would be back at rest: the generic cell rate algorithm
/// (<https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>).
#[derive(Default)]
pub struct Pace(Mutex<HashMap<String, Instant>>);

impl Pace {
    /// Takes a turn; or says how long to wait for one.
    pub fn turn(&self, uid: &str) -> Option<Duration> {
        let now = Instant::now();
        let mut rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = rests.get(uid).copied().unwrap_or(now).max(now) + EVERY;
        let early = (next - now).checked_sub(EVERY * BURST).filter(|early| !early.is_zero());
        if early.is_none() {
            rests.insert(uid.to_owned(), next);
        }
        early
    }

    /// Forgets an application that is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn passes_may_follow_each_other_for_a_while_and_then_twice_a_second() {
        let pace = Pace::default();
        let free = (0..1000).take_while(|_| pace.turn("a").is_none()).count();
        assert_eq!(free, 30);
        assert!(pace.turn("b").is_none(), "others do not wait");
        let mut turns = 0;
        for _ in 0..500 {
            tokio::time::advance(Duration::from_millis(20)).await;
            turns += usize::from(pace.turn("a").is_none());
        }
        assert_eq!(turns, 20, "in ten seconds");
        let wait = pace.turn("a").unwrap();
        tokio::time::advance(wait).await;
        assert!(pace.turn("a").is_none(), "who waits as told has a turn");
    }
}
