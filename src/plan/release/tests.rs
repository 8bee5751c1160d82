use super::*;
use crate::api::SaasDeployment;
use crate::plan::Action;
use crate::plan::tests::{saas, world};
use crate::vault::Vault;
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
fn the_record_of_the_proven_release_stays_however_many_failed_since() {
    let (saas, mut world) = (saas(json!({"release": {}})), released(1..=12));
    world.vault = Ok(Vault::default());
    world.vault.as_mut().unwrap().ledger.proven = Some("1".into());
    let steps = plan(Ask { saas: &saas, world: &world }).unwrap().ok().unwrap();
    assert!(steps.kept.iter().any(|(_, name)| name == "app-1"));
}

#[test]
fn a_revision_is_proven_once_its_record_has_the_spec_by_which_it_can_run_again() {
    let saas = saas(json!({"release": {}}));
    let revision = Ask { saas: &saas, world: &world(&[]) }.revision();
    let proves = |annotations: Value| {
        let record = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1,
            "metadata": {"name": format!("app-{revision}"), "annotations": annotations}});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1},
            "metadata": {"name": "app", "generation": 1, "annotations": {REVISION: revision}},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}});
        let mut world = world(&[]);
        world.children = world
            .children
            .with(Kind::ControllerRevision, serde_json::from_value(record).unwrap())
            .with(Kind::Deployment, serde_json::from_value(deployment).unwrap());
        let steps = plan(Ask { saas: &saas, world: &world }).unwrap().ok().unwrap();
        let record = steps.manifests.iter().find(|m| m.kind == Kind::ControllerRevision).unwrap();
        assert_eq!(record.annotations[SPEC], json!(saas.spec).to_string());
        steps.actions.iter().any(
            |action| matches!(action, Action::Note(notes) if matches!(&notes[..], [Note::Proven(r)] if *r == revision)),
        )
    };
    assert!(!proves(json!({})), "a crash here, and another spec: nothing would be on record");
    assert!(proves(json!({SPEC: "{}"})));
}

#[test]
fn the_stage_of_a_backup_outlives_the_backups_own_limit() {
    let sqlite = json!({"file": "/data/a.db", "size": "1Gi", "env": "DB"});
    let release = json!({"backupFirst": true, "migrate": {"command": ["./migrate"]}});
    let saas = saas(json!({"release": release, "database": {"sqlite": sqlite}, "backup": {"schedule": "0 3 * * *"}}));
    let stages = Ask { saas: &saas, world: &world(&[]) }.stages_before(saas.spec.release.as_ref().unwrap());
    let seconds: Vec<_> = stages.iter().map(|stage| (stage.name, stage.seconds())).collect();
    assert_eq!(seconds, [("backup", 5400), ("migrate", 1800)]);
    assert!(seconds[0].1 > Limits::default().job_seconds);
}

#[test]
fn a_stage_of_an_earlier_revision_is_waited_for_until_its_pod_has_gone() {
    let job = |status: &Value| {
        let labels = json!({crate::objects::PART: "release"});
        let spec = json!({"template": {"metadata": {"labels": {"app.kubernetes.io/component": "migrate"}}}});
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "app-migrate-old", "labels": labels},
            "spec": spec, "status": status})
    };
    let waits = |spec: &Value, status: &Value, trouble: bool| {
        let (saas, mut world) = (saas(spec.clone()), world(&[]));
        world.children = world.children.with(Kind::Job, serde_json::from_value(job(status)).unwrap());
        world.troubles = trouble.then(|| ("migrate".to_owned(), "ImagePullBackOff".to_owned())).into_iter().collect();
        let ask = Ask { saas: &saas, world: &world };
        let kept =
            plan(ask).is_some_and(|verdict| verdict.is_ok_and(|s| s.kept.iter().any(|k| k.1 == "app-migrate-old")));
        (kept, ask.stages_are_done().is_err())
    };
    let [new, starting, runs] =
        [json!({}), json!({"startTime": "t", "active": 1}), json!({"startTime": "t", "ready": 1})];
    let ended = json!({"startTime": "t", "conditions": [{"type": "Complete", "status": "True"}]});
    for spec in [&json!({"release": {}}), &json!({})] {
        for status in [&new, &starting, &runs] {
            assert_eq!(waits(spec, status, false), (true, true), "it runs, or may do so by now: {spec} {status}");
        }
        assert_eq!(waits(spec, &runs, true), (true, true), "another pod's trouble: {spec}");
        assert_eq!(waits(spec, &starting, true), (false, true), "one that cannot start goes: {spec}");
        assert_eq!(waits(spec, &ended, false), (false, false), "{spec}");
    }
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

