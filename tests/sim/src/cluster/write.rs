//! The ways in which an object is written, and who owns which of its fields afterwards.

use serde_json::{Value, json};

use super::fields::{self, Fields, Loss};
use super::resource::Resource;
use super::schema::{Schema, default};

/// Who writes, and through which subresource.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    pub manager: &'a str,
    /// `status`, or empty.
    pub subresource: &'a str,
    /// Whether fields of others may be taken over.
    pub force: bool,
}

/// Why a write is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    Conflict(String),
    Invalid(String),
}

/// One entry of `managedFields`.
struct Entry {
    manager: String,
    operation: &'static str,
    subresource: String,
    fields: Fields,
}

impl Entry {
    fn read(value: &Value) -> Option<Entry> {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let operation = if value["operation"] == "Apply" { "Apply" } else { "Update" };
        let fields = value["fieldsV1"].as_object()?.clone();
        Some(Entry { manager: text("manager"), operation, subresource: text("subresource"), fields })
    }

    fn json(&self, resource: &Resource) -> Value {
        let mut value = json!({
            "manager": self.manager, "operation": self.operation, "apiVersion": resource.api_version(),
            "fieldsType": "FieldsV1", "fieldsV1": self.fields,
        });
        if !self.subresource.is_empty() {
            value["subresource"] = json!(self.subresource);
        }
        value
    }

    fn is_of(&self, operation: &str, writer: Writer<'_>) -> bool {
        self.operation == operation && self.manager == writer.manager && self.subresource == writer.subresource
    }
}

fn entries(object: &Value) -> Vec<Entry> {
    let list = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Entry::read).collect()
}

fn set_entries(object: &mut Value, resource: &Resource, entries: &[Entry]) {
    let kept = entries.iter().filter(|entry| !entry.fields.is_empty());
    object["metadata"]["managedFields"] = kept.map(|entry| entry.json(resource)).collect();
}

/// What counts as fields: not the object's identity, nor what the server alone writes.
fn body(object: &Value, subresource: &str) -> Value {
    let mut body = object.clone();
    let Some(map) = body.as_object_mut() else { return body };
    map.remove("apiVersion");
    map.remove("kind");
    if subresource == "status" {
        map.retain(|name, _| name == "status");
        return body;
    }
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| ["labels", "annotations", "finalizers", "ownerReferences"].contains(&name.as_str()));
        if metadata.is_empty() {
            map.remove("metadata");
        }
    }
    body
}

/// Server-side apply of `config` onto `live` (`null`: there is none).
pub fn apply(resource: &Resource, live: &Value, config: &Value, writer: Writer<'_>) -> Result<Value, Refused> {
    let schema = Schema::top(resource);
    let mut entries = entries(live);
    let (have, want) = (body(live, ""), body(config, writer.subresource));
    if entries.is_empty() && !live.is_null() {
        let fields = fields::all(&have, schema);
        entries.push(Entry {
            manager: "before-first-apply".into(),
            operation: "Update",
            subresource: String::new(),
            fields,
        });
    }
    let (wanted, differs) = (fields::all(&want, schema), fields::changed(&have, &want, schema));
    for other in entries.iter_mut().filter(|entry| !entry.is_of("Apply", writer)) {
        if fields::meet(&other.fields, &differs) {
            if !writer.force {
                return Err(Refused::Conflict(format!(
                    "Apply failed with conflict: conflict with \"{}\"",
                    other.manager
                )));
            }
            other.fields = fields::minus(&other.fields, &differs);
        }
    }
    let mut object = if live.is_null() { identity(config) } else { live.clone() };
    let mut merged = body(&object, "");
    let before =
        entries.iter().find(|entry| entry.is_of("Apply", writer)).map(|e| e.fields.clone()).unwrap_or_default();
    let mut kept = wanted.clone();
    entries
        .iter()
        .filter(|entry| !entry.is_of("Apply", writer))
        .for_each(|entry| fields::union(&mut kept, &entry.fields));
    Loss { had: &before, kept: &kept }.apply(&mut merged, schema);
    put(&mut object, fields::merged(&merged, &want, schema));
    entries.retain(|entry| !entry.is_of("Apply", writer));
    let (manager, subresource) = (writer.manager.to_owned(), writer.subresource.to_owned());
    entries.push(Entry { manager, operation: "Apply", subresource, fields: wanted });
    set_entries(&mut object, resource, &entries);
    default(resource, &mut object);
    Ok(object)
}

