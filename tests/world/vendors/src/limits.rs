//! Rate limits as a sliding window over the movable clock.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::clock::Moment;

/// So many requests in so long a time.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub requests: usize,
    pub span: Duration,
}

impl Limit {
    /// A limit per second.
    pub const fn per_second(requests: usize) -> Self {
        Self { requests, span: Duration::from_secs(1) }
    }

    /// A limit per minute.
    pub const fn per_minute(requests: usize) -> Self {
        Self { requests, span: Duration::from_secs(60) }
    }
}

/// Whether a request passed a limit, and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    pub admitted: bool,
    pub remaining: usize,
    /// Until the oldest counted request falls out of the window.
    pub reset: Duration,
}

/// The requests seen under each name: a credential, or a credential and a resource.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    seen: BTreeMap<String, VecDeque<Moment>>,
}

impl Windows {
    /// Counts a request under a name, unless the limit is used up.
    pub fn take(&mut self, name: &str, limit: Limit, now: Moment) -> Allowance {
        let seen = self.seen.entry(name.to_string()).or_default();
        while seen.front().is_some_and(|first| now >= first.plus(limit.span)) {
            seen.pop_front();
        }
        let admitted = seen.len() < limit.requests;
        if admitted {
            seen.push_back(now);
        }
        let reset = seen.front().map_or(limit.span, |first| first.plus(limit.span).since(now));
        Allowance { admitted, remaining: limit.requests.saturating_sub(seen.len()), reset }
    }
}

/// A duration in whole seconds, rounded up: what `Retry-After` wants.
pub fn whole_seconds(while_: Duration) -> u64 {
    while_.as_secs() + u64::from(while_.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_admits_its_limit_and_opens_again_when_time_passes() {
        let (mut windows, limit) = (Windows::default(), Limit::per_second(2));
        let taken: Vec<bool> = (0..3).map(|_| windows.take("k", limit, Moment(0)).admitted).collect();
        assert_eq!(taken, [true, true, false]);
        assert!(windows.take("other", limit, Moment(0)).admitted, "names are counted apart");
        assert!(!windows.take("k", limit, Moment(999)).admitted);
        assert!(windows.take("k", limit, Moment(1000)).admitted);
    }

    #[test]
    fn a_wait_is_never_rounded_down() {
        assert_eq!(whole_seconds(Duration::from_millis(1)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
    }
}
