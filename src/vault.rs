//! The Secret `<name>-secrets` that golive keeps for a SaasDeployment: values under the env names that the user chose,
//! and beside them, as an annotation, the ledger of what was done (no secret in it).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::certificate::ledger::{Attempt, remember};
use crate::objects::FINALIZER;
use crate::rows::Id;

/// The annotation that holds the ledger.
pub const LEDGER: &str = "golive.dev/ledger";

/// The Secret's values and its ledger.
#[derive(Clone, Debug, Default)]
pub struct Vault {
    /// Values by env name.
    pub values: BTreeMap<String, SecretString>,
    /// What was done, and when.
    pub ledger: Ledger,
    /// The Secret's resource version; `None` where there is no Secret yet.
    pub version: Option<String>,
    /// The Secret's finalizers, by which it stays when it is deleted.
    pub finalizers: Vec<String>,
    /// Whether it is being deleted: by somebody, with its namespace, or before its SaasDeployment.
    pub going: bool,
}

impl Vault {
    /// The value under an env name.
    pub fn value(&self, env: &str) -> Option<&str> {
        self.values.get(env).map(|v| v.expose_secret())
    }

    /// Whether it would go as soon as it is deleted, and can still be held: what is being deleted takes no new finalizer.
    pub fn is_loose(&self) -> bool {
        !self.going && !self.finalizers.iter().any(|name| name == FINALIZER)
    }

    /// Takes a note into account. Returns whether it changed anything.
    pub fn enter(&mut self, note: Note) -> bool {
        match note {
            Note::Value(env, value) => {
                let same = self.value(&env) == Some(value.expose_secret());
                self.values.insert(env, value);
                !same
            }
            Note::Drop(env) => {
                self.ledger.unnamed.remove(&env);
                self.values.remove(&env).is_some()
            }
            other => {
                let before = self.ledger.clone();
                self.ledger.enter(other);
                self.ledger != before
            }
        }
    }
}

/// Durable memory of what was done. It is kept where a World is observed from, never in status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Ledger {
    /// When each generated value was made.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub generated: BTreeMap<String, Timestamp>,
    /// Values that no field names any more, and since when.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unnamed: BTreeMap<String, Timestamp>,
    /// Webhook endpoints, by slot.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub webhooks: BTreeMap<String, Webhook>,
    /// Accounts at which rows of ours may stand, by part.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub accounts: BTreeSet<Remembered>,
    /// Creates at vendors whose lists lag behind: when each was begun, by part and account.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub begun: BTreeMap<String, Timestamp>,
    /// ACME orders of the last weeks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<Attempt>,
    /// The release under way or last done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// The last release that passed its smoke test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<String>,
    /// The last backup that was read back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Why the newest backup failed, while none has succeeded since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_failure: Option<String>,
    /// The last drill that restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<Backup>,
    /// Why the newest drill failed, while none has restored since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill_failure: Option<String>,
    /// Jobs whose result has been taken in, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<String>,
}

/// An account that a part used: after it left the spec, rows there must still be found and removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Remembered {
    /// The part: `dns`, `payments`, `monitors`.
    pub part: String,
    /// The ProviderAccount.
    pub account: String,
    /// The zone, where the part has zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// A webhook endpoint: which one is current, and the intent of the create that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// The account that holds it.
    pub account: String,
    /// The endpoint whose secret is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Issued>,
    /// The endpoint before a rotation, still accepted until it is retired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Issued>,
    /// The idempotency key of a create whose result is not stored yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
}

/// A row made at a vendor, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The vendor's id.
    pub id: Id,
    /// When its secret was stored.
    pub at: Timestamp,
}

