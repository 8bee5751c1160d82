//! Brings one fleet up by one client, and measures it.

use std::time::{Duration, Instant};

use golive::api::SaasDeployment;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::sleep;

use crate::audit::{Audit, Requests};
use crate::figures::Round;
use crate::fleet::{Size, application, children, deployments};
use crate::operator::Operator;
use crate::pods::Pods;
use crate::process::{Program, cpu, peak, resident};
use crate::ready::{Ready, is_live};
use crate::stage::{Kept, Stage};
use crate::{Result, deadline};

/// Applications that are worked on at once: golive's default concurrency, and that of the floor.
pub const AT_ONCE: usize = 16;
/// A client that asks for nothing for so long has done its work.
const REST: Duration = Duration::from_millis(1500);
/// How often a program's memory is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// What is looked at while a client works: the audit log and the API server's CPU.
pub struct Watch<'a> {
    stage: &'a Stage,
    audit: Audit,
    server: f64,
    begun: Instant,
}

impl<'a> Watch<'a> {
    /// Begins now.
    pub fn begin(stage: &'a Stage) -> Result<Self> {
        let audit = Audit::begin(&stage.world.audit_log())?;
        Ok(Watch { stage, audit, server: server_cpu(stage)?, begun: Instant::now() })
    }

    /// What a user asked since.
    pub fn requests(&self, user: &str) -> Result<Requests> {
        self.audit.of(user)
    }

    /// The seconds since.
    pub fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Waits until a user asks for nothing more: golive looks at each application once more a second after its last write,
    /// and others sweep up and tell events when all is ready.
    async fn rest(&self, who: &str) -> Result<()> {
        let mut before = None;
        loop {
            let asked = Some(self.requests(who)?.all());
            if asked == before {
                return Ok(());
            }
            before = asked;
            sleep(REST).await;
        }
    }

    fn round(&self, who: &str, size: Size, seconds: f64) -> Result<Round> {
        let requests = self.requests(who)?;
        Ok(Round {
            who: who.into(),
            n: size.n,
            k: size.k,
            seconds,
            server_cpu_seconds: server_cpu(self.stage)? - self.server,
            writes: requests.writes(),
            reads: requests.reads(),
            refused: requests.refused,
            by: requests.by,
            ..Round::default()
        })
    }
}

fn server_cpu(stage: &Stage) -> Result<f64> {
    cpu(stage.world.process("kube-apiserver").ok_or("the API server does not run")?)
}

/// The applications as they are created.
fn applications(size: Size) -> Vec<SaasDeployment> {
    (0..size.n).map(|number| application(number, size.k)).collect()
}

/// The objects that a program brings up.
pub struct Fleet<K> {
    /// How many, of how many children.
    pub size: Size,
    /// As they are created.
    pub objects: Vec<K>,
    /// Whether one is up.
    pub is_ready: fn(&K) -> bool,
}

/// golive: from the first application created until the last is Ready.
pub async fn golive(stage: &Stage, operator: &Operator, size: Size) -> Result<Round> {
    let _pods = Pods::play(stage.client.clone());
    let fleet = Fleet { size, objects: applications(size), is_ready: is_live };
    brought_up(stage, ("golive", operator.program.pid), &fleet).await
}

/// A program that runs already: from the first object created until the last is ready.
pub async fn brought_up<K: Kept>(stage: &Stage, (who, pid): (&str, u32), fleet: &Fleet<K>) -> Result<Round> {
    let mut ready = Ready::watch(stage.client.clone(), fleet.is_ready);
    let (watch, before) = (Watch::begin(stage)?, cpu(pid)?);
    stage.create(&fleet.objects, AT_ONCE).await?;
    deadline("the fleet is ready", ready.count(fleet.size.n)).await?;
    let seconds = watch.seconds();
    deadline("nothing more is asked", watch.rest(who)).await??;
    let round = watch.round(who, fleet.size, seconds)?;
    Ok(Round { cpu_seconds: cpu(pid)? - before, rss_mib: resident(pid)?, peak_mib: peak(pid)?, ..round })
}

/// The floor: until its last write is answered and the last status of a Deployment is written.
pub async fn floor(stage: &Stage, size: Size) -> Result<Round> {
    let mut pods = Pods::play(stage.client.clone());
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("floor").arg("--kubeconfig").arg(stage.user("floor")?);
    command.args(["--applications", &size.n.to_string(), "--children", &size.k.to_string()]);
    let watch = Watch::begin(stage)?;
    let program = Program::start(&mut command, &stage.world.log("floor"))?;
    let used = finish(program).await?;
    deadline("the floor's pods run", pods.reached(size.n * deployments(size.k))).await?;
    let round = watch.round("floor", size, watch.seconds())?;
    Ok(Round { cpu_seconds: used.cpu, rss_mib: used.rss, peak_mib: used.peak, ..round })
}

/// A peer: `kubectl apply --server-side` of the same applications and children, from a file.
pub async fn kubectl(stage: &Stage, size: Size) -> Result<Round> {
    let mut pods = Pods::play(stage.client.clone());
    let file = stage.world.dir.join("fleet.json");
    std::fs::write(&file, everything(size).to_string())?;
    let mut command = Command::new(stage.world.program("kubectl")?);
    command.arg("--kubeconfig").arg(stage.user("kubectl")?);
    command.args(["apply", "--server-side", "--validate=ignore", "-f"]).arg(file);
    let watch = Watch::begin(stage)?;
    let used = finish(Program::start(&mut command, &stage.world.log("kubectl"))?).await?;
    deadline("kubectl's pods run", pods.reached(size.n * deployments(size.k))).await?;
    let round = watch.round("kubectl", size, watch.seconds())?;
    Ok(Round { cpu_seconds: used.cpu, rss_mib: used.rss, peak_mib: used.peak, ..round })
}

/// The fleet and its children in one list.
fn everything(size: Size) -> Value {
    let whole = |saas: SaasDeployment| {
        let space = saas.namespace().unwrap_or_default();
        // An owner has a uid, which an application has that exists.
        let within = move |mut object: Value| {
            object["metadata"]["namespace"] = json!(space);
            object["metadata"].as_object_mut().map(|metadata| metadata.remove("ownerReferences"));
            object
        };
        let own = children(&saas).into_iter().map(|child| child.object);
        std::iter::once(json!(saas)).chain(own.collect::<Vec<_>>()).map(within)
    };
    let items: Vec<Value> = applications(size).into_iter().flat_map(whole).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// What a program took that has ended.
#[derive(Default)]
pub struct Used {
    /// Seconds of CPU.
    pub cpu: f64,
    /// MiB at last.
    pub rss: f64,
    /// MiB at most.
    pub peak: f64,
}

/// Looks at a program until it ends.
pub async fn finish(program: Program) -> Result<Used> {
    let pid = program.pid;
    let ended = program.finish();
    tokio::pin!(ended);
    let mut used = Used::default();
    loop {
        tokio::select! {
            result = &mut ended => return result.map(|_| used),
            () = sleep(GLANCE) => glance(&mut used, pid),
        }
    }
}

/// A program that has just ended shows nothing more.
fn glance(used: &mut Used, pid: u32) {
    if let (Ok(cpu), Ok(rss), Ok(peak)) = (cpu(pid), resident(pid), peak(pid)) {
        *used = Used { cpu, rss, peak };
    }
}
