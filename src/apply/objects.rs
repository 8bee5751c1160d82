//! Kubernetes objects: declared by server-side apply where they differ, pruned where no part wants them any more.

use futures::stream::{self, StreamExt};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, PropagationPolicy};
use serde_json::{Value, json};

use super::create::create;
use super::wanted::{Change, Wanted};
use super::{Done, Drift, PartDone, Wrote};
use crate::child::{Child, entry_of_making};
use crate::cluster::{self, Deleted};
use crate::compare::Strays;
use crate::fault::{Fault, Seen};
use crate::kinds::Kind;
use crate::objects::{APPLIED, MANAGED_BY, OWNER, PART};
use crate::observe::{Observer, owner};
use crate::plan::{Ask, Manifest, Part, Plan, Steps, Verdict};

/// How often an object is declared that somebody goes on to change.
const ROUNDS: usize = 4;
/// The field manager that holds the number of pods until an autoscaler has changed it.
const AUTOSCALER: &str = "golive-autoscaler";
/// Writes of one part that are under way at once.
const AT_ONCE: usize = 4;

/// Applies the objects of a part that differ from what is there.
pub async fn declare(observer: &Observer, ask: Ask<'_>, (part, steps): (Part, &Steps), done: &mut PartDone) {
    let mut manifests: Vec<&Manifest> = steps.manifests.iter().collect();
    manifests.sort_by_key(|manifest| manifest.kind);
    let mut all = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        all.push(declare_one(observer, ask, part, manifest));
    }
    let all: Vec<Declared> = stream::iter(all).buffered(AT_ONCE).collect().await;
    for Declared { wrote, altered } in all {
        done.altered.extend(altered);
        if let Some((wrote, result)) = wrote {
            done.write(wrote, result);
        }
    }
}

/// What came of one object.
struct Declared {
    /// The write, if there was one.
    wrote: Option<(Wrote, Seen<bool>)>,
    /// What admission makes of it, in words.
    altered: Option<String>,
}

async fn declare_one(observer: &Observer, ask: Ask<'_>, part: Part, manifest: &Manifest) -> Declared {
    let wanted = Wanted::new(ask, part, manifest);
    let found = ask.world.children.find(manifest.kind, &manifest.name);
    let Some(change) = wanted.change((found, ask.world.children.lost(manifest.kind, &manifest.name).is_some())) else {
        return Declared { wrote: None, altered: found.and_then(|found| strayed(manifest, &found.altered())) };
    };
    let drift = change.drift;
    match write(observer, ask, manifest, (&wanted.object(), change)).await {
        Err(fault) => {
            Declared { wrote: Some((Wrote { what: manifest.to_string(), drift }, Err(fault))), altered: None }
        }
        Ok(Written { undone, strays }) => {
            // What the API server makes of it each time is nobody's drift.
            let changed = drift != Drift::Yes || found.is_none() || !undone.is_empty();
            let drift = if undone.is_empty() { drift } else { Drift::Yes };
            let what = strayed(manifest, &undone).unwrap_or_else(|| manifest.to_string());
            Declared { wrote: Some((Wrote { what, drift }, Ok(changed))), altered: strayed(manifest, &strays) }
        }
    }
}

/// An object and where it strays, in words; nothing where it does not.
fn strayed(manifest: &Manifest, strays: &Strays) -> Option<String> {
    (!strays.is_empty()).then(|| format!("{manifest} ({strays})"))
}

/// An object as the API server has it now.
struct Written {
    /// What somebody else had changed.
    undone: Strays,
    /// What is otherwise than declared all the same: admission changes it.
    strays: Strays,
}

/// Applies one object. Where it is not as declared then, or was not before, it is taken over and applied again: server-side
/// apply leaves what another manager owns. What still strays is the work of admission.
async fn write(
    observer: &Observer,
    ask: Ask<'_>,
    manifest: &Manifest,
    (object, mut change): (&Value, Change),
) -> Seen<Written> {
    let found = ask.world.children.find(manifest.kind, &manifest.name);
    let mut object = object.clone();
    found.into_iter().for_each(|child| bind(&mut object, &child.uid));
    if change.strays.is_empty() {
        let answer = match found {
            None => create(observer, ask, (manifest, &object)).await?,
            Some(child) => {
                let api = api(observer, ask, manifest.kind);
                own_by_apply(&api, child).await?;
                hand_over(&api, manifest, ask.world.field(manifest.kind, &manifest.name, "/spec/replicas")).await?;
                cluster::apply(&api, &manifest.name, &object).await?
            }
        };
        bind(&mut object, &answer.uid().unwrap_or_default());
        change.strays = Strays::of(&answer, &object);
        if change.strays.is_empty() {
            observer.cache.written(manifest.kind, answer, Strays::default());
            return Ok(Written { undone: Strays::default(), strays: Strays::default() });
        }
    }
    let known = found.map(Child::admitted).unwrap_or_default();
    let (answer, strays) = insist(&api(observer, ask, manifest.kind), (manifest, &object), known).await?;
    keeps_marks(manifest, &strays)?;
    observer.cache.written(manifest.kind, answer, strays.clone());
    Ok(Written { undone: change.strays.beyond(&strays), strays })
}

