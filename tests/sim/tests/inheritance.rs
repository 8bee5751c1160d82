//! What one version writes, later ones read. `GOLDEN=write cargo test -p sim --test inheritance` saves states of this version:
//! before a release, and never over those of an earlier one.

use std::fs;

use golive::VERSION;
use serde_json::Value;
use sim::doors::Write;
use sim::laws::{go_live, subjects};
use sim::place::State;
use sim::saved;

/// Moments in the middle of work, by what was just done: what is noted then is what a successor needs most.
const MOMENTS: [(&str, &str); 3] = [
    ("ordered", "POST ca /order"),
    ("endpoint-made", "POST stripe /v1/webhook_endpoints"),
    ("monitor-made", "POST uptimerobot /v3/monitors"),
];

#[test]
fn states_of_this_version_are_kept_for_later_ones() {
    let shop = moments(&subjects()[0]);
    assert_eq!(shop.len(), MOMENTS.len() + 1, "each moment comes in the life of this one");
    let writes = std::env::var("GOLDEN").is_ok_and(|mode| mode == "write");
    for (name, state) in subjects().iter().flat_map(moments) {
        let file = saved::folder().join(format!("{name}.json"));
        if writes && !file.exists() {
            fs::write(&file, format!("{}\n", saved::saved(&state))).unwrap();
        }
        assert!(file.exists(), "{name} is not kept: GOLDEN=write saves it");
    }
}

/// The moments of a go-live, by the names of their files.
fn moments(saas: &Value) -> Vec<(String, State)> {
    let (_, ended) = go_live(saas);
    let after = |write: &Write, what| write.what.starts_with(what).then(|| write.states.clone().unwrap().1);
    let within = MOMENTS
        .iter()
        .filter_map(|(moment, what)| Some((*moment, ended.writes.iter().find_map(|write| after(write, *what))?)));
    let named = |(moment, state)| (format!("{VERSION}-{}-{moment}", saas["metadata"]["name"].as_str().unwrap()), state);
    within.chain([("live", ended.state.clone())]).map(named).collect()
}

#[test]
fn a_state_is_restored_as_it_was_saved() {
    let (_, ended) = go_live(&subjects()[0]);
    let once = saved::saved(&ended.state);
    assert_eq!(saved::saved(&saved::restored(&once)), once);
}
