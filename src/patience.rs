//! Progress is told once it lasts: a roll-out that is over within a moment costs one write of the status, not three.
//! Meanwhile the status is of an older generation, which tools take for "in progress":
//! <https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md>.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How long progress may go untold.
const MOMENT: SignedDuration = SignedDuration::from_secs(1);

/// Since when progress of each object has gone untold, by uid.
#[derive(Default)]
pub struct Patience(Mutex<HashMap<String, Timestamp>>);

impl Patience {
    /// How long to wait before this is told; `None` where it is to be told now.
    pub fn left(&self, uid: &str, now: Timestamp) -> Option<Duration> {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *since.entry(uid.to_owned()).or_insert(now);
        let left = MOMENT - now.duration_since(first);
        let left = Duration::try_from(left).ok().filter(|left| !left.is_zero());
        if left.is_none() {
            since.remove(uid);
        }
        left
    }

    /// Notes that the status was told, or needs not be.
    pub fn told(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_after_a_moment_and_then_again_after_one() {
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        let patience = Patience::default();
        assert_eq!(patience.left("u", at(0)), Some(Duration::from_secs(1)));
        assert_eq!(patience.left("u", at(400)), Some(Duration::from_millis(600)));
        assert_eq!(patience.left("u", at(1000)), None);
        assert_eq!(patience.left("u", at(1100)), Some(Duration::from_secs(1)));
        patience.told("u");
        assert_eq!(patience.left("u", at(1900)), Some(Duration::from_secs(1)));
    }
}
