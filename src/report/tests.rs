use serde_json::{Value, json};

use super::*;
use crate::api::SaasDeployment;
use crate::fault::Fault;
use crate::objects::APPLIED;
use crate::plan::release::REVISION;
use crate::plan::tests::{saas, world};
use crate::rows::Id;
use crate::vault::{Backup, Issued, Vault, Webhook};
use crate::world::World;

#[test]
fn a_long_message_is_cut_between_two_letters() {
    let long = cut(&"aü".repeat(LONGEST));
    assert!(long.len() <= LONGEST + '…'.len_utf8() && long.ends_with("…"), "{long}");
    assert_eq!(cut(&"a".repeat(LONGEST)), "a".repeat(LONGEST));
    assert_eq!(cut("short"), "short");
}

#[test]
fn other_news_of_one_reason_is_another_event() {
    let failed = |stage| deed("ReleaseReady", &format!("stage {stage} failed"));
    assert_eq!(failed("test"), failed("test"));
    assert_ne!(failed("test"), failed("migrate"));
    assert!(failed("test").chars().all(char::is_alphanumeric));
}

/// A plan in which these parts have nothing to do and wait for these reasons.
fn of(parts: Vec<(Part, Option<Hold>)>) -> Plan {
    let steps = |waits| Steps { waits, evidence: "it stands".into(), ..Steps::default() };
    Plan { parts: parts.into_iter().map(|(part, waits)| (part, Ok(steps(waits)))).collect() }
}

/// What a part wrote.
fn done(part: Part, wrote: &[(&str, Drift)]) -> Done {
    let wrote = wrote.iter().map(|(what, drift)| Wrote { what: (*what).into(), drift: *drift }).collect();
    Done { parts: [(part, PartDone { wrote, ..PartDone::default() })].into() }
}

fn told(saas: &SaasDeployment, plan: &Plan, done: &Done) -> Report {
    report(Ask { saas, world: &world(&[]) }, plan, done)
}

/// `True Live: live at …`.
fn line(report: &Report, kind: &str) -> String {
    let found = report.status.conditions.iter().find(|c| c.type_ == kind).unwrap();
    format!("{} {}: {}", found.status, found.reason, found.message)
}

/// The status of an earlier pass.
fn with_status(conditions: &[(&str, &str, &str)]) -> SaasDeployment {
    let mut saas = saas(json!({}));
    let condition = |(kind, status, reason): &(&str, &str, &str)| {
        json!({"type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": 3,
            "lastTransitionTime": "2020-01-01T00:00:00Z"})
    };
    let conditions: Vec<Value> = conditions.iter().map(condition).collect();
    saas.metadata.generation = Some(3);
    saas.status = Some(serde_json::from_value(json!({"conditions": conditions})).unwrap());
    saas
}

#[test]
fn ready_tells_of_the_worst_part_whatever_comes_first() {
    let saas = saas(json!({}));
    let mut parts = vec![(Part::Secrets, None)];
    let all = |parts: &Vec<_>| told(&saas, &of(parts.clone()), &Done::default());
    let lines = |parts: &Vec<_>| ["Ready", "Reconciling", "Stalled"].map(|kind| line(&all(parts), kind));
    assert_eq!(lines(&parts), ["True Live: all parts are ready", "False Settled: ", "False Settled: "]);
    assert_eq!(line(&all(&parts), "SecretsReady"), "True InSync: it stands");
    let worse = [
        (Part::Database, Hold::event("StagePending", "waits for a stage")),
        (Part::Dns, Hold::event("RecordPending", "waits for a record")),
        (Part::Tls, Hold::after("AccountMissing", SOON, "no account")),
    ];
    for (part, hold) in worse {
        let told = format!("{}: {}: {}", hold.reason, part.condition(), hold.message);
        parts.push((part, Some(hold)));
        assert_eq!(lines(&parts), [format!("False {told}"), format!("True {told}"), "False Settled: ".to_owned()]);
    }
    parts.push((Part::Edge, Some(Hold::person("TooManyHosts", "too many"))));
    let told = "TooManyHosts: EdgeReady: too many";
    assert_eq!(lines(&parts), [format!("False {told}"), "False Settled: ".to_owned(), format!("True {told}")]);
    let card = all(&parts).status.scorecard.unwrap();
    assert_eq!((card.passed, card.failed, card.waived), (1, 4, 0));
    assert_eq!(
        card.failing,
        ["database: StagePending", "dns: RecordPending", "tls: AccountMissing", "edge: TooManyHosts"]
    );
}

