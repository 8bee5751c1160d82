//! Whether an object is as it was declared; and where it is not, what stands there.

use std::collections::BTreeMap;

use kube::api::DynamicObject;
use serde_json::{Map, Value};

use crate::plan::names::hash_of;

/// The places where an object is not as declared, as in `spec.template.spec.containers[app].image`, with the hash of what
/// stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strays(BTreeMap<String, String>);

/// How many places are told.
const TOLD: usize = 4;

impl Strays {
    /// Where an object is not as wanted.
    pub fn of(found: &DynamicObject, wanted: &Value) -> Strays {
        let mut strays = Strays::default();
        if is_same(found, wanted) {
            return strays;
        }
        for (field, wanted) in wanted.as_object().into_iter().flatten() {
            match field.as_str() {
                "metadata" => strays.see_marks(found, wanted),
                "apiVersion" | "kind" => {}
                _ => strays.see(field.clone(), found.data.get(field), wanted),
            }
        }
        strays
    }

    /// Those that are not among these.
    pub fn beyond(&self, known: &Strays) -> Strays {
        let new = self.0.iter().filter(|(place, stands)| known.0.get(*place) != Some(stands));
        Strays(new.map(|(place, stands)| (place.clone(), stands.clone())).collect())
    }

    /// What cannot be compared is not as wanted.
    pub fn unknown() -> Strays {
        Strays([("everything".to_owned(), String::new())].into())
    }

    /// Whether one of these labels or annotations is among them.
    pub fn has_mark(&self, marks: &[&str]) -> bool {
        let is_one = |place: &String| marks.iter().any(|mark| place.ends_with(&format!("[{mark}]")));
        self.0.keys().any(|place| place.starts_with("metadata.") && is_one(place))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, place: String, found: Option<&Value>) {
        self.0.insert(place, hash_of(&found, 16));
    }

    fn see_marks(&mut self, found: &DynamicObject, wanted: &Value) {
        for (place, have) in stray_marks(found, wanted) {
            self.add(place, have.map(Value::from).as_ref());
        }
    }

    /// Goes down to the innermost places that differ.
    fn see(&mut self, place: String, found: Option<&Value>, wanted: &Value) {
        if holds(found, wanted) {
            return;
        }
        match (found, wanted) {
            (Some(Value::Object(have)), Value::Object(fields)) => {
                for (key, wanted) in fields {
                    let (place, have) = (format!("{place}.{key}"), have.get(key));
                    match is_added_to(key, have, wanted) {
                        true => self.add(place, have),
                        false => self.see(place, have, wanted),
                    }
                }
            }
            (Some(Value::Array(have)), Value::Array(items)) if is_named(items) => {
                for wanted in items {
                    let one = have.iter().find(|one| name(one) == name(wanted));
                    self.see(format!("{place}[{}]", name(wanted).unwrap_or_default()), one, wanted);
                }
            }
            (found, _) => self.add(place, found),
        }
    }
}

impl std::fmt::Display for Strays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told: Vec<&str> = self.0.keys().take(TOLD).map(String::as_str).collect();
        f.write_str(&told.join(", "))?;
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Whether an object has every mark and field that is wanted.
fn is_same(found: &DynamicObject, wanted: &Value) -> bool {
    let fields = wanted.as_object().into_iter().flatten();
    stray_marks(found, &wanted["metadata"]).next().is_none()
        && fields
            .filter(|(name, _)| !["metadata", "apiVersion", "kind"].contains(&name.as_str()))
            .all(|(name, value)| holds(found.data.get(name), value))
}

/// Labels and annotations that are not as declared, with what stands there: gateways are told things by annotations.
fn stray_marks<'a>(found: &'a DynamicObject, wanted: &'a Value) -> impl Iterator<Item = (String, Option<&'a str>)> {
    let marks = [("labels", &found.metadata.labels), ("annotations", &found.metadata.annotations)];
    marks.into_iter().flat_map(move |(field, have)| {
        let wanted = wanted[field].as_object().into_iter().flatten();
        wanted.filter_map(move |(key, value)| {
            let have = have.as_ref().and_then(|have| have.get(key)).map(String::as_str);
            (have != value.as_str()).then(|| (format!("metadata.{field}[{key}]"), have))
        })
    })
}

/// Lists and maps to which nobody else may add: an application's environment, its mounts and its ports; where routes lead and
/// what they hang on; and selectors, for one more label and they select nothing.
const CLOSED: [&str; 10] = [
    "env",
    "envFrom",
    "volumeMounts",
    "ports",
    "backendRefs",
    "parentRefs",
    "selector",
    "matchLabels",
    "podSelector",
    "namespaceSelector",
];

