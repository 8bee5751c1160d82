//! What came of a pass: conditions, status, events, and when to look again. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::{
    BackupStatus, CertificateStatus, OperationKind, ReleaseStatus, SaasDeploymentStatus, SaasOperation,
    SaasOperationStatus, Scorecard,
};
use crate::apply::{Done, Drift, PartDone, Wrote};
use crate::child::Child;
use crate::fault::{Hold, Until};
use crate::kinds::Kind;
use crate::plan::edge::Way;
use crate::plan::left::with_rows;
use crate::plan::names::hash;
use crate::plan::secrets::counts_from;
use crate::plan::{Action, Ask, Part, Plan, Steps, Verdict};

/// Longest message of a condition or note of an event, in bytes: the API server takes 1024 of a note
/// (<https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/validation/events.go>).
const LONGEST: usize = 1000;
/// How soon the next look follows a pass that wrote something.
const SOON: Duration = Duration::from_secs(1);

/// What a pass has to say.
pub struct Report {
    /// The new status.
    pub status: SaasDeploymentStatus,
    /// Changes of conditions worth telling, once the status is written.
    pub events: Vec<Said>,
    /// What was repaired, to be told whatever becomes of the status: the next pass finds nothing to repair.
    pub repairs: Vec<Said>,
    /// When to look again although nothing happens.
    pub again: Duration,
    /// New statuses of open requests, by name.
    pub operations: BTreeMap<String, SaasOperationStatus>,
}

impl Report {
    /// Whether it says only that work is under way as it should be.
    pub fn is_progress(&self) -> bool {
        let is = |kind: &str, wanted: &dyn Fn(&Condition) -> bool| {
            self.status.conditions.iter().any(|c| c.type_ == kind && wanted(c))
        };
        let under_way = is("Reconciling", &|c| c.status == "True");
        under_way && is("Ready", &|c| !is_trouble(&c.reason)) && self.events.is_empty() && self.repairs.is_empty()
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Whether somebody should look.
    pub warning: bool,
    /// A stable CamelCase word.
    pub reason: String,
    /// What happened.
    pub note: String,
    /// What golive did or was doing. Events of one reason and action are counted as one, and only the first is shown:
    /// it names what it is about.
    pub action: String,
}

/// The state of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    ready: bool,
    reason: String,
    message: String,
    stalled: bool,
    again: Option<Duration>,
}

/// Reports a pass.
pub fn report(ask: Ask<'_>, plan: &Plan, done: &Done) -> Report {
    let nothing = PartDone::default();
    let states: BTreeMap<Part, State> = plan
        .parts
        .iter()
        .map(|(part, verdict)| (*part, state(verdict, done.parts.get(part).unwrap_or(&nothing))))
        .collect();
    let conditions = conditions(ask, &states);
    Report {
        events: changes(ask, &conditions),
        repairs: repairs(ask, done),
        again: again(ask, plan, done, &states),
        operations: operations(ask),
        status: status(ask, conditions, &states),
    }
}

fn state(verdict: &Verdict, done: &PartDone) -> State {
    let left = verdict.as_ref().map(|steps| steps.left.as_slice()).unwrap_or_default();
    let held = |hold: &Hold| State {
        ready: false,
        reason: hold.reason.to_owned(),
        message: with_rows(&hold.message, left),
        stalled: hold.until == Until::Person,
        again: match hold.until {
            Until::After(wait) => Some(wait),
            Until::Event | Until::Person => None,
        },
    };
    if let Some(fault) = &done.fault {
        return held(&Hold::from(fault));
    }
    match verdict {
        Err(hold) => held(hold),
        Ok(steps) => match &steps.waits {
            Some(hold) => held(hold),
            None if is_changing(steps, done) => State {
                ready: false,
                reason: "Applied".into(),
                message: format!("changed: {}", done.words()),
                stalled: false,
                again: Some(SOON),
            },
            None => State {
                ready: true,
                reason: "InSync".into(),
                message: evidence(steps, done),
                stalled: false,
                again: None,
            },
        },
    }
}

/// What proves that a part is ready, and what the cluster keeps otherwise than declared.
fn evidence(steps: &Steps, done: &PartDone) -> String {
    match done.altered.is_empty() {
        true => steps.evidence.clone(),
        false => format!("{}; admission changes {}", steps.evidence, done.altered.join(", ")),
    }
}

/// Whether a part is not yet what it was planned to be.
fn is_changing(steps: &Steps, done: &PartDone) -> bool {
    let acts = steps.actions.iter().any(|action| !matches!(action, Action::Note(_)));
    !steps.upkeep && (acts || !done.wrote.is_empty())
}

