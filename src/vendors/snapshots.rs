//! The last full listing of each table, shared by all passes: reads grow with accounts, not with objects.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::fault::{Fault, Seen};

/// A vendor that is not well is asked again after this time, however many passes wait for it.
const SPARED: Duration = Duration::from_secs(10);

type Slot<T> = Arc<Mutex<Option<(Instant, Seen<Arc<Vec<T>>>)>>>;

/// Listings of one kind of table, by credential (and zone).
pub struct Snapshots<T> {
    fresh: Duration,
    slots: Mutex<HashMap<String, Slot<T>>>,
}

impl<T> Snapshots<T> {
    /// Listings that count as fresh for `fresh`.
    pub fn new(fresh: Duration) -> Self {
        Snapshots { fresh, slots: Mutex::default() }
    }

    async fn slot(&self, key: &str) -> Slot<T> {
        self.slots.lock().await.entry(key.to_owned()).or_default().clone()
    }

    /// The listing, made anew if it is old. Of several passes that ask at once one lists and all are served.
    ///
    /// # Errors
    /// It could not be listed; that is never taken for an empty table, and is soon tried again.
    pub async fn read<F>(&self, key: &str, list: impl FnOnce() -> F) -> Seen<Arc<Vec<T>>>
    where
        F: Future<Output = Seen<Vec<T>>>,
    {
        self.read_within(key, self.fresh, list).await
    }

    /// The listing, made anew if it began longer ago than `oldest`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_within<F>(&self, key: &str, oldest: Duration, list: impl FnOnce() -> F) -> Seen<Arc<Vec<T>>>
    where
        F: Future<Output = Seen<Vec<T>>>,
    {
        let slot = self.slot(key).await;
        let mut held = slot.lock().await;
        if let Some((at, rows)) = &*held
            && at.elapsed() < self.lasts(rows, oldest)
        {
            return rows.clone();
        }
        let began = Instant::now();
        let rows = list().await.map(Arc::new);
        // A failure counts from its end: it may have taken long, and the vendor is to be spared.
        *held = Some((if rows.is_ok() { began } else { Instant::now() }, rows.clone()));
        rows
    }

    /// How long what was seen counts. The transport's gate knows better when to ask a vendor that said to wait, or a
    /// credential that was denied.
    fn lasts(&self, seen: &Seen<Arc<Vec<T>>>, oldest: Duration) -> Duration {
        match seen {
            Ok(_) => self.fresh.min(oldest),
            Err(Fault::Denied(_) | Fault::Throttled { .. }) => Duration::ZERO,
            Err(fault) => fault.again().min(SPARED),
        }
    }

    /// Makes the next read list anew: after a write of ours.
    pub async fn forget(&self, key: &str) {
        *self.slot(key).await.lock().await = None;
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
        snapshots.forget("a").await;
        assert_eq!(read().await.unwrap()[0], 2);
        tokio::time::advance(Duration::from_secs(3)).await;
        let anew = || async { Ok(vec![9]) };
        assert_eq!(snapshots.read_within("a", Duration::from_secs(4), anew).await.unwrap()[0], 2);
        assert_eq!(snapshots.read_within("a", Duration::from_secs(2), anew).await.unwrap()[0], 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_listing_is_an_error_and_not_an_empty_table() {
        let (snapshots, lists) = (Snapshots::<u8>::new(Duration::from_secs(60)), AtomicUsize::new(0));
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
        let snapshots: Snapshots<u8> = Snapshots::new(Duration::from_secs(60));
        assert!(snapshots.read("a", || async { Err(Fault::Denied("no".into())) }).await.is_err());
        assert_eq!(*snapshots.read("a", || async { Ok(vec![7]) }).await.unwrap(), vec![7]);
    }
}
