//! The way back: a revision whose smoke test fails gives way to the last one that was proven.
//!
//! Nothing is remembered for it: the failed Job stands, and so does the record of the proven revision. Who deletes the Job
//! lets the revision try again; who corrects the spec makes another one.

use super::{Ask, Verdict, app};
use crate::api::{AppRollback, SaasDeployment};
use crate::fault::Hold;
use crate::kinds::Kind;

/// Plans the pods of the revision that is to run: that of the spec, or the one that it gives way to.
pub fn plan(ask: Ask<'_>) -> Verdict {
    match ask.former()? {
        Some(former) => app::plan(Ask { saas: &former, ..ask }, Ok(())),
        None => app::plan(ask, ask.stages_are_done()),
    }
}

impl Ask<'_> {
    /// The last proven revision, where that of the spec failed its smoke test and is to give way.
    pub fn gives_way_to(self) -> Option<String> {
        let release = self.saas.spec.release.as_ref()?;
        let policy = release.rollback.clone().unwrap_or_default().app;
        let proven = self.world.vault.as_ref().ok()?.ledger.proven.clone()?;
        let fails = || proven != self.revision() && self.fails_smoke(release);
        (policy == AppRollback::Automatic && fails()).then_some(proven)
    }

    /// The SaasDeployment as its last proven revision had it, where that runs again.
    ///
    /// # Errors
    /// The record of that revision could not be read.
    pub fn former(self) -> Result<Option<SaasDeployment>, Hold> {
        let Some(spec) = self.world.former.as_ref().map_err(Hold::from)?.clone() else { return Ok(None) };
        Ok(Some(SaasDeployment { spec, ..self.saas.clone() }))
    }

    /// What comes of the pods of a revision that failed its smoke test, in words.
    pub fn way_back(self) -> String {
        match (self.gives_way_to(), &self.world.former) {
            (Some(proven), Ok(Some(former))) => format!("revision {proven} ({}) runs again", former.image),
            (Some(proven), _) => format!("its pods go on, for nothing is on record of revision {proven}"),
            (None, _) => "its pods go on".to_owned(),
        }
    }

    /// The record of a revision, if it stands.
    pub fn record_of(self, revision: &str) -> Option<String> {
        let name = self.named(revision);
        self.world.children.find(Kind::ControllerRevision, &name).map(|_| name)
    }
}
