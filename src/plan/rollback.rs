//! The way back: a revision whose smoke test fails gives way to the last one that was proven.
//!
//! Nothing is remembered for it: the failed Job stands, and so does the record of the proven revision, with the spec that it
//! ran by last. Who deletes the Job lets the revision try again; who corrects the spec makes another one.

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
    /// The revision that was proven last.
    pub fn proven(&self) -> Option<&str> {
        self.world.vault.as_ref().ok()?.ledger.proven.as_deref()
    }

    /// Whether that is the one of the spec.
    pub fn is_proven(self) -> bool {
        self.proven().is_some_and(|proven| proven == self.revision())
    }

    /// The same, where that of the spec is another one, and on trial.
    pub fn proven_before(&self) -> Option<&str> {
        self.proven().filter(|proven| self.saas.spec.release.is_some() && *proven != self.revision())
    }

    /// The last proven revision, where that of the spec failed its smoke test and is to give way.
    pub fn gives_way_to(&self) -> Option<&str> {
        let release = self.saas.spec.release.as_ref()?;
        let policy = release.rollback.clone().unwrap_or_default().app;
        self.proven_before().filter(|_| policy == AppRollback::Automatic && self.fails_smoke(release))
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

    /// What comes of the pods of a revision that failed its smoke test, in words.
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
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::tests::{saas, world};
    use crate::vault::Vault;
    use crate::world::World;

    fn proven(revision: &str) -> World {
        let mut world = world(&[]);
        let mut vault = Vault::default();
        vault.ledger.proven = Some(revision.to_owned());
        world.vault = Ok(vault);
        world
    }

    fn field(verdict: &Verdict, pointer: &str) -> Value {
        let manifests = &verdict.as_ref().ok().unwrap().manifests;
        let deployment = manifests.iter().find(|manifest| manifest.kind == Kind::Deployment).unwrap();
        deployment.body.pointer(pointer).cloned().unwrap_or_default()
    }

    #[test]
    fn while_a_revision_runs_again_pods_are_as_they_were_when_it_ran_last() {
        let (saas, mut world) = (saas(json!({"replicas": 1, "release": {}})), proven("before"));
        let replicas = |world: &World| field(&plan(Ask { saas: &saas, world }), "/spec/replicas");
        assert_eq!(replicas(&world), 1);
        world.former = Ok(Some(crate::plan::tests::saas(json!({"replicas": 4})).spec));
        assert_eq!(replicas(&world), 4);
        world.former = Err(crate::fault::Fault::Unreachable("down".into()));
        assert!(
            plan(Ask { saas: &saas, world: &world }).is_err(),
            "nothing is touched while the record cannot be read"
        );
    }

    #[test]
    fn only_another_revision_than_the_proven_one_is_on_trial() {
        let saas = saas(json!({"release": {}}));
        let own = Ask { saas: &saas, world: &world(&[]) }.revision();
        let before = |world: &World| Ask { saas: &saas, world }.proven_before().map(str::to_owned);
        assert_eq!(before(&proven("other")), Some("other".to_owned()));
        assert_eq!(before(&proven(&own)), None);
        let plain = crate::plan::tests::saas(json!({}));
        assert_eq!(Ask { saas: &plain, world: &proven("other") }.proven_before(), None);
    }
}
