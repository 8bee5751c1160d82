//! What has to change at a vendor so that our rows there are the wanted ones: written once, for all tables.

use std::collections::BTreeMap;

use crate::api::Adopt;
use crate::fault::Hold;
use crate::rows::{Change, Held, Mark, Row};

/// How a table comes to be as wanted.
#[derive(Debug, PartialEq)]
pub struct Difference<T> {
    /// What has to change. Deletes come first: they make room.
    pub changes: Vec<Change<T>>,
    /// A stranger's row that stands in the way and may not be adopted, told with the wanted one. All that goes together
    /// with what it bars is left as it is.
    pub taken: Option<Hold>,
}

/// The changes that lead from `have` (the whole table) to `want`, touching only rows of `mark`, and strangers' rows
/// where `adopt` says so.
pub fn diff<T>(want: &[T], have: &[Held<T>], mark: &Mark, adopt: Adopt) -> Difference<T>
where
    T: Row + std::fmt::Display,
{
    let (ours, strangers): (Vec<_>, Vec<_>) = have.iter().partition(|held| held.is_of(mark));
    let in_the_way =
        strangers.into_iter().filter_map(|held| Some((want.iter().find(|row| row.bars(&held.row))?, held)));
    let (adopted, barring): (Vec<_>, Vec<_>) = in_the_way.partition(|(_, held)| may_adopt(want, held, adopt));
    let is_free = |row: &T| !barring.iter().any(|(barred, _)| barred.goes_with(row));
    let want = want.iter().filter(|row| is_free(row));
    let have = ours.into_iter().chain(adopted.into_iter().map(|(_, held)| held)).filter(|held| is_free(&held.row));
    let mut changes = Vec::new();
    for (want, have) in by_key(want, have) {
        changes.extend(match_up(want, have, mark));
    }
    changes.sort_by_key(|change| !matches!(change, Change::Delete(_)));
    Difference { changes, taken: barring.first().map(|(row, held)| taken_by(*row, held)) }
}

type Group<'a, T> = (Vec<&'a T>, Vec<&'a Held<T>>);

fn by_key<'a, T: Row>(want: impl Iterator<Item = &'a T>, ours: impl Iterator<Item = &'a Held<T>>) -> Vec<Group<'a, T>> {
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

/// Whether a stranger's row becomes ours.
fn may_adopt<T: Row>(want: &[T], held: &Held<T>, adopt: Adopt) -> bool {
    match adopt {
        Adopt::Never => false,
        Adopt::IfIdentical => want.contains(&held.row),
        Adopt::Always => true,
    }
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
    use crate::rows::{Id, Monitor, Record, RecordType};

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
        let Difference { changes, taken } = diff(want, have, &mark("me"), adopt);
        taken.map_or(Ok(changes), Err)
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

    #[test]
    fn a_stranger_bars_one_name_and_all_else_goes_on() {
        let want = [
            record("taken.example.com", "A", "192.0.2.2"),
            record("taken.example.com", "AAAA", "2001:db8::2"),
            record("b.example.com", "A", "192.0.2.2"),
            record("_acme-challenge.taken.example.com", "TXT", "proof"),
        ];
        let have = [
            held("1", Some("me"), record("taken.example.com", "A", "192.0.2.1")),
            held("2", None, record("taken.example.com", "A", "192.0.2.9")),
            held("3", Some("me"), record("taken.example.com", "CNAME", "old.example.net")),
            held("4", Some("me"), record("b.example.com", "A", "192.0.2.1")),
            held("5", Some("me"), record("gone.example.com", "A", "192.0.2.1")),
        ];
        let Difference { changes, taken } = diff(&want, &have, &mark("me"), Adopt::Never);
        let expected = [
            Change::Delete(Id("5".into())),
            Change::Create(want[3].clone()),
            Change::Update(Id("4".into()), want[2].clone()),
        ];
        assert_eq!(changes, expected);
        let hold = taken.unwrap();
        assert!(hold.message.contains("192.0.2.9") && hold.message.contains("192.0.2.2"), "{}", hold.message);
    }

    #[test]
    fn where_one_of_two_strangers_may_not_be_adopted_neither_is() {
        let want = [record("a.example.com", "A", "192.0.2.1")];
        let have = [held("1", None, want[0].clone()), held("2", None, record("a.example.com", "A", "192.0.2.9"))];
        let Difference { changes, taken } = diff(&want, &have, &mark("me"), Adopt::IfIdentical);
        assert!(changes.is_empty() && taken.is_some_and(|hold| hold.message.contains("192.0.2.9")));
    }

    /// A row that bars strangers of its first letter, and says nothing of what goes with it.
    #[derive(Clone, Debug, PartialEq)]
    struct Slug(&'static str, u8);

    impl Row for Slug {
        type Key = &'static str;

        fn key(&self) -> &'static str {
            self.0
        }

        fn bars(&self, stranger: &Self) -> bool {
            self.0[..1] == stranger.0[..1]
        }
    }

    impl std::fmt::Display for Slug {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    #[test]
    fn what_a_stranger_bars_holds_only_the_rows_of_its_key_where_the_table_says_no_more() {
        let row = |id: &str, mark: Option<Mark>, row| Held { id: Id(id.into()), mark, row };
        let own = || Some(mark("me"));
        let have = [row("1", None, Slug("a-theirs", 0)), row("2", own(), Slug("a", 0)), row("3", own(), Slug("c", 0))];
        let want = [Slug("a", 1), Slug("b", 0)];
        let Difference { changes, taken } = diff(&want, &have, &mark("me"), Adopt::Never);
        assert_eq!(changes, [Change::Delete(Id("3".into())), Change::Create(want[1].clone())]);
        assert!(taken.is_some());
    }

    #[test]
    fn a_strangers_monitor_bars_none_and_ours_is_changed_whatever_it_watched() {
        let watch =
            |url: &str| Monitor { name: "n".into(), url: url.into(), every_seconds: 60, alert_after_seconds: 60 };
        let strange = Held { id: Id("1".into()), mark: None, row: watch("a") };
        let want = [watch("a")];
        let made = diff(&want, std::slice::from_ref(&strange), &mark("me"), Adopt::Never);
        assert_eq!(made, Difference { changes: vec![Change::Create(watch("a"))], taken: None });
        let ours = Held { id: Id("2".into()), mark: Some(mark("me")), row: watch("b") };
        let moved = diff(&want, &[strange, ours], &mark("me"), Adopt::Never);
        assert_eq!(moved.changes, [Change::Update(Id("2".into()), watch("a"))]);
    }
}
