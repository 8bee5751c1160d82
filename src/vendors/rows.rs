//! One kind of table of every account: its snapshots, and what a vendor's lists do not show yet of our own writes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::snapshots::Snapshots;
use crate::fault::{Fault, Seen};
use crate::rows::{Created, Draft, Held, Id, Provider, Row};
use crate::world::Table;

/// How often a list is read again while it may still show what a create without an answer has made.
const LOOK: Duration = Duration::from_secs(15);
/// How long a create without an answer is looked for before it is made again. Should it turn up later still, the plan
/// removes one of the two.
const DOUBT: Duration = Duration::from_secs(60);

/// What we wrote: `None` was deleted.
struct Written<T> {
    at: Instant,
    id: Id,
    held: Option<Held<T>>,
}

/// A create of which nobody knows the outcome.
struct Doubt {
    at: Instant,
    row: String,
}

struct Recent<T> {
    written: Vec<Written<T>>,
    doubts: Vec<Doubt>,
}

/// The tables of one kind, by account.
pub struct Rows<T> {
    listed: Snapshots<Vec<Held<T>>>,
    lag: Duration,
    recent: Mutex<HashMap<String, Recent<T>>>,
}

impl<T: Row> Rows<T> {
    /// Tables whose listings count as fresh for `fresh`, at a vendor whose lists stay `lag` behind its writes.
    pub fn new(fresh: Duration, lag: Duration) -> Self {
        Rows { listed: Snapshots::new(fresh), lag, recent: Mutex::default() }
    }

    /// The rows: as last listed, with our own recent writes.
    ///
    /// # Errors
    /// They cannot be listed whole.
    pub async fn read(&self, table: &str, provider: &impl Provider<T>) -> Seen<Table<T>> {
        let list = || async { Ok(self.with_ours(table, provider.list().await?)) };
        self.listed.read(table, list).await
    }

    /// Creates a row. Where lists lag, a create without an answer is not repeated before they have caught up.
    ///
    /// # Errors
    /// It was refused, or its outcome is not known.
    pub async fn create(&self, table: &str, provider: &impl Provider<T>, draft: Draft<'_, T>) -> Seen<Created> {
        let row = format!("{} {} {}", draft.mark.cluster, draft.mark.owner, draft.row.key());
        if let Err(fault) = self.in_doubt(table, &row) {
            self.listed.forget(table);
            return Err(fault);
        }
        let created = provider.create(draft).await;
        match &created {
            Ok(created) => self.note(table, &created.id, Some(draft)),
            Err(fault) => {
                if let Fault::Lost(_) = fault {
                    self.within(table, |recent| recent.doubts.push(Doubt { at: Instant::now(), row }));
                }
                self.failed(table, fault);
            }
        }
        created
    }

    /// Changes a row.
    ///
    /// # Errors
    /// It was refused, or its outcome is not known.
    pub async fn update(&self, table: &str, provider: &impl Provider<T>, (id, draft): (&Id, Draft<'_, T>)) -> Seen<()> {
        let updated = provider.update(id, draft).await;
        match updated {
            Ok(()) => self.note(table, id, Some(draft)),
            Err(ref fault) => self.failed(table, fault),
        }
        updated
    }

    /// Removes a row.
    ///
    /// # Errors
    /// It was refused, or its outcome is not known.
    pub async fn delete(&self, table: &str, provider: &impl Provider<T>, id: &Id) -> Seen<()> {
        let deleted = provider.delete(id).await;
        match deleted {
            Ok(()) => self.note(table, id, None),
            Err(ref fault) => self.failed(table, fault),
        }
        deleted
    }

    fn recent(&self) -> MutexGuard<'_, HashMap<String, Recent<T>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what is recent, with everything gone that lists show by now.
    fn within<R>(&self, table: &str, look: impl FnOnce(&mut Recent<T>) -> R) -> R {
        let mut tables = self.recent();
        let recent =
            tables.entry(table.to_owned()).or_insert_with(|| Recent { written: Vec::new(), doubts: Vec::new() });
        recent.written.retain(|written| written.at.elapsed() < self.lag);
        recent.doubts.retain(|doubt| doubt.at.elapsed() < self.lag.min(DOUBT));
        look(recent)
    }

    /// Remembers a write of ours, and shows it: in a listing that lags behind anyway, or in a new one.
    fn note(&self, table: &str, id: &Id, draft: Option<Draft<'_, T>>) {
        let held = draft.map(|draft| Held { id: id.clone(), mark: Some(draft.mark.clone()), row: draft.row.clone() });
        self.within(table, |recent| {
            recent.written.retain(|written| written.id != *id);
            recent.written.push(Written { at: Instant::now(), id: id.clone(), held: held.clone() });
        });
        match self.lag.is_zero() {
            true => self.listed.forget(table),
            false => self.listed.amend(table, |rows| with_row(rows, id, held)),
        }
    }

    /// A write that did not succeed: the listing may be the reason, or lack what the write did all the same. Where lists lag
    /// a write is one request: one that was kept back did nothing.
    fn failed(&self, table: &str, fault: &Fault) {
        if self.lag.is_zero() || fault.may_have_changed() {
            self.listed.forget(table);
        }
    }

    fn in_doubt(&self, table: &str, row: &str) -> Seen<()> {
        let left = |doubt: &Doubt| self.lag.min(DOUBT).saturating_sub(doubt.at.elapsed()).min(LOOK);
        let after = self.within(table, |recent| recent.doubts.iter().find(|doubt| doubt.row == row).map(left));
        let message = "it may have been made by a request that nobody answered: looked for before it is made again";
        after.map_or(Ok(()), |after| Err(Fault::Throttled { message: message.into(), after }))
    }

    /// The list with what it does not show yet. What it has come to show is its own matter from then on.
    fn with_ours(&self, table: &str, listed: Vec<Held<T>>) -> Vec<Held<T>> {
        self.within(table, |recent| {
            recent.written.retain(|written| written.held.as_ref().is_none_or(|held| !listed.contains(held)));
            let is_ours = |held: &Held<T>| recent.written.iter().any(|written| written.id == held.id);
            let mut rows: Vec<Held<T>> = listed.into_iter().filter(|held| !is_ours(held)).collect();
            rows.extend(recent.written.iter().filter_map(|written| written.held.clone()));
            rows
        })
    }
}

/// The rows with another state of one of them, or without it.
fn with_row<T: Row>(rows: &[Held<T>], id: &Id, held: Option<Held<T>>) -> Vec<Held<T>> {
    rows.iter().filter(|row| row.id != *id).cloned().chain(held).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Mark, Monitor};

