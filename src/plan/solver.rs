//! The solver of http-01: a Job that answers the CA while an order is open, the way to it, and a Job that looks whether
//! the way leads there. All of it goes with the order. <https://www.rfc-editor.org/rfc/rfc8555#section-8.3>

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::names::hash_of;
use super::pod::{Container, Runs};
use super::{Action, Ask, Manifest, Steps};
use crate::evidence::{LookTask, SolveTask};
use crate::fault::Hold;
use crate::kinds::Kind;
use crate::vendors::acme::Challenge;

/// The port on which the solver answers.
const PORT: u16 = 8089;
/// How long one solver lives; another follows where the order is still open.
const SECONDS: u64 = 1800;
/// How often the order is looked at while nobody has pointed the host here. The Jobs are watched.
const LOOK: Duration = Duration::from_secs(30);
/// Where a CA looks for proofs.
const PATH: &str = "/.well-known/acme-challenge";
/// The annotation that tells which challenges a solver answers: a Job's pods cannot be changed.
pub const ANSWERS: &str = "golive.dev/answers";

impl Ask<'_> {
    /// Declares the solver of these challenges.
    pub fn solver(self, challenges: &[&Challenge], steps: &mut Steps) {
        let name = self.named("solver");
        let (solve, look) = tasks(challenges);
        let mut container = self.worker("solve", &solve);
        container.extra = json!({
            "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
        });
        self.solver_job(&name, (&container, &solve.answers), steps);
        // Not a readiness of the solver itself: Traefik leads Ingress to no pod that is not ready.
        self.solver_job(&self.named("solver-look"), (&self.worker("look", &look), &solve.answers), steps);
        let ports = json!([{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]);
        let service = json!({"spec": {"type": "ClusterIP", "selector": self.selector("solve"), "ports": ports}});
        steps.declare(Manifest::new(Kind::Service, name.clone(), service));
        steps.declare(Manifest::new(Kind::NetworkPolicy, name.clone(), self.solver_policy()));
        let hosts: Vec<String> = challenges.iter().map(|c| c.name.clone()).collect();
        let routes = steps.or_wait(self.solver_routes(&name, (PATH, &hosts)));
        routes.into_iter().flatten().for_each(|route| steps.declare(route));
    }

    fn solver_policy(self) -> Value {
        let admitted = json!([{"from": self.gateway_peers(), "ports": [{"port": PORT, "protocol": "TCP"}]}]);
        let pods = json!({"matchLabels": self.selector("solve")});
        json!({"spec": {"podSelector": pods, "policyTypes": ["Ingress"], "ingress": admitted}})
    }

    /// A Job: a new one where the challenges are others, or where the last one ended without success.
    fn solver_job(self, name: &str, (container, answers): (&Container, &BTreeMap<String, String>), steps: &mut Steps) {
        let answers = hash_of(answers, 16);
        let Some(found) = self.world.children.find(Kind::Job, name) else {
            let mut spec = self.job(self.pod(container.clone(), Runs::Once));
            spec["activeDeadlineSeconds"] = json!(SECONDS);
            let mut job = Manifest::new(Kind::Job, name, json!({"spec": spec}));
            job.annotations.insert(ANSWERS.to_owned(), answers);
            return steps.declare(job);
        };
        steps.keep(Kind::Job, name);
        let ended = |condition| self.world.has_condition(Kind::Job, name, condition);
        let over = ended("Failed") || (container.name == "solve" && ended("Complete"));
        if over || found.annotation(ANSWERS) != Some(&answers) {
            steps.act(Action::Delete { kind: Kind::Job, name: found.name.to_string() });
        }
    }

    /// Whether the proofs are seen where the CA will look for them.
    ///
    /// # Errors
    /// They are not, or the solver does not run yet.
    pub fn is_seen(self, challenge: &Challenge) -> Result<(), Hold> {
        let host = &challenge.name;
        let ready = self.world.field(Kind::Job, &self.named("solver"), "/status/ready").and_then(Value::as_i64);
        let seen = self.world.has_condition(Kind::Job, &self.named("solver-look"), "Complete");
        let message = match (ready, seen) {
            (Some(1..), true) => return Ok(()),
            (Some(1..), false) => {
                format!("http://{host}{PATH}/ does not lead to the solver yet: {}", self.pointing(host))
            }
            _ => format!("the solver for {host} is starting"),
        };
        Err(Hold::after("ProofPending", LOOK, message))
    }

    /// What has to be done so that a host leads here.
    fn pointing(self, host: &str) -> String {
        match self.addresses() {
            Ok(addresses) => format!("point {host} to {} where its zone is kept", addresses.join(", ")),
            Err(hold) => hold.message,
        }
    }
}