fn conditions(ask: Ask<'_>, states: &BTreeMap<Part, State>) -> Vec<Condition> {
    if ask.saas.spec.suspend.unwrap_or(false) && ask.saas.metadata.deletion_timestamp.is_none() {
        let message = "`suspend` is set: golive looks at nothing and changes nothing until it is unset".to_owned();
        return vec![condition(ask, "Ready", false, ("Suspended".into(), message))];
    }
    let first = |wanted: &dyn Fn(&State) -> bool| states.iter().find(|(_, state)| wanted(state));
    let worst = first(&|s| s.stalled)
        .or_else(|| first(&|s| !s.ready && is_trouble(&s.reason)))
        .or_else(|| first(&|s| !s.ready && s.reason != "StagePending"))
        .or_else(|| first(&|s| !s.ready));
    let stalled = first(&|s| s.stalled);
    let (ready, reason, message) = match worst {
        Some((part, state)) => (false, state.reason.clone(), format!("{}: {}", part.condition(), state.message)),
        None => {
            (true, "Live".to_owned(), ask.url().map_or("all parts are ready".into(), |url| format!("live at {url}")))
        }
    };
    let progressing = !ready && stalled.is_none();
    let because = |on: bool| if on { (reason.clone(), message.clone()) } else { ("Settled".to_owned(), String::new()) };
    let mut list = vec![
        condition(ask, "Ready", ready, (reason.clone(), message.clone())),
        condition(ask, "Reconciling", progressing, because(progressing)),
        condition(ask, "Stalled", stalled.is_some(), because(stalled.is_some())),
    ];
    list.extend(
        states.iter().map(|(part, s)| condition(ask, part.condition(), s.ready, (s.reason.clone(), s.message.clone()))),
    );
    list
}

/// A condition, whose time of transition stays while its status does.
fn condition(ask: Ask<'_>, kind: &str, on: bool, (reason, message): (String, String)) -> Condition {
    let status = if on { "True" } else { "False" };
    let old = ask.saas.status.iter().flat_map(|s| &s.conditions).find(|c| c.type_ == kind && c.status == status);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason,
        message: cut(&message),
        last_transition_time: old.map_or_else(|| Time(seconds(ask.world.now)), |c| c.last_transition_time.clone()),
        observed_generation: ask.saas.metadata.generation,
    }
}

/// Whole seconds, as the API keeps times.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// A text as long as the API server takes it.
pub fn cut(text: &str) -> String {
    match text.len() > LONGEST {
        true => format!("{}…", &text[..text.floor_char_boundary(LONGEST)]),
        false => text.to_owned(),
    }
}

fn status(ask: Ask<'_>, conditions: Vec<Condition>, states: &BTreeMap<Part, State>) -> SaasDeploymentStatus {
    let time = |at: Timestamp| Some(Time(seconds(at)));
    let ledger = ask.world.vault.as_ref().ok().map(|vault| &vault.ledger);
    let (backup, drill) = (ledger.and_then(|l| l.backup.clone()), ledger.and_then(|l| l.drill.clone()));
    let backups = (backup.is_some() || drill.is_some()).then(|| BackupStatus {
        last_time: backup.as_ref().and_then(|b| time(b.at)),
        last_bytes: backup.as_ref().and_then(|b| i64::try_from(b.bytes).ok()),
        last_snapshot: backup.as_ref().map(|b| b.snapshot.clone()),
        last_proven_restore: drill.as_ref().and_then(|d| time(d.at)),
    });
    let certificate = ask
        .world
        .certificate
        .as_ref()
        .ok()
        .and_then(Option::as_ref)
        .filter(|_| !matches!(ask.way(), Ok(Way::Shared(_))))
        .map(|c| CertificateStatus { not_after: time(c.not_after), renew_at: time(ask.renewal(c)) });
    let own = ask.world.children.find(Kind::Deployment, &ask.name());
    let replicas = own.and_then(|own| own.field("/status/availableReplicas")?.as_i64());
    SaasDeploymentStatus {
        conditions,
        observed_generation: ask.saas.metadata.generation.unwrap_or_default(),
        url: ask.url(),
        hosts: ask.own_hosts(),
        release: Some(release(ask)),
        certificate,
        backups,
        scorecard: Some(scorecard(states)),
        replicas: replicas.and_then(|n| i32::try_from(n).ok()),
        selector: own.and_then(Child::selector).map(str::to_owned),
    }
}

/// Which revision runs, and what stands between it and production.
fn release(ask: Ask<'_>) -> ReleaseStatus {
    let revision = ask.revision();
    let history: Vec<String> = ask.released().into_iter().filter(|earlier| *earlier != revision).collect();
    if let (Ok(Some(former)), Some(proven)) = (&ask.world.former, ask.proven()) {
        let (revision, image) = (proven.to_owned(), former.image.clone());
        return ReleaseStatus { revision, image, stage: "RolledBack".into(), history };
    }
    let stage = match (ask.saas.spec.release.is_some(), ask.is_proven(), ask.cleared_to_roll()) {
        (true, true, _) => "Proven",
        (_, _, Err(_)) => "Preparing",
        (true, false, Ok(())) => "Smoke",
        (false, ..) => "Running",
    };
    ReleaseStatus { revision, image: ask.saas.spec.image.clone(), stage: stage.into(), history }
}

