//! Sets of fields, in the API server's own form (FieldsV1), and what server-side apply does with them.
//!
//! <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>

use serde_json::{Map, Value, json};

use super::schema::{Keys, List, Schema};

/// A set of fields: `{"f:spec": {"f:replicas": {}}}`.
pub type Fields = Map<String, Value>;

/// All fields of a value.
pub fn all(value: &Value, schema: Schema<'_>) -> Fields {
    match value {
        Value::Object(map) if !schema.is_atomic() => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (format!("f:{name}"), Value::Object(all(value, schema.field(name)))))
            .collect(),
        Value::Array(items) => match schema.list(items.first().unwrap_or(&Value::Null)) {
            List::Atomic => Fields::new(),
            List::Set => items.iter().map(|item| (format!("v:{item}"), json!({}))).collect(),
            List::Keyed(keys) => items.iter().map(|item| (key_of(keys, item), item_fields(item, schema))).collect(),
        },
        _ => Fields::new(),
    }
}

fn key_of(keys: Keys<'_>, item: &Value) -> String {
    format!("k:{}", keys.of(item))
}

fn item_fields(item: &Value, schema: Schema<'_>) -> Value {
    let mut fields = all(item, schema.item());
    fields.insert(".".into(), json!({}));
    Value::Object(fields)
}

/// The fields in which `new` differs from `old`, or which only it has.
pub fn changed(old: &Value, new: &Value, schema: Schema<'_>) -> Fields {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) if !schema.is_atomic() => {
            let pairs = b.iter().filter(|(_, value)| !value.is_null()).filter_map(|(name, value)| {
                let inner = match a.get(name) {
                    Some(before) if before == value => return None,
                    Some(before) => changed(before, value, schema.field(name)),
                    None => all(value, schema.field(name)),
                };
                let leaf = is_leaf(value, schema.field(name)) || a.get(name).is_none();
                (leaf || !inner.is_empty()).then(|| (format!("f:{name}"), Value::Object(inner)))
            });
            pairs.collect()
        }
        (Value::Array(a), Value::Array(b)) => match schema.list(b.first().or(a.first()).unwrap_or(&Value::Null)) {
            List::Atomic => Fields::new(),
            List::Set => {
                b.iter().filter(|item| !a.contains(item)).map(|item| (format!("v:{item}"), json!({}))).collect()
            }
            List::Keyed(keys) => b
                .iter()
                .filter_map(|item| {
                    let key = keys.of(item);
                    match a.iter().find(|before| keys.of(before) == key) {
                        Some(before) if before == item => None,
                        Some(before) => Some((format!("k:{key}"), Value::Object(changed(before, item, schema.item())))),
                        None => Some((format!("k:{key}"), item_fields(item, schema))),
                    }
                })
                .collect(),
        },
        _ => Fields::new(),
    }
}

/// Whether a value is owned as a whole.
fn is_leaf(value: &Value, schema: Schema<'_>) -> bool {
    match value {
        Value::Object(map) => map.is_empty() || schema.is_atomic(),
        Value::Array(items) => schema.list(items.first().unwrap_or(&Value::Null)) == List::Atomic,
        _ => true,
    }
}

/// Fields that are in either set.
pub fn union(a: &mut Fields, b: &Fields) {
    for (name, inner) in b {
        let mine = a.entry(name.clone()).or_insert_with(|| json!({}));
        if let (Value::Object(mine), Value::Object(inner)) = (mine, inner) {
            union(mine, inner);
        }
    }
}

/// Fields of `a` that are not in `b`. What `b` has as a whole, as an empty map, does not have what `a` has in it.
pub fn minus(a: &Fields, b: &Fields) -> Fields {
    let left = a.iter().filter_map(|(name, inner)| {
        let Some(other) = b.get(name) else { return Some((name.clone(), inner.clone())) };
        let (inner, other) = (inner.as_object()?, other.as_object()?);
        let rest = minus(inner, other);
        (!rest.is_empty()).then(|| (name.clone(), Value::Object(rest)))
    });
    left.collect()
}

/// Whether the sets have a field in common.
pub fn meet(a: &Fields, b: &Fields) -> bool {
    a.iter().any(|(name, inner)| match (inner.as_object(), b.get(name).and_then(Value::as_object)) {
        (Some(inner), Some(other)) => inner.is_empty() || other.is_empty() || meet(inner, other),
        _ => false,
    })
}

/// `live` with everything that `config` says.
pub fn merged(live: &Value, config: &Value, schema: Schema<'_>) -> Value {
    match (live, config) {
        (Value::Object(a), Value::Object(b)) if !schema.is_atomic() => {
            let mut map = a.clone();
            for (name, value) in b.iter().filter(|(_, value)| !value.is_null()) {
                let before = a.get(name).unwrap_or(&Value::Null);
                map.insert(name.clone(), merged(before, value, schema.field(name)));
            }
            Value::Object(map)
        }
        (Value::Array(a), Value::Array(b)) => match schema.list(b.first().or(a.first()).unwrap_or(&Value::Null)) {
            List::Atomic => config.clone(),
            List::Set => a.iter().chain(b.iter().filter(|item| !a.contains(item))).cloned().collect(),
            List::Keyed(keys) => merged_items((a, b), keys, schema.item()),
        },
        _ => without_nulls(config),
    }
}

