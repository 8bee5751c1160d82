//! Group commit: what several passes want written to one table at one time goes to the vendor in one request.
//!
//! One request is under way for a queue, and it lingers a moment before it leaves. What is wanted meanwhile goes with it or
//! with the next one: a vendor's throttle costs a crowd of applications no more than one of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::fault::{Fault, Seen};

/// What one pass wants written, and where it waits for the outcome.
struct Wish<T> {
    entries: Vec<T>,
    outcome: oneshot::Sender<Seen<()>>,
}

struct Queue<T> {
    /// Held by the pass that writes, for itself and for all that wait.
    turn: tokio::sync::Mutex<()>,
    waiting: Mutex<Vec<Wish<T>>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue { turn: tokio::sync::Mutex::default(), waiting: Mutex::default() }
    }
}

impl<T> Queue<T> {
    fn join(&self, entries: Vec<T>) -> oneshot::Receiver<Seen<()>> {
        let (outcome, told) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Wish { entries, outcome });
        told
    }

    /// The wishes that go next: the oldest, and what fits beside it. What an ended pass wanted is nobody's wish any more.
    fn next(&self, most: usize) -> Vec<Wish<T>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|wish| !wish.outcome.is_closed());
        let mut room = most;
        let fits = waiting.iter().take_while(|wish| {
            let fits = wish.entries.len() <= room;
            room = room.saturating_sub(wish.entries.len());
            fits
        });
        let count = fits.count().max(1).min(waiting.len());
        waiting.drain(..count).collect()
    }
}

/// Queues of entries to write, by table.
pub struct Commits<T> {
    most: usize,
    linger: Duration,
    queues: Mutex<HashMap<String, Arc<Queue<T>>>>,
}

impl<T> Commits<T> {
    /// Queues from which at most so many entries go into one request, if they are of several passes; a request waits for
    /// company as long as it lingers.
    pub fn of(most: usize, linger: Duration) -> Self {
        Commits { most, linger, queues: Mutex::default() }
    }

    /// Writes entries, with those of others that wait in the queue; `write` says of each what came of it, in their order.
    ///
    /// # Errors
    /// The first fault of these entries.
    pub async fn commit<F>(&self, queue: &str, entries: Vec<T>, write: impl Fn(Vec<T>) -> F) -> Seen<()>
    where
        F: Future<Output = Vec<Seen<()>>>,
    {
        let queue = self.queue(queue);
        let mut told = queue.join(entries);
        loop {
            let _turn = tokio::select! {
                biased;
                outcome = &mut told => return outcome.unwrap_or_else(|_| Err(abandoned())),
                turn = queue.turn.lock() => turn,
            };
            sleep(self.linger).await;
            write_all(queue.next(self.most), &write).await;
        }
    }

    fn queue(&self, name: &str) -> Arc<Queue<T>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.entry(name.to_owned()).or_default().clone()
    }
}

/// Writes wishes together and tells each its outcome. Who waits no more is not told.
async fn write_all<T, F>(wishes: Vec<Wish<T>>, write: &impl Fn(Vec<T>) -> F)
where
    F: Future<Output = Vec<Seen<()>>>,
{
    let (mut entries, mut waiting) = (Vec::new(), Vec::new());
    for Wish { entries: wanted, outcome } in wishes {
        waiting.push((wanted.len(), outcome));
        entries.extend(wanted);
    }
    let results = if entries.is_empty() { Vec::new() } else { write(entries).await };
    let mut results = results.into_iter();
    for (count, outcome) in waiting {
        let _ = outcome.send(results.by_ref().take(count).collect::<Vec<_>>().into_iter().collect());
    }
}

