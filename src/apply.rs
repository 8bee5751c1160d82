//! The only writer. It makes no choices: what the plan says is written, what agrees already is left alone.

pub mod certificate;
pub mod create;
pub mod credentials;
pub mod objects;
pub mod rows;
pub mod secrets;
pub mod vault;
pub mod wanted;

use std::collections::BTreeMap;

use futures::future::join_all;
use kube::ResourceExt;
use serde_json::{Value, json};
use tracing::warn;

use crate::api::SaasDeployment;
use crate::child::Owners;
use crate::fault::Fault;
use crate::observe::Observer;
use crate::plan::{Action, Ask, Part, Plan, Steps};
use crate::vault::Note;

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrote {
    /// What, in words for events.
    pub what: String,
    /// Whether it undoes what somebody else did.
    pub drift: Drift,
}

/// How certain it is that somebody else changed what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// It is golive's own doing.
    No,
    /// It is missing or differs, which is somebody else's doing if all was well with the part.
    IfWell,
    /// What is declared has been declared before, and no longer stands.
    Yes,
}

impl Drift {
    fn if_well(on: bool) -> Self {
        if on { Drift::IfWell } else { Drift::No }
    }
}

impl std::fmt::Display for Wrote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

/// What came of one part's plan.
#[derive(Clone, Debug, Default)]
pub struct PartDone {
    /// What was written: nothing at rest.
    pub wrote: Vec<Wrote>,
    /// What was written earlier in the same pass.
    pub before: Vec<Wrote>,
    /// Objects that the cluster keeps otherwise than declared, and where, in words: an admission webhook or policy changes
    /// them each time.
    pub altered: Vec<String>,
    /// The first thing that could not be written.
    pub fault: Option<Fault>,
}

impl PartDone {
    /// The writes, in words.
    pub fn words(&self) -> String {
        self.wrote.iter().map(|wrote| wrote.what.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Takes in what came after.
    fn take_in(&mut self, later: PartDone) {
        self.wrote.extend(later.wrote);
        self.altered.extend(later.altered);
        self.fault = self.fault.take().or(later.fault);
    }

    fn record(&mut self, what: impl Into<String>, result: Result<bool, Fault>) {
        self.write(Wrote { what: what.into(), drift: Drift::No }, result);
    }

    fn write(&mut self, wrote: Wrote, result: Result<bool, Fault>) {
        match result {
            Ok(true) => self.wrote.push(wrote),
            Ok(false) => {}
            Err(fault) => {
                self.fault.get_or_insert(fault);
            }
        }
    }
}

/// What came of the whole plan.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// By part.
    pub parts: BTreeMap<Part, PartDone>,
}

impl Done {
    /// Whether anything was written: then the next look follows at once.
    pub fn wrote(&self) -> bool {
        self.parts.values().any(|part| !part.wrote.is_empty())
    }

    /// Whether anything could not be written.
    pub fn failed(&self) -> bool {
        self.parts.values().any(|part| part.fault.is_some())
    }

    /// Takes in what came before in the same pass.
    pub fn follows(&mut self, earlier: Done) {
        for (part, done) in earlier.parts.into_iter().filter(|(_, done)| !done.wrote.is_empty()) {
            self.parts.entry(part).or_default().before.extend(done.wrote);
        }
    }
}

/// The reference by which the cluster removes children with their SaasDeployment.
pub fn owner_reference(saas: &SaasDeployment) -> Value {
    json!({
        "apiVersion": "golive.dev/v1alpha1",
        "kind": "SaasDeployment",
        "name": saas.name_any(),
        "uid": saas.uid().unwrap_or_default(),
        "controller": true,
    })
}

/// Whether an object goes with another SaasDeployment: one that had this name before, and is not collected yet.
pub fn is_of_former(saas: &SaasDeployment, object: &impl ResourceExt) -> bool {
    Owners::of(object).is_former(&saas.uid().unwrap_or_default())
}

/// The refusal of an object that [`is_of_former`].
pub fn former(what: &str) -> Fault {
    Fault::Outrun(format!("{what} goes with the SaasDeployment that had this name before: it is made anew after that"))
}

/// Whether an object goes with this SaasDeployment: the reference that [`owner_reference`] makes is on it.
pub fn is_owned(saas: &SaasDeployment, object: &impl ResourceExt) -> bool {
    Owners::of(object).has(&saas.uid().unwrap_or_default())
}

impl Observer {
    /// Writes what the plan calls for.
    pub async fn apply(&self, ask: Ask<'_>, plan: &Plan) -> Done {
        // Nobody else lets the vault go of one that had the name before.
        if let Err(Fault::Outrun(_)) = &ask.world.vault
            && let Err(fault) = self.let_earlier_vault_go(ask.saas).await
        {
            warn!("{fault}");
        }
        let vault = ask.world.vault.clone().unwrap_or_default();
        let writer = vault::Writer::new(self, ask.saas, vault);
        let mut done = Done::default();
        let noted = self.note_first(ask, plan, &writer, &mut done).await;
        let parts = plan.parts.iter().filter_map(|(part, verdict)| Some((*part, verdict.as_ref().ok()?)));
        let writes = parts.map(|(part, steps)| self.part(ask, part, (steps, noted), &writer));
        for (part, result) in join_all(writes).await {
            done.parts.entry(part).or_default().take_in(result);
        }
        objects::prune(self, ask, plan, &mut done).await;
        done
    }

