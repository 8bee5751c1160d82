//! Routes of the Gateway API: <https://gateway-api.sigs.k8s.io/reference/spec/>.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Treatment, Way, backend, prefix};
use crate::config::Shared;
use crate::fault::Hold;
use crate::ground::SharedGateway;
use crate::kinds::Kind;
use crate::plan::names::joined;
use crate::plan::{Ask, Manifest, Part, Steps};

/// The feature that a GatewayClass names when its gateways take ListenerSets.
const LISTENER_SET: &str = "ListenerSet";
/// What an HTTPRoute takes at most, of hosts and of rules:
/// <https://gateway-api.sigs.k8s.io/reference/spec/#httproutespec>.
const MOST: usize = 16;
/// What a Gateway or a ListenerSet takes at most: <https://gateway-api.sigs.k8s.io/reference/spec/#gatewayspec>.
const LISTENERS: usize = 64;

impl<'a> Ask<'a> {
    /// The way by the platform's Gateway. Listeners of our own need a class that can, where it says what it can, and
    /// a Gateway that admits them: it admits nobody unless the platform team says so.
    pub(super) fn shared_way(self, shared: &Shared) -> Result<Way<'a>, Hold> {
        let ground = &self.world.ground;
        let Some(gateway) = &ground.shared else {
            return Err(Hold::event(
                "GatewayMissing",
                format!("{} does not exist: the platform team's configuration names it", named(shared)),
            ));
        };
        let able = ground.features.is_empty() || ground.features.contains(LISTENER_SET);
        let namespace = self.saas.metadata.namespace.clone().unwrap_or_default();
        let admitted = gateway.admits(&namespace, &self.world.namespace_labels);
        match able && admitted && self.world.serves(Kind::ListenerSet) {
            true => Ok(Way::Listeners(gateway)),
            false => Ok(Way::Shared(gateway)),
        }
    }

    /// The platform's Gateway, for people.
    pub fn shared_name(self) -> String {
        let shared = self.world.config.gateway.as_ref().and_then(|gateway| gateway.shared.as_ref());
        shared.map(named).unwrap_or_default()
    }

    pub(super) fn by_own_gateway(self, steps: &mut Steps) {
        let class = self.world.config.gateway.as_ref().map(|gateway| gateway.class.clone());
        let spec = json!({"gatewayClassName": class, "listeners": self.listeners()});
        steps.declare(Manifest::new(Kind::Gateway, self.name(), json!({"spec": spec})));
        self.declare_routes(steps);
    }

    pub(super) fn by_listeners(self, steps: &mut Steps) {
        let shared = self.world.config.gateway.as_ref().and_then(|gateway| gateway.shared.as_ref());
        let parent = shared.map(|shared| {
            json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": shared.name, "namespace": shared.namespace})
        });
        let spec = json!({"parentRef": parent, "listeners": self.listeners()});
        steps.declare(Manifest::new(Kind::ListenerSet, self.name(), json!({"spec": spec})));
        self.declare_routes(steps);
    }

    pub(super) fn by_shared_gateway(self, gateway: &SharedGateway, steps: &mut Steps) {
        steps.or_wait(self.has_listeners(gateway));
        self.declare_routes(steps);
    }

    fn declare_routes(self, steps: &mut Steps) {
        if !self.may_turn() {
            return self.keep_routes(steps);
        }
        self.plain_routes().into_iter().for_each(|route| steps.declare(route));
        match self.is_secured() {
            Ok(()) => self.secure_routes().into_iter().for_each(|route| steps.declare(route)),
            Err(_) => self.keep_routes(steps),
        }
    }

    /// Keeps what serves, however hosts and rules were divided when it was declared.
    fn keep_routes(self, steps: &mut Steps) {
        let there = self.world.children.of_kind(Kind::HttpRoute).filter(|route| route.part == Some(Part::Edge));
        there.for_each(|route| steps.keep(Kind::HttpRoute, &*route.name));
        self.secure_routes().into_iter().for_each(|route| steps.keep(route.kind, route.name));
    }

    /// What plain HTTP gets: a redirect to HTTPS, unless the user asked for none.
    fn plain_routes(self) -> Vec<Manifest> {
        let (spec, name) = (&self.saas.spec, self.named("http"));
        if self.redirects() {
            let to_https = redirect(json!({"scheme": "https", "statusCode": 301}));
            return self.http_routes(&name, ("http", &self.hosts()), &to_https);
        }
        let to_application = self.http_routes(&name, ("http", &spec.domains), &self.rules(false));
        let others = ("http", &spec.redirect_from[..]);
        [to_application, self.http_routes(&self.named("redirect-http"), others, &self.redirect_rules())].concat()
    }

    fn secure_routes(self) -> Vec<Manifest> {
        let spec = &self.saas.spec;
        let to_application = self.http_routes(&self.name(), ("https", &spec.domains), &self.rules(true));
        let redirect = ("https", &spec.redirect_from[..]);
        [to_application, self.http_routes(&self.named("redirect"), redirect, &self.redirect_rules())].concat()
    }

    /// Whether a Gateway or ListenerSet has room for the listeners of every host.
    pub(super) fn has_room(self) -> Result<(), Hold> {
        let (hosts, most) = (self.hosts().len(), LISTENERS / 2);
        if hosts <= most {
            return Ok(());
        }
        let message = format!(
            "`domains` and `redirectFrom` name {hosts} hosts, and a Gateway has listeners for {most}: name fewer, or divide them among several SaasDeployments"
        );
        Err(Hold::person("TooManyHosts", message))
    }

    /// One plain listener for each host, and a secure one for each that the certificate covers: a host that is added
    /// takes nothing from those that are served.
    fn listeners(self) -> Vec<Value> {
        let listener = |scheme: &str, host: &String| {
            let mut listener = json!({
                "name": format!("{scheme}.{host}"),
                "hostname": host,
                "port": if scheme == "https" { 443 } else { 80 },
                "protocol": scheme.to_uppercase(),
                "allowedRoutes": {"namespaces": {"from": "Same"}},
            });
            if scheme == "https" {
                listener["tls"] = json!({"mode": "Terminate", "certificateRefs": [{"group": "", "kind": "Secret", "name": self.tls_name()}]});
            }
            listener
        };
        let hosts = self.hosts();
        let plain = hosts.iter().map(|host| listener("http", host));
        let covered = hosts.iter().filter(|host| self.is_covered(host)).map(|host| listener("https", host));
        plain.chain(covered).collect()
    }

    /// Routes of some hosts, on the listeners of a scheme: as many as hosts and rules need.
    pub(super) fn http_routes(self, name: &str, scope: (&str, &[String]), rules: &[Value]) -> Vec<Manifest> {
        let (scheme, hosts) = scope;
        let whole = hosts.chunks(MOST).flat_map(|hosts| rules.chunks(MOST).map(move |rules| (hosts, rules)));
        let route = |(at, (hosts, rules)): (usize, (&[String], &[Value]))| {
            let name = if at == 0 { name.to_owned() } else { joined(name, &format!("routes-{}", at + 1)) };
            let parents = Some(self.parents(scheme, hosts)).filter(|parents| !parents.is_empty())?;
            let spec = json!({"parentRefs": parents, "hostnames": hosts, "rules": rules});
            Some(Manifest::new(Kind::HttpRoute, name, json!({"spec": spec})))
        };
        whole.enumerate().filter_map(route).collect()
    }

    /// The listeners that some hosts attach to. They are named: a route on all listeners of a Gateway would send what
    /// comes over HTTPS to HTTPS again.
    fn parents(self, scheme: &str, hosts: &[String]) -> Vec<Value> {
        let own = |host: &String| json!({"name": self.name(), "sectionName": format!("{scheme}.{host}")});
        match self.way() {
            Ok(Way::Shared(gateway)) => self.shared_parents(gateway, (scheme, hosts)),
            Ok(Way::Listeners(_)) => {
                let set = |host| {
                    let mut parent = own(host);
                    parent["group"] = json!("gateway.networking.k8s.io");
                    parent["kind"] = json!("ListenerSet");
                    parent
                };
                hosts.iter().map(set).collect()
            }
            _ => hosts.iter().map(own).collect(),
        }
    }

    fn shared_parents(self, gateway: &SharedGateway, (scheme, hosts): (&str, &[String])) -> Vec<Value> {
        let protocol = scheme.to_uppercase();
        let listeners = hosts.iter().filter_map(|host| gateway.listener(&protocol, host));
        let names: BTreeSet<&str> = listeners.map(|listener| listener.name.as_str()).collect();
        let shared = self.world.config.gateway.as_ref().and_then(|gateway| gateway.shared.as_ref());
        let parent = |section: &str| json!({"name": shared.map(|s| &s.name), "namespace": shared.map(|s| &s.namespace), "sectionName": section});
        names.into_iter().map(parent).collect()
    }

    /// Sends other hosts to the first domain.
    fn redirect_rules(self) -> [Value; 1] {
        redirect(json!({"scheme": "https", "hostname": self.saas.spec.domains.first(), "statusCode": 301}))
    }

    /// One rule for each path that is treated in its own way.
    fn rules(self, secure: bool) -> Vec<Value> {
        let rule = |treatment: Treatment| {
            let mut filters = self.header_filters(secure, treatment.cache);
            filters.extend(treatment.stripped.map(|route| stripped(&treatment.path, &route)));
            json!({"matches": [prefix(&treatment.path)], "filters": filters, "backendRefs": [backend(&treatment.service)]})
        };
        self.treatments().into_iter().map(rule).collect()
    }

    fn header_filters(self, secure: bool, cache: Option<&'static str>) -> Vec<Value> {
        let hsts = self.saas.spec.edge.as_ref().and_then(|edge| edge.hsts.clone()).filter(|_| secure).map(|hsts| {
            let subdomains = if hsts.include_subdomains.unwrap_or(false) { "; includeSubDomains" } else { "" };
            let preload = if hsts.preload.unwrap_or(false) { "; preload" } else { "" };
            ("Strict-Transport-Security", format!("max-age={}{subdomains}{preload}", hsts.max_age_seconds))
        });
        let others = self.headers(cache).into_iter().map(|(name, value)| (name, value.to_owned()));
        let set: Vec<Value> =
            hsts.into_iter().chain(others).map(|(name, value)| json!({"name": name, "value": value})).collect();
        match set.is_empty() {
            true => Vec::new(),
            false => vec![json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": set}})],
        }
    }

    /// Whether the platform's Gateway has a listener with a certificate for every host.
    pub(super) fn has_listeners(self, gateway: &SharedGateway) -> Result<(), Hold> {
        for host in self.hosts() {
            let trouble = match gateway.listener("HTTPS", &host) {
                None => format!("{} has no HTTPS listener that takes {host}", self.shared_name()),
                Some(listener) => match &listener.trouble {
                    Some(why) => {
                        format!("listener {} of {}, which takes {host}: {why}", listener.name, self.shared_name())
                    }
                    None => continue,
                },
            };
            return Err(Hold::event("ListenerMissing", format!("{trouble}: the platform team has to mend it")));
        }
        Ok(())
    }

    pub(super) fn told_of_shared(self, gateway: &SharedGateway) -> String {
        let open: Vec<String> =
            self.hosts().into_iter().filter(|host| gateway.listener("HTTP", host).is_none()).collect();
        match open.is_empty() {
            true => format!(" by {}", self.shared_name()),
            false => format!(" by {}, which takes no plain HTTP for {}", self.shared_name(), open.join(", ")),
        }
    }

    /// Whether the platform's Gateway works.
    pub(super) fn is_up_and_running(self, gateway: &SharedGateway) -> Result<(), Hold> {
        match &gateway.trouble {
            Some(why) => Err(Hold::event("GatewayPending", format!("{} does not serve: {why}", self.shared_name()))),
            None => Ok(()),
        }
    }

    /// Whether our Gateway or ListenerSet works.
    pub(super) fn is_programmed(self, kind: Kind) -> Result<(), Hold> {
        let name = self.name();
        match self.world.has_condition(kind, &name, "Programmed") {
            true => Ok(()),
            false => Err(Hold::event(
                "GatewayPending",
                format!(
                    "{} {name} is not programmed yet{}",
                    kind.name(),
                    self.refusal(kind, &name, "/status/conditions")
                ),
            )),
        }
    }

    /// Whether every route was taken.
    pub(super) fn are_accepted(self) -> Result<(), Hold> {
        self.plain_routes().iter().try_for_each(|route| self.is_accepted(&route.name))?;
        self.is_secured()?;
        self.secure_routes().iter().try_for_each(|route| self.is_accepted(&route.name))
    }

    fn is_accepted(self, route: &str) -> Result<(), Hold> {
        let parents = self.world.field(Kind::HttpRoute, route, "/status/parents").and_then(Value::as_array);
        let holds = |parent: &Value, condition: &str| {
            parent["conditions"]
                .as_array()
                .is_some_and(|list| list.iter().any(|c| c["type"] == condition && c["status"] == "True"))
        };
        let accepted = parents.is_some_and(|list| {
            !list.is_empty() && list.iter().all(|p| holds(p, "Accepted") && holds(p, "ResolvedRefs"))
        });
        match accepted {
            true => Ok(()),
            false => Err(Hold::event(
                "RoutePending",
                format!(
                    "HTTPRoute {route} is not accepted yet{}",
                    self.refusal(Kind::HttpRoute, route, "/status/parents/0/conditions")
                ),
            )),
        }
    }
}

