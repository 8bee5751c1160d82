//! What golive wrote into the cluster, as the watches last saw it: read by passes without asking the API server.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;

use crate::child::{Admitted, Child, Owners};
use crate::compare::Strays;
use crate::fault::Fault;
use crate::kinds::Kind;

/// The label that every object of golive's carries; all watches select by it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The label that names the SaasDeployment which an object belongs to.
pub const OWNER: &str = "golive.dev/deployment";
/// The label that names the part which declared an object.
pub const PART: &str = "golive.dev/part";
/// The annotation with the hash of what was last applied.
pub const APPLIED: &str = "golive.dev/applied";

/// The finalizer of SaasDeployments, and of their vaults: held while anything of ours may stand outside the cluster.
pub const FINALIZER: &str = "golive.dev/cleanup";

/// A SaasDeployment, by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The objects of one SaasDeployment, by kind and name; and those that somebody else deleted.
#[derive(Clone, Debug, Default)]
pub struct Children(Vec<(Kind, Arc<Child>)>, Vec<Lost>);

/// An object that somebody else deleted, or took golive's labels off.
#[derive(Clone, Debug)]
struct Lost {
    kind: Kind,
    name: Box<str>,
    uid: Box<str>,
    owners: Owners,
}

impl Children {
    fn place(&self, kind: Kind, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(k, child)| (*k, &*child.name).cmp(&(kind, name)))
    }

    /// The object of that kind and name.
    pub fn find(&self, kind: Kind, name: &str) -> Option<&Child> {
        let at = self.place(kind, name).ok()?;
        self.0.get(at).map(|(_, child)| child.as_ref())
    }

    /// All objects with their kinds.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &Child)> {
        self.0.iter().map(|(kind, child)| (*kind, child.as_ref()))
    }

    /// All objects of a kind.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Child> {
        self.iter().filter(move |(k, _)| *k == kind).map(|(_, child)| child)
    }

    /// The same with one more object: for tests and for plans made offline.
    pub fn with(mut self, kind: Kind, object: DynamicObject) -> Self {
        self.put(kind, Child::new(kind, object));
        self
    }

    /// The same without an object.
    pub fn without(mut self, kind: Kind, name: &str) -> Self {
        self.remove(kind, name);
        self
    }

    /// The same without what goes with another SaasDeployment than that of this uid.
    pub fn of_uid(mut self, uid: &str) -> Self {
        self.0.retain(|(_, child)| !child.is_of_former(uid));
        self.1.retain(|lost| !lost.owners.is_former(uid));
        self
    }

    /// The uid of the object of that kind and name which somebody else deleted, where it was not made again.
    pub fn lost(&self, kind: Kind, name: &str) -> Option<&str> {
        self.1.iter().find(|lost| lost.kind == kind && *lost.name == *name).map(|lost| &*lost.uid)
    }

    /// Notes an object that somebody else deleted. Where golive did, it is not there any more; Jobs go when their time is
    /// over.
    fn lose(&mut self, kind: Kind, name: &str) {
        let theirs = self.find(kind, name).filter(|child| !child.going && kind != Kind::Job);
        if let Some((uid, owners)) = theirs.map(|child| (child.uid.clone(), child.owners.clone())) {
            self.1.retain(|lost| lost.kind != kind || *lost.name != *name);
            self.1.push(Lost { kind, name: name.into(), uid, owners });
        }
    }

    fn put(&mut self, kind: Kind, child: Child) {
        self.1.retain(|lost| lost.kind != kind || lost.name != child.name);
        match self.place(kind, &child.name) {
            Ok(at) => {
                if let Some(held) = self.0.get_mut(at) {
                    held.1 = Arc::new(child);
                }
            }
            Err(at) => self.0.insert(at, (kind, Arc::new(child))),
        }
    }

    fn remove(&mut self, kind: Kind, name: &str) {
        if let Ok(at) = self.place(kind, name) {
            self.0.remove(at);
        }
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

    /// The other SaasDeployment whose object of that kind and name stands already. Names of objects begin with those of
    /// their owners.
    pub fn holder(&self, kind: Kind, owner: &Owner, name: &str) -> Option<Owner> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let ends = name.match_indices('-').map(|(at, _)| at).chain([name.len()]);
        let others = ends.map(|end| Owner { name: name[..end].to_owned(), ..owner.clone() }).filter(|o| o != owner);
        others.into_iter().find(|other| inner.owners.get(other).is_some_and(|kids| kids.find(kind, name).is_some()))
    }

    /// Whether an object of that kind and name goes with a SaasDeployment that had this one's name before.
    pub fn is_of_former(&self, kind: Kind, owner: &Owner, (name, uid): (&str, &str)) -> bool {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let child = inner.owners.get(owner).and_then(|kids| kids.find(kind, name));
        child.is_some_and(|child| child.is_of_former(uid))
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
        inner.owners.values_mut().for_each(|children| children.0.retain(|(k, _)| *k != kind));
        match inner.presence.insert(kind, Presence::Absent) {
            Some(Presence::Served) => inner.owners.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Takes an event of a watch and returns whom it concerns.
    pub fn take(&self, kind: Kind, event: Event<DynamicObject>) -> Vec<Owner> {
        let mut inner = self.write();
        match event {
            Event::Apply(object) => inner.put(kind, object, None).into_iter().collect(),
            Event::Delete(object) => {
                let owner = owner_of(&object);
                owner.inspect(|owner| inner.lose(kind, owner, &object.name_any())).into_iter().collect()
            }
            Event::Init => {
                inner.listing.insert(kind, Vec::new());
                Vec::new()
            }
            Event::InitApply(object) => inner.list(kind, object).into_iter().collect(),
            Event::InitDone => inner.listed(kind),
        }
    }

    /// Takes what the API server answered to our own write, and where that is not as declared, so that the next pass sees at
    /// least that.
    pub fn written(&self, kind: Kind, object: DynamicObject, strays: Strays) {
        self.write().put(kind, object, Some(strays));
    }

    /// Forgets an object that we deleted.
    pub fn deleted(&self, kind: Kind, owner: &Owner, name: &str) {
        self.write().remove(kind, owner, name);
    }
}

impl Inner {
    fn put(&mut self, kind: Kind, object: DynamicObject, admitted: Option<Strays>) -> Option<Owner> {
        let owner = owner_of(&object)?;
        let children = self.owners.entry(owner.clone()).or_default();
        let have = children.find(kind, &object.name_any());
        if have.is_some_and(|have| have.is_newer_than(&object)) {
            return None;
        }
        let new = Child::new(kind, object);
        let known = || have.and_then(|have| have.admits(&new));
        let admitted = admitted.map_or_else(known, Admitted::now);
        children.put(kind, new.admitted_as(admitted));
        Some(owner)
    }

    fn lose(&mut self, kind: Kind, owner: &Owner, name: &str) {
        self.owners.get_mut(owner).into_iter().for_each(|children| children.lose(kind, name));
        self.remove(kind, owner, name);
    }

    fn remove(&mut self, kind: Kind, owner: &Owner, name: &str) {
        let Some(children) = self.owners.get_mut(owner) else { return };
        children.remove(kind, name);
        if children.0.is_empty() {
            self.owners.remove(owner);
        }
    }

    fn list(&mut self, kind: Kind, object: DynamicObject) -> Option<Owner> {
        let owner = owner_of(&object)?;
        self.listing.entry(kind).or_default().push((owner, object.name_any()));
        self.put(kind, object, None)
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
            children.0.retain(|(k, child)| *k != kind || seen.contains(&(owner.clone(), child.name.to_string())));
            if children.0.len() != before {
                concerned.push(owner.clone());
            }
        }
        concerned
    }
}

