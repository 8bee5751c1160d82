//! Sentry: whose project it is.

use golive::fault::Fault;
use golive::rows::{Mark, Provider};
use golive::vendors::sentry::Projects;
use serde_json::{Value, json};

use crate::case::{Bench, Case, Projects as Table, mark, ours};
use crate::contract::draft;
use crate::place::Place;

fn client(bench: &Bench) -> Projects<'_> {
    Projects { transport: &bench.transport, access: &bench.access }
}

fn keys(place: &Place) -> Vec<String> {
    let inventory = place.running.inventory(true);
    let keys = inventory["sentry"]["projects"][0]["keys"].as_array().cloned().unwrap_or_default();
    keys.iter().filter_map(|key| key["name"].as_str().map(str::to_owned)).collect()
}

async fn somebodys(place: &Place, bench: &Bench) {
    let body = json!({"name": "Csvboard", "slug": Table.row().slug});
    place.raw("sentry", "POST", &Table.path(bench), &body).await;
}

#[tokio::test]
async fn a_project_that_we_make_has_one_key_and_its_dsn_is_told() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    client(&bench).create(draft(&Table.row(), &mark())).await.unwrap();
    assert_eq!(keys(&place), [mark().to_string()]);
    let dsn = client(&bench).list().await.unwrap()[0].row.dsn.clone().unwrap();
    assert!(dsn.starts_with("https://") && dsn.contains("@o1.ingest.sentry.io/"), "{dsn}");
}

#[tokio::test]
async fn in_somebodys_project_there_is_a_key_of_ours_and_nothing_else_is_touched() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    somebodys(&place, &bench).await;
    let created = client(&bench).create(draft(&Table.row(), &mark())).await.unwrap();
    assert_eq!(keys(&place), ["Default".to_owned(), mark().to_string()]);
    client(&bench).delete(&created.id).await.unwrap();
    assert_eq!(keys(&place), ["Default"]);
}

#[tokio::test]
async fn somebodys_project_outlives_our_key_even_if_it_is_the_last_one() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    somebodys(&place, &bench).await;
    let created = client(&bench).create(draft(&Table.row(), &mark())).await.unwrap();
    let path = format!("/api/0/projects/acme/{}/keys/", Table.row().slug);
    let listed = place.raw("sentry", "GET", &path, &Value::Null).await;
    let default = listed.as_array().unwrap().iter().find(|key| key["name"] == "Default").unwrap();
    place.raw("sentry", "DELETE", &format!("{path}{}/", default["id"].as_str().unwrap()), &Value::Null).await;
    client(&bench).delete(&created.id).await.unwrap();
    assert_eq!((Table.count(&place), keys(&place)), (1, vec![]));
}

#[tokio::test]
async fn a_create_that_stops_half_way_is_ours_all_the_same() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    place.fault("sentry", "PUT", &json!({"kind": "reset"}));
    let half = client(&bench).create(draft(&Table.row(), &mark())).await;
    assert!(matches!(half, Err(Fault::Lost(_))), "{half:?}");
    let listed = client(&bench).list().await.unwrap();
    assert_eq!((ours(&listed).len(), listed[0].row.dsn.is_some()), (1, false), "it is ours, and to be completed");
    client(&bench).update(&listed[0].id, draft(&Table.row(), &mark())).await.unwrap();
    let whole = client(&bench).list().await.unwrap();
    assert_eq!((ours(&whole).len(), whole[0].row.dsn.is_some()), (1, true));
    assert_eq!(keys(&place), vec![mark().to_string()]);
    client(&bench).delete(&whole[0].id).await.unwrap();
    assert_eq!(Table.count(&place), 0);
}

#[tokio::test]
async fn a_project_without_its_key_is_still_ours_to_complete_or_to_remove() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    let created = client(&bench).create(draft(&Table.row(), &mark())).await.unwrap();
    let (slug, key) = created.id.0.split_once('/').unwrap();
    place.raw("sentry", "DELETE", &format!("/api/0/projects/acme/{slug}/keys/{key}/"), &Value::Null).await;
    let listed = client(&bench).list().await.unwrap();
    assert_eq!((ours(&listed).len(), listed[0].row.dsn.is_some()), (1, false));
    client(&bench).delete(&listed[0].id).await.unwrap();
    assert_eq!(Table.count(&place), 0);
}

#[tokio::test]
async fn two_objects_in_one_project_have_a_key_each() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    let other = Mark { cluster: "99999999".into(), ..mark() };
    let mine = client(&bench).create(draft(&Table.row(), &mark())).await.unwrap();
    let theirs = client(&bench).create(draft(&Table.row(), &other)).await.unwrap();
    assert_ne!(mine.id, theirs.id);
    client(&bench).delete(&mine.id).await.unwrap();
    let left = client(&bench).list().await.unwrap();
    assert_eq!((left.len(), left[0].is_of(&other)), (1, true));
}

#[tokio::test]
async fn a_slug_that_another_team_has_is_refused_and_nothing_is_touched() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    place.raw("sentry", "POST", "/api/0/organizations/acme/teams/", &json!({"slug": "mobile"})).await;
    let body = json!({"name": "Csvboard", "slug": Table.row().slug});
    place.raw("sentry", "POST", "/api/0/teams/acme/mobile/projects/", &body).await;
    for _ in 0..2 {
        let refused = client(&bench).create(draft(&Table.row(), &mark())).await.unwrap_err();
        assert!(matches!(refused, Fault::Rejected(_)), "{refused:?}");
        assert!(["`shop-csvboard`", "`platform`"].iter().all(|name| refused.to_string().contains(name)), "{refused}");
    }
    assert_eq!((client(&bench).list().await.unwrap(), keys(&place)), (vec![], vec!["Default".to_owned()]));
    place.fault("sentry", "POST", &json!({"kind": "reset"}));
    let lost = client(&bench).create(draft(&Table.row(), &mark())).await;
    assert!(matches!(lost, Err(Fault::Lost(_))), "it may have been made: {lost:?}");
}

#[tokio::test]
async fn reads_do_not_grow_with_projects_where_the_server_lists_all_keys() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    client(&bench).create(draft(&Table.row(), &mark())).await.unwrap();
    for number in 0..10 {
        Table.stranger(&place, &bench, number).await;
    }
    let before = place.calls("sentry");
    let listed = client(&bench).list().await.unwrap();
    assert_eq!((listed.len(), ours(&listed).len(), place.calls("sentry") - before), (11, 1, 2));
    for refusal in [404, 403] {
        let fresh = Bench::of(Table, &place);
        let path = "/api/0/organizations/acme/project-keys/";
        place.fault("sentry", "GET", &json!({"kind": "status", "code": refusal, "path": path}));
        assert_eq!(client(&fresh).list().await.unwrap(), listed, "{refusal}: each project is asked instead");
    }
}

#[tokio::test]
async fn a_team_that_does_not_exist_is_named() {
    let place = Place::start().await;
    let mut bench = Bench::of(Table, &place);
    bench.access = bench.access.of_team("acme", "nobody");
    let refused = client(&bench).list().await.unwrap_err();
    assert!(matches!(refused, Fault::Rejected(_)) && refused.to_string().contains("`nobody`"), "{refused:?}");
}
