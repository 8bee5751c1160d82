//! The release: the image and what belongs to it, brought into production by stages, each done once per revision:
//! test, backup, migrate, roll out, smoke. A stage that fails stops the release there; what ran before keeps running.

use serde_json::{Value, json};

use super::names::{hash_of, joined};
use super::pod::{Container, Runs};
use super::{Ask, Manifest, Steps, Verdict};
use crate::api::{Release, SmokeStep};
use crate::child::Child;
use crate::evidence::{Check, Failure, SmokeTask};
use crate::fault::Hold;
use crate::kinds::Kind;
use crate::vault::Note;

/// The annotation of a Deployment that names the revision which it runs.
pub const REVISION: &str = "golive.dev/revision";
/// Revisions whose record is kept.
const HISTORY: usize = 10;
/// How long smoke checks are tried again: names and routes need a moment to be known everywhere.
const SMOKE_SECONDS: u64 = 90;

/// Plans the stages around the roll-out.
pub fn plan(ask: Ask<'_>) -> Option<Verdict> {
    let release = ask.saas.spec.release.as_ref()?;
    Some(ask.release(release))
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

impl Ask<'_> {
    fn release(self, release: &Release) -> Verdict {
        self.world.vault()?;
        let mut steps = Steps::default();
        self.record(&mut steps);
        if let Some(roots) = &self.world.trust {
            steps.declare(Manifest::new(Kind::ConfigMap, self.named("trust"), json!({"data": {"ca.crt": roots}})));
        }
        if release.rehearse.unwrap_or(false) {
            steps.wait(super::unsupported::hold("release.rehearse"));
        }
        if release.soak_minutes.is_some() {
            steps.wait(super::unsupported::hold("release.soakMinutes"));
        }
        let jobs = self.stages_before(release).into_iter().chain(self.smoke_stages(release)).map(|stage| stage.job);
        jobs.filter(|job| self.world.children.find(Kind::Job, job).is_some())
            .for_each(|job| steps.keep(Kind::Job, job));
        if self.before_rollout(release, &mut steps).is_some() {
            self.after_rollout(release, &mut steps);
        }
        steps.evidence = format!("revision {} passed every stage", self.revision());
        Ok(steps)
    }

    /// Names what is released: a hash over everything whose change needs the stages again.
    pub fn revision(self) -> String {
        let spec = &self.saas.spec;
        let release = spec.release.clone().unwrap_or_default();
        let images: Vec<_> = spec.processes.iter().map(|p| (&p.name, &p.image, &p.command)).collect();
        let what = json!([spec.image, spec.command, spec.args, spec.env, images, release.test, release.migrate]);
        hash_of(&what, 10)
    }

    /// Whether pods of this revision may run now.
    ///
    /// # Errors
    /// The environment is not complete, or a stage before the roll-out is not done.
    pub fn cleared_to_roll(self) -> Result<(), Hold> {
        self.values_are_fit()?;
        self.nothing_missing()?;
        let Some(release) = &self.saas.spec.release else { return Ok(()) };
        let ledger = &self.world.vault()?.ledger;
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
            stages.push(self.stage("test", &test.command, Ok(self.application("test"))));
        }
        if release.backup_first.unwrap_or(false) && self.backs_up() {
            stages.push(self.stage("backup", &[], self.backup_container(true)));
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

    /// The stages before the roll-out, strictly one after the other: `Some` once all are done.
    fn before_rollout(self, release: &Release, steps: &mut Steps) -> Option<()> {
        steps.or_wait(self.values_are_fit().and_then(|()| self.nothing_missing()))?;
        self.stages_before(release).into_iter().try_for_each(|stage| self.run(stage, steps))
    }

    /// Smoke: HTTP checks over the public address in one Job, and each command in a Job of its own.
    fn after_rollout(self, release: &Release, steps: &mut Steps) {
        if steps.waits.is_some() || release.smoke.is_empty() {
            return self.prove(steps);
        }
        let open: Vec<Stage> = self.smoke_stages(release).into_iter().filter(|stage| !self.is_done(stage)).collect();
        if let (false, Err(hold)) = (open.is_empty(), self.is_public()) {
            return steps.wait(hold);
        }
        for stage in open {
            self.run(stage, steps);
        }
        self.prove(steps);
    }

    /// Notes the revision as proven once nothing waits.
    fn prove(self, steps: &mut Steps) {
        let proven = self.world.vault.as_ref().ok().and_then(|vault| vault.ledger.proven.clone());
        let revision = self.revision();
        if steps.waits.is_none()
            && steps.actions.is_empty()
            && proven.as_ref() != Some(&revision)
            && self.is_up().is_ok()
        {
            steps.note(Note::Proven(revision));
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
        Stage { name: "smoke", key: key.to_owned(), job, component, container: Ok(container) }
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
            Some(Err(failure)) => steps.wait(self.failed(&stage, &failure.message)),
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
        spec["backoffLimit"] = json!(if stage.name == "smoke" { 2 } else { 0 });
        spec["activeDeadlineSeconds"] = json!(1800);
        steps.declare(Manifest::new(Kind::Job, stage.job.clone(), json!({"spec": spec})));
    }

    fn failed(self, stage: &Stage, message: &str) -> Hold {
        let (job, namespace) = (&stage.job, self.saas.metadata.namespace.clone().unwrap_or_default());
        Hold::person(
            "StageFailed",
            format!(
                "stage {} failed: {message}. See `kubectl logs -n {namespace} job/{job}`; correct the spec, or run it again by `kubectl delete job -n {namespace} {job}`",
                stage.name
            ),
        )
    }

    /// How a Job ended, with the failure that its pod told; `None` while it runs.
    pub fn job_outcome(self, job: &str) -> Option<Result<(), Failure>> {
        let ended = |condition| self.world.has_condition(Kind::Job, job, condition);
        if ended("Complete") {
            return Some(Ok(()));
        }
        let told = self.world.outcomes.get(job).and_then(|told| serde_json::from_value(told.clone()).ok());
        let silent = || Failure::new("Failed", "its pod ended with an error");
        ended("Failed").then(|| Err(told.unwrap_or_else(silent)))
    }

    /// Whether every workload runs this revision. Until it is declared, the pods that are rolled out are the old ones.
    fn is_up(self) -> Result<(), Hold> {
        self.workloads().iter().try_for_each(|workload| {
            let found = self.world.children.find(Kind::Deployment, &workload.name);
            match found.map(|deployment| deployment.annotation(REVISION) == Some(&self.revision())) {
                Some(false) => Err(Hold::event("RollingOut", format!("{} still runs another revision", workload.name))),
                Some(true) | None => self.is_rolled_out(workload),
            }
        })
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

    /// Keeps a ControllerRevision for each release: the history that kubectl knows.
    fn record(self, steps: &mut Steps) {
        let revisions: Vec<_> = self.world.children.of_kind(Kind::ControllerRevision).collect();
        let number = |o: &Child| o.field("/revision").and_then(Value::as_i64).unwrap_or(0);
        let name = self.named(&self.revision());
        let newest = revisions.iter().map(|o| number(o)).max().unwrap_or(0);
        let known = self.world.children.find(Kind::ControllerRevision, &name).map(number);
        let mut old: Vec<_> = revisions.iter().filter(|o| *o.name != *name).collect();
        old.sort_by_key(|o| -number(o));
        old.into_iter().take(HISTORY - 1).for_each(|o| steps.keep(Kind::ControllerRevision, o.name.to_string()));
        match known {
            Some(_) => steps.keep(Kind::ControllerRevision, name),
            None => {
                let body = json!({"revision": newest + 1, "data": {"image": self.saas.spec.image, "revision": self.revision()}});
                steps.declare(Manifest::new(Kind::ControllerRevision, name, body));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{saas, world};
    use crate::world::World;

    /// A world with releases of these numbers on record.
    fn released(numbers: impl Iterator<Item = i64>) -> World {
        let mut world = world(&[]);
        for number in numbers {
            let object = json!({"apiVersion": "v1", "kind": "ControllerRevision", "metadata": {"name": format!("app-{number}")}, "revision": number});
            world.children = world.children.with(Kind::ControllerRevision, serde_json::from_value(object).unwrap());
        }
        world
    }

    #[test]
    fn the_newest_releases_stay_on_record() {
        let (saas, world) = (saas(json!({"release": {}})), released(1..=12));
        let steps = plan(Ask { saas: &saas, world: &world }).unwrap().ok().unwrap();
        let kept: Vec<&str> = steps.kept.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(kept, ["app-12", "app-11", "app-10", "app-9", "app-8", "app-7", "app-6", "app-5", "app-4"]);
        let record = steps.manifests.iter().find(|m| m.kind == Kind::ControllerRevision).unwrap();
        assert_eq!(record.body["revision"], 13);
    }
}
