//! Orders that wait for us: the CA has nothing new to say of them before it is told that a proof is in place.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{ChallengeState, Progress, Status};

/// How long an order that waits is taken to be as it was seen: it may expire, or somebody may give it up by our key.
const FRESH: Duration = Duration::from_secs(60);

type Seen = HashMap<String, (Instant, Progress)>;

/// What the CA said last of the orders that wait for us, by their URL.
#[derive(Default)]
pub struct Waiting(Mutex<Seen>);

impl Waiting {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An order as it was seen, where it is still as it was.
    pub fn known(&self, url: &str) -> Option<Progress> {
        self.seen().get(url).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, progress)| progress.clone())
    }

    /// Takes in what the CA said, for as long as the order waits.
    pub fn saw(&self, url: &str, progress: &Progress) {
        let mut seen = self.seen();
        seen.retain(|_, (at, _)| at.elapsed() < FRESH);
        if waits(progress) {
            seen.insert(url.to_owned(), (Instant::now(), progress.clone()));
        }
    }

    /// The CA is told something: what was seen is over.
    pub fn end(&self, url: &str) {
        self.seen().remove(url);
    }
}

/// Whether only we can move an order: of some name no proof was shown yet, and of none the CA is looking at one.
fn waits(progress: &Progress) -> bool {
    let mut names: BTreeMap<_, Vec<ChallengeState>> = BTreeMap::new();
    for challenge in &progress.challenges {
        names.entry((&challenge.name, challenge.wildcard)).or_default().push(challenge.status);
    }
    let settled = |states: &Vec<ChallengeState>| {
        states.iter().all(|state| matches!(state, ChallengeState::Pending | ChallengeState::Valid))
    };
    let untouched = |states: &Vec<ChallengeState>| states.iter().all(|state| *state == ChallengeState::Pending);
    progress.status == Status::Pending && names.values().all(settled) && names.values().any(untouched)
}

#[cfg(test)]
mod tests {
    use super::super::{Challenge, Kind};
    use super::*;
    use ChallengeState::{Invalid, Pending, Processing, Valid};

    /// An order for `a` and `*.a`, whose challenges over DNS and HTTP are so far.
    fn order(status: Status, states: [[ChallengeState; 2]; 2]) -> Progress {
        let challenge = |wildcard: bool, kind, status| Challenge {
            name: "a".into(),
            wildcard,
            kind,
            token: "t".into(),
            proof: "p".into(),
            status,
            error: None,
        };
        let both = |(wildcard, [dns, http]): (bool, [ChallengeState; 2])| {
            [challenge(wildcard, Kind::Dns01, dns), challenge(wildcard, Kind::Http01, http)]
        };
        let challenges = [false, true].into_iter().zip(states).flat_map(both).collect();
        Progress { status, names: ["a".to_owned()].into(), challenges, error: None }
    }

    #[test]
    fn an_order_waits_while_a_name_is_untouched_and_the_ca_looks_at_none() {
        let cases = [
            ([[Pending, Pending], [Pending, Pending]], true),
            ([[Valid, Pending], [Pending, Pending]], true),
            ([[Valid, Pending], [Valid, Pending]], false),
            ([[Processing, Pending], [Pending, Pending]], false),
            ([[Pending, Pending], [Pending, Invalid]], false),
        ];
        for (states, expected) in cases {
            assert_eq!(waits(&order(Status::Pending, states)), expected, "{states:?}");
            assert!(!waits(&order(Status::Ready, states)), "{states:?}");
        }
        assert!(!waits(&Progress { challenges: Vec::new(), ..order(Status::Pending, [[Pending; 2]; 2]) }));
    }

    #[tokio::test(start_paused = true)]
    async fn an_order_that_waits_is_known_for_a_minute_or_until_the_ca_is_told() {
        let (waiting, open) = (Waiting::default(), order(Status::Pending, [[Pending; 2]; 2]));
        assert_eq!(waiting.known("u"), None);
        waiting.saw("u", &open);
        assert_eq!(waiting.known("u"), Some(open.clone()));
        waiting.end("u");
        assert_eq!(waiting.known("u"), None);
        waiting.saw("u", &open);
        tokio::time::advance(FRESH).await;
        assert_eq!(waiting.known("u"), None);
        waiting.saw("v", &order(Status::Processing, [[Valid; 2]; 2]));
        assert_eq!((waiting.known("v"), waiting.seen().len()), (None, 0), "what is old is not kept");
    }
}
