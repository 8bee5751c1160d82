//! States of the world as earlier versions left them, in `states`: files named `VERSION-SUBJECT-MOMENT.json`. Each was written
//! by the operator of its version, at rest or in the middle of work, and every later version has to take it on.
//!
//! The CA's part is not kept: an account and orders that the CA has forgotten are taken on as well.

use std::fs;
use std::path::PathBuf;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::place::State;

/// Where the files are.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("states")
}

/// The saved states of a subject with their files' names, its script being at its end.
///
/// # Panics
/// A file cannot be read.
pub fn of(subject: &str, step: usize) -> Vec<(String, State)> {
    let entries = fs::read_dir(folder()).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|file| file.to_string_lossy().contains(&format!("-{subject}-"))).collect();
    files.sort();
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let saved = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        (name, State { step, ..restored(&saved) })
    };
    files.into_iter().map(read).collect()
}

/// A state as it is saved.
pub fn saved(state: &State) -> Value {
    let objects: Vec<&Value> = state.cluster.every().map(|(_, object)| &object.value).collect();
    json!({"objects": objects, "vendors": state.vendors, "seconds": state.at.as_secs(), "chance": state.chance})
}

/// A state as it was saved.
///
/// # Panics
/// It is none.
pub fn restored(saved: &Value) -> State {
    let objects = saved["objects"].as_array().cloned().unwrap_or_default();
    let vendors = serde_json::from_value(saved["vendors"].clone()).unwrap_or_else(|e| panic!("vendors: {e}"));
    let at = SignedDuration::from_secs(saved["seconds"].as_i64().unwrap_or_default());
    let chance = saved["chance"].as_u64().unwrap_or_default();
    State { cluster: Cluster::of(objects), vendors, at, since: at, chance, ..State::new() }
}
