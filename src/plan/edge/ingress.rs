//! Ingress: what the standard has (<https://kubernetes.io/docs/concepts/services-networking/ingress/>), and with
//! Traefik's Middlewares the rest (<https://doc.traefik.io/traefik/reference/routing-configuration/kubernetes/ingress/>).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Leads, Treatment, Way};
use crate::fault::Hold;
use crate::kinds::Kind;
use crate::plan::names::{hash_of, joined};
use crate::plan::{Ask, Manifest, Steps};

/// What a class of Traefik's is controlled by.
const TRAEFIK: &str = "traefik.io/ingress-controller";
/// Traefik's annotation for a router that takes HTTPS.
const TLS: &str = "traefik.ingress.kubernetes.io/router.tls";
/// Traefik's annotation for what requests pass on their way.
const MIDDLEWARES: &str = "traefik.ingress.kubernetes.io/router.middlewares";
/// Traefik's annotation for the rank of a rule; without it the longer rule wins.
const PRIORITY: &str = "traefik.ingress.kubernetes.io/router.priority";
/// Above rules for every host, below any rule that names one: where an entry point makes every router one for HTTPS, the
/// redirect must not win over the application.
const LOW: &str = "20";

impl<'a> Ask<'a> {
    /// The way by Ingress, with Traefik's own kinds where the class is Traefik's and the cluster serves them.
    pub(super) fn ingress_way(self, class: &str) -> Result<Way<'a>, Hold> {
        match &self.world.ground.controller {
            None => Err(Hold::event(
                "ClassMissing",
                format!("IngressClass `{class}` does not exist: the operator's configuration names it"),
            )),
            Some(controller) if controller == TRAEFIK && self.world.serves(Kind::Middleware) => Ok(Way::Traefik),
            Some(_) => Ok(Way::Ingress),
        }
    }

    /// The class, for people.
    pub(super) fn class_name(self) -> String {
        let class = self.world.config.ingress.as_ref().map(|ingress| ingress.class.as_str());
        format!("IngressClass `{}`", class.unwrap_or_default())
    }

    /// What the standard has no field for is said, and not left out in silence.
    pub(super) fn beyond_ingress(self, steps: &mut Steps) {
        let (spec, edge) = (&self.saas.spec, self.saas.spec.edge.clone().unwrap_or_default());
        let fields = [
            ("edge.hsts", edge.hsts.is_some()),
            ("edge.cache", !edge.cache.is_empty()),
            ("edge.securityHeaders", edge.security_headers.unwrap_or(false)),
            ("edge.httpsRedirect", edge.https_redirect == Some(true)),
            ("redirectFrom", !spec.redirect_from.is_empty()),
            ("routes[].stripPrefix", self.routes().iter().any(|lead| lead.strip)),
        ];
        let used: Vec<String> =
            fields.iter().filter(|(_, used)| *used).map(|(field, _)| format!("`spec.{field}`")).collect();
        if !used.is_empty() {
            let message = format!(
                "{} cannot do {}: Ingress has no field for it, and golive knows another way only for Traefik with its Middleware kind; remove it, or route by Gateway API",
                self.class_name(),
                used.join(", ")
            );
            steps.wait(Hold::person("NotSupported", message));
        }
    }

    /// An Ingress by which hosts lead to Services.
    pub(super) fn ingress(self, name: &str, hosts: &[String], leads: &[Leads]) -> Manifest {
        let backend = |service: &str| json!({"service": {"name": service, "port": {"number": 80}}});
        let path = |lead: &Leads| {
            let matched = self.matched(&lead.path).into_iter();
            matched
                .map(|(path, kind)| json!({"path": path, "pathType": kind, "backend": backend(&lead.service)}))
                .collect::<Vec<_>>()
        };
        let paths: Vec<Value> = leads.iter().flat_map(path).collect();
        let rules: Vec<Value> = hosts.iter().map(|host| json!({"host": host, "http": {"paths": paths}})).collect();
        let class = self.world.config.ingress.as_ref().map(|ingress| ingress.class.clone());
        Manifest::new(Kind::Ingress, name, json!({"spec": {"ingressClassName": class, "rules": rules}}))
    }

    /// How a path and all below it are matched. Traefik takes `/api` for the beginning of `/apiary` too, unless it is
    /// told otherwise (`strictPrefixMatching`), which cannot be seen from here.
    fn matched(self, path: &str) -> Vec<(String, &'static str)> {
        match self.way() {
            Ok(Way::Traefik) if path != "/" => {
                let path = path.trim_end_matches('/');
                vec![(path.to_owned(), "Exact"), (format!("{path}/"), "Prefix")]
            }
            _ => vec![(path.to_owned(), "Prefix")],
        }
    }

    pub(super) fn by_ingress(self, steps: &mut Steps) {
        let mut ingress = self.ingress(&self.name(), &self.saas.spec.domains, &self.routes());
        let covered: Vec<String> = self.hosts().into_iter().filter(|host| self.is_covered(host)).collect();
        if !covered.is_empty() {
            ingress.body["spec"]["tls"] = json!([{"hosts": covered, "secretName": self.tls_name()}]);
        }
        steps.declare(ingress);
    }

    pub(super) fn by_traefik(self, steps: &mut Steps) {
        if self.redirects() {
            self.to_https(steps);
        }
        for (place, group) in self.groups().iter().enumerate() {
            self.group(place, group, steps);
        }
        self.canonical(steps);
    }

    /// Sends plain HTTP to HTTPS, for every host.
    fn to_https(self, steps: &mut Steps) {
        let middleware = self.middleware("https", json!({"redirectScheme": {"scheme": "https", "permanent": true}}));
        let ingress = self.ingress(&self.named("http"), &self.hosts(), &self.everything());
        let mut ingress = self.passing(ingress, &[&middleware]);
        ingress.annotations.insert(PRIORITY.to_owned(), LOW.to_owned());
        steps.declare(ingress);
        steps.declare(middleware);
    }

    /// Paths whose requests pass the same: over HTTPS, and over plain HTTP where that is not redirected.
    fn group(self, place: usize, group: &Group, steps: &mut Steps) {
        let suffix = hash_of(&group.paths(), 6);
        let of_place = |base: String| if place == 0 { base } else { joined(&base, &suffix) };
        let passed: Vec<&Manifest> = group.middlewares.iter().collect();
        let ingress = |name: &str| self.passing(self.ingress(name, &self.saas.spec.domains, &group.leads), &passed);
        if !self.redirects() {
            steps.declare(ingress(&of_place(self.named("http"))));
        }
        self.declare_secure(ingress(&of_place(self.name())), steps);
        passed.into_iter().for_each(|middleware| declare_once(middleware, steps));
    }

    /// Sends other hosts to the first domain.
    fn canonical(self, steps: &mut Steps) {
        let spec = &self.saas.spec;
        let Some(first) = spec.domains.first().filter(|_| !spec.redirect_from.is_empty()) else { return };
        let replacement = format!("https://{first}/${{1}}");
        let to = json!({"regex": "^https?://[^/]+/(.*)", "replacement": replacement, "permanent": true});
        let middleware = self.middleware("redirect", json!({"redirectRegex": to}));
        let of = |name: &str| {
            let ingress = self.ingress(&self.named(name), &spec.redirect_from, &self.everything());
            self.passing(ingress, &[&middleware])
        };
        if !self.redirects() {
            steps.declare(of("redirect-http"));
        }
        self.declare_secure(of("redirect"), steps);
        steps.declare(middleware);
    }

    /// All paths: a router needs a Service, even where nothing reaches it.
    fn everything(self) -> [Leads; 1] {
        [Leads { path: "/".into(), strip: false, service: self.name() }]
    }

    /// The paths, by what their requests pass; that with the shortest path first.
    fn groups(self) -> Vec<Group> {
        let mut groups: BTreeMap<Vec<String>, Group> = BTreeMap::new();
        for treatment in self.treatments().into_iter().rev() {
            let middlewares = self.passed(&treatment);
            let names: Vec<String> = middlewares.iter().map(|m| m.name.clone()).collect();
            let group = groups.entry(names).or_insert(Group { middlewares, leads: Vec::new() });
            group.leads.push(Leads { path: treatment.path, strip: false, service: treatment.service });
        }
        let mut groups: Vec<Group> = groups.into_values().collect();
        groups.sort_by_key(Group::paths);
        groups
    }

    /// What requests below a path pass.
    fn passed(self, treatment: &Treatment) -> Vec<Manifest> {
        let strip = treatment.stripped.as_ref().map(|path| json!({"stripPrefix": {"prefixes": [path]}}));
        let strip = strip.map(|spec| self.middleware(&format!("strip-{}", hash_of(&spec, 6)), spec));
        let mut headers = json!({});
        let others = self.headers(treatment.cache);
        if !others.is_empty() {
            let others: BTreeMap<&str, &str> = others.into_iter().collect();
            headers["customResponseHeaders"] = json!(others);
        }
        if let Some(hsts) = self.saas.spec.edge.as_ref().and_then(|edge| edge.hsts.as_ref()) {
            headers["stsSeconds"] = json!(hsts.max_age_seconds);
            headers["stsIncludeSubdomains"] = json!(hsts.include_subdomains.unwrap_or(false));
            headers["stsPreload"] = json!(hsts.preload.unwrap_or(false));
        }
        let used = headers != json!({});
        let headers =
            used.then(|| self.middleware(&format!("headers-{}", hash_of(&headers, 6)), json!({"headers": headers})));
        headers.into_iter().chain(strip).collect()
    }

    fn middleware(self, suffix: &str, spec: Value) -> Manifest {
        Manifest::new(Kind::Middleware, self.named(suffix), json!({"spec": spec}))
    }

    /// An Ingress whose requests pass Middlewares of its namespace, in order.
    fn passing(self, mut ingress: Manifest, middlewares: &[&Manifest]) -> Manifest {
        let namespace = self.saas.metadata.namespace.clone().unwrap_or_default();
        let names: Vec<String> = middlewares.iter().map(|m| format!("{namespace}-{}@kubernetescrd", m.name)).collect();
        if !names.is_empty() {
            ingress.annotations.insert(MIDDLEWARES.to_owned(), names.join(","));
        }
        ingress
    }

    /// Declares an Ingress that takes HTTPS. While the certificate is missing, one that is there stays.
    fn declare_secure(self, mut ingress: Manifest, steps: &mut Steps) {
        if self.is_secured().is_err() {
            return steps.keep(Kind::Ingress, ingress.name);
        }
        ingress.annotations.insert(TLS.to_owned(), "true".to_owned());
        ingress.body["spec"]["tls"] = json!([{"hosts": self.hosts(), "secretName": self.tls_name()}]);
        steps.declare(ingress);
    }
}

/// Paths whose requests pass the same.
struct Group {
    middlewares: Vec<Manifest>,
    leads: Vec<Leads>,
}

impl Group {
    fn paths(&self) -> Vec<String> {
        self.leads.iter().map(|lead| lead.path.clone()).collect()
    }
}

fn declare_once(middleware: &Manifest, steps: &mut Steps) {
    if !steps.manifests.iter().any(|m| m.kind == middleware.kind && m.name == middleware.name) {
        steps.declare(middleware.clone());
    }
}
