//! The way in: a Gateway of its own with a listener for each host, the platform's Gateway, or Ingress.

mod gateway;
mod ingress;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::app::Workload;
use super::{Ask, Manifest, Part, Steps, Verdict};
use crate::fault::Hold;
use crate::ground::SharedGateway;
use crate::kinds::Kind;

/// The response headers that `edge.securityHeaders` adds: <https://owasp.org/www-project-secure-headers/>.
const SECURITY_HEADERS: [(&str, &str); 3] = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
];

/// Plans the route.
pub fn plan(ask: Ask<'_>) -> Verdict {
    let mut steps = Steps::default();
    if ask.hosts().is_empty() {
        steps.evidence = "no `domains`: reachable inside the cluster only".into();
        return Ok(steps);
    }
    ask.hosts().iter().try_for_each(|host| ask.is_free(host))?;
    let way = ask.way()?;
    if matches!(way, Way::Own | Way::Listeners(_)) {
        ask.has_room()?;
    }
    match way {
        Way::Own => ask.by_own_gateway(&mut steps),
        Way::Shared(gateway) => ask.by_shared_gateway(gateway, &mut steps),
        Way::Listeners(_) => ask.by_listeners(&mut steps),
        Way::Ingress | Way::Traefik if !ask.may_turn() => ask.keep_all(Part::Edge, &mut steps),
        Way::Ingress => ask.by_ingress(&mut steps),
        Way::Traefik => ask.by_traefik(&mut steps),
    }
    ask.shared_paths(&mut steps);
    ask.unbuilt(way, &mut steps);
    steps.or_wait(ask.is_served());
    let addresses = ask.addresses().unwrap_or_default().join(", ");
    steps.evidence = format!("{} is routed at {addresses}{}", ask.hosts().join(", "), ask.told_of(way));
    Ok(steps)
}

