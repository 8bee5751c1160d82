//! A model of the API server: resource versions, field managers, finalizers, watches and garbage collection.
//!
//! It is a value: a state can be copied, and the copies go different ways. `tests/laws` holds it against a real server.

pub mod answer;
pub mod fields;
pub mod resource;
pub mod schema;
pub mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::secrets;
use answer::Selector;
use resource::{Resource, Target};

/// An object as it is stored, with its text.
#[derive(Debug)]
pub struct Object {
    pub value: Value,
    text: OnceLock<Bytes>,
    secrets: OnceLock<Vec<String>>,
    /// Whether it shows defaults that are not stored yet.
    fresh: bool,
    /// Set once nothing but a write changes it any more.
    rests: AtomicBool,
}

impl Object {
    fn new(value: Value, fresh: bool) -> Arc<Object> {
        let rests = AtomicBool::new(false);
        Arc::new(Object { value, text: OnceLock::new(), secrets: OnceLock::new(), fresh, rests })
    }

    /// Whether it was seen that nothing but a write changes it any more.
    pub fn rests(&self) -> bool {
        self.rests.load(Ordering::Relaxed)
    }

    /// Nothing but a write changes it any more.
    pub fn rest(&self) {
        self.rests.store(true, Ordering::Relaxed);
    }

    /// The object as JSON text.
    pub fn text(&self) -> Bytes {
        self.text.get_or_init(|| self.value.to_string().into()).clone()
    }

    /// The values that may stand nowhere else, where it is a Secret.
    pub fn secrets(&self) -> &[String] {
        self.secrets.get_or_init(|| secrets::of_secret(&self.value))
    }

    /// A text field of its metadata; empty where it has none.
    pub fn meta(&self, field: &str) -> &str {
        self.value["metadata"][field].as_str().unwrap_or_default()
    }
}

/// The finalizer of what is to go once what belongs to it is gone:
/// <https://kubernetes.io/docs/concepts/architecture/garbage-collection/#foreground-deletion>.
const FOREGROUND: &str = "foregroundDeletion";
/// What holds a namespace until it is empty; the real one has it in its spec.
pub const CONTENT: &str = "kubernetes";