fn merged_items((a, b): (&[Value], &[Value]), keys: Keys<'_>, schema: Schema<'_>) -> Value {
    let twin = |list: &[Value], item: &Value| list.iter().find(|other| keys.of(other) == keys.of(item)).cloned();
    let ours = b.iter().map(|item| twin(a, item).map_or_else(|| without_nulls(item), |old| merged(&old, item, schema)));
    let others = a.iter().filter(|item| twin(b, item).is_none()).cloned();
    ours.chain(others).collect()
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            map.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// What an apply takes out: what its manager had, without what it or anybody else still has.
#[derive(Clone, Copy)]
pub struct Loss<'a> {
    pub had: &'a Fields,
    pub kept: &'a Fields,
}

impl<'a> Loss<'a> {
    /// Takes the lost fields out of a value.
    ///
    /// A block of which nobody has anything any more goes with all that defaults put into it:
    /// `EnsureNamedFieldsAreMembers` of <https://github.com/kubernetes-sigs/structured-merge-diff>.
    pub fn apply(self, value: &mut Value, schema: Schema<'_>) {
        match value {
            Value::Object(map) => self.in_map(map, schema),
            Value::Array(items) => self.in_list(items, schema),
            _ => {}
        }
    }

    fn in_map(self, map: &mut Map<String, Value>, schema: Schema<'_>) {
        for (field, name) in self.had.keys().filter_map(|field| Some((field, field.strip_prefix("f:")?))) {
            let Some(inner) = self.of(field) else {
                map.remove(name);
                continue;
            };
            let Some(child) = map.get_mut(name).filter(|_| !inner.had.is_empty()) else { continue };
            inner.apply(child, schema.field(name));
            if is_empty(child) {
                map.remove(name);
            }
        }
    }

    fn in_list(self, items: &mut Vec<Value>, schema: Schema<'_>) {
        let lost = |key: &String| self.had.contains_key(key) && !self.kept.contains_key(key);
        match schema.list(items.first().unwrap_or(&Value::Null)) {
            List::Atomic => {}
            List::Set => items.retain(|item| !lost(&format!("v:{item}"))),
            List::Keyed(keys) => {
                items.retain(|item| !lost(&key_of(keys, item)));
                for item in items {
                    if let Some(inner) = self.of(&key_of(keys, item)) {
                        inner.apply(item, schema.item());
                    }
                }
            }
        }
    }

    /// What of a field or an item is lost; `None` where nothing of it is kept, or it was not had.
    fn of(self, field: &str) -> Option<Loss<'a>> {
        let inner = |set: &'a Fields| set.get(field).and_then(Value::as_object);
        Some(Loss { had: inner(self.had)?, kept: inner(self.kept)? })
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::resource::Resource;

    fn schema() -> Schema<'static> {
        Schema::top(Resource::of_kind("Deployment").unwrap())
    }

    fn pod(containers: Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": containers}}}})
    }

    #[test]
    fn what_is_taken_out_is_what_only_this_set_had() {
        let before = pod(json!([{"name": "a", "image": "x", "env": [{"name": "A", "value": "1"}, {"name": "B"}]}]));
        let after = pod(json!([{"name": "a", "image": "x", "env": [{"name": "B"}]}]));
        let mut live = before.clone();
        Loss { had: &all(&before, schema()), kept: &all(&after, schema()) }.apply(&mut live, schema());
        assert_eq!(live, after);
    }

    #[test]
    fn a_block_that_becomes_empty_loses_what_was_in_it() {
        let (before, after) = (json!({"spec": {"dns": {"proxied": true}}}), json!({"spec": {"dns": {}}}));
        let gone = minus(&all(&before, schema()), &all(&after, schema()));
        assert_eq!(Value::Object(gone), json!({"f:spec": {"f:dns": {"f:proxied": {}}}}));
    }

    #[test]
    fn a_block_that_nobody_has_goes_with_its_defaults() {
        let kept = all(&json!({"spec": {"image": "a"}}), schema());
        let had = all(&json!({"spec": {"image": "a", "backup": {"to": "s3"}}}), schema());
        let mut live = json!({"spec": {"image": "a", "backup": {"to": "s3", "keepDays": 30}}});
        Loss { had: &had, kept: &kept }.apply(&mut live, schema());
        assert_eq!(live, json!({"spec": {"image": "a"}}));
    }

    #[test]
    fn a_merge_keeps_what_others_added() {
        let live = pod(json!([{"name": "a", "image": "x"}, {"name": "sidecar", "image": "s"}]));
        let config = pod(json!([{"name": "a", "image": "y"}]));
        let merged = merged(&live, &config, schema());
        assert_eq!(merged, pod(json!([{"name": "a", "image": "y"}, {"name": "sidecar", "image": "s"}])));
        let changed = changed(&live, &config, schema());
        assert!(meet(&changed, &all(&pod(json!([{"name": "a", "image": "z"}])), schema())));
        assert!(!meet(&changed, &all(&pod(json!([{"name": "sidecar", "image": "z"}])), schema())));
    }
}