/// The rule that sends every path elsewhere.
fn redirect(to: Value) -> [Value; 1] {
    [json!({"matches": [prefix("/")], "filters": [{"type": "RequestRedirect", "requestRedirect": to}]})]
}

fn named(shared: &Shared) -> String {
    format!("Gateway {}/{}", shared.namespace, shared.name)
}

fn stripped(path: &str, route: &str) -> Value {
    let rest = path.strip_prefix(route.trim_end_matches('/')).filter(|rest| !rest.is_empty()).unwrap_or("/");
    json!({"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": rest}}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ground::Listener;
    use crate::plan::tests::{saas, world};

    /// Whether a route with these conditions, by parent, is taken.
    fn taken(parents: &[&[(&str, &str)]]) -> Result<(), String> {
        let condition = |(kind, status): &(&str, &str)| json!({"type": kind, "status": status, "message": "no such port", "reason": "Why"});
        let parent = |list: &&[(&str, &str)]| json!({"conditions": list.iter().map(condition).collect::<Vec<_>>()});
        let status = json!({"parents": parents.iter().map(parent).collect::<Vec<_>>()});
        let route = json!({"apiVersion": "v1", "kind": "HTTPRoute", "metadata": {"name": "web"}, "status": status});
        let mut world = world(&[]);
        world.children = world.children.with(Kind::HttpRoute, serde_json::from_value(route).unwrap());
        Ask { saas: &saas(json!({})), world: &world }.is_accepted("web").map_err(|hold| hold.message)
    }

    #[test]
    fn a_route_is_taken_once_every_gateway_has_accepted_it_and_found_its_services() {
        let whole: &[(&str, &str)] = &[("Accepted", "True"), ("ResolvedRefs", "True")];
        let lost: &[(&str, &str)] = &[("Accepted", "True"), ("ResolvedRefs", "False")];
        assert_eq!(taken(&[whole]), Ok(()));
        assert_eq!(taken(&[whole, whole]), Ok(()));
        let waiting = "HTTPRoute web is not accepted yet".to_owned();
        let half: [&[(&str, &str)]; 2] = [&[("Accepted", "True")], &[("ResolvedRefs", "True")]];
        let other: &[(&str, &str)] = &[("Accepted", "True"), ("Programmed", "True")];
        let nothing: &[(&str, &str)] = &[];
        for parents in [vec![], vec![half[0]], vec![half[1]], vec![other], vec![whole, nothing]] {
            assert_eq!(taken(&parents), Err(waiting.clone()), "{parents:?}");
        }
        assert_eq!(taken(&[lost]), Err(waiting + ": no such port (Why)"));
    }

    #[test]
    fn stripping_leaves_what_the_rule_adds_to_the_route() {
        let to = |path, route| {
            stripped(path, route)["urlRewrite"]["path"]["replacePrefixMatch"].as_str().unwrap().to_owned()
        };
        assert_eq!(to("/api", "/api"), "/");
        assert_eq!(to("/api/static", "/api"), "/static");
    }

    #[test]
    fn other_hosts_are_redirected_over_plain_http_too_where_that_is_served() {
        let routes = |redirects: bool| {
            let world = world(&[]);
            let saas = saas(json!({
                "domains": ["a.example"], "redirectFrom": ["www.a.example"], "edge": {"httpsRedirect": redirects},
            }));
            let told = |route: &Manifest| {
                let rule = &route.body["spec"]["rules"][0];
                let to = rule.pointer("/filters/0/requestRedirect/hostname").and_then(Value::as_str).unwrap_or("-");
                format!("{} {} {to} {}", route.name, route.body["spec"]["hostnames"], rule["backendRefs"].is_array())
            };
            Ask { saas: &saas, world: &world }.plain_routes().iter().map(told).collect::<Vec<_>>()
        };
        assert_eq!(routes(true), [r#"app-http ["a.example","www.a.example"] - false"#]);
        let apart = [r#"app-http ["a.example"] - true"#, r#"app-redirect-http ["www.a.example"] a.example false"#];
        assert_eq!(routes(false), apart);
    }

    #[test]
    fn what_the_platforms_gateway_lacks_is_told() {
        let listener = |protocol: &str| Listener {
            name: protocol.to_lowercase(),
            host: None,
            protocol: protocol.into(),
            trouble: None,
        };
        let mut gateway = SharedGateway {
            addresses: Vec::new(),
            listeners: vec![listener("HTTP"), listener("HTTPS")],
            trouble: None,
            namespace: "infra".into(),
            admits: Value::Null,
        };
        let mut world = world(&[]);
        world.config = Config::read("gateway: {class: c, shared: {name: public, namespace: infra}}").unwrap().into();
        let saas = saas(json!({"domains": ["a.example"]}));
        let ask = Ask { saas: &saas, world: &world };
        assert_eq!(ask.told_of_shared(&gateway), " by Gateway infra/public");
        assert_eq!(ask.is_up_and_running(&gateway), Ok(()));
        gateway.listeners.remove(0);
        let told = " by Gateway infra/public, which takes no plain HTTP for a.example";
        assert_eq!(ask.told_of_shared(&gateway), told);
        gateway.trouble = Some("it has no address".into());
        let hold = ask.is_up_and_running(&gateway).unwrap_err();
        assert_eq!((hold.reason, hold.message.contains("it has no address")), ("GatewayPending", true));
    }
}