#[test]
fn what_a_part_did_and_could_not_do_is_its_condition() {
    let saas = saas(json!({}));
    let part = |plan: &Plan, done: &Done| line(&told(&saas, plan, done), "DnsReady");
    let resting = of(vec![(Part::Dns, None)]);
    let wrote = done(Part::Dns, &[("record a", Drift::No), ("record b", Drift::No)]);
    assert_eq!(part(&resting, &wrote), "False Applied: changed: record a, record b");
    let act = |action: Action, upkeep: bool| {
        let steps = Steps { actions: vec![action], upkeep, evidence: "it stands".into(), ..Steps::default() };
        Plan { parts: [(Part::Dns, Ok(steps))].into() }
    };
    let drop = || Action::DropCredentials { name: "c".into() };
    assert_eq!(part(&act(drop(), false), &Done::default()), "False Applied: changed: ");
    assert_eq!(part(&act(drop(), true), &wrote), "True InSync: it stands");
    assert_eq!(part(&act(Action::Note(vec![]), false), &Done::default()), "True InSync: it stands");
    let mut altered = Done::default();
    altered.parts.entry(Part::Dns).or_default().altered = vec!["Service app".into(), "Ingress app".into()];
    assert_eq!(part(&resting, &altered), "True InSync: it stands; admission changes Service app, Ingress app");
    altered.parts.entry(Part::Dns).or_default().fault = Some(Fault::Denied("no".into()));
    assert_eq!(part(&resting, &altered), "False CredentialDenied: no");
    let refused = Plan { parts: [(Part::Dns, Err(Hold::event("ZoneMissing", "no zone")))].into() };
    assert_eq!(part(&refused, &Done::default()), "False ZoneMissing: no zone");
    let left =
        Steps { waits: Some(Hold::event("ZoneMissing", "goes")), left: vec!["row a".into()], ..Steps::default() };
    let going = Plan { parts: [(Part::Dns, Ok(left))].into() };
    assert_eq!(part(&going, &Done::default()), "False ZoneMissing: goes; may still stand: row a");
}

#[test]
fn the_next_look_is_the_soonest_that_a_part_wants_and_follows_a_write_at_once() {
    let saas = saas(json!({}));
    let seconds = |plan: &Plan, done: &Done| told(&saas, plan, done).again.as_secs();
    let hold = |seconds| Some(Hold::after("RecordPending", Duration::from_secs(seconds), ""));
    let resync = world(&[]).config.resync_seconds;
    assert_eq!(seconds(&of(vec![(Part::Dns, None)]), &Done::default()), resync);
    let mut plan = of(vec![(Part::Dns, hold(20)), (Part::Tls, hold(30)), (Part::App, None)]);
    assert_eq!(seconds(&plan, &Done::default()), 20);
    assert_eq!(seconds(&plan, &done(Part::App, &[("Deployment app", Drift::No)])), 1);
    assert_eq!(seconds(&of(vec![(Part::Dns, hold(0))]), &Done::default()), 1, "no loop without a pause");
    plan.parts.get_mut(&Part::App).unwrap().as_mut().ok().unwrap().again = Some(Duration::from_secs(10));
    assert_eq!(seconds(&plan, &Done::default()), 10);
    // A part that failed waits as its fault says.
    let mut failed = Done::default();
    let fault = Fault::Throttled { message: String::new(), after: Duration::from_secs(15) };
    failed.parts.entry(Part::App).or_default().fault = Some(fault);
    assert_eq!(seconds(&plan, &failed), 15);
}

#[test]
fn a_condition_keeps_its_time_while_its_status_stays() {
    let saas = with_status(&[("DnsReady", "True", "InSync"), ("Ready", "False", "RecordPending")]);
    let report = told(&saas, &of(vec![(Part::Dns, None)]), &Done::default());
    let times = report.status.conditions.iter().map(|c| (c.type_.as_str(), c.last_transition_time.0.to_string()));
    let times: BTreeMap<_, _> = times.collect();
    assert_eq!(times["DnsReady"], "2020-01-01T00:00:00Z");
    assert_eq!(times["Ready"], "1970-01-01T00:00:00Z");
    assert_eq!(report.status.observed_generation, 3);
}