/// Whether `found` has everything that `wanted` says; the API server may have added to it.
fn holds(found: Option<&Value>, wanted: &Value) -> bool {
    match (found, wanted) {
        (_, Value::Null) => true,
        (Some(Value::Object(found)), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| holds(found.get(key), value) && !is_added_to(key, found.get(key), value))
        }
        (Some(Value::Array(found)), Value::Array(wanted)) => list_holds(found, wanted),
        (Some(found), wanted) => found == wanted || is_same_quantity(found, wanted),
        (None, wanted) => is_empty(wanted),
    }
}

/// Whether a list or map that is ours alone is longer than declared.
fn is_added_to(key: &str, found: Option<&Value>, wanted: &Value) -> bool {
    let length = |value: &Value| value.as_array().map(Vec::len).or(value.as_object().map(Map::len));
    CLOSED.contains(&key) && found.and_then(length).is_some_and(|found| Some(found) != length(wanted))
}

/// Lists of named things may have been added to by others; all other lists are equal in length and order.
fn list_holds(found: &[Value], wanted: &[Value]) -> bool {
    if is_named(wanted) {
        return wanted.iter().all(|want| found.iter().any(|have| name(have) == name(want) && holds(Some(have), want)));
    }
    found.len() == wanted.len() && found.iter().zip(wanted).all(|(have, want)| holds(Some(have), want))
}

fn name(value: &Value) -> Option<&str> {
    value.get("name")?.as_str()
}

/// Whether a list is one of named things.
fn is_named(list: &[Value]) -> bool {
    !list.is_empty() && list.iter().all(|value| name(value).is_some())
}

/// Whether the API server may leave out a field of this value: of types in Go it writes no empty ones, so that of
/// `value: ""` in an environment nothing comes back.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// `1000m` and `1`, `1024Mi` and `1Gi`: the API server writes quantities in its own way.
fn is_same_quantity(found: &Value, wanted: &Value) -> bool {
    let amount = |value: &Value| quantity(value.as_str()?);
    matches!((amount(found), amount(wanted)), (Some(a), Some(b)) if a == b)
}