/// The lines of the checklist that are proven: one for each part in use.
fn scorecard(states: &BTreeMap<Part, State>) -> Scorecard {
    let failing: Vec<String> = states
        .iter()
        .filter(|(_, s)| !s.ready)
        .map(|(part, s)| cut(&format!("{}: {}", part.word(), s.reason)))
        .collect();
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    Scorecard { passed: count(states.len() - failing.len()), failed: count(failing.len()), waived: 0, failing }
}

fn again(ask: Ask<'_>, plan: &Plan, done: &Done, states: &BTreeMap<Part, State>) -> Duration {
    let resync = Duration::from_secs(ask.world.config.resync_seconds);
    // A part that failed waits as its fault says, not as what it had planned.
    let failed = |part: &Part| done.parts.get(part).is_some_and(|done| done.fault.is_some());
    let planned = plan.again(resync, |part| !failed(part));
    let soonest = states.values().filter_map(|state| state.again).fold(planned, Duration::min);
    if done.wrote() { soonest.min(SOON) } else { soonest.max(SOON) }
}

/// Conditions that changed since the status was last written: trouble, and what was waited for. Where all is ready, that
/// alone is told.
fn changes(ask: Ask<'_>, conditions: &[Condition]) -> Vec<Said> {
    let old = |kind: &str| ask.saas.status.iter().flat_map(|s| &s.conditions).find(|c| c.type_ == kind);
    let told = conditions.iter().filter(|c| !["Reconciling", "Stalled"].contains(&c.type_.as_str()));
    let changed =
        told.filter(|new| old(&new.type_).is_none_or(|old| (&old.status, &old.reason) != (&new.status, &new.reason)));
    let said = |c: &Condition| Said {
        warning: c.status != "True",
        reason: if c.status == "True" { format!("{}True", c.type_) } else { c.reason.clone() },
        note: cut(&format!("{}: {}", c.type_, c.message)),
        action: deed(&c.type_, &c.message),
    };
    let live = conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
    let awaited = |c: &Condition| old(&c.type_).is_some_and(|old| old.status != "True");
    let is_news = |c: &&Condition| match c.status.as_str() {
        "True" => c.type_ == "Ready" || (!live && awaited(c)),
        _ => is_trouble(&c.reason) && !is_told_by_a_part(c, conditions),
    };
    changed.filter(is_news).map(said).collect()
}

/// Whether `Ready` only repeats what the condition of a part says.
fn is_told_by_a_part(c: &Condition, conditions: &[Condition]) -> bool {
    let says_so = |part: &Condition| c.message.starts_with(&format!("{}: ", part.type_));
    c.type_ == "Ready" && conditions.iter().any(says_so)
}

/// A word for an event that stands for this text alone: one stage that fails after another is other news.
fn deed(what: &str, text: &str) -> String {
    format!("{what}{}", hash(text.as_bytes(), 6))
}

/// Waiting and working is no trouble; everything else that is not ready is.
fn is_trouble(reason: &str) -> bool {
    !["Pending", "Issuing", "RollingOut", "StageRunning", "Applied", "InTestMode", "Conflict"]
        .iter()
        .any(|word| reason.ends_with(word))
}

/// Writes that undo what somebody else did.
fn repairs(ask: Ask<'_>, done: &Done) -> Vec<Said> {
    let said = |(part, done): (&Part, &PartDone)| {
        // What the certificate's part makes comes and goes with each renewal.
        let well = *part != Part::Tls && was_well(ask, *part);
        let is_undone = |wrote: &&Wrote| wrote.drift == Drift::Yes || (well && wrote.drift == Drift::IfWell);
        let all = done.before.iter().chain(&done.wrote);
        let undone: Vec<&str> = all.filter(is_undone).map(|wrote| wrote.what.as_str()).collect();
        let note = cut(&format!("{}: put right what somebody else changed: {}", part.condition(), undone.join(", ")));
        let told = Said {
            warning: true,
            reason: "DriftRepaired".into(),
            note,
            action: deed(&format!("Repair{}", part.condition()), &undone.join(", ")),
        };
        (!undone.is_empty()).then_some(told)
    };
    done.parts.iter().filter_map(said).collect()
}

/// Whether a part was ready, and the spec has not changed since.
fn was_well(ask: Ask<'_>, part: Part) -> bool {
    let mut conditions = ask.saas.status.iter().flat_map(|status| &status.conditions);
    let own = conditions.find(|c| c.type_ == part.condition());
    let is_newest = |c: &Condition| c.observed_generation == ask.saas.metadata.generation;
    own.is_some_and(|c| c.status == "True" && is_newest(c))
}

