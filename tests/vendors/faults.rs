//! What holds while something is wrong.

use std::time::Duration;

use golive::fault::{Fault, Seen};
use golive::rows::Provider;
use serde_json::{Value, json};

use crate::case::{Bench, Case, mark, ours};
use crate::contract::draft;
use crate::place::{Place, nothing_was_told, text_of};

fn status(code: u16) -> Value {
    json!({"kind": "status", "code": code})
}

/// The reason of the fault that a call came to; its text is looked at as well.
fn reason<T>(result: &Seen<T>) -> &'static str {
    result.as_ref().err().map_or("none", |fault| {
        text_of(fault);
        fault.reason()
    })
}

pub async fn a_read_that_fails_is_told_as_what_it_is(case: impl Case) {
    let place = Place::start().await;
    for (fault, wanted) in reads() {
        let bench = Bench::of(case, &place);
        place.fault(vendor(case), "GET", &fault);
        let listed = case.provider(&bench).list().await;
        assert_eq!(reason(&listed), wanted, "{fault}: {listed:?}");
        place.running.clear_faults();
    }
    nothing_was_told(&[]);
}

/// Faults of a list, and what they are told as. What broke off is tried once more.
fn reads() -> Vec<(Value, &'static str)> {
    let away = json!({"kind": "status", "code": 302, "headers": {"location": "https://elsewhere.example/"}});
    let mut waits = status(503);
    waits["headers"] = json!({"retry-after": "9"});
    vec![
        (status(400), "Rejected"),
        (status(401), "CredentialDenied"),
        (status(403), "CredentialDenied"),
        (status(404), "Rejected"),
        (status(429), "Throttled"),
        (waits, "Throttled"),
        (status(500), "Unreachable"),
        (json!({"kind": "status", "code": 502, "body": "<html>bad gateway</html>"}), "Unreachable"),
        (away, "Unreachable"),
        (json!({"kind": "status", "code": 200, "body": "<html>please log in</html>"}), "Unreachable"),
        (json!({"kind": "malformed"}), "Unreachable"),
        (json!({"kind": "huge"}), "Unreachable"),
        (json!({"kind": "lost"}), "none"),
        (json!({"kind": "reset"}), "none"),
        (json!({"kind": "lost", "times": 2}), "Unreachable"),
        (json!({"kind": "reset", "times": 2}), "Unreachable"),
    ]
}

pub async fn a_write_that_fails_is_told_as_what_it_is(case: impl Case) {
    let place = Place::start().await;
    let (row, mark) = (case.row(), mark());
    for (fault, wanted) in writes() {
        let bench = Bench::of(case, &place);
        place.fault(vendor(case), "POST", &fault);
        let created = case.provider(&bench).create(draft(&row, &mark)).await;
        assert_eq!(reason(&created), wanted, "{fault}: {created:?}");
        place.running.clear_faults();
        assert_eq!(case.count(&place), 0, "{fault}");
    }
    nothing_was_told(&[]);
}

/// Faults of a create that was not carried out; where nobody can know that, it is told as lost.
fn writes() -> Vec<(Value, &'static str)> {
    let mut waits = status(503);
    waits["headers"] = json!({"retry-after": "9"});
    vec![
        (status(400), "Rejected"),
        (status(401), "CredentialDenied"),
        (status(403), "CredentialDenied"),
        (status(429), "Throttled"),
        (status(302), "Unreachable"),
        (status(408), "OutcomeUnknown"),
        (status(502), "OutcomeUnknown"),
        (waits, "OutcomeUnknown"),
        (json!({"kind": "reset"}), "OutcomeUnknown"),
        (status(500), "OutcomeUnknown"),
    ]
}

pub async fn a_write_without_an_answer_is_found_and_not_made_twice(case: impl Case) {
    let gateway = json!({"kind": "status", "code": 502, "apply": true});
    for fault in [json!({"kind": "lost"}), json!({"kind": "malformed"}), json!({"kind": "huge"}), gateway] {
        let place = Place::start().await;
        let (bench, row, mark) = (Bench::of(case, &place), case.row(), mark());
        let provider = case.provider(&bench);
        place.fault(vendor(case), "POST", &fault);
        let created = provider.create(draft(&row, &mark)).await;
        assert!(matches!(&created, Ok(_) | Err(Fault::Lost(_))), "{fault}: {created:?}");
        if case.creates_once() {
            provider.create(draft(&row, &mark)).await.unwrap();
        }
        place.catch_up();
        let listed = provider.list().await.unwrap();
        assert_eq!((listed.len(), ours(&listed).len(), case.count(&place)), (1, 1, 1), "{fault}");
    }
}

