//! The application's pods: web process, other processes, cron, and what stands around them.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::names::joined;
use super::pod::{Container, Runs, fields, merge};
use super::release::REVISION;
use super::{Ask, Manifest, Part, Steps, Verdict};
use crate::api::{Autoscale, Process};
use crate::child::ENVIRONMENT;
use crate::fault::Hold;
use crate::kinds::Kind;
use crate::objects::OWNER;

/// Seconds that a pod gets to finish requests after it was told to stop.
const GRACE_SECONDS: i64 = 30;
/// Seconds between the stop signal's announcement and the signal: routers need them to take the pod out.
const DRAIN_SECONDS: i64 = 5;
/// All addresses, and among them the one at which clouds hand out the node's identity:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>.
const IPV4: &str = "0.0.0.0/0";
const IPV6: &str = "::/0";
/// How long pods may take until a roll-out counts as stuck.
pub const PROGRESS: SignedDuration = SignedDuration::from_secs(300);
/// How soon pods that are still missing are looked at again: no watch tells why one does not start.
const LOOK: Duration = Duration::from_secs(10);

/// One long-running workload: the web process or one of `processes`.
pub struct Workload<'a> {
    /// The Deployment's name.
    pub name: String,
    /// The word in the pods' labels.
    pub component: String,
    process: Option<&'a Process>,
}

/// Plans the pods and what stands around them, once the stages before the roll-out are done. Until then all stays that runs.
pub fn plan(ask: Ask<'_>, stages: Result<(), Hold>) -> Verdict {
    let mut steps = Steps::default();
    if !ask.saas.spec.patches.is_empty() {
        steps.wait(super::unsupported::hold("patches"));
    }
    ask.surroundings(&mut steps);
    match steps.or_wait(ask.is_complete().and(stages).and_then(|()| ask.volume_stays())) {
        Some(()) => ask.roll_out(&mut steps),
        None => ask.keep_all(Part::App, &mut steps),
    }
    steps.evidence = ask.running();
    Ok(steps)
}

