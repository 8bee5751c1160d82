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

/// The fields in which `new` differs from `old`, or which only it has; blocks that only it has are fields themselves.
pub fn changed(old: &Value, new: &Value, schema: Schema<'_>) -> Fields {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) if !schema.is_atomic() => {
            let pairs = b.iter().filter(|(_, value)| !value.is_null()).filter_map(|(name, value)| {
                let inner = match a.get(name) {
                    Some(before) if before == value => return None,
                    Some(before) => changed(before, value, schema.field(name)),
                    None => added(value, schema.field(name)),
                };
                let leaf = a.get(name).is_none_or(|before| is_leaf(before, value, schema.field(name)));
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
                    let inner = match a.iter().find(|before| keys.same(before, item)) {
                        Some(before) => Some(changed(before, item, schema.item())).filter(|inner| !inner.is_empty())?,
                        None => added(item, schema.item()),
                    };
                    Some((key_of(keys, item), Value::Object(inner)))
                })
                .collect(),
        },
        _ => Fields::new(),
    }
}

/// All fields of a block that was not there: the block itself is one of them.
fn added(value: &Value, schema: Schema<'_>) -> Fields {
    let mut fields = match value {
        Value::Object(_) if !schema.is_atomic() => changed(&json!({}), value, schema),
        Value::Array(_) => changed(&json!([]), value, schema),
        _ => Fields::new(),
    };
    if !fields.is_empty() {
        fields.insert(".".into(), json!({}));
    }
    fields
}

/// Whether a value takes another's place as a whole; what is in a map or list that is merged is compared by itself.
fn is_leaf(old: &Value, new: &Value, schema: Schema<'_>) -> bool {
    match (old, new) {
        (Value::Object(_), Value::Object(_)) => schema.is_atomic(),
        (Value::Array(a), Value::Array(b)) => {
            schema.list(b.first().or(a.first()).unwrap_or(&Value::Null)) == List::Atomic
        }
        _ => true,
    }
}

/// Whether a field is in a set itself, and not only something within it.
fn is_member(inner: &Fields) -> bool {
    inner.is_empty() || inner.contains_key(".")
}

/// A field of a set as FieldsV1 writes it; `None` where neither it nor anything within is in the set.
fn written(member: bool, mut inner: Fields) -> Option<Value> {
    inner.remove(".");
    if member && !inner.is_empty() {
        inner.insert(".".into(), json!({}));
    }
    (member || !inner.is_empty()).then_some(Value::Object(inner))
}

/// Fields that are in either set.
pub fn union(a: &mut Fields, b: &Fields) {
    for (name, inner) in b.iter().filter(|(name, _)| *name != ".") {
        let (Some(Value::Object(mine)), Some(theirs)) = (a.get_mut(name), inner.as_object()) else {
            a.insert(name.clone(), inner.clone());
            continue;
        };
        let member = is_member(mine) || is_member(theirs);
        let mut both = std::mem::take(mine);
        union(&mut both, theirs);
        if let Some(value) = written(member, both) {
            a.insert(name.clone(), value);
        }
    }
}

/// Fields of `a` that are not in `b`.
pub fn minus(a: &Fields, b: &Fields) -> Fields {
    let left = a.iter().filter(|(name, _)| *name != ".").filter_map(|(name, inner)| {
        let Some(other) = b.get(name) else { return Some((name.clone(), inner.clone())) };
        let (inner, other) = (inner.as_object()?, other.as_object()?);
        let member = is_member(inner) && !is_member(other);
        written(member, minus(inner, other)).map(|value| (name.clone(), value))
    });
    left.collect()
}

/// The fields that `old` has and `new` has not.
pub fn removed(old: &Value, new: &Value, schema: Schema<'_>) -> Fields {
    let mut gone = Fields::new();
    // Most writes change one block of an object, and all else needs no look.
    for (name, before) in old.as_object().into_iter().flatten().filter(|(name, before)| new.get(name) != Some(before)) {
        let alone = |value: &Value| Fields::from_iter([(format!("f:{name}"), added(value, schema.field(name)).into())]);
        let stands = |value: Option<&Value>| value.filter(|value| !value.is_null()).map(alone).unwrap_or_default();
        gone.extend(minus(&stands(Some(before)), &stands(new.get(name))));
    }
    gone
}

/// Whether the sets have a field in common.
pub fn meet(a: &Fields, b: &Fields) -> bool {
    a.iter().filter(|(name, _)| *name != ".").any(|(name, inner)| {
        match (inner.as_object(), b.get(name).and_then(Value::as_object)) {
            (Some(inner), Some(other)) => (is_member(inner) && is_member(other)) || meet(inner, other),
            _ => false,
        }
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
            List::Set => zipped((a, b), |x, y| x == y, |_, new| new.clone()),
            List::Keyed(keys) => zipped(
                (a, b),
                |x, y| keys.same(x, y),
                |old, new| old.map_or_else(|| without_nulls(new), |old| merged(old, new, schema.item())),
            ),
        },
        _ => without_nulls(config),
    }
}

/// Two lists in one: what only the first has keeps its place before what both have, in the order of the second.
///
/// `visitListItems` of <https://github.com/kubernetes-sigs/structured-merge-diff/blob/master/typed/merge.go>.
fn zipped(
    (a, b): (&[Value], &[Value]),
    same: impl Fn(&Value, &Value) -> bool,
    merge: impl Fn(Option<&Value>, &Value) -> Value,
) -> Value {
    let twin = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item));
    let (mut all, mut next) = (Vec::new(), 0);
    let mut take = |all: &mut Vec<Value>, until: usize| {
        all.extend(b[next..until].iter().map(|item| merge(twin(a, item).map(|at| &a[at]), item)));
        next = until;
        (next..b.len()).find(|at| twin(a, &b[*at]).is_some())
    };
    let mut shared = take(&mut all, 0);
    for item in a {
        match twin(b, item) {
            None => all.push(item.clone()),
            Some(at) if shared == Some(at) => shared = take(&mut all, at + 1),
            Some(_) => {}
        }
    }
    take(&mut all, b.len());
    Value::Array(all)
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
            match is_empty(child) {
                // The server leaves a null where somebody has the block itself: in kinds of ours that is refused.
                true if schema.is_declared() && is_member(inner.kept) => *child = Value::Null,
                true => drop(map.remove(name)),
                false => {}
            }
        }
    }

    fn in_list(self, items: &mut Vec<Value>, schema: Schema<'_>) {
        let has = |set: &Fields, key: &String| set.get(key).and_then(Value::as_object).is_some_and(is_member);
        let lost = |key: &String| has(self.had, key) && !has(self.kept, key);
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
