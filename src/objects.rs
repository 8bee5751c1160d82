//! What golive wrote into the cluster, as the watches last saw it: read by passes without asking the API server.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;

use crate::kinds::Kind;

/// The label that every object of golive's carries; all watches select by it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label that names the SaasDeployment which an object belongs to.
pub const OWNER: &str = "golive.dev/deployment";
/// The label that names the part which declared an object.
pub const PART: &str = "golive.dev/part";
/// The annotation with the hash of what was last applied.
pub const APPLIED: &str = "golive.dev/applied";

/// A SaasDeployment, by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The objects of one SaasDeployment.
#[derive(Clone, Debug, Default)]
pub struct Children(BTreeMap<(Kind, String), Arc<DynamicObject>>);

impl Children {
    /// The object of that kind and name.
    pub fn find(&self, kind: Kind, name: &str) -> Option<&DynamicObject> {
        self.0.get(&(kind, name.to_owned())).map(AsRef::as_ref)
    }

    /// All objects with their kinds.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &DynamicObject)> {
        self.0.iter().map(|((kind, _), object)| (*kind, object.as_ref()))
    }

    /// All objects of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &DynamicObject> {
        self.iter().filter(move |(k, _)| *k == kind).map(|(_, object)| object)
    }

    /// The same with one more object: for tests and for plans made offline.
    pub fn with(mut self, kind: Kind, object: DynamicObject) -> Self {
        self.0.insert((kind, object.name_any()), Arc::new(object));
        self
    }

    /// The same without an object.
    pub fn without(mut self, kind: Kind, name: &str) -> Self {
        self.0.remove(&(kind, name.to_owned()));
        self
    }
}

/// Whether a kind's watch has brought its first full list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The first list is not there yet.
    Unknown,
    /// The cluster does not serve this kind.
    Absent,
    /// Listed, and followed.
    Served,
}

#[derive(Default)]
struct Inner {
    owners: HashMap<Owner, Children>,
    presence: BTreeMap<Kind, Presence>,
    listing: BTreeMap<Kind, Vec<(Owner, String)>>,
}

/// The cache of all watches.
#[derive(Default)]
pub struct Cache(RwLock<Inner>);

impl Cache {
    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects of one SaasDeployment.
    pub fn of(&self, owner: &Owner) -> Children {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.owners.get(owner).cloned().unwrap_or_default()
    }

    /// Whether a kind is served here.
    pub fn presence(&self, kind: Kind) -> Presence {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        inner.presence.get(&kind).copied().unwrap_or(Presence::Unknown)
    }