/// Makes an object that golive made, and has not applied since, one that it applies. A refusal is told as such unless what
/// was known of the object is over.
async fn own_by_apply(api: &Api<DynamicObject>, child: &Child) -> Seen<()> {
    let Some(entry) = child.entry else { return Ok(()) };
    match cluster::own_by_apply(api, &child.name, (&child.uid, entry)).await {
        Err(Fault::Rejected(why)) => {
            let is_over = |found: &DynamicObject| {
                (found.uid().as_deref(), entry_of_making(found)) != (Some(&*child.uid), Some(entry))
            };
            let over = cluster::look(api, &child.name).await.is_ok_and(|found| is_over(&found));
            Err(if over { Fault::Outrun(why) } else { Fault::Rejected(why) })
        }
        result => result.map(drop),
    }
}

/// Names the very object that an apply is for: another one that has taken its name since is not touched, for the API server
/// refuses an apply to another uid.
fn bind(object: &mut Value, uid: &str) {
    object["metadata"]["uid"] = json!(uid);
}

/// Leaves the number of pods as it is where an autoscaler is to decide on it: a field that nobody owns any more gets its
/// default, which is a single pod. Each time, for who owns it by now is not seen here.
///
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#transferring-ownership>
async fn hand_over(api: &Api<DynamicObject>, manifest: &Manifest, replicas: Option<&Value>) -> Seen<()> {
    let (kind, name) = (manifest.kind, manifest.name.as_str());
    let is_scaled = kind == Kind::Deployment && manifest.body["spec"].get("replicas").is_none();
    let Some(replicas) = replicas.filter(|_| is_scaled) else { return Ok(()) };
    let fields = json!({
        "apiVersion": kind.api_version(), "kind": kind.name(), "metadata": {"name": name}, "spec": {"replicas": replicas},
    });
    cluster::offer(api, (name, AUTOSCALER), &fields).await.map(drop)
}

/// The API of a kind in the application's namespace.
pub(super) fn api(observer: &Observer, ask: Ask<'_>, kind: Kind) -> Api<DynamicObject> {
    cluster::objects(&observer.client, &ask.saas.namespace().unwrap_or_default(), kind)
}

/// Takes an object over and applies it, until it is as declared or strays as it did the time before: somebody may change it
/// between the two, and that is no admission.
async fn insist(
    api: &Api<DynamicObject>,
    (manifest, object): (&Manifest, &Value),
    known: Strays,
) -> Seen<(DynamicObject, Strays)> {
    let mut before = known;
    for _ in 0..ROUNDS {
        let found = cluster::take_over(api, &manifest.name, object["metadata"]["uid"].as_str()).await?;
        hand_over(api, manifest, found.data.pointer("/spec/replicas")).await?;
        let answer = cluster::apply(api, &manifest.name, object).await?;
        let strays = Strays::of(&answer, object);
        if strays.is_empty() || strays == before {
            return Ok((answer, strays));
        }
        before = strays;
    }
    Err(Fault::Outrun(format!("{manifest} is changed again and again ({before}) while golive declares it")))
}

/// An object without golive's own marks would be lost sight of.
fn keeps_marks(manifest: &Manifest, strays: &Strays) -> Seen<()> {
    match strays.has_mark(&[APPLIED, MANAGED_BY, OWNER, PART]) {
        false => Ok(()),
        true => Err(Fault::Forbidden(format!(
            "admission changes the marks by which golive knows {manifest} ({strays}): exempt them from the policy"
        ))),
    }
}

/// Deletes objects of ours that no part wants.
pub async fn prune(observer: &Observer, ask: Ask<'_>, plan: &Plan, done: &mut Done) {
    if ask.saas.metadata.deletion_timestamp.is_some() {
        return;
    }
    for (part, kind, name) in unwanted(ask, plan) {
        let result = delete(observer, ask, kind, &name).await;
        done.parts.entry(part).or_default().record(format!("{} {name} deleted", kind.name()), result);
    }
}

