//! The loop: watches wake passes, a pass is observe, plan, apply, report.

mod absence;
mod farewell;

use std::future::pending;
use std::sync::Arc;
use std::time::Instant;

use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};
use tracing::{Instrument, info, info_span, warn};

use crate::api::{SaasDeployment, SaasDeploymentStatus, SaasOperation};
use crate::apply::Done;
use crate::cluster::{self, MANAGER, within};
use crate::fault::{Fault, Seen};
use crate::ground::{Ground, Plot, Site};
use crate::kinds::Kind;
use crate::metrics::Metrics;
use crate::objects::{Cache, FINALIZER, MANAGED_BY, Presence};
use crate::observe::Observer;
use crate::pace::Pace;
use crate::patience::Patience;
use crate::plan::{Ask, Plan, plan};
use crate::report::{Report, Said, report};
use crate::world::World;

/// How many objects a list brings at once. Each may weigh more than a megabyte, and a page is held as text and as objects
/// together: of fifty that is 120 MiB at worst.
const PAGE: u32 = 50;

/// How often in one pass what was noted lets more follow: a generated value, then an intent that rests on it.
const MOST_NOTES: usize = 3;

/// Everything a pass needs.
pub struct Context {
    /// What passes see and write with.
    pub observer: Observer,
    /// Where events go.
    pub recorder: Recorder,
    /// Counters.
    pub metrics: Metrics,
    /// What is not told yet.
    pub patience: Patience,
    /// How often each is looked at.
    pub pace: Pace,
}

/// The SaasDeployments that were seen to go.
pub type Gone = UnboundedReceiver<SaasDeployment>;

/// A controller of all SaasDeployments. What managers own of them is not kept: it takes more room than all else.
pub fn of(api: Api<SaasDeployment>) -> (Controller<SaasDeployment>, Gone) {
    let (store, writer) = reflector::store();
    let (tell, gone) = unbounded();
    let events = watcher(api, paged()).modify(|saas| saas.managed_fields_mut().clear());
    let events = events.inspect_ok(move |event| {
        if let watcher::Event::Delete(saas) = event {
            drop(tell.unbounded_send(saas.clone()));
        }
    });
    (Controller::for_stream(events.reflect(writer).applied_objects(), store), gone)
}

fn paged() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

/// Kinds of which a store can be kept.
pub trait Followable:
    Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + Sync + 'static
{
}

impl<K> Followable for K where
    K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + Sync + 'static
{
}

/// Keeps a store of all objects of a kind, for as long as the stream of what changed is polled; it never ends.
pub fn follow<K: Followable>(api: Api<K>) -> (Store<K>, impl stream::Stream<Item = K> + Send) {
    let (store, writer) = reflector::store();
    let events = watcher(api, paged()).modify(|object| object.managed_fields_mut().clear());
    let changed = events.reflect(writer).default_backoff().touched_objects();
    let told = |result: watcher::Result<K>| result.inspect_err(|e| warn!("watch of {}: {e}", K::kind(&()))).ok();
    (store, changed.filter_map(move |result| std::future::ready(told(result))))
}

/// Follows one kind of children and yields whom each event concerns.
pub fn children(
    client: Client,
    cache: Arc<Cache>,
    kind: Kind,
) -> impl stream::Stream<Item = ObjectRef<SaasDeployment>> + Send {
    let (resource, config) = (kind.resource(), paged().labels(&format!("{MANAGED_BY}=golive")));
    let definition = kind.is_optional().then(|| absence::definition(&resource));
    let followed = Followed { api: Api::all_with(client, &resource), config, definition };
    let owners = followed.rounds().map(move |event| match event {
        Some(event) => cache.take(kind, event),
        None => {
            if cache.presence(kind) != Presence::Absent {
                info!("this cluster does not serve {}: waiting for its definition", kind.name());
            }
            cache.absent(kind)
        }
    });
    owners.flat_map(stream::iter).map(|owner| ObjectRef::new(&owner.name).within(&owner.namespace))
}