    /// Whether each kind has been listed or is known to be absent.
    pub fn is_ready(&self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.presence(kind) != Presence::Unknown)
    }

    /// Notes that the cluster does not serve a kind (any more). Returns whom that concerns: everybody, where it is news.
    pub fn absent(&self, kind: Kind) -> Vec<Owner> {
        let mut inner = self.write();
        inner.owners.values_mut().for_each(|children| children.0.retain(|(k, _), _| *k != kind));
        match inner.presence.insert(kind, Presence::Absent) {
            Some(Presence::Served) => inner.owners.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Takes an event of a watch and returns whom it concerns.
    pub fn take(&self, kind: Kind, event: Event<DynamicObject>) -> Vec<Owner> {
        let mut inner = self.write();
        match event {
            Event::Apply(object) => inner.put(kind, object).into_iter().collect(),
            Event::Delete(object) => inner.remove(kind, &object).into_iter().collect(),
            Event::Init => {
                inner.listing.insert(kind, Vec::new());
                Vec::new()
            }
            Event::InitApply(object) => inner.list(kind, object).into_iter().collect(),
            Event::InitDone => inner.listed(kind),
        }
    }

    /// Takes what the API server answered to our own write, so that the next pass sees at least that.
    pub fn written(&self, kind: Kind, object: DynamicObject) {
        self.write().put(kind, object);
    }

    /// Forgets an object that we deleted.
    pub fn deleted(&self, kind: Kind, object: &DynamicObject) {
        self.write().remove(kind, object);
    }
}

impl Inner {
    fn put(&mut self, kind: Kind, mut object: DynamicObject) -> Option<Owner> {
        let owner = owner_of(&object)?;
        object.managed_fields_mut().clear();
        let children = &mut self.owners.entry(owner.clone()).or_default().0;
        let key = (kind, object.name_any());
        if children.get(&key).is_some_and(|have| is_older(&object, have)) {
            return None;
        }
        children.insert(key, Arc::new(object));
        Some(owner)
    }

    fn remove(&mut self, kind: Kind, object: &DynamicObject) -> Option<Owner> {
        let owner = owner_of(object)?;
        let children = self.owners.get_mut(&owner)?;
        children.0.remove(&(kind, object.name_any()));
        if children.0.is_empty() {
            self.owners.remove(&owner);
        }
        Some(owner)
    }

    fn list(&mut self, kind: Kind, object: DynamicObject) -> Option<Owner> {
        let owner = owner_of(&object)?;
        self.listing.entry(kind).or_default().push((owner, object.name_any()));
        self.put(kind, object)
    }

    /// Ends a list: what was known and is not in it is gone. A kind that was absent until now concerns everybody.
    fn listed(&mut self, kind: Kind) -> Vec<Owner> {
        let seen: std::collections::BTreeSet<_> = self.listing.remove(&kind).unwrap_or_default().into_iter().collect();
        if self.presence.insert(kind, Presence::Served) == Some(Presence::Absent) {
            return self.owners.keys().cloned().collect();
        }
        let mut concerned = Vec::new();
        for (owner, children) in &mut self.owners {
            let before = children.0.len();
            children.0.retain(|(k, name), _| *k != kind || seen.contains(&(owner.clone(), name.clone())));
            if children.0.len() != before {
                concerned.push(owner.clone());
            }
        }
        concerned
    }
}

/// The SaasDeployment that an object's labels name.
pub fn owner_of(object: &DynamicObject) -> Option<Owner> {
    Some(Owner { namespace: object.namespace()?, name: object.labels().get(OWNER)?.clone() })
}

/// Whether `new` is an older version of the same object than `have`. Resource versions of one object are comparable
/// as numbers: <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>.
fn is_older(new: &DynamicObject, have: &DynamicObject) -> bool {
    let version = |o: &DynamicObject| o.resource_version().and_then(|v| v.parse::<u64>().ok());
    new.uid() == have.uid() && version(new) < version(have)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, uid: &str, version: u64) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "n", "uid": uid, "resourceVersion": version.to_string(), "labels": {OWNER: "a"}},
        }))
        .unwrap()
    }

    fn owner() -> Owner {
        Owner { namespace: "n".into(), name: "a".into() }
    }

    #[test]
    fn an_older_event_does_not_undo_our_own_write() {
        let cache = Cache::default();
        cache.written(Kind::Service, object("s", "u", 7));
        assert!(cache.take(Kind::Service, Event::Apply(object("s", "u", 6))).is_empty());
        let seen = cache.of(&owner()).find(Kind::Service, "s").unwrap().resource_version();
        assert_eq!(seen.as_deref(), Some("7"));
    }

    #[test]
    fn a_recreated_object_replaces_the_old_one_whatever_its_version() {
        let cache = Cache::default();
        cache.written(Kind::Service, object("s", "u1", 7));
        assert_eq!(cache.take(Kind::Service, Event::Apply(object("s", "u2", 3))), vec![owner()]);
    }

    #[test]
    fn a_relist_forgets_what_it_does_not_contain() {
        let cache = Cache::default();
        cache.written(Kind::Service, object("old", "u1", 1));
        cache.take(Kind::Service, Event::Init);
        cache.take(Kind::Service, Event::InitApply(object("new", "u2", 2)));
        assert_eq!(cache.take(Kind::Service, Event::InitDone), vec![owner()]);
        assert!(cache.of(&owner()).find(Kind::Service, "old").is_none());
        assert!(cache.of(&owner()).find(Kind::Service, "new").is_some());
        assert_eq!(cache.presence(Kind::Service), Presence::Served);
    }

    #[test]
    fn an_absent_kind_counts_as_known() {
        let cache = Cache::default();
        assert!(cache.absent(Kind::Gateway).is_empty());
        assert_eq!(cache.presence(Kind::Gateway), Presence::Absent);
        assert!(!cache.is_ready());
    }

    #[test]
    fn a_kind_that_comes_or_goes_concerns_everybody_once() {
        let cache = Cache::default();
        cache.written(Kind::Service, object("s", "u", 1));
        let listed = || {
            cache.take(Kind::Gateway, Event::Init);
            cache.take(Kind::Gateway, Event::InitDone)
        };
        assert!(cache.absent(Kind::Gateway).is_empty(), "nobody had it");
        assert_eq!(listed(), vec![owner()]);
        assert!(listed().is_empty());
        assert_eq!(cache.absent(Kind::Gateway), vec![owner()]);
        assert!(cache.absent(Kind::Gateway).is_empty());
    }
}