fn identity(config: &Value) -> Value {
    let metadata = json!({"name": config["metadata"]["name"], "namespace": config["metadata"]["namespace"]});
    json!({"apiVersion": config["apiVersion"], "kind": config["kind"], "metadata": metadata})
}

/// Gives an object this body; its identity and what the server wrote stay.
fn put(object: &mut Value, body: Value) {
    let Value::Object(mut body) = body else { return };
    let metadata = body.remove("metadata").unwrap_or_default();
    let Some(map) = object.as_object_mut() else { return };
    map.retain(|name, _| ["apiVersion", "kind", "metadata"].contains(&name.as_str()));
    map.extend(body);
    let Some(have) = map.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    for name in ["labels", "annotations", "finalizers", "ownerReferences"] {
        match metadata.get(name) {
            Some(value) => drop(have.insert(name.into(), value.clone())),
            None => drop(have.remove(name)),
        }
    }
}

/// A whole object in the place of `live`, as PUT, POST and patches leave it.
pub fn replace(resource: &Resource, live: &Value, new: &Value, writer: Writer<'_>) -> Value {
    let schema = Schema::top(resource);
    let mut object = if live.is_null() { identity(new) } else { live.clone() };
    let mut next = body(new, "");
    let other = if writer.subresource == "status" { body(live, "") } else { Value::Null };
    match writer.subresource {
        "status" => {
            let status = std::mem::replace(&mut next, other)["status"].take();
            next["status"] = status;
        }
        _ if resource.status => next["status"] = live["status"].clone(),
        _ => {}
    }
    if next["status"].is_null() {
        next.as_object_mut().map(|map| map.remove("status"));
    }
    let (have, told) = (body(live, ""), new.pointer("/metadata/managedFields"));
    let mut entries = match told.and_then(Value::as_array) {
        Some(list) if list.iter().all(|entry| entry.as_object().is_some_and(serde_json::Map::is_empty)) => Vec::new(),
        Some(_) => self::entries(new),
        None => self::entries(live),
    };
    let (changed, gone) = (fields::changed(&have, &next, schema), fields::all(&next, schema));
    for entry in &mut entries {
        let lost = fields::minus(&entry.fields, &gone);
        entry.fields = fields::minus(&entry.fields, &lost);
        if !entry.is_of("Update", writer) && fields::meet(&entry.fields, &changed) {
            entry.fields = fields::minus(&entry.fields, &changed);
        }
    }
    if !changed.is_empty() {
        if !entries.iter().any(|entry| entry.is_of("Update", writer)) {
            let (manager, subresource) = (writer.manager.to_owned(), writer.subresource.to_owned());
            entries.push(Entry { manager, operation: "Update", subresource, fields: Fields::new() });
        }
        entries.iter_mut().filter(|e| e.is_of("Update", writer)).for_each(|e| fields::union(&mut e.fields, &changed));
    }
    put(&mut object, next);
    set_entries(&mut object, resource, &entries);
    default(resource, &mut object);
    object
}

/// A JSON merge patch (RFC 7386).
pub fn patched(live: &Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut map = live.as_object().cloned().unwrap_or_default();
    for (name, value) in patch {
        match value {
            Value::Null => drop(map.remove(name)),
            value => drop(map.insert(name.clone(), patched(live.get(name).unwrap_or(&Value::Null), value))),
        }
    }
    Value::Object(map)
}

/// Fields that cannot change once they are set.
pub fn immutable(resource: &Resource, old: &Value, new: &Value) -> Result<(), Refused> {
    let fixed: &[&str] = match resource.kind {
        "Job" => &["/spec/template", "/spec/selector", "/spec/completions"],
        "Deployment" => &["/spec/selector"],
        "PersistentVolumeClaim" => &["/spec/accessModes", "/spec/storageClassName", "/spec/volumeMode"],
        "ControllerRevision" => &["/data"],
        "SaasOperation" => &["/spec"],
        _ => &[],
    };
    match fixed.iter().find(|field| old.pointer(field) != new.pointer(field)) {
        Some(field) => Err(Refused::Invalid(format!("{} {field}: field is immutable", resource.kind))),
        None => Ok(()),
    }
}