    /// A vendor whose list is what it is told to be.
    #[derive(Default)]
    struct Slow {
        shown: Mutex<Vec<Held<Monitor>>>,
        made: Mutex<usize>,
        silent: bool,
    }

    impl Provider<Monitor> for Slow {
        async fn list(&self) -> Seen<Vec<Held<Monitor>>> {
            Ok(self.shown.lock().unwrap().clone())
        }

        async fn create(&self, _: Draft<'_, Monitor>) -> Seen<Created> {
            *self.made.lock().unwrap() += 1;
            if self.silent { Err(Fault::Lost("no answer".into())) } else { Ok(Created { id: id(), secret: None }) }
        }

        async fn update(&self, _: &Id, _: Draft<'_, Monitor>) -> Seen<()> {
            Ok(())
        }

        async fn delete(&self, _: &Id) -> Seen<()> {
            Ok(())
        }
    }

    fn id() -> Id {
        Id("7".into())
    }

    fn mark() -> Mark {
        Mark { cluster: "c".into(), owner: "o".into(), label: "n/a".into() }
    }

    fn monitor(every_seconds: u32) -> Monitor {
        Monitor { name: "a".into(), url: "https://a.example".into(), every_seconds, alert_after_seconds: 60 }
    }

    fn draft<'a>(row: &'a Monitor, mark: &'a Mark) -> Draft<'a, Monitor> {
        Draft { row, mark, key: "k" }
    }

    fn rows() -> Rows<Monitor> {
        Rows::new(Duration::from_secs(5), Duration::from_secs(60))
    }

    #[tokio::test(start_paused = true)]
    async fn our_writes_are_seen_at_once_however_late_the_list_is() {
        let (rows, vendor, mark) = (rows(), Slow::default(), mark());
        rows.create("t", &vendor, draft(&monitor(60), &mark)).await.unwrap();
        let ours = Held { id: id(), mark: Some(mark.clone()), row: monitor(60) };
        assert_eq!(*rows.read("t", &vendor).await.unwrap(), std::slice::from_ref(&ours));
        *vendor.shown.lock().unwrap() = vec![ours];
        rows.update("t", &vendor, (&id(), draft(&monitor(300), &mark))).await.unwrap();
        assert_eq!(rows.read("t", &vendor).await.unwrap()[0].row, monitor(300));
        rows.delete("t", &vendor, &id()).await.unwrap();
        assert!(rows.read("t", &vendor).await.unwrap().is_empty());
        assert_eq!(rows.read("other", &vendor).await.unwrap().len(), 1, "accounts are kept apart");
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_lag_is_over_the_list_alone_counts() {
        let (rows, vendor, mark) = (rows(), Slow::default(), mark());
        rows.create("t", &vendor, draft(&monitor(60), &mark)).await.unwrap();
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(rows.read("t", &vendor).await.unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_list_has_shown_once_may_be_taken_out_by_others() {
        let (rows, vendor, mark) = (rows(), Slow::default(), mark());
        rows.create("t", &vendor, draft(&monitor(60), &mark)).await.unwrap();
        *vendor.shown.lock().unwrap() = vec![Held { id: id(), mark: Some(mark), row: monitor(60) }];
        assert_eq!(rows.read("t", &vendor).await.unwrap().len(), 1);
        vendor.shown.lock().unwrap().clear();
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(rows.read("t", &vendor).await.unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_create_without_an_answer_is_not_repeated_before_the_lists_have_caught_up() {
        let (rows, vendor, mark) = (rows(), Slow { silent: true, ..Slow::default() }, mark());
        let one = monitor(60);
        assert!(matches!(rows.create("t", &vendor, draft(&one, &mark)).await, Err(Fault::Lost(_))));
        assert!(
            matches!(rows.create("t", &vendor, draft(&one, &mark)).await, Err(Fault::Throttled { after, .. }) if after == LOOK)
        );
        assert_eq!(*vendor.made.lock().unwrap(), 1);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(matches!(rows.create("t", &vendor, draft(&one, &mark)).await, Err(Fault::Lost(_))));
        assert_eq!(*vendor.made.lock().unwrap(), 2);
    }
}