/// Follows one object of the platform team's, and yields when something changed that routes rest on.
pub fn ground(client: Client, ground: Arc<Ground>, plot: Plot) -> impl stream::Stream<Item = ()> + Send {
    let Site { resource, namespace, name } = plot.site();
    let api = match namespace {
        Some(namespace) => Api::namespaced_with(client, &namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let followed = Followed { api, config, definition: Some(absence::definition(&resource)) };
    let changed = followed.rounds().map(move |event| ground.take(&plot, event));
    changed.filter_map(|changed| std::future::ready(changed.then_some(())))
}

/// Objects that are followed.
#[derive(Clone)]
struct Followed {
    api: Api<DynamicObject>,
    config: watcher::Config,
    /// What brings the kind, where the cluster may lack it.
    definition: Option<String>,
}

impl Followed {
    /// Their events, for ever; `None` each time the cluster turns out not to serve the kind.
    fn rounds(self) -> impl stream::Stream<Item = Option<watcher::Event<DynamicObject>>> + Send {
        stream::iter(0..).then(move |earlier| std::future::ready(self.clone().round(earlier))).flatten()
    }

    /// One watch, until the kind turns out to be absent; then a pause until it may be there.
    fn round(self, earlier: u32) -> stream::BoxStream<'static, Option<watcher::Event<DynamicObject>>> {
        let (kind, optional) = (self.api.resource_url().to_owned(), self.definition.is_some());
        let absence = absence::end(self.api.clone().into_client(), self.definition.unwrap_or_default(), earlier);
        let seen = move |event: watcher::Result<watcher::Event<DynamicObject>>| match event {
            Err(e) if optional && absence::is_absent(&e) => None,
            Err(e) => {
                warn!("watch of {kind}: {e}");
                Some(None)
            }
            Ok(event) => Some(Some(event)),
        };
        let events = watcher(self.api, self.config).default_backoff().map(seen);
        let events = events.take_while(|seen| std::future::ready(seen.is_some()));
        let events = events.filter_map(|seen| std::future::ready(seen.flatten())).map(Some);
        let pause = stream::once(absence).filter_map(|()| std::future::ready(None));
        events.chain(stream::once(std::future::ready(None))).chain(pause).boxed()
    }
}

/// Runs passes until `stop` resolves, and follows those that go.
pub async fn run(
    (controller, gone): (Controller<SaasDeployment>, Gone),
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let passes = controller.graceful_shutdown_on(stop).run(pass, on_error, context.clone());
    let passes = passes.for_each(|result| async {
        if let Err(e) = result {
            tracing::debug!("controller: {e}");
        }
    });
    let followed = gone.for_each_concurrent(None, |saas| farewell::after(saas, &context));
    tokio::select! {
        biased;
        () = passes => {}
        () = followed.then(|()| pending()) => {}
    }
}

fn on_error(_: Arc<SaasDeployment>, fault: &Fault, _: Arc<Context>) -> Action {
    Action::requeue(fault.again())
}

/// One pass over one object.
async fn pass(saas: Arc<SaasDeployment>, context: Arc<Context>) -> Result<Action, Fault> {
    if let Some(wait) = context.pace.turn(&saas.uid().unwrap_or_default()) {
        return Ok(Action::requeue(wait));
    }
    let span = info_span!("pass", namespace = saas.namespace(), name = saas.name_any());
    let started = Instant::now();
    let result = step(context.observer.latest.of(saas), &context).instrument(span.clone()).await;
    context.metrics.passed(started.elapsed(), result.is_ok());
    if let Err(fault) = &result {
        span.in_scope(|| warn!("{fault}"));
    }
    result
}

async fn step(saas: Arc<SaasDeployment>, context: &Context) -> Result<Action, Fault> {
    if saas.metadata.deletion_timestamp.is_some() {
        return farewell::pass(&saas, context).await;
    }
    let held = saas.finalizers().iter().any(|f| f == FINALIZER);
    let saas = if held { saas } else { hold(context, &saas).await? };
    let mut world = context.observer.observe(&saas).await;
    let (plan, done) = carry_out(&saas, &mut world, context).await;
    let ask = Ask { saas: &saas, world: &world };
    tell(context, ask, report(ask, &plan, &done)).await
}

/// Plans and applies. What was noted is a fact at once, so that what waited only for a note follows in the same pass.
async fn carry_out(saas: &SaasDeployment, world: &mut World, context: &Context) -> (Plan, Done) {
    let mut before = Vec::new();
    loop {
        let plan = planned(saas, world, context).await;
        let ask = Ask { saas, world };
        let mut done = if plan.parts.is_empty() { Done::default() } else { context.observer.apply(ask, &plan).await };
        log(&done);
        if before.len() >= MOST_NOTES || !plan.only_notes() || !done.wrote() || done.failed() {
            before.into_iter().for_each(|earlier| done.follows(earlier));
            return (plan, done);
        }
        before.push(done);
        context.observer.refresh(saas, world).await;
    }
}

/// Plans; what would claim names at a vendor is planned on a fresh look at them.
async fn planned(saas: &SaasDeployment, world: &mut World, context: &Context) -> Plan {
    if saas.spec.suspend.unwrap_or(false) {
        return Plan::default();
    }
    let first = plan(saas, world);
    if !first.claims_names() {
        return first;
    }
    context.observer.look_at_names(world).await;
    plan(saas, world)
}

fn log(done: &Done) {
    for (part, written) in done.parts.iter().filter(|(_, written)| !written.wrote.is_empty()) {
        info!(part = part.word(), "{}", written.words());
    }
}

fn api_of(observer: &Observer, saas: &SaasDeployment) -> Api<SaasDeployment> {
    Api::namespaced(observer.client.clone(), &saas.namespace().unwrap_or_default())
}

async fn hold(context: &Context, saas: &SaasDeployment) -> Seen<Arc<SaasDeployment>> {
    let mut finalizers = saas.finalizers().to_vec();
    finalizers.push(FINALIZER.to_owned());
    let held = set_finalizers(&context.observer, saas, finalizers).await?;
    // One that was looked at before may have lost its finalizer to somebody.
    if saas.status.as_ref().is_none_or(|status| status.observed_generation < 1) {
        context.observer.vaults.begin(&held, context.observer.outside.now());
    }
    Ok(context.observer.latest.wrote(held))
}

async fn set_finalizers(observer: &Observer, saas: &SaasDeployment, finalizers: Vec<String>) -> Seen<SaasDeployment> {
    let patch = json!({"metadata": {"finalizers": finalizers, "resourceVersion": saas.resource_version()}});
    let api = api_of(observer, saas);
    within("set finalizers", api.patch(&saas.name_any(), &cluster::as_manager(), &Patch::Merge(patch))).await
}

/// Writes the status where it changed, and tells what happened; gives when to look again.
async fn tell(context: &Context, ask: Ask<'_>, report: Report) -> Result<Action, Fault> {
    let (saas, uid) = (ask.saas, ask.saas.uid().unwrap_or_default());
    context.metrics.ready(saas, &report.status);
    say_all(context, saas, &report.repairs).await;
    tell_operations(context, saas, &report).await?;
    let news = differs(saas.status.as_ref(), &report.status);
    let wait = if news && report.is_progress() { context.patience.left(&uid, ask.world.now) } else { None };
    if let Some(wait) = wait {
        return Ok(Action::requeue(report.again.min(wait)));
    }
    context.patience.told(&uid);
    if news {
        let object = status_object(saas, "SaasDeployment", json!(report.status));
        let written = write_status(&api_of(&context.observer, saas), &saas.name_any(), object).await?;
        written.map(|written| context.observer.latest.wrote(written));
    }
    say_all(context, saas, &report.events).await;
    Ok(Action::requeue(report.again))
}

/// Writes the statuses of requests where they changed.
async fn tell_operations(context: &Context, saas: &SaasDeployment, report: &Report) -> Seen<()> {
    if report.operations.is_empty() {
        return Ok(());
    }
    let operations: Api<SaasOperation> =
        Api::namespaced(context.observer.client.clone(), &saas.namespace().unwrap_or_default());
    for operation in &context.observer.operations.state() {
        let Some(status) =
            report.operations.get(&operation.name_any()).filter(|_| operation.namespace() == saas.namespace())
        else {
            continue;
        };
        let old = operation.status.as_ref().map(|s| (&s.message, &s.completion_time));
        if old != Some((&status.message, &status.completion_time)) {
            let object = status_object(&**operation, "SaasOperation", json!(status));
            write_status(&operations, &operation.name_any(), object).await?;
        }
    }
    Ok(())
}

/// Whether a status says something else: as it is sent, for what is empty is not.
fn differs(old: Option<&SaasDeploymentStatus>, new: &SaasDeploymentStatus) -> bool {
    old != Some(new) && old.map(|old| json!(old)) != Some(json!(new))
}

fn status_object(object: &impl ResourceExt, kind: &str, status: Value) -> Value {
    json!({"apiVersion": "golive.dev/v1alpha1", "kind": kind, "metadata": {"name": object.name_any()}, "status": status})
}

async fn write_status<K>(api: &Api<K>, name: &str, object: Value) -> Seen<Option<K>>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let params = PatchParams::apply(MANAGER).force();
    match within("write status", api.patch_status(name, &params, &Patch::Apply(object))).await {
        Err(Fault::Rejected(text)) if text.contains("not found") => Ok(None),
        result => result.map(Some),
    }
}

async fn say_all(context: &Context, saas: &SaasDeployment, all: &[Said]) {
    for said in all {
        say(context, saas, said).await;
    }
}

/// Publishes an event; one that cannot be published is logged and no reason to fail.
async fn say(context: &Context, saas: &SaasDeployment, said: &Said) {
    let event = Event {
        type_: if said.warning { EventType::Warning } else { EventType::Normal },
        reason: said.reason.clone(),
        note: Some(said.note.clone()),
        action: said.action.clone(),
        secondary: None,
    };
    let reference = saas.object_ref(&());
    if let Err(fault) = cluster::within("publish an event", context.recorder.publish(&event, &reference)).await {
        warn!("event {}: {fault}", said.reason);
    }
}

#[cfg(test)]
mod tests;
