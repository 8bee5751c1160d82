//! What was last seen at a vendor, shared by all passes: reads grow with accounts, not with objects.

use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::fault::{Fault, Seen};

/// A vendor that is not well is asked again after this time, however many passes wait for it.
const SPARED: Duration = Duration::from_secs(10);
/// For how long a fault is told of a vendor that is being asked again: longer than a vendor that never answers is waited
/// for, and no longer, for it may be well by now.
const TOLD: Duration = Duration::from_secs(120);

/// What was seen under one key.
struct Slot<V> {
    /// Held by the pass that asks.
    turn: Mutex<()>,
    last: std::sync::Mutex<Last<V>>,
}

struct Last<V> {
    seen: Option<(Instant, Seen<Arc<V>>)>,
    /// How often it was forgotten: an answer to a question from before that is old already.
    forgotten: u64,
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Slot { turn: Mutex::default(), last: std::sync::Mutex::new(Last { seen: None, forgotten: 0 }) }
    }
}

impl<V> Slot<V> {
    fn last(&self) -> MutexGuard<'_, Last<V>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, at: Instant, seen: &Seen<Arc<V>>, forgotten: u64) {
        let mut last = self.last();
        if last.forgotten == forgotten {
            last.seen = Some((at, seen.clone()));
        }
    }
}

/// What was seen of one kind, a table say, by credential (and zone).
pub struct Snapshots<V> {
    fresh: Duration,
    /// Whether a gate stands before the vendor.
    is_gated: bool,
    slots: std::sync::Mutex<HashMap<String, Arc<Slot<V>>>>,
}

impl<V> Snapshots<V> {
    /// Snapshots that count as fresh for `fresh`, of a vendor behind the transport's gate.
    pub fn new(fresh: Duration) -> Self {
        Snapshots { fresh, is_gated: true, slots: std::sync::Mutex::default() }
    }

    /// The same of a vendor that has no gate before it: it is spared whatever it answered.
    pub fn ungated(fresh: Duration) -> Self {
        Snapshots { is_gated: false, ..Snapshots::new(fresh) }
    }