#[test]
fn trouble_is_told_once_by_the_part_that_has_it_and_what_was_waited_for_when_it_comes() {
    let news = |old: &[(&str, &str, &str)], parts| {
        let said = told(&with_status(old), &of(parts), &Done::default()).events;
        said.into_iter().map(|said| (said.warning, said.reason)).collect::<Vec<(bool, String)>>()
    };
    let (dns, tls) = (("DnsReady", "False", "ZoneMissing"), ("TlsReady", "False", "Issuing"));
    let (missing, issuing) = (|| Some(Hold::event("ZoneMissing", "")), || Some(Hold::event("Issuing", "")));
    let trouble = || vec![(Part::Dns, missing()), (Part::Tls, issuing())];
    assert_eq!(news(&[], trouble()), [(true, "ZoneMissing".to_owned())]);
    assert_eq!(news(&[dns, tls], trouble()), []);
    assert_eq!(news(&[("DnsReady", "False", "AccountMissing")], trouble()), [(true, "ZoneMissing".to_owned())]);
    assert_eq!(news(&[("DnsReady", "True", "ZoneMissing")], trouble()), [(true, "ZoneMissing".to_owned())]);
    let came = |old: &[(&str, &str, &str)]| news(old, vec![(Part::Dns, None), (Part::Tls, issuing())]);
    assert_eq!(came(&[dns, tls]), [(false, "DnsReadyTrue".to_owned())]);
    assert_eq!(came(&[tls]), [], "nobody waited for it");
    assert_eq!(came(&[("DnsReady", "True", "Other"), tls]), [], "it was there");
    let live = vec![(Part::Dns, None), (Part::Tls, None)];
    assert_eq!(news(&[dns, tls], live), [(false, "ReadyTrue".to_owned())]);
    let suspended = saas(json!({"suspend": true}));
    let report = told(&suspended, &of(vec![(Part::Dns, missing())]), &Done::default());
    assert_eq!(report.events.iter().map(|said| &said.reason).collect::<Vec<_>>(), ["Suspended"]);
    assert_eq!(report.status.conditions.len(), 1);
    assert!(line(&report, "Ready").starts_with("False Suspended: `suspend` is set"));
}

#[test]
fn a_pass_is_progress_while_work_goes_on_and_nothing_is_to_be_told() {
    let progress =
        |old: &[_], parts, wrote: &[_]| told(&with_status(old), &of(parts), &done(Part::Tls, wrote)).is_progress();
    let wait = |reason| vec![(Part::Tls, Some(Hold::event(reason, "")))];
    let known = ("TlsReady", "False", "AccountMissing");
    assert!(progress(&[], wait("Issuing"), &[]));
    assert!(!progress(&[], vec![(Part::Tls, None)], &[]), "it is live");
    assert!(!progress(&[], wait("AccountMissing"), &[]) && !progress(&[known], wait("AccountMissing"), &[]));
    let came = vec![(Part::Dns, None), (Part::Tls, Some(Hold::event("Issuing", "")))];
    assert!(!progress(&[("DnsReady", "False", "Issuing")], came, &[]), "an event is to be told");
    assert!(!progress(&[], wait("Issuing"), &[("Secret a", Drift::Yes)]), "a repair is to be told");
}

#[test]
fn what_somebody_else_changed_is_told_where_it_is_certain_or_all_was_well() {
    let (well, ill) = (("AppReady", "True", "InSync"), ("AppReady", "False", "RollingOut"));
    let both = [("Service a", Drift::Yes), ("Service b", Drift::IfWell), ("Service c", Drift::No)];
    let undone = |saas: &SaasDeployment, part, wrote: &[_]| {
        let said = told(saas, &of(vec![]), &done(part, wrote)).repairs;
        said.into_iter().map(|said| (said.warning, said.reason, said.note)).collect::<Vec<_>>()
    };
    let note = |what: &str| {
        let note = format!("AppReady: put right what somebody else changed: {what}");
        vec![(true, "DriftRepaired".to_owned(), note)]
    };
    assert_eq!(undone(&with_status(&[well]), Part::App, &both), note("Service a, Service b"));
    assert_eq!(undone(&with_status(&[ill]), Part::App, &both), note("Service a"));
    assert_eq!(undone(&with_status(&[]), Part::App, &both[1..]), []);
    let mut newer = with_status(&[well]);
    newer.metadata.generation = Some(4);
    assert_eq!(undone(&newer, Part::App, &both), note("Service a"), "the spec has changed since");
    assert_eq!(undone(&with_status(&[("TlsReady", "True", "InSync")]), Part::Tls, &both[1..]), []);
    // What was written before the rest of a pass counts too.
    let mut earlier = Done::default();
    earlier.follows(done(Part::App, &both[..1]));
    let said = told(&with_status(&[well]), &of(vec![]), &earlier).repairs;
    assert_eq!(said.len(), 1);
}

