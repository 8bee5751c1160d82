//! Backups: a CronJob that copies, uploads and reads back; a drill that restores into a throw-away place; and the same on
//! request. What they prove is taken into the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::claims::Vendor;
use super::names::hash;
use super::pod::{Container, Runs};
use super::release::BACKUP;
use super::{Action, Ask, Manifest, Part, Steps, Verdict};
use crate::api::{Backup, OperationKind, Retention, SaasOperation};
use crate::child::Child;
use crate::evidence::{
    BackupFacts, BackupTask, DrillTask, Evidence, Failure, Limits, RestoreFacts, Source, Tags, Target,
};
use crate::fault::Hold;
use crate::kinds::Kind;
use crate::vault::{self, Note, Remembered};
use crate::world::Account;

/// Where credentials are mounted, one folder for each account.
const CREDENTIALS: &str = "/etc/golive/accounts";
/// The only place that backup and drill pods write to.
const SCRATCH: &str = "/scratch";
/// The container of drills, and the component of their pods.
const DRILL: &str = "drill";
/// The ledger's word for accounts whose credentials are copied into the namespace.
const COPIES: &str = "backup";

/// Plans the schedules, the requests, and what finished Jobs proved.
pub fn plan(ask: Ask<'_>) -> Option<Verdict> {
    match &ask.saas.spec.backup {
        Some(backup) => Some(ask.backup(backup)),
        None if ask.copied_accounts().is_empty() => None,
        None => {
            let mut steps = Steps::default();
            ask.credential_copies(&[], &mut steps);
            Some(Ok(steps))
        }
    }
}

