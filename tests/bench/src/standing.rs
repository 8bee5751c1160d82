//! What golive does with a fleet that stands: rest, follow a change, repair, start again, let go.

use std::time::{Duration, Instant};

use golive::api::SaasDeployment;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::figures::{Beside, Changes, Deleted, Handover, Idle, Restart, Standing};
use crate::fleet::{NAMESPACES, Size, application, namespace};
use crate::operator::Operator;
use crate::pods::Pods;
use crate::process::{cpu, peak, resident};
use crate::round::Watch;
use crate::stage::Stage;
use crate::{Result, deadline};

/// Changes of each kind that are made.
const CHANGES: usize = 100;
/// How long nothing happens.
const REST: Duration = Duration::from_secs(20);
/// Applications that are touched for a pass that finds nothing to do.
const TOUCHED: usize = 300;
/// The time between two changes of an application that is changed without pause.
const NOISE: Duration = Duration::from_millis(20);
/// The variable that is changed.
const NOISE_NAME: &str = "NOISE";
/// The pause between two changes, so that one does not wait for the other's last look.
const PAUSE: Duration = Duration::from_millis(150);

/// Measures all of it; the operator that is given ends, and so does the fleet.
pub async fn measure(stage: &Stage, operator: Operator, (size, base_mib): (Size, f64)) -> Result<Standing> {
    let mut pods = Pods::play(stage.client.clone());
    let idle = idle(stage, &operator).await?;
    let fleet_mib = resident(operator.program.pid)?;
    let noop = noop(stage, &operator, size).await?;
    let change = changes(stage, &mut pods, (size, 3)).await?;
    let drift = drifts(stage, &mut pods, size).await?;
    operator.program.stop().await?;
    let (operator, restart) = restart(stage, size).await?;
    let beside = beside(stage, &operator, (&mut pods, size)).await?;
    let (operator, handover) = handover(stage, operator).await?;
    let delete = delete(stage).await?;
    operator.program.stop().await?;
    Ok(Standing {
        n: size.n,
        k: size.k,
        base_mib,
        fleet_mib,
        idle,
        noop,
        change,
        drift,
        beside,
        restart,
        handover,
        delete,
    })
}

async fn idle(stage: &Stage, operator: &Operator) -> Result<Idle> {
    window(stage, operator, async {
        sleep(REST).await;
        Ok(())
    })
    .await
}

/// Touches one application after the other where golive does not look: each is a pass that finds nothing to do.
async fn noop(stage: &Stage, operator: &Operator, size: Size) -> Result<Idle> {
    let (touched, passes) = (size.n.min(TOUCHED), operator.passes().await?);
    let touch = async {
        for saas in (0..touched).map(|number| application(number, size.k)) {
            let api: Api<SaasDeployment> = Api::namespaced(stage.client.clone(), &saas.namespace().unwrap_or_default());
            merge(&api, &saas.name_any(), json!({"metadata": {"annotations": {"touched": "yes"}}})).await?;
        }
        operator.passed(passes + touched).await.map(drop)
    };
    window(stage, operator, touch).await
}

/// What golive asked for and took while something happened.
async fn window(stage: &Stage, operator: &Operator, happens: impl Future<Output = Result<()>>) -> Result<Idle> {
    let (watch, passes, before) = (Watch::begin(stage)?, operator.passes().await?, cpu(operator.program.pid)?);
    happens.await?;
    let requests = watch.requests("golive")?;
    Ok(Idle {
        seconds: watch.seconds(),
        passes: operator.passes().await? - passes,
        requests: requests.all(),
        with_lease: requests.by.iter().filter(|(key, _)| !key.starts_with("watch ")).map(|(_, count)| count).sum(),
        cpu_seconds: cpu(operator.program.pid)? - before,
    })
}

/// Changes `replicas` of one application after the other: one Deployment each.
async fn changes(stage: &Stage, pods: &mut Pods, (size, replicas): (Size, i32)) -> Result<Changes> {
    let watch = Watch::begin(stage)?;
    let mut millis = Vec::new();
    for saas in (0..size.n.min(CHANGES)).map(|number| application(number, size.k)) {
        let (name, space) = (saas.name_any(), saas.namespace().unwrap_or_default());
        let (key, begun) = (format!("{space}/{name}"), Instant::now());
        let api: Api<SaasDeployment> = Api::namespaced(stage.client.clone(), &space);
        merge(&api, &name, json!({"spec": {"replicas": replicas}})).await?;
        let seen = pods.until(&key, |seen| seen.replicas == replicas);
        let seen = deadline("a change is written", seen).await?.ok_or("the watch ended")?;
        millis.push((seen - begun).as_secs_f64() * 1e3);
        sleep(PAUSE).await;
    }
    counted(&watch, millis).await
}

/// Changes a Deployment of one application after the other behind golive's back.
async fn drifts(stage: &Stage, pods: &mut Pods, size: Size) -> Result<Changes> {
    let watch = Watch::begin(stage)?;
    let mut millis = Vec::new();
    for saas in (0..size.n.min(CHANGES)).map(|number| application(number, size.k)) {
        let (name, space) = (saas.name_any(), saas.namespace().unwrap_or_default());
        let key = format!("{space}/{name}");
        let generation = pods.seen(&key).ok_or("a Deployment is missing")?.generation;
        let begun = Instant::now();
        let api: Api<Deployment> = Api::namespaced(stage.client.clone(), &space);
        merge(&api, &name, json!({"spec": {"replicas": 7}})).await?;
        let seen = pods.until(&key, |seen| seen.replicas == 3 && seen.generation > generation);
        let seen = deadline("a drift is repaired", seen).await?.ok_or("the watch ended")?;
        millis.push((seen - begun).as_secs_f64() * 1e3);
        sleep(PAUSE).await;
    }
    counted(&watch, millis).await
}

