//! Runs scripts in a simulated world from the command line.

use std::time::Instant;

use serde_json::{Value, json};
use sim::place::State;
use sim::run::{Act, Run};

fn main() {
    let file = std::env::args().nth(1).expect("a manifest");
    let text = std::fs::read_to_string(file).expect("readable");
    let value: Value = serde_saphyr::from_str(&text).expect("yaml");
    let ns = value["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
    let mut state = State::new();
    state.apply(
        &json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":ns,"labels":{"golive.dev/tenant":"yes"}}}),
        "kubectl",
    );
    let script = [Act::Apply(value)];
    for _ in 0..3 {
        let t = Instant::now();
        let ended = Run::of(&script).from(state.clone());
        println!(
            "{:?} requests {} writes {} rests {} at {}",
            t.elapsed(),
            ended.requests,
            ended.writes.len(),
            ended.rests,
            ended.state.at
        );
        if std::env::args().nth(2).is_some() {
            for w in &ended.writes {
                println!("{} {}", w.at, w.what);
            }
            for s in ended.state.cluster.of_kind("SaasDeployment") {
                println!("{}", serde_json::to_string_pretty(&s.value["status"]["conditions"]).unwrap_or_default());
            }
            println!("{}", ended.state.vendors.inventory(true));
            break;
        }
    }
}
