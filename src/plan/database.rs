//! The database: for SQLite a volume that outlives the application.

use serde_json::{Value, json};

use super::pod::Container;
use super::{Action, Ask, Manifest, Steps, Verdict};
use crate::api::{Retention, Sqlite};
use crate::fault::Hold;
use crate::kinds::Kind;

/// Plans the database's volume.
pub fn plan(ask: Ask<'_>) -> Option<Verdict> {
    let Some(database) = &ask.saas.spec.database else { return let_stay(ask) };
    Some(match &database.sqlite {
        Some(sqlite) => Ok(ask.volume(sqlite)),
        None => Err(super::unsupported::hold("database.postgres")),
    })
}

/// Takes from a SaasDeployment a claim that is to outlive it, and was made when it was not: where no block declares it any more,
/// and, at the latest, at the end.
pub fn let_stay(ask: Ask<'_>) -> Option<Verdict> {
    let (kind, name) = (Kind::PersistentVolumeClaim, ask.volume_name());
    let claim = ask.world.children.find(kind, &name)?;
    let goes_along = ask.saas.metadata.uid.as_ref().is_some_and(|uid| claim.belongs_to(uid));
    let retained = ask.saas.spec.deletion_policy.volumes == Retention::Retain;
    (retained && goes_along).then(|| {
        let mut steps = Steps::default();
        steps.act(Action::Retain { kind, name });
        Ok(steps)
    })
}

impl Ask<'_> {
    /// The SQLite database, where the application has one.
    pub fn sqlite(&self) -> Option<&Sqlite> {
        self.saas.spec.database.as_ref()?.sqlite.as_ref()
    }

    /// The claim that holds the database's file.
    pub fn volume_name(self) -> String {
        self.named("data")
    }

    fn volume(self, sqlite: &Sqlite) -> Steps {
        let mut steps = Steps::default();
        let spec = json!({
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": sqlite.size}},
        });
        let mut claim = Manifest::new(Kind::PersistentVolumeClaim, self.volume_name(), json!({"spec": spec}));
        claim.retained = self.saas.spec.deletion_policy.volumes == Retention::Retain;
        steps.declare(claim);
        steps.or_wait(self.volume_stays());
        let phase =
            self.world.field(Kind::PersistentVolumeClaim, &self.volume_name(), "/status/phase").and_then(Value::as_str);
        match phase {
            Some("Bound") => {}
            Some("Lost") => steps.wait(Hold::person(
                "VolumeLost",
                format!("the volume of {} is lost: restore a backup", self.volume_name()),
            )),
            _ => steps.wait(Hold::event(
                "VolumePending",
                format!("volume {} waits for its first pod or for storage", self.volume_name()),
            )),
        }
        steps.evidence = format!("SQLite at {} on {} ({})", sqlite.file, self.volume_name(), sqlite.size);
        steps
    }

    /// Whether the claim is there to stay.
    ///
    /// # Errors
    /// It is being deleted: its data goes with the last pod that uses it, which a roll-out would end.
    pub fn volume_stays(self) -> Result<(), Hold> {
        let (kind, name) = (Kind::PersistentVolumeClaim, self.volume_name());
        match self.world.children.find(kind, &name).filter(|claim| self.sqlite().is_some() && claim.going) {
            None => Ok(()),
            Some(_) => Err(Hold::person(
                "VolumeGoing",
                format!(
                    "somebody deleted {name}: it goes, and its data, when its pods end; nothing is rolled out until then"
                ),
            )),
        }
    }

    /// Mounts the database's volume into a container that works with it.
    pub fn mount_database(self, container: Container) -> Container {
        let Some(sqlite) = self.sqlite() else { return container };
        let claim = json!({"persistentVolumeClaim": {"claimName": self.volume_name()}});
        container.mount("data", claim, directory(&sqlite.file), false)
    }
}

impl Container {
    /// The same with an empty folder in the place of the database's: what it does there touches nobody's data.
    pub fn without_data(mut self) -> Self {
        let data = self.volumes.iter_mut().filter(|(volume, _)| volume["name"] == "data");
        data.for_each(|(volume, _)| *volume = json!({"name": "data", "emptyDir": {}}));
        self
    }
}

/// The folder of an absolute path.
pub fn directory(file: &str) -> &str {
    match file.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((folder, _)) => folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{saas, world};

    #[test]
    fn a_volume_says_what_it_waits_for_and_that_it_is_lost() {
        let sqlite = json!({"file": "/data/a.db", "size": "1Gi", "env": "DB"});
        let saas = saas(json!({"database": {"sqlite": sqlite}}));
        let waits = |phase: &str, going: bool| {
            let deleted = going.then_some("2020-01-01T00:00:00Z");
            let object = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "status": {"phase": phase},
                "metadata": {"name": "app-data", "deletionTimestamp": deleted}});
            let mut world = world(&[]);
            world.children = world.children.with(Kind::PersistentVolumeClaim, serde_json::from_value(object).unwrap());
            let steps = plan(Ask { saas: &saas, world: &world }).unwrap().ok().unwrap();
            steps.waits.map(|hold| hold.reason)
        };
        assert_eq!(waits("Bound", false), None);
        assert_eq!(waits("Pending", false), Some("VolumePending"));
        assert_eq!(waits("Lost", false), Some("VolumeLost"));
        assert_eq!(waits("Bound", true), Some("VolumeGoing"));
    }

    #[test]
    fn a_volume_outlives_its_object_unless_the_spec_says_otherwise() {
        let retained = |policy: &str| {
            let sqlite = json!({"file": "/data/a.db", "size": "1Gi", "env": "DB"});
            let saas = saas(json!({"database": {"sqlite": sqlite}, "deletionPolicy": {"volumes": policy}}));
            plan(Ask { saas: &saas, world: &world(&[]) }).unwrap().ok().unwrap().manifests[0].retained
        };
        assert!(retained("Retain") && !retained("Delete"));
    }
}