/// How far a release has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The revision.
    pub revision: String,
    /// The stages that are done, each once, with the time.
    #[serde(default)]
    pub done: BTreeMap<String, Timestamp>,
    /// Why its pods did not come up in time, where it gave way because of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A backup or drill that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// When.
    pub at: Timestamp,
    /// The snapshot.
    pub snapshot: String,
    /// Bytes of the database.
    pub bytes: u64,
    /// Rows that were counted after reading it back.
    pub rows: u64,
}

/// One entry into the vault.
#[derive(Clone, Debug)]
pub enum Note {
    /// A value under an env name.
    Value(String, SecretString),
    /// A value that is no longer wanted.
    Drop(String),
    /// A value was generated at this time.
    Generated(String, Timestamp),
    /// No field names a value since then; `None`: one does again.
    Unnamed(String, Option<Timestamp>),
    /// The state of a webhook slot; `None` forgets it.
    Webhook(String, Option<Webhook>),
    /// An account is about to hold rows of ours.
    Account(Remembered),
    /// No row of ours stands there any more.
    Forget(Remembered),
    /// A create at a vendor whose lists lag behind is about to begin; `None`: it surely made nothing.
    Begun(String, Option<Timestamp>),
    /// An order was placed, or its outcome is known (same time and names).
    Order(Attempt),
    /// A stage of a revision is done.
    Stage(String, String, Timestamp),
    /// The pods of a revision did not come up in time, and why.
    Late(String, String),
    /// Whichever revision that was noted of, it is tried again.
    Retry,
    /// A revision passed everything.
    Proven(String),
    /// A backup was read back.
    Backup(Backup),
    /// A drill restored.
    Drill(Backup),
    /// A backup failed.
    BackupFailed(String),
    /// A drill failed.
    DrillFailed(String),
    /// A Job's result has been taken in.
    Taken(String),
}

/// Names of Jobs that are remembered: more than the histories of all CronJobs together.
const TAKEN_KEPT: usize = 40;

impl Ledger {
    fn enter(&mut self, note: Note) {
        match note {
            Note::Value(..) | Note::Drop(_) => {}
            Note::Generated(env, at) => drop(self.generated.insert(env, at)),
            Note::Unnamed(env, Some(since)) => drop(self.unnamed.insert(env, since)),
            Note::Unnamed(env, None) => drop(self.unnamed.remove(&env)),
            Note::Webhook(slot, Some(webhook)) => drop(self.webhooks.insert(slot, webhook)),
            Note::Webhook(slot, None) => drop(self.webhooks.remove(&slot)),
            Note::Account(account) => drop(self.accounts.insert(account)),
            Note::Forget(account) => drop(self.accounts.remove(&account)),
            Note::Begun(what, Some(at)) => drop(self.begun.insert(what, at)),
            Note::Begun(what, None) => drop(self.begun.remove(&what)),
            Note::Order(order) => self.order(order),
            Note::Stage(revision, stage, at) => drop(self.release_of(revision).done.entry(stage).or_insert(at)),
            Note::Late(revision, why) => self.release_of(revision).failure = Some(why),
            Note::Retry => self.release.iter_mut().for_each(|release| release.failure = None),
            Note::Proven(revision) => self.proven = Some(revision),
            Note::Backup(backup) => (self.backup, self.backup_failure) = (Some(backup), None),
            Note::Drill(drill) => (self.drill, self.drill_failure) = (Some(drill), None),
            Note::BackupFailed(why) => self.backup_failure = Some(why),
            Note::DrillFailed(why) => self.drill_failure = Some(why),
            Note::Taken(job) => self.take(job),
        }
    }

    fn order(&mut self, order: Attempt) {
        self.orders.retain(|known| (known.at, &known.names) != (order.at, &order.names));
        self.orders = remember(std::mem::take(&mut self.orders), order);
    }

    /// What is known of a revision's release; of another nothing is, from then on.
    fn release_of(&mut self, revision: String) -> &mut Release {
        let release = self.release.get_or_insert_default();
        if release.revision != revision {
            *release = Release { revision, ..Release::default() };
        }
        release
    }

