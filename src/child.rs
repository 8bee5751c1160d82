//! An object of golive's as passes need it. A fleet has twenty of them for each application, so little is kept: what the
//! status says, whom it belongs to, and the whole of it only until it was compared with what is wanted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::{MANAGER, version};
use crate::compare::Strays;
use crate::kinds::Kind;
use crate::objects::{APPLIED, PART};
use crate::plan::Part;
use crate::plan::release::{REVISION, SPEC};
use crate::plan::solver::ANSWERS;

/// The longest JSON, in bytes, that is kept of an object which belongs to no SaasDeployment: anybody can make objects with
/// golive's labels. Of golive's own those are claims, which are far shorter.
const SHORT: usize = 16 * 1024;

/// The longest hash of what was applied.
const HASH: usize = 64;

/// How long it is taken for granted that admission does as it did.
const TRUSTED: Duration = Duration::from_secs(3600);

/// The hash of the environment that the pods of a Deployment were declared with.
pub const ENVIRONMENT: &str = "/spec/template/metadata/annotations/golive.dev~1environment";

/// The annotations of Deployments and Jobs that plans ask for.
const MARKS: [&str; 2] = [REVISION, ANSWERS];

/// The labels by which a Deployment selects its pods, as `name=value`, with commas between.
const SELECTOR: &str = "selector";

/// Where a Job has the component that its pods are told apart by.
const COMPONENT: &str = "/spec/template/metadata/labels/app.kubernetes.io~1component";

/// An object that golive wrote.
#[derive(Debug)]
pub struct Child {
    /// Its name.
    pub name: Box<str>,
    /// Its uid.
    pub uid: Box<str>,
    /// The part that declared it.
    pub part: Option<Part>,
    /// Its generation, where its kind has one.
    pub generation: Option<i64>,
    /// When it was made.
    pub made: Option<Timestamp>,
    /// Whether it is being deleted.
    pub going: bool,
    /// Whether it is a Deployment whose pods did not come up in the time that they have.
    pub late: bool,
    /// Whether it is the record of a revision that has the spec by which that ran.
    pub recorded: bool,
    /// The hash of what was last applied.
    pub applied: Option<Box<str>>,
    /// Where in its managed fields it stands that golive made it, until golive applies it for the first time.
    pub entry: Option<usize>,
    /// The SaasDeployments that it goes with.
    pub owners: Owners,
    version: Option<u64>,
    /// By JSON pointer, annotation or [`SELECTOR`]: a map for each level would take six times the room.
    facts: Box<[(&'static str, Value)]>,
    whole: Mutex<Whole>,
    /// How this cluster admits it.
    admitted: Option<Admitted>,
    /// Whether it was last seen to be otherwise than declared because of that.
    strays: AtomicBool,
}

/// What is kept of all of an object.
#[derive(Debug)]
enum Whole {
    /// All of it, in JSON.
    Kept(Box<[u8]>),
    /// Nothing: it is too long for somebody else's.
    Unknown,
    /// Nothing: it was found to be as applied.
    AsApplied,
}

impl Child {
    /// What passes need of an object.
    pub fn new(kind: Kind, object: DynamicObject) -> Self {
        let label = object.labels().get(PART);
        let part = Part::ALL.into_iter().find(|part| label.is_some_and(|label| label == part.word()));
        let owners = Owners::of(&object);
        Child {
            name: object.name_any().into(),
            uid: object.uid().unwrap_or_default().into(),
            part,
            generation: object.metadata.generation,
            made: object.creation_timestamp().map(|time| time.0),
            going: object.metadata.deletion_timestamp.is_some(),
            late: kind == Kind::Deployment && is_late(&object),
            recorded: object.annotations().contains_key(SPEC),
            applied: object
                .annotations()
                .get(APPLIED)
                .filter(|hash| hash.len() <= HASH)
                .map(|hash| hash.as_str().into()),
            entry: entry_of_making(&object),
            version: version(&object),
            facts: facts(kind, &object),
            whole: Mutex::new(whole(object, !owners.0.is_empty() && part.is_some())),
            owners,
            admitted: None,
            strays: AtomicBool::new(false),
        }
    }

    /// The same, as this cluster admits it.
    pub fn admitted_as(self, admitted: Option<Admitted>) -> Self {
        Child { admitted, ..self }
    }

    /// What admission made of it the last time.
    pub fn admitted(&self) -> Strays {
        self.admitted.as_ref().map(|admitted| admitted.strays.clone()).unwrap_or_default()
    }

    /// Where the cluster keeps it otherwise than declared now.
    pub fn altered(&self) -> Strays {
        if self.strays.load(Ordering::Relaxed) { self.admitted() } else { Strays::default() }
    }

    /// What is known of how the cluster admits `new`, a later version of this object.
    pub fn admits(&self, new: &Child) -> Option<Admitted> {
        let same = (&self.uid, &self.applied) == (&new.uid, &new.applied);
        self.admitted.clone().filter(|_| same)
    }

    /// A field of what passes ask for, by JSON pointer: of its status, and what [`facts`] keeps.
    pub fn field(&self, pointer: &str) -> Option<&Value> {
        self.facts.iter().find_map(|(place, value)| {
            let rest = pointer.strip_prefix(place)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| value.pointer(rest)).flatten()
        })
    }

    /// One of the annotations that plans ask for, of a Job or a Deployment.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.fact(key)?.as_str()
    }

