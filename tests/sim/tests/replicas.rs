//! Two replicas and one Lease: whatever their clocks say, one leads.

use jiff::SignedDuration;
use serde_json::Value;
use sim::laws::{go_live, subjects};
use sim::place::State;
use sim::run::{Ended, Run};
use sim::trouble::{Rule, Trouble, Troubles};

/// Two replicas, the clock of the second so many seconds ahead, with more that goes wrong.
fn two(ahead: i64, rules: Vec<Rule>) -> (Vec<String>, Ended) {
    let (case, _) = go_live(&subjects()[0]);
    let troubles = Troubles { standby: Some(SignedDuration::from_secs(ahead)), rules, ..Troubles::default() };
    let ended = Run { troubles, replicas: 2, ..Run::of(&case.script) }.from(State::new());
    (case.breaches(&ended), ended)
}

fn lease(ended: &Ended) -> Value {
    ended.state.cluster.of_kind("Lease").next().unwrap().value["spec"].clone()
}

#[test]
fn a_standby_whose_clock_is_ahead_takes_no_lease_of_a_leader_that_lives() {
    for ahead in [-600, 30, 600] {
        let (breaches, ended) = two(ahead, Vec::new());
        assert_eq!(breaches, Vec::<String>::new());
        assert_eq!(lease(&ended)["leaseTransitions"], 1, "{ahead} s");
    }
}

#[test]
fn a_leader_whose_watches_fill_slowly_keeps_its_lease() {
    let silence = Trouble::Silence { done: false };
    let what = "GET /apis/golive.dev/v1alpha1/saasoperations".to_owned();
    let (breaches, ended) = two(0, vec![Rule { what, after: 0, times: 1, trouble: silence }]);
    assert_eq!(breaches, Vec::<String>::new());
    assert_eq!(lease(&ended)["leaseTransitions"], 1);
}

#[test]
fn a_leader_that_cannot_renew_gives_way() {
    let cut = Trouble::Silence { done: false };
    let what = "PUT /apis/coordination.k8s.io/v1/namespaces/golive-system/leases/golive".to_owned();
    let (breaches, ended) = two(-600, vec![Rule { what, after: 1, times: 2, trouble: cut }]);
    assert_eq!(breaches, Vec::<String>::new());
    assert_eq!(lease(&ended)["leaseTransitions"], 2);
}
