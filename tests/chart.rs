//! The chart follows the code: its definitions, its rights and the values it hands over.

#[path = "chart/rendered.rs"]
mod rendered;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use golive::config::Config;
use golive::ground::Plot;
use golive::kinds::Kind;
use kube::core::ApiResource;
use serde_json::{Value, json};

fn chart(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/golive").join(file);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The rules of the roles of one kind, with the only values that templates fill in filled in.
fn rules(role: &str) -> Vec<Value> {
    let text = chart("templates/rbac.yaml")
        .replace("{{ toJson $write }}", r#"["list", "watch", "create", "patch", "delete"]"#);
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("{{")).collect();
    let documents = lines.join("\n");
    let roles = documents.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
    roles
        .filter(|object| object["kind"] == role)
        .flat_map(|object| object["rules"].as_array().unwrap().clone())
        .collect()
}

fn has(list: &Value, word: &str) -> bool {
    list.as_array().unwrap().contains(&json!(word))
}

/// The verbs granted for a resource of a group.
fn verbs(role: &str, group: &str, resource: &str) -> BTreeSet<String> {
    let granted =
        rules(role).into_iter().filter(|rule| has(&rule["apiGroups"], group) && has(&rule["resources"], resource));
    granted
        .flat_map(|rule| rule["verbs"].as_array().unwrap().clone())
        .map(|verb| verb.as_str().unwrap().to_owned())
        .collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn its_definitions_are_those_of_the_code() {
    let made = golive::api::crd_yaml().unwrap();
    assert!(chart("files/crds.yaml") == made, "run `golive crd > charts/golive/files/crds.yaml`");
}

#[test]
fn every_kind_that_is_written_may_be_written() {
    for kind in Kind::ALL {
        let resource = kind.resource();
        let granted = verbs("ClusterRole", &resource.group, &resource.plural);
        let mut needed = set(&["list", "watch", "create", "patch", "delete"]);
        if [Kind::ServiceAccount, Kind::PersistentVolumeClaim].contains(&kind) {
            needed.remove("delete");
        }
        assert!(granted.is_superset(&needed), "{}: {granted:?}", resource.plural);
    }
}

#[test]
fn the_arrival_of_every_optional_kind_may_be_watched_and_no_other_definition() {
    let rules = rules("ClusterRole");
    let definitions = |rule: &&Value| has(&rule["resources"], "customresourcedefinitions");
    let granted: BTreeSet<String> = rules
        .iter()
        .filter(definitions)
        .flat_map(|rule| rule["resourceNames"].as_array().unwrap())
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    let kinds = Kind::ALL.into_iter().filter(|kind| kind.is_optional()).map(|kind| kind.resource());
    let laid = Plot::GatewayClass(String::new()).site().resource;
    let brought = |resource: ApiResource| format!("{}.{}", resource.plural, resource.group);
    assert_eq!(granted, kinds.chain([laid]).map(brought).collect());
}

#[test]
fn what_routes_rest_on_may_be_followed_and_not_changed() {
    for plot in [Plot::GatewayClass("c".into()), Plot::IngressClass("c".into())] {
        let resource = plot.site().resource;
        assert_eq!(verbs("ClusterRole", &resource.group, &resource.plural), set(&["list", "watch"]), "{plot:?}");
    }
}

#[test]
fn secrets_of_tenants_cannot_be_listed() {
    assert_eq!(verbs("ClusterRole", "", "secrets"), set(&["get", "create", "patch", "delete"]));
    assert_eq!(verbs("Role", "", "secrets"), set(&["list", "watch"]));
}

#[test]
fn no_right_is_granted_by_a_wildcard() {
    for rule in rules("ClusterRole").into_iter().chain(rules("Role")) {
        let wild = ["apiGroups", "resources", "verbs"].iter().any(|field| has(&rule[*field], "*"));
        assert!(!wild, "{rule}");
    }
}

#[test]
fn every_field_of_the_configuration_is_a_value_and_no_other() {
    let config = Config { cluster_id: Some(String::new()), ..Config::default() };
    let mut fields: BTreeSet<String> = json!(config).as_object().unwrap().keys().cloned().collect();
    assert!(fields.remove("trustFile"), "the chart sets it from `trust`");
    let schema: Value = serde_json::from_str(&chart("values.schema.json")).unwrap();
    let values = serde_saphyr::from_str::<Value>(&chart("values.yaml")).unwrap();
    let keys = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    assert_eq!(keys(&schema["properties"]["config"]["properties"]), fields);
    assert_eq!(keys(&values["config"]), fields);
}