    /// The labels by which a Deployment selects its pods, as autoscalers read them.
    pub fn selector(&self) -> Option<&str> {
        self.fact(SELECTOR)?.as_str()
    }

    fn fact(&self, name: &str) -> Option<&Value> {
        self.facts.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The component of a Job's pods; empty where it has none.
    pub fn component(&self) -> &str {
        self.field(COMPONENT).and_then(Value::as_str).unwrap_or_default()
    }

    /// How a Job ended: its condition `Complete` or `Failed`.
    pub fn end(&self) -> Option<&Value> {
        let conditions = self.field("/status/conditions").and_then(Value::as_array)?;
        conditions.iter().find(|c| c["status"] == "True" && (c["type"] == "Complete" || c["type"] == "Failed"))
    }

    /// Whether a Job ended so: `Complete` or `Failed`.
    pub fn has_ended(&self, how: &str) -> bool {
        self.end().is_some_and(|end| end["type"] == how)
    }

    /// When a Job ended.
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.end()?["lastTransitionTime"].as_str()?.parse().ok()
    }

    /// Whether it goes with the SaasDeployment of this uid.
    pub fn belongs_to(&self, uid: &str) -> bool {
        self.owners.has(uid)
    }

    /// Whether it goes with a SaasDeployment of another uid: one that had the name before, and is not collected yet.
    pub fn is_of_former(&self, uid: &str) -> bool {
        self.owners.is_former(uid)
    }

    /// Whether `new` is an older version of the same object.
    pub fn is_newer_than(&self, new: &DynamicObject) -> bool {
        new.uid().as_deref() == Some(&*self.uid) && version(new) < self.version
    }

    /// Where it is not as it was applied, by this comparison of all of it. What was found equal once stays so until a watch
    /// brings another version; what admission made of it is looked at again after an hour, for policies go.
    pub fn strays(&self, compare: impl FnOnce(&DynamicObject) -> Strays) -> Strays {
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        let strays = match &*whole {
            Whole::Kept(json) => serde_json::from_slice(json).map_or_else(|_| Strays::unknown(), |all| compare(&all)),
            Whole::Unknown => Strays::unknown(),
            Whole::AsApplied => return Strays::default(),
        };
        if strays.is_empty() {
            *whole = Whole::AsApplied;
            return strays;
        }
        let known = self.admitted.as_ref().is_some_and(|admitted| admitted.explains(&strays));
        self.strays.store(known, Ordering::Relaxed);
        if known { Strays::default() } else { strays }
    }
}

/// What the API server's answer to an apply was otherwise than declared, and when.
#[derive(Clone, Debug)]
pub struct Admitted {
    strays: Strays,
    at: Instant,
}

impl Admitted {
    /// So far, so good: nothing where nothing strays.
    pub fn now(strays: Strays) -> Option<Self> {
        (!strays.is_empty()).then(|| Admitted { strays, at: Instant::now() })
    }

    /// Whether an object strays by admission alone, as far as is known.
    fn explains(&self, strays: &Strays) -> bool {
        self.strays == *strays && self.at.elapsed() < TRUSTED
    }
}

/// The SaasDeployments that an object goes with: it is collected once all of them are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owners(Box<str>);

impl Owners {
    /// Those of an object. What others call a SaasDeployment is none.
    pub fn of(object: &impl ResourceExt) -> Self {
        let references = object.owner_references().iter();
        let ours = references.filter(|o| o.kind == "SaasDeployment" && o.api_version.starts_with("golive.dev/"));
        Owners(ours.map(|owner| owner.uid.as_str()).collect::<Vec<_>>().join(" ").into())
    }

    /// Whether the SaasDeployment of this uid is one of them.
    pub fn has(&self, uid: &str) -> bool {
        self.0.split_whitespace().any(|owner| owner == uid)
    }

