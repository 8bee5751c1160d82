//! Everything that golive makes of a manifest, whole: its objects in the cluster, its rows at vendors, its status.
//! `GOLDEN=write cargo test -p sim --test portraits` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sim::laws::subjects;
use sim::place::State;
use sim::run::{Act, Run};
use sim::{portrait, script};

/// The subjects of the laws, and the examples.
fn manifests() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let mut all: Vec<Value> = files.flat_map(|text| script::documents(&text)).chain(subjects()).collect();
    all.retain(|object| object["kind"] == "SaasDeployment" && !object["metadata"]["namespace"].is_null());
    all.sort_by_key(|saas| saas["metadata"]["name"].to_string());
    all.dedup_by_key(|saas| saas["metadata"]["name"].to_string());
    all
}

fn drawn(saas: &Value) -> Value {
    let ended = Run::of(&script::go_live(saas)).from(State::new());
    assert!(ended.rests, "{} does not come to rest", saas["metadata"]["name"]);
    let mut portrait = portrait::of(&ended.state);
    let ground: Vec<String> = script::ground(saas).iter().filter_map(named).collect();
    let within = format!("/{}/", script::namespace(saas));
    let theirs = |name: &str| !name.contains(&within) || ground.iter().any(|own| own == name);
    if let Some(objects) = portrait["cluster"].as_object_mut() {
        objects.retain(|name, _| !theirs(name));
    }
    portrait["status"] = status(&ended.state);
    portrait
}

/// The name of an object in a portrait.
fn named(act: &Act) -> Option<String> {
    let Act::Apply(object) = act else { return None };
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    Some(format!("{}/{}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name")))
}

/// All that users are told.
fn status(state: &State) -> Value {
    let mut status = state.cluster.of_kind("SaasDeployment").map(|saas| saas.value["status"].clone()).next().unwrap();
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        condition.as_object_mut().unwrap().remove("lastTransitionTime");
    }
    status
}

fn file(saas: &Value) -> PathBuf {
    let name = saas["metadata"]["name"].as_str().unwrap();
    Path::new(env!("CARGO_MANIFEST_DIR")).join("portraits").join(format!("{name}.yaml"))
}

#[test]
fn every_manifest_comes_to_what_is_drawn() {
    assert!(manifests().len() > 7);
    for saas in manifests() {
        let (file, drawn) = (file(&saas), serde_saphyr::to_string(&drawn(&saas)).unwrap());
        if std::env::var("GOLDEN").is_ok_and(|mode| mode == "write") {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &drawn).unwrap();
        }
        assert_eq!(drawn, fs::read_to_string(&file).unwrap_or_default(), "{}", file.display());
    }
}