/// The refusal of an object that has the name of one of golive's.
pub fn taken(what: &str) -> Fault {
    Fault::Rejected(format!("{what} exists and is not golive's: rename it, or the SaasDeployment"))
}

/// The SaasDeployment that an object's labels name.
pub fn owner_of(object: &DynamicObject) -> Option<Owner> {
    Some(Owner { namespace: object.namespace()?, name: object.labels().get(OWNER)?.clone() })
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
        cache.written(Kind::Service, object("s", "u", 7), Strays::default());
        assert!(cache.take(Kind::Service, Event::Apply(object("s", "u", 6))).is_empty());
        assert!(cache.take(Kind::Service, Event::Apply(object("s", "u", 7))).contains(&owner()));
    }

    #[test]
    fn another_deployments_object_of_the_same_name_is_known() {
        let cache = Cache::default();
        let named = |name: &str| Owner { namespace: "n".into(), name: name.into() };
        let mut theirs = object("shop-api", "u", 1);
        theirs.labels_mut().insert(OWNER.into(), "shop-api".into());
        cache.take(Kind::Service, Event::Apply(theirs));
        let holder = |owner: &str, name: &str| cache.holder(Kind::Service, &named(owner), name);
        assert_eq!(holder("shop", "shop-api"), Some(named("shop-api")));
        assert_eq!(holder("shop-api", "shop-api"), None, "it is its own");
        assert_eq!(holder("shop", "shop-web"), None);
        assert_eq!(cache.holder(Kind::Deployment, &named("shop"), "shop-api"), None);
    }

    #[test]
    fn a_recreated_object_replaces_the_old_one_whatever_its_version() {
        let cache = Cache::default();
        cache.written(Kind::Service, object("s", "u1", 7), Strays::default());
        assert_eq!(cache.take(Kind::Service, Event::Apply(object("s", "u2", 3))), vec![owner()]);
    }

    #[test]
    fn what_a_former_one_of_the_name_had_is_neither_there_nor_lost() {
        let cache = Cache::default();
        let of = |uid: &str, name: &str| {
            let mut object = object(name, name, 1);
            let owner =
                json!([{"apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment", "name": "a", "uid": uid}]);
            object.metadata.owner_references = serde_json::from_value(owner).unwrap();
            object
        };
        ["kept", "gone"]
            .into_iter()
            .for_each(|name| cache.written(Kind::Service, of("former", name), Strays::default()));
        cache.take(Kind::Service, Event::Delete(of("former", "gone")));
        let seen = |uid: &str| {
            let children = cache.of(&owner()).of_uid(uid);
            (children.find(Kind::Service, "kept").is_some(), children.lost(Kind::Service, "gone").is_some())
        };
        assert_eq!((seen("former"), seen("now")), ((true, true), (false, false)));
        let is_of_former = |uid| cache.is_of_former(Kind::Service, &owner(), ("kept", uid));
        assert!(is_of_former("now") && !is_of_former("former"));
    }

    #[test]
    fn what_somebody_else_deleted_is_lost_until_it_is_made_again() {
        let cache = Cache::default();
        let lost = |name| cache.of(&owner()).lost(Kind::Service, name).is_some();
        cache.written(Kind::Service, object("kept", "u0", 1), Strays::default());
        cache.written(Kind::Service, object("theirs", "u1", 1), Strays::default());
        cache.written(Kind::Service, object("ours", "u2", 1), Strays::default());
        cache.deleted(Kind::Service, &owner(), "ours");
        for name in ["theirs", "ours"] {
            cache.take(Kind::Service, Event::Delete(object(name, "u", 2)));
        }
        assert!(lost("theirs") && !lost("ours") && !lost("kept"));
        cache.written(Kind::Service, object("theirs", "u3", 3), Strays::default());
        assert!(!lost("theirs"));
    }

    #[test]
    fn a_relist_forgets_what_it_does_not_contain() {
        let cache = Cache::default();
        cache.written(Kind::Service, object("old", "u1", 1), Strays::default());
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
        cache.written(Kind::Service, object("s", "u", 1), Strays::default());
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