fn stages(release: Value, world: &World) -> Vec<(&'static str, Result<Container, Hold>)> {
    let sqlite = json!({"file": "/data/a.db", "size": "1Gi", "env": "DB"});
    let saas = saas(json!({"release": release, "database": {"sqlite": sqlite}}));
    let ask = Ask { saas: &saas, world };
    let stages = ask.stages_before(saas.spec.release.as_ref().unwrap());
    stages.into_iter().map(|stage| (stage.name, stage.container)).collect()
}

#[test]
fn the_test_of_a_release_touches_nobodys_data() {
    let step = json!({"command": ["pytest"]});
    let stages = stages(json!({"test": step, "migrate": step}), &world(&[]));
    let data = |at: usize| {
        let (volume, mount) = stages[at].1.as_ref().unwrap().volumes.first().unwrap();
        (volume.get("emptyDir").is_some(), mount["mountPath"].clone())
    };
    assert_eq!((data(0), data(1)), ((true, json!("/data")), (false, json!("/data"))));
}

#[test]
fn a_release_that_cannot_make_the_backup_it_asks_for_says_so_and_goes_on() {
    let mut world = world(&[]);
    world.vault = Ok(Vault::default());
    let reason = |release: Value| {
        let saas = saas(json!({"release": release}));
        let steps = plan(Ask { saas: &saas, world: &world }).unwrap().ok().unwrap();
        (steps.waits.map(|hold| hold.reason), steps.manifests.iter().any(|m| m.kind == Kind::Job))
    };
    let migrate = json!({"command": ["./migrate"]});
    assert_eq!(reason(json!({"backupFirst": true, "migrate": migrate})), (Some("StageRunning"), true));
    assert_eq!(reason(json!({"backupFirst": true})), (Some("NothingToBackUp"), false));
    assert_eq!(reason(json!({"backupFirst": false})), (None, false));
}

/// A release after `before` whose smoke test is two commands, and a world with their Jobs as they ended, if they did.
fn smoked(ends: [Option<&str>; 2]) -> (SaasDeployment, World) {
    let step = |name: &str| json!({"name": name, "command": ["check"]});
    let saas = saas(json!({"release": {"smoke": [step("a"), step("b")]}, "domains": ["app.example.org"]}));
    let mut world = world(&[]);
    world.vault.as_mut().unwrap().ledger.proven = Some("before".into());
    let stages = Ask { saas: &saas, world: &world }.smoke_stages(saas.spec.release.as_ref().unwrap());
    for (stage, end) in stages.iter().zip(ends) {
        let conditions: Vec<Value> = end.iter().map(|end| json!({"type": end, "status": "True"})).collect();
        world = job(world, (&stage.job, Part::Release, "smoke"), &json!({"conditions": conditions}));
    }
    (saas, world)
}

/// A Job of golive's: its name, its part and the component of its pods.
fn job(world: World, (name, part, component): (&str, Part, &str), status: &Value) -> World {
    let spec = json!({"template": {"metadata": {"labels": {"app.kubernetes.io/component": component}}}});
    let metadata = json!({"name": name, "labels": {crate::objects::PART: part.word()}});
    let object = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec, "status": status});
    World { children: world.children.with(Kind::Job, serde_json::from_value(object).unwrap()), ..world }
}

