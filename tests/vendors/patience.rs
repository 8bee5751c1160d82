//! What holds over time, and while requests other than lists and creates go wrong.

use std::time::Duration;

use golive::fault::Fault;
use golive::rows::Provider;
use serde_json::{Value, json};

use crate::case::{Bench, Case, mark, ours};
use crate::contract::draft;
use crate::place::{Place, nothing_was_told, text_of};

/// Lets time pass for golive, though not for the vendors.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// Returns when the vendor has been called so.
async fn called<C: Case>(_: C, place: &Place, (method, path): (&str, &str)) {
    let is_there = || {
        let calls = place.running.calls(C::VENDOR);
        calls.iter().any(|call| call.method == method && call.path.starts_with(path))
    };
    let called = async {
        while !is_there() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), called).await.unwrap();
}

pub async fn what_is_not_answered_in_time_is_not_waited_for<C: Case>(case: C) {
    let place = Place::start().await;
    let (row, mark) = (case.row(), mark());
    let late = json!({"kind": "delay", "ms": 600_000});
    place.fault(C::VENDOR, "GET", &late);
    let bench = Bench::of(case, &place);
    let provider = case.provider(&bench);
    let path = case.path(&bench);
    let waited = async {
        called(case, &place, ("GET", "/")).await;
        pass(21).await;
    };
    let (listed, ()) = tokio::join!(provider.list(), waited);
    let unanswered = listed.unwrap_err();
    assert_eq!((unanswered.reason(), place.calls(C::VENDOR)), ("Unreachable", 1), "{}", text_of(&unanswered));
    place.fault(C::VENDOR, "POST", &late);
    let waited = async {
        called(case, &place, ("POST", &path)).await;
        pass(21).await;
    };
    let (created, ()) = tokio::join!(provider.create(draft(&row, &mark)), waited);
    assert!(matches!(&created, Ok(_) | Err(Fault::Lost(_))), "{created:?}");
    assert_eq!(case.count(&place), 1, "it was done all the same");
}

pub async fn a_vendor_with_anothers_certificate_is_not_talked_to<C: Case>(case: C) {
    let place = Place::start().await;
    place.running.hub().set_trusted(C::VENDOR, false).unwrap();
    let bench = Bench::of(case, &place);
    let provider = case.provider(&bench);
    let listed = provider.list().await.unwrap_err();
    assert!(matches!(listed, Fault::Unreachable(_)) && text_of(&listed).contains("certificate"), "{listed:?}");
    let created = provider.create(draft(&case.row(), &mark())).await.unwrap_err();
    assert!(matches!(created, Fault::Unreachable(_)), "nothing was sent: {created:?}");
    assert_eq!((place.calls(C::VENDOR), case.count(&place)), (0, 0));
    place.running.hub().set_trusted(C::VENDOR, true).unwrap();
    assert_eq!(provider.list().await, Ok(Vec::new()));
    nothing_was_told(&[]);
}

pub async fn a_credential_that_is_given_back_its_rights_is_found_good<C: Case>(case: C) {
    let place = Place::start().await;
    let bench = Bench::of(case, &place);
    let provider = case.provider(&bench);
    place.running.revoke(C::VENDOR, "all", true);
    assert!(matches!(provider.list().await, Err(Fault::Denied(_))));
    pass(61).await;
    assert!(matches!(provider.list().await, Err(Fault::Denied(_))), "tried, and still denied");
    let before = place.calls(C::VENDOR);
    assert!(matches!(provider.list().await, Err(Fault::Denied(_))));
    assert_eq!(place.calls(C::VENDOR), before, "one try a minute");
    place.running.revoke(C::VENDOR, "all", false);
    pass(61).await;
    assert_eq!(provider.list().await, Ok(Vec::new()));
    provider.create(draft(&case.row(), &mark())).await.unwrap();
}

pub async fn who_throttles_and_does_not_say_for_how_long_is_left_alone<C: Case>(case: C) {
    let place = Place::start().await;
    let bench = Bench::of(case, &place);
    let provider = case.provider(&bench);
    place.fault(C::VENDOR, "GET", &json!({"kind": "status", "code": 429}));
    let throttled = provider.list().await.unwrap_err();
    assert_eq!((throttled.reason(), throttled.again()), ("Throttled", Duration::from_secs(30)));
    let before = place.calls(C::VENDOR);
    pass(28).await;
    assert!(matches!(provider.list().await, Err(Fault::Throttled { .. })));
    assert_eq!(place.calls(C::VENDOR), before, "nobody was asked");
    pass(3).await;
    assert_eq!(provider.list().await, Ok(Vec::new()));
}

pub async fn a_delete_that_fails_is_told_and_may_be_repeated<C: Case>(case: C) {
    let status = |code: u16| json!({"kind": "status", "code": code});
    let cases: [(Value, &str, usize); 8] = [
        (json!({"kind": "lost"}), "OutcomeUnknown", 0),
        (json!({"kind": "reset"}), "OutcomeUnknown", 1),
        (status(500), "OutcomeUnknown", 1),
        (status(502), "OutcomeUnknown", 1),
        (status(401), "CredentialDenied", 1),
        (status(403), "CredentialDenied", 1),
        (status(429), "Throttled", 1),
        (status(400), "Rejected", 1),
    ];
    let place = Place::start().await;
    for (number, (fault, wanted, left)) in cases.into_iter().enumerate() {
        place.running.advance(Duration::from_secs(60));
        let (bench, fresh, row, mark) = (Bench::of(case, &place), Bench::of(case, &place), case.row(), mark());
        let key = format!("delete-{number}");
        let made = case.provider(&bench).create(golive::rows::Draft { key: &key, ..draft(&row, &mark) }).await.unwrap();
        place.fault(C::VENDOR, "DELETE", &fault);
        let refused = case.provider(&bench).delete(&made.id).await.unwrap_err();
        assert_eq!((refused.reason(), case.count(&place)), (wanted, left), "{fault}: {}", text_of(&refused));
        case.provider(&fresh).delete(&made.id).await.unwrap();
        assert_eq!(case.count(&place), 0, "{fault}");
    }
    nothing_was_told(&[]);
}

pub async fn a_change_without_an_answer_may_be_repeated<C: Case>(case: C) {
    for method in ["PATCH", "POST", "PUT", "GET"] {
        let place = Place::start().await;
        let (bench, mark) = (Bench::of(case, &place), mark());
        let provider = case.provider(&bench);
        let made = provider.create(draft(&case.row(), &mark)).await.unwrap();
        place.fault(C::VENDOR, method, &json!({"kind": "lost"}));
        let changed = provider.update(&made.id, draft(&case.other(), &mark)).await;
        assert!(matches!(&changed, Ok(()) | Err(Fault::Lost(_))), "{method}: {changed:?}");
        place.running.clear_faults();
        assert_eq!(provider.update(&made.id, draft(&case.other(), &mark)).await, Ok(()));
        place.catch_up();
        let rows = ours(&provider.list().await.unwrap());
        assert_eq!((rows.len(), case.asked(rows[0].row.clone())), (1, case.other()), "{method}");
    }
}
