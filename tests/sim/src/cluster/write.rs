//! The ways in which an object is written, and who owns which of its fields afterwards.

use golive::offline::judge;
use serde_json::{Map, Value, json};

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
    /// Who owns what was written before anybody was asked who he is.
    fn before(fields: Fields, writer: Writer<'_>) -> Entry {
        Entry::of(Writer { manager: "before-first-apply", ..writer }, "Update", fields)
    }

    fn of(writer: Writer<'_>, operation: &'static str, fields: Fields) -> Entry {
        Entry { manager: writer.manager.to_owned(), operation, subresource: writer.subresource.to_owned(), fields }
    }

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
    body_of(object, |name, _| subresource != "status" || name == "status")
}

/// What counts, of the fields that are asked for.
fn body_of(object: &Value, wanted: impl Fn(&str, &Value) -> bool) -> Value {
    let fields = object.as_object().into_iter().flatten().filter(|(name, value)| wanted(name, value));
    let fields = fields.filter_map(|(name, value)| match name.as_str() {
        "apiVersion" | "kind" => None,
        "metadata" => Some((name.clone(), marks(value).filter(|marks| *marks != json!({}))?)),
        _ => Some((name.clone(), value.clone())),
    });
    fields.collect()
}

/// What counts of an object, where it differs from another: most writes change one block, and all else needs no look.
fn apart(object: &Value, other: &Value) -> Value {
    body_of(object, |name, value| other.get(name) != Some(value))
}

/// Fields of the metadata that anybody may write.
const MARKS: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