/// The same changes again while the last application is changed without pause; and before, what that one alone takes.
async fn beside(stage: &Stage, operator: &Operator, (pods, size): (&mut Pods, Size)) -> Result<Beside> {
    let (loud, others) = (application(size.n - 1, size.k), Size { n: (size.n - 1).min(CHANGES), ..size });
    let api = Api::namespaced(stage.client.clone(), &loud.namespace().unwrap_or_default());
    let mut noise = Noise { api, name: loud.name_any(), made: 0 };
    // Passes may follow each other faster at first.
    noise.during(ok(sleep(REST / 2))).await?;
    let (begun, made, passes) = (Instant::now(), noise.made, operator.passes().await?);
    noise.during(ok(sleep(REST))).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let (made, passes) = ((noise.made - made) as f64 / seconds, (operator.passes().await? - passes) as f64 / seconds);
    let others = noise.during(changes(stage, pods, (others, 4))).await?;
    let settled = settled(stage, &loud, noise.made).await?;
    Ok(Beside { noise: made, passes, settled, others })
}

async fn ok(done: impl Future<Output = ()>) -> Result<()> {
    done.await;
    Ok(())
}

/// One application is changed without pause.
struct Noise {
    api: Api<SaasDeployment>,
    name: String,
    made: usize,
}

impl Noise {
    /// Goes on for as long as something else takes.
    async fn during<T>(&mut self, other: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            made = self.make() => Err(format!("the noise ended: {made:?}").into()),
            other = other => other,
        }
    }

    async fn make(&mut self) -> Result<()> {
        let mut beat = tokio::time::interval(NOISE);
        loop {
            beat.tick().await;
            self.made += 1;
            merge(&self.api, &self.name, json!({"spec": {"env": {NOISE_NAME: self.made.to_string()}}})).await?;
        }
    }
}

/// Milliseconds from now until the last change of an application stands in its Deployment; one that was given up half-way
/// may have been made or not.
async fn settled(stage: &Stage, saas: &SaasDeployment, last: usize) -> Result<f64> {
    let api: Api<Deployment> = Api::namespaced(stage.client.clone(), &saas.namespace().unwrap_or_default());
    let begun = Instant::now();
    let stands = async {
        loop {
            let found = api.get(&saas.name_any()).await.map(|deployment| json!(deployment).to_string());
            let is = |number: usize| json!({"name": NOISE_NAME, "value": number.to_string()}).to_string();
            if found.is_ok_and(|found| found.contains(&is(last)) || found.contains(&is(last - 1))) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    deadline("the last change stands", stands).await?;
    let millis = begun.elapsed().as_secs_f64() * 1e3;
    // The last look follows a second after the last write.
    sleep(Duration::from_millis(2500)).await;
    Ok(millis)
}

async fn merge<K>(api: &Api<K>, name: &str, patch: Value) -> Result<()>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

/// The last look follows a second after the last write.
async fn counted(watch: &Watch<'_>, mut millis: Vec<f64>) -> Result<Changes> {
    sleep(Duration::from_millis(2500)).await;
    let requests = watch.requests("golive")?;
    millis.sort_by(f64::total_cmp);
    let (writes, reads) = (requests.writes(), requests.reads());
    Ok(Changes { count: millis.len(), millis, writes, reads, by: requests.by })
}

/// A new process over the fleet, until it has looked at every application once.
async fn restart(stage: &Stage, size: Size) -> Result<(Operator, Restart)> {
    let watch = Watch::begin(stage)?;
    let operator = Operator::start(stage, "again")?;
    let seconds = (operator.passed(size.n).await? - operator.program.begun).as_secs_f64();
    sleep(Duration::from_secs(3)).await;
    let requests = watch.requests("golive")?;
    let lists = requests.by.iter().filter(|(key, _)| key.starts_with("list ")).map(|(_, count)| *count).max();
    let (pid, writes, reads) = (operator.program.pid, requests.writes(), requests.reads());
    let restart =
        Restart { seconds, writes, reads, lists: lists.unwrap_or(0), peak_mib: peak(pid)?, rss_mib: resident(pid)? };
    Ok((operator, restart))
}

/// The leader is asked to go, and the next is killed; each time another stands by.
async fn handover(stage: &Stage, first: Operator) -> Result<(Operator, Handover)> {
    let second = Operator::stand_by(stage, "second").await?;
    let begun = Instant::now();
    let (stopped, leads) = tokio::join!(first.program.stop(), second.leads(stage));
    stopped.and(leads)?;
    let asked = begun.elapsed().as_secs_f64();
    let third = Operator::stand_by(stage, "third").await?;
    let begun = Instant::now();
    second.program.kill().await?;
    third.leads(stage).await?;
    Ok((third, Handover { asked, killed: begun.elapsed().as_secs_f64() }))
}

/// Deletes every application and waits until golive has let go of the last.
async fn delete(stage: &Stage) -> Result<Deleted> {
    let watch = Watch::begin(stage)?;
    for space in (0..NAMESPACES).map(namespace) {
        let api: Api<SaasDeployment> = Api::namespaced(stage.client.clone(), &space);
        api.delete_collection(&Default::default(), &ListParams::default()).await?;
    }
    let all: Api<SaasDeployment> = Api::all(stage.client.clone());
    let gone = async {
        while all.list_metadata(&ListParams::default().limit(1)).await.is_ok_and(|list| !list.items.is_empty()) {
            sleep(Duration::from_millis(100)).await;
        }
    };
    deadline("golive lets go of the fleet", gone).await?;
    let (seconds, requests) = (watch.seconds(), watch.requests("golive")?);
    Ok(Deleted { seconds, writes: requests.writes(), reads: requests.reads() })
}
