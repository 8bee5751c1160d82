//! Cloudflare: batches, tokens, texts.

use golive::fault::{Fault, Seen};
use golive::rows::{Change, Held, Id, Mark, Provider, Record, RecordType};
use golive::vendors::cloudflare::{Entry, Records, verify};
use serde_json::json;

use crate::case::{Bench, Case, Records as Table, mark, ours};
use crate::contract::draft;
use crate::place::{CLOUDFLARE, Place, ZONE, text_of};

fn client(bench: &Bench) -> Records<'_> {
    Records { transport: &bench.transport, access: &bench.access, zone: &bench.zone }
}

async fn batch(bench: &Bench, mark: &Mark, changes: &[Change<Record>]) -> Seen<()> {
    let entries: Vec<_> = changes.iter().map(|change| Entry { mark: mark.clone(), change: change.clone() }).collect();
    client(bench).batch(&entries).await
}

fn address(number: usize) -> Record {
    Record { name: format!("h{number}.{ZONE}"), ..Table.row() }
}

fn writes(place: &Place) -> usize {
    place.running.calls("cloudflare").iter().filter(|call| call.method != "GET").count()
}

async fn listed(bench: &Bench) -> Vec<Held<Record>> {
    client(bench).list().await.unwrap()
}

#[tokio::test]
async fn many_changes_are_one_call() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    let creates: Vec<_> = (0..50).map(address).map(Change::Create).collect();
    batch(&bench, &mark, &creates).await.unwrap();
    let rows = listed(&bench).await;
    assert_eq!((rows.len(), ours(&rows).len(), writes(&place)), (50, 50, 1));
    let changed = |held: &Held<Record>| Change::Update(held.id.clone(), Record { ttl: 600, ..held.row.clone() });
    let mut changes: Vec<_> = rows[..20].iter().map(|held| Change::Delete(held.id.clone())).collect();
    changes.extend(rows[20..].iter().map(changed));
    batch(&bench, &mark, &changes).await.unwrap();
    let rows = listed(&bench).await;
    assert_eq!((rows.len(), writes(&place)), (30, 2));
    assert!(rows.iter().all(|held| held.row.ttl == 600 && held.is_of(&mark)));
}

#[tokio::test]
async fn more_than_a_batch_holds_are_several() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    let first: Vec<_> = (0..150).map(address).map(Change::Create).collect();
    batch(&bench, &mark, &first).await.unwrap();
    let deletes: Vec<_> = listed(&bench).await.into_iter().map(|held| Change::Delete(held.id)).collect();
    let second: Vec<_> = deletes.into_iter().chain((200..350).map(address).map(Change::Create)).collect();
    batch(&bench, &mark, &second).await.unwrap();
    assert_eq!((listed(&bench).await.len(), writes(&place)), (150, 3), "300 changes are two batches");
}

#[tokio::test]
async fn one_bad_row_does_not_hold_the_others() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    let mut changes: Vec<_> = (0..20).map(address).map(Change::Create).collect();
    changes[13] = Change::Create(Record { content: "300.1.1.1".into(), ..address(13) });
    let refused = batch(&bench, &mark, &changes).await.unwrap_err();
    let rows = listed(&bench).await;
    let is_missing = |number: &usize| !rows.iter().any(|held| held.row.name == address(*number).name);
    assert_eq!((0..20).filter(is_missing).collect::<Vec<_>>(), [13]);
    assert!(matches!(refused, Fault::Rejected(_)));
    assert!(text_of(&refused).contains("valid IPv4 address"), "{refused}");
    assert_eq!(rows.len(), 19);
    assert!(writes(&place) <= 12, "halving, not one by one: {} writes", writes(&place));
}

#[tokio::test]
async fn a_batch_goes_on_where_others_have_done_a_part_of_it() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    let made = client(&bench).create(draft(&address(1), &mark)).await.unwrap();
    let gone = Change::Delete(Id("0".repeat(32)));
    let changes = [gone, Change::Delete(made.id), Change::Create(address(2)), Change::Create(address(3))];
    batch(&bench, &mark, &changes).await.unwrap();
    batch(&bench, &mark, &changes).await.unwrap();
    assert_eq!(listed(&bench).await.len(), 2);
}

#[tokio::test]
async fn an_identical_record_of_a_stranger_is_not_ours() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    let row = json!({"type": "A", "name": "app", "content": "192.0.2.1", "ttl": 300});
    place.raw("cloudflare", "POST", &Table.path(&bench), &row).await;
    let refused = client(&bench).create(draft(&Table.row(), &mark())).await.unwrap_err();
    assert!(matches!(refused, Fault::Rejected(_)) && text_of(&refused).contains("81058"), "{refused}");
}

