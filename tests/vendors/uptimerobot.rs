//! UptimeRobot: lists that lag, creates that say "not found".

use std::time::Duration;

use golive::fault::Fault;
use golive::rows::Provider;
use golive::vendors::snapshots::Snapshots;
use golive::vendors::uptimerobot::Monitors;
use serde_json::json;

use crate::case::{Bench, Case, Monitors as Table, mark};
use crate::contract::draft;
use crate::place::{Place, text_of};

fn client(bench: &Bench) -> Monitors<'_> {
    Monitors { transport: &bench.transport, access: &bench.access, contacts: &bench.contacts }
}

#[tokio::test]
async fn a_create_that_says_not_found_after_it_was_done_is_found() {
    let place = Place::start().await;
    place.running.set(&vendors::Settings { uptimerobot_lag_milliseconds: Some(0), ..Default::default() });
    let bench = Bench::of(Table, &place);
    place.fault(
        "uptimerobot",
        "POST",
        &json!({"kind": "status", "code": 404, "apply": true, "body": {"message": "Monitor not found"}}),
    );
    let created = client(&bench).create(draft(&Table.row(), &mark())).await.unwrap();
    assert_eq!((&client(&bench).list().await.unwrap()[0].id, Table.count(&place)), (&created.id, 1));
}

#[tokio::test]
async fn a_create_that_says_not_found_and_is_not_listed_yet_is_lost() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    place.fault("uptimerobot", "POST", &json!({"kind": "status", "code": 404, "apply": true}));
    let lost = client(&bench).create(draft(&Table.row(), &mark())).await.unwrap_err();
    assert!(
        matches!(lost, Fault::Lost(_)) && text_of(&lost).contains("looked for before it is made again"),
        "{lost:?}"
    );
}

#[tokio::test]
async fn an_account_is_asked_once_whom_it_tells() {
    let place = Place::start().await;
    let bench = Bench { contacts: Snapshots::new(Duration::from_secs(60)), ..Bench::of(Table, &place) };
    for number in 0..3 {
        let mut row = Table.row();
        row.url = format!("https://{number}.example.com/");
        client(&bench).create(draft(&row, &mark())).await.unwrap();
    }
    let calls = place.running.hub().with(|vendors| vendors.calls.clone());
    let asked = calls.iter().filter(|call| call.path.contains("alert-contacts")).count();
    assert_eq!((asked, Table.count(&place)), (1, 3));
}

#[tokio::test]
async fn a_plan_that_is_full_is_no_matter_of_the_credential() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    for number in 0..50 {
        Table.stranger(&place, &bench, number).await;
    }
    let full = client(&bench).create(draft(&Table.row(), &mark())).await.unwrap_err();
    assert!(matches!(full, Fault::Rejected(_)) && text_of(&full).contains("50 monitors"), "{full:?}");
}

#[tokio::test]
async fn the_oldest_is_listed_first() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    let rows = [Table.shown(11, false), Table.shown(9, false), Table.shown(10, false)];
    let mut page = Table.page(&rows, None, 3);
    page["kind"] = json!("status");
    page["code"] = json!(200);
    place.fault("uptimerobot", "GET", &page);
    let ids: Vec<String> = client(&bench).list().await.unwrap().into_iter().map(|held| held.id.0).collect();
    assert_eq!(ids, ["9", "10", "11"]);
}

#[tokio::test]
async fn a_list_without_end_or_with_a_broken_link_is_a_fault() {
    let place = Place::start().await;
    for link in ["https://x/v3/monitors?limit=50", "https://x/v3/monitors"] {
        let bench = Bench::of(Table, &place);
        let body = json!({"data": [], "nextLink": link});
        place.fault("uptimerobot", "GET", &json!({"kind": "status", "code": 200, "times": 3, "body": body}));
        let listed = client(&bench).list().await;
        assert!(matches!(listed, Err(Fault::Unreachable(_))), "{link}: {listed:?}");
        place.running.clear_faults();
    }
}

fn told(place: &Place) -> Vec<(bool, u64)> {
    let inventory = place.running.inventory(false);
    let contacts =
        inventory["uptimerobot"]["monitors"][0]["assignedAlertContacts"].as_array().cloned().unwrap_or_default();
    contacts.iter().map(|told| (told["alertContactId"].is_string(), told["threshold"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn the_accounts_contacts_are_told_after_so_many_failures() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    let created = client(&bench).create(draft(&Table.row(), &mark)).await.unwrap();
    assert_eq!(told(&place), [(true, 1)], "the second failure of one a minute is a minute after the first");
    client(&bench).update(&created.id, draft(&Table.other(), &mark)).await.unwrap();
    assert_eq!(told(&place), [(true, 5)]);
    let path = format!("/v3/monitors/{}", created.id);
    place.raw("uptimerobot", "PATCH", &path, &json!({"assignedAlertContacts": []})).await;
    client(&bench).update(&created.id, draft(&Table.row(), &mark)).await.unwrap();
    assert_eq!(told(&place), [], "who took himself out stays out");
}

#[tokio::test]
async fn a_plan_that_cannot_wait_tells_at_once() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    let body = json!({"message": ["assignedAlertContacts.0.threshold must not be greater than 0"]});
    place.fault("uptimerobot", "POST", &json!({"kind": "status", "code": 400, "body": body}));
    client(&bench).create(draft(&Table.row(), &mark())).await.unwrap();
    assert_eq!(told(&place), [(true, 0)]);
}