fn marks(metadata: &Value) -> Option<Value> {
    let fields = metadata.as_object()?.iter().filter(|(name, _)| MARKS.contains(&name.as_str()));
    Some(fields.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Server-side apply of `config` onto `live` (`null`: there is none).
pub fn apply(resource: &Resource, live: &Value, config: &Value, writer: Writer<'_>) -> Result<Value, Refused> {
    let schema = Schema::top(resource);
    let (have, want) = (body(live, ""), body(config, writer.subresource));
    let mut entries = entries(live);
    if entries.is_empty() && !live.is_null() {
        entries.push(Entry::before(theirs(fields::changed(&json!({}), &have, schema), writer), writer));
    }
    take_over(&mut entries, &fields::changed(&have, &want, schema), writer)?;
    let wanted = fields::all(&want, schema);
    let (before, mut kept) = (own(&mut entries, writer), wanted.clone());
    entries.iter().for_each(|entry| fields::union(&mut kept, &entry.fields));
    // In this order, as the server: what an empty block of the config had before is taken out of it after the merge.
    let mut merged = fields::merged(&have, &want, schema);
    Loss { had: &before, kept: &kept }.apply(&mut merged, schema);
    lose(&mut entries, &fields::removed(&have, &merged, schema));
    let mut object = built(live, config, merged);
    entries.push(Entry::of(writer, "Apply", wanted));
    set_entries(&mut object, resource, &entries);
    trim(resource, &mut object);
    default(resource, &mut object);
    Ok(object)
}

/// Takes the fields that differ from everybody else who has them; without force, that is refused.
fn take_over(entries: &mut [Entry], differs: &Fields, writer: Writer<'_>) -> Result<(), Refused> {
    for other in entries.iter_mut().filter(|entry| !entry.is_of("Apply", writer)) {
        if fields::meet(&other.fields, differs) {
            if !writer.force {
                let why = format!("Apply failed with conflict: conflict with \"{}\"", other.manager);
                return Err(Refused::Conflict(why));
            }
            other.fields = fields::minus(&other.fields, differs);
        }
    }
    Ok(())
}

/// Takes a writer's own entry out, and gives its fields.
fn own(entries: &mut Vec<Entry>, writer: Writer<'_>) -> Fields {
    let at = entries.iter().position(|entry| entry.is_of("Apply", writer));
    at.map(|at| entries.remove(at).fields).unwrap_or_default()
}

/// Built-in kinds leave out data that is empty.
fn trim(resource: &Resource, object: &mut Value) {
    let empty = object["data"].as_object().is_some_and(Map::is_empty);
    if resource.group.is_empty() && empty {
        object.as_object_mut().map(|map| map.remove("data"));
    }
}

/// An object of this body; its identity and what the server wrote are those of `live`, where there is one.
fn built(live: &Value, new: &Value, body: Value) -> Value {
    let Value::Object(mut object) = body else { return live.clone() };
    let mut metadata = frame(live, new);
    if let Some(Value::Object(marks)) = object.remove("metadata") {
        metadata.extend(marks.into_iter().filter(|(_, value)| *value != json!({}) && *value != json!([])));
    }
    let whose = if live.is_null() { new } else { live };
    for name in ["apiVersion", "kind"] {
        object.insert(name.to_owned(), whose[name].clone());
    }
    object.insert("metadata".to_owned(), metadata.into());
    Value::Object(object)
}

/// The metadata that only the server writes, but for who owns which field; of a new object what names it.
fn frame(live: &Value, new: &Value) -> Map<String, Value> {
    let is_new = live.is_null();
    let stays = |name: &str| match is_new {
        true => ["name", "namespace"].contains(&name),
        false => name != "managedFields" && !MARKS.contains(&name),
    };
    let fields = if is_new { new } else { live }["metadata"].as_object().into_iter().flatten();
    fields.filter(|(name, _)| stays(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A whole object in the place of `live`, as PUT, POST and patches leave it.
pub fn replace(resource: &Resource, live: &Value, new: &Value, writer: Writer<'_>) -> Value {
    let schema = Schema::top(resource);
    let mut object = built(live, new, next(resource, live, new, writer));
    trim(resource, &mut object);
    default(resource, &mut object);
    let (have, next) = (apart(live, &object), apart(&object, live));
    let changed = theirs(fields::changed(&have, &next, schema), writer);
    let entries = match told(new) {
        Some(none) if none.iter().all(is_blank) => Vec::new(),
        told => {
            let mut entries = if told.is_some() { entries(new) } else { entries(live) };
            credit(&mut entries, &changed, writer);
            lose(&mut entries, &fields::removed(&have, &next, schema));
            entries
        }
    };
    set_entries(&mut object, resource, &entries);
    object
}

/// The managed fields that a request sends along.
fn told(new: &Value) -> Option<&Vec<Value>> {
    new.pointer("/metadata/managedFields").and_then(Value::as_array)
}

/// A list of one blank entry takes all ownership away:
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields>.
fn is_blank(entry: &Value) -> bool {
    entry.as_object().is_some_and(Map::is_empty)
}

/// The body that a write through a subresource, or around it, leaves.
fn next(resource: &Resource, live: &Value, new: &Value, writer: Writer<'_>) -> Value {
    let mut next = if writer.subresource == "status" { body(live, "") } else { body(new, "") };
    match writer.subresource {
        "status" => next["status"] = new["status"].clone(),
        _ if resource.status => next["status"] = live["status"].clone(),
        _ => {}
    }
    if next["status"].is_null() {
        next.as_object_mut().map(|map| map.remove("status"));
    }
    next
}

/// What writers get to own: `metadata` is always there, and a status only comes through its own door.
fn theirs(mut changed: Fields, writer: Writer<'_>) -> Fields {
    if let Some(Value::Object(metadata)) = changed.get_mut("f:metadata") {
        metadata.remove(".");
    }
    changed.remove(if writer.subresource == "status" { "f:spec" } else { "f:status" });
    changed
}

/// Takes fields away from who has them.
fn lose<'a>(entries: impl IntoIterator<Item = &'a mut Entry>, fields: &Fields) {
    let losers = entries.into_iter().filter(|entry| fields::meet(&entry.fields, fields));
    losers.for_each(|entry| entry.fields = fields::minus(&entry.fields, fields));
}

/// Gives a writer what it changed, and takes that from everybody else.
fn credit(entries: &mut Vec<Entry>, changed: &Fields, writer: Writer<'_>) {
    if changed.is_empty() {
        return;
    }
    lose(entries.iter_mut().filter(|entry| !entry.is_of("Update", writer)), changed);
    if !entries.iter().any(|entry| entry.is_of("Update", writer)) {
        entries.push(Entry::of(writer, "Update", Fields::new()));
    }
    entries.iter_mut().filter(|e| e.is_of("Update", writer)).for_each(|e| fields::union(&mut e.fields, changed));
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

/// A JSON patch (RFC 6902), done as a whole or not at all.
pub fn stepped(live: &Value, steps: Value) -> Result<Value, Refused> {
    let steps: json_patch::Patch = serde_json::from_value(steps).map_err(|e| Refused::Invalid(e.to_string()))?;
    let mut object = live.clone();
    json_patch::patch(&mut object, &steps).map_err(|e| Refused::Invalid(e.to_string()))?;
    Ok(object)
}

/// Whether a spec of ours is as its definition asks, judged where it changed.
pub fn valid(resource: &Resource, old: Option<&Value>, new: &Value) -> Result<(), Refused> {
    let same = old.is_some_and(|old| old["spec"] == new["spec"]);
    if resource.group != "golive.dev" || same {
        return Ok(());
    }
    match judge::faults(new, old).as_slice() {
        [] => Ok(()),
        faults => Err(Refused::Invalid(faults.join("; "))),
    }
}

/// What cannot change: fields that are set once, and the finalizers of what is being deleted.
pub fn immutable(resource: &Resource, old: &Value, new: &Value) -> Result<(), Refused> {
    let fixed: &[&str] = match resource.kind {
        "Job" => &["/spec/template", "/spec/selector", "/spec/completions"],
        "Deployment" => &["/spec/selector"],
        "PersistentVolumeClaim" => &["/spec/accessModes", "/spec/storageClassName", "/spec/volumeMode"],
        "ControllerRevision" => &["/data"],
        "SaasOperation" => &["/spec"],
        _ => &[],
    };
    let hold = |object: &Value| object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let going = !old["metadata"]["deletionTimestamp"].is_null();
    if going && hold(new).iter().any(|name| !hold(old).contains(name)) {
        return Err(Refused::Invalid("no new finalizers can be added if the object is being deleted".into()));
    }
    match fixed.iter().find(|field| old.pointer(field) != new.pointer(field)) {
        Some(field) => Err(Refused::Invalid(format!("{} {field}: field is immutable", resource.kind))),
        None => Ok(()),
    }
}
