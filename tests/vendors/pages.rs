//! Long lists, and lists from a later day.

use golive::rows::Provider;
use golive::vendors::cloudflare::zones;
use serde_json::{Value, json};

use crate::case::{Bench, Case, Records};
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
