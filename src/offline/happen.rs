//! What a plan leads to when everything succeeds: a step from one World to the next, as pure as the plan itself.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::assumed::ADDRESS;
use super::text::detail;
use super::{certificate, rows};
use crate::api::SaasDeployment;
use crate::apply::objects::unwanted;
use crate::apply::wanted::Wanted;
use crate::kinds::Kind;
use crate::plan::pod::merge;
use crate::plan::{Action, Ask, Manifest, Part, Plan, Steps};
use crate::vault::Note;
use crate::world::World;

/// What a pass did.
#[derive(Default)]
pub struct Happened {
    /// In words, by part, in order.
    pub lines: Vec<(Part, String)>,
    /// Whether the World is another now: bookkeeping has no words.
    pub anything: bool,
}

impl Happened {
    /// Something that is told.
    pub fn tell(&mut self, part: Part, text: impl Into<String>) {
        self.lines.push((part, text.into()));
        self.anything = true;
    }
}

/// Carries a plan out on a copy of the World.
pub fn carry_out(saas: &SaasDeployment, world: &World, plan: &Plan) -> (World, Happened) {
    let (ask, mut next, mut happened) = (Ask { saas, world }, world.clone(), Happened::default());
    let parts = || plan.parts.iter().filter_map(|(part, verdict)| Some((*part, verdict.as_ref().ok()?)));
    for (part, steps) in parts() {
        notes(ask, (part, steps), &mut next, &mut happened);
    }
    for (part, steps) in parts() {
        steps.manifests.iter().for_each(|manifest| declare(ask, (part, manifest), &mut next, &mut happened));
        steps.actions.iter().for_each(|action| act(ask, (part, action), &mut next, &mut happened));
    }
    for (part, kind, name) in unwanted(ask, plan) {
        next.children = std::mem::take(&mut next.children).without(kind, &name);
        happened.tell(part, format!("{} {name} is removed", kind.name()));
    }
    next.published = certificate::published(Ask { saas, world: &next });
    (next, happened)
}

/// Enters the notes of a part into the vault, as `apply` does before anything that relies on them.
fn notes(ask: Ask<'_>, (part, steps): (Part, &Steps), next: &mut World, happened: &mut Happened) {
    let notes = steps.actions.iter().filter_map(|action| match action {
        Action::Note(notes) => Some(notes),
        _ => None,
    });
    for note in notes.flatten() {
        let text = match note {
            Note::Value(env, _) => Some(format!("Secret {} gets {env}", ask.vault_name())),
            Note::Stage(revision, stage, _) => Some(format!("stage {stage} of revision {revision} is done")),
            Note::Proven(revision) => Some(format!("revision {revision} is proven")),
            _ => None,
        };
        if enter(next, note.clone()) {
            text.into_iter().for_each(|text| happened.tell(part, text));
            happened.anything = true;
        }
    }
}

/// Enters a note. Returns whether it changed anything.
pub fn enter(next: &mut World, note: Note) -> bool {
    next.vault.as_mut().is_ok_and(|vault| {
        vault.version = Some("1".into());
        vault.enter(note)
    })
}

/// Makes an object where it differs from what is there, and lets it become well at once.
fn declare(ask: Ask<'_>, (part, manifest): (Part, &Manifest), next: &mut World, happened: &mut Happened) {
    let wanted = Wanted::new(ask, part, manifest);
    let found = ask.world.children.find(manifest.kind, &manifest.name);
    if wanted.agrees(found) {
        return;
    }
    let mut object = wanted.object();
    let change = if found.is_some() { " is changed" } else { "" };
    happened.tell(part, format!("{manifest}{}{change}", detail(manifest)));
    let well = well(manifest.kind, &object);
    merge(&mut object, well);
    if let Ok(object) = serde_json::from_value::<DynamicObject>(object) {
        next.children = std::mem::take(&mut next.children).with(manifest.kind, object);
    }
}

/// What the cluster adds to an object that is well: its status, and the defaults that plans read.
fn well(kind: Kind, object: &Value) -> Value {
    let is = |condition: &str| json!({"type": condition, "status": "True"});
    match kind {
        Kind::PersistentVolumeClaim => json!({"status": {"phase": "Bound"}}),
        Kind::Job => json!({"status": {"conditions": [is("Complete")], "ready": 1, "succeeded": 1}}),
        Kind::Deployment => {
            let replicas = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
            json!({
                "metadata": {"generation": 1},
                "spec": {"replicas": replicas},
                "status": {
                    "observedGeneration": 1, "replicas": replicas,
                    "updatedReplicas": replicas, "availableReplicas": replicas,
                },
            })
        }
        Kind::HttpRoute => {
            let parents = object.pointer("/spec/parentRefs").and_then(Value::as_array).cloned().unwrap_or_default();
            let parents = parents.iter().map(|_| json!({"conditions": [is("Accepted"), is("ResolvedRefs")]}));
            json!({"status": {"parents": parents.collect::<Vec<_>>()}})
        }
        Kind::Ingress => json!({"status": {"loadBalancer": {"ingress": [{"ip": ADDRESS}]}}}),
        _ => json!({"status": {"conditions": [is("Accepted"), is("Programmed")], "addresses": [{"value": ADDRESS}]}}),
    }
}

fn act(ask: Ask<'_>, (part, action): (Part, &Action), next: &mut World, happened: &mut Happened) {
    match action {
        Action::Note(_) | Action::Retain { .. } => {}
        Action::Acme(step) => certificate::step(ask, step, next, happened),
        Action::Credentials { name, values } => {
            next.copies.insert(name.clone(), Ok(Some(values.clone())));
            happened.tell(part, format!("Secret {name} (a copy of the account's credentials)"));
        }
        Action::DropCredentials { name } => {
            next.copies.insert(name.clone(), Ok(None));
            happened.tell(part, format!("Secret {name} is removed"));
        }
        Action::Delete { kind, name } => {
            next.children = std::mem::take(&mut next.children).without(*kind, name);
            happened.tell(part, format!("{} {name} is removed", kind.name()));
        }
        row => rows::write(ask, (part, row), next, happened),
    }
}
