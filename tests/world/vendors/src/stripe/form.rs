//! Form bodies with nested names (`metadata[owner]=x`, `enabled_events[]=y`), decoded to a tree of JSON strings.

use serde_json::{Map, Value};

/// Decodes `application/x-www-form-urlencoded` text.
pub fn decode(body: &[u8]) -> Map<String, Value> {
    tree(form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), value.into_owned())))
}

/// Builds the tree of decoded pairs.
pub fn tree(pairs: impl IntoIterator<Item = (String, String)>) -> Map<String, Value> {
    let mut root = Map::new();
    for (name, value) in pairs {
        insert(&mut root, &path(&name), value);
    }
    root.into_iter().map(|(name, value)| (name, listed(value))).collect()
}

fn path(name: &str) -> Vec<&str> {
    let (first, rest) = name.split_once('[').unwrap_or((name, ""));
    let inner = rest.split('[').map(|part| part.trim_end_matches(']'));
    if rest.is_empty() { vec![first] } else { std::iter::once(first).chain(inner).collect() }
}

fn insert(parent: &mut Map<String, Value>, path: &[&str], value: String) {
    let Some((first, rest)) = path.split_first() else { return };
    let name = if first.is_empty() { parent.len().to_string() } else { (*first).to_string() };
    if rest.is_empty() {
        parent.insert(name, Value::String(value));
        return;
    }
    let child = parent.entry(name).or_insert_with(|| Value::Object(Map::new()));
    if !child.is_object() {
        *child = Value::Object(Map::new());
    }
    if let Value::Object(child) = child {
        insert(child, rest, value);
    }
}

/// Objects whose names are 0, 1, 2, ... are lists.
fn listed(value: Value) -> Value {
    let Value::Object(children) = value else { return value };
    let mut children: Vec<(String, Value)> = children.into_iter().map(|(name, value)| (name, listed(value))).collect();
    children.sort_by_key(|(name, _)| name.parse::<usize>().unwrap_or(usize::MAX));
    let numbered = children.iter().enumerate().all(|(place, (name, _))| name == &place.to_string());
    if numbered && !children.is_empty() {
        return Value::Array(children.into_iter().map(|(_, value)| value).collect());
    }
    Value::Object(children.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_in_brackets_become_lists_and_objects() {
        let body = b"url=https%3A%2F%2Fa&enabled_events[1]=y&enabled_events[0]=x&metadata[uid]=7&expand[]=a&expand[]=b&metadata[a]=";
        let tree = Value::Object(decode(body));
        let wanted = json!({"url": "https://a", "enabled_events": ["x", "y"], "metadata": {"uid": "7", "a": ""}, "expand": ["a", "b"]});
        assert_eq!(tree, wanted);
    }
}