#[test]
fn a_revision_gives_way_once_one_check_of_its_smoke_test_failed_and_none_is_under_way() {
    let fails = |ends| {
        let (saas, world) = smoked(ends);
        Ask { saas: &saas, world: &world }.gives_way_to().is_some()
    };
    assert!(fails([Some("Complete"), Some("Failed")]) && fails([Some("Failed"), Some("Failed")]));
    assert!(!fails([Some("Complete"), Some("Complete")]) && !fails([None, None]));
    assert!(!fails([Some("Failed"), None]), "the other still runs");
}

#[test]
fn only_a_smoke_test_that_failed_tells_which_revision_runs_then() {
    let (saas, world) = smoked([Some("Failed"), None]);
    let ask = Ask { saas: &saas, world: &world };
    let told = |stage: &Stage| ask.failed(stage, "no answer").message;
    let smoke = told(&ask.smoke_stages(saas.spec.release.as_ref().unwrap())[0]);
    let migrate = told(&ask.stage("migrate", &[], Ok(Container::default())));
    let way_back = format!("; {}", ask.way_back());
    assert!(smoke.contains(&way_back) && !migrate.contains(&way_back), "{smoke} / {migrate}");
}

#[test]
fn a_command_of_a_smoke_test_gets_the_public_address_its_environment_and_no_data() {
    let sqlite = json!({"file": "/data/a.db", "size": "1Gi", "env": "DB"});
    let smoke = json!([{"name": "a", "command": ["check"]}]);
    let saas =
        saas(json!({"release": {"smoke": smoke}, "domains": ["app.example.org"], "database": {"sqlite": sqlite},
        "env": {"GOLIVE_URL": "http://localhost", "LANG": "C"}}));
    let mut world = world(&[]);
    world.trust = Some("root".into());
    let stages = Ask { saas: &saas, world: &world }.smoke_stages(saas.spec.release.as_ref().unwrap());
    let container = stages[0].container.as_ref().unwrap();
    let values = |name: &str| container.env.iter().filter(|e| e["name"] == name).map(|e| e["value"].clone()).collect();
    let [address, lang]: [Vec<Value>; 2] = ["GOLIVE_URL", "LANG"].map(values);
    assert_eq!((address, lang), (vec![json!("https://app.example.org")], vec![json!("C")]));
    let volumes: Vec<&Value> = container.volumes.iter().map(|(volume, _)| &volume["name"]).collect();
    assert_eq!(volumes, ["trust"]);
}

#[test]
fn a_stage_of_an_earlier_revision_is_told_as_what_it_does() {
    let told = |status: Value, going: bool| {
        let saas = saas(json!({}));
        let deleted = going.then_some("2020-01-01T00:00:00Z");
        let metadata = json!({"name": "app-migrate-old", "deletionTimestamp": deleted,
            "labels": {crate::objects::PART: "release"}});
        let object = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "status": status});
        let mut world = world(&[]);
        world.children = world.children.with(Kind::Job, serde_json::from_value(object).unwrap());
        plan(Ask { saas: &saas, world: &world }).unwrap().ok().unwrap().waits.unwrap().message
    };
    let [runs, over] = [json!({"startTime": "t", "ready": 1}), json!({"startTime": "t"})];
    assert!(told(runs.clone(), false).contains("still runs"));
    assert!(told(runs, true).contains("goes: "), "somebody deleted it");
    assert!(told(over.clone(), false).contains("goes: ") && told(over, true).contains("goes: "));
}

#[test]
fn only_stages_of_another_revision_before_its_roll_out_hold_a_release() {
    let saas = saas(json!({"release": {"migrate": {"command": ["./migrate"]}}}));
    let own = Ask { saas: &saas, world: &world(&[]) }.stages_before(saas.spec.release.as_ref().unwrap()).remove(0).job;
    let earlier = |name: &str, part: Part, component: &str| {
        let world = job(world(&[]), (name, part, component), &json!({}));
        Ask { saas: &saas, world: &world }.earlier_stages().len()
    };
    assert_eq!(earlier("app-migrate-old", Part::Release, "migrate"), 1);
    assert_eq!(earlier(&own, Part::Release, "migrate"), 0, "it is its own");
    assert_eq!(earlier("app-smoke-old", Part::Release, "smoke"), 0);
    assert_eq!(earlier("app-op-1", Part::Backup, "backup"), 0);
}

