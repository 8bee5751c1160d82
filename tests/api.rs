//! The definitions of the API: what they accept, what they refuse, and that every leaf obeys the rules.

#[path = "api/leaves.rs"]
mod leaves;

use std::path::Path;

use golive::api::{ProviderAccount, SaasDeployment, crd_yaml, crds};
use golive::offline::judge;
use serde_json::{Value, json};

/// The largest definition, in bytes of JSON: far below what an annotation of kubectl holds.
const LARGEST: usize = 100_000;

/// A file of YAML with its documents.
pub struct File {
    /// Its name.
    pub name: String,
    /// Its first line.
    pub head: String,
    /// Its documents.
    pub documents: Vec<Value>,
}

/// The YAML files of a directory of the repository.
pub fn files(directory: &str) -> Vec<File> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| file(path)).collect()
}

fn file(path: &Path) -> File {
    let text = std::fs::read_to_string(path).unwrap();
    let documents = serde_saphyr::from_multiple(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    File { name: path.display().to_string(), head: text.lines().next().unwrap_or_default().to_owned(), documents }
}

#[test]
fn every_example_is_accepted() {
    let all = files("examples");
    assert_eq!(all.len(), 7);
    for file in all {
        for document in &file.documents {
            assert_eq!(judge::faults(document, None), Vec::<String>::new(), "{}", file.name);
        }
    }
}

#[test]
fn every_example_survives_our_types() {
    for file in files("examples") {
        for document in &file.documents {
            let typed = match document["kind"].as_str().unwrap() {
                "SaasDeployment" => json!(serde_json::from_value::<SaasDeployment>(document.clone()).unwrap()),
                _ => json!(serde_json::from_value::<ProviderAccount>(document.clone()).unwrap()),
            };
            assert_eq!(lost(document, &typed, ""), Vec::<String>::new(), "{}", file.name);
        }
    }
}

/// The fields of `before` that are not in `after`, or are others there.
fn lost(before: &Value, after: &Value, path: &str) -> Vec<String> {
    match (before, after) {
        (Value::Object(fields), Value::Object(_)) => {
            let inside = fields.iter().flat_map(|(key, value)| lost(value, &after[key], &format!("{path}.{key}")));
            inside.collect()
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let pairs = old.iter().zip(new).enumerate();
            pairs.flat_map(|(i, (old, new))| lost(old, new, &format!("{path}[{i}]"))).collect()
        }
        _ if before == after => Vec::new(),
        _ => vec![format!("{path}: {before} became {after}")],
    }
}

#[test]
fn our_types_and_the_schema_default_alike() {
    for file in files("examples") {
        for document in &file.documents {
            let saas: SaasDeployment = match document["kind"] == "SaasDeployment" {
                true => serde_json::from_value(document.clone()).unwrap(),
                false => continue,
            };
            let defaulted = judge::defaulted(document);
            assert_eq!(json!(saas.spec), defaulted["spec"], "{}", file.name);
        }
    }
}

#[test]
fn every_refused_file_is_refused_for_its_reason() {
    let all = files("tests/api/refused");
    assert!(all.len() >= 25);
    for file in all {
        let expected = file.head.strip_prefix("# expect: ").unwrap_or_else(|| panic!("{} expects nothing", file.name));
        let (last, before) = file.documents.split_last().unwrap();
        let faults = judge::faults(last, before.first());
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{}: {faults:#?}", file.name);
    }
}

#[test]
fn every_rule_across_fields_refuses_some_file() {
    let heads: Vec<String> =
        files("tests/api/refused").into_iter().map(|file| file.head.replace("# expect: ", "")).collect();
    let unused = |message: &String| !heads.iter().any(|head| message.contains(head.as_str()));
    let unproven: Vec<String> = crds().iter().flat_map(leaves::messages).filter(unused).collect();
    assert_eq!(unproven, Vec::<String>::new());
}

#[test]
fn every_leaf_obeys_the_rules() {
    for crd in crds() {
        let name = crd["metadata"]["name"].as_str().unwrap();
        assert_eq!(leaves::faults(&crd), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn the_rules_find_what_breaks_them() {
    let broken = json!({"type": "object", "properties": {
        "text": {"type": "string", "description": "text is unbounded."},
        "list": {"type": "array", "description": "list has no kind.", "items": {"type": "boolean"}},
        "count": {"type": "integer", "format": "uint32", "description": "count is not."},
        "none": {"type": "boolean", "description": "none is nullable.", "nullable": true},
        "silent": {"type": "boolean"},
        "ruled": {"type": "boolean", "description": "ruled has no message.", "x-kubernetes-validations": [{"rule": "self"}]},
    }});
    for field in ["text", "list", "count", "none", "silent", "ruled"] {
        let found = leaves::of(&broken, "");
        assert!(found.iter().any(|fault| fault.starts_with(&format!(".{field}"))), "{field}: {found:?}");
    }
}

#[test]
fn definitions_are_small() {
    for crd in crds() {
        let size = serde_json::to_string(&crd).unwrap().len();
        assert!(size < LARGEST, "{} has {size} bytes", crd["metadata"]["name"]);
    }
}

#[test]
fn nothing_is_ready_before_it_was_seen() {
    for crd in crds() {
        let status = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["default"];
        assert_eq!((&status["observedGeneration"], &status["conditions"][0]["type"]), (&json!(-1), &json!("Ready")));
        assert_eq!(status["conditions"][0]["status"], "Unknown");
    }
}

#[test]
fn the_definitions_in_the_tree_are_those_of_the_code() {
    let code = crd_yaml().unwrap();
    for copy in ["crds/golive.yaml", "charts/golive/files/crds.yaml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(copy);
        assert_eq!(std::fs::read_to_string(path).unwrap(), code, "write it anew: cargo run -- crd > {copy}");
    }
}