/// How routes are made in this cluster.
#[derive(Clone, Copy)]
pub enum Way<'a> {
    /// A Gateway of this application's own.
    Own,
    /// Routes on the platform's Gateway, which brings its certificate.
    Shared(&'a SharedGateway),
    /// A ListenerSet on the platform's Gateway: hosts and certificate of this application's own.
    Listeners(&'a SharedGateway),
    /// Ingress as the standard has it.
    Ingress,
    /// Ingress with Traefik's Middlewares.
    Traefik,
}

impl<'a> Ask<'a> {
    /// How routes are made.
    ///
    /// # Errors
    /// There is no way to, or what the platform team's configuration names is missing.
    pub fn way(self) -> Result<Way<'a>, Hold> {
        let config = &self.world.config;
        let gateways = self.world.serves(Kind::Gateway) && self.world.serves(Kind::HttpRoute);
        match (&config.gateway, &config.ingress) {
            (Some(gateway), _) if gateways => match &gateway.shared {
                None => Ok(Way::Own),
                Some(shared) => self.shared_way(shared),
            },
            (_, Some(ingress)) => self.ingress_way(&ingress.class),
            (Some(_), None) => Err(Hold::event(
                "GatewayApiMissing",
                "this cluster does not serve gateway.networking.k8s.io: install the Gateway API, or configure `ingress.class`",
            )),
            (None, None) => Err(Hold::event(
                "NoGateway",
                "the operator's configuration has neither `gateway` nor `ingress`: set one",
            )),
        }
    }

    /// Whether every host is served over HTTPS with a certificate.
    ///
    /// # Errors
    /// There is no certificate yet, or the platform's Gateway has none for a host.
    pub fn is_secured(self) -> Result<(), Hold> {
        match self.way()? {
            Way::Shared(gateway) => self.has_listeners(gateway),
            _ => self.world.certificate(&self.hosts()).map(|_| ()),
        }
    }

    /// Whether a valid certificate of ours covers a host.
    pub(in crate::plan) fn is_covered(self, host: &str) -> bool {
        self.world.certificate(&[host.to_owned()]).is_ok()
    }

    /// Fields of the block that nothing here acts on.
    fn unbuilt(self, way: Way<'_>, steps: &mut Steps) {
        let edge = self.saas.spec.edge.clone().unwrap_or_default();
        let fields = [
            ("edge.cors", edge.cors.is_some()),
            ("edge.rateLimit", !edge.rate_limit.is_empty()),
            ("edge.compress", edge.compress.unwrap_or(false)),
            ("edge.originTls", edge.origin_tls.is_some()),
        ];
        fields.into_iter().filter(|(_, used)| *used).for_each(|(field, _)| steps.wait(super::unsupported::hold(field)));
        if matches!(way, Way::Ingress) {
            self.beyond_ingress(steps);
        }
    }

    /// What EdgeReady adds, so that nothing is left out in silence.
    fn told_of(self, way: Way<'_>) -> String {
        match way {
            Way::Own | Way::Traefik => String::new(),
            Way::Shared(gateway) => self.told_of_shared(gateway),
            Way::Listeners(_) => format!(" by {}, with listeners of its own", self.shared_name()),
            Way::Ingress => format!("; what plain HTTP gets is up to {}", self.class_name()),
        }
    }

    fn redirects(self) -> bool {
        self.saas.spec.edge.as_ref().and_then(|edge| edge.https_redirect).unwrap_or(true)
    }

    /// The ways to the solver of http-01 challenges.
    ///
    /// # Errors
    /// There is no way to make routes.
    pub fn solver_routes(self, service: &str, (path, hosts): (&str, &[String])) -> Result<Vec<Manifest>, Hold> {
        match self.way()? {
            Way::Ingress | Way::Traefik => {
                let leads = [Leads { path: path.to_owned(), strip: false, service: service.to_owned() }];
                Ok(vec![self.ingress(service, hosts, &leads)])
            }
            _ => {
                let rule = json!({"matches": [prefix(path)], "backendRefs": [backend(service)]});
                Ok(self.http_routes(service, ("http", hosts), &[rule]))
            }
        }
    }

    /// One treatment for each path that is treated in its own way; the longest prefix wins.
    fn treatments(self) -> Vec<Treatment> {
        let routes = self.routes();
        let caches = self.saas.spec.edge.as_ref().map(|edge| edge.cache.clone()).unwrap_or_default();
        let paths: BTreeSet<&str> =
            routes.iter().map(|r| r.path.as_str()).chain(caches.iter().map(|c| c.path.as_str())).collect();
        let treatment = |path: &str| {
            let route = routes.iter().filter(|r| is_under(path, &r.path)).max_by_key(|r| r.path.len())?;
            let cache = caches.iter().filter(|c| is_under(path, &c.path)).max_by_key(|c| c.path.len());
            Some(Treatment {
                path: path.to_owned(),
                service: route.service.clone(),
                stripped: route.strip.then(|| route.path.clone()),
                cache: cache.and_then(cache_control),
            })
        };
        paths.into_iter().rev().filter_map(treatment).collect()
    }

    /// The headers beside HSTS that answers get.
    fn headers(self, cache: Option<&'static str>) -> Vec<(&'static str, &'static str)> {
        let wanted = self.saas.spec.edge.as_ref().and_then(|edge| edge.security_headers).unwrap_or(false);
        let cache = cache.map(|value| ("Cache-Control", value));
        cache.into_iter().chain(SECURITY_HEADERS.into_iter().filter(|_| wanted)).collect()
    }

    /// Whether routes may be declared as they are to be: pods stand wherever they lead. Those of a process that is new do not
    /// at first, and where there are routes these go on leading to who served before.
    pub fn may_turn(self) -> bool {
        self.of_what_runs(|ask| ask.leads_to_pods())
    }

    fn leads_to_pods(self) -> bool {
        let stands = |kind| self.world.children.find(kind, &self.name()).is_some();
        let serves = stands(Kind::HttpRoute) || stands(Kind::Ingress);
        let relieved = || self.predecessors().is_empty() || self.workloads().iter().all(|w| self.runs(w).is_ok());
        !serves || (self.declared_routes().iter().all(|lead| self.has_pods(&lead.service)) && relieved())
    }

    /// Waits where two processes want the same path: one of them would get nothing.
    fn shared_paths(self, steps: &mut Steps) {
        let mut seen = BTreeMap::new();
        for Leads { path, service, .. } in self.declared_routes() {
            if let Some(other) = seen.insert(path.clone(), service.clone()).filter(|other| *other != service) {
                let message = format!(
                    "`{path}` is to lead to {other} and to {service}, and leads to {service}: give each path to one process"
                );
                steps.wait(Hold::person("PathTaken", message));
            }
        }
    }

    /// Which path leads to which Service: of the revision that runs.
    fn routes(self) -> Vec<Leads> {
        self.of_what_runs(|ask| ask.declared_routes())
    }

    fn declared_routes(self) -> Vec<Leads> {
        let spec = &self.saas.spec;
        let lead = |workload: &Workload<'_>, routes: &[crate::api::Route]| {
            let leads = routes.iter().map(|r| Leads {
                path: r.path.clone(),
                strip: r.strip_prefix.unwrap_or(false),
                service: workload.name.clone(),
            });
            leads.collect::<Vec<_>>()
        };
        let workloads = self.workloads();
        let mut leads: Vec<Leads> =
            workloads.iter().skip(1).zip(&spec.processes).flat_map(|(w, p)| lead(w, &p.routes)).collect();
        // What no process takes is the web process's, where it names nothing itself.
        if spec.routes.is_empty() && !leads.iter().any(|lead| lead.path == "/") {
            leads.push(Leads { path: "/".into(), strip: false, service: self.name() });
        }
        leads.extend(lead(&workloads[0], &spec.routes));
        leads
    }

    /// The public addresses of the route.
    ///
    /// # Errors
    /// The gateway has none yet.
    pub fn addresses(self) -> Result<Vec<String>, Hold> {
        if !self.world.config.addresses.is_empty() {
            return Ok(self.world.config.addresses.clone());
        }
        let addresses = match self.way()? {
            Way::Own => self.listed(Kind::Gateway, &self.name(), "/status/addresses"),
            Way::Shared(gateway) | Way::Listeners(gateway) => gateway.addresses.clone(),
            Way::Ingress => self.listed(Kind::Ingress, &self.name(), "/status/loadBalancer/ingress"),
            Way::Traefik => self.listed(Kind::Ingress, &self.named("http"), "/status/loadBalancer/ingress"),
        };
        match addresses.is_empty() {
            true => Err(Hold::event("AddressPending", "the route has no address yet: see EdgeReady")),
            false => Ok(addresses),
        }
    }

    fn listed(self, kind: Kind, name: &str, pointer: &str) -> Vec<String> {
        let list = self.world.field(kind, name, pointer).and_then(Value::as_array);
        let text = |entry: &Value| {
            ["value", "ip", "hostname"].into_iter().find_map(|key| Some(entry.get(key)?.as_str()?.to_owned()))
        };
        list.into_iter().flatten().filter_map(text).collect()
    }

    /// Whether the gateway has taken the routes.
    pub fn is_served(self) -> Result<(), Hold> {
        match self.way()? {
            Way::Own => self.is_programmed(Kind::Gateway)?,
            Way::Shared(gateway) => self.is_up_and_running(gateway)?,
            Way::Listeners(gateway) => {
                self.is_up_and_running(gateway)?;
                self.is_programmed(Kind::ListenerSet)?;
            }
            Way::Ingress | Way::Traefik => return self.addresses().and_then(|_| self.is_secured()),
        }
        self.addresses()?;
        self.are_accepted()
    }

    /// What the gateway says against an object, for messages.
    fn refusal(self, kind: Kind, name: &str, conditions: &str) -> String {
        let list = self.world.field(kind, name, conditions).and_then(Value::as_array);
        let failed = list.into_iter().flatten().find(|c| c["status"] == "False");
        let text = |c: &Value| {
            format!(": {} ({})", c["message"].as_str().unwrap_or_default(), c["reason"].as_str().unwrap_or_default())
        };
        failed.map(text).unwrap_or_default()
    }
}

