//! What has to change at a vendor so that our rows there are the wanted ones: written once, for all tables.

use std::collections::BTreeMap;

use crate::api::Adopt;
use crate::fault::Hold;
use crate::rows::{Change, Held, Mark, Row};

/// The changes that lead from `have` (the whole table) to `want`, touching only rows of `mark`, and strangers' rows
/// where `adopt` says so. Deletes come first: they make room.
///
/// # Errors
/// A stranger's row stands in the way and may not be adopted; the message shows both rows.
pub fn diff<T>(want: &[T], have: &[Held<T>], mark: &Mark, adopt: Adopt) -> Result<Vec<Change<T>>, Hold>
where
    T: Row + std::fmt::Display,
{
    let (ours, strangers): (Vec<_>, Vec<_>) = have.iter().partition(|held| held.is_of(mark));
    let adopted = adopted(want, &strangers, adopt)?;
    let mut changes = Vec::new();
    for (want, ours) in by_key(want, ours.into_iter().chain(adopted)) {
        changes.extend(match_up(want, ours, mark));
    }
    changes.sort_by_key(|change| !matches!(change, Change::Delete(_)));
    Ok(changes)
}

type Group<'a, T> = (Vec<&'a T>, Vec<&'a Held<T>>);

fn by_key<'a, T: Row>(want: &'a [T], ours: impl Iterator<Item = &'a Held<T>>) -> Vec<Group<'a, T>> {
    let mut groups: BTreeMap<T::Key, Group<'a, T>> = BTreeMap::new();
    for row in want {
        groups.entry(row.key()).or_insert_with(|| (Vec::new(), Vec::new())).0.push(row);
    }
    for held in ours {
        groups.entry(held.row.key()).or_insert_with(|| (Vec::new(), Vec::new())).1.push(held);
    }
    groups.into_values().collect()
}

/// Within one key: what agrees stays, what is left of ours becomes what is left of the wanted.
fn match_up<T: Row>(mut want: Vec<&T>, mut ours: Vec<&Held<T>>, mark: &Mark) -> Vec<Change<T>> {
    ours.retain(|held| match want.iter().position(|row| **row == held.row) {
        Some(at) if held.is_of(mark) => {
            want.remove(at);
            false
        }
        _ => true,
    });
    let updates = want.len().min(ours.len());
    let changed = ours.iter().zip(&want).map(|(held, row)| Change::Update(held.id.clone(), (*row).clone()));
    let deleted = ours.iter().skip(updates).map(|held| Change::Delete(held.id.clone()));
    let created = want.iter().skip(updates).map(|row| Change::Create((*row).clone()));
    changed.chain(deleted).chain(created).collect()
}

/// The strangers' rows that become ours; refuses where one stands in the way and the policy keeps it.
fn adopted<'a, T>(want: &[T], strangers: &[&'a Held<T>], adopt: Adopt) -> Result<Vec<&'a Held<T>>, Hold>
where
    T: Row + std::fmt::Display,
{
    let mut taken = Vec::new();
    for held in strangers {
        let Some(row) = want.iter().find(|row| row.bars(&held.row)) else { continue };
        let allowed = match adopt {
            Adopt::Never => false,
            Adopt::IfIdentical => want.contains(&held.row),
            Adopt::Always => true,
        };
        if !allowed {
            return Err(taken_by(row, held));
        }
        taken.push(*held);
    }
    Ok(taken)
}

fn taken_by<T: Row + std::fmt::Display>(row: &T, held: &Held<T>) -> Hold {
    let whose = match &held.mark {
        Some(mark) => format!("belongs to {mark}"),
        None => "was not made by golive".to_owned(),
    };
    Hold::person(
        "RecordTaken",
        format!(
            "`{}` stands at the vendor and {whose}; wanted is `{row}`. Remove it there, or set `dns.adopt` to \
             `IfIdentical` or `Always` to take it over",
            held.row
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{Id, Record, RecordType};

    fn mark(owner: &str) -> Mark {
        Mark { cluster: "c".into(), owner: owner.into(), label: "n/a".into() }
    }

    fn record(name: &str, kind: &str, content: &str) -> Record {
        Record { name: name.into(), kind: RecordType::from(kind), content: content.into(), proxied: false, ttl: 1 }
    }

    fn held(id: &str, owner: Option<&str>, row: Record) -> Held<Record> {
        Held { id: Id(id.into()), mark: owner.map(mark), row }
    }

    fn run(want: &[Record], have: &[Held<Record>], adopt: Adopt) -> Result<Vec<Change<Record>>, Hold> {
        diff(want, have, &mark("me"), adopt)
    }

    #[test]
    fn agreement_needs_no_change() {
        let a = record("a.example.com", "A", "192.0.2.1");
        assert_eq!(run(std::slice::from_ref(&a), &[held("1", Some("me"), a.clone())], Adopt::Never), Ok(vec![]));
    }

    #[test]
    fn ours_is_updated_in_place_and_what_is_not_wanted_goes_first() {
        let new = record("a.example.com", "A", "192.0.2.2");
        let have = [
            held("1", Some("me"), record("a.example.com", "A", "192.0.2.1")),
            held("2", Some("me"), record("b.example.com", "A", "192.0.2.1")),
        ];
        let changes = run(std::slice::from_ref(&new), &have, Adopt::Never).unwrap();
        assert_eq!(changes, vec![Change::Delete(Id("2".into())), Change::Update(Id("1".into()), new)]);
    }

    #[test]
    fn a_strangers_rows_are_never_touched() {
        let have = [
            held("1", None, record("x.example.com", "A", "192.0.2.9")),
            held("2", Some("other"), record("y.example.com", "A", "192.0.2.9")),
        ];
        assert_eq!(run(&[], &have, Adopt::Never), Ok(vec![]));
        assert_eq!(run(&[], &have, Adopt::Always), Ok(vec![]));
    }

    #[test]
    fn a_stranger_in_the_way_is_shown_and_left_alone() {
        let want = [record("a.example.com", "A", "192.0.2.1")];
        let have = [held("1", None, record("a.example.com", "CNAME", "old.example.net"))];
        let hold = run(&want, &have, Adopt::Never).unwrap_err();
        assert_eq!(hold.reason, "RecordTaken");
        assert!(hold.message.contains("old.example.net") && hold.message.contains("192.0.2.1"), "{}", hold.message);
    }

    #[test]
    fn adoption_marks_an_identical_row_and_replaces_another_only_on_always() {
        let want = record("a.example.com", "A", "192.0.2.1");
        let same = [held("1", None, want.clone())];
        let wants = std::slice::from_ref(&want);
        assert_eq!(run(wants, &same, Adopt::IfIdentical), Ok(vec![Change::Update(Id("1".into()), want.clone())]));
        let other = [held("1", None, record("a.example.com", "CNAME", "old.example.net"))];
        assert!(run(wants, &other, Adopt::IfIdentical).is_err());
        let replaced = vec![Change::Delete(Id("1".into())), Change::Create(want.clone())];
        assert_eq!(run(wants, &other, Adopt::Always), Ok(replaced));
    }

    #[test]
    fn text_records_of_others_stand_beside_ours() {
        let want = [record("_acme-challenge.a.example.com", "TXT", "proof")];
        let have = [held("1", None, record("_acme-challenge.a.example.com", "TXT", "theirs"))];
        assert_eq!(run(&want, &have, Adopt::Never), Ok(vec![Change::Create(want[0].clone())]));
    }
}
