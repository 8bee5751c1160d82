//! The laws by their ids, each with the plans that try to break it.

use serde_json::{Value, json};

use crate::place::State;
use crate::run::Ended;
use crate::script;
use crate::search::{Budget, Case, Tally, fault_plans, walk};
use crate::walk::Vocabulary;

/// The manifests that go live in simulations.
const MANIFESTS: [(&str, &str); 2] = [
    ("shop", include_str!("../manifests/shop.yaml")),
    ("csvboard", include_str!("../../../examples/s0-csvboard.yaml")),
];

/// How much of everything is tried.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Every so many crash points and faults.
    pub stride: usize,
    /// Whether a crash is followed by a crash of its recovery.
    pub pairs: bool,
    /// Random walks.
    pub walks: u64,
}

/// A law and what came of trying to break it.
pub struct Finding {
    pub id: &'static str,
    pub what: &'static str,
    pub tally: Tally,
}

/// The SaasDeployments that are simulated.
pub fn subjects() -> Vec<Value> {
    MANIFESTS.iter().flat_map(|(_, text)| script::documents(text)).collect()
}

/// Tries to break every law, within the budget.
pub fn all(effort: Effort, budget: Budget) -> Vec<Finding> {
    let (mut crashes, mut faults, mut deletions) = (Tally::default(), Tally::default(), Tally::default());
    for saas in subjects() {
        let (case, ended) = go_live(&saas);
        crashes = crashes.and(case.crashes(&ended, effort, budget));
        faults = faults.and(case.faults(&fault_plans(&ended), effort, budget));
        let (case, ended) = farewell(&saas, ended.state);
        deletions = deletions.and(case.crashes(&ended, effort, budget));
        deletions = deletions.and(case.faults(&fault_plans(&ended), effort, budget));
    }
    vec![
        Finding { id: "T1", what: "crash before and after each write", tally: crashes },
        Finding { id: "T3", what: "each request goes wrong in each way", tally: faults },
        Finding { id: "R5", what: "deletion, with crashes and faults: nothing is left", tally: deletions },
        Finding { id: "T4", what: "random walks over specs", tally: walks(effort, budget) },
    ]
}

/// From nothing to live.
pub fn go_live(saas: &Value) -> (Case, Ended) {
    let name = saas["metadata"]["name"].as_str().unwrap_or_default();
    Case::new(name, State::new(), script::go_live(saas))
}

/// From live to nothing.
pub fn farewell(saas: &Value, live: State) -> (Case, Ended) {
    let name = format!("{} deleted", saas["metadata"]["name"].as_str().unwrap_or_default());
    let mut acts = script::go_live(saas);
    acts.push(script::delete(saas));
    Case::new(&name, live, acts)
}

fn walks(effort: Effort, budget: Budget) -> Tally {
    let subjects = subjects();
    let words = Vocabulary::of(&subjects.iter().map(|saas| saas["spec"].clone()).collect::<Vec<_>>());
    let seeds: Vec<u64> = (0..effort.walks).collect();
    let start = |seed: u64| &subjects[usize::try_from(seed).unwrap_or(0) % subjects.len()];
    budget.work(&seeds, |seed| walk(&words, start(*seed), *seed, 4))
}

/// The findings as JSON, for reports.
pub fn report(findings: &[Finding]) -> Value {
    let line =
        |f: &Finding| json!({"id": f.id, "what": f.what, "plans": f.tally.plans, "breaches": f.tally.breaches.len()});
    json!(findings.iter().map(line).collect::<Vec<_>>())
}