/// A path, the Service that it leads to, and whether the path is cut off on the way.
struct Leads {
    path: String,
    strip: bool,
    service: String,
}

/// How requests below a path are treated.
struct Treatment {
    path: String,
    service: String,
    /// The beginning that is cut off.
    stripped: Option<String>,
    /// What `Cache-Control` says.
    cache: Option<&'static str>,
}

fn prefix(path: &str) -> Value {
    json!({"path": {"type": "PathPrefix", "value": path}})
}

fn backend(service: &str) -> Value {
    json!({"group": "", "kind": "Service", "name": service, "port": 80, "weight": 1})
}

/// Whether `path` lies at or below `prefix`, by whole segments.
fn is_under(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn cache_control(cache: &crate::api::CacheRule) -> Option<&'static str> {
    match (cache.immutable.unwrap_or(false), cache.no_cache.unwrap_or(false)) {
        (true, _) => Some("public, max-age=31536000, immutable"),
        (_, true) => Some("no-cache"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::SaasDeployment;
    use crate::config::Config;
    use crate::ground::Facts;
    use crate::world::World;

    #[test]
    fn a_path_is_under_another_by_whole_segments() {
        assert!(is_under("/static", "/") && is_under("/api/v1", "/api") && is_under("/api", "/api"));
        assert!(!is_under("/apiary", "/api") && !is_under("/", "/api"));
    }

    #[test]
    fn a_path_of_two_processes_is_told() {
        let world = crate::plan::tests::world(&[]);
        let told = |one: &str, other: &str| {
            let process = |name: &str, path: &str| json!({"name": name, "port": 1, "routes": [{"path": path}]});
            let saas = crate::plan::tests::saas(json!({"processes": [process("a", one), process("b", other)]}));
            let mut steps = Steps::default();
            Ask { saas: &saas, world: &world }.shared_paths(&mut steps);
            steps.waits.map(|hold| hold.message)
        };
        assert_eq!(told("/a", "/b"), None);
        assert!(told("/api", "/api").is_some_and(|why| why.contains("`/api` is to lead to app-a and to app-b")));
    }

    #[test]
    fn the_web_process_has_the_root_unless_another_takes_it() {
        let world = crate::plan::tests::world(&[]);
        let leads = |spec| {
            let saas = crate::plan::tests::saas(spec);
            let routes = Ask { saas: &saas, world: &world }.routes();
            routes.into_iter().map(|lead| format!("{} {}", lead.path, lead.service)).collect::<Vec<_>>()
        };
        let front =
            |path: &str| json!([{"name": "front", "port": 3000, "command": ["serve"], "routes": [{"path": path}]}]);
        assert_eq!(leads(json!({})), ["/ app"]);
        assert_eq!(leads(json!({"processes": front("/ui")})), ["/ui app-front", "/ app"]);
        assert_eq!(leads(json!({"processes": front("/")})), ["/ app-front"]);
        let both = json!({"processes": front("/"), "routes": [{"path": "/api"}]});
        assert_eq!(leads(both), ["/ app-front", "/api app"]);
    }

    #[test]
    fn the_solver_is_led_to_in_the_way_that_routes_are_made() {
        let (saas, mut world) = (crate::plan::tests::saas(json!({})), crate::plan::tests::world(&[]));
        world.served = Kind::ALL.into();
        world.ground = Facts { controller: Some("example.com/other".into()), ..Facts::default() }.into();
        let mut kind = |config: &str| {
            world.config = Config::read(config).unwrap().into();
            let ask = Ask { saas: &saas, world: &world };
            let routes = ask.solver_routes("solver", ("/proof", &["a.example".to_owned()])).ok().unwrap();
            assert!(routes[0].body.to_string().contains("/proof") && routes.len() == 1, "{}", routes[0].body);
            routes[0].kind
        };
        assert_eq!(kind("gateway: {class: c}"), Kind::HttpRoute);
        assert_eq!(kind("ingress: {class: web}"), Kind::Ingress);
    }

    /// A world in which a route stands, and pods of this Deployment do, which was made just now.
    fn routed(kind: Kind, deployment: &str, available: i64) -> World {
        let object = |kind: Kind, name: &str, part: &str, rest: Value| {
            let mut object = rest;
            (object["apiVersion"], object["kind"]) = ("v1".into(), kind.name().into());
            object["metadata"] = json!({"name": name, "generation": 1, "creationTimestamp": "1970-01-01T00:00:00Z",
                "labels": {crate::objects::PART: part}});
            serde_json::from_value(object).unwrap()
        };
        let counts =
            json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available});
        let body = json!({"spec": {"replicas": 1}, "status": counts});
        let mut world = crate::plan::tests::world(&[]);
        world.children = world.children.with(kind, object(kind, "app", "edge", json!({})));
        world.children = world.children.with(Kind::Deployment, object(Kind::Deployment, deployment, "app", body));
        world.children = world.children.with(Kind::Service, object(Kind::Service, deployment, "app", json!({})));
        world
    }

    /// An application whose visitors all go to a process.
    fn fronted() -> SaasDeployment {
        let front = json!([{"name": "front", "port": 3000, "command": ["serve"], "routes": [{"path": "/"}]}]);
        crate::plan::tests::saas(json!({"processes": front, "domains": ["app.example.org"]}))
    }

    #[test]
    fn routes_turn_to_a_new_process_once_it_has_pods_and_at_once_where_nobody_served() {
        let saas = fronted();
        let may_turn = |world: &World| Ask { saas: &saas, world }.may_turn();
        for kind in [Kind::HttpRoute, Kind::Ingress] {
            assert!(!may_turn(&routed(kind, "app", 1)), "{kind:?} leads to who served before");
            assert!(may_turn(&routed(kind, "app-front", 1)), "{kind:?}");
            assert!(!may_turn(&routed(kind, "app-front", 0)), "{kind:?} led nowhere");
        }
        assert!(may_turn(&crate::plan::tests::world(&[])), "there is no route yet");
    }

    #[test]
    fn routes_leave_a_process_that_the_spec_has_dropped_once_all_others_run() {
        let saas = crate::plan::tests::saas(json!({"domains": ["app.example.org"]}));
        let revision = Ask { saas: &saas, world: &crate::plan::tests::world(&[]) }.revision();
        let may_turn = |available: i64, updated: i64| {
            let mut world = routed(Kind::HttpRoute, "app-old", 1);
            let counts = json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": updated, "availableReplicas": available});
            let metadata =
                json!({"name": "app", "generation": 1, "annotations": {crate::plan::release::REVISION: revision}});
            let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
                "spec": {"replicas": 2}, "status": counts});
            world.children = world.children.with(Kind::Deployment, serde_json::from_value(object).unwrap());
            let turns = Ask { saas: &saas, world: &world }.may_turn();
            world.children = world.children.without(Kind::Service, "app-old");
            (turns, Ask { saas: &saas, world: &world }.may_turn())
        };
        assert_eq!(may_turn(2, 2), (true, true));
        assert_eq!(may_turn(1, 2), (false, true), "a roll-out of what serves anyway turns no route");
    }

    #[test]
    fn an_ingress_stays_as_it_is_until_pods_stand_wherever_it_is_to_lead() {
        let (saas, mut world) = (fronted(), routed(Kind::Ingress, "app", 1));
        world.config = Config::read("ingress: {class: web}").unwrap().into();
        world.ground = Facts { controller: Some("example.com/other".into()), ..Facts::default() }.into();
        world.served = Kind::ALL.into();
        let planned = |world: &World| {
            let steps = plan(Ask { saas: &saas, world }).ok().unwrap();
            (
                steps.manifests.iter().any(|m| m.kind == Kind::Ingress),
                steps.kept.contains(&(Kind::Ingress, "app".into())),
            )
        };
        assert_eq!(planned(&world), (false, true));
        world.children = routed(Kind::Ingress, "app-front", 1).children;
        assert_eq!(planned(&world), (true, false));
    }

    #[test]
    fn a_gateway_is_the_way_only_where_the_cluster_serves_all_of_its_kinds() {
        let (saas, mut world) = (crate::plan::tests::saas(json!({})), crate::plan::tests::world(&[]));
        world.ground = Facts { controller: Some("example.com/other".into()), ..Facts::default() }.into();
        let mut way = |config: &str, served: &[Kind]| {
            (world.config, world.served) = (Config::read(config).unwrap().into(), served.iter().copied().collect());
            match (Ask { saas: &saas, world: &world }).way() {
                Ok(Way::Own) => "its own",
                Ok(Way::Ingress) => "an Ingress",
                Ok(_) => "another",
                Err(hold) => hold.reason,
            }
        };
        let (gateway, both) = ("gateway: {class: c}", "gateway: {class: c}\ningress: {class: web}");
        assert_eq!(way(gateway, &[Kind::Gateway, Kind::HttpRoute]), "its own");
        assert_eq!(way(both, &[Kind::Gateway, Kind::HttpRoute, Kind::Ingress]), "its own");
        for served in [&[Kind::Ingress][..], &[Kind::Gateway, Kind::Ingress], &[Kind::HttpRoute, Kind::Ingress]] {
            assert_eq!((way(gateway, served), way(both, served)), ("GatewayApiMissing", "an Ingress"), "{served:?}");
        }
        assert_eq!(way("{}", &Kind::ALL), "NoGateway");
    }

    #[test]
    fn plain_http_is_redirected_unless_the_spec_says_otherwise() {
        let redirects = |spec: Value| {
            let (saas, mut world) = (crate::plan::tests::saas(spec), crate::plan::tests::world(&[]));
            (world.config, world.served) = (Config::read("gateway: {class: c}").unwrap().into(), Kind::ALL.into());
            let steps = plan(Ask { saas: &saas, world: &world }).ok().unwrap();
            let plain = steps.manifests.iter().find(|m| m.kind == Kind::HttpRoute && m.name.contains("http")).unwrap();
            plain.body.to_string().contains("RequestRedirect")
        };
        let domains = json!(["app.example.org"]);
        assert!(redirects(json!({"domains": domains})));
        assert!(redirects(json!({"domains": domains, "edge": {"httpsRedirect": true}})));
        assert!(!redirects(json!({"domains": domains, "edge": {"httpsRedirect": false}})));
    }

    #[test]
    fn of_an_ingress_it_is_told_that_its_class_decides_on_plain_http() {
        let (saas, mut world) = (fronted(), crate::plan::tests::world(&[]));
        world.config = Config::read("ingress: {class: web}").unwrap().into();
        world.served = Kind::ALL.into();
        let mut evidence = |controller: &str| {
            world.ground = Facts { controller: Some(controller.into()), ..Facts::default() }.into();
            plan(Ask { saas: &saas, world: &world }).ok().unwrap().evidence
        };
        let told = "; what plain HTTP gets is up to";
        assert!(evidence("example.com/other").contains(told), "{}", evidence("example.com/other"));
        assert!(!evidence("traefik.io/ingress-controller").contains(told));
    }
}