#[test]
fn no_stage_begins_while_one_of_an_earlier_revision_is_under_way() {
    let saas = saas(json!({"release": {"migrate": {"command": ["./migrate"]}}}));
    let begins = |world: &World| {
        let steps = plan(Ask { saas: &saas, world }).unwrap().ok().unwrap();
        steps.manifests.iter().any(|manifest| manifest.kind == Kind::Job)
    };
    assert!(begins(&world(&[])));
    assert!(!begins(&job(world(&[]), ("app-migrate-old", Part::Release, "migrate"), &json!({}))));
}

#[test]
fn where_nothing_is_released_any_more_nothing_is_said_of_it_once_all_is_over() {
    let saas = saas(json!({}));
    assert!(plan(Ask { saas: &saas, world: &world(&[]) }).is_none());
}

#[test]
fn pods_roll_out_once_their_environment_is_whole_and_the_stages_before_are_done() {
    let migrates = saas(json!({"release": {"migrate": {"command": ["./migrate"]}}}));
    let (plain, lacking) = (saas(json!({})), saas(json!({"envFrom": [{"secret": "gone"}]})));
    let holds =
        |saas: &SaasDeployment, world: &World| Ask { saas, world }.cleared_to_roll().err().map(|hold| hold.reason);
    let mut world = world(&[]);
    assert_eq!(holds(&plain, &world), None);
    assert_eq!(holds(&lacking, &world), Some("SourceMissing"));
    assert_eq!(holds(&migrates, &world), Some("StagePending"));
    let revision = Ask { saas: &migrates, world: &world }.revision();
    let done = [("migrate".to_owned(), world.now)].into();
    world.vault.as_mut().unwrap().ledger.release = Some(crate::vault::Release { revision, done, failure: None });
    assert_eq!(holds(&migrates, &world), None);
}

#[test]
fn revisions_on_record_are_told_by_their_names_the_newest_first() {
    let (saas, world) = (saas(json!({"release": {}})), released(1..=3));
    assert_eq!(Ask { saas: &saas, world: &world }.released(), ["3", "2", "1"]);
}

#[test]
fn only_what_follows_a_proven_revision_is_upkeep_and_not_while_something_is_missing() {
    let upkeep = |release: Value, proven: bool| {
        let (saas, mut world) = (saas(json!({"release": release})), world(&[]));
        let revision = Ask { saas: &saas, world: &world }.revision();
        world.vault.as_mut().unwrap().ledger.proven = proven.then_some(revision);
        plan(Ask { saas: &saas, world: &world }).unwrap().ok().unwrap().upkeep
    };
    assert!(upkeep(json!({}), true) && !upkeep(json!({}), false));
    assert!(!upkeep(json!({"backupFirst": true}), true), "it tells that there is nothing to back up");
}

#[test]
fn a_spec_that_no_record_takes_is_refused_before_anything_of_it_runs() {
    let told = |values: usize| {
        let env: Value = (0..values).map(|at| (format!("V{at}"), Value::from("x".repeat(8000)))).collect();
        let migrate = json!({"migrate": {"command": ["./migrate"]}});
        let (saas, world) = (saas(json!({"release": migrate, "env": env})), world(&[]));
        let ask = Ask { saas: &saas, world: &world };
        let held = plan(ask).unwrap().err().map(|hold| hold.reason);
        (held, ask.cleared_to_roll().unwrap_err().reason)
    };
    assert_eq!(told(2), (None, "StagePending"));
    assert_eq!(told(40), (Some("SpecTooLong"), "SpecTooLong"));
}
