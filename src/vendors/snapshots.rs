//! The last full listing of each table, shared by all passes: reads grow with accounts, not with objects.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::fault::Seen;
use crate::rows::Held;

/// How long a row that we made may be missing from a vendor's lists.
const LAG: Duration = Duration::from_secs(180);

type Slot<T> = Arc<Mutex<Option<(Instant, Arc<Vec<T>>)>>>;

/// Listings of one kind of table, by credential (and zone).
pub struct Snapshots<T> {
    fresh: Duration,
    slots: Mutex<HashMap<String, Slot<T>>>,
    expected: Mutex<HashMap<String, Vec<(Instant, T)>>>,
}

impl<T> Snapshots<T> {
    /// Listings that count as fresh for `fresh`.
    pub fn new(fresh: Duration) -> Self {
        Snapshots { fresh, slots: Mutex::default(), expected: Mutex::default() }
    }

    async fn slot(&self, key: &str) -> Slot<T> {
        self.slots.lock().await.entry(key.to_owned()).or_default().clone()
    }

    /// The listing, made anew if it is old. Of several passes that ask at once one lists and all are served.
    ///
    /// # Errors
    /// It could not be listed; that is never taken for an empty table, and the next pass tries again.
    pub async fn read<F>(&self, key: &str, list: impl FnOnce() -> F) -> Seen<Arc<Vec<T>>>
    where
        F: Future<Output = Seen<Vec<T>>>,
    {
        let slot = self.slot(key).await;
        let mut held = slot.lock().await;
        if let Some((at, rows)) = &*held
            && at.elapsed() < self.fresh
        {
            return Ok(rows.clone());
        }
        let rows = Arc::new(list().await?);
        *held = Some((Instant::now(), rows.clone()));
        Ok(rows)
    }

    /// Makes the next read list anew: after a write of ours.
    pub async fn forget(&self, key: &str) {
        *self.slot(key).await.lock().await = None;
    }
}

impl<T: Clone> Snapshots<Held<T>> {
    /// Notes a row that we made at a vendor whose lists lag behind.
    pub async fn expect(&self, key: &str, held: Held<T>) {
        self.expected.lock().await.entry(key.to_owned()).or_default().push((Instant::now(), held));
    }

    /// No longer expects a row that we deleted.
    pub async fn unexpect(&self, key: &str, id: &crate::rows::Id) {
        if let Some(rows) = self.expected.lock().await.get_mut(key) {
            rows.retain(|(_, held)| held.id != *id);
        }
    }

    /// A listing with the rows that we made and that it does not show yet.
    pub async fn completed(&self, key: &str, rows: Arc<Vec<Held<T>>>) -> Arc<Vec<Held<T>>> {
        let mut expected = self.expected.lock().await;
        let Some(own) = expected.get_mut(key) else { return rows };
        own.retain(|(at, held)| at.elapsed() < LAG && !rows.iter().any(|row| row.id == held.id));
        match own.is_empty() {
            true => rows,
            false => Arc::new(rows.iter().cloned().chain(own.iter().map(|(_, held)| held.clone())).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;
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
    }

    #[tokio::test]
    async fn a_failed_listing_is_an_error_and_not_an_empty_table() {
        let snapshots: Snapshots<u8> = Snapshots::new(Duration::from_secs(60));
        let failed = || async { Err(Fault::Unreachable("gone".into())) };
        assert!(snapshots.read("a", failed).await.is_err());
        assert_eq!(*snapshots.read("a", || async { Ok(vec![7]) }).await.unwrap(), vec![7]);
    }
}
