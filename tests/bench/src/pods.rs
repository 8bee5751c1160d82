//! Plays the Deployment controller and the kubelet: what is declared runs a moment later, in the status.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Statuses written at once.
const AT_ONCE: usize = 8;

/// A Deployment as last seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// Its generation.
    pub generation: i64,
    /// Its declared replicas.
    pub replicas: i32,
}

/// What the player knows.
#[derive(Default)]
struct Known {
    deployments: HashMap<String, Seen>,
    rolled: usize,
}

/// The player; it ends with this value.
pub struct Pods {
    _tasks: JoinSet<()>,
    known: watch::Receiver<Known>,
}

impl Pods {
    /// Begins to play.
    pub fn play(client: Client) -> Self {
        let (tell, known) = watch::channel(Known::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(client, Arc::new(tell)));
        Pods { _tasks: tasks, known }
    }

    /// Waits until so many statuses were written since the beginning.
    pub async fn reached(&mut self, count: usize) {
        drop(self.known.wait_for(|known| known.rolled >= count).await);
    }

    /// A Deployment, by `namespace/name`, as last seen.
    pub fn seen(&self, name: &str) -> Option<Seen> {
        self.known.borrow().deployments.get(name).cloned()
    }

    /// Waits until a Deployment is as wanted, and says when that was seen first.
    pub async fn until(&mut self, name: &str, wanted: impl Fn(&Seen) -> bool) -> Option<Instant> {
        let there = |known: &Known| known.deployments.get(name).is_some_and(&wanted);
        let known = self.known.wait_for(there).await.ok()?;
        known.deployments.get(name).map(|seen| seen.at)
    }
}

async fn follow(client: Client, tell: Arc<watch::Sender<Known>>) {
    let api: Api<Deployment> = Api::all(client.clone());
    let config = watcher::Config::default().labels("app.kubernetes.io/managed-by=golive");
    let mut events = watcher(api, config).boxed();
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut writes = JoinSet::new();
    while let Some(event) = events.next().await {
        while writes.try_join_next().is_some() {}
        match event {
            Ok(watcher::Event::Apply(deployment) | watcher::Event::InitApply(deployment))
                if note(&tell, &deployment) =>
            {
                writes.spawn(roll(client.clone(), deployment, slots.clone(), tell.clone()));
            }
            Ok(watcher::Event::Delete(deployment)) => {
                tell.send_modify(|known| {
                    known.deployments.remove(&key(&deployment));
                });
            }
            _ => {}
        }
    }
}

fn key(deployment: &Deployment) -> String {
    format!("{}/{}", deployment.namespace().unwrap_or_default(), deployment.name_any())
}

/// Notes a Deployment; says whether this generation of it is new and not rolled out.
fn note(tell: &watch::Sender<Known>, deployment: &Deployment) -> bool {
    let generation = deployment.metadata.generation.unwrap_or_default();
    let observed = deployment.status.as_ref().and_then(|status| status.observed_generation);
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let mut new = false;
    tell.send_if_modified(|known| {
        new = known.deployments.get(&key(deployment)).is_none_or(|seen| seen.generation != generation);
        if new {
            known.deployments.insert(key(deployment), Seen { at: Instant::now(), generation, replicas });
        }
        new
    });
    new && observed < Some(generation)
}

async fn roll(client: Client, deployment: Deployment, slots: Arc<Semaphore>, tell: Arc<watch::Sender<Known>>) {
    let _slot = slots.acquire().await;
    let api: Api<Deployment> = Api::namespaced(client, &deployment.namespace().unwrap_or_default());
    let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = json!({"status": {
        "observedGeneration": deployment.metadata.generation,
        "replicas": replicas, "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
    }});
    // A Deployment that is gone meanwhile has no pods to play.
    drop(api.patch_status(&deployment.name_any(), &PatchParams::default(), &Patch::Merge(status)).await);
    tell.send_modify(|known| known.rolled += 1);
}
