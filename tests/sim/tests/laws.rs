//! A part of the laws, small enough for every run; `make laws` tries far more.

use std::time::{Duration, Instant};

use sim::laws::{Effort, Finding, all, go_live, subjects};
use sim::place::State;
use sim::run::{Act, Run};
use sim::script;
use sim::search::Budget;
use sim::trouble::{Trouble, Troubles};

fn budget() -> Budget {
    Budget { until: Instant::now() + Duration::from_secs(3600), threads: 2 }
}

fn told(finding: &Finding) -> String {
    format!("{} {}: {:#?}", finding.id, finding.what, finding.tally.breaches)
}

#[test]
fn no_crash_no_fault_and_no_way_leads_elsewhere() {
    for finding in all(Effort { stride: 23, pairs: false, walks: 8 }, budget()) {
        assert!(finding.tally.plans > 3, "{} tried nothing", finding.id);
        assert!(finding.tally.breaches.is_empty(), "{}", told(&finding));
    }
}

#[test]
fn a_world_at_rest_is_live_and_its_laws_are_not_empty() {
    let (case, ended) = go_live(&subjects()[0]);
    assert!(ended.rests && ended.writes.len() > 20, "{} writes", ended.writes.len());
    // A row that goes missing without anybody's wish is a breach.
    let mut robbed = ended;
    robbed.state.vendors = State::new().vendors;
    assert!(!case.breaches(&robbed).is_empty());
}

#[test]
fn a_silent_api_server_does_not_hold_the_operator_for_ever() {
    let saas = subjects()[0].clone();
    let script: Vec<Act> = script::go_live(&saas);
    let silence = Trouble::Silence { done: false };
    let troubles = Troubles::one("GET /apis/golive.dev/v1alpha1/saasoperations", 0, silence);
    let (case, _) = go_live(&saas);
    // Nobody writes while the first list hangs, so the world may seem to rest: the next act waits for it.
    let mut twice = script.clone();
    twice.push(Act::Apply(saas));
    let ended = Run { troubles, ..Run::of(&twice) }.from(State::new());
    assert_eq!(case.breaches(&ended), Vec::<String>::new());
}
