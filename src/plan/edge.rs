//! The way in: a Gateway with a listener for each host, HTTPRoutes with redirects and headers, or an Ingress.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::app::Workload;
use super::{Ask, Manifest, Steps, Verdict};
use crate::fault::Hold;
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
    match ask.way()? {
        Way::Gateway => ask.by_gateway(&mut steps),
        Way::Ingress => ask.by_ingress(&mut steps),
    }
    ask.unbuilt(&mut steps);
    steps.or_wait(ask.is_served());
    steps.evidence =
        format!("{} is routed at {}", ask.hosts().join(", "), ask.addresses().unwrap_or_default().join(", "));
    Ok(steps)
}

/// How routes are made in this cluster.
enum Way {
    Gateway,
    Ingress,
}

impl Ask<'_> {
    fn way(self) -> Result<Way, Hold> {
        let config = &self.world.config;
        match (&config.gateway, &config.ingress) {
            (Some(_), _) if self.world.serves(Kind::Gateway) && self.world.serves(Kind::HttpRoute) => Ok(Way::Gateway),
            (_, Some(_)) => Ok(Way::Ingress),
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

    /// Fields of the block that nothing here acts on.
    fn unbuilt(self, steps: &mut Steps) {
        let Some(edge) = &self.saas.spec.edge else { return };
        let by_ingress = matches!(self.way(), Ok(Way::Ingress));
        let fields = [
            ("edge.cors", edge.cors.is_some()),
            ("edge.rateLimit", !edge.rate_limit.is_empty()),
            ("edge.compress", edge.compress.unwrap_or(false)),
            ("edge.originTls", edge.origin_tls.is_some()),
            ("edge.hsts` over an Ingress `", by_ingress && edge.hsts.is_some()),
            ("edge.cache` over an Ingress `", by_ingress && !edge.cache.is_empty()),
        ];
        fields.into_iter().filter(|(_, used)| *used).for_each(|(field, _)| steps.wait(super::unsupported::hold(field)));
    }

    fn by_gateway(self, steps: &mut Steps) {
        let secure = self.world.certificate(&self.hosts()).is_ok();
        if self.gateway_is_own() {
            steps.declare(Manifest::new(Kind::Gateway, self.name(), self.gateway(secure)));
        }
        steps.declare(Manifest::new(Kind::HttpRoute, self.named("http"), self.plain_route()));
        let names = [self.name(), self.named("redirect")];
        if !secure {
            return names.into_iter().for_each(|name| steps.keep(Kind::HttpRoute, name));
        }
        steps.declare(Manifest::new(Kind::HttpRoute, self.name(), self.secure_route()));
        if !self.saas.spec.redirect_from.is_empty() {
            steps.declare(Manifest::new(
                Kind::HttpRoute,
                self.named("redirect"),
                self.redirect_route("https", &self.saas.spec.redirect_from),
            ));
        }
    }

    fn gateway_is_own(self) -> bool {
        self.world.config.gateway.as_ref().is_some_and(|gateway| gateway.shared.is_none())
    }

    /// One plain listener for each host, and once the certificate is there, a secure one.
    fn gateway(self, secure: bool) -> Value {
        let class = self.world.config.gateway.as_ref().map(|gateway| gateway.class.clone());
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
        let covered = hosts.iter().filter(|_| secure).map(|host| listener("https", host));
        json!({"spec": {"gatewayClassName": class, "listeners": plain.chain(covered).collect::<Vec<_>>()}})
    }

    fn parents(self, scheme: &str, hosts: &[String]) -> Value {
        match self.world.config.gateway.as_ref().and_then(|gateway| gateway.shared.as_ref()) {
            Some(shared) => json!([{"name": shared.name, "namespace": shared.namespace}]),
            None => hosts
                .iter()
                .map(|host| json!({"name": self.name(), "sectionName": format!("{scheme}.{host}")}))
                .collect(),
        }
    }

    /// What plain HTTP gets: a redirect, unless the user asked for none.
    fn plain_route(self) -> Value {
        let hosts = self.hosts();
        let redirects = self.saas.spec.edge.as_ref().and_then(|edge| edge.https_redirect).unwrap_or(true);
        if !redirects {
            return json!({"spec": {"parentRefs": self.parents("http", &hosts), "hostnames": hosts, "rules": self.rules(false)}});
        }
        let filter = json!({"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}});
        let rules = json!([{"matches": [prefix("/")], "filters": [filter]}]);
        json!({"spec": {"parentRefs": self.parents("http", &hosts), "hostnames": hosts, "rules": rules}})
    }

    fn secure_route(self) -> Value {
        let domains = &self.saas.spec.domains;
        json!({"spec": {"parentRefs": self.parents("https", domains), "hostnames": domains, "rules": self.rules(true)}})
    }

    /// Sends other hosts to the first domain.
    fn redirect_route(self, scheme: &str, hosts: &[String]) -> Value {
        let to = json!({"scheme": "https", "hostname": self.saas.spec.domains.first(), "statusCode": 301});
        let rules =
            json!([{"matches": [prefix("/")], "filters": [{"type": "RequestRedirect", "requestRedirect": to}]}]);
        json!({"spec": {"parentRefs": self.parents(scheme, hosts), "hostnames": hosts, "rules": rules}})
    }

    /// The way to the solver of http-01 challenges.
    ///
    /// # Errors
    /// There is no way to make routes.
    pub fn solver_route(self, service: &str, (path, hosts): (&str, &[String])) -> Result<Manifest, Hold> {
        if matches!(self.way()?, Way::Gateway) {
            let backend = json!({"group": "", "kind": "Service", "name": service, "port": 80, "weight": 1});
            let rules = json!([{"matches": [prefix(path)], "backendRefs": [backend]}]);
            let body = json!({"spec": {"parentRefs": self.parents("http", hosts), "hostnames": hosts, "rules": rules}});
            return Ok(Manifest::new(Kind::HttpRoute, service, body));
        }
        let rules: Vec<Value> =
            hosts.iter().map(|host| ingress_rule(host, &[(path.to_owned(), service.to_owned())])).collect();
        let class = self.world.config.ingress.as_ref().map(|ingress| ingress.class.clone());
        Ok(Manifest::new(Kind::Ingress, service, json!({"spec": {"ingressClassName": class, "rules": rules}})))
    }

    /// One rule for each path that is treated in its own way: longest prefix wins.
    fn rules(self, secure: bool) -> Value {
        let routes = self.routes();
        let caches = self.saas.spec.edge.as_ref().map(|edge| edge.cache.clone()).unwrap_or_default();
        let paths: BTreeSet<&str> =
            routes.iter().map(|r| r.path.as_str()).chain(caches.iter().map(|c| c.path.as_str())).collect();
        let rule = |path: &str| {
            let route = routes.iter().filter(|r| is_under(path, &r.path)).max_by_key(|r| r.path.len())?;
            let cache = caches.iter().filter(|c| is_under(path, &c.path)).max_by_key(|c| c.path.len());
            let mut filters = self.header_filters(secure, cache.and_then(cache_control));
            if route.strip {
                filters.push(stripped(path, &route.path));
            }
            let backend = json!({"group": "", "kind": "Service", "name": route.service, "port": 80, "weight": 1});
            Some(json!({"matches": [prefix(path)], "filters": filters, "backendRefs": [backend]}))
        };
        paths.into_iter().rev().filter_map(rule).collect()
    }

    fn header_filters(self, secure: bool, cache: Option<&str>) -> Vec<Value> {
        let edge = self.saas.spec.edge.clone().unwrap_or_default();
        let hsts = edge.hsts.filter(|_| secure).map(|hsts| {
            let subdomains = if hsts.include_subdomains.unwrap_or(false) { "; includeSubDomains" } else { "" };
            let preload = if hsts.preload.unwrap_or(false) { "; preload" } else { "" };
            ("Strict-Transport-Security", format!("max-age={}{subdomains}{preload}", hsts.max_age_seconds))
        });
        let cache = cache.map(|value| ("Cache-Control", value.to_owned()));
        let security = SECURITY_HEADERS.into_iter().filter(|_| edge.security_headers.unwrap_or(false));
        let headers = hsts.into_iter().chain(cache).chain(security.map(|(name, value)| (name, value.to_owned())));
        let set: Vec<Value> = headers.map(|(name, value)| json!({"name": name, "value": value})).collect();
        if set.is_empty() {
            Vec::new()
        } else {
            vec![json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": set}})]
        }
    }

    /// Which path leads to which Service.
    fn routes(self) -> Vec<Leads> {
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
        match spec.routes.is_empty() {
            true => leads.push(Leads { path: "/".into(), strip: false, service: self.name() }),
            false => leads.extend(lead(&workloads[0], &spec.routes)),
        }
        leads
    }

    fn by_ingress(self, steps: &mut Steps) {
        let class = self.world.config.ingress.as_ref().map(|ingress| ingress.class.clone());
        let paths: Vec<(String, String)> = self.routes().into_iter().map(|lead| (lead.path, lead.service)).collect();
        let rules: Vec<Value> = self.saas.spec.domains.iter().map(|host| ingress_rule(host, &paths)).collect();
        let mut spec = json!({"ingressClassName": class, "rules": rules});
        if self.world.certificate(&self.hosts()).is_ok() {
            spec["tls"] = json!([{"hosts": self.hosts(), "secretName": self.tls_name()}]);
        }
        steps.declare(Manifest::new(Kind::Ingress, self.name(), json!({"spec": spec})));
    }

    /// The public addresses of the route.
    ///
    /// # Errors
    /// The gateway has none yet.
    pub fn addresses(self) -> Result<Vec<String>, Hold> {
        if !self.world.config.addresses.is_empty() {
            return Ok(self.world.config.addresses.clone());
        }
        let gateway = self.world.field(Kind::Gateway, &self.name(), "/status/addresses");
        let balancer = self.world.field(Kind::Ingress, &self.name(), "/status/loadBalancer/ingress");
        let list = gateway.or(balancer).and_then(Value::as_array).cloned().unwrap_or_default();
        let text = |entry: &Value| {
            ["value", "ip", "hostname"].into_iter().find_map(|key| Some(entry.get(key)?.as_str()?.to_owned()))
        };
        let addresses: Vec<String> = list.iter().filter_map(text).collect();
        match addresses.is_empty() {
            true => Err(Hold::event("AddressPending", "the route has no address yet: see EdgeReady")),
            false => Ok(addresses),
        }
    }

    /// Whether the gateway has taken the routes.
    pub fn is_served(self) -> Result<(), Hold> {
        if matches!(self.way()?, Way::Ingress) {
            return self.addresses().map(|_| ());
        }
        if self.gateway_is_own() && !self.world.has_condition(Kind::Gateway, &self.name(), "Programmed") {
            return Err(Hold::event(
                "GatewayPending",
                format!(
                    "Gateway {} is not programmed yet{}",
                    self.name(),
                    self.refusal(Kind::Gateway, &self.name(), "/status/conditions")
                ),
            ));
        }
        self.addresses()?;
        let secure = self.world.certificate(&self.hosts()).map(|_| self.name());
        self.is_accepted(&self.named("http"))?;
        self.is_accepted(&secure?)
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

fn prefix(path: &str) -> Value {
    json!({"path": {"type": "PathPrefix", "value": path}})
}

/// Whether `path` lies at or below `prefix`, by whole segments.
fn is_under(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn stripped(path: &str, route: &str) -> Value {
    let rest = path.strip_prefix(route.trim_end_matches('/')).filter(|rest| !rest.is_empty()).unwrap_or("/");
    json!({"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": rest}}})
}

fn cache_control(cache: &crate::api::CacheRule) -> Option<&'static str> {
    match (cache.immutable.unwrap_or(false), cache.no_cache.unwrap_or(false)) {
        (true, _) => Some("public, max-age=31536000, immutable"),
        (_, true) => Some("no-cache"),
        _ => None,
    }
}

fn ingress_rule(host: &str, paths: &[(String, String)]) -> Value {
    let backend = |service: &String| json!({"service": {"name": service, "port": {"number": 80}}});
    let paths: Vec<Value> = paths
        .iter()
        .map(|(path, service)| json!({"path": path, "pathType": "Prefix", "backend": backend(service)}))
        .collect();
    json!({"host": host, "http": {"paths": paths}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_under_another_by_whole_segments() {
        assert!(is_under("/static", "/") && is_under("/api/v1", "/api") && is_under("/api", "/api"));
        assert!(!is_under("/apiary", "/api") && !is_under("/", "/api"));
    }

    #[test]
    fn stripping_leaves_what_the_rule_adds_to_the_route() {
        let to = |path, route| {
            stripped(path, route)["urlRewrite"]["path"]["replacePrefixMatch"].as_str().unwrap().to_owned()
        };
        assert_eq!(to("/api", "/api"), "/");
        assert_eq!(to("/api/static", "/api"), "/static");
    }
}
