//! An object as it is to stand. Most stand already: that is seen by a hash, without building the object.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Drift, owner_reference};
use crate::child::Child;
use crate::compare::Strays;
use crate::kinds::Kind;
use crate::objects::APPLIED;
use crate::plan::names::hash_of;
use crate::plan::pod::fields;
use crate::plan::{Ask, Manifest, Part};

/// A manifest with what every object of golive's carries: its owner, labels, and the hash of it all.
pub struct Wanted<'a> {
    manifest: &'a Manifest,
    /// All of it but the hash.
    metadata: Value,
    applied: String,
}

/// Why an object is to be applied.
pub struct Change {
    /// Whether somebody else's doing is undone.
    pub drift: Drift,
    /// Where it is not as it was applied.
    pub strays: Strays,
}

impl<'a> Wanted<'a> {
    /// What a part declares.
    pub fn new(ask: Ask<'_>, part: Part, manifest: &'a Manifest) -> Self {
        let metadata = metadata(ask, part, manifest);
        let applied = applied(manifest, &metadata);
        Wanted { manifest, metadata, applied }
    }

    /// The object as it is sent.
    pub fn object(&self) -> Value {
        let (kind, mut metadata) = (self.manifest.kind, self.metadata.clone());
        metadata["annotations"][APPLIED] = json!(self.applied);
        let mut object = self.manifest.body.clone();
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.name());
        object["metadata"] = metadata;
        object
    }

    /// Whether an object is as it was last declared, and nobody has changed a field of it since.
    pub fn agrees(&self, found: Option<&Child>) -> bool {
        self.change((found, false)).is_none()
    }

    /// What is to be done about an object, which somebody else may have deleted: nothing where it is as it was last declared,
    /// and nobody has changed it since.
    pub fn change(&self, (found, lost): (Option<&Child>, bool)) -> Option<Change> {
        let anew = |drift| Some(Change { drift, strays: Strays::default() });
        let Some(found) = found else {
            // A Job that is wanted is work to be done.
            return anew(match (self.manifest.kind == Kind::Job, lost) {
                (true, _) => Drift::No,
                (false, true) => Drift::Yes,
                (false, false) => Drift::IfWell,
            });
        };
        if found.applied.as_deref() != Some(&self.applied) {
            return anew(Drift::No);
        }
        let strays = found.strays(|object| Strays::of(object, &self.object()));
        (!strays.is_empty()).then_some(Change { drift: Drift::Yes, strays })
    }
}

fn metadata(ask: Ask<'_>, part: Part, manifest: &Manifest) -> Value {
    let text = |(key, value): (&String, &String)| (key.clone(), Value::from(value.as_str()));
    let own = ask.labels(part);
    let labels: Map<String, Value> = own.iter().chain(&manifest.labels).map(text).collect();
    let annotations: Map<String, Value> = manifest.annotations.iter().map(text).collect();
    let mut metadata = fields([
        ("name", manifest.name.as_str().into()),
        ("labels", labels.into()),
        ("annotations", annotations.into()),
    ]);
    if !manifest.retained {
        metadata["ownerReferences"] = Value::Array(vec![owner_reference(ask.saas)]);
    }
    metadata
}

/// The hash of the object without it.
fn applied(manifest: &Manifest, metadata: &Value) -> String {
    let (version, kind) = (json!(manifest.kind.api_version()), json!(manifest.kind.name()));
    let body = manifest.body.as_object().into_iter().flatten().map(|(field, value)| (field.as_str(), value));
    let own = [("apiVersion", &version), ("kind", &kind), ("metadata", metadata)];
    hash_of(&body.chain(own).collect::<BTreeMap<_, _>>(), 16)
}