impl Ask<'_> {
    fn backup(self, backup: &Backup) -> Verdict {
        self.world.vault()?;
        let mut steps = Steps::default();
        if let Some(hold) = self.denied(backup) {
            steps.wait(hold);
        }
        if !backup.d1.is_empty() {
            steps.wait(super::unsupported::hold("backup.d1"));
        }
        if self.saas.spec.deletion_policy.backups == Retention::Delete {
            steps.wait(super::unsupported::hold("deletionPolicy.backups"));
        }
        if self.sqlite().is_none() {
            return Err(super::unsupported::hold("backup` without `database.sqlite"));
        }
        self.take_outcomes(&mut steps);
        let targets = self.targets(backup)?;
        self.credential_copies(&targets, &mut steps);
        self.cron_objects(backup, &mut steps);
        self.requested(&mut steps);
        steps.evidence = self.backup_evidence();
        Ok(steps)
    }

    fn cron_objects(self, backup: &Backup, steps: &mut Steps) {
        let Some(container) = steps.or_wait(self.backup_container(false)) else { return };
        let pod = self.pod(container, Runs::Once);
        steps.declare(Manifest::new(
            Kind::CronJob,
            self.named("backup"),
            self.cron_job(&backup.schedule, pod, Part::Backup),
        ));
        if let Some(drill) = &backup.drill {
            let Some(container) = steps.or_wait(self.drill_container()) else { return };
            let pod = self.pod(container, Runs::Once);
            steps.declare(Manifest::new(
                Kind::CronJob,
                self.named("drill"),
                self.cron_job(&drill.schedule, pod, Part::Backup),
            ));
        }
    }

    /// Why a backup does not go to every account that it names: one does not allow this namespace. It goes on to the others,
    /// and no credentials of that one stay here.
    fn denied(&self, backup: &Backup) -> Option<Hold> {
        let stores = self.stores(backup).ok()?;
        let denied = stores.into_iter().filter(|store| self.is_denied(store));
        denied.map(|store| self.account(Vendor::S3, Some(store))).find_map(Result::err)
    }

    /// A namespace always has labels: where there are none, it was not seen, and nothing is known of its grants.
    fn is_denied(&self, account: &str) -> bool {
        let seen = !self.world.namespace_labels.is_empty();
        seen && self.world.accounts.get(account).is_some_and(|account| !account.allowed)
    }

    /// Whether there is something that backups are made of.
    pub fn backs_up(self) -> bool {
        self.saas.spec.backup.is_some() && self.sqlite().is_some()
    }

    /// The accounts that a backup goes to: those named, else the default.
    fn stores<'a>(&'a self, backup: &'a Backup) -> Result<Vec<&'a str>, Hold> {
        match backup.to.is_empty() {
            true => Ok(vec![self.account(Vendor::S3, None)?.0]),
            false => Ok(backup.to.iter().map(|to| to.account.as_str()).collect()),
        }
    }

    /// The S3 accounts that a backup may use, each with readable credentials.
    fn targets(&self, backup: &Backup) -> Result<Vec<(&str, &Account)>, Hold> {
        let granted = self.stores(backup)?.into_iter().filter(|store| !self.is_denied(store));
        let accounts = granted.map(|store| self.account(Vendor::S3, Some(store)));
        accounts
            .map(|found| {
                let (name, account) = found?;
                account.credentials.as_ref().map_err(Hold::from)?;
                Ok((name, account))
            })
            .collect()
    }

    /// A container that makes a backup; before the first proven release there may be no database yet.
    ///
    /// # Errors
    /// There is nothing to back up, or no account that it may go to.
    pub fn backup_container(self, before_release: bool) -> Result<Container, Hold> {
        let (backup, source) = self.saas.spec.backup.as_ref().zip(self.database_source()).ok_or_else(nothing)?;
        let mut tags = self.tags();
        tags.revision = before_release.then(|| self.revision());
        let task = BackupTask {
            source,
            targets: self.task_targets(backup)?,
            keep_days: u32::try_from(backup.keep_days).unwrap_or(30),
            tags,
            workdir: PathBuf::from(SCRATCH),
            allow_missing: before_release && self.proven().is_none(),
            limits: Limits::default(),
        };
        let container = self.mount_database(self.worker(BACKUP, &task));
        Ok(self.with_credentials(container, backup))
    }

    fn drill_container(self) -> Result<Container, Hold> {
        let backup = self.saas.spec.backup.as_ref().ok_or_else(nothing)?;
        let task = DrillTask {
            target: self.task_targets(backup)?.into_iter().next().ok_or_else(nowhere)?,
            tags: self.tags(),
            snapshot: None,
            workdir: PathBuf::from(SCRATCH),
            limits: Limits::default(),
        };
        Ok(self.with_credentials(self.worker(DRILL, &task), backup))
    }

    fn tags(self) -> Tags {
        Tags { namespace: self.saas.metadata.namespace.clone().unwrap_or_default(), name: self.name(), revision: None }
    }

    fn database_source(self) -> Option<Source> {
        Some(Source::Sqlite { file: PathBuf::from(&self.sqlite()?.file) })
    }

    fn task_targets(self, backup: &Backup) -> Result<Vec<Target>, Hold> {
        let targets = self.targets(backup)?.into_iter().filter_map(|(name, account)| {
            let s3 = account.object.spec.s3.as_ref()?;
            let folder = PathBuf::from(CREDENTIALS).join(name);
            let roots = account.credentials.as_ref().is_ok_and(|values| values.contains_key("ca.crt"));
            Some(Target {
                account: name.to_owned(),
                repository: format!("s3:{}/{}/{}", s3.endpoint.trim_end_matches('/'), s3.bucket, self.prefix()),
                region: s3.region.clone(),
                password: folder.join("password"),
                roots: roots.then(|| folder.join("ca.crt")),
                credentials: Some(folder),
            })
        });
        Some(targets.collect::<Vec<_>>())
            .filter(|targets| !targets.is_empty())
            .ok_or_else(|| self.denied(backup).unwrap_or_else(nowhere))
    }

    /// Where the snapshots of this application stand in a bucket.
    fn prefix(self) -> String {
        format!("{}/{}", self.world.mark.cluster, self.label())
    }

    fn with_credentials(self, mut container: Container, backup: &Backup) -> Container {
        container.resources["limits"]["memory"] = json!("1Gi");
        let container = container.mount("scratch", json!({"emptyDir": {}}), SCRATCH, false);
        self.targets(backup).unwrap_or_default().into_iter().fold(container, |container, (account, _)| {
            let secret = json!({"secret": {"secretName": self.credentials_name(account), "defaultMode": 288}});
            let name = format!("account-{}", hash(account.as_bytes(), 8));
            container.mount(&name, secret, &format!("{CREDENTIALS}/{account}"), true)
        })
    }

    /// The Secret with a copy of an account's credentials, for pods in this namespace.
    pub fn credentials_name(self, account: &str) -> String {
        self.named(&format!("account-{account}"))
    }

    /// The accounts whose credentials are, or may still be, copied here.
    fn copied_accounts(self) -> BTreeSet<String> {
        let remembered = self.world.vault.as_ref().map(|vault| vault.ledger.accounts.clone()).unwrap_or_default();
        let left = remembered.into_iter().filter(|r| r.part == COPIES).map(|r| r.account);
        let used = self.saas.spec.backup.iter().filter_map(|backup| self.stores(backup).ok()).flatten();
        left.chain(used.map(str::to_owned)).collect()
    }

    /// The Secrets that hold such copies.
    pub fn copy_names(self) -> Vec<String> {
        self.copied_accounts().iter().map(|account| self.credentials_name(account)).collect()
    }

    /// Writes the copies that are missing or old, and removes those that nothing uses.
    fn credential_copies(self, targets: &[(&str, &Account)], steps: &mut Steps) {
        for account in self.copied_accounts() {
            let name = self.credentials_name(&account);
            let remembered = Remembered { part: COPIES.into(), account: account.clone(), zone: None };
            let Some(Some(copy)) =
                self.world.copies.get(&name).map(|seen| steps.or_wait(seen.as_ref().map_err(Hold::from)))
            else {
                continue;
            };
            match targets.iter().find(|(used, _)| **used == account) {
                Some((_, used)) => {
                    let Some(values) = steps.or_wait(used.credentials.as_ref().map_err(Hold::from)) else { continue };
                    if !is_same(copy.as_ref(), values) {
                        steps.note(Note::Account(remembered));
                        steps.act(Action::Credentials { name, values: values.clone() });
                    }
                }
                None if copy.is_some() => steps.act(Action::DropCredentials { name }),
                None => steps.note(Note::Forget(remembered)),
            }
        }
    }

    /// Jobs of open requests.
    fn requested(self, steps: &mut Steps) {
        for operation in &self.world.operations {
            let container = self.operation_container(operation).and_then(Result::ok);
            let (Some(container), Some(name)) = (container, self.operation_job(operation)) else { continue };
            let pod = self.pod(container, Runs::Once);
            match self.world.children.find(Kind::Job, &name) {
                Some(_) => steps.keep(Kind::Job, name),
                None => steps.declare(Manifest::new(Kind::Job, name, json!({"spec": self.job(pod)}))),
            }
        }
    }

    /// What the Job of a request runs, or why it cannot; `None` where a request needs no Job.
    pub fn operation_container(self, operation: &SaasOperation) -> Option<Result<Container, Hold>> {
        match operation.spec.kind()? {
            OperationKind::Backup => Some(self.backup_container(false)),
            OperationKind::Drill => Some(self.drill_container()),
            _ => None,
        }
    }

    /// The Job of a request.
    pub fn operation_job(self, operation: &SaasOperation) -> Option<String> {
        let uid = operation.metadata.uid.as_deref()?;
        Some(self.named(&format!("op-{}", hash(uid.as_bytes(), 10))))
    }

    /// What Jobs told and is not taken in yet, in the order of their ends.
    fn told_by_jobs(&self) -> Vec<(&Child, &Value)> {
        let job = |name| self.world.children.find(Kind::Job, name).filter(|job| is_of_backup(job));
        let mut all: Vec<_> = self.world.outcomes.iter().filter_map(|(name, told)| Some((job(name)?, told))).collect();
        all.sort_by_key(|(job, _)| job.ended_at());
        all
    }

    /// Takes what finished Jobs proved into the ledger. A stage that failed is the release's to read, until it succeeds: here
    /// it counts for as long as no later backup made it good.
    fn take_outcomes(self, steps: &mut Steps) {
        for (job, told) in self.told_by_jobs() {
            let of_stage = job.part == Some(Part::Release) && !job.has_ended("Complete");
            if !of_stage {
                steps.note(Note::Taken(job.name.to_string()));
            }
            if !(of_stage && self.was_made_good(job)) {
                let lesson = lesson(job, told).filter(|note| self.counts(note));
                steps.actions.extend(lesson.map(|note| Action::Note(vec![note])));
            }
        }
        for failure in self.failures() {
            steps.wait(Hold::event(
                "BackupFailed",
                format!("{failure}; the next one runs on schedule, or by a SaasOperation"),
            ));
        }
    }

    /// What the newest backup and the newest drill failed by. Where no drill follows by a schedule, its request alone tells.
    fn failures(&self) -> impl Iterator<Item = &String> {
        let drills = self.saas.spec.backup.as_ref().is_some_and(|backup| backup.drill.is_some());
        let both = self.world.vault.as_ref().ok().map(|vault| {
            let ledger = &vault.ledger;
            ledger.backup_failure.iter().chain(ledger.drill_failure.iter().filter(move |_| drills))
        });
        both.into_iter().flatten()
    }

    /// Whether a note says anything: before the first backup no drill can restore.
    fn counts(self, note: &Note) -> bool {
        !matches!(note, Note::DrillFailed(_)) || self.ledger().is_some_and(|ledger| ledger.backup.is_some())
    }

    /// Whether a backup succeeded after a Job ended.
    fn was_made_good(self, job: &Child) -> bool {
        let last = self.ledger().and_then(|ledger| ledger.backup.as_ref()).map(|backup| backup.at);
        last.is_some_and(|at| job.ended_at().is_some_and(|ended| ended <= at))
    }

    fn backup_evidence(self) -> String {
        let Ok(vault) = &self.world.vault else { return String::new() };
        let last = vault
            .ledger
            .backup
            .as_ref()
            .map(|b| format!("last backup {} ({} rows, {} bytes, read back)", b.at, b.rows, b.bytes));
        let proven = vault.ledger.drill.as_ref().map(|d| format!("last proven restore {}", d.at));
        let known: Vec<String> = last.into_iter().chain(proven).collect();
        if known.is_empty() { "scheduled; none has run yet".into() } else { known.join("; ") }
    }
}