/// A quantity in thousandths: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.
fn quantity(text: &str) -> Option<u128> {
    let units = [
        ("Ki", 1_024_000),
        ("Mi", 1_048_576_000),
        ("Gi", 1_073_741_824_000),
        ("Ti", 1_099_511_627_776_000),
        ("m", 1),
        ("k", 1_000_000),
        ("M", 1_000_000_000),
        ("G", 1_000_000_000_000),
        ("T", 1_000_000_000_000_000),
        ("", 1_000),
    ];
    let (number, scale) = units.into_iter().find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = u32::try_from(fraction.len()).ok()?;
    let value: u128 = format!("{whole}{fraction}").parse().ok()?;
    Some(value.checked_mul(scale)? / 10u128.checked_pow(digits)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::objects::APPLIED;

    #[test]
    fn one_more_label_in_a_selector_or_one_more_backend_is_a_difference() {
        let cases = [
            (json!({"selector": {"app": "a"}}), json!({"selector": {"app": "a", "x": "y"}}), "spec.selector"),
            (
                json!({"selector": {"matchLabels": {"app": "a"}}}),
                json!({"selector": {"matchLabels": {"app": "a", "x": "y"}}}),
                "spec.selector.matchLabels",
            ),
            (json!({"podSelector": {}}), json!({"podSelector": {"matchLabels": {"x": "y"}}}), "spec.podSelector"),
            (
                json!({"rules": [{"backendRefs": [{"name": "a", "port": 80}]}]}),
                json!({"rules": [{"backendRefs": [{"name": "a", "port": 80, "weight": 1}, {"name": "b"}]}]}),
                "spec.rules",
            ),
            (
                json!({"parentRefs": [{"name": "a"}]}),
                json!({"parentRefs": [{"name": "a"}, {"name": "b"}]}),
                "spec.parentRefs",
            ),
        ];
        for (wanted, found, place) in cases {
            let object =
                |spec: &Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": spec});
            let found: DynamicObject = serde_json::from_value(object(&found)).unwrap();
            assert_eq!(Strays::of(&found, &object(&wanted)).to_string(), place);
            let same: DynamicObject = serde_json::from_value(object(&wanted)).unwrap();
            assert!(Strays::of(&same, &object(&wanted)).is_empty());
        }
    }

    #[test]
    fn what_the_server_added_is_no_difference_and_what_somebody_changed_is() {
        let wanted = json!({"replicas": 2, "list": [{"name": "a", "image": "x"}], "gone": {}, "none": []});
        let found =
            json!({"replicas": 2, "list": [{"name": "a", "image": "x", "tty": false}, {"name": "b"}], "more": 1});
        assert!(holds(Some(&found), &wanted));
        let added = json!({"env": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]});
        assert!(!holds(Some(&added), &json!({"env": [{"name": "a", "value": "1"}]})), "an added variable");
        for (pointer, value) in [("/replicas", json!(3)), ("/list/0/image", json!("y")), ("/list", json!([]))] {
            let mut changed = found.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            assert!(!holds(Some(&changed), &wanted), "{pointer}");
        }
    }

    #[test]
    fn an_annotation_that_somebody_took_away_is_a_difference() {
        let wanted =
            json!({"metadata": {"labels": {"a": "b"}, "annotations": {APPLIED: "h", "tls": "true"}}, "spec": {}});
        let found = |labels: Value, annotations: Value| -> DynamicObject {
            let metadata = json!({"name": "n", "labels": labels, "annotations": annotations});
            serde_json::from_value(json!({"apiVersion": "v1", "kind": "K", "metadata": metadata, "spec": {}})).unwrap()
        };
        let whole = json!({APPLIED: "h", "tls": "true", "added": "by a controller"});
        let strays = |object| Strays::of(&object, &wanted).to_string();
        assert_eq!(strays(found(json!({"a": "b", "c": "d"}), whole.clone())), "");
        assert_eq!(strays(found(json!({"a": "b"}), json!({APPLIED: "h"}))), "metadata.annotations[tls]");
        assert_eq!(strays(found(json!({"a": "x"}), whole)), "metadata.labels[a]");
    }

    #[test]
    fn an_empty_text_that_the_api_server_left_out_is_no_difference() {
        let strays = |found: Value, wanted: Value| {
            let object = |env: Value| json!({"apiVersion": "v1", "kind": "K", "metadata": {}, "spec": {"env": [env]}});
            Strays::of(&serde_json::from_value(object(found)).unwrap(), &object(wanted)).to_string()
        };
        assert_eq!(strays(json!({"name": "PROXY"}), json!({"name": "PROXY", "value": ""})), "");
        let told = "spec.env[PROXY].value";
        assert_eq!(strays(json!({"name": "PROXY", "value": "x"}), json!({"name": "PROXY", "value": ""})), told);
        assert_eq!(strays(json!({"name": "PROXY"}), json!({"name": "PROXY", "value": " "})), told);
        assert_eq!(strays(json!({"name": "PROXY"}), json!({"name": "PROXY", "value": false})), told);
    }

    #[test]
    fn what_strays_is_told_by_its_innermost_place_and_compared_by_what_stands_there() {
        let wanted = json!({"spec": {"replicas": 2, "containers": [{"name": "app", "image": "a", "env": [{"name": "A"}]}],
            "hosts": ["x", "y"], "gone": {"deep": 1}}});
        let strays = |spec: Value| {
            let object = json!({"apiVersion": "v1", "kind": "K", "metadata": {}, "spec": spec});
            Strays::of(&serde_json::from_value(object).unwrap(), &wanted)
        };
        let spec = |image: &str, env: Value| {
            json!({"replicas": 2, "containers": [{"name": "app", "image": image, "env": env}, {"name": "side"}],
                "hosts": ["y", "x"]})
        };
        let (one, other) = (json!([{"name": "A"}]), json!([{"name": "A"}, {"name": "B"}]));
        assert_eq!(strays(spec("a", one.clone())).to_string(), "spec.gone, spec.hosts");
        assert_eq!(
            strays(spec("b", other)).to_string(),
            "spec.containers[app].env, spec.containers[app].image, spec.gone, spec.hosts"
        );
        assert_eq!(strays(spec("b", one.clone())), strays(spec("b", one.clone())));
        assert_ne!(strays(spec("b", one.clone())), strays(spec("c", one)));
    }

    /// Every value that comes of a value by taking one thing out, or by putting another in its place.
    fn others(value: &Value) -> Vec<Value> {
        let mut all = vec![json!("other"), json!(7)];
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    let with = |inner| Value::Object(map.clone().into_iter().chain([(key.clone(), inner)]).collect());
                    all.extend(others(inner).into_iter().map(with));
                    all.push(Value::Object(map.clone().into_iter().filter(|(name, _)| name != key).collect()));
                }
            }
            Value::Array(list) => {
                for (at, inner) in list.iter().enumerate() {
                    let with = |inner| {
                        list.iter().enumerate().map(|(i, v)| if i == at { &inner } else { v }.clone()).collect()
                    };
                    all.extend(others(inner).into_iter().map(with));
                    all.push(list.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, v)| v.clone()).collect());
                }
                all.push([list.clone(), vec![json!({"name": "more"})]].concat().into());
            }
            _ => {}
        }
        all
    }

    #[test]
    fn what_is_not_the_same_strays_somewhere() {
        let wanted = json!({"spec": {"replicas": 2, "hosts": ["x", "y"], "cpu": "1000m", "containers": [
            {"name": "app", "image": "a", "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]},
            {"name": "side", "image": "b"}], "empty": {}}});
        let (mut same, mut different) = (0, 0);
        for spec in others(&wanted["spec"]) {
            let object = json!({"apiVersion": "v1", "kind": "K", "metadata": {}, "spec": spec});
            let found: DynamicObject = serde_json::from_value(object).unwrap();
            let strays = Strays::of(&found, &wanted);
            assert_eq!(strays.is_empty(), is_same(&found, &wanted), "{spec}: {strays}");
            if strays.is_empty() { same += 1 } else { different += 1 }
        }
        assert!(same >= 2 && different > 40, "{same} {different}");
    }

    #[test]
    fn quantities_are_compared_by_what_they_mean() {
        for (a, b) in [("1000m", "1"), ("1024Mi", "1Gi"), ("0.5", "500m"), ("2", "2")] {
            assert!(is_same_quantity(&json!(a), &json!(b)), "{a} {b}");
        }
        assert!(!is_same_quantity(&json!("1Gi"), &json!("1G")));
        assert!(!is_same_quantity(&json!("csvboard"), &json!("hello")));
    }

    #[test]
    fn no_text_breaks_the_reader_of_quantities() {
        crate::fuzz::texts(&["1.5Gi", "250m", "99999999999999999999", "1Ti", "0.001k"], 20_000, |text| {
            assert!(quantity(text).is_none() || text.contains(|c: char| c.is_ascii_digit()), "{text}")
        });
    }

    fn strays(places: &[(&str, &str)]) -> Strays {
        Strays(places.iter().map(|(place, stands)| ((*place).to_owned(), (*stands).to_owned())).collect())
    }

    #[test]
    fn what_strays_beyond_what_is_known_is_new_or_stands_there_otherwise() {
        let known = strays(&[("spec.a", "1"), ("spec.b", "1")]);
        assert_eq!(
            strays(&[("spec.a", "1"), ("spec.b", "2"), ("spec.c", "1")]).beyond(&known).to_string(),
            "spec.b, spec.c"
        );
        assert!(known.beyond(&known).is_empty());
        let many = strays(&[("a", ""), ("b", ""), ("c", ""), ("d", ""), ("e", ""), ("f", "")]);
        assert_eq!(many.to_string(), "a, b, c, d and 2 more");
        assert_eq!(many.beyond(&strays(&[("a", ""), ("b", "")])).to_string(), "c, d, e, f");
    }

    #[test]
    fn a_mark_strays_where_it_is_a_label_or_an_annotation_of_the_object_itself() {
        let has = |place: &str| strays(&[(place, "1")]).has_mark(&["golive.dev/part", "golive.dev/owner"]);
        assert!(has("metadata.labels[golive.dev/owner]") && has("metadata.annotations[golive.dev/part]"));
        assert!(!has("metadata.labels[app]") && !has("spec.template.containers[golive.dev/part]"));
        assert!(!strays(&[]).has_mark(&["golive.dev/part"]));
    }

    #[test]
    fn only_places_that_are_not_as_wanted_stray() {
        let stray = |found: Value, wanted: Value| {
            let object = |spec: Value| json!({"apiVersion": "v1", "kind": "K", "metadata": {}, "spec": spec});
            Strays::of(&serde_json::from_value(object(found)).unwrap(), &object(wanted)).to_string()
        };
        let container = |ports: Value| json!({"containers": [{"name": "app", "ports": ports}]});
        let [one, two] = [json!([{"containerPort": 1}]), json!([{"containerPort": 1}, {"containerPort": 2}])];
        assert_eq!(stray(container(two.clone()), container(one.clone())), "spec.containers[app].ports");
        assert_eq!(stray(container(one.clone()), container(two)), "spec.containers[app].ports");
        assert_eq!(stray(container(one.clone()), container(one)), "");
        assert_eq!(stray(json!({"args": ["a", "b"]}), json!({"args": ["a"]})), "spec.args", "no list of named things");
        assert_eq!(stray(json!({"a": {"x": 1}}), json!({"a": []})), "spec.a");
        assert_eq!(stray(json!({"list": [{"name": "a"}]}), json!({"list": []})), "spec.list");
        assert_eq!(stray(json!({}), json!({"none": [], "null": null, "no": false})), "spec.no");
    }

    #[test]
    fn quantities_are_read_to_the_thousandth() {
        let read = [("1.5", 1_500), ("1k", 1_000_000), ("2M", 2_000_000_000), ("0.001", 1), ("7m", 7)];
        let binary = [
            ("1Ki", 1_024_000),
            ("1.5Mi", 1_572_864_000),
            ("1Ti", 1_099_511_627_776_000),
            ("1T", 1_000_000_000_000_000),
        ];
        for (text, amount) in read.into_iter().chain(binary) {
            assert_eq!(quantity(text), Some(amount), "{text}");
        }
        for text in ["", "Gi", "1.2.3", "one", "-1"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }
}
