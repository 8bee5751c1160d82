//! Watches the fleet become ready.

use std::collections::HashSet;

use futures::StreamExt;
use golive::api::SaasDeployment;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::Api;
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::stage::Kept;

/// The objects of one kind that are ready; the watch ends with this value.
pub struct Ready {
    _tasks: JoinSet<()>,
    seen: watch::Receiver<HashSet<String>>,
}

impl Ready {
    /// Begins to watch.
    pub fn watch<K: Kept>(client: Client, is_ready: fn(&K) -> bool) -> Self {
        let (tell, seen) = watch::channel(HashSet::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut events = watcher(Api::<K>::all(client), watcher::Config::default()).boxed();
            while let Some(event) = events.next().await {
                let Ok(event) = event else { continue };
                tell.send_modify(|ready| note(ready, event, is_ready));
            }
        });
        Ready { _tasks: tasks, seen }
    }

    /// Waits until so many are ready.
    pub async fn count(&mut self, wanted: usize) {
        drop(self.seen.wait_for(|ready| ready.len() == wanted).await);
    }
}

fn note<K: Kept>(ready: &mut HashSet<String>, event: watcher::Event<K>, is_ready: fn(&K) -> bool) {
    match event {
        watcher::Event::Apply(object) | watcher::Event::InitApply(object) if is_ready(&object) => {
            ready.insert(object.uid().unwrap_or_default());
        }
        watcher::Event::Apply(object) | watcher::Event::InitApply(object) | watcher::Event::Delete(object) => {
            ready.remove(&object.uid().unwrap_or_default());
        }
        watcher::Event::Init | watcher::Event::InitDone => {}
    }
}

/// Whether an application is live.
pub fn is_live(saas: &SaasDeployment) -> bool {
    is_ready(saas.status.iter().flat_map(|status| &status.conditions), saas.metadata.generation)
}

/// Whether conditions say Ready of the newest generation.
pub fn is_ready<'a>(mut conditions: impl Iterator<Item = &'a Condition>, generation: Option<i64>) -> bool {
    let ready = |c: &&Condition| c.type_ == "Ready" && c.status == "True";
    conditions.find(ready).is_some_and(|c| c.observed_generation == generation)
}