pub async fn a_list_that_fails_is_no_empty_list(case: impl Case) {
    let place = Place::start().await;
    for body in [json!({}), json!("null"), json!({"result": [], "success": true, "errors": []})] {
        let bench = Bench::of(case, &place);
        place.fault(vendor(case), "GET", &json!({"kind": "status", "code": 200, "body": body}));
        assert_eq!(reason(&case.provider(&bench).list().await), "Unreachable", "{body}");
    }
}

pub async fn a_denied_credential_is_left_alone_until_it_changes(case: impl Case) {
    let place = Place::start().await;
    let mut bench = Bench::of(case, &place);
    place.running.revoke(vendor(case), "all", true);
    let denied = case.provider(&bench).list().await;
    assert_eq!(reason(&denied), "CredentialDenied");
    assert!(text_of(&denied.unwrap_err()).contains("Check the credential of ProviderAccount"));
    place.running.revoke(vendor(case), "all", false);
    let before = place.calls(vendor(case));
    assert_eq!(reason(&case.provider(&bench).list().await), "CredentialDenied");
    assert_eq!(place.calls(vendor(case)), before, "nobody was asked");
    bench.access.credential = "another-canary".to_owned().into();
    assert_eq!(reason(&case.provider(&bench).list().await), "CredentialDenied");
    assert_eq!(place.calls(vendor(case)), before + 1, "a new credential is tried at once");
    nothing_was_told(&["another-canary"]);
}

pub async fn of_one_call_that_is_unauthorized_all_others_learn(case: impl Case) {
    let place = Place::start().await;
    let bench = Bench::of(case, &place);
    place.fault(vendor(case), "GET", &status(401));
    assert_eq!(reason(&case.provider(&bench).list().await), "CredentialDenied");
    let before = place.calls(vendor(case));
    let created = case.provider(&bench).create(draft(&case.row(), &mark())).await;
    assert_eq!((reason(&created), place.calls(vendor(case))), ("CredentialDenied", before));
}

pub async fn a_throttled_credential_is_left_alone_for_as_long_as_was_said(case: impl Case) {
    let place = Place::start().await;
    let bench = Bench::of(case, &place);
    place.fault(vendor(case), "GET", &json!({"kind": "status", "code": 429, "headers": {"retry-after": "1"}}));
    let throttled = case.provider(&bench).list().await;
    assert!(
        matches!(throttled, Err(Fault::Throttled { after, .. }) if after == Duration::from_secs(1)),
        "{throttled:?}"
    );
    let before = place.calls(vendor(case));
    let created = case.provider(&bench).create(draft(&case.row(), &mark())).await;
    assert!(matches!(created, Err(Fault::Throttled { after, .. }) if after <= Duration::from_secs(1)), "{created:?}");
    assert_eq!(place.calls(vendor(case)), before, "nobody was asked");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(reason(&case.provider(&bench).list().await), "none");
}

pub async fn a_vendor_that_is_down_is_unreachable_and_comes_back(case: impl Case) {
    let place = Place::start().await;
    let bench = Bench::of(case, &place);
    let provider = case.provider(&bench);
    assert_eq!(reason(&provider.list().await), "none");
    place.running.set_up(vendor(case), false).await;
    assert_eq!(reason(&provider.list().await), "Unreachable");
    let created = provider.create(draft(&case.row(), &mark())).await;
    assert_eq!(reason(&created), "Unreachable", "nothing was sent, so nothing is lost: {created:?}");
    place.running.set_up(vendor(case), true).await;
    assert_eq!(reason(&provider.create(draft(&case.row(), &mark())).await), "none");
    assert_eq!(case.count(&place), 1);
}

fn vendor<C: Case>(_: C) -> &'static str {
    C::VENDOR
}
