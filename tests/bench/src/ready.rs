//! Watches the fleet become ready.

use std::collections::HashSet;

use futures::StreamExt;
use golive::api::SaasDeployment;
use kube::api::Api;
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The applications that are ready at their newest generation; the watch ends with this value.
pub struct Ready {
    _tasks: JoinSet<()>,
    seen: watch::Receiver<HashSet<String>>,
}

impl Ready {
    /// Begins to watch.
    pub fn watch(client: Client) -> Self {
        let (tell, seen) = watch::channel(HashSet::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut events = watcher(Api::<SaasDeployment>::all(client), watcher::Config::default()).boxed();
            while let Some(event) = events.next().await {
                let Ok(event) = event else { continue };
                tell.send_modify(|ready| note(ready, event));
            }
        });
        Ready { _tasks: tasks, seen }
    }

    /// Waits until so many are ready.
    pub async fn count(&mut self, wanted: usize) {
        drop(self.seen.wait_for(|ready| ready.len() == wanted).await);
    }
}

fn note(ready: &mut HashSet<String>, event: watcher::Event<SaasDeployment>) {
    match event {
        watcher::Event::Apply(saas) | watcher::Event::InitApply(saas) if is_ready(&saas) => {
            ready.insert(saas.uid().unwrap_or_default());
        }
        watcher::Event::Apply(saas) | watcher::Event::InitApply(saas) | watcher::Event::Delete(saas) => {
            ready.remove(&saas.uid().unwrap_or_default());
        }
        watcher::Event::Init | watcher::Event::InitDone => {}
    }
}

fn is_ready(saas: &SaasDeployment) -> bool {
    let conditions = saas.status.iter().flat_map(|status| &status.conditions);
    let ready =
        |c: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| c.type_ == "Ready" && c.status == "True";
    conditions.into_iter().find(ready).is_some_and(|c| c.observed_generation == saas.metadata.generation)
}
