//! Group commit: what several passes want written to one table at one time goes to the vendor in one request.
//!
//! One request is under way for a queue, and it lingers a moment before it leaves. What is wanted meanwhile goes with it or
//! with the next one: a vendor's throttle costs a crowd of applications no more than one of them. Nobody pays for a stranger's
//! bad entry: where a shared request is refused, each pass writes its own, and where its outcome is not known nothing is shared for a
//! while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::fault::{Fault, Seen};

/// For how long each writes for itself after a shared request without a good end.
const APART: Duration = Duration::from_secs(60);

/// A table that takes many entries at once.
pub trait Batch<T> {
    /// Writes entries of several passes in one request: all of them, or none.
    fn together(&self, entries: &[T]) -> impl Future<Output = Seen<()>> + Send;
    /// Writes entries of one pass, as many of them as can be.
    fn alone(&self, entries: &[T]) -> impl Future<Output = Seen<()>> + Send;
}

/// What a pass hears.
enum Told<T> {
    /// What came of its entries.
    Outcome(Seen<()>),
    /// Its entries, which it writes itself.
    Alone(Vec<T>),
}

/// What one pass wants written, and where it waits for the outcome.
struct Wish<T> {
    entries: Vec<T>,
    told: oneshot::Sender<Told<T>>,
}

struct Queue<T> {
    /// Held by the pass that writes, for itself and for all that wait.
    turn: tokio::sync::Mutex<()>,
    waiting: Mutex<Vec<Wish<T>>>,
    apart: Mutex<Option<Instant>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue { turn: tokio::sync::Mutex::default(), waiting: Mutex::default(), apart: Mutex::default() }
    }
}

impl<T> Queue<T> {
    fn join(&self, entries: Vec<T>) -> oneshot::Receiver<Told<T>> {
        let (told, hears) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Wish { entries, told });
        hears
    }

    /// The wishes that go next: the oldest, and what fits beside it. What an ended pass wanted is nobody's wish any more.
    fn next(&self, most: usize) -> Vec<Wish<T>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|wish| !wish.told.is_closed());
        let mut room = most;
        let fits = waiting.iter().take_while(|wish| {
            let fits = wish.entries.len() <= room;
            room = room.saturating_sub(wish.entries.len());
            fits
        });
        let count = fits.count();
        waiting.drain(..count).collect()
    }

    fn part(&self) {
        *self.apart.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + APART);
    }

    fn is_apart(&self) -> bool {
        self.apart.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| until > Instant::now())
    }

    /// Writes what waits, in one request, and tells each what came of it. Who waits no more is not told.
    async fn write(&self, wishes: Vec<Wish<T>>, batch: &impl Batch<T>) {
        let (mut entries, mut waiting) = (Vec::new(), Vec::new());
        for Wish { entries: own, told } in wishes {
            waiting.push((own.len(), told));
            entries.extend(own);
        }
        if entries.is_empty() {
            return;
        }
        let outcome = batch.together(&entries).await;
        let is_refused = matches!(outcome, Err(Fault::Rejected(_))) && entries.len() > 1;
        if matches!(outcome, Err(Fault::Lost(_) | Fault::Unreachable(_))) && waiting.len() > 1 {
            self.part();
        }
        for (count, told) in waiting {
            let own: Vec<T> = entries.drain(..count).collect();
            let _ = told.send(if is_refused { Told::Alone(own) } else { Told::Outcome(outcome.clone()) });
        }
    }
}

/// Queues of entries to write, by table.
pub struct Commits<T> {
    most: usize,
    linger: Duration,
    queues: Mutex<HashMap<String, Arc<Queue<T>>>>,
}

impl<T> Commits<T> {
    /// Queues from which at most so many entries go into one request; it waits for company as long as it lingers.
    pub fn of(most: usize, linger: Duration) -> Self {
        Commits { most, linger, queues: Mutex::default() }
    }