/// Where an object is: its resource, namespace and name.
pub type Key = (&'static Resource, String, String);

fn key_of(resource: &'static Resource, object: &Value) -> Key {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (resource, text("namespace"), text("name"))
}

/// A change of an object: what was, and what is.
#[derive(Clone, Debug)]
pub struct Change {
    pub version: u64,
    pub resource: &'static Resource,
    pub old: Option<Arc<Object>>,
    pub new: Option<Arc<Object>>,
}

impl Change {
    /// The event that a watch of these objects gets of it.
    pub fn event(&self, namespace: &str, selector: &Selector) -> Option<Bytes> {
        let within = |object: &Object| namespace.is_empty() || object.meta("namespace") == namespace;
        let seen = |object: &Option<Arc<Object>>| object.clone().filter(|o| within(o) && selector.takes(o));
        let (kind, object) = match (seen(&self.old), seen(&self.new)) {
            (None, None) => return None,
            (None, Some(new)) => ("ADDED", new.text()),
            (Some(_), Some(new)) => ("MODIFIED", new.text()),
            (Some(old), None) => ("DELETED", self.last(&old)),
        };
        let mut line = format!("{{\"type\":\"{kind}\",\"object\":").into_bytes();
        line.extend_from_slice(&object);
        line.extend_from_slice(b"}\n");
        Some(line.into())
    }

    /// A deleted object is shown with the version of its end.
    fn last(&self, old: &Object) -> Bytes {
        let mut value = old.value.clone();
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        value.to_string().into()
    }
}

/// The state of a cluster.
#[derive(Clone)]
pub struct Cluster {
    version: u64,
    uids: u64,
    objects: BTreeMap<Key, Arc<Object>>,
    changes: Vec<Change>,
    /// Kinds that are not installed.
    pub absent: BTreeSet<&'static str>,
    /// What admission makes of every object of a kind, as merge patches.
    pub rules: BTreeMap<&'static str, Value>,
    /// Changes before this version are forgotten: watches from there are answered 410.
    pub compacted: u64,
}

impl Default for Cluster {
    fn default() -> Self {
        let (objects, changes, absent) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        Cluster { version: 1, uids: 0, objects, changes, absent, rules: BTreeMap::new(), compacted: 0 }
    }
}

impl Cluster {
    /// A cluster of objects as they were stored; what led to them is forgotten.
    pub fn of(objects: Vec<Value>) -> Cluster {
        let mut cluster = Cluster::default();
        for value in objects {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let Some(resource) = Resource::of_kind(&text(&value["kind"])) else { continue };
            let key = key_of(resource, &value);
            cluster.version = cluster.version.max(text(&value["metadata"]["resourceVersion"]).parse().unwrap_or(0));
            let uid = text(&value["metadata"]["uid"]);
            let number = uid.rsplit('-').next().and_then(|digits| u64::from_str_radix(digits, 16).ok());
            cluster.uids = cluster.uids.max(number.unwrap_or(0));
            cluster.objects.insert(key, Object::new(value, false));
        }
        cluster.compacted = cluster.version;
        cluster
    }

    /// The version of the newest change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The changes after a version; `None` where they are forgotten.
    pub fn since(&self, version: u64) -> Option<&[Change]> {
        let from = self.changes.partition_point(|change| change.version <= version);
        (version >= self.compacted).then(|| &self.changes[from..])
    }

    /// All changes that are known.
    pub fn history(&self) -> &[Change] {
        &self.changes
    }

    /// Whether a resource is served.
    pub fn serves(&self, resource: &Resource) -> bool {
        !self.absent.contains(resource.kind)
    }

    /// An object.
    pub fn find(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.objects.get(&(resource, namespace.to_owned(), name.to_owned()))
    }

    /// An object as it was stored first.
    pub fn first(&self, resource: &'static Resource, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        let is = |o: &&Arc<Object>| o.meta("namespace") == namespace && o.meta("name") == name;
        self.changes.iter().filter(|c| c.resource == resource).filter_map(|c| c.new.as_ref()).find(is)
    }

    /// All objects of a resource, of one namespace or (empty) of all.
    pub fn all<'a>(&'a self, resource: &'static Resource, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
        let from = (resource, namespace.to_owned(), String::new());
        let within = move |key: &Key| key.0 == resource && (namespace.is_empty() || key.1 == namespace);
        self.objects.range(from..).take_while(move |(key, _)| within(key)).map(|(_, object)| object)
    }

    /// All objects of a kind.
    pub fn of_kind<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        Resource::of_kind(kind).into_iter().flat_map(|resource| self.all(resource, ""))
    }

    /// Every object.
    pub fn every(&self) -> impl Iterator<Item = (&Key, &Arc<Object>)> {
        self.objects.iter()
    }

    /// Stores an object as the next version; one without finalizers that is to be deleted goes.
    pub fn store(&mut self, resource: &'static Resource, mut value: Value, now: Timestamp) -> Arc<Object> {
        let key = key_of(resource, &value);
        let old = self.objects.get(&key).cloned();
        // The one default of a built-in kind that golive looks at.
        if resource.kind == "Deployment" && value["spec"]["replicas"].is_null() {
            value["spec"]["replicas"] = json!(1);
        }
        self.age(resource, old.as_deref(), &mut value, now);
        if let Some(old) = old.as_ref().filter(|old| old.value == value && !old.fresh) {
            return old.clone();
        }
        self.version += 1;
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Object::new(value, old.is_none() && schema::shows_status(resource));
        let going = !object.value["metadata"]["deletionTimestamp"].is_null();
        let held = object.value["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        if going && !held {
            self.objects.remove(&key);
            self.changes.push(Change { version: self.version, resource, old, new: None });
        } else {
            self.objects.insert(key, object.clone());
            self.changes.push(Change { version: self.version, resource, old, new: Some(object.clone()) });
        }
        object
    }

    /// What only the server writes into an object.
    fn age(&mut self, resource: &Resource, old: Option<&Object>, value: &mut Value, now: Timestamp) {
        let Some(old) = old else {
            self.uids += 1;
            let uid = format!("{:08x}-0000-4000-8000-{:012x}", 0x9000_0000_u64 + self.uids, self.uids);
            value["metadata"]["uid"] = json!(uid);
            value["metadata"]["creationTimestamp"] = json!(second(now));
            if resource.counts() {
                value["metadata"]["generation"] = json!(1);
            }
            return;
        };
        if !resource.counts() {
            return;
        }
        let before = old.value["metadata"]["generation"].as_i64().unwrap_or(1);
        let deleted = old.value["metadata"]["deletionTimestamp"] != value["metadata"]["deletionTimestamp"];
        let next = before + i64::from(deleted || !counted(&old.value).eq(counted(value)));
        value["metadata"]["generation"] = json!(next);
    }

    /// Deletes an object: at once, or once its finalizers are gone. A namespace goes once it is empty.
    pub fn delete(&mut self, key: &Key, now: Timestamp) -> Option<Arc<Object>> {
        let holds = (key.0.kind == "Namespace").then_some(CONTENT);
        self.delete_held(key, holds, now)
    }

    /// Deletes an object once what belongs to it is gone.
    pub fn delete_last(&mut self, key: &Key, now: Timestamp) -> Option<Arc<Object>> {
        self.delete_held(key, Some(FOREGROUND), now)
    }

    fn delete_held(&mut self, key: &Key, holds: Option<&str>, now: Timestamp) -> Option<Arc<Object>> {
        let mut value = self.objects.get(key)?.value.clone();
        let mut held = finalizers(&value);
        if let Some(name) = holds.filter(|name| !held.iter().any(|held| held == name)) {
            held.push(json!(name));
            value["metadata"]["finalizers"] = json!(held);
        }
        if value["metadata"]["deletionTimestamp"].is_null() {
            value["metadata"]["deletionTimestamp"] = json!(second(now));
        }
        Some(self.store(key.0, value, now))
    }

    /// Takes a finalizer off, as a controller does.
    pub fn relieve_of(&mut self, key: &Key, finalizer: &str, now: Timestamp) {
        let Some(mut value) = self.objects.get(key).map(|object| object.value.clone()) else { return };
        let held: Vec<Value> = finalizers(&value).into_iter().filter(|name| name != finalizer).collect();
        value["metadata"]["finalizers"] = json!(held);
        self.store(key.0, value, now);
    }

    /// Removes what belongs to those that go last, and then them: they wait only for what says that it blocks them. What
    /// does not say so may be removed before or after, by chance; here before, for that is worse.
    pub fn relieve(&mut self, now: Timestamp) {
        let going: Vec<_> =
            self.objects.iter().filter(|(_, o)| goes_last(o)).map(|(k, o)| (k.clone(), o.clone())).collect();
        for (key, object) in going {
            let inside = self.dependents(object.meta("uid"));
            inside.iter().for_each(|(inner, _)| self.give_up(inner, object.meta("uid"), now));
            if !inside.iter().any(|(_, reference)| reference["blockOwnerDeletion"] == true) {
                self.relieve_of(&key, FOREGROUND, now);
            }
        }
    }

    /// What belongs to an object, with the reference that says so.
    fn dependents(&self, uid: &str) -> Vec<(Key, Value)> {
        let reference = |object: &Object| owners(object).find(|owner| owner["uid"] == uid).cloned();
        self.objects.iter().filter_map(|(key, object)| Some((key.clone(), reference(object)?))).collect()
    }

    /// Removes what belongs to an owner that goes last; what has another owner, which stays, stays with that.
    fn give_up(&mut self, key: &Key, uid: &str, now: Timestamp) {
        let Some(object) = self.objects.get(key).filter(|object| !is_going(object)).cloned() else { return };
        let (theirs, others): (Vec<Value>, _) = owners(&object).cloned().partition(|owner| owner["uid"] == uid);
        let stays = |owner: &Value| self.objects.values().any(|o| owner["uid"] == o.meta("uid") && !goes_last(o));
        if !theirs.is_empty() && others.iter().any(stays) {
            let mut value = object.value.clone();
            value["metadata"]["ownerReferences"] = json!(others);
            self.store(key.0, value, now);
        } else if self.dependents(object.meta("uid")).is_empty() {
            self.delete(key, now);
        } else {
            self.delete_last(key, now);
        }
    }

    /// Removes what is owned by objects that are gone; returns whether anything was.
    pub fn collect(&mut self, now: Timestamp) -> bool {
        let owned: BTreeSet<&str> = self.objects.values().flat_map(|object| owner_uids(object)).collect();
        let uids = self.objects.values().map(|object| object.meta("uid"));
        let alive: BTreeSet<&str> = uids.filter(|uid| owned.contains(uid)).collect();
        if alive.len() == owned.len() {
            return false;
        }
        let orphan = |object: &Object| {
            owner_uids(object).next().is_some() && !owner_uids(object).any(|owner| alive.contains(owner))
        };
        let orphans: Vec<Key> =
            self.objects.iter().filter(|(_, o)| orphan(o) && !is_going(o)).map(|(key, _)| key.clone()).collect();
        orphans.iter().filter(|key| self.delete(key, now).is_some()).count() > 0
    }

    /// Whether objects may be made in a namespace: the status of the refusal, and why.
    fn admits(&self, target: &Target) -> Result<(), (u16, String)> {
        if !target.resource.namespaced {
            return Ok(());
        }
        let namespaces = Resource::of_kind("Namespace");
        match namespaces.and_then(|resource| self.find(resource, "", &target.namespace)) {
            None => Err((404, format!("namespaces \"{}\" not found", target.namespace))),
            Some(found) if !found.value["metadata"]["deletionTimestamp"].is_null() => Err((
                403,
                format!("unable to create new content in namespace {}: it is being terminated", target.namespace),
            )),
            Some(_) => Ok(()),
        }
    }
}

fn is_going(object: &Object) -> bool {
    !object.value["metadata"]["deletionTimestamp"].is_null()
}

/// Whether an object is deleted, and waits for what belongs to it.
fn goes_last(object: &Object) -> bool {
    finalizers(&object.value).iter().any(|name| name == FOREGROUND)
}

/// The references to what an object goes with.
fn owners(object: &Object) -> impl Iterator<Item = &Value> {
    object.value["metadata"]["ownerReferences"].as_array().into_iter().flatten()
}

fn owner_uids(object: &Object) -> impl Iterator<Item = &str> {
    owners(object).map(|owner| owner["uid"].as_str().unwrap_or_default())
}

/// The fields of an object whose changes count as a new generation.
fn counted(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(name, _)| *name != "metadata" && *name != "status")
}

fn finalizers(object: &Value) -> Vec<Value> {
    object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default()
}

/// Times of objects are whole seconds.
pub fn second(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
