//! How often one application is looked at. The first change is followed at once; those that come with it, a moment later,
//! together. Somebody who changes it without pause, or a controller that fights with golive over a child, gets a share of
//! the operator's time and of the API server's, and no more.
//!
//! The controller's own debounce would put a pass off for as long as changes go on.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The least time from one pass to the next.
const MOMENT: Duration = Duration::from_millis(100);
/// The time of one pass, once so many followed each other.
const EVERY: Duration = Duration::from_millis(500);
/// Passes that may follow each other at once: more than a first go-live takes.
const BURST: u32 = 30;

/// When each application, by uid, would be back at rest: the generic cell rate algorithm
/// (<https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>).
#[derive(Default)]
pub struct Pace(Mutex<HashMap<String, Track>>);

/// The passes over one application.
#[derive(Clone, Copy)]
struct Track {
    last: Instant,
    rests: Instant,
}

impl Pace {
    /// Takes a turn; or says how long to wait for one.
    pub fn turn(&self, uid: &str) -> Option<Duration> {
        let now = Instant::now();
        let mut tracks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let track = tracks.get(uid).copied().filter(|track| !track.is_over(now));
        let wait = track.map(|track| track.wait(now)).filter(|wait| !wait.is_zero());
        if wait.is_none() {
            // What is at rest says nothing; it is dropped when room is needed.
            if tracks.len() == tracks.capacity() {
                tracks.retain(|_, track| !track.is_over(now));
            }
            let rests = track.map_or(now, |track| track.rests.max(now)) + EVERY;
            tracks.insert(uid.to_owned(), Track { last: now, rests });
        }
        wait
    }
}

impl Track {
    fn is_over(self, now: Instant) -> bool {
        self.rests <= now
    }

    fn wait(self, now: Instant) -> Duration {
        let gap = (self.last + MOMENT).saturating_duration_since(now);
        let share = (self.rests + EVERY).saturating_duration_since(now + EVERY * BURST);
        gap.max(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns taken in so much time by who asks for one every millisecond.
    async fn turns(pace: &Pace, time: Duration) -> usize {
        let mut turns = 0;
        for _ in 0..time.as_millis() {
            turns += usize::from(pace.turn("a").is_none());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        turns
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_pauses_is_looked_at_at_once_and_then_twice_a_second() {
        let pace = Pace::default();
        assert_eq!(turns(&pace, MOMENT).await, 1, "the first change is followed at once, and the next in a moment");
        assert_eq!(turns(&pace, Duration::from_secs(2)).await, 20, "a go-live is not held up");
        assert_eq!(turns(&pace, Duration::from_secs(3)).await, 19, "but somebody who goes on is");
        assert_eq!(turns(&pace, Duration::from_secs(10)).await, 20);
        assert!(pace.turn("b").is_none(), "others do not wait");
        let wait = pace.turn("a").unwrap();
        tokio::time::advance(wait).await;
        assert!(pace.turn("a").is_none(), "who waits as told has a turn");
    }

    #[tokio::test(start_paused = true)]
    async fn who_rests_takes_no_room() {
        let pace = Pace::default();
        for number in 0..10_000 {
            assert!(pace.turn(&number.to_string()).is_none());
            tokio::time::advance(EVERY).await;
        }
        assert!(pace.0.lock().unwrap().len() < 10);
    }
}
