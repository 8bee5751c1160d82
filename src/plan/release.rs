//! The release: the image and what belongs to it, brought into production by stages, each done once per revision:
//! test, backup, migrate, roll out, smoke. A stage that fails stops the release there; what ran before keeps running.

use std::time::Duration;

use serde_json::{Value, json};

use super::app::Workload;
use super::names::{hash_of, joined};
use super::pod::{Container, Runs};
use super::{Ask, Manifest, Part, Steps, Verdict};
use crate::api::{Release, SmokeStep};
use crate::child::Child;
use crate::evidence::{Check, Failure, Limits, SmokeTask};
use crate::fault::Hold;
use crate::kinds::Kind;
use crate::vault::Note;

/// The annotation of a Deployment that names the revision which it runs.
pub const REVISION: &str = "golive.dev/revision";
/// The stage that makes a restore point.
pub const BACKUP: &str = "backup";
/// The stage after the roll-out.
const SMOKE: &str = "smoke";
/// The annotation of a record with the spec by which its revision ran last.
pub const SPEC: &str = "golive.dev/spec";
/// The longest spec, in bytes of JSON, that a record takes: annotations have 256 KiB together
/// (<https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/#syntax-and-character-set>).
const LONGEST_SPEC: usize = 255 * 1024;
/// Revisions whose record is kept.
const HISTORY: usize = 10;
/// How long smoke checks are tried again: names and routes need a moment to be known everywhere.
const SMOKE_SECONDS: u64 = 90;
/// How long a stage may take, from its Job's making on: a pod that cannot start holds a release no longer either.
const STAGE_SECONDS: u64 = 1800;
/// How soon a Job that is waited for is looked at again: no watch tells why its pod does not start.
const LOOK: Duration = Duration::from_secs(10);

/// Plans the stages around the roll-out.
pub fn plan(ask: Ask<'_>) -> Option<Verdict> {
    match &ask.saas.spec.release {
        Some(release) => Some(ask.release(release)),
        None => ask.without_release(),
    }
}

/// A Job that runs once for a revision.
struct Stage {
    name: &'static str,
    key: String,
    job: String,
    /// The name of its container.
    component: String,
    /// What it runs, or why it cannot.
    container: Result<Container, Hold>,
}

impl Stage {
    /// How long it may take. A backup ends by itself in its own time, and tells why.
    fn seconds(&self) -> u64 {
        STAGE_SECONDS + if self.name == BACKUP { Limits::default().job_seconds } else { 0 }
    }
}