/// The pass that wrote for this one was ended with its request under way.
fn abandoned() -> Fault {
    Fault::Lost("the request that carried this change was ended before its answer: its outcome is looked for".into())
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    /// A vendor that takes a second for a request, refuses odd numbers, and keeps what it was sent.
    #[derive(Default)]
    struct Vendor(Mutex<Vec<Vec<u8>>>);

    impl Vendor {
        async fn write(&self, entries: Vec<u8>) -> Vec<Seen<()>> {
            self.0.lock().unwrap().push(entries.clone());
            sleep(Duration::from_secs(1)).await;
            entries.iter().map(|entry| if entry % 2 == 0 { Ok(()) } else { Err(odd(*entry)) }).collect()
        }
    }

    fn at_once(most: usize) -> Commits<u8> {
        Commits::of(most, Duration::ZERO)
    }

    fn odd(entry: u8) -> Fault {
        Fault::Rejected(format!("{entry} is odd"))
    }

    async fn all(commits: &Commits<u8>, vendor: &Vendor, wishes: &[&[u8]]) -> Vec<Seen<()>> {
        let write = |wish: &&[u8]| commits.commit("q", wish.to_vec(), |entries| vendor.write(entries));
        join_all(wishes.iter().map(write)).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wanted_while_a_request_is_under_way_goes_with_the_next() {
        let (commits, vendor) = (at_once(200), Vendor::default());
        let told = all(&commits, &vendor, &[&[2], &[4, 6], &[8, 9, 11], &[10]]).await;
        assert_eq!(told, [Ok(()), Ok(()), Err(odd(9)), Ok(())], "each hears of its own");
        assert_eq!(*vendor.0.lock().unwrap(), [vec![2], vec![4, 6, 8, 9, 11, 10]]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wanted_while_a_request_lingers_goes_with_it() {
        let (commits, vendor) = (Commits::of(200, Duration::from_millis(200)), Vendor::default());
        assert_eq!(all(&commits, &vendor, &[&[2], &[4, 6], &[8]]).await, [Ok(()), Ok(()), Ok(())]);
        assert_eq!(*vendor.0.lock().unwrap(), [[2, 4, 6, 8]]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_vendor_takes_goes_into_one_request() {
        let (commits, vendor) = (at_once(3), Vendor::default());
        let told = all(&commits, &vendor, &[&[2], &[4, 6], &[8, 10], &[12], &[14, 16, 18, 20], &[22]]).await;
        assert!(told.iter().all(Result::is_ok));
        let sent = [vec![2], vec![4, 6], vec![8, 10, 12], vec![14, 16, 18, 20], vec![22]];
        assert_eq!(*vendor.0.lock().unwrap(), sent, "one wish is not torn apart");
    }

    #[tokio::test(start_paused = true)]
    async fn queues_do_not_wait_for_each_other() {
        let (commits, vendor) = (at_once(200), Vendor::default());
        let began = tokio::time::Instant::now();
        let write = |entries| vendor.write(entries);
        let (one, two) = tokio::join!(commits.commit("a", vec![2], write), commits.commit("b", vec![4], write));
        assert_eq!((one, two, began.elapsed().as_secs()), (Ok(()), Ok(()), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_that_is_ended_takes_nobody_along() {
        let (commits, vendor) = (at_once(200), Vendor::default());
        let write = |entries| vendor.write(entries);
        let ended = tokio::time::timeout(Duration::from_millis(500), commits.commit("q", vec![2], write));
        let later = async {
            sleep(Duration::from_millis(100)).await;
            commits.commit("q", vec![4], write).await
        };
        let (ended, later) = tokio::join!(ended, later);
        assert!(ended.is_err());
        assert_eq!(later, Ok(()), "its own request");
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_ended_pass_wanted_is_not_written() {
        let (commits, vendor) = (at_once(200), Vendor::default());
        let write = |entries| vendor.write(entries);
        let ended = tokio::time::timeout(Duration::from_millis(500), commits.commit("q", vec![4], write));
        let (first, ended, third) =
            tokio::join!(commits.commit("q", vec![2], write), ended, commits.commit("q", vec![6], write));
        assert!(first.is_ok() && ended.is_err() && third.is_ok());
        assert_eq!(*vendor.0.lock().unwrap(), [vec![2], vec![6]]);
        assert_eq!(commits.commit("q", Vec::new(), write).await, Ok(()), "who wants nothing asks for nothing");
        assert_eq!(vendor.0.lock().unwrap().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_written_for_by_one_that_was_ended_looks_again() {
        let (commits, vendor) = (at_once(200), Vendor::default());
        let write = |entries| vendor.write(entries);
        let first = commits.commit("q", vec![2], write);
        let ended = tokio::time::timeout(Duration::from_millis(1500), commits.commit("q", vec![4], write));
        let written_for = commits.commit("q", vec![6], write);
        let (first, ended, written_for) = tokio::join!(first, ended, written_for);
        assert!(first.is_ok() && ended.is_err());
        assert!(matches!(written_for, Err(Fault::Lost(_))), "{written_for:?}");
    }
}