fn nothing() -> Hold {
    let missing =
        "there is no `backup` or no `database.sqlite` that it could keep: add both blocks, or ask for no backup";
    Hold::person("NothingToBackUp", missing)
}

fn nowhere() -> Hold {
    Hold::person("NoTarget", "`backup.to` names no account that may be used: see BackupReady")
}

/// Whether a Job backs up or drills: by its schedule, on request, or as the stage of a release that makes a restore point.
pub fn is_of_backup(job: &Child) -> bool {
    match job.part {
        Some(Part::Backup) => true,
        Some(Part::Release) => job.component() == BACKUP,
        _ => false,
    }
}

/// What there is to note of what a Job told.
fn lesson(job: &Child, told: &Value) -> Option<Note> {
    let failed = || format!("Job {}: {}", job.name, Failure::told(told));
    match (told["ok"].as_bool().unwrap_or(false), job.component()) {
        (true, DRILL) => drill_of(told).map(Note::Drill),
        (true, _) => backup_of(told).map(Note::Backup),
        (false, DRILL) => Some(Note::DrillFailed(failed())),
        (false, _) => Some(Note::BackupFailed(failed())),
    }
}

fn is_same(copy: Option<&BTreeMap<String, SecretString>>, values: &BTreeMap<String, SecretString>) -> bool {
    let exposed = |map: &BTreeMap<String, SecretString>| -> Vec<(String, String)> {
        map.iter().map(|(key, value)| (key.clone(), value.expose_secret().to_owned())).collect()
    };
    copy.is_some_and(|copy| exposed(copy) == exposed(values))
}