#[tokio::test]
async fn texts_names_and_types_come_back_as_they_were_asked_for() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    let kinds = [
        (RecordType::Txt, "v=spf1 include:\"x\" -all"),
        (RecordType::Aaaa, "2001:db8::1"),
        (RecordType::Other("NS".into()), "ns.x.example"),
    ];
    for (kind, content) in kinds {
        let row = Record { kind, content: content.into(), ..address(7) };
        let row = Record { name: format!("{}.{ZONE}", row.kind).to_lowercase(), ..row };
        client(&bench).create(draft(&row, &mark)).await.unwrap();
        assert!(listed(&bench).await.iter().any(|held| held.row == row), "{row:?}");
    }
}

#[tokio::test]
async fn a_change_keeps_what_people_have_set_beside_it() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    let made = client(&bench).create(draft(&Table.row(), &mark)).await.unwrap();
    let path = format!("{}/{}", Table.path(&bench), made.id);
    place.raw("cloudflare", "PATCH", &path, &json!({"settings": {"ipv4_only": true}})).await;
    client(&bench).update(&made.id, draft(&Table.other(), &mark)).await.unwrap();
    let kept = place.raw("cloudflare", "GET", &path, &json!(null)).await;
    assert_eq!(
        (&kept["result"]["settings"], &kept["result"]["content"]),
        (&json!({"ipv4_only": true}), &json!("192.0.2.2"))
    );
}

#[tokio::test]
async fn a_token_is_verified() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    assert_eq!(verify(&bench.transport, &bench.access).await, Ok(()));
    let mut other = Bench::of(Table, &place);
    other.access.credential = "canary-unknown".to_owned().into();
    let refused = verify(&other.transport, &other.access).await.unwrap_err();
    assert!(matches!(refused, Fault::Denied(_)), "{refused:?}");
}

#[tokio::test]
async fn zones_of_another_account_are_not_ours() {
    let place = Place::start().await;
    let mut bench = Bench::of(Table, &place);
    bench.access = bench.access.of_account("ffffffffffffffffffffffffffffffff");
    assert!(golive::vendors::cloudflare::zones(&bench.transport, &bench.access).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_credential_that_the_vendor_repeats_is_not_passed_on() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    let body = json!({"errors": [{"code": 6003, "message": format!("bad header: Bearer {CLOUDFLARE}\u{1b}[31m\n")}]});
    place.fault("cloudflare", "GET", &json!({"kind": "status", "code": 400, "body": body}));
    let refused = client(&bench).list().await.unwrap_err();
    assert!(text_of(&refused).contains("bad header: Bearer [credential] [31m"), "{refused}");
}

#[tokio::test]
async fn a_right_that_is_missing_for_one_thing_holds_only_that() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    place.fault("cloudflare", "POST", &json!({"kind": "status", "code": 403}));
    let denied = client(&bench).create(draft(&Table.row(), &mark())).await;
    assert!(matches!(denied, Err(Fault::Denied(_))), "{denied:?}");
    let before = place.calls("cloudflare");
    let again = client(&bench).create(draft(&Table.row(), &mark())).await;
    assert_eq!((matches!(again, Err(Fault::Denied(_))), place.calls("cloudflare")), (true, before));
    assert!(listed(&bench).await.is_empty(), "reading goes on");
}

#[tokio::test]
async fn records_of_types_that_golive_does_not_know_survive() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    let data = json!({"flags": 0, "tag": "issue", "value": "letsencrypt.org"});
    place.raw("cloudflare", "POST", &Table.path(&bench), &json!({"type": "CAA", "name": "@", "data": data})).await;
    let before = listed(&bench).await;
    assert_eq!((before[0].row.kind.clone(), before[0].mark.clone()), (RecordType::Other("CAA".into()), None));
    let creates: Vec<_> = (0..5).map(address).map(Change::Create).collect();
    batch(&bench, &mark, &creates).await.unwrap();
    let deletes: Vec<_> = ours(&listed(&bench).await).into_iter().map(|held| Change::Delete(held.id)).collect();
    batch(&bench, &mark, &deletes).await.unwrap();
    assert_eq!(listed(&bench).await, before);
}

#[tokio::test]
async fn a_mark_that_is_longer_than_a_comment_is_still_ours() {
    let place = Place::start().await;
    let bench = Bench::of(Table, &place);
    let long = golive::rows::Mark { label: "ü".repeat(200), ..mark() };
    client(&bench).create(draft(&Table.row(), &long)).await.unwrap();
    let creates: Vec<_> = (0..2).map(address).map(Change::Create).collect();
    batch(&bench, &long, &creates).await.unwrap();
    let rows = listed(&bench).await;
    assert_eq!((rows.len(), ours(&rows).len()), (3, 3));
}

#[tokio::test]
async fn a_batch_without_an_answer_is_lost_and_may_be_repeated() {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(Table, &place), mark());
    let creates: Vec<_> = (0..5).map(address).map(Change::Create).collect();
    place.fault("cloudflare", "POST", &json!({"kind": "lost"}));
    let lost = batch(&bench, &mark, &creates).await.unwrap_err();
    assert!(matches!(lost, Fault::Lost(_)), "{lost:?}");
    batch(&bench, &mark, &creates).await.unwrap();
    assert_eq!(ours(&listed(&bench).await).len(), 5);
}