/// A request, and the world in which its Job stands with this status.
fn asked(spec: Value, uid: Option<&str>) -> SaasOperation {
    let metadata = json!({"name": "ask", "uid": uid, "generation": 1, "creationTimestamp": "1970-01-01T01:00:00Z"});
    let kind = json!({"apiVersion": "golive.dev/v1alpha1", "kind": "SaasOperation", "metadata": metadata});
    let mut object = kind;
    object["spec"] = spec;
    object["spec"]["deployment"] = json!("app");
    serde_json::from_value(object).unwrap()
}

/// How a request stands: its reason, its message, whether it is ready, whether it is stalled, and what it proved.
fn stands(saas: &SaasDeployment, mut world: World, operation: SaasOperation) -> (String, String) {
    world.operations = vec![operation];
    let report = report(Ask { saas, world: &world }, &Plan::default(), &Done::default());
    let status = &report.operations["ask"];
    let marks = status.conditions.iter().filter(|c| c.status == "True").map(|c| c.type_.as_str());
    let marks = marks.collect::<Vec<_>>().join("+");
    assert_eq!(status.completion_time.is_some(), !marks.is_empty());
    let proof = status.snapshot.iter().map(|id| format!(" {id} {:?} {:?}", status.bytes, status.rows));
    let reason = &status.conditions[0].reason;
    (format!("{reason} {marks}{}", proof.collect::<String>()), status.message.clone().unwrap())
}

/// A world in which the Job of that request has ended so.
fn ended(saas: &SaasDeployment, operation: &SaasOperation, condition: &str, taken: bool) -> World {
    let mut world = world(&[]);
    let job = Ask { saas, world: &world }.operation_job(operation).unwrap();
    let proof = |snapshot: &str| Backup { at: Timestamp::UNIX_EPOCH, snapshot: snapshot.into(), bytes: 7, rows: 3 };
    let mut vault = Vault::default();
    (vault.ledger.backup, vault.ledger.drill) = (Some(proof("saved")), Some(proof("drilled")));
    vault.ledger.taken = taken.then(|| job.clone()).into_iter().collect();
    world.vault = Ok(vault);
    let object = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job},
        "status": {"conditions": [{"type": condition, "status": "True"}]}});
    world.children = world.children.with(Kind::Job, serde_json::from_value(object).unwrap());
    world.outcomes = [(job, json!({"ok": false, "reason": "DiskFull", "message": "no room"}))].into();
    world
}

#[test]
fn a_request_that_runs_as_a_job_is_done_once_its_result_is_kept() {
    let saas = saas(json!({}));
    for (spec, proof) in [(json!({"backup": {}}), "saved"), (json!({"drill": {}}), "drilled")] {
        let operation = asked(spec, Some("u"));
        let stand = |condition, taken| {
            let world = ended(&saas, &operation, condition, taken);
            stands(&saas, world, operation.clone())
        };
        let job = Ask { saas: &saas, world: &world(&[]) }.operation_job(&operation).unwrap();
        let running = ("Running ".to_owned(), format!("runs as Job {job}"));
        assert_eq!(stand("Complete", false), running);
        assert_eq!(stand("Suspended", true), running);
        let (told, message) = stand("Complete", true);
        assert_eq!(told, format!("Succeeded Ready+Complete {proof} Some(7) Some(3)"));
        assert_eq!(message, format!("Job {job} succeeded and was read back"));
        let (told, message) = stand("Failed", false);
        assert_eq!(told, "Failed Stalled");
        assert!(message.contains("no room"), "{message}");
    }
}

#[test]
fn a_request_that_cannot_begin_says_what_it_waits_for() {
    let spec = json!({"database": {"sqlite": {"file": "/data/a.db", "size": "1Gi", "env": "DB"}}, "backup": {"schedule": "0 3 * * *"}});
    let (plain, with_backup) = (saas(json!({})), saas(spec));
    let backup = || asked(json!({"backup": {}}), Some("u"));
    assert_eq!(stands(&plain, world(&[]), asked(json!({"backup": {}}), None)).0, "Running ");
    let (told, message) = stands(&plain, world(&[]), backup());
    assert!(told == "Failed Stalled" && message.contains("add both blocks"), "{told} {message}");
    let (told, message) = stands(&with_backup, world(&[]), backup());
    assert!(told == "Running " && message != "starting", "{told} {message}");
    let (told, message) = stands(&plain, world(&[]), asked(json!({"rollback": {}}), Some("u")));
    assert_eq!(told, "NotSupported Stalled");
    assert!(message.contains("does not do this"));
}