fn tasks(challenges: &[&Challenge]) -> (SolveTask, LookTask) {
    let answers = challenges.iter().map(|c| (c.token.clone(), c.proof.clone())).collect();
    let proofs = challenges.iter().map(|c| (c.place(), c.proof.clone())).collect();
    (SolveTask { answers, port: PORT, deadline_seconds: SECONDS }, LookTask { proofs, deadline_seconds: SECONDS })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Gateway};
    use crate::fault::Fault;
    use crate::plan::tests::{self, saas};
    use crate::plan::{AcmeStep, Part, plan};
    use crate::vendors::acme::{ChallengeState, Kind as Proof, Progress, Status};
    use crate::world::{Pending, World};
    use jiff::Timestamp;
    use kube::api::DynamicObject;
    use std::sync::Arc;

    fn app() -> crate::api::SaasDeployment {
        saas(json!({"domains": ["app.example.org"]}))
    }

    fn challenge(status: ChallengeState, token: &str) -> Challenge {
        Challenge {
            name: "app.example.org".into(),
            wildcard: false,
            kind: Proof::Http01,
            token: token.into(),
            proof: format!("{token}.thumb"),
            status,
            error: None,
        }
    }

    /// A world in which the CA waits for this challenge, and no account of ours holds the zone.
    fn world(challenge: Challenge) -> World {
        let names = vec!["app.example.org".to_owned()];
        let progress = Progress {
            status: Status::Pending,
            names: names.iter().cloned().collect(),
            challenges: vec![challenge],
            error: None,
        };
        let mut world = tests::world(&[("ca", tests::acme())]);
        let gateway = Gateway { class: "gateway-class".into(), shared: None, namespace: None };
        world.config = Arc::new(Config { gateway: Some(gateway), ..Config::default() });
        world.served = Kind::ALL.into();
        world.zones.insert("app.example.org".into(), Ok(None));
        world.order = Ok(Some(Pending {
            names,
            account: "ca".into(),
            at: Timestamp::UNIX_EPOCH,
            url: Some("https://ca.example.com/order/1".into()),
            progress: Some(Ok(progress)),
        }));
        world
    }

    fn with_jobs(mut world: World, answers: &str, statuses: [Value; 2]) -> World {
        for (name, status) in ["app-solver", "app-solver-look"].into_iter().zip(statuses) {
            let job: DynamicObject = serde_json::from_value(json!({
                "apiVersion": "batch/v1", "kind": "Job",
                "metadata": {"name": name, "annotations": {ANSWERS: answers}}, "status": status,
            }))
            .unwrap();
            world.children = world.children.with(Kind::Job, job);
        }
        world
    }

    fn ended(how: &str) -> Value {
        json!({"conditions": [{"type": how, "status": "True"}]})
    }

    fn running() -> Value {
        json!({"active": 1, "ready": 1})
    }

    fn hash(token: &str) -> String {
        hash_of(&BTreeMap::from([(token.to_owned(), format!("{token}.thumb"))]), 16)
    }

    fn steps(world: &World) -> Steps {
        plan(&app(), world).parts.remove(&Part::Tls).unwrap().ok().unwrap()
    }

    fn declared(steps: &Steps) -> Vec<String> {
        steps.manifests.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_solver_is_there_before_its_proof_is_waited_for() {
        let steps = steps(&world(challenge(ChallengeState::Pending, "t")));
        let jobs = ["Job app-solver", "Job app-solver-look"];
        let way = ["Service app-solver", "NetworkPolicy app-solver", "HTTPRoute app-solver"];
        assert_eq!(declared(&steps), [jobs.as_slice(), &way].concat());
        assert_eq!(steps.waits.unwrap().reason, "ProofPending");
        assert!(steps.actions.is_empty());
    }

    #[test]
    fn the_ca_is_asked_to_look_once_the_proof_was_seen() {
        let pending = || world(challenge(ChallengeState::Pending, "t"));
        let unseen = steps(&with_jobs(pending(), &hash("t"), [running(), running()]));
        assert!(unseen.actions.is_empty() && unseen.waits.unwrap().message.contains("does not lead to the solver"));
        let seen = steps(&with_jobs(pending(), &hash("t"), [running(), ended("Complete")]));
        assert!(matches!(seen.actions[..], [Action::Acme(AcmeStep::Ready { .. })]), "{:?}", seen.actions);
        let gone = steps(&with_jobs(pending(), &hash("t"), [json!({"active": 1, "ready": 0}), ended("Complete")]));
        assert!(gone.actions.is_empty(), "the solver's pod is being replaced");
    }

    #[test]
    fn the_solver_stays_while_the_ca_looks_and_goes_once_the_name_is_proven() {
        let of = |status| steps(&with_jobs(world(challenge(status, "t")), &hash("t"), [running(), ended("Complete")]));
        let looking = of(ChallengeState::Processing);
        assert_eq!((looking.kept.len(), declared(&looking).len()), (2, 3));
        let proven = of(ChallengeState::Valid);
        assert!(proven.kept.is_empty() && proven.manifests.is_empty());
    }

    #[test]
    fn jobs_of_another_order_and_such_as_have_ended_make_room() {
        let cases = [
            ("old", [running(), ended("Complete")], 2),
            ("t", [ended("Failed"), running()], 1),
            ("t", [ended("Complete"), running()], 1),
            ("t", [running(), ended("Failed")], 1),
        ];
        for (answers, statuses, removed) in cases {
            let world = with_jobs(world(challenge(ChallengeState::Pending, "t")), &hash(answers), statuses);
            let deleted = |a: &&Action| matches!(a, Action::Delete { kind: Kind::Job, .. });
            assert_eq!(steps(&world).actions.iter().filter(deleted).count(), removed, "{answers}");
        }
    }

    #[test]
    fn a_zone_that_cannot_be_seen_may_be_ours() {
        let mut world = world(challenge(ChallengeState::Pending, "t"));
        world.zones.insert("app.example.org".into(), Err(Fault::Unreachable("down".into())));
        let verdict = plan(&app(), &world).parts.remove(&Part::Tls).unwrap();
        assert_eq!(verdict.err().unwrap().reason, "Unreachable");
    }

    #[test]
    fn the_gateway_alone_reaches_the_solver_and_only_where_it_answers() {
        let steps = steps(&world(challenge(ChallengeState::Pending, "t")));
        let policy = &steps.manifests.iter().find(|m| m.kind == Kind::NetworkPolicy).unwrap().body["spec"];
        let (saas, world) = (app(), world(challenge(ChallengeState::Pending, "t")));
        let ask = Ask { saas: &saas, world: &world };
        assert_eq!(policy["podSelector"]["matchLabels"], ask.selector("solve"));
        let admitted = json!([{"from": ask.gateway_peers(), "ports": [{"port": PORT, "protocol": "TCP"}]}]);
        assert_eq!((&policy["policyTypes"], &policy["ingress"]), (&json!(["Ingress"]), &admitted));
    }

    #[test]
    fn who_keeps_the_zone_is_told_where_the_host_has_to_point() {
        let told = |addresses: &[&str]| {
            let mut world =
                with_jobs(world(challenge(ChallengeState::Pending, "t")), &hash("t"), [running(), running()]);
            let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
            world.config = Arc::new(Config { addresses, ..(*world.config).clone() });
            steps(&world).waits.unwrap().message
        };
        let known = told(&["192.0.2.1", "2001:db8::1"]);
        assert!(known.ends_with("point app.example.org to 192.0.2.1, 2001:db8::1 where its zone is kept"), "{known}");
        assert!(told(&[]).ends_with("the route has no address yet: see EdgeReady"), "{}", told(&[]));
    }

    #[test]
    fn the_ca_is_told_which_way_each_name_is_proven() {
        let seen =
            with_jobs(world(challenge(ChallengeState::Pending, "t")), &hash("t"), [running(), ended("Complete")]);
        let [Action::Acme(AcmeStep::Ready { names, .. })] = &steps(&seen).actions[..] else {
            panic!("it is not ready")
        };
        assert_eq!(*names, [("app.example.org".to_owned(), false)].into(), "over HTTP");
    }
}
