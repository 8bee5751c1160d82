//! The laws notice bugs: one of every known class is planted, and each is caught where the operator as it is passes.

use std::time::{Duration, Instant};

use serde_json::json;
use sim::flaw::Flaw;
use sim::laws::{farewell, farewells, go_live, subjects};
use sim::run::{Act, Run};
use sim::search::{Budget, Case, strangers};
use sim::storm;
use sim::trouble::{Rule, Trouble, Troubles};

/// The breaches of a run of a case with these troubles, with the bug and without.
fn with_and_without(case: &Case, flaw: Flaw, rules: &[Rule]) -> [Vec<String>; 2] {
    [Some(flaw), None].map(|flaw| {
        let troubles = Troubles { flaw, rules: rules.to_vec(), ..Troubles::default() };
        case.breaches(&Run { troubles, ..Run::of(&case.script) }.from(case.start.clone()))
    })
}

#[track_caller]
fn caught(case: &Case, flaw: Flaw, rules: &[Rule], sign: &str) {
    let [with, without] = with_and_without(case, flaw, rules);
    assert!(with.iter().any(|breach| breach.contains(sign)), "{flaw:?} shows no {sign:?} but {with:#?}");
    assert_eq!(without, Vec::<String>::new());
}

fn shop() -> Case {
    go_live(&subjects()[0]).0
}

#[test]
fn an_intermediate_state_rows_without_a_finalizer_outlive_their_object() {
    let (_, live) = go_live(&subjects()[0]);
    let (case, _) = farewell(&subjects()[0], live.state);
    let script = &case.script;
    let [with, without] = [Some(Flaw::Unheld), None].map(|flaw| {
        let troubles = Troubles { flaw, ..Troubles::default() };
        case.breaches(&Run { troubles, ..Run::of(script) }.from(sim::place::State::new()))
    });
    assert!(with.iter().any(|breach| breach.starts_with("/vendors")), "{with:#?}");
    assert_eq!(without, Vec::<String>::new());
}

#[test]
fn a_vault_that_nobody_holds_goes_before_what_it_alone_knows_of() {
    let (_, live) = go_live(&subjects()[0]);
    for (case, _) in farewells(&subjects()[0], &live.state).into_iter().skip(1) {
        let vault = ["shop", "shop-secrets"].map(str::to_owned);
        let mut script = case.script.clone();
        let free = Act::Edit("Secret", vault, json!({"metadata": {"finalizers": null}}));
        let last = script.pop().unwrap();
        script.push(Act::AtOnce(vec![free, last]));
        let [with, without] =
            [&script, &case.script].map(|acts| case.breaches(&Run::of(acts).from(case.start.clone())));
        assert!(with.iter().any(|breach| breach.starts_with("/vendors")), "{}: {with:#?}", case.name);
        assert_eq!(without, Vec::<String>::new(), "{}", case.name);
    }
}

#[test]
fn a_stale_state_overwrites_what_the_vault_has_learned() {
    caught(&shop(), Flaw::Stale, &[], "never came to rest");
}

#[test]
fn an_unobserved_rollout_is_never_live() {
    caught(&shop(), Flaw::Blind("deployments"), &[], "conditions");
}

#[test]
fn a_lost_reply_that_is_taken_for_a_success_leaves_a_secret_of_no_endpoint() {
    caught(&shop(), Flaw::Invents, &[], "of no endpoint that stands");
}

#[test]
fn a_secret_that_is_told_is_seen() {
    caught(&shop(), Flaw::Tells, &[], "shows a secret");
}

#[test]
fn a_vendor_that_is_not_waited_for_says_so() {
    let trouble = Trouble::Answer { status: 429, body: "{}", retry_after: Some(120) };
    let rules = ["POST stripe", "GET cloudflare", "POST uptimerobot"].map(|what| Rule {
        what: what.into(),
        after: 0,
        times: 3,
        trouble: trouble.clone(),
    });
    caught(&shop(), Flaw::Hasty, &rules, "wanted to be asked again");
}

#[test]
fn an_object_of_somebody_elses_that_is_merged_with_is_seen() {
    let (case, ended) = go_live(&subjects()[0]);
    let budget = Budget { until: Instant::now() + Duration::from_secs(3600), threads: 2 };
    let account: Vec<_> = strangers(&ended).into_iter().filter(|theirs| theirs["kind"] == "ServiceAccount").collect();
    let [with, without] = [Some(Flaw::Merges), None].map(|flaw| case.beside(&account, flaw, budget).breaches);
    assert!(with[0].what.iter().any(|breach| breach.contains("became")), "{with:#?}");
    assert_eq!((account.len(), without.len()), (1, 0), "{without:#?}");
}

#[test]
fn a_vendor_that_is_pressed_refuses() {
    let [with, without] = [Some(Flaw::Presses), None].map(|flaw| storm::with(12, flaw));
    assert!(with.refused.len() > 5, "{:?}", with.refused);
    assert!(without.live && without.refused.is_empty(), "{:?}", without.refused);
}