    /// Whether there are others alone: such as had the name before, and whose objects are not collected yet.
    pub fn is_former(&self, uid: &str) -> bool {
        !self.0.is_empty() && !self.has(uid)
    }
}

/// Whether the roll-out of a Deployment makes no progress any more:
/// <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#failed-deployment>.
fn is_late(object: &DynamicObject) -> bool {
    let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
    let late =
        |c: &Value| c["type"] == "Progressing" && c["reason"] == "ProgressDeadlineExceeded" && c["status"] == "False";
    conditions.is_some_and(|list| list.iter().any(late))
}

/// The place of golive's own entry that is no apply, where it has none that is.
pub fn entry_of_making(object: &DynamicObject) -> Option<usize> {
    let own = |entry: &ManagedFieldsEntry| entry.manager.as_deref() == Some(MANAGER) && entry.subresource.is_none();
    let does = |entry: &ManagedFieldsEntry, operation| own(entry) && entry.operation.as_deref() == Some(operation);
    let entries = object.managed_fields();
    let made = entries.iter().position(|entry| does(entry, "Update"))?;
    (!entries.iter().any(|entry| does(entry, "Apply"))).then_some(made)
}

/// The fields that plans look at, by kind.
fn facts(kind: Kind, object: &DynamicObject) -> Box<[(&'static str, Value)]> {
    let places: &[&'static str] = match kind {
        Kind::Deployment => &[
            "/spec/replicas",
            ENVIRONMENT,
            "/status/observedGeneration",
            "/status/replicas",
            "/status/updatedReplicas",
            "/status/availableReplicas",
        ],
        Kind::Job => &["/status", COMPONENT],
        Kind::PersistentVolumeClaim | Kind::Gateway | Kind::ListenerSet | Kind::HttpRoute | Kind::Ingress => {
            &["/status"]
        }
        Kind::ControllerRevision => &["/revision"],
        _ => &[],
    };
    let found = places.iter().filter_map(|place| Some((*place, object.data.pointer(place)?.clone())));
    let marks = MARKS.iter().filter(|_| matches!(kind, Kind::Deployment | Kind::Job));
    let marks = marks.filter_map(|mark| Some((*mark, Value::from(object.annotations().get(*mark)?.as_str()))));
    let labels = object.data.pointer("/spec/selector/matchLabels").filter(|_| kind == Kind::Deployment);
    found.chain(marks).chain(labels.and_then(selector).map(|selector| (SELECTOR, selector))).collect()
}

fn selector(labels: &Value) -> Option<Value> {
    let pairs = labels.as_object()?.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    Some(pairs.collect::<Vec<_>>().join(",").into())
}

/// What is compared with what is wanted: labels, annotations, and all fields but the status.
fn whole(mut object: DynamicObject, owned: bool) -> Whole {
    let metadata = std::mem::take(&mut object.metadata);
    object.metadata.labels = metadata.labels;
    object.metadata.annotations = metadata.annotations;
    if let Some(fields) = object.data.as_object_mut() {
        fields.remove("status");
    }
    let json: Box<[u8]> = serde_json::to_vec(&object).unwrap_or_default().into();
    if owned || json.len() <= SHORT { Whole::Kept(json) } else { Whole::Unknown }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "web", "namespace": "n", "uid": "u", "resourceVersion": "9", "generation": 2,
                "labels": {PART: "app"}, "annotations": {APPLIED: "hash"},
                "ownerReferences": [{"apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment", "name": "o", "uid": "owner"}],
            },
            "spec": {"replicas": 2, "paused": false}, "status": {"availableReplicas": 1, "conditions": []},
        }))
        .unwrap()
    }

    #[test]
    fn an_object_goes_with_each_of_its_own_kind_of_owners() {
        let owner = |(group, kind, uid): &(&str, &str, &str)| json!({"apiVersion": group, "kind": kind, "name": "o", "uid": uid});
        let (ours, kind) = ("golive.dev/v1alpha1", "SaasDeployment");
        let cases: [(&[_], _); 7] = [
            (&[], [false, false]),
            (&[(ours, kind, "this")], [true, false]),
            (&[(ours, kind, "former")], [false, true]),
            (&[(ours, kind, "former"), (ours, kind, "this")], [true, false]),
            (&[("golive.dev/v1", kind, "former"), (ours, "SaasOperation", "other")], [false, true]),
            (&[("golive.dev/v1", kind, "this")], [true, false]),
            (&[("example.com/v1", kind, "other"), ("v1", "ConfigMap", "config")], [false, false]),
        ];
        for (owners, [goes_along, is_former]) in cases {
            let mut object = deployment();
            let list: Vec<Value> = owners.iter().map(owner).collect();
            object.metadata.owner_references = serde_json::from_value(json!(list)).unwrap();
            let found = Owners::of(&object);
            assert_eq!([found.has("this"), found.is_former("this")], [goes_along, is_former], "{owners:?}");
            assert!(!found.has(""), "what has no uid yet owns nothing");
        }
    }

    #[test]
    fn plans_find_what_they_ask_for() {
        let child = Child::new(Kind::Deployment, deployment());
        assert_eq!(child.field("/status/availableReplicas"), Some(&json!(1)));
        assert_eq!(child.field("/spec/replicas"), Some(&json!(2)));
        assert_eq!((child.part, child.applied.as_deref()), (Some(Part::App), Some("hash")));
        assert!(child.belongs_to("owner") && !child.belongs_to("other") && child.is_of_former("other"));
        assert!(child.is_newer_than(&{
            let mut old = deployment();
            old.metadata.resource_version = Some("8".into());
            old
        }));
    }

    #[test]
    fn the_entry_of_making_counts_until_golive_applies() {
        let entry = |manager: &str, operation: &str, subresource: Value| json!({"manager": manager, "operation": operation, "subresource": subresource});
        let at = |entries: Value| {
            let mut object = deployment();
            object.metadata.managed_fields = serde_json::from_value(entries).unwrap();
            Child::new(Kind::Deployment, object).entry
        };
        let [made, applied] = ["Update", "Apply"].map(|operation| entry(MANAGER, operation, Value::Null));
        let [editor, status] = [entry("argocd", "Apply", Value::Null), entry(MANAGER, "Update", json!("status"))];
        assert_eq!(at(json!([editor, made])), Some(1));
        assert_eq!(at(json!([applied, made])), None);
        assert_eq!((at(json!([status])), at(json!([]))), (None, None));
    }

    /// Where the Deployment is not as wanted.
    fn against(wanted: Value) -> impl Fn(&DynamicObject) -> Strays {
        move |object| Strays::of(object, &wanted)
    }

    #[test]
    fn all_of_it_is_kept_until_it_was_found_as_applied() {
        let child = Child::new(Kind::Deployment, deployment());
        let paused = against(json!({"spec": {"paused": true}}));
        assert_eq!(child.strays(&paused).to_string(), "spec.paused");
        let shown = child.strays(against(json!({"status": {"availableReplicas": 1}})));
        assert!(!shown.is_empty(), "the status is no part of it");
        assert!(child.strays(against(json!({"spec": {"paused": false}}))).is_empty());
        assert!(child.strays(&paused).is_empty(), "it is not compared again");
        assert!(matches!(*child.whole.lock().unwrap(), Whole::AsApplied));
    }

    #[test]
    fn of_a_long_object_that_no_deployment_owns_little_is_kept() {
        let long = |owner: &str, length: usize| {
            let mut object = deployment();
            object.metadata.owner_references.as_mut().unwrap()[0].kind = owner.into();
            object.annotations_mut().insert(APPLIED.into(), "x".repeat(length));
            object.data["spec"]["text"] = json!("x".repeat(length));
            Child::new(Kind::Deployment, object)
        };
        let kept = |child: &Child| match &*child.whole.lock().unwrap() {
            Whole::Kept(json) => json.len(),
            _ => 0,
        };
        let running = against(json!({"spec": {"paused": false}}));
        for (owner, length, is_known) in
            [("K", 1_000_000, false), ("K", 5_000, true), ("SaasDeployment", 1_000_000, true)]
        {
            let child = long(owner, length);
            assert_eq!(kept(&child) > length, is_known, "{owner} {length}");
            assert_eq!(child.applied, None, "no hash is as long");
            assert_eq!(child.strays(&running).is_empty(), is_known, "{owner} {length}");
        }
        let child = long("K", 1_000_000);
        assert!(!child.strays(&running).is_empty() && !child.strays(&running).is_empty(), "it stays unknown");
    }

    #[tokio::test(start_paused = true)]
    async fn what_admission_makes_of_an_object_is_as_applied_until_somebody_changes_it() {
        let paused = against(json!({"spec": {"paused": true, "replicas": 2}}));
        let answer = Child::new(Kind::Deployment, deployment()).admitted_as(Admitted::now(paused(&deployment())));
        let next = |object: DynamicObject| {
            let next = Child::new(Kind::Deployment, object);
            let admitted = answer.admits(&next);
            next.admitted_as(admitted).strays(&paused).to_string()
        };
        assert_eq!(next(deployment()), "");
        let mut scaled = deployment();
        scaled.data["spec"]["replicas"] = json!(3);
        assert_eq!(next(scaled), "spec.paused, spec.replicas");
        let mut other = deployment();
        other.annotations_mut().insert(APPLIED.into(), "of another declaration".into());
        assert_eq!(next(other), "spec.paused");
        tokio::time::advance(TRUSTED).await;
        assert_eq!(next(deployment()), "spec.paused", "the policy may be gone");
    }

    #[test]
    fn what_is_as_declared_again_is_not_said_to_be_admitted_otherwise() {
        let [paused, running] = [true, false].map(|paused| against(json!({"spec": {"paused": paused}})));
        let admitted = Admitted::now(paused(&deployment()));
        let altered = Child::new(Kind::Deployment, deployment()).admitted_as(admitted.clone());
        assert!(altered.strays(&paused).is_empty() && !altered.altered().is_empty());
        let mended = Child::new(Kind::Deployment, deployment()).admitted_as(admitted);
        assert!(mended.strays(&running).is_empty() && mended.altered().is_empty());
    }

    #[test]
    fn of_an_object_what_plans_ask_for_is_kept_and_nothing_else() {
        let mut object = deployment();
        object.annotations_mut().extend([(REVISION, "b"), ("other.dev/a", "c")].map(|(k, v)| (k.into(), v.into())));
        let annotations = json!({"golive.dev/environment": "e", "other.dev/a": "c"});
        object.data["spec"]["template"] = json!({"metadata": {"annotations": annotations}});
        object.data["revision"] = json!(7);
        object.data["spec"]["selector"] = json!({"matchLabels": {"a": "b", "c": "d"}});
        let child = |kind| Child::new(kind, object.clone());
        let deployed = child(Kind::Deployment);
        assert_eq!((deployed.annotation(REVISION), deployed.selector()), (Some("b"), Some("a=b,c=d")));
        assert_eq!([deployed.annotation("other.dev/a"), deployed.annotation(APPLIED)], [None, None]);
        assert_eq!(deployed.field(ENVIRONMENT), Some(&json!("e")));
        for unknown in
            ["/spec/template/metadata/annotations", "/spec/paused", "/spec/replicasOfOld", "/status/conditions"]
        {
            assert_eq!(deployed.field(unknown), None, "{unknown}");
        }
        for kind in [Kind::Job, Kind::PersistentVolumeClaim, Kind::Gateway, Kind::ListenerSet, Kind::HttpRoute] {
            assert_eq!(child(kind).field("/status/availableReplicas"), Some(&json!(1)), "{kind:?}");
            assert_eq!(child(kind).annotation(REVISION).is_some(), kind == Kind::Job, "{kind:?}");
        }
        assert_eq!(child(Kind::ControllerRevision).field("/revision"), Some(&json!(7)));
        assert_eq!([child(Kind::Service).field("/status"), child(Kind::Service).field("/revision")], [None, None]);
    }

    #[test]
    fn a_deployment_is_late_once_its_deadline_has_passed() {
        let is_late = |kind, condition: [&str; 3]| {
            let mut object = deployment();
            let [name, status, reason] = condition;
            object.data["status"]["conditions"] = json!([{"type": name, "status": status, "reason": reason}]);
            Child::new(kind, object).late
        };
        let late = ["Progressing", "False", "ProgressDeadlineExceeded"];
        assert!(is_late(Kind::Deployment, late) && !is_late(Kind::Job, late));
        for (at, other) in ["Available", "True", "NewReplicaSetCreated"].into_iter().enumerate() {
            let mut condition = late;
            condition[at] = other;
            assert!(!is_late(Kind::Deployment, condition), "{condition:?}");
        }
        assert!(!Child::new(Kind::Deployment, deployment()).late);
    }

    #[test]
    fn an_equal_version_is_no_older_and_without_labels_there_is_no_part() {
        let child = Child::new(Kind::Deployment, deployment());
        let seen = |uid: &str, version: &str| {
            let mut object = deployment();
            (object.metadata.uid, object.metadata.resource_version) = (Some(uid.into()), Some(version.into()));
            child.is_newer_than(&object)
        };
        assert!(seen("u", "8") && !seen("u", "9") && !seen("u", "10") && !seen("other", "8"));
        let mut moved = deployment();
        moved.metadata.labels = None;
        assert!(Child::new(Kind::Deployment, moved).part.is_none() && !child.going && !child.recorded);
    }
}