/// How the open requests stand.
fn operations(ask: Ask<'_>) -> BTreeMap<String, SaasOperationStatus> {
    let reported = ask.world.operations.iter().filter_map(|o| Some((o.metadata.name.clone()?, operation(ask, o)?)));
    reported.collect()
}

fn operation(ask: Ask<'_>, operation: &SaasOperation) -> Option<SaasOperationStatus> {
    let (state, message) = match operation.spec.kind()? {
        OperationKind::Backup | OperationKind::Drill => ran(ask, operation),
        OperationKind::Rotate => rotated(ask, operation),
        _ => (Some(false), "this version of golive does not do this: NotSupported".to_owned()),
    };
    let unsupported = message.ends_with("NotSupported");
    let reason = match state {
        None => "Running",
        Some(true) => "Succeeded",
        Some(false) if unsupported => "NotSupported",
        Some(false) => "Failed",
    };
    let told = |kind: &str, on: bool| Condition {
        type_: kind.into(),
        status: if on { "True" } else { "False" }.into(),
        reason: reason.into(),
        message: cut(&message),
        last_transition_time: Time(seconds(ask.world.now)),
        observed_generation: operation.metadata.generation,
    };
    let started = operation.status.as_ref().and_then(|s| s.start_time.clone()).unwrap_or(Time(seconds(ask.world.now)));
    let evidence = ask.world.vault.as_ref().ok().and_then(|vault| match operation.spec.kind() {
        Some(OperationKind::Drill) => vault.ledger.drill.clone(),
        Some(OperationKind::Backup) => vault.ledger.backup.clone(),
        _ => None,
    });
    let done = state == Some(true);
    let proof = evidence.filter(|_| done);
    Some(SaasOperationStatus {
        conditions: vec![told("Ready", done), told("Complete", done), told("Stalled", state == Some(false))],
        observed_generation: operation.metadata.generation.unwrap_or_default(),
        start_time: Some(started),
        completion_time: state.map(|_| Time(seconds(ask.world.now))),
        message: Some(cut(&message)),
        snapshot: proof.as_ref().map(|p| p.snapshot.clone()),
        bytes: proof.as_ref().and_then(|p| i64::try_from(p.bytes).ok()),
        rows: proof.as_ref().and_then(|p| i64::try_from(p.rows).ok()),
    })
}

/// A request that runs as a Job: done once its result is in the ledger.
fn ran(ask: Ask<'_>, operation: &SaasOperation) -> (Option<bool>, String) {
    let Some(job) = ask.operation_job(operation) else { return (None, "starting".into()) };
    let taken = ask.world.vault.as_ref().is_ok_and(|vault| vault.ledger.taken.contains(&job));
    match ask.job_outcome(&job) {
        Some(Ok(())) if taken => (Some(true), format!("Job {job} succeeded and was read back")),
        Some(Err(failure)) => (Some(false), failure.to_string()),
        None if ask.world.children.find(Kind::Job, &job).is_none() => unstarted(ask, operation),
        _ => (None, format!("runs as Job {job}")),
    }
}

/// A request whose Job is not there: it is about to be made, or there is a reason.
fn unstarted(ask: Ask<'_>, operation: &SaasOperation) -> (Option<bool>, String) {
    match ask.operation_container(operation) {
        Some(Err(hold)) => ((hold.until == Until::Person).then_some(false), hold.message),
        _ => (None, "starting".into()),
    }
}

/// A rotation is done once every named value is younger than the request.
fn rotated(ask: Ask<'_>, operation: &SaasOperation) -> (Option<bool>, String) {
    let asked = counts_from(operation);
    if let Some(env) = operation.spec.rotate.as_ref().and_then(|rotate| ask.strange_env(rotate)) {
        let which = "`secrets.generate` and the webhooks' `secretEnv` name those that can be replaced";
        return (Some(false), format!("`{env}` is no value of golive's making: {which}"));
    }
    let names = operation.spec.rotate.iter().flat_map(|rotate| &rotate.env);
    let made = |env: &String| {
        let ledger = &ask.world.vault.as_ref().ok()?.ledger;
        // A value may have been generated before it became a webhook's.
        match ask.generates(env) {
            true => ledger.generated.get(env).copied(),
            false => ledger.webhooks.get(env)?.current.as_ref().map(|issued| issued.at),
        }
    };
    let open: Vec<&String> = names.filter(|env| made(env) < asked).collect();
    match open.is_empty() {
        true => (Some(true), "every named value is new".into()),
        false => (None, format!("waits for {}", open.into_iter().cloned().collect::<Vec<_>>().join(", "))),
    }
}

#[cfg(test)]
mod tests;
