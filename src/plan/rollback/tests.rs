use serde_json::{Value, json};

use super::*;
use crate::api::SaasDeploymentSpec;
use crate::fault::Seen;
use crate::plan::Action;
use crate::plan::release::SPEC;
use crate::plan::tests::{saas, world};
use crate::vault::{Release, Vault};
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
    assert!(plan(Ask { saas: &saas, world: &world }).is_err(), "nothing is touched while the record cannot be read");
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

const LATE: [&str; 2] = ["False", "ProgressDeadlineExceeded"];

/// An object of golive's with these annotations.
fn with(world: World, kind: Kind, (name, annotations): (&str, Value), rest: &Value) -> World {
    let mut object = rest.clone();
    object["metadata"] = json!({"name": name, "generation": 2, "annotations": annotations});
    (object["apiVersion"], object["kind"]) = ("v1".into(), kind.name().into());
    World { children: world.children.with(kind, serde_json::from_value(object).unwrap()), ..world }
}

/// A world in which the revision `before` is on record, and some pods of this revision of `app` stand.
fn rolling(revision: &str, [status, reason]: [&str; 2], available: i64) -> World {
    let condition = json!({"type": "Progressing", "status": status, "reason": reason});
    let counts = json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available,
        "conditions": [condition]});
    let deployment = json!({"spec": {"replicas": 1}, "status": counts});
    let world = with(proven("before"), Kind::Deployment, ("app", json!({REVISION: revision})), &deployment);
    with(world, Kind::ControllerRevision, ("app-before", json!({SPEC: "{}"})), &json!({"revision": 1}))
}

/// The same where it was noted that pods of this revision did not come up.
fn noted(mut world: World, revision: &str) -> World {
    let failure = Some("the disk is full".to_owned());
    let release = Release { revision: revision.to_owned(), done: [].into(), failure };
    world.vault.as_mut().unwrap().ledger.release = Some(release);
    world
}

fn trial(policy: &str) -> (SaasDeployment, String) {
    let saas = saas(json!({"release": {"rollback": {"app": policy}}}));
    let revision = Ask { saas: &saas, world: &world(&[]) }.revision();
    (saas, revision)
}

/// What is noted of the pods, and what the part waits for.
fn judged(saas: &SaasDeployment, world: &World) -> (Vec<String>, Option<String>) {
    let mut steps = Steps::default();
    Ask { saas, world }.judge_pods(&mut steps);
    let told = |action: &Action| match action {
        Action::Note(notes) => match &notes[..] {
            [Note::Late(revision, why)] => format!("{revision} is late: {why}"),
            [Note::Retry] => "it is tried again".to_owned(),
            other => format!("{} notes", other.len()),
        },
        other => format!("{other:?}"),
    };
    (steps.actions.iter().map(told).collect(), steps.waits.map(|hold| format!("{}: {}", hold.reason, hold.message)))
}

#[test]
fn pods_that_do_not_come_up_are_noted_where_another_revision_can_take_their_place() {
    let (saas, own) = trial("Automatic");
    let late = vec![format!("{own} is late: 0 of 1 pods of app are available")];
    assert_eq!(judged(&saas, &rolling(&own, LATE, 0)), (late, None));
    let nothing = (Vec::new(), None);
    assert_eq!(judged(&saas, &rolling(&own, ["True", "ReplicaSetUpdated"], 0)), nothing, "they have time left");
    assert_eq!(judged(&saas, &rolling("other", LATE, 0)), nothing, "another revision's are late");
    assert_eq!(judged(&saas, &rolling(&own, LATE, 1)), nothing, "they came after all");
    assert_eq!(judged(&trial("Never").0, &rolling(&own, LATE, 0)), nothing, "nobody wants it");
    let mut lost = rolling(&own, LATE, 0);
    lost.children = lost.children.without(Kind::ControllerRevision, "app-before");
    assert_eq!(judged(&saas, &lost), nothing, "nothing is on record of the other");
    let revised = json!({"spec": {"replicas": 1}, "status": {"observedGeneration": 1, "conditions": [
        {"type": "Progressing", "status": LATE[0], "reason": LATE[1]}]}});
    let unseen = with(rolling(&own, LATE, 0), Kind::Deployment, ("app", json!({REVISION: own})), &revised);
    assert_eq!(judged(&saas, &unseen), nothing, "what is declared now was not tried yet");
}

