//! The end of a SaasDeployment: our rows are taken back everywhere, then it is let go.

use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use tracing::warn;

use super::{Context, say, set_finalizers, tell};
use crate::api::SaasDeployment;
use crate::apply::{Done, PartDone};
use crate::fault::{BY_ITSELF, Fault, Seen};
use crate::objects::FINALIZER;
use crate::plan::left::with_rows;
use crate::plan::{Action as Change, Ask, Part, Plan, Steps, Verdict, plan};
use crate::report::{Said, cut, report};

/// An object that is still there after this time was not let go: the API server did not take it.
const LET_GO: Duration = Duration::from_secs(15);
/// How often an end is looked at that something holds up.
const LOOK: Duration = Duration::from_secs(2);
/// How often a vault is looked for whose SaasDeployment is gone.
const LOOKS: usize = 8;

/// Takes our rows back everywhere, then lets the object go; a vendor that is gone for good does not hold it for ever.
pub async fn pass(saas: &SaasDeployment, context: &Context) -> Result<Action, Fault> {
    let observer = &context.observer;
    if !saas.finalizers().iter().any(|f| f == FINALIZER) {
        return Ok(Action::await_change());
    }
    let world = observer.observe(saas).await;
    let ask = Ask { saas, world: &world };
    let plan = plan(saas, &world);
    let done = observer.apply(ask, &plan).await;
    let left = left_behind(&plan, &done);
    // What is to stay would go with the object: that is waited for however long it takes.
    if !left.is_empty() && (is_within_time(ask) || plan.retains()) {
        tell(context, ask, report(ask, &plan, &done)).await?;
        return Ok(Action::requeue(LOOK));
    }
    // First of all: nobody would know of the vault once its SaasDeployment is gone.
    if observer.let_vault_go(saas).await? {
        observer.vaults.forget(saas);
    }
    for (part, why) in left {
        say_left(context, ask, part, &why).await;
    }
    release(context, saas).await?;
    Ok(Action::requeue(LET_GO))
}

/// Whether the object has not been going for too long.
fn is_within_time(ask: Ask<'_>) -> bool {
    let since = ask.saas.metadata.deletion_timestamp.as_ref().map(|t| ask.world.now.duration_since(t.0).as_secs());
    u64::try_from(since.unwrap_or(0)).unwrap_or(0) < ask.world.config.abandon_after_seconds
}

/// Says what of a part is left behind: in an event, which may be cut, and in the log.
async fn say_left(context: &Context, ask: Ask<'_>, part: Part, why: &str) {
    let limit = ask.world.config.abandon_after_seconds;
    let note = format!("after {limit} s of deleting, golive lets go and leaves behind: {}: {why}", part.word());
    warn!("{note}");
    let (reason, action) = ("LeftBehind".into(), format!("Delete{}", part.condition()));
    say(context, ask.saas, &Said { warning: true, reason, note: cut(&note), action }).await;
}

/// What is not yet known to be gone, by part: in words.
fn left_behind(plan: &Plan, done: &Done) -> Vec<(Part, String)> {
    let open = |(part, verdict): (&Part, &Verdict)| match verdict {
        Err(hold) => Some((*part, hold.message.clone())),
        Ok(steps) => {
            let why = open_of(steps, done.parts.get(part));
            (!why.is_empty()).then(|| (*part, with_rows(&why.join("; "), &steps.left)))
        }
    };
    plan.parts.iter().filter_map(open).collect()
}

/// Why a part is not known to have nothing left.
fn open_of(steps: &Steps, done: Option<&PartDone>) -> Vec<String> {
    let waits = steps.waits.iter().map(|hold| hold.message.trim_end_matches(BY_ITSELF).to_owned());
    let fault = done.and_then(|done| done.fault.as_ref()).map(ToString::to_string);
    let open = steps.actions.iter().filter(|action| !matches!(action, Change::Note(_))).count();
    let unconfirmed = (open > 0).then(|| format!("{open} changes not confirmed yet"));
    waits.chain(fault).chain(unconfirmed).collect()
}

async fn release(context: &Context, saas: &SaasDeployment) -> Seen<()> {
    forget(context, saas).await;
    let others = saas.finalizers().iter().filter(|f| *f != FINALIZER).cloned().collect();
    match set_finalizers(&context.observer, saas, others).await {
        Err(Fault::Rejected(_)) => Ok(()),
        result => result.map(drop),
    }
}

async fn forget(context: &Context, saas: &SaasDeployment) {
    context.metrics.gone(saas);
    context.observer.latest.forget(saas);
    context.observer.placed.lock().await.remove(&saas.uid().unwrap_or_default());
}

/// Follows an object that is gone. Where a vault is known of it that nobody let go, somebody took the finalizer off: then
/// what stands at vendors stays, but the vault does not stand in the way of its namespace.
pub async fn after(saas: SaasDeployment, context: &Context) {
    let observer = &context.observer;
    let is_held = observer.vaults.knows(&saas);
    observer.vaults.forget(&saas);
    if !is_held {
        return;
    }
    forget(context, &saas).await;
    for _ in 0..LOOKS {
        match observer.let_vault_go(&saas).await {
            Ok(true) => return warn!("{} went without a farewell: rows of its at vendors may stay", saas.name_any()),
            Ok(false) => {}
            Err(fault) => warn!("{fault}"),
        }
        tokio::time::sleep(LOOK).await;
    }
    warn!("{} went without a farewell: its vault may stay, held by the finalizer {FINALIZER}", saas.name_any());
}