    fn slot(&self, key: &str) -> Arc<Slot<V>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(key.to_owned()).or_default().clone()
    }

    /// The snapshot, made anew if it is old. Of several passes that ask at once one looks and all are served. Where the
    /// vendor was not well the last time the others do not wait for it: one that never answers holds up one pass.
    ///
    /// # Errors
    /// It could not be looked at; that is never taken for an empty table, and is soon tried again.
    pub async fn read<F>(&self, key: &str, look: impl FnOnce() -> F) -> Seen<Arc<V>>
    where
        F: Future<Output = Seen<V>>,
    {
        self.read_within(key, self.fresh, look).await
    }

    /// The snapshot, made anew if it began longer ago than `oldest`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_within<F>(&self, key: &str, oldest: Duration, look: impl FnOnce() -> F) -> Seen<Arc<V>>
    where
        F: Future<Output = Seen<V>>,
    {
        let slot = self.slot(key);
        if let Some(known) = self.known(&slot, oldest) {
            return known;
        }
        let _turn = match (slot.turn.try_lock(), self.fault(&slot)) {
            (Ok(turn), _) => turn,
            (Err(_), Some(fault)) => return Err(fault),
            (Err(_), None) => slot.turn.lock().await,
        };
        // Whoever had the turn before has looked.
        if let Some(known) = self.known(&slot, oldest) {
            return known;
        }
        let (began, forgotten) = (Instant::now(), slot.last().forgotten);
        let seen = look().await.map(Arc::new);
        // A failure counts from its end: it may have taken long, and the vendor is to be spared.
        slot.keep(if seen.is_ok() { began } else { Instant::now() }, &seen, forgotten);
        seen
    }

    /// What was seen, for as long as it counts.
    fn known(&self, slot: &Slot<V>, oldest: Duration) -> Option<Seen<Arc<V>>> {
        let last = slot.last();
        let (at, seen) = last.seen.as_ref()?;
        (at.elapsed() < self.lasts(seen, oldest)).then(|| seen.clone())
    }

    /// The fault of a vendor that was not well the last time: it may never answer whoever asks it now.
    fn fault(&self, slot: &Slot<V>) -> Option<Fault> {
        match &slot.last().seen {
            Some((at, Err(fault))) if !self.is_the_gates(fault) && at.elapsed() < TOLD => Some(fault.clone()),
            _ => None,
        }
    }

    /// How long what was seen counts.
    fn lasts(&self, seen: &Seen<Arc<V>>, oldest: Duration) -> Duration {
        match seen {
            Ok(_) => self.fresh.min(oldest),
            Err(fault) if self.is_the_gates(fault) => Duration::ZERO,
            Err(fault) => fault.again().min(SPARED),
        }
    }

    /// Whether the transport's gate knows better when to ask again: a vendor said to wait, or denied a credential.
    fn is_the_gates(&self, fault: &Fault) -> bool {
        self.is_gated && matches!(fault, Fault::Denied(_) | Fault::Throttled { .. })
    }

    /// Makes the next read look anew: after a write of ours.
    pub fn forget(&self, key: &str) {
        let slot = self.slot(key);
        let mut last = slot.last();
        (last.seen, last.forgotten) = (None, last.forgotten + 1);
    }

    /// Tells the snapshot of a write of ours, so that it needs no new look. One that is being made now may lack the write:
    /// it is not kept.
    pub fn amend(&self, key: &str, change: impl FnOnce(&V) -> V) {
        let slot = self.slot(key);
        let mut last = slot.last();
        last.forgotten += 1;
        if let Some((_, Ok(seen))) = &mut last.seen {
            *seen = Arc::new(change(seen));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[tokio::test(start_paused = true)]
    async fn a_table_is_listed_once_until_it_is_old_or_written() {
        let (snapshots, lists) = (Snapshots::new(Duration::from_secs(60)), AtomicUsize::new(0));
        let read = || snapshots.read("a", || async { Ok(vec![lists.fetch_add(1, SeqCst)]) });
        let (one, two) = tokio::join!(read(), read());
        assert_eq!((one.unwrap()[0], two.unwrap()[0]), (0, 0));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(read().await.unwrap()[0], 1);
        snapshots.forget("a");
        assert_eq!(read().await.unwrap()[0], 2);
        tokio::time::advance(Duration::from_secs(3)).await;
        let anew = || async { Ok(vec![9]) };
        assert_eq!(snapshots.read_within("a", Duration::from_secs(4), anew).await.unwrap()[0], 2);
        assert_eq!(snapshots.read_within("a", Duration::from_secs(2), anew).await.unwrap()[0], 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_listing_is_an_error_and_not_an_empty_table() {
        let (snapshots, lists) = (Snapshots::<Vec<u8>>::new(Duration::from_secs(60)), AtomicUsize::new(0));
        let failing = || async {
            lists.fetch_add(1, SeqCst);
            Err(Fault::Unreachable("gone".into()))
        };
        assert!(snapshots.read("a", failing).await.is_err());
        assert!(snapshots.read("a", failing).await.is_err());
        assert_eq!(lists.load(SeqCst), 1, "a vendor that is not well is spared");
        tokio::time::advance(SPARED).await;
        assert_eq!(*snapshots.read("a", || async { Ok(vec![7]) }).await.unwrap(), vec![7]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_denied_credential_is_the_gates_matter() {
        let snapshots: Snapshots<Vec<u8>> = Snapshots::new(Duration::from_secs(60));
        let denied = || async { Err(Fault::Denied("no".into())) };
        let good = || async { Ok(vec![7]) };
        assert!(snapshots.read("a", denied).await.is_err());
        assert_eq!(*snapshots.read("a", good).await.unwrap(), vec![7]);
        let ungated: Snapshots<Vec<u8>> = Snapshots::ungated(Duration::MAX);
        assert!(ungated.read("a", denied).await.is_err() && ungated.read("a", good).await.is_err());
        tokio::time::advance(SPARED).await;
        assert_eq!(*ungated.read("a", good).await.unwrap(), vec![7]);
    }

    /// Reads of a vendor that is silent for 20 seconds and then fails: how long each of four waits that ask at once, and
    /// how often the vendor was asked.
    async fn waits(snapshots: &Snapshots<Vec<u8>>) -> ([u64; 4], usize) {
        let looks = AtomicUsize::new(0);
        let silent = || async {
            looks.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_secs(20)).await;
            Err(Fault::Unreachable("silent".into()))
        };
        let read = || async {
            let began = Instant::now();
            assert!(snapshots.read("a", silent).await.is_err());
            began.elapsed().as_secs()
        };
        let (one, two, three, four) = tokio::join!(read(), read(), read(), read());
        ([one, two, three, four], looks.load(SeqCst))
    }

    #[tokio::test(start_paused = true)]
    async fn a_vendor_that_never_answers_holds_up_one_pass() {
        let snapshots = Snapshots::new(Duration::from_secs(60));
        assert_eq!(waits(&snapshots).await, ([20; 4], 1), "nobody knows of it yet");
        assert_eq!(waits(&snapshots).await, ([0; 4], 0), "it is spared");
        for _ in 0..3 {
            tokio::time::advance(SPARED).await;
            assert_eq!(waits(&snapshots).await, ([20, 0, 0, 0], 1));
        }
        let other = snapshots.read("b", || async { Ok(vec![7]) }).await;
        assert_eq!(*other.unwrap(), vec![7], "each is on its own");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_well_or_is_long_ago_is_waited_for() {
        let snapshots = Snapshots::new(Duration::from_secs(60));
        assert!(snapshots.read("a", || async { Ok(vec![7]) }).await.is_ok());
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(waits(&snapshots).await, ([20; 4], 1));
        tokio::time::advance(TOLD).await;
        assert_eq!(waits(&snapshots).await, ([20; 4], 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_that_is_told_of_a_write_is_not_made_anew_for_it_but_grows_old() {
        let snapshots = Snapshots::new(Duration::from_secs(60));
        let none = || async { Ok(Vec::new()) };
        assert!(snapshots.read("a", none).await.unwrap().is_empty());
        tokio::time::advance(Duration::from_secs(40)).await;
        snapshots.amend("a", |rows| [rows.as_slice(), &[1]].concat());
        assert_eq!(*snapshots.read("a", none).await.unwrap(), vec![1]);
        tokio::time::advance(Duration::from_secs(21)).await;
        assert!(snapshots.read("a", none).await.unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_looked_at_before_a_write_of_ours_is_old_after_it() {
        let snapshots = Snapshots::new(Duration::from_secs(60));
        let slow = || async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(vec![1])
        };
        let write = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            snapshots.forget("a");
        };
        let (before, ()) = tokio::join!(snapshots.read("a", slow), write);
        assert_eq!(*before.unwrap(), vec![1]);
        assert_eq!(*snapshots.read("a", || async { Ok(vec![2]) }).await.unwrap(), vec![2]);
    }
}