#[test]
fn a_revision_whose_pods_were_late_says_so_until_it_is_tried_again() {
    let (saas, own) = trial("Automatic");
    let (notes, waits) = judged(&saas, &noted(rolling(&own, LATE, 0), &own));
    let waits = waits.unwrap();
    assert!(notes.is_empty() && waits.contains("the disk is full") && waits.starts_with("StageFailed: "), "{waits}");
    let again = (vec!["it is tried again".to_owned()], None);
    assert_eq!(judged(&saas, &noted(rolling(&own, ["True", ""], 1), &own)), again, "they came up after all");
    assert_eq!(judged(&trial("Never").0, &noted(rolling(&own, LATE, 0), &own)), again, "nobody wants another");
    assert_eq!(judged(&saas, &noted(rolling(&own, ["True", ""], 0), "other")), again, "it was noted of another");
    let plain = crate::plan::tests::saas(json!({}));
    assert_eq!(judged(&plain, &noted(rolling(&own, LATE, 0), "other")), again, "nothing is released any more");
}

#[test]
fn a_revision_gives_way_to_the_proven_one_once_it_failed_and_never_where_nobody_wants_that() {
    let (saas, own) = trial("Automatic");
    let way = |saas: &SaasDeployment, world: &World| Ask { saas, world }.gives_way_to().map(str::to_owned);
    assert_eq!(way(&saas, &rolling(&own, LATE, 0)), None, "it may be noted, and was not");
    assert_eq!(way(&saas, &noted(rolling(&own, LATE, 0), &own)), Some("before".to_owned()));
    assert_eq!(way(&saas, &noted(rolling(&own, LATE, 0), "other")), None, "another one failed");
    assert_eq!(way(&trial("Never").0, &noted(rolling(&own, LATE, 0), &own)), None);
    let mut unproven = noted(rolling(&own, LATE, 0), &own);
    unproven.vault.as_mut().unwrap().ledger.proven = None;
    assert_eq!(way(&saas, &unproven), None, "there is nothing to go back to");
}

/// What is on record of `before`.
fn former(spec: Value) -> Seen<Option<SaasDeploymentSpec>> {
    Ok(Some(SaasDeploymentSpec { image: "former".into(), ..crate::plan::tests::saas(spec).spec }))
}

#[test]
fn what_becomes_of_a_revision_that_failed_is_told_in_words() {
    let (saas, own) = trial("Automatic");
    let told = |world: &World| Ask { saas: &saas, world }.way_back();
    let mut world = rolling(&own, LATE, 0);
    assert_eq!(told(&world), "its pods go on");
    world = noted(world, &own);
    assert_eq!(told(&world), "its pods go on, for nothing is on record of revision before");
    world.former = former(json!({}));
    assert_eq!(told(&world), "revision before (former) runs again");
    world.former = former(json!({"envFrom": [{"secret": "gone"}]}));
    assert!(told(&world).starts_with("revision before cannot run again: Secret `gone` does not exist"));
    world.former = Err(crate::fault::Fault::Unreachable("down".into()));
    assert!(told(&world).starts_with("revision before is to run again: "));
}

#[test]
fn routes_are_those_of_the_revision_that_runs() {
    let (saas, _) = trial("Automatic");
    let image = |world: &World| Ask { saas: &saas, world }.of_what_runs(|ask| ask.saas.spec.image.clone());
    let mut world = proven("before");
    assert_eq!(image(&world), "i");
    world.former = former(json!({}));
    assert_eq!(image(&world), "former");
}

#[test]
fn a_revision_is_proven_where_the_ledger_names_it_and_no_other() {
    let (saas, own) = trial("Automatic");
    let is_proven = |world: &World| Ask { saas: &saas, world }.is_proven();
    assert!(is_proven(&proven(&own)) && !is_proven(&proven("before")) && !is_proven(&world(&[])));
}