    fn take(&mut self, job: String) {
        self.taken.retain(|known| *known != job);
        self.taken.push(job);
        let excess = self.taken.len().saturating_sub(TAKEN_KEPT);
        self.taken.drain(..excess);
    }

    /// When a stage of a revision was done.
    pub fn stage_done(&self, revision: &str, stage: &str) -> Option<Timestamp> {
        let release = self.release.as_ref().filter(|r| r.revision == revision)?;
        release.done.get(stage).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::ledger::Outcome;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_new_revision_starts_with_no_stage_done() {
        let mut vault = Vault::default();
        assert!(vault.enter(Note::Stage("a".into(), "migrate".into(), at(1))));
        assert!(!vault.enter(Note::Stage("a".into(), "migrate".into(), at(2))));
        assert_eq!(vault.ledger.stage_done("a", "migrate"), Some(at(1)));
        vault.enter(Note::Stage("b".into(), "test".into(), at(3)));
        assert_eq!(vault.ledger.stage_done("b", "migrate"), None);
        assert_eq!(vault.ledger.stage_done("a", "migrate"), None);
    }

    #[test]
    fn that_a_revision_came_late_goes_with_it() {
        let mut vault = Vault::default();
        let failure = |vault: &Vault| vault.ledger.release.as_ref().and_then(|release| release.failure.clone());
        vault.enter(Note::Stage("a".into(), "migrate".into(), at(1)));
        assert!(vault.enter(Note::Late("a".into(), "no image".into())));
        assert_eq!(
            (failure(&vault).as_deref(), vault.ledger.stage_done("a", "migrate")),
            (Some("no image"), Some(at(1)))
        );
        assert!(vault.enter(Note::Retry) && failure(&vault).is_none() && !vault.enter(Note::Retry));
        vault.enter(Note::Late("a".into(), "no image".into()));
        vault.enter(Note::Stage("b".into(), "migrate".into(), at(2)));
        assert_eq!(failure(&vault), None);
    }

    #[test]
    fn an_order_is_noted_once_and_its_outcome_replaces_it() {
        let mut ledger = Ledger::default();
        let order = |outcome| Attempt { at: at(0), names: BTreeSet::from(["a".into()]), outcome, replaces: false };
        ledger.enter(Note::Order(order(Outcome::Open)));
        ledger.enter(Note::Order(order(Outcome::Issued)));
        assert_eq!(ledger.orders, vec![order(Outcome::Issued)]);
    }

    #[test]
    fn the_ledger_reads_back_what_it_wrote_and_survives_unknown_and_missing_fields() {
        let mut ledger = Ledger::default();
        ledger.enter(Note::Generated("SECRET_KEY".into(), at(0)));
        ledger.enter(Note::Account(Remembered { part: "dns".into(), account: "c".into(), zone: Some("z".into()) }));
        let text = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
        let newer = r#"{"generated":{},"somethingNew":1}"#;
        assert_eq!(serde_json::from_str::<Ledger>(newer).unwrap(), Ledger::default());
    }

    #[test]
    fn what_is_being_deleted_takes_no_finalizer_any_more() {
        let vault = |finalizers: &[&str], going| Vault {
            finalizers: finalizers.iter().map(|name| (*name).to_owned()).collect(),
            going,
            ..Vault::default()
        };
        assert!(vault(&[], false).is_loose() && vault(&["example.com/other"], false).is_loose());
        assert!(!vault(&["example.com/other", FINALIZER], false).is_loose());
        assert!(!vault(&[], true).is_loose() && !vault(&[FINALIZER], true).is_loose());
    }

    #[test]
    fn debug_shows_no_value() {
        let mut vault = Vault::default();
        vault.enter(Note::Value("SECRET_KEY".into(), "canary".to_owned().into()));
        assert!(!format!("{vault:?}").contains("canary"));
        assert_eq!(vault.value("SECRET_KEY"), Some("canary"));
    }
}