#[test]
fn a_rotation_is_done_once_every_value_is_younger_than_the_request() {
    let webhook = json!({"secretEnv": "HOOK", "path": "/hook", "events": ["a"]});
    let spec = json!({"secrets": {"generate": [{"env": "KEY"}, {"env": "SALT"}]}, "payments": {"stripe": {"webhooks": [webhook]}}});
    let saas = saas(spec);
    let rotate = |env: &[&str]| asked(json!({"rotate": {"env": env}}), Some("u"));
    let made = |key: i64, salt: i64| {
        let mut vault = Vault::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        vault.ledger.generated = [("KEY".to_owned(), at(key)), ("SALT".to_owned(), at(salt))].into();
        let current = Some(Issued { id: Id("we".into()), at: at(salt) });
        let webhook = Webhook { account: "stripe".into(), current, previous: None, attempt: None };
        vault.ledger.webhooks = [("HOOK".to_owned(), webhook)].into();
        World { vault: Ok(vault), ..world(&[]) }
    };
    let both = || rotate(&["KEY", "SALT"]);
    assert_eq!(stands(&saas, made(0, 0), both()), ("Running ".to_owned(), "waits for KEY, SALT".to_owned()));
    assert_eq!(stands(&saas, made(3601, 3600), both()), ("Running ".to_owned(), "waits for SALT".to_owned()));
    let done = ("Succeeded Ready+Complete".to_owned(), "every named value is new".to_owned());
    assert_eq!(stands(&saas, made(3601, 9999), both()), done);
    assert_eq!(stands(&saas, made(0, 3600), rotate(&["HOOK"])).1, "waits for HOOK");
    assert_eq!(stands(&saas, made(0, 3601), rotate(&["HOOK"])), done);
    let mut moved = made(0, 3601);
    moved.vault.as_mut().unwrap().ledger.generated.insert("HOOK".to_owned(), Timestamp::UNIX_EPOCH);
    assert_eq!(stands(&saas, moved, rotate(&["HOOK"])), done, "it was generated before it became a webhook's");
    let (told, message) = stands(&saas, made(9999, 9999), rotate(&["KEY", "OTHER"]));
    assert_eq!(told, "Failed Stalled");
    assert!(message.contains("`OTHER` is no value of golive's making"), "{message}");
}

#[test]
fn the_status_has_what_was_proven_and_what_runs() {
    let saas = saas(json!({}));
    let mut world = world(&[]);
    let status = |world: &World| report(Ask { saas: &saas, world }, &Plan::default(), &Done::default()).status;
    let plain = status(&world);
    assert!(plain.backups.is_none() && plain.replicas.is_none() && plain.selector.is_none());
    let at = |second| Timestamp::from_second(second).unwrap();
    let proof = |second| Backup { at: at(second), snapshot: "s".into(), bytes: 7, rows: 3 };
    let mut vault = Vault::default();
    vault.ledger.drill = Some(proof(2));
    world.vault = Ok(vault.clone());
    let backups = status(&world).backups.unwrap();
    assert_eq!((backups.last_time, backups.last_bytes, backups.last_proven_restore), (None, None, Some(Time(at(2)))));
    (vault.ledger.drill, vault.ledger.backup) = (None, Some(proof(1)));
    world.vault = Ok(vault);
    let backups = status(&world).backups.unwrap();
    assert_eq!((backups.last_time, backups.last_bytes), (Some(Time(at(1))), Some(7)));
    assert_eq!((backups.last_snapshot.as_deref(), backups.last_proven_restore), (Some("s"), None));
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "app", "annotations": {APPLIED: "h", REVISION: "r"}},
        "spec": {"selector": {"matchLabels": {"a": "b", "c": "d"}}}, "status": {"availableReplicas": 2}});
    world.children = world.children.with(Kind::Deployment, serde_json::from_value(object).unwrap());
    let running = status(&world);
    assert_eq!((running.replicas, running.selector.as_deref()), (Some(2), Some("a=b,c=d")));
}
