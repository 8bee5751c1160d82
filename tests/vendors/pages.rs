//! Long lists, and lists from a later day.

use golive::rows::Provider;
use golive::vendors::cloudflare::zones;
use serde_json::{Value, json};

use crate::case::{Bench, Case, Endpoints, Projects, Records};
use crate::place::{Place, text_of};

/// Answers the next list with these pages.
fn order<C: Case>(case: C, place: &Place, bench: &Bench, pages: Vec<Value>) {
    for page in pages {
        let mut fault = page;
        fault["kind"] = json!("status");
        fault["code"] = json!(200);
        fault["path"] = json!(case.path(bench));
        place.fault(C::VENDOR, "GET", &fault);
    }
}

pub async fn a_list_of_three_pages_is_read_whole<C: Case>(case: C) {
    let place = Place::start().await;
    let bench = Bench::of(case, &place);
    for number in 0..3 {
        case.stranger(&place, &bench, number).await;
    }
    let page = |number: usize| case.page(&[case.shown(number, false)], Some(number + 1).filter(|next| *next < 3), 3);
    order(case, &place, &bench, (0..3).map(page).collect());
    let listed = case.provider(&bench).list().await.unwrap();
    let ids: std::collections::BTreeSet<_> = listed.iter().map(|held| held.id.clone()).collect();
    assert_eq!((listed.len(), ids.len()), (3, 3), "{ids:?}");
    order(case, &place, &bench, vec![page(0), json!({"body": "<html>busy</html>"})]);
    let half = case.provider(&bench).list().await.unwrap_err();
    assert_eq!(half.reason(), "Unreachable", "a page that fails fails the whole: {}", text_of(&half));
}

pub async fn what_is_unknown_in_a_list_does_no_harm<C: Case>(case: C) {
    let place = Place::start().await;
    let bench = Bench::of(case, &place);
    for number in 0..2 {
        case.stranger(&place, &bench, number).await;
    }
    let rows = [case.shown(0, true), case.shown(1, false)];
    order(case, &place, &bench, vec![case.page(&rows, None, 2)]);
    let listed = case.provider(&bench).list().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|held| held.mark.is_none()));
}

#[tokio::test]
async fn zones_are_read_over_three_pages() {
    let names: Vec<String> = (0..120).map(|number| format!("zone{number}.example")).collect();
    let place = Place::with(&names).await;
    let bench = Bench::of(Records, &place);
    let mut found: Vec<String> =
        zones(&bench.transport, &bench.access).await.unwrap().into_iter().map(|zone| zone.name).collect();
    found.sort();
    let mut wanted = names.clone();
    wanted.sort();
    assert_eq!((found, place.calls("cloudflare")), (wanted, 3));
}

#[tokio::test]
async fn a_list_that_falls_short_of_its_total_is_not_taken_for_whole() {
    let place = Place::start().await;
    let bench = Bench::of(Records, &place);
    let (row, none) = (Records.shown(1, false), Records.page(&[], None, 3));
    order(Records, &place, &bench, vec![Records.page(&[row], None, 3), none]);
    let listed = Records.provider(&bench).list().await.unwrap_err();
    assert!(text_of(&listed).contains("listed 1 rows and a total of 3"), "{listed}");
}

#[tokio::test]
async fn endpoints_beyond_a_page_of_the_server_are_read() {
    let place = Place::start().await;
    place.running.set(&vendors::Settings { stripe_endpoints: Some(300), ..Default::default() });
    let bench = Bench::of(Endpoints, &place);
    for number in 0..205 {
        Endpoints.stranger(&place, &bench, number).await;
        place.running.advance(std::time::Duration::from_secs(1));
    }
    let before = place.calls("stripe");
    let listed = Endpoints.provider(&bench).list().await.unwrap();
    let urls: std::collections::BTreeSet<_> = listed.iter().map(|held| held.row.url.clone()).collect();
    assert_eq!((listed.len(), urls.len(), place.calls("stripe") - before), (205, 205, 3));
    assert!(listed.iter().all(|held| held.mark.is_none()));
}

#[tokio::test]
async fn a_list_that_begins_again_and_again_is_a_fault() {
    let place = Place::start().await;
    let bench = Bench::of(Endpoints, &place);
    let page = |number| Endpoints.page(&[Endpoints.shown(number, false)], Some(1), 9);
    order(Endpoints, &place, &bench, vec![page(1), page(1), page(2)]);
    let endless = Endpoints.provider(&bench).list().await.unwrap_err();
    assert!(text_of(&endless).contains("again and again"), "{endless}");
}

#[tokio::test]
async fn a_next_page_that_cannot_be_asked_for_is_no_end_of_the_list() {
    let place = Place::start().await;
    let bench = Bench::of(Projects, &place);
    for link in
        ["<https://x>; rel=\"next\"; results=\"true\"", "<https://x>; rel=\"next\"; results=\"true\"; cursor=\"1&a=b\""]
    {
        let page = json!({"body": [], "headers": {"link": link}});
        order(Projects, &place, &bench, vec![page]);
        let listed = Projects.provider(&bench).list().await;
        assert_eq!(listed.as_ref().err().map(golive::fault::Fault::reason), Some("Unreachable"), "{link}: {listed:?}");
    }
}
