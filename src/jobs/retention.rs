//! Which snapshots may go. Pure: the clock is an argument.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// The tag of a snapshot that was restored and compared after it was made.
pub const VERIFIED: &str = "verified";

/// The tag of a snapshot of a database that lost all rows since the one before.
pub const SUSPICIOUS: &str = "suspicious";

/// The tag of the safety copy that a restore makes first.
pub const BEFORE_RESTORE: &str = "before-restore";

/// A snapshot, as `restic snapshots --json` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Snapshot {
    /// Its full id.
    pub id: String,
    /// The id before its tags were changed: restic writes a changed snapshot anew.
    #[serde(default)]
    pub original: Option<String>,
    /// When it was made.
    pub time: Timestamp,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
}

impl Snapshot {
    /// Whether it carries the tag.
    pub fn is(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    /// Whether this is its id, or its id before it was tagged, perhaps shortened.
    pub fn named(&self, short: &str) -> bool {
        self.id.starts_with(short) || self.original.as_deref().is_some_and(|id| id.starts_with(short))
    }

    /// Whether it was verified, and is not a safety copy.
    pub fn proven(&self) -> bool {
        self.is(VERIFIED) && !self.is(BEFORE_RESTORE)
    }

    /// Whether it was verified to hold something that a user would want back.
    pub fn sound(&self) -> bool {
        self.proven() && !self.is(SUSPICIOUS)
    }
}

/// The newest of the snapshots that are wanted.
pub fn newest(snapshots: &[Snapshot], wanted: impl Fn(&Snapshot) -> bool) -> Option<&Snapshot> {
    snapshots.iter().filter(|snapshot| wanted(snapshot)).max_by_key(|snapshot| snapshot.time)
}

/// The ids of the snapshots that are older than `keep_days`, save the newest verified one and the newest verified one
/// that is not suspicious: a row of bad days never evicts the last good copy.
pub fn expired(snapshots: &[Snapshot], now: Timestamp, keep_days: u32) -> Vec<String> {
    let kept = [newest(snapshots, Snapshot::proven), newest(snapshots, Snapshot::sound)];
    let age = SignedDuration::from_hours(24 * i64::from(keep_days));
    let limit = now.checked_sub(age).unwrap_or(Timestamp::MIN);
    let old = snapshots.iter().filter(|snapshot| snapshot.time < limit);
    old.filter(|snapshot| !kept.contains(&Some(snapshot))).map(|snapshot| snapshot.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(days_old: i64, tags: &[&str]) -> Snapshot {
        let time = now() - SignedDuration::from_hours(24 * days_old);
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Snapshot { id: format!("{days_old}"), original: None, time, tags }
    }

    fn now() -> Timestamp {
        "2026-11-21T06:00:00Z".parse().unwrap()
    }

    #[test]
    fn old_snapshots_go_and_young_ones_stay() {
        let all = [snapshot(1, &[VERIFIED]), snapshot(29, &[]), snapshot(31, &[VERIFIED]), snapshot(40, &[])];
        assert_eq!(expired(&all, now(), 30), ["31", "40"]);
    }

    #[test]
    fn the_last_verified_snapshot_stays_however_old() {
        let all = [snapshot(1, &[]), snapshot(90, &[VERIFIED]), snapshot(95, &[VERIFIED]), snapshot(50, &[])];
        assert_eq!(expired(&all, now(), 30), ["95", "50"]);
    }

    #[test]
    fn suspicious_days_do_not_evict_the_last_sound_snapshot() {
        let bad = [VERIFIED, SUSPICIOUS];
        let all = [snapshot(1, &bad), snapshot(31, &bad), snapshot(60, &[VERIFIED]), snapshot(61, &[VERIFIED])];
        assert_eq!(expired(&all, now(), 30), ["31", "61"]);
    }

    #[test]
    fn a_safety_copy_is_no_proof() {
        let all = [snapshot(1, &[VERIFIED, BEFORE_RESTORE]), snapshot(45, &[VERIFIED])];
        assert!(expired(&all, now(), 30).is_empty());
    }

    #[test]
    fn no_list_of_snapshots_breaks_its_reader() {
        let listed = serde_json::json!([
            {"id": "5eed", "original": "5eee", "time": "2026-11-20T06:00:00Z", "tags": [VERIFIED]},
            {"id": "5eef", "time": "2026-09-20T06:00:00.123456789+02:00", "tags": [VERIFIED, SUSPICIOUS]},
        ]);
        let mut read = 0;
        crate::fuzz::json(&listed, 3_000, |listed| {
            let Ok(all) = serde_json::from_value::<Option<Vec<Snapshot>>>(listed.clone()) else { return };
            let all = all.unwrap_or_default();
            for days in [0, 30, u32::MAX] {
                let last = newest(&all, Snapshot::sound);
                assert!(last.is_none_or(|last| expired(std::slice::from_ref(last), now(), days).is_empty()));
                assert!(expired(&all, now(), days).len() <= all.len());
            }
            read += usize::from(all.iter().any(|snapshot| snapshot.named("5e")));
        });
        assert!(read > 100, "{read}");
    }
}
