//! The way back: a revision that fails its smoke test, or whose pods do not come up, gives way to the last one that was proven.
//!
//! The failed Job stands, and so does the record of the proven revision, with the spec that it ran by last. Who deletes the
//! Job lets the revision try again; who corrects the spec makes another one. That pods did not come up is remembered, for
//! their Deployment tells no more of it once another revision runs in their place.

use serde_json::Value;

use super::app::{self, PROGRESS, Workload};
use super::release::REVISION;
use super::{Ask, Steps, Verdict};
use crate::api::{AppRollback, SaasDeployment};
use crate::child::Child;
use crate::fault::Hold;
use crate::kinds::Kind;
use crate::vault::Note;

/// How much is kept of why pods did not come up, in characters.
const WORDS: usize = 300;

/// Plans the pods of the revision that is to run: that of the spec, or the one that it gives way to.
pub fn plan(ask: Ask<'_>) -> Verdict {
    match ask.former()? {
        Some(former) => app::plan(Ask { saas: &former, ..ask }, Ok(())),
        None => app::plan(ask, ask.stages_are_done()),
    }
}

impl Ask<'_> {
    /// The revision that was proven last.
    pub fn proven(&self) -> Option<&str> {
        self.ledger()?.proven.as_deref()
    }

    /// Whether that is the one of the spec.
    pub fn is_proven(self) -> bool {
        self.proven().is_some_and(|proven| proven == self.revision())
    }

    /// The same, where that of the spec is another one, and on trial.
    pub fn proven_before(&self) -> Option<&str> {
        self.proven().filter(|proven| self.saas.spec.release.is_some() && *proven != self.revision())
    }

    /// The last proven revision, where that of the spec is to give way if it fails.
    fn fallback(&self) -> Option<&str> {
        let policy = self.saas.spec.release.as_ref()?.rollback.clone().unwrap_or_default().app;
        self.proven_before().filter(|_| policy == AppRollback::Automatic)
    }

    /// The same, where that of the spec failed its smoke test, or its pods did not come up.
    pub fn gives_way_to(&self) -> Option<&str> {
        let release = self.saas.spec.release.as_ref()?;
        self.fallback().filter(|_| self.came_late().is_some() || self.fails_smoke(release))
    }

    /// Why pods of the revision of the spec did not come up in time, where that was noted.
    fn came_late(&self) -> Option<&str> {
        let release = self.ledger()?.release.as_ref()?;
        release.failure.as_deref().filter(|_| release.revision == self.revision())
    }

    /// Notes that pods of a revision on trial do not come up, where it can give way to another, and says so from then on. Where
    /// none gives way any more, the note goes: who wants it back tries again.
    pub fn judge_pods(self, steps: &mut Steps) {
        let fallback = self.fallback().and_then(|proven| self.record_of(proven)).is_some();
        let release = self.ledger().and_then(|ledger| ledger.release.as_ref());
        let noted = release.is_some_and(|release| release.failure.is_some());
        match (self.came_late(), self.late_pods()) {
            // Where the proven one could not run in its place, it may have come up after all.
            (Some(why), _) if fallback && self.is_up().is_err() => steps.wait(self.late(why)),
            (None, Some(why)) if fallback => steps.note(Note::Late(self.revision(), why)),
            _ if noted => steps.note(Note::Retry),
            _ => {}
        }
    }

    /// What is said of a workload that was to run this revision, and whose pods did not come up in time.
    fn late_pods(self) -> Option<String> {
        let revision = self.revision();
        let is_late = |workload: &Workload<'_>| {
            let found = self.world.children.find(Kind::Deployment, &workload.name);
            let current = |child: &Child| {
                let seen = child.field("/status/observedGeneration").and_then(Value::as_i64);
                child.late && child.annotation(REVISION) == Some(&revision) && seen >= child.generation
            };
            found.is_some_and(current)
        };
        let workloads = self.workloads();
        let late = workloads.iter().filter(|workload| is_late(workload));
        let why = late.filter_map(|workload| self.is_rolled_out(workload).err()).next()?.message;
        Some(why.chars().take(WORDS).collect())
    }

    fn late(self, why: &str) -> Hold {
        let (revision, back) = (self.revision(), self.way_back());
        let message = format!(
            "revision {revision} did not come up in {} s: {why}; {back}. Correct the spec, or have it tried again by `release.rollback.app: Never`",
            PROGRESS.as_secs()
        );
        Hold::person("StageFailed", message)
    }

    /// The SaasDeployment as its last proven revision had it, where that runs again.
    ///
    /// # Errors
    /// The record of that revision could not be read.
    pub fn former(self) -> Result<Option<SaasDeployment>, Hold> {
        let Some(spec) = self.world.former.as_ref().map_err(Hold::from)?.clone() else { return Ok(None) };
        Ok(Some(SaasDeployment { spec, ..self.saas.clone() }))
    }

    /// Asks of the revision that runs: the former one, where that runs again.
    pub fn of_what_runs<T>(self, ask: impl FnOnce(Ask<'_>) -> T) -> T {
        match self.former() {
            Ok(Some(former)) => ask(Ask { saas: &former, ..self }),
            _ => ask(self),
        }
    }

    /// What comes of the pods of a revision that failed, in words.
    pub fn way_back(self) -> String {
        let Some(proven) = self.gives_way_to() else { return "its pods go on".to_owned() };
        let former = match self.former() {
            Ok(Some(former)) => former,
            Ok(None) => return format!("its pods go on, for nothing is on record of revision {proven}"),
            Err(hold) => return format!("revision {proven} is to run again: {}", hold.message),
        };
        match (Ask { saas: &former, ..self }).is_complete() {
            Ok(()) => format!("revision {proven} ({}) runs again", former.spec.image),
            Err(hold) => format!("revision {proven} cannot run again: {}", hold.message),
        }
    }

    /// The record of a revision, if it stands and has the spec by which that ran.
    pub fn record_of(self, revision: &str) -> Option<String> {
        let name = self.named(revision);
        self.world.children.find(Kind::ControllerRevision, &name).filter(|record| record.recorded).map(|_| name)
    }
}

#[cfg(test)]
mod tests;
