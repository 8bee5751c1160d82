//! Kinds that a cluster may lack: their absence costs no request, and their arrival is seen within seconds.

use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::time::{Instant, sleep_until};

/// How soon a kind whose definition is there is looked for again; doubled each time that it is not served all the same.
const SOON: Duration = Duration::from_secs(1);
/// How long a kind is left alone at most: some come without a definition, by an API server of their own
/// (<https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/>).
const LONGEST: Duration = Duration::from_secs(600);

/// The name of the CustomResourceDefinition that brings a kind.
pub fn definition(resource: &ApiResource) -> String {
    format!("{}.{}", resource.plural, resource.group)
}

/// Whether a watch failed because the cluster does not serve the kind.
pub fn is_absent(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(e) | watcher::Error::WatchStartFailed(e) => {
            matches!(e, kube::Error::Api(status) if status.code == 404)
        }
        watcher::Error::WatchError(status) => status.code == 404,
        _ => false,
    }
}

/// Waits until an absent kind may be there: its definition is made or changed, or enough time has passed.
pub async fn end(client: Client, definition: String, earlier: u32) {
    let api: Api<PartialObjectMeta<CustomResourceDefinition>> = Api::all(client);
    let own = watcher::Config::default().fields(&format!("metadata.name={definition}"));
    let events = watcher(api, own).default_backoff();
    news(events.filter_map(|event| std::future::ready(event.ok())), earlier).await;
}

/// Waits for news of a definition. One that was there from the start may be older than the absence: it is no news.
async fn news<K>(events: impl Stream<Item = Event<K>>, earlier: u32) {
    let mut events = std::pin::pin!(events);
    let mut until = Instant::now() + LONGEST;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Apply(_)) => return,
                Some(Event::InitApply(_)) => until = until.min(Instant::now() + patience(earlier)),
                Some(_) => {}
                None => return sleep_until(until).await,
            },
            () = sleep_until(until) => return,
        }
    }
}

fn patience(earlier: u32) -> Duration {
    SOON.saturating_mul(2u32.saturating_pow(earlier)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    async fn waited(events: Vec<Event<()>>, earlier: u32) -> Duration {
        let begun = Instant::now();
        news(stream::iter(events).chain(stream::pending()), earlier).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_definition_that_is_made_or_changed_ends_the_wait_at_once() {
        assert_eq!(waited(vec![Event::Init, Event::InitDone, Event::Apply(())], 30).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_definition_that_helps_nobody_is_looked_at_ever_more_rarely() {
        for (earlier, seconds) in [(0, 1), (3, 8), (30, 600), (u32::MAX, 600)] {
            let there = vec![Event::Init, Event::InitApply(()), Event::InitDone];
            assert_eq!(waited(there, earlier).await.as_secs(), seconds, "round {earlier}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_definition_the_kind_is_looked_for_every_ten_minutes() {
        assert_eq!(waited(vec![Event::Init, Event::InitDone], 0).await, LONGEST);
    }
}
