//! What one version writes, later ones read. `GOLDEN=write cargo test -p sim --test inheritance` saves states of this version:
//! before a release, and never over those of an earlier one.

use std::collections::BTreeSet;
use std::fs;

use golive::VERSION;
use sim::doors::Write;
use sim::laws::{go_live, subjects};
use sim::saved;

/// Moments in the middle of work, by what was just done: what is noted then is what a successor needs most.
const MOMENTS: [(&str, &str); 3] = [
    ("ordered", "POST ca /order"),
    ("endpoint-made", "POST stripe /v1/webhook_endpoints"),
    ("monitor-made", "POST uptimerobot /v3/monitors"),
];

#[test]
fn states_of_this_version_are_kept_for_later_ones() {
    if std::env::var("GOLDEN").is_ok_and(|mode| mode == "write") {
        save();
    }
    let kept: BTreeSet<String> =
        subjects().iter().flat_map(|saas| saved::of(&name(saas), 0)).map(|(name, _)| name).collect();
    for saas in subjects() {
        for moment in MOMENTS.map(|(moment, _)| moment).into_iter().chain(["live"]) {
            let wanted = format!("{VERSION}-{}-{moment}", name(&saas));
            assert!(kept.contains(&wanted), "{wanted} is not kept: GOLDEN=write saves it");
        }
    }
}

fn name(saas: &serde_json::Value) -> String {
    saas["metadata"]["name"].as_str().unwrap().to_owned()
}

fn save() {
    fs::create_dir_all(saved::folder()).unwrap();
    for saas in subjects() {
        let (_, ended) = go_live(&saas);
        let moment = |(moment, what): (&'static str, &str)| {
            let after = |write: &Write| write.what.starts_with(what).then(|| write.states.clone().unwrap().1);
            (moment, ended.writes.iter().find_map(after).unwrap_or_else(|| panic!("nobody did {what}")))
        };
        let moments = MOMENTS.map(moment).into_iter().chain([("live", ended.state.clone())]);
        for (moment, state) in moments {
            let file = saved::folder().join(format!("{VERSION}-{}-{moment}.json", name(&saas)));
            fs::write(file, format!("{}\n", saved::saved(&state))).unwrap();
        }
    }
}

#[test]
fn a_state_is_restored_as_it_was_saved() {
    let (_, ended) = go_live(&subjects()[0]);
    let once = saved::saved(&ended.state);
    assert_eq!(saved::saved(&saved::restored(&once)), once);
}
