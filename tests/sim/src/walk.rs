//! Random walks over specs: wherever a walk went, the world ends as if the last spec had been the first.

use std::collections::{BTreeMap, BTreeSet};

use golive::offline::judge;
use serde_json::{Map, Value, json};

/// A small generator of random numbers, the same on every machine: <https://prng.di.unimi.it/splitmix64.c>.
pub struct Chance(pub u64);

impl Chance {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % end.max(1) as u64).unwrap_or(0)
    }

    /// One of a list.
    pub fn of<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.below(list.len()))
    }
}

/// What specs are made of: for each place, the values that people wrote there.
#[derive(Default)]
pub struct Vocabulary(BTreeMap<Vec<String>, Vec<Value>>);

impl Vocabulary {
    /// The words of some specs.
    pub fn of(specs: &[Value]) -> Vocabulary {
        let mut words = Vocabulary::default();
        specs.iter().for_each(|spec| words.learn(&mut Vec::new(), spec));
        words
    }

    /// Every block and every leaf is a word; lists are words as a whole, and each of their items alone.
    fn learn(&mut self, path: &mut Vec<String>, value: &Value) {
        if !path.is_empty() {
            let known = self.0.entry(path.clone()).or_default();
            let alone = value.as_array().into_iter().flatten().map(|item| json!([item]));
            let new: Vec<Value> = std::iter::once(value.clone()).chain(alone).filter(|v| !known.contains(v)).collect();
            known.extend(new);
        }
        for (name, inner) in value.as_object().into_iter().flatten() {
            path.push(name.clone());
            self.learn(path, inner);
            path.pop();
        }
    }

    /// All places.
    pub fn places(&self) -> Vec<&Vec<String>> {
        self.0.keys().collect()
    }

    /// The paths of all values in all words: `routes[].path`.
    pub fn paths(&self) -> BTreeSet<String> {
        let of = |(place, words): (&Vec<String>, &Vec<Value>)| {
            let below = words.iter().flat_map(paths).collect::<BTreeSet<_>>();
            let place = place.join(".");
            below.into_iter().map(move |path| format!("{place}{path}"))
        };
        self.0.iter().flat_map(of).collect()
    }

    /// A spec with one change: a word put in or taken out.
    fn change(&self, spec: &Value, chance: &mut Chance) -> Value {
        let places = self.places();
        let mut next = spec.clone();
        let Some(path) = chance.of(&places) else { return next };
        match chance.below(3) {
            0 => take(&mut next, path),
            _ => {
                if let Some(word) = self.0.get(*path).and_then(|words| chance.of(words)) {
                    put(&mut next, path, word.clone());
                }
            }
        }
        next
    }

    /// A walk from an object: itself, and so many steps; fewer where no word leads on.
    pub fn walk(&self, saas: &Value, seed: u64, length: usize) -> Vec<Value> {
        // The same seed leads elsewhere from another object.
        let name = saas["metadata"]["name"].as_str().unwrap_or_default();
        let mut chance =
            Chance(name.bytes().fold(seed, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(byte.into())));
        let mut specs = vec![saas.clone()];
        for _ in 0..length {
            specs.extend(specs.last().and_then(|last| self.step(last, &mut chance)));
        }
        specs
    }

    /// The next spec of a walk: some changes that together leave it valid, and not what it was.
    pub fn step(&self, saas: &Value, chance: &mut Chance) -> Option<Value> {
        for _ in 0..200 {
            let mut spec = saas["spec"].clone();
            for _ in 0..=chance.below(3) {
                spec = self.change(&spec, chance);
            }
            let emptied = empties(&saas["spec"], &spec);
            let next = with_spec(saas, spec);
            if !emptied && next != *saas && judge::faults(&next, Some(saas)).is_empty() {
                return Some(next);
            }
        }
        None
    }
}

/// Whether a block loses everything in it and stays. Server-side apply makes a null of that, which the API server itself
/// refuses (`tests/model.rs` shows it); people take the whole block out.
fn empties(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            (new.is_empty() && !old.is_empty())
                || new.iter().any(|(name, value)| old.get(name).is_some_and(|old| empties(old, value)))
        }
        _ => false,
    }
}

/// The paths of all values in a value: `.path` in an object, `[]` for what a list holds.
pub fn paths(value: &Value) -> BTreeSet<String> {
    let below = |name: String, inner: &Value| paths(inner).into_iter().map(move |path| format!("{name}{path}"));
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().flat_map(|(name, inner)| below(format!(".{name}"), inner)).collect()
        }
        Value::Array(items) if !items.is_empty() => items.iter().flat_map(|item| below("[]".into(), item)).collect(),
        _ => BTreeSet::from([String::new()]),
    }
}

/// The same object with another spec.
pub fn with_spec(saas: &Value, spec: Value) -> Value {
    let mut next = saas.clone();
    next["spec"] = spec;
    next
}

fn put(value: &mut Value, path: &[String], word: Value) {
    let Some((name, rest)) = path.split_first() else { return *value = word };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    put(&mut value[name.as_str()], rest, word);
}

fn take(value: &mut Value, path: &[String]) {
    let Some((name, rest)) = path.split_first() else { return };
    let Some(map) = value.as_object_mut() else { return };
    match map.get_mut(name) {
        Some(inner) if !rest.is_empty() => take(inner, rest),
        _ => drop(map.remove(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_is_the_same_for_the_same_seed_and_every_step_is_valid() {
        let saas = json!({
            "apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment", "metadata": {"name": "a", "namespace": "n"},
            "spec": {"image": "a:1"},
        });
        let words =
            Vocabulary::of(&[json!({"image": "a:2", "replicas": 2, "env": {"A": "1"}, "domains": ["a.example.com"]})]);
        let walk = |seed| words.walk(&saas, seed, 6);
        assert_eq!(walk(7), walk(7));
        assert_ne!(walk(7), walk(8));
        assert!(walk(7).iter().all(|step| judge::faults(step, None).is_empty()));
    }
}
