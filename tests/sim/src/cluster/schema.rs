//! Which lists of an object are merged by key, as sets, or replaced whole; and the defaults of our own kinds.
//!
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy>

use std::sync::LazyLock;

use golive::offline::judge::schema_of;
use serde_json::{Map, Value, json};

use super::resource::Resource;

/// How a list is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List<'a> {
    Atomic,
    Set,
    Keyed(Keys<'a>),
}

/// What tells the items of a list apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys<'a> {
    Known(&'static [&'static str]),
    Declared(&'a [Value]),
}

impl Keys<'_> {
    /// An item's key.
    pub fn of(self, item: &Value) -> Value {
        Value::Object(self.names().into_iter().map(|name| (name.to_owned(), part(item, name).clone())).collect())
    }

    /// Whether two items have the same key.
    pub fn same(self, one: &Value, other: &Value) -> bool {
        self.names().into_iter().all(|name| part(one, name) == part(other, name))
    }

    fn names(&self) -> Vec<&str> {
        match self {
            Keys::Known(names) => names.to_vec(),
            Keys::Declared(names) => names.iter().filter_map(Value::as_str).collect(),
        }
    }
}

/// A part of an item's key; `protocol` has a default in every list that is keyed by it.
fn part<'a>(item: &'a Value, name: &str) -> &'a Value {
    static TCP: LazyLock<Value> = LazyLock::new(|| json!("TCP"));
    match (&item[name], name) {
        (Value::Null, "protocol") => &TCP,
        (found, _) => found,
    }
}

/// A place in an object.
#[derive(Clone, Copy)]
pub enum Schema<'a> {
    /// A built-in kind, by the last field's name.
    Named(&'a str),
    /// A kind of ours, by its schema.
    Declared(&'a Value),
}

impl<'a> Schema<'a> {
    /// The top of an object of a resource.
    pub fn top(resource: &Resource) -> Schema<'static> {
        schema_of(resource.kind).map_or(Schema::Named(""), Schema::Declared)
    }

    /// A field of an object.
    pub fn field(self, name: &'a str) -> Schema<'a> {
        match self {
            Schema::Named(_) | Schema::Declared(Value::Null) => Schema::Named(name),
            Schema::Declared(_) if name == "metadata" => Schema::Named(name),
            Schema::Declared(schema) => match schema.pointer("/properties").and_then(|p| p.get(name)) {
                Some(field) => Schema::Declared(field),
                None => Schema::Declared(schema.get("additionalProperties").unwrap_or(&Value::Null)),
            },
        }
    }

    /// An item of a list.
    pub fn item(self) -> Schema<'a> {
        match self {
            Schema::Named(_) => Schema::Named(""),
            Schema::Declared(schema) => Schema::Declared(schema.get("items").unwrap_or(&Value::Null)),
        }
    }

    /// Whether this is a place in a kind of ours.
    pub fn is_declared(self) -> bool {
        matches!(self, Schema::Declared(_))
    }

    /// Whether a map here is replaced whole.
    pub fn is_atomic(self) -> bool {
        match self {
            Schema::Named(name) => ["selector", "podSelector", "namespaceSelector", "nodeSelector"].contains(&name),
            Schema::Declared(schema) => schema["x-kubernetes-map-type"] == "atomic",
        }
    }

    /// How a list here is merged; `first` is one of its items.
    pub fn list(self, first: &Value) -> List<'a> {
        match self {
            Schema::Named(name) => known(name, first),
            Schema::Declared(schema) => match schema["x-kubernetes-list-type"].as_str() {
                Some("map") => List::Keyed(Keys::Declared(
                    schema["x-kubernetes-list-map-keys"].as_array().map(Vec::as_slice).unwrap_or_default(),
                )),
                Some("set") => List::Set,
                _ => List::Atomic,
            },
        }
    }
}

fn known(field: &str, first: &Value) -> List<'static> {
    let keyed = |keys| List::Keyed(Keys::Known(keys));
    match field {
        "containers" | "initContainers" | "env" | "volumes" | "imagePullSecrets" | "listeners" => keyed(&["name"]),
        "volumeMounts" => keyed(&["mountPath"]),
        "ports" if first.get("containerPort").is_some() => keyed(&["containerPort", "protocol"]),
        "ports" if first.get("port").is_some() && first.get("endPort").is_none() && first.get("name").is_some() => {
            keyed(&["port", "protocol"])
        }
        "topologySpreadConstraints" => keyed(&["topologyKey", "whenUnsatisfiable"]),
        "ownerReferences" => keyed(&["uid"]),
        "conditions" => keyed(&["type"]),
        "finalizers" => List::Set,
        _ => List::Atomic,
    }
}

/// Whether objects of a resource show a status before they have one: it is stored with their first change.
pub fn shows_status(resource: &Resource) -> bool {
    schema_of(resource.kind).is_some_and(|schema| schema.pointer("/properties/status/default").is_some())
}

/// Fills in the defaults that a schema declares, as the API server does for custom resources.
pub fn default(resource: &Resource, object: &mut Value) {
    if let Some(schema) = schema_of(resource.kind) {
        fill(schema, object);
    }
}

fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(map) => fill_map(schema, map),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(&schema["items"], item)),
        _ => {}
    }
}

fn fill_map(schema: &Value, map: &mut Map<String, Value>) {
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    for (name, property) in properties {
        if let (Some(default), false) = (property.get("default"), map.contains_key(name)) {
            map.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in map.iter_mut() {
        fill(properties.get(name).unwrap_or(&schema["additionalProperties"]), value);
    }
}