impl Ask<'_> {
    /// All long-running workloads; the web process is first.
    pub fn workloads(&self) -> Vec<Workload<'_>> {
        let web = Workload { name: self.name(), component: "app".into(), process: None };
        let others = self.saas.spec.processes.iter().map(|process| Workload {
            name: self.named(&process.name),
            component: joined("process", &process.name),
            process: Some(process),
        });
        std::iter::once(web).chain(others).collect()
    }

    fn roll_out(self, steps: &mut Steps) {
        let mut runs = true;
        for workload in self.workloads() {
            steps.manifests.extend(self.workload_objects(&workload));
            runs &= steps.or_wait(self.runs(&workload)).is_some();
        }
        self.cron_jobs(steps);
        // What the spec has dropped serves until its successors do, and routes lead to them.
        let dropped = self.predecessors();
        let relieved = dropped.is_empty() || (runs && self.may_turn());
        if !relieved {
            dropped.iter().for_each(|name| steps.keep(Kind::Service, name));
            dropped.into_iter().for_each(|name| steps.keep(Kind::Deployment, name));
        }
    }

    /// What has a Service that the spec does not call for any more.
    pub fn predecessors(self) -> Vec<String> {
        let wanted: Vec<_> = self.workloads().into_iter().filter(|w| w.port(&self).is_some()).map(|w| w.name).collect();
        let services = self.world.children.of_kind(Kind::Service).filter(|child| child.part == Some(Part::App));
        services.map(|child| child.name.to_string()).filter(|name| !wanted.contains(name)).collect()
    }

    /// What exists before any pod does.
    fn surroundings(self, steps: &mut Steps) {
        let account = json!({"automountServiceAccountToken": false});
        steps.declare(Manifest::new(Kind::ServiceAccount, self.name(), account));
        steps.declare(Manifest::new(Kind::NetworkPolicy, self.name(), self.network_policy()));
        for workload in self.workloads().iter().filter(|w| w.port(&self).is_some()) {
            steps.declare(Manifest::new(Kind::Service, workload.name.clone(), self.service(workload)));
        }
    }

    fn service(self, workload: &Workload<'_>) -> Value {
        let ports = json!([{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]);
        json!({"spec": {"type": "ClusterIP", "selector": self.selector(&workload.component), "ports": ports}})
    }

    /// Nothing may reach the pods but the gateway and each other; they may reach anything but the cloud's metadata
    /// service, which hands out the node's identity.
    fn network_policy(self) -> Value {
        let own = json!({"podSelector": {"matchLabels": {OWNER: self.name()}}});
        // By its name: while a revision with another number rolls out, pods of both are reached.
        let port = json!({"port": "http", "protocol": "TCP"});
        let metadata = |cidr: &str, service: &str| json!({"ipBlock": {"cidr": cidr, "except": [service]}});
        json!({"spec": {
            "podSelector": {"matchLabels": {OWNER: self.name()}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [own]}, {"from": self.gateway_peers(), "ports": [port]}],
            "egress": [{"to": [metadata(IPV4, "169.254.169.254/32"), metadata(IPV6, "fd00:ec2::254/128")]}],
        }})
    }

    /// Who may reach pods from outside.
    pub fn gateway_peers(self) -> Value {
        match self.world.config.gateway.as_ref().and_then(|gateway| gateway.namespace.as_ref()) {
            Some(name) => json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}]),
            None => json!([{"ipBlock": {"cidr": IPV4}}, {"ipBlock": {"cidr": IPV6}}]),
        }
    }

    /// The Deployment of a workload, its autoscaler and its disruption budget.
    fn workload_objects(self, workload: &Workload<'_>) -> Vec<Manifest> {
        let mut deployment = Manifest::new(Kind::Deployment, workload.name.clone(), self.deployment(workload));
        deployment.annotations.insert(REVISION.to_owned(), self.revision());
        let mut objects = vec![deployment];
        if let Some(autoscale) = workload.autoscale(&self) {
            objects.push(Manifest::new(
                Kind::HorizontalPodAutoscaler,
                workload.name.clone(),
                autoscaler(workload, autoscale),
            ));
        }
        if workload.least_replicas(&self) > 1 {
            let budget = json!({"spec": {
                "maxUnavailable": 1,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": self.selector(&workload.component)},
            }});
            objects.push(Manifest::new(Kind::PodDisruptionBudget, workload.name.clone(), budget));
        }
        objects
    }

    fn deployment(self, workload: &Workload<'_>) -> Value {
        let mut template = self.pod(self.container(workload), Runs::Always);
        template["metadata"]["annotations"] = json!({"golive.dev/environment": self.environment_hash()});
        let more = json!({
            "terminationGracePeriodSeconds": GRACE_SECONDS + DRAIN_SECONDS,
            "topologySpreadConstraints": [{
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": self.selector(&workload.component)},
            }],
        });
        merge(&mut template["spec"], more);
        let mut spec = json!({
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": PROGRESS.as_secs(),
            "selector": {"matchLabels": self.selector(&workload.component)},
            "strategy": self.strategy(workload),
        });
        spec["template"] = template;
        if let Some(replicas) = workload.replicas(&self) {
            spec["replicas"] = json!(replicas);
        }
        fields([("spec", spec)])
    }

    /// One writer at a time where there must be only one; else no pod goes before its successor is there.
    fn strategy(self, workload: &Workload<'_>) -> Value {
        match self.has_volume() || workload.is_single() {
            true => json!({"type": "Recreate"}),
            false => json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
        }
    }

    fn container(self, workload: &Workload<'_>) -> Container {
        let spec = &self.saas.spec;
        let mut container = self.listening(&workload.component, workload.port(&self));
        let (image, command) = match workload.process {
            Some(process) => (process.image.clone(), process.command.clone()),
            None => (None, spec.command.clone()),
        };
        container.image = image.unwrap_or(container.image);
        container.command = command;
        container.args = if workload.process.is_none() { spec.args.clone() } else { Vec::new() };
        container.extra = json!({"lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}}});
        if let Some(port) = workload.port(&self) {
            let ports = json!([{"name": "http", "containerPort": port, "protocol": "TCP"}]);
            container.extra["ports"] = ports;
            merge(&mut container.extra, self.probes(workload));
        }
        container
    }

    /// A container with the application's image, environment and volume.
    pub fn application(self, component: &str) -> Container {
        self.listening(component, Some(self.saas.spec.port))
    }

    /// The same, with a port of its own or none.
    fn listening(self, component: &str, port: Option<i32>) -> Container {
        let spec = &self.saas.spec;
        let mut container = Container {
            name: component.to_owned(),
            image: spec.image.clone(),
            resources: self.resources(),
            extra: json!({}),
            ..Container::default()
        };
        self.environment(&mut container, port);
        self.mount_database(container)
    }

    /// Readiness and startup ask the health path; liveness only asks for a connection, so that a slow database does
    /// not restart the pods that wait for it.
    fn probes(self, workload: &Workload<'_>) -> Value {
        let health = self.saas.spec.health.as_ref().filter(|_| workload.process.is_none());
        let ask = match health {
            Some(health) => json!({"httpGet": {"path": health.path, "port": "http"}}),
            None => json!({"tcpSocket": {"port": "http"}}),
        };
        let with = |mut probe: Value, more: Value| {
            merge(&mut probe, more);
            probe
        };
        let startup = with(ask.clone(), json!({"periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 60}));
        let readiness = with(ask, json!({"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3}));
        let liveness =
            json!({"tcpSocket": {"port": "http"}, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6});
        fields([("startupProbe", startup), ("readinessProbe", readiness), ("livenessProbe", liveness)])
    }

    /// The CronJobs of `spec.cron`.
    fn cron_jobs(self, steps: &mut Steps) {
        for cron in &self.saas.spec.cron {
            let name = self.named(&cron.name);
            let mut container = self.application(&joined("cron", &cron.name));
            container.command = cron.command.clone();
            let pod = self.pod(container, Runs::Once);
            steps.declare(Manifest::new(Kind::CronJob, name, self.cron_job(&cron.schedule, pod, Part::App)));
        }
    }

    /// A CronJob that never runs twice at once and keeps a short history.
    pub fn cron_job(self, schedule: &str, pod: Value, part: Part) -> Value {
        let mut spec = json!({
            "schedule": schedule,
            "timeZone": "Etc/UTC",
            "suspend": false,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
        });
        let metadata = json!({"labels": self.labels(part)});
        spec["jobTemplate"] = fields([("metadata", metadata), ("spec", self.job(pod))]);
        fields([("spec", spec)])
    }

    /// The spec of a Job that is tried once more after a failure.
    pub fn job(self, pod: Value) -> Value {
        fields([("backoffLimit", json!(1)), ("activeDeadlineSeconds", json!(3600)), ("template", pod)])
    }

    /// Whether a workload runs what was declared.
    pub fn is_rolled_out(self, workload: &Workload<'_>) -> Result<(), Hold> {
        let name = &workload.name;
        if let Some(trouble) = self.world.troubles.get(&workload.component) {
            return Err(Hold::event("PodsFailing", format!("pods of {name} do not start: {trouble}")));
        }
        let status =
            |field| self.world.field(Kind::Deployment, name, &format!("/status/{field}")).and_then(Value::as_i64);
        let wanted = self.world.field(Kind::Deployment, name, "/spec/replicas").and_then(Value::as_i64);
        let generation = self.world.children.find(Kind::Deployment, name).and_then(|d| d.generation);
        let (updated, available) = (status("updatedReplicas").unwrap_or(0), status("availableReplicas").unwrap_or(0));
        let all = status("replicas").unwrap_or(0);
        let current = generation.is_some() && status("observedGeneration") >= generation;
        match wanted {
            Some(wanted) if current && updated >= wanted && available >= wanted && all <= updated => Ok(()),
            Some(wanted) => {
                let message = format!("{available} of {wanted} pods of {name} are available");
                Err(Hold::after("RollingOut", LOOK, message))
            }
            None => Err(Hold::event("RollingOut", format!("{name} is being created"))),
        }
    }

    /// Whether a workload has pods that answer, is to have none, or has had its time to get some.
    pub fn has_pods(self, name: &str) -> bool {
        let Some(deployment) = self.world.children.find(Kind::Deployment, name) else { return false };
        let number = |pointer| deployment.field(pointer).and_then(Value::as_i64);
        let young = deployment.made.is_some_and(|made| self.world.now.duration_since(made) < PROGRESS);
        !young || number("/spec/replicas") == Some(0) || number("/status/availableReplicas").unwrap_or(0) > 0
    }

    /// Whether every pod that runs has the environment of now.
    pub fn is_environment_rolled(self) -> bool {
        let wanted = self.environment_hash();
        self.workloads().iter().all(|workload| {
            let declared = self.world.field(Kind::Deployment, &workload.name, ENVIRONMENT).and_then(Value::as_str);
            declared == Some(&wanted) && self.is_rolled_out(workload).is_ok()
        })
    }

    /// What AppReady shows: which image runs, how often.
    fn running(self) -> String {
        let ready =
            self.world.field(Kind::Deployment, &self.name(), "/status/availableReplicas").and_then(Value::as_i64);
        format!("{} of {} available", ready.unwrap_or(0), self.saas.spec.image)
    }
}

impl Workload<'_> {
    /// The port that it listens on.
    pub fn port(&self, ask: &Ask<'_>) -> Option<i32> {
        match self.process {
            Some(process) => process.port,
            None => Some(ask.saas.spec.port),
        }
    }

    fn is_single(&self) -> bool {
        self.process.is_some_and(|process| process.singleton)
    }

    fn autoscale<'a>(&'a self, ask: &'a Ask<'_>) -> Option<&'a Autoscale> {
        match self.process {
            Some(process) => process.autoscale.as_ref(),
            None => ask.saas.spec.autoscale.as_ref(),
        }
    }

    /// The replicas to declare; `None` where an autoscaler decides.
    fn replicas(&self, ask: &Ask<'_>) -> Option<i32> {
        let asked = match self.process {
            Some(process) => process.replicas,
            None => ask.saas.spec.replicas,
        };
        match self.autoscale(ask) {
            Some(_) => None,
            None => Some(asked.unwrap_or(1)),
        }
    }

    fn least_replicas(&self, ask: &Ask<'_>) -> i32 {
        self.autoscale(ask).map(|a| a.min).or(self.replicas(ask)).unwrap_or(1)
    }
}

fn autoscaler(workload: &Workload<'_>, autoscale: &Autoscale) -> Value {
    json!({"spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload.name},
        "minReplicas": autoscale.min,
        "maxReplicas": autoscale.max,
        "metrics": [{
            "type": "Resource",
            "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": autoscale.cpu_percent}},
        }],
    }})
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::plan::tests::{saas, world};
    use crate::world::World;

    /// A world some seconds after the Deployment was made, with what is declared and what its status tells.
    fn deployed(seconds: i64, replicas: i64, status: &Value) -> World {
        let revision = Ask { saas: &saas(json!({})), world: &world(&[]) }.revision();
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": replicas},
            "metadata": {"name": "app", "generation": 2, "creationTimestamp": "1970-01-01T00:00:00Z",
                "annotations": {REVISION: revision}},
            "status": status});
        let mut world = world(&[]);
        world.now = Timestamp::from_second(seconds).unwrap();
        world.children = world.children.with(Kind::Deployment, serde_json::from_value(object).unwrap());
        world
    }

    #[test]
    fn a_workload_runs_once_every_pod_is_new_and_stands_and_no_old_one_is_left() {
        let saas = saas(json!({}));
        let told = |world: &World| {
            let ask = Ask { saas: &saas, world };
            ask.is_rolled_out(&ask.workloads()[0]).map_err(|hold| hold.message)
        };
        let status = |[seen, all, updated, available]: [i64; 4]| json!({"observedGeneration": seen, "replicas": all, "updatedReplicas": updated, "availableReplicas": available});
        let up = |counts| told(&deployed(0, 2, &status(counts)));
        assert_eq!(up([2, 2, 2, 2]), Ok(()));
        assert_eq!(up([3, 2, 2, 3]), Ok(()));
        for counts in [[1, 2, 2, 2], [2, 3, 2, 2], [2, 2, 1, 2], [2, 2, 2, 1]] {
            assert_eq!(up(counts), Err(format!("{} of 2 pods of app are available", counts[3])), "{counts:?}");
        }
        assert_eq!(told(&world(&[])), Err("app is being created".into()));
        let mut failing = deployed(0, 2, &status([2, 2, 2, 2]));
        failing.troubles = [("app".to_owned(), "ImagePullBackOff".to_owned())].into();
        assert_eq!(told(&failing), Err("pods of app do not start: ImagePullBackOff".into()));
    }

    #[test]
    fn a_young_workload_has_pods_once_one_answers_or_none_is_wanted() {
        let saas = saas(json!({}));
        let has = |world: &World| Ask { saas: &saas, world }.has_pods("app");
        let late = PROGRESS.as_secs();
        assert!(!has(&world(&[])));
        for seconds in [0, late - 1] {
            assert!(!has(&deployed(seconds, 2, &json!({}))) && has(&deployed(seconds, 0, &json!({}))));
            assert!(has(&deployed(seconds, 2, &json!({"availableReplicas": 1}))));
            assert!(!has(&deployed(seconds, 2, &json!({"availableReplicas": 0}))));
        }
        assert!(has(&deployed(late, 2, &json!({}))), "it has had its time");
    }

    /// An object of the application's.
    fn stands(world: World, kind: Kind, name: &str) -> World {
        let metadata = json!({"name": name, "labels": {crate::objects::PART: "app"}});
        let object = json!({"apiVersion": "v1", "kind": kind.name(), "metadata": metadata});
        World { children: world.children.with(kind, serde_json::from_value(object).unwrap()), ..world }
    }

    /// A world in which the process `app-old` serves, which the spec has dropped, and this many pods of the web process do.
    fn dropped(available: i64) -> World {
        let status =
            json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available});
        stands(stands(deployed(0, 1, &status), Kind::Service, "app"), Kind::Service, "app-old")
    }

    #[test]
    fn what_the_spec_has_dropped_serves_until_all_that_it_names_runs() {
        let saas = saas(json!({}));
        let kept = |world: &World| plan(Ask { saas: &saas, world }, Ok(())).ok().unwrap().kept;
        let old = || vec![(Kind::Service, "app-old".to_owned()), (Kind::Deployment, "app-old".to_owned())];
        assert_eq!(kept(&dropped(0)), old());
        assert_eq!(kept(&stands(world(&[]), Kind::Service, "app-old")), old(), "nothing stands in its place");
        assert_eq!(kept(&dropped(1)), [], "its successors stand");
        assert_eq!(kept(&deployed(0, 1, &json!({}))), [], "nothing was dropped");
    }

    #[test]
    fn a_predecessor_is_what_served_and_has_no_port_by_the_spec_any_more() {
        let queue = |port: Value| {
            let saas = saas(json!({"processes": [{"name": "queue", "command": ["work"], "port": port}]}));
            let world = stands(dropped(1), Kind::Service, "app-queue");
            Ask { saas: &saas, world: &world }.predecessors()
        };
        assert_eq!(queue(json!(3000)), ["app-old"]);
        assert_eq!(queue(Value::Null), ["app-old", "app-queue"], "it serves nothing any more");
        let mut object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "app-solver"}});
        object["metadata"]["labels"] = json!({crate::objects::PART: "tls"});
        let children = world(&[]).children.with(Kind::Service, serde_json::from_value(object).unwrap());
        let (saas, world) = (saas(json!({})), World { children, ..world(&[]) });
        assert_eq!(Ask { saas: &saas, world: &world }.predecessors(), [""; 0], "it is another part's");
    }

    #[test]
    fn pods_that_must_not_run_twice_end_before_their_successors_begin() {
        let kinds = |spec: Value| {
            let (saas, world) = (saas(spec), world(&[]));
            let ask = Ask { saas: &saas, world: &world };
            ask.workloads().iter().map(|w| ask.strategy(w)["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let processes =
            json!([{"name": "one", "command": ["work"], "singleton": true}, {"name": "all", "command": ["work"]}]);
        let sqlite = json!({"file": "/data/a.db", "size": "1Gi", "env": "DB"});
        assert_eq!(kinds(json!({"processes": processes})), ["RollingUpdate", "Recreate", "RollingUpdate"]);
        assert_eq!(kinds(json!({"processes": processes, "database": {"sqlite": sqlite}})), ["Recreate"; 3]);
    }

    #[test]
    fn pods_have_the_environment_of_now_once_those_that_were_declared_with_it_stand() {
        let saas = saas(json!({}));
        let own = Ask { saas: &saas, world: &world(&[]) }.environment_hash();
        let rolled = |environment: &str, available: i64| {
            let template = json!({"metadata": {"annotations": {"golive.dev/environment": environment}}});
            let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app", "generation": 1},
                "spec": {"replicas": 1, "template": template},
                "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available}});
            let mut world = world(&[]);
            world.children = world.children.with(Kind::Deployment, serde_json::from_value(object).unwrap());
            Ask { saas: &saas, world: &world }.is_environment_rolled()
        };
        assert!(rolled(&own, 1));
        assert!(!rolled(&own, 0) && !rolled("before", 1) && !rolled("before", 0));
    }
}
