//! What pods, Jobs and the user's own Secrets and ConfigMaps tell.

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{ConfigMap, ContainerStatus, Pod, Secret};
use kube::{Api, ResourceExt};
use secrecy::SecretString;
use serde_json::Value;

use super::Observer;
use crate::apply::secrets::own;
use crate::child::Child;
use crate::cluster::{find, list};
use crate::fault::Seen;
use crate::kinds::Kind;
use crate::objects::OWNER;
use crate::plan::{Ask, Part};
use crate::world::Source;

/// How long pods may take to start before they are asked why they do not.
const PATIENCE: SignedDuration = SignedDuration::from_secs(4);

type Values = BTreeMap<String, SecretString>;

impl Observer {
    /// The user's Secrets and ConfigMaps that the spec names.
    pub(super) async fn sources(&self, ask: Ask<'_>) -> BTreeMap<Source, Seen<Option<Values>>> {
        let sources = ask.sources();
        let reads = sources.iter().map(|source| self.source(ask, source));
        let seen = join_all(reads).await;
        sources.into_iter().zip(seen).collect()
    }

    async fn source(&self, ask: Ask<'_>, source: &Source) -> Seen<Option<Values>> {
        let namespace = ask.saas.namespace().unwrap_or_default();
        match source {
            Source::Secret(name) => {
                let found = find(&Api::<Secret>::namespaced(self.client.clone(), &namespace), name).await?;
                Ok(found.map(values))
            }
            Source::ConfigMap(name) => {
                let found = find(&Api::<ConfigMap>::namespaced(self.client.clone(), &namespace), name).await?;
                Ok(found.map(|map| texts(map.data.unwrap_or_default().into_iter().map(|(k, v)| (k, v.into_bytes())))))
            }
        }
    }

    /// The copies of accounts' credentials, in use or left over; what somebody else keeps under such a name is none.
    pub(super) async fn copies(&self, ask: Ask<'_>) -> BTreeMap<String, Seen<Option<Values>>> {
        let names = ask.copy_names();
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &ask.saas.namespace().unwrap_or_default());
        let copy = async |name: &str| Ok(own(&api, ask.saas, name).await?.map(values));
        let seen = join_all(names.iter().map(|name| copy(name))).await;
        names.into_iter().zip(seen).collect()
    }

    /// What the pods of finished Jobs told, where that still has to be taken in.
    pub(super) async fn outcomes(&self, ask: Ask<'_>) -> BTreeMap<String, Value> {
        let taken = ask.world.vault.as_ref().map(|vault| vault.ledger.taken.clone()).unwrap_or_default();
        let open = ask
            .world
            .children
            .of_kind(Kind::Job)
            .filter(|job| is_of_interest(job) && !taken.iter().any(|name| **name == *job.name));
        let names: Vec<String> = open.map(|job| job.name.to_string()).collect();
        let told = join_all(names.iter().map(|name| self.told(ask, name))).await;
        names.into_iter().zip(told).filter_map(|(name, told)| Some((name, told?))).collect()
    }

    /// The last message of a Job's newest pod.
    async fn told(&self, ask: Ask<'_>, job: &str) -> Option<Value> {
        let mut pods = self.pods(ask, &format!("batch.kubernetes.io/job-name={job}")).await;
        pods.sort_by_key(|pod| pod.creation_timestamp());
        let states = containers(pods.last()?);
        let ended = states.iter().find_map(|status| status.state.as_ref()?.terminated.as_ref())?;
        let message = ended.message.clone().unwrap_or_default();
        let silent = || serde_json::json!({"reason": "Failed", "message": format!("its container ended with exit code {}", ended.exit_code)});
        Some(serde_json::from_str(&message).unwrap_or_else(|_| silent()))
    }

    /// Why pods of a workload do not run, in the kubelet's or the scheduler's words; asked only while some are missing that
    /// should be there by now.
    pub(super) async fn troubles(&self, ask: Ask<'_>) -> BTreeMap<String, String> {
        let young = |child: &Child| child.made.is_some_and(|made| ask.world.now.duration_since(made) < PATIENCE);
        let lacking = |name: &str| {
            if ask.world.children.find(Kind::Deployment, name).is_some_and(young) {
                return false;
            }
            let number = |pointer: &str| ask.world.field(Kind::Deployment, name, pointer).and_then(Value::as_i64);
            number("/spec/replicas").is_some_and(|wanted| number("/status/availableReplicas").unwrap_or(0) < wanted)
        };
        let at_work = ask
            .world
            .children
            .of_kind(Kind::Job)
            .any(|job| !young(job) && !has_ended(job, "Complete") && !has_ended(job, "Failed"));
        if !at_work && !ask.workloads().iter().any(|workload| lacking(&workload.name)) {
            return BTreeMap::new();
        }
        let pods = self.pods(ask, &format!("{OWNER}={}", ask.name())).await;
        let component = |pod: &Pod| pod.labels().get("app.kubernetes.io/component").cloned();
        pods.iter().filter_map(|pod| Some((component(pod)?, trouble(pod)?))).collect()
    }

    async fn pods(&self, ask: Ask<'_>, labels: &str) -> Vec<Pod> {
        let namespace = ask.saas.namespace().unwrap_or_default();
        list(&Api::<Pod>::namespaced(self.client.clone(), &namespace), labels).await.unwrap_or_default()
    }
}

/// A finished Job whose result matters: of backups any, of other parts only failures.
fn is_of_interest(job: &Child) -> bool {
    let of_backup = job.part == Some(Part::Backup) || job.name.contains("-backup-");
    has_ended(job, "Failed") || (of_backup && has_ended(job, "Complete"))
}

/// Whether a Job has this condition: `Complete` or `Failed`.
fn has_ended(job: &Child, condition: &str) -> bool {
    let conditions = job.field("/status/conditions").and_then(Value::as_array);
    conditions.is_some_and(|list| list.iter().any(|c| c["type"] == condition && c["status"] == "True"))
}

fn values(secret: Secret) -> Values {
    texts(secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)))
}

fn texts(data: impl Iterator<Item = (String, Vec<u8>)>) -> Values {
    data.map(|(key, value)| (key, String::from_utf8_lossy(&value).into_owned().into())).collect()
}

fn containers(pod: &Pod) -> Vec<ContainerStatus> {
    pod.status.as_ref().and_then(|status| status.container_statuses.clone()).unwrap_or_default()
}

/// What keeps a pod from running, if anything does.
fn trouble(pod: &Pod) -> Option<String> {
    let harmless = ["ContainerCreating", "PodInitializing"];
    let waiting = containers(pod).into_iter().find_map(|status| {
        let waiting = status.state?.waiting.filter(|w| !harmless.contains(&w.reason.as_deref().unwrap_or_default()))?;
        let ended =
            status.last_state.and_then(|state| state.terminated).map(|t| format!(" (exit code {})", t.exit_code));
        Some(format!(
            "{}{}: {}",
            waiting.reason.unwrap_or_default(),
            ended.unwrap_or_default(),
            waiting.message.unwrap_or_default()
        ))
    });
    waiting.or_else(|| {
        let conditions = pod.status.as_ref()?.conditions.as_ref()?;
        let unscheduled = conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
        unscheduled.message.clone()
    })
}