impl Ask<'_> {
    fn release(self, release: &Release) -> Verdict {
        self.world.vault()?;
        let spec = self.spec_to_keep()?;
        let mut steps = Steps::default();
        self.record(spec, &mut steps);
        if let Some(roots) = &self.world.trust {
            steps.declare(Manifest::new(Kind::ConfigMap, self.named("trust"), json!({"data": {"ca.crt": roots}})));
        }
        if release.rehearse.unwrap_or(false) {
            steps.wait(super::unsupported::hold("release.rehearse"));
        }
        if release.soak_minutes.is_some() {
            steps.wait(super::unsupported::hold("release.soakMinutes"));
        }
        let busy = self.outlast(&mut steps);
        let jobs = self.stages_before(release).into_iter().chain(self.smoke_stages(release)).map(|stage| stage.job);
        jobs.filter(|job| self.world.children.find(Kind::Job, job).is_some())
            .for_each(|job| steps.keep(Kind::Job, job));
        if !busy && self.before_rollout(release, &mut steps).is_some() {
            self.judge_pods(&mut steps);
            self.after_rollout(release, &mut steps);
        }
        self.tell_of_no_backup(release, &mut steps);
        // Only the record follows a spec that changes otherwise.
        steps.upkeep = self.is_proven() && steps.waits.is_none();
        steps.evidence = format!("revision {} passed every stage", self.revision());
        Ok(steps)
    }

    /// The spec as it is kept on record: a revision without one could never be proven, nor gone back to.
    fn spec_to_keep(self) -> Result<String, Hold> {
        let spec = json!(self.saas.spec).to_string();
        if spec.len() <= LONGEST_SPEC {
            return Ok(spec);
        }
        let message = format!(
            "the spec is {} bytes of JSON, and a release keeps {LONGEST_SPEC} on record at most: move long values of `env` into a ConfigMap or Secret of `envFrom`",
            spec.len()
        );
        Err(Hold::person("SpecTooLong", message))
    }

    fn tell_of_no_backup(self, release: &Release, steps: &mut Steps) {
        if release.backup_first.unwrap_or(false) && !self.backs_up() {
            let missing = "`release.backupFirst` finds no `backup` with a `database.sqlite`, and releases go on without one: add both blocks, or remove it";
            steps.wait(Hold::person("NothingToBackUp", missing));
        }
    }

    /// What is left where the spec has no release any more.
    fn without_release(self) -> Option<Verdict> {
        let mut steps = Steps::default();
        let busy = self.outlast(&mut steps);
        self.judge_pods(&mut steps);
        (busy || !steps.actions.is_empty()).then_some(Ok(steps))
    }

    /// Waits for the Jobs of stages that an earlier revision began, and keeps those whose pod may run: no two migrations run at
    /// once, and none is killed half-way. Gives whether there is one.
    fn outlast(self, steps: &mut Steps) -> bool {
        let earlier = self.earlier_stages();
        for job in &earlier {
            let runs = self.may_run(job);
            if runs {
                steps.keep(Kind::Job, job.name.to_string());
            }
            let what = match runs && !job.going {
                true => "still runs: it is left to end, or delete it",
                false => "goes: what comes next waits until its pod is gone",
            };
            let message = format!("Job {} of an earlier revision {what}", job.name);
            steps.wait(Hold::after("StageRunning", LOOK, message));
        }
        !earlier.is_empty()
    }

    /// The Jobs of stages before the roll-out that have not ended for another revision than this.
    fn earlier_stages(&self) -> Vec<&Child> {
        let mut jobs: Vec<&Child> = self.world.children.of_kind(Kind::Job).filter(|job| self.is_open(job)).collect();
        if let (false, Some(release)) = (jobs.is_empty(), &self.saas.spec.release) {
            let stages = self.stages_before(release).into_iter().chain(self.smoke_stages(release));
            let now: Vec<String> = stages.map(|stage| stage.job).collect();
            jobs.retain(|job| !now.iter().any(|name| **name == *job.name));
        }
        jobs
    }

    /// Whether a Job is that of a stage before a roll-out, and has not ended.
    fn is_open(self, job: &Child) -> bool {
        let smoke = job.component().starts_with(SMOKE);
        job.part == Some(Part::Release) && !smoke && self.job_outcome(&job.name).is_none()
    }

    /// Whether the pod of a Job that has not ended runs, or may begin to at any moment: what the kubelet and the controller
    /// tell of it comes late.
    fn may_run(self, job: &Child) -> bool {
        let pods = |field| job.field(field).and_then(Value::as_i64).unwrap_or(0) > 0;
        let is_new = job.field("/status/startTime").is_none();
        let is_stuck = self.world.troubles.contains_key(job.component());
        pods("/status/ready") || (!is_stuck && (is_new || pods("/status/active")))
    }

    /// Names what is released: a hash over everything whose change needs the stages again.
    pub fn revision(self) -> String {
        let spec = &self.saas.spec;
        let (test, migrate) = spec.release.as_ref().map(|release| (&release.test, &release.migrate)).unzip();
        let images: Vec<_> = spec.processes.iter().map(|p| (&p.name, &p.image, &p.command)).collect();
        let what = json!([spec.image, spec.command, spec.args, spec.env, images, test, migrate]);
        hash_of(&what, 10)
    }

    /// Whether pods of this revision may run now.
    ///
    /// # Errors
    /// The environment is not complete, or a stage before the roll-out is not done.
    pub fn cleared_to_roll(self) -> Result<(), Hold> {
        self.is_complete()?;
        self.stages_are_done()
    }

    /// Whether pods have all that the spec says they need.
    ///
    /// # Errors
    /// The environment is not complete, or not fit.
    pub fn is_complete(self) -> Result<(), Hold> {
        self.values_are_fit()?;
        self.nothing_missing()
    }

    /// Whether every stage before the roll-out is done for this revision, and none runs for another.
    ///
    /// # Errors
    /// One is not.
    pub fn stages_are_done(self) -> Result<(), Hold> {
        if let Some(job) = self.earlier_stages().first() {
            return Err(Hold::event("StagePending", format!("waits for Job {} of an earlier revision", job.name)));
        }
        let Some(release) = &self.saas.spec.release else { return Ok(()) };
        let ledger = &self.world.vault()?.ledger;
        // Who goes back to what was proven gets its pods at once: its stages are behind it, and its schema may be gone.
        if self.is_proven() {
            return Ok(());
        }
        self.spec_to_keep()?;
        let revision = self.revision();
        let open =
            self.stages_before(release).into_iter().find(|stage| ledger.stage_done(&revision, &stage.key).is_none());
        match open {
            Some(stage) => Err(Hold::event(
                "StagePending",
                format!("waits for stage {} of revision {revision}: see ReleaseReady", stage.name),
            )),
            None => Ok(()),
        }
    }

    fn stages_before(self, release: &Release) -> Vec<Stage> {
        let mut stages = Vec::new();
        if let Some(test) = &release.test {
            stages.push(self.stage("test", &test.command, Ok(self.application("test").without_data())));
        }
        if release.backup_first.unwrap_or(false) && self.backs_up() {
            stages.push(self.stage(BACKUP, &[], self.backup_container(true)));
        }
        if let Some(migrate) = &release.migrate {
            stages.push(self.stage("migrate", &migrate.command, Ok(self.application("migrate"))));
        }
        stages
    }

    fn stage(self, name: &'static str, command: &[String], container: Result<Container, Hold>) -> Stage {
        let named = |mut container: Container| {
            if !command.is_empty() {
                container.command = command.to_vec();
            }
            container.name = name.to_owned();
            container
        };
        let job = self.named(&format!("{name}-{}", self.revision()));
        Stage { name, key: name.to_owned(), job, component: name.to_owned(), container: container.map(named) }
    }

    /// The stages before the roll-out, strictly one after the other: `Some` once all are done, as for the proven revision.
    fn before_rollout(self, release: &Release, steps: &mut Steps) -> Option<()> {
        steps.or_wait(self.is_complete().and_then(|()| self.volume_stays()))?;
        if self.is_proven() {
            return Some(());
        }
        self.stages_before(release).into_iter().try_for_each(|stage| self.run(stage, steps))
    }

    /// Smoke: HTTP checks over the public address in one Job, and each command in a Job of its own.
    fn after_rollout(self, release: &Release, steps: &mut Steps) {
        if steps.waits.is_some() || release.smoke.is_empty() {
            return self.prove(steps);
        }
        let (begun, fresh) = self.open_smoke_stages(release);
        for stage in begun {
            self.run(stage, steps);
        }
        if let (false, Err(hold)) = (fresh.is_empty(), self.is_public()) {
            return steps.wait(hold);
        }
        for stage in fresh {
            self.run(stage, steps);
        }
        self.prove(steps);
    }

    /// The checks of the smoke test that are not done: those whose Jobs stand, and those that have none yet.
    fn open_smoke_stages(self, release: &Release) -> (Vec<Stage>, Vec<Stage>) {
        let open = self.smoke_stages(release).into_iter().filter(|stage| !self.is_done(stage));
        open.partition(|stage| self.world.children.find(Kind::Job, &stage.job).is_some())
    }

    /// Whether a check of the smoke test failed, and none is under way.
    pub fn fails_smoke(self, release: &Release) -> bool {
        let (begun, _) = self.open_smoke_stages(release);
        let ended: Vec<_> = begun.iter().map(|stage| self.job_outcome(&stage.job)).collect();
        ended.iter().all(Option::is_some) && ended.iter().any(|outcome| matches!(outcome, Some(Err(_))))
    }

    /// Notes the revision as proven once nothing waits, and its record is such that it can run again by it.
    fn prove(self, steps: &mut Steps) {
        let open = steps.waits.is_none() && steps.actions.is_empty() && !self.is_proven();
        if open && self.is_up().is_ok() && self.record_of(&self.revision()).is_some() {
            steps.note(Note::Proven(self.revision()));
        }
    }

    fn smoke_stages(self, release: &Release) -> Vec<Stage> {
        let key = format!("smoke-{}", hash_of(&json!([release.smoke, self.url()]), 6));
        let (commands, checks): (Vec<_>, Vec<_>) = release.smoke.iter().partition(|step| !step.command.is_empty());
        let http = (!checks.is_empty()).then(|| {
            let container = self.trusting(self.worker("smoke", &self.smoke_task(&checks)));
            self.smoke_stage(&key, container)
        });
        let scripts = commands.into_iter().map(|step| {
            let mut container = self.trusting(self.application(&step.name));
            container.name = joined("smoke", &step.name);
            container.command = step.command.clone();
            container.env.retain(|variable| variable["name"] != "GOLIVE_URL");
            container.env.push(json!({"name": "GOLIVE_URL", "value": self.url()}));
            container.volumes.retain(|(volume, _)| volume["name"] != "data");
            self.smoke_stage(&format!("{key}-{}", step.name), container)
        });
        http.into_iter().chain(scripts).collect()
    }

    fn smoke_stage(self, key: &str, container: Container) -> Stage {
        let job = self.named(&format!("{key}-{}", self.revision()));
        let component = container.name.clone();
        Stage { name: SMOKE, key: key.to_owned(), job, component, container: Ok(container) }
    }

    fn smoke_task(self, checks: &[&SmokeStep]) -> SmokeTask {
        let check = |step: &&SmokeStep| Check {
            name: step.name.clone(),
            method: if step.post.is_some() { "POST".into() } else { "GET".into() },
            path: step.post.clone().or(step.get.clone()).unwrap_or_else(|| "/".into()),
            json: step.json.clone(),
            status: step.status.and_then(|status| u16::try_from(status).ok()),
            contains: None,
            timeout_seconds: 10,
        };
        let base_url = self.url().unwrap_or_default();
        SmokeTask { base_url, checks: checks.iter().map(check).collect(), deadline_seconds: SMOKE_SECONDS }
    }

    /// Adds the platform's own roots to what a container trusts.
    pub fn trusting(self, mut container: Container) -> Container {
        if self.world.trust.is_none() {
            return container;
        }
        container.env.push(json!({"name": "SSL_CERT_FILE", "value": "/etc/golive/trust/ca.crt"}));
        container.env.push(json!({"name": "REQUESTS_CA_BUNDLE", "value": "/etc/golive/trust/ca.crt"}));
        container.mount("trust", json!({"configMap": {"name": self.named("trust")}}), "/etc/golive/trust", true)
    }

    fn is_done(self, stage: &Stage) -> bool {
        self.world.vault.as_ref().is_ok_and(|vault| vault.ledger.stage_done(&self.revision(), &stage.key).is_some())
    }

    /// Runs a stage's Job once, and gives its outcome: `Some` once it is done.
    fn run(self, stage: Stage, steps: &mut Steps) -> Option<()> {
        if self.is_done(&stage) {
            return Some(());
        }
        let revision = self.revision();
        if self.world.children.find(Kind::Job, &stage.job).is_none() {
            let container = steps.or_wait(stage.container.clone())?;
            self.start(&stage, container, steps);
        }
        match self.job_outcome(&stage.job) {
            Some(Ok(())) => steps.note(Note::Stage(revision, stage.key, self.world.now)),
            Some(Err(failure)) => steps.wait(self.failed(&stage, &failure.to_string())),
            None => steps.wait(self.running_stage(&stage, &revision)),
        }
        None
    }

    fn running_stage(self, stage: &Stage, revision: &str) -> Hold {
        match self.world.troubles.get(&stage.component) {
            Some(trouble) => Hold::event(
                "PodsFailing",
                format!("stage {}: the pod of Job {} does not start: {trouble}", stage.name, stage.job),
            ),
            None => Hold::event(
                "StageRunning",
                format!("stage {} of revision {revision} runs as Job {}", stage.name, stage.job),
            ),
        }
    }

    fn start(self, stage: &Stage, container: Container, steps: &mut Steps) {
        let mut spec = self.job(self.pod(container, Runs::Once));
        spec["backoffLimit"] = json!(if stage.name == SMOKE { 2 } else { 0 });
        spec["activeDeadlineSeconds"] = json!(stage.seconds());
        steps.declare(Manifest::new(Kind::Job, stage.job.clone(), json!({"spec": spec})));
    }

    fn failed(self, stage: &Stage, message: &str) -> Hold {
        let (job, namespace) = (&stage.job, self.saas.metadata.namespace.clone().unwrap_or_default());
        let back = if stage.name == SMOKE { format!("; {}", self.way_back()) } else { String::new() };
        Hold::person(
            "StageFailed",
            format!(
                "stage {} failed: {message}{back}. See `kubectl logs -n {namespace} job/{job}`; correct the spec, or run it again by `kubectl delete job -n {namespace} {job}`",
                stage.name
            ),
        )
    }

    /// How a Job ended, with the failure that its pod told; `None` while it runs.
    pub fn job_outcome(self, job: &str) -> Option<Result<(), Failure>> {
        let ended = self.world.children.find(Kind::Job, job)?.end()?;
        let told = || Failure::told(self.world.outcomes.get(job).unwrap_or(&Value::Null));
        Some(if ended["type"] == "Complete" { Ok(()) } else { Err(told()) })
    }

    /// Whether every workload runs this revision. Until it is declared, the pods that are rolled out are the old ones.
    pub(super) fn is_up(self) -> Result<(), Hold> {
        self.workloads().iter().try_for_each(|workload| self.runs(workload))
    }

    /// Whether a workload runs this revision, and it alone.
    ///
    /// # Errors
    /// It still runs another, or some of its pods do not stand yet.
    pub fn runs(self, workload: &Workload<'_>) -> Result<(), Hold> {
        let found = self.world.children.find(Kind::Deployment, &workload.name);
        match found.map(|deployment| deployment.annotation(REVISION) == Some(&self.revision())) {
            Some(false) => Err(Hold::event("RollingOut", format!("{} still runs another revision", workload.name))),
            Some(true) | None => self.is_rolled_out(workload),
        }
    }

    /// Whether the public address leads to pods of this revision.
    pub fn is_public(self) -> Result<(), Hold> {
        if self.url().is_none() {
            return Err(Hold::person("NoDomain", "smoke tests go over the public address: add `domains`"));
        }
        self.is_up()?;
        self.is_secured()?;
        self.is_served()?;
        self.is_resolvable()
    }

    /// The records of releases, the newest first.
    fn releases(&self) -> Vec<&Child> {
        let mut records: Vec<&Child> = self.world.children.of_kind(Kind::ControllerRevision).collect();
        records.sort_by_key(|record| -number(record));
        records
    }

    /// The revisions that are on record, the newest first.
    pub fn released(self) -> Vec<String> {
        let short = |record: &Child| record.name.strip_prefix(&self.named("")).unwrap_or(&record.name).to_owned();
        self.releases().into_iter().map(short).collect()
    }

    /// Keeps a ControllerRevision for each release: the history that kubectl knows. It has the spec by which the revision ran
    /// last, in an annotation, for what else such an object holds is never changed; from the beginning, for a revision is
    /// proven only once it can run again.
    fn record(self, spec: String, steps: &mut Steps) {
        let (records, name) = (self.releases(), self.named(&self.revision()));
        let newest = records.first().map_or(0, |record| number(record));
        let known = records.iter().find(|record| *record.name == *name).map(|record| number(record));
        let old = records.into_iter().filter(|record| *record.name != *name).take(HISTORY - 1);
        let proven = self.proven_before().map(|proven| self.named(proven));
        old.map(|record| record.name.to_string())
            .chain(proven)
            .for_each(|old| steps.keep(Kind::ControllerRevision, old));
        let data = json!({"image": self.saas.spec.image, "revision": self.revision()});
        let body = json!({"revision": known.unwrap_or(newest + 1), "data": data});
        let mut record = Manifest::new(Kind::ControllerRevision, name, body);
        record.annotations.insert(SPEC.to_owned(), spec);
        steps.declare(record);
    }
}

/// The place of a record in the order of releases.
fn number(record: &Child) -> i64 {
    record.field("/revision").and_then(Value::as_i64).unwrap_or(0)
}

#[cfg(test)]
mod tests;