    /// Writes entries, in one request with those of others that wait in the queue where that is well.
    ///
    /// # Errors
    /// The first fault of these entries.
    pub async fn commit(&self, queue: &str, entries: Vec<T>, batch: &impl Batch<T>) -> Seen<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let queue = self.queue(queue);
        if entries.len() > self.most || queue.is_apart() {
            return batch.alone(&entries).await;
        }
        let mut hears = queue.join(entries);
        loop {
            let _turn = tokio::select! {
                biased;
                told = &mut hears => match told {
                    Ok(Told::Outcome(outcome)) => return outcome,
                    Ok(Told::Alone(entries)) => return batch.alone(&entries).await,
                    Err(_) => return Err(abandoned()),
                },
                turn = queue.turn.lock() => turn,
            };
            sleep(self.linger).await;
            queue.write(queue.next(self.most), batch).await;
        }
    }

    fn queue(&self, name: &str) -> Arc<Queue<T>> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.entry(name.to_owned()).or_default().clone()
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

    /// A vendor that takes a second for a request, refuses odd numbers, does not answer where there is a hundred, and keeps
    /// what it was sent.
    #[derive(Default)]
    struct Vendor(Mutex<Vec<Vec<u8>>>);

    impl Vendor {
        async fn write(&self, entries: &[u8]) -> Seen<()> {
            self.0.lock().unwrap().push(entries.to_vec());
            sleep(Duration::from_secs(1)).await;
            match entries.iter().find(|entry| *entry % 2 == 1 || **entry == 100) {
                Some(100) => Err(Fault::Lost("no answer".into())),
                Some(entry) => Err(odd(*entry)),
                None => Ok(()),
            }
        }

        fn sent(&self) -> Vec<Vec<u8>> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Batch<u8> for Vendor {
        async fn together(&self, entries: &[u8]) -> Seen<()> {
            self.write(entries).await
        }

        async fn alone(&self, entries: &[u8]) -> Seen<()> {
            self.write(entries).await
        }
    }

    fn at_once(most: usize) -> Commits<u8> {
        Commits::of(most, Duration::ZERO)
    }

    fn odd(entry: u8) -> Fault {
        Fault::Rejected(format!("{entry} is odd"))
    }

    async fn all(commits: &Commits<u8>, vendor: &Vendor, wishes: &[&[u8]]) -> Vec<Seen<()>> {
        join_all(wishes.iter().map(|wish| commits.commit("q", wish.to_vec(), vendor))).await
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wanted_while_a_request_is_under_way_goes_with_the_next() {
        let (commits, vendor) = (at_once(200), Vendor::default());
        assert_eq!(all(&commits, &vendor, &[&[2], &[4, 6], &[8, 10], &[12]]).await, [const { Ok(()) }; 4]);
        assert_eq!(vendor.sent(), [vec![2], vec![4, 6, 8, 10, 12]]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wanted_while_a_request_lingers_goes_with_it() {
        let (commits, vendor) = (Commits::of(200, Duration::from_millis(200)), Vendor::default());
        assert_eq!(all(&commits, &vendor, &[&[2], &[4, 6], &[8]]).await, [const { Ok(()) }; 3]);
        assert_eq!(vendor.sent(), [[2, 4, 6, 8]]);
    }

    #[tokio::test(start_paused = true)]
    async fn where_a_shared_request_is_refused_each_writes_its_own_and_hears_of_its_own() {
        let (commits, vendor) = (Commits::of(200, Duration::from_millis(200)), Vendor::default());
        let began = Instant::now();
        let told = all(&commits, &vendor, &[&[2, 4], &[6, 7], &[8]]).await;
        assert_eq!(told, [Ok(()), Err(odd(7)), Ok(())]);
        assert_eq!(vendor.sent(), [vec![2, 4, 6, 7, 8], vec![2, 4], vec![6, 7], vec![8]]);
        assert_eq!(began.elapsed().as_secs(), 2, "nobody waits for another's");
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_entry_that_is_refused_is_not_sent_again() {
        let (commits, vendor) = (at_once(200), Vendor::default());
        assert_eq!(all(&commits, &vendor, &[&[3]]).await, [Err(odd(3))]);
        assert_eq!(vendor.sent(), [[3]]);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_shared_request_without_an_answer_each_writes_for_itself_for_a_while() {
        let (commits, vendor) = (Commits::of(200, Duration::from_millis(200)), Vendor::default());
        let lost = all(&commits, &vendor, &[&[2], &[100]]).await;
        assert!(lost.iter().all(|told| matches!(told, Err(Fault::Lost(_)))));
        let told = all(&commits, &vendor, &[&[2], &[100], &[4]]).await;
        assert!(told[0].is_ok() && told[1].is_err() && told[2].is_ok(), "{told:?}");
        sleep(APART).await;
        assert!(all(&commits, &vendor, &[&[2], &[4]]).await.iter().all(Result::is_ok));
        assert_eq!(vendor.sent(), [vec![2, 100], vec![2], vec![100], vec![4], vec![2, 4]]);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_vendor_takes_goes_into_one_request() {
        let (commits, vendor) = (at_once(3), Vendor::default());
        let told = all(&commits, &vendor, &[&[2], &[4, 6], &[8, 10], &[12], &[14, 16, 18, 20], &[22]]).await;
        assert!(told.iter().all(Result::is_ok));
        let sent = [vec![2], vec![14, 16, 18, 20], vec![4, 6], vec![8, 10, 12], vec![22]];
        assert_eq!(vendor.sent(), sent, "one wish is not torn apart, and a large one goes by itself");
    }

    #[tokio::test(start_paused = true)]
    async fn queues_do_not_wait_for_each_other() {
        let (commits, vendor) = (at_once(200), Vendor::default());
        let began = Instant::now();
        let (one, two) = tokio::join!(commits.commit("a", vec![2], &vendor), commits.commit("b", vec![4], &vendor));
        assert_eq!((one, two, began.elapsed().as_secs()), (Ok(()), Ok(()), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_writer_that_is_ended_takes_nobody_along() {
        let (commits, vendor) = (at_once(200), Vendor::default());
        let ended = tokio::time::timeout(Duration::from_millis(500), commits.commit("q", vec![2], &vendor));
        let later = async {
            sleep(Duration::from_millis(100)).await;
            commits.commit("q", vec![4], &vendor).await
        };
        let (ended, later) = tokio::join!(ended, later);
        assert!(ended.is_err());
        assert_eq!(later, Ok(()), "its own request");
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_ended_pass_wanted_is_not_written() {
        let (commits, vendor) = (at_once(200), Vendor::default());
        let ended = tokio::time::timeout(Duration::from_millis(500), commits.commit("q", vec![4], &vendor));
        let (first, ended, third) =
            tokio::join!(commits.commit("q", vec![2], &vendor), ended, commits.commit("q", vec![6], &vendor));
        assert!(first.is_ok() && ended.is_err() && third.is_ok());
        assert_eq!(vendor.sent(), [[2], [6]]);
        assert_eq!(commits.commit("q", Vec::new(), &vendor).await, Ok(()), "who wants nothing asks for nothing");
        assert_eq!(vendor.sent().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_written_for_by_one_that_was_ended_looks_again() {
        let (commits, vendor) = (at_once(200), Vendor::default());
        let first = commits.commit("q", vec![2], &vendor);
        let ended = tokio::time::timeout(Duration::from_millis(1500), commits.commit("q", vec![4], &vendor));
        let written_for = commits.commit("q", vec![6], &vendor);
        let (first, ended, written_for) = tokio::join!(first, ended, written_for);
        assert!(first.is_ok() && ended.is_err());
        assert!(matches!(written_for, Err(Fault::Lost(_))), "{written_for:?}");
    }
}