fn facts<T: DeserializeOwned>(told: &Value) -> Option<T> {
    serde_json::from_value::<Evidence<T>>(told.clone()).ok().filter(|evidence| evidence.ok)?.facts
}

fn backup_of(told: &Value) -> Option<vault::Backup> {
    let facts: BackupFacts = facts(told)?;
    let target = facts.targets.iter().find(|target| target.ok)?;
    Some(vault::Backup {
        at: facts.time,
        snapshot: target.snapshot.clone()?,
        bytes: target.bytes,
        rows: facts.contents.total,
    })
}

fn drill_of(told: &Value) -> Option<vault::Backup> {
    let facts: RestoreFacts = facts(told)?;
    Some(vault::Backup { at: facts.time, snapshot: facts.snapshot, bytes: facts.bytes, rows: facts.contents.total })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::SaasDeployment;
    use crate::evidence::{Contents, TargetFacts};
    use crate::plan::tests::{saas, world};
    use crate::world::World;

    /// What a pod tells of a backup that was read back.
    fn told() -> Value {
        let target = TargetFacts {
            account: "s3".into(),
            ok: true,
            failure: None,
            snapshot: Some("4f".into()),
            bytes: 4096,
            stored_bytes: 4096,
            forgotten: 0,
            seconds: 1,
        };
        let facts = BackupFacts {
            targets: vec![target],
            contents: Contents::new([("users".to_owned(), 7)].into()),
            warnings: Vec::new(),
            missing: false,
            seconds: 1,
            time: jiff::Timestamp::UNIX_EPOCH,
        };
        serde_json::from_str(&Evidence::success(facts).json().unwrap()).unwrap()
    }

    #[test]
    fn no_message_of_a_pod_breaks_the_reader() {
        crate::fuzz::json(&told(), 5_000, |told| {
            drop((backup_of(told), drill_of(told)));
            drop(serde_json::from_value::<crate::evidence::Failure>(told.clone()));
        });
        let text = told().to_string();
        crate::fuzz::texts(&[&text], 5_000, |text| {
            if let Ok(told) = serde_json::from_str::<Value>(text) {
                drop((backup_of(&told), drill_of(&told)));
            }
        });
    }

    fn s3(default: bool) -> Value {
        json!({"default": default, "s3": {
            "endpoint": "https://s3.example.com", "region": "r", "bucket": "b", "credentialsSecret": {"name": "s"},
            "encryptionSecret": {"name": "e", "key": "k"},
        }})
    }

    fn backed(backup: Value) -> SaasDeployment {
        let sqlite = json!({"file": "/data/a.db", "size": "1Gi", "env": "DB"});
        saas(json!({"database": {"sqlite": sqlite}, "backup": backup}))
    }

    #[test]
    fn a_backup_goes_where_the_spec_says_else_to_the_default() {
        let accounts = [("a", s3(false)), ("b", s3(true))];
        let stores = |backup: Value, world: &World| {
            let saas = backed(backup);
            let ask = Ask { saas: &saas, world };
            let targets = ask.task_targets(saas.spec.backup.as_ref().unwrap());
            targets.map(|all| all.into_iter().map(|t| t.account).collect::<Vec<_>>()).map_err(|hold| hold.reason)
        };
        let schedule = "0 0 * * *";
        let named = json!({"schedule": schedule, "to": [{"account": "a"}]});
        assert_eq!(stores(named, &world(&accounts)), Ok(vec!["a".to_owned()]));
        assert_eq!(stores(json!({"schedule": schedule}), &world(&accounts)), Ok(vec!["b".to_owned()]));
        assert_eq!(stores(json!({"schedule": schedule}), &world(&accounts[..1])), Err("AccountMissing"));
    }

    #[test]
    fn a_request_for_a_backup_of_nothing_says_so() {
        let (saas, world) = (saas(json!({})), world(&[]));
        let request = |spec| {
            let operation = json!({"apiVersion": "golive.dev/v1alpha1", "kind": "SaasOperation", "metadata": {"name": "o"}, "spec": spec});
            let operation: SaasOperation = serde_json::from_value(operation).unwrap();
            let container = Ask { saas: &saas, world: &world }.operation_container(&operation);
            container.map(|container| container.err().map(|hold| hold.reason))
        };
        assert_eq!(request(json!({"deployment": "app", "backup": {}})), Some(Some("NothingToBackUp")));
        assert_eq!(request(json!({"deployment": "app", "drill": {}})), Some(Some("NothingToBackUp")));
        assert_eq!(request(json!({"deployment": "app", "rotate": {"env": ["A"]}})), None);
    }

    /// A Job of a part that ended so, at a second.
    fn job((name, part, component): (&str, &str, &str), (ended, second): (&str, i64)) -> kube::api::DynamicObject {
        let at = jiff::Timestamp::from_second(second).unwrap().to_string();
        let pod = json!({"metadata": {"labels": {"app.kubernetes.io/component": component}}});
        serde_json::from_value(json!({
            "apiVersion": "batch/v1", "kind": "Job", "spec": {"template": pod},
            "metadata": {"name": name, "labels": {crate::objects::PART: part}},
            "status": {"conditions": [{"type": ended, "status": "True", "lastTransitionTime": at}]},
        }))
        .unwrap()
    }

    fn failed() -> Value {
        json!({"ok": false, "reason": "DiskFull", "message": "no room"})
    }

    /// What a pod tells of a drill that ended then.
    fn restored(time: jiff::Timestamp) -> Value {
        let facts = RestoreFacts {
            snapshot: "4f".into(),
            snapshot_time: jiff::Timestamp::UNIX_EPOCH,
            contents: Contents::new([("users".to_owned(), 7)].into()),
            bytes: 4096,
            seconds: 1,
            safety: None,
            time,
        };
        serde_json::from_str(&Evidence::success(facts).json().unwrap()).unwrap()
    }

    /// A world where these Jobs have ended and told something.
    fn ended(jobs: Vec<(kube::api::DynamicObject, Value)>) -> World {
        let mut world = world(&[]);
        for (job, told) in jobs {
            world.outcomes.insert(job.metadata.name.clone().unwrap(), told);
            world.children = world.children.with(Kind::Job, job);
        }
        world
    }

    /// The notes of a pass, in words, and the reason to wait; the world has them afterwards.
    fn taken(world: &mut World) -> (String, Option<String>) {
        taken_by(&backed(json!({"schedule": "0 0 * * *", "drill": {"schedule": "0 0 * * 0"}})), world)
    }

    fn taken_by(saas: &SaasDeployment, world: &mut World) -> (String, Option<String>) {
        let mut steps = Steps::default();
        Ask { saas, world }.take_outcomes(&mut steps);
        let mut words = Vec::new();
        for action in steps.actions {
            let Action::Note(notes) = action else { continue };
            for note in notes {
                words.push(match &note {
                    Note::Backup(_) => "backup",
                    Note::Drill(_) => "drill",
                    Note::BackupFailed(_) => "backup-failed",
                    Note::DrillFailed(_) => "drill-failed",
                    Note::Taken(_) => "taken",
                    _ => "other",
                });
                world.vault.as_mut().unwrap().enter(note);
            }
        }
        (words.join(" "), steps.waits.map(|hold| hold.message))
    }

    #[test]
    fn the_result_of_a_job_is_taken_once_and_that_of_a_failed_stage_is_the_releases_to_read() {
        let notes = |what, end, result| {
            let mut world = ended(vec![(job(what, (end, 9)), result)]);
            world.vault.as_mut().unwrap().enter(Note::Backup(backup_of(&told()).unwrap()));
            taken(&mut world).0
        };
        assert_eq!(notes(("app-backup-1", "backup", "backup"), "Complete", told()), "taken backup");
        assert_eq!(notes(("app-backup-1", "backup", "backup"), "Failed", failed()), "taken backup-failed");
        assert_eq!(
            notes(("app-drill-1", "backup", "drill"), "Complete", restored(jiff::Timestamp::UNIX_EPOCH)),
            "taken drill"
        );
        assert_eq!(notes(("app-op-1", "backup", "drill"), "Failed", failed()), "taken drill-failed");
        assert_eq!(notes(("app-b3-1", "release", "backup"), "Complete", told()), "taken backup");
        assert_eq!(notes(("app-b3-1", "release", "backup"), "Failed", failed()), "backup-failed");
        assert_eq!(notes(("app-migrate-1", "release", "migrate"), "Failed", failed()), "");
    }

    #[test]
    fn what_a_users_job_is_called_does_not_make_it_a_backup() {
        for part in ["app", "release"] {
            let world = &mut ended(vec![(job(("crm-backup-1", part, "cron-db-backup"), ("Failed", 9)), failed())]);
            assert_eq!(taken(world), (String::new(), None), "{part}");
        }
    }

    #[test]
    fn a_drill_makes_no_failed_backup_good_and_a_backup_no_failed_drill() {
        let mut world = ended(vec![
            (job(("app-backup-1", "backup", "backup"), ("Failed", 1)), failed()),
            (job(("app-drill-1", "backup", "drill"), ("Complete", 2)), restored(jiff::Timestamp::UNIX_EPOCH)),
        ]);
        taken(&mut world);
        let ledger = &world.vault.as_ref().unwrap().ledger;
        assert!(ledger.drill.is_some() && ledger.backup_failure.is_some() && ledger.drill_failure.is_none());
        world.outcomes.clear();
        assert!(taken(&mut world).1.is_some_and(|why| why.contains("app-backup-1")));
        for note in [Note::DrillFailed("Job app-drill-2: no".into()), Note::Backup(backup_of(&told()).unwrap())] {
            world.vault.as_mut().unwrap().enter(note);
        }
        assert!(taken(&mut world).1.is_some_and(|why| why.contains("app-drill-2")));
    }

    #[test]
    fn a_drill_that_failed_is_told_where_another_follows_and_there_was_something_to_restore() {
        let drill = || ended(vec![(job(("app-op-1", "backup", "drill"), ("Failed", 1)), failed())]);
        let mut early = drill();
        assert_eq!(taken(&mut early).0, "taken", "nothing was there to restore");
        let mut world = drill();
        world.vault.as_mut().unwrap().enter(Note::Backup(backup_of(&told()).unwrap()));
        assert_eq!(taken(&mut world).0, "taken drill-failed");
        world.outcomes.clear();
        assert!(taken(&mut world).1.is_some());
        assert_eq!(taken_by(&backed(json!({"schedule": "0 0 * * *"})), &mut world).1, None, "no other follows");
    }

    #[test]
    fn of_several_results_that_of_the_last_end_stands() {
        let at = |order: [&str; 2]| {
            let of = |(end, second), told| (job(("x", "backup", "backup"), (end, second)), told);
            let mut jobs = [of(("Complete", 1), told()), of(("Failed", 2), failed())];
            jobs.iter_mut().zip(order).for_each(|((job, _), name)| job.metadata.name = Some(name.to_owned()));
            let mut world = ended(jobs.into());
            taken(&mut world);
            world.vault.unwrap().ledger.backup_failure.is_some()
        };
        assert!(at(["app-backup-1", "app-backup-2"]) && at(["app-backup-2", "app-backup-1"]));
    }

    #[test]
    fn a_stage_that_failed_before_the_last_backup_is_made_good() {
        let mut world = ended(vec![(job(("app-b3-1", "release", "backup"), ("Failed", -5)), failed())]);
        world.vault.as_mut().unwrap().enter(Note::Backup(backup_of(&told()).unwrap()));
        assert_eq!(taken(&mut world), (String::new(), None));
        let mut later = ended(vec![(job(("app-b3-1", "release", "backup"), ("Failed", 5)), failed())]);
        later.vault = world.vault;
        assert_eq!(taken(&mut later).0, "backup-failed");
    }

    /// A world with the accounts `a`, which may be used here, and `b`, which may not.
    fn granted(seen: bool) -> World {
        let mut world = world(&[("a", s3(true)), ("b", s3(false))]);
        world.accounts.get_mut("b").unwrap().allowed = false;
        world.namespace_labels = seen.then(|| ("team".to_owned(), "x".to_owned())).into_iter().collect();
        world
    }

    /// The accounts that a backup's schedule goes to and what it waits for, or why nothing is touched.
    fn scheduled(to: &[&str], world: &World) -> Result<(String, Option<&'static str>), &'static str> {
        let to: Vec<Value> = to.iter().map(|account| json!({"account": account})).collect();
        let saas = backed(json!({"schedule": "0 0 * * *", "to": to}));
        let steps = plan(Ask { saas: &saas, world }).unwrap().map_err(|hold| hold.reason)?;
        let folders: Vec<String> = steps.manifests.iter().flat_map(|m| folders(&m.body)).collect();
        Ok((folders.join(" "), steps.waits.map(|hold| hold.reason)))
    }

    /// The folders of credentials that the pod of a CronJob mounts.
    fn folders(body: &Value) -> Vec<String> {
        let mounts = &body["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"];
        let paths = mounts.as_array().into_iter().flatten().filter_map(|mount| mount["mountPath"].as_str());
        paths.filter_map(|path| path.strip_prefix(CREDENTIALS)).map(str::to_owned).collect()
    }

    #[test]
    fn a_backup_goes_on_to_the_accounts_that_are_granted_and_tells_of_the_one_that_is_not() {
        assert_eq!(scheduled(&["a"], &granted(true)), Ok(("/a".into(), None)));
        assert_eq!(scheduled(&["a", "b"], &granted(true)), Ok(("/a".into(), Some("AccountNotAllowed"))));
        assert_eq!(scheduled(&["b"], &granted(true)), Ok((String::new(), Some("AccountNotAllowed"))));
        assert_eq!(scheduled(&["a"], &granted(false)), Ok(("/a".into(), None)));
        assert_eq!(scheduled(&["a", "b"], &granted(false)), Err("AccountNotAllowed"), "nobody knows what is granted");
    }

    #[test]
    fn copies_of_credentials_go_with_the_block_and_are_forgotten_once_they_are_gone() {
        let saas = saas(json!({}));
        let planned = |part: &str, copy: Option<BTreeMap<String, SecretString>>| {
            let mut world = world(&[]);
            let remembered = Remembered { part: part.into(), account: "a".into(), zone: None };
            world.vault.as_mut().unwrap().ledger.accounts.insert(remembered);
            world.copies.insert("app-account-a".into(), Ok(copy));
            let steps = plan(Ask { saas: &saas, world: &world })?.ok().unwrap();
            Some(format!("{:?}", steps.actions))
        };
        let dropped = Action::DropCredentials { name: "app-account-a".into() };
        let forgotten =
            Action::Note(vec![Note::Forget(Remembered { part: COPIES.into(), account: "a".into(), zone: None })]);
        assert_eq!(planned(COPIES, Some([].into())), Some(format!("{:?}", [dropped])));
        assert_eq!(planned(COPIES, None), Some(format!("{:?}", [forgotten])));
        assert_eq!(planned("payments", Some([].into())), None, "it is another part's");
        assert!(plan(Ask { saas: &saas, world: &world(&[]) }).is_none());
    }

    #[test]
    fn a_request_for_a_backup_or_a_drill_is_a_job_that_is_made_once() {
        let saas = backed(json!({"schedule": "0 0 * * *"}));
        for request in ["backup", "drill"] {
            let operation = json!({"apiVersion": "golive.dev/v1alpha1", "kind": "SaasOperation",
                "metadata": {"name": "o", "uid": "u"}, "spec": {"deployment": "app", request: {}}});
            let mut world = granted(true);
            world.operations = vec![serde_json::from_value(operation).unwrap()];
            let name = Ask { saas: &saas, world: &world }.operation_job(&world.operations[0]).unwrap();
            let planned = |world: &World| {
                let steps = plan(Ask { saas: &saas, world }).unwrap().ok().unwrap();
                let made = steps.manifests.iter().any(|m| (m.kind, m.name.as_str()) == (Kind::Job, name.as_str()));
                (made, steps.kept.contains(&(Kind::Job, name.clone())))
            };
            assert_eq!(planned(&world), (true, false), "{request}");
            let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}});
            world.children = world.children.with(Kind::Job, serde_json::from_value(job).unwrap());
            assert_eq!(planned(&world), (false, true), "{request}");
        }
    }

    #[test]
    fn what_a_drill_restored_is_taken_into_the_ledger() {
        let proven = drill_of(&restored(jiff::Timestamp::MAX)).unwrap();
        assert_eq!((proven.snapshot.as_str(), proven.bytes, proven.rows), ("4f", 4096, 7));
        assert_eq!(proven.at, jiff::Timestamp::MAX, "when it was proven, not when the snapshot was made");
    }
}