/// The objects of ours that no part wants: of parts that hold, none. A volume goes with its SaasDeployment or not at all:
/// a block that is missing from the spec may be missing by mistake.
pub fn unwanted(ask: Ask<'_>, plan: &Plan) -> Vec<(Part, Kind, String)> {
    let owned = ask
        .world
        .children
        .iter()
        .filter(|(kind, object)| is_owned(ask, object) && *kind != Kind::PersistentVolumeClaim);
    let known = owned.filter_map(|(kind, object)| Some((object.part?, kind, object.name.to_string())));
    known.filter(|(part, kind, name)| !is_wanted(plan.parts.get(part), *kind, name)).collect()
}

/// Only what carries our reference is removed: not what is retained, nor what CronJobs made.
fn is_owned(ask: Ask<'_>, object: &Child) -> bool {
    ask.saas.metadata.uid.as_ref().is_some_and(|uid| object.belongs_to(uid))
}

fn is_wanted(verdict: Option<&Verdict>, kind: Kind, name: &str) -> bool {
    match verdict {
        None => false,
        Some(Err(_)) => true,
        Some(Ok(steps)) => {
            let declared = steps.manifests.iter().any(|m| m.kind == kind && m.name == name);
            declared || steps.kept.iter().any(|(k, n)| *k == kind && n == name)
        }
    }
}

/// Takes the reference to its SaasDeployment off an object that was observed, so that it is not collected.
pub async fn retain(observer: &Observer, ask: Ask<'_>, kind: Kind, name: &str) -> Seen<bool> {
    let Some(object) = ask.world.children.find(kind, name) else { return Ok(false) };
    let body = json!({"metadata": {"uid": object.uid, "ownerReferences": null}});
    let free = cluster::change(&api(observer, ask, kind), name, body).await?;
    observer.cache.written(kind, free, Strays::default());
    Ok(true)
}

/// Deletes the object that was observed, and no later one of its name. The Job of a stage stays until its pod is gone: two
/// migrations side by side may ruin a database.
pub async fn delete(observer: &Observer, ask: Ask<'_>, kind: Kind, name: &str) -> Seen<bool> {
    let Some(object) = ask.world.children.find(kind, name) else { return Ok(false) };
    if object.going {
        return Ok(false);
    }
    let of_stage = kind == Kind::Job && object.part == Some(Part::Release);
    let policy = if of_stage { PropagationPolicy::Foreground } else { PropagationPolicy::Background };
    let api = api(observer, ask, kind);
    match cluster::delete_by(&api, (kind.name(), name), (Some(&object.uid), policy)).await? {
        // The watch is about to tell.
        Deleted::Nothing => return Ok(false),
        Deleted::Going(left) if of_stage => observer.cache.written(kind, left, Strays::default()),
        Deleted::Going(_) | Deleted::Gone => observer.cache.deleted(kind, &owner(ask.saas), name),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use kube::Client;

    use super::*;

    /// An API server whose answers to applies have these values of `spec.replicas`, one after the other, the last for ever.
    fn server(values: &'static [i64]) -> Api<DynamicObject> {
        let applied = Mutex::new(values.iter());
        let last = values.last().copied().unwrap_or_default();
        let answer = move |request: http::Request<kube::client::Body>| {
            let is_apply = request.headers()["content-type"] == "application/apply-patch+yaml";
            let next = || applied.lock().unwrap().next().copied().unwrap_or(last);
            let replicas = if is_apply { next() } else { 0 };
            let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "web", "resourceVersion": "1"}, "spec": {"replicas": replicas}});
            let body = kube::client::Body::from(object.to_string().into_bytes());
            std::future::ready(Ok::<_, tower::BoxError>(http::Response::new(body)))
        };
        cluster::objects(&Client::new(tower::service_fn(answer), "default"), "default", Kind::Deployment)
    }

    async fn insisted(values: &'static [i64], known: Strays) -> Seen<String> {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}, "spec": {"replicas": 1}});
        let manifest = Manifest::new(Kind::Deployment, "web", json!({"spec": {"replicas": 1}}));
        insist(&server(values), (&manifest, &object), known).await.map(|(_, strays)| strays.to_string())
    }

    #[tokio::test]
    async fn only_what_strays_twice_in_the_same_way_is_the_work_of_admission() {
        assert_eq!(insisted(&[1], Strays::default()).await.as_deref(), Ok(""));
        assert_eq!(insisted(&[7, 1], Strays::default()).await.as_deref(), Ok(""), "somebody's edit in between");
        assert_eq!(insisted(&[7, 7, 1], Strays::default()).await.as_deref(), Ok("spec.replicas"), "a policy");
        let fought = insisted(&[2, 3, 4, 5, 6], Strays::default()).await;
        assert!(matches!(&fought, Err(Fault::Outrun(why)) if why.contains("Deployment web")), "{fought:?}");
    }
}
