//! What holds while all is well.

use golive::fault::Fault;
use golive::rows::{Draft, Id, Mark, Provider};
use secrecy::ExposeSecret;

use crate::case::{Bench, Case, mark, ours};
use crate::place::{Place, nothing_was_told};

pub fn draft<'a, T>(row: &'a T, mark: &'a Mark) -> Draft<'a, T> {
    Draft { row, mark, key: "key-1" }
}

pub async fn a_list_shows_what_was_made(case: impl Case) {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(case, &place), mark());
    let provider = case.provider(&bench);
    assert!(provider.list().await.unwrap().is_empty());
    let created = provider.create(draft(&case.row(), &mark)).await.unwrap();
    place.catch_up();
    let listed = provider.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].id, &listed[0].mark), (&created.id, &Some(mark)));
    assert_eq!(case.asked(listed[0].row.clone()), case.row());
    let secret = created.secret.as_ref().map(|secret| secret.expose_secret().to_owned()).unwrap_or_default();
    assert!(secret.is_empty() || !format!("{created:?} {listed:?}").contains(&secret));
    nothing_was_told(&[secret.as_str()].map(|secret| if secret.is_empty() { "whsec_" } else { secret }));
}

pub async fn every_call_may_be_repeated(case: impl Case) {
    let place = Place::start().await;
    let (bench, mark, row) = (Bench::of(case, &place), mark(), case.row());
    let provider = case.provider(&bench);
    let one = provider.create(draft(&row, &mark)).await.unwrap();
    if case.creates_once() {
        let two = provider.create(draft(&row, &mark)).await.unwrap();
        assert_eq!(one.id, two.id);
    }
    for _ in 0..2 {
        provider.update(&one.id, draft(&case.other(), &mark)).await.unwrap();
    }
    assert_eq!(case.count(&place), 1);
    for _ in 0..2 {
        provider.delete(&one.id).await.unwrap();
    }
    place.catch_up();
    assert!(provider.list().await.unwrap().is_empty());
    assert_eq!(case.count(&place), 0);
}

pub async fn a_change_keeps_the_row_and_its_mark(case: impl Case) {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(case, &place), mark());
    let provider = case.provider(&bench);
    let created = provider.create(draft(&case.row(), &mark)).await.unwrap();
    provider.update(&created.id, draft(&case.other(), &mark)).await.unwrap();
    place.catch_up();
    let listed = provider.list().await.unwrap();
    assert_eq!((listed.len(), &listed[0].id, &listed[0].mark), (1, &created.id, &Some(mark)));
    assert_eq!(case.asked(listed[0].row.clone()), case.other());
}

pub async fn what_is_gone_is_deleted_and_cannot_be_changed(case: impl Case) {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(case, &place), mark());
    let provider = case.provider(&bench);
    let created = provider.create(draft(&case.row(), &mark)).await.unwrap();
    provider.delete(&created.id).await.unwrap();
    let changed = provider.update(&created.id, draft(&case.other(), &mark)).await;
    assert!(matches!(changed, Err(Fault::Lost(_))), "the rows are to be listed again: {changed:?}");
    assert_eq!(provider.delete(&Id("0".repeat(32))).await, Ok(()));
}

pub async fn strangers_stay_strangers(case: impl Case) {
    let place = Place::start().await;
    let (bench, mark) = (Bench::of(case, &place), mark());
    case.stranger(&place, &bench, 1).await;
    let provider = case.provider(&bench);
    let created = provider.create(draft(&case.row(), &mark)).await.unwrap();
    place.catch_up();
    let listed = provider.list().await.unwrap();
    assert_eq!((listed.len(), ours(&listed).len()), (2, 1));
    assert_eq!(listed.iter().filter(|held| held.mark.is_none()).count(), 1);
    provider.delete(&created.id).await.unwrap();
    place.catch_up();
    let left = provider.list().await.unwrap();
    assert_eq!((left.len(), &left[0].mark), (1, &None));
}
