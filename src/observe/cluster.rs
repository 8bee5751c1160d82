//! What pods, Jobs and the user's own Secrets and ConfigMaps tell.

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{ConfigMap, ContainerStatus, Pod, Secret};
use kube::{Api, ResourceExt};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::Observer;
use crate::api::SaasDeploymentSpec;
use crate::apply::secrets::own;
use crate::child::Child;
use crate::cluster::{find, list};
use crate::fault::Seen;
use crate::kinds::Kind;
use crate::objects::OWNER;
use crate::plan::Ask;
use crate::plan::backup::is_of_backup;
use crate::plan::release::SPEC;
use crate::world::Source;

/// How long pods may take to start before they are asked why they do not.
const PATIENCE: SignedDuration = SignedDuration::from_secs(4);

type Values = BTreeMap<String, SecretString>;

impl Observer {
    /// The user's Secrets and ConfigMaps that the spec names.
    pub(super) async fn sources(&self, ask: Ask<'_>) -> BTreeMap<Source, Seen<Option<Values>>> {
        let sources = ask.all_sources();
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
        let told = open.map(async |job| Some((job.name.to_string(), self.told(ask, job).await.ok()?)));
        join_all(told).await.into_iter().flatten().collect()
    }

    /// The last message of a Job's newest pod; of one whose pod never ran or is gone, what the Job itself says.
    async fn told(&self, ask: Ask<'_>, job: &Child) -> Seen<Value> {
        let mut pods = self.pods(ask, &format!("batch.kubernetes.io/job-name={}", job.name)).await?;
        pods.sort_by_key(|pod| pod.creation_timestamp());
        let states = pods.last().map(containers).unwrap_or_default();
        let ended = states.iter().find_map(|status| status.state.as_ref()?.terminated.as_ref());
        Ok(match ended {
            Some(ended) => serde_json::from_str(ended.message.as_deref().unwrap_or_default()).unwrap_or_else(
                |_| json!({"reason": "Failed", "message": format!("its container ended with exit code {}", ended.exit_code)}),
            ),
            None => podless(job),
        })
    }

    /// The spec on record of the last proven revision, where that of now gives way to it; read then alone.
    pub(super) async fn former(&self, ask: Ask<'_>) -> Seen<Option<SaasDeploymentSpec>> {
        let Some(name) = ask.gives_way_to().and_then(|revision| ask.record_of(revision)) else { return Ok(None) };
        let api: Api<ControllerRevision> =
            Api::namespaced(self.client.clone(), &ask.saas.namespace().unwrap_or_default());
        // Listed, for reading one by its name would need another right.
        let records = list(&api, &format!("{OWNER}={}", ask.name())).await?;
        let record = records.into_iter().find(|record| record.name_any() == name);
        Ok(record.and_then(|record| serde_json::from_str(record.annotations().get(SPEC)?).ok()))
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
        let at_work = ask.world.children.of_kind(Kind::Job).any(|job| !young(job) && job.end().is_none());
        if !at_work && !ask.workloads().iter().any(|workload| lacking(&workload.name)) {
            return BTreeMap::new();
        }
        let pods = self.pods(ask, &format!("{OWNER}={}", ask.name())).await.unwrap_or_default();
        let component = |pod: &Pod| pod.labels().get("app.kubernetes.io/component").cloned();
        pods.iter().filter_map(|pod| Some((component(pod)?, trouble(pod)?))).collect()
    }

    async fn pods(&self, ask: Ask<'_>, labels: &str) -> Seen<Vec<Pod>> {
        let namespace = ask.saas.namespace().unwrap_or_default();
        list(&Api::<Pod>::namespaced(self.client.clone(), &namespace), labels).await
    }
}

/// A finished Job whose result matters: of backups any, of other parts only failures.
fn is_of_interest(job: &Child) -> bool {
    job.has_ended("Failed") || (is_of_backup(job) && job.has_ended("Complete"))
}

/// What is known of a finished Job without a pod that ran: it took too long, say, or its pod was deleted.
fn podless(job: &Child) -> Value {
    match job.end().filter(|end| end["type"] == "Failed") {
        Some(failed) => json!({"reason": failed["reason"], "message": failed["message"]}),
        None => json!({"reason": "Interrupted", "message": "its pod was gone before it could be asked what it did"}),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_without_a_pod_tells_what_its_conditions_say() {
        let ended = |condition: Value| {
            let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "status": {"conditions": [condition]}});
            podless(&Child::new(Kind::Job, serde_json::from_value(job).unwrap()))
        };
        let late =
            json!({"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "it took too long"});
        assert_eq!(ended(late), json!({"reason": "DeadlineExceeded", "message": "it took too long"}));
        assert_eq!(ended(json!({"type": "Complete", "status": "True"}))["reason"], "Interrupted");
    }
}
