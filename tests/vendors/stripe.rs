//! Stripe: once-only secrets, idempotency keys, the cap.

use golive::fault::Fault;
use golive::rows::{Draft, Endpoint, Provider};
use golive::vendors::stripe::Endpoints;
use secrecy::ExposeSecret;
use serde_json::json;
use vendors::Settings;

use crate::case::{Bench, Case, Endpoints as Table, mark};
use crate::contract::draft;
use crate::place::{Place, nothing_was_told, text_of};

fn client(bench: &Bench) -> Endpoints<'_> {
    Endpoints { transport: &bench.transport, access: &bench.access }
}

#[tokio::test]
async fn the_secret_is_in_the_answer_to_the_create_and_in_its_replay() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    let one = client(&bench).create(draft(&Table.row(), &mark)).await.unwrap();
    let again = Bench::of(Table, &place);
    let two = client(&again).create(draft(&Table.row(), &mark)).await.unwrap();
    let (one_secret, two_secret) = (one.secret.clone().unwrap(), two.secret.clone().unwrap());
    assert!(one_secret.expose_secret().starts_with("whsec_"));
    assert_eq!((one.id.clone(), one_secret.expose_secret()), (two.id, two_secret.expose_secret()));
    nothing_was_told(&[one_secret.expose_secret()]);
}

#[tokio::test]
async fn a_replay_that_hides_the_secret_is_told_as_such() {
    let place = Place::start().await;
    place.running.set(&Settings { stripe_replays_secret: Some(false), ..Settings::default() });
    let (bench, mark) = (Bench::of(Table, &place), mark());
    place.fault("stripe", "POST", &json!({"kind": "lost"}));
    assert!(matches!(client(&bench).create(draft(&Table.row(), &mark)).await, Err(Fault::Lost(_))));
    let found = client(&bench).create(draft(&Table.row(), &mark)).await.unwrap();
    assert!(found.secret.is_none(), "the caller replaces an endpoint whose secret nobody knows");
    assert_eq!(Table.count(&place), 1);
}

#[tokio::test]
async fn a_failure_that_stripe_keeps_for_the_key_does_not_hold_the_endpoint_for_a_day() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    place.fault("stripe", "POST", &json!({"kind": "status", "code": 500}));
    assert!(matches!(client(&bench).create(draft(&Table.row(), &mark)).await, Err(Fault::Lost(_))));
    let made = client(&bench).create(draft(&Table.row(), &mark)).await.unwrap();
    assert!(made.secret.is_some());
    let after_a_restart = Bench::of(Table, &place);
    let same = client(&after_a_restart).create(draft(&Table.row(), &mark)).await.unwrap();
    assert_eq!((same.id, Table.count(&place)), (made.id, 1));
}

#[tokio::test]
async fn a_failure_after_the_work_was_done_is_found_by_its_attempt() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    place.fault("stripe", "POST", &json!({"kind": "status", "code": 500, "apply": true}));
    assert!(matches!(client(&bench).create(draft(&Table.row(), &mark)).await, Err(Fault::Lost(_))));
    let found = client(&bench).create(draft(&Table.row(), &mark)).await.unwrap();
    assert_eq!((found.secret.is_none(), Table.count(&place)), (true, 1));
}

#[tokio::test]
async fn a_full_account_says_what_to_do() {
    let place = Place::start().await;
    place.running.set(&Settings { stripe_endpoints: Some(1), ..Settings::default() });
    let bench = Bench::of(Table, &place);
    Table.stranger(&place, &bench, 1).await;
    let full = client(&bench).create(draft(&Table.row(), &mark())).await.unwrap_err();
    let text = text_of(&full);
    assert!(matches!(full, Fault::Rejected(_)), "{full:?}");
    assert!(
        text.contains("maximum of 1 test webhook endpoints") && text.contains("Delete endpoints that nobody uses"),
        "{text}"
    );
}

#[tokio::test]
async fn two_attempts_are_two_endpoints_and_each_is_known_by_its_own() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    for attempt in ["key-1", "key-2"] {
        let row = Endpoint { attempt: attempt.into(), ..Table.row() };
        client(&bench).create(Draft { row: &row, mark: &mark, key: attempt }).await.unwrap();
    }
    let attempts: Vec<String> = client(&bench).list().await.unwrap().into_iter().map(|held| held.row.attempt).collect();
    assert_eq!(attempts, ["key-2", "key-1"]);
}

#[tokio::test]
async fn an_event_that_stripe_does_not_know_is_refused_in_its_words() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    let row = Endpoint { events: ["never.heard_of".to_owned()].into(), ..Table.row() };
    let refused = client(&bench).create(draft(&row, &mark)).await.unwrap_err();
    assert!(text_of(&refused).contains("enabled_events[0]"), "{refused}");
}

#[tokio::test]
async fn live_and_test_keys_see_different_tables() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    client(&bench).create(draft(&Table.row(), &mark)).await.unwrap();
    let mut live = Bench::of(Table, &place);
    live.access.credential = "sk_live_canaryofstripe7f3a".to_owned().into();
    assert!(client(&live).list().await.unwrap().is_empty());
    assert_ne!(live.access.table(), bench.access.table());
}

#[tokio::test]
async fn two_at_once_under_one_key_make_one_endpoint() {
    let place = Place::start().await;
    let (one, two, row, mark) = (Bench::of(Table, &place), Bench::of(Table, &place), Table.row(), mark());
    place.fault("stripe", "POST", &json!({"kind": "delay", "ms": 300}));
    let (one_client, two_client) = (client(&one), client(&two));
    let (first, second) = tokio::join!(one_client.create(draft(&row, &mark)), two_client.create(draft(&row, &mark)));
    let done = [&first, &second].into_iter().filter(|created| created.is_ok()).count();
    let open = [&first, &second].into_iter().filter(|created| matches!(created, Err(Fault::Lost(_)))).count();
    assert_eq!((done, open, Table.count(&place)), (1, 1, 1), "{first:?} {second:?}");
    let again = client(&two).create(draft(&row, &mark)).await.unwrap();
    assert_eq!((again.secret.is_some(), Table.count(&place)), (true, 1));
}

#[tokio::test]
async fn a_lost_answer_is_replayed_with_its_secret() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    place.fault("stripe", "POST", &json!({"kind": "lost"}));
    assert!(matches!(client(&bench).create(draft(&Table.row(), &mark)).await, Err(Fault::Lost(_))));
    let replayed = client(&bench).create(draft(&Table.row(), &mark)).await.unwrap();
    let secret = replayed.secret.unwrap();
    assert_eq!((secret.expose_secret().starts_with("whsec_"), Table.count(&place)), (true, 1));
    nothing_was_told(&[secret.expose_secret()]);
}