    /// Writes the notes of all parts at once, before anything that relies on them. Where the object is going, nothing
    /// more is noted: its namespace may take no new objects.
    async fn note_first(&self, ask: Ask<'_>, plan: &Plan, writer: &vault::Writer<'_>, done: &mut Done) -> bool {
        if ask.saas.metadata.deletion_timestamp.is_some() {
            return true;
        }
        let mut notes: Vec<Note> = Vec::new();
        for (part, verdict) in &plan.parts {
            let own: Vec<Note> = verdict.iter().flat_map(|steps| &steps.actions).flat_map(noted).cloned().collect();
            if !own.is_empty() {
                done.parts.entry(*part).or_default();
            }
            notes.extend(own);
        }
        let mut changed: Vec<Part> = done.parts.keys().copied().collect();
        let result = writer.enter(notes).await;
        let ok = result.is_ok();
        // It could not even be held.
        if !ok && changed.is_empty() {
            changed.push(Part::Secrets);
        }
        for part in changed {
            let lost = ask.world.vault.as_ref().is_ok_and(|vault| vault.version.is_none());
            let what = if lost { format!("Secret {}", ask.vault_name()) } else { "notes".to_owned() };
            done.parts.entry(part).or_default().write(Wrote { what, drift: Drift::if_well(lost) }, result.clone());
        }
        ok
    }

    async fn part(
        &self,
        ask: Ask<'_>,
        part: Part,
        (steps, noted): (&Steps, bool),
        writer: &vault::Writer<'_>,
    ) -> (Part, PartDone) {
        let mut done = PartDone::default();
        objects::declare(self, ask, (part, steps), &mut done).await;
        if noted {
            for action in &steps.actions {
                self.act(ask, action, writer, &mut done).await;
            }
        }
        (part, done)
    }

    async fn act(&self, ask: Ask<'_>, action: &Action, writer: &vault::Writer<'_>, done: &mut PartDone) {
        match action {
            Action::Note(_) => {}
            Action::Acme(step) => {
                let result = certificate::step(self, ask, step).await;
                let issued = if let Ok(true) = result { rows::issued(ask, step, writer).await } else { Ok(false) };
                done.record(format!("certificate: {}", step.word()), result.map(|_| true));
                done.record("ledger of orders", issued);
            }
            Action::Credentials { name, values } => {
                done.record(format!("Secret {name}"), credentials::write(self, ask, name, values).await);
            }
            Action::DropCredentials { name } => {
                done.record(format!("Secret {name}"), credentials::remove(self, ask, name).await);
            }
            Action::Delete { kind, name } => {
                done.record(format!("{} {name} deleted", kind.name()), objects::delete(self, ask, *kind, name).await);
            }
            Action::Retain { kind, name } => {
                done.record(format!("{} {name} retained", kind.name()), objects::retain(self, ask, *kind, name).await);
            }
            row => {
                let (wrote, result) = rows::write(self, ask, row, writer).await;
                done.write(wrote, result);
            }
        }
    }
}

fn noted(action: &Action) -> &[Note] {
    match action {
        Action::Note(notes) => notes,
        _ => &[],
    }
}
