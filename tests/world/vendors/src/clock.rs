//! Time that tests can move: the machine's clock plus an offset that only grows.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Moment(pub i64);

impl Moment {
    /// Whole seconds since the Unix epoch.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment and a while.
    pub fn plus(self, while_: Duration) -> Self {
        Self(self.0.saturating_add(millis(while_)))
    }

    /// How long ago `earlier` was; nothing if it is still to come.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// RFC 3339 with microseconds, as the vendors print it.
    pub fn rfc3339(self) -> String {
        let stamp = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        format!("{stamp:.6}")
    }
}

fn millis(while_: Duration) -> i64 {
    i64::try_from(while_.as_millis()).unwrap_or(i64::MAX)
}

/// The movable clock. It never goes back, and stands still only while it is held.
#[derive(Debug, Default)]
pub struct Clock {
    offset: AtomicI64,
    /// The machine's time at which it is held; zero while it runs.
    held: AtomicI64,
}

impl Clock {
    /// A clock that is already ahead, as one that was saved.
    pub fn ahead(offset: i64) -> Self {
        Self { offset: AtomicI64::new(offset), held: AtomicI64::new(0) }
    }

    /// The movable time: limits, retries, lags and expiries go by it.
    pub fn now(&self) -> Moment {
        let held = self.held.load(Ordering::SeqCst);
        let base = if held == 0 { Self::real().0 } else { held };
        Moment(base.saturating_add(self.offset()))
    }

    /// Lets the clock stand still, or run on from the machine's time.
    pub fn hold(&self, held: bool) {
        self.held.store(if held { Self::real().0 } else { 0 }, Ordering::SeqCst);
    }

    /// The machine's time: signatures carry it, since applications compare it with their own.
    pub fn real() -> Moment {
        Moment(jiff::Timestamp::now().as_millisecond())
    }

    /// How far the clock is ahead of the machine's, in milliseconds.
    pub fn offset(&self) -> i64 {
        self.offset.load(Ordering::SeqCst)
    }

    /// Moves the clock forward.
    pub fn advance(&self, while_: Duration) {
        self.offset.fetch_add(millis(while_), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_clock_moves_only_when_told() {
        let clock = Clock::default();
        clock.hold(true);
        let before = clock.now();
        while Clock::real().0 <= before.0 {}
        assert_eq!(clock.now(), before);
        clock.advance(Duration::from_secs(5));
        assert_eq!(clock.now(), before.plus(Duration::from_secs(5)));
        clock.hold(false);
        assert!(clock.now() > before.plus(Duration::from_secs(5)));
    }
}
