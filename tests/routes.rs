//! Every way by which a platform team lets traffic in, on a real cluster: Ingress, its own Gateway, listeners that
//! applications bring, certificates proven over HTTP, no Gateway API at all.

#[path = "routes/platform.rs"]
mod platform;
#[allow(dead_code)]
#[path = "cluster/stage.rs"]
mod stage;

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use platform::{
    condition, gateway, install_kinds, names, operate, outsider, platform_certificate, point, rows, set_status, shows,
    starts,
};
use serde_json::{Value, json};
use stage::{Outcome, Stage, run, stage, until};

const CSVBOARD: &str = include_str!("../examples/s0-csvboard.yaml");

/// The stage, for one scenario at a time: each has another operator.
fn alone() -> Outcome<(&'static Stage, MutexGuard<'static, ()>)> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((stage(&["csvboard", "hello"])?, turn))
}

/// A SaasDeployment of `hello` at `name.example.com`, with more fields.
fn hello((namespace, name): (&str, &str), more: Value) -> String {
    let mut spec = json!({"image": "registry.example.com/hello:1.0.0", "domains": [format!("{name}.example.com")]});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    let metadata = json!({"name": name, "namespace": namespace});
    json!({"apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment", "metadata": metadata, "spec": spec})
        .to_string()
}

/// The next scenario has another operator: nothing may be left that it would take up.
fn leave(stage: &Stage, (namespace, name): (&str, &str)) -> Outcome<()> {
    stage.kubectl(&["delete", "saas", name, "-n", namespace, "--timeout=90s"]).map(drop)
}

fn message(condition: &Value) -> &str {
    condition["message"].as_str().unwrap_or_default()
}

#[test]
fn ingress_with_traefik_takes_applications_live_whole() -> Outcome<()> {
    let (stage, _turn) = alone()?;
    operate(stage, json!({"ingress": {"class": "traefik"}}))?;
    stage.tenant("csvboard")?;
    stage.tenant("paths")?;
    stage.apply(CSVBOARD)?;
    let routed = json!({
        "routes": [{"path": "/"}, {"path": "/tool", "stripPrefix": true}],
        "edge": {"httpsRedirect": false, "securityHeaders": true},
    });
    stage.apply(&hello(("paths", "paths"), routed))?;
    outsider(stage, "proven")?;
    point(stage, ("example.com", "proven.example.com"), &stage.env["GATEWAY_HOST"])?;
    stage.apply(&hello(("proven", "proven"), json!({})))?;
    stage.live("paths", "paths")?;
    treated_by_path(stage)?;
    stage.live("proven", "proven")?;
    shows(stage, ("https://proven.example.com/", &[]), "http/2 200")?;
    an_annotation_is_put_back(stage)?;
    leave(stage, ("proven", "proven"))?;
    stage.live("csvboard", "csvboard")?;
    as_by_gateway(stage)?;
    stage.apply(&hello(("paths", "paths"), json!({})))?;
    let few = [
        "ingress.networking.k8s.io/paths",
        "ingress.networking.k8s.io/paths-http",
        "middleware.traefik.io/paths-https",
    ];
    until(Duration::from_secs(60), || Ok((names(stage, ("paths", "ingresses,middlewares"))? == few).then_some(())))?;
    shows(stage, ("http://paths.example.com/", &[]), "301 moved permanently")?;
    leave(stage, ("paths", "paths"))?;
    leave(stage, ("csvboard", "csvboard"))
}

/// Without it, Traefik would take no HTTPS for the host.
fn an_annotation_is_put_back(stage: &Stage) -> Outcome<()> {
    let (tls, ingress) = ("traefik.ingress.kubernetes.io/router.tls", ["ingress", "proven", "-n", "proven"]);
    stage.kubectl(&[&["annotate"], ingress.as_slice(), &[&format!("{tls}-")]].concat())?;
    until(Duration::from_secs(30), || {
        let found = stage.json(&[&["get"], ingress.as_slice()].concat())?;
        Ok((found["metadata"]["annotations"][tls] == "true").then_some(()))
    })?;
    stage.event("proven", "DriftRepaired", "Ingress proven")
}

fn treated_by_path(stage: &Stage) -> Outcome<()> {
    shows(stage, ("https://paths.example.com/tool/health", &[]), "http/2 200")?;
    let plain = shows(stage, ("http://paths.example.com/tool/health", &[]), "http/1.1 200")?;
    assert!(plain.contains("x-content-type-options: nosniff"), "{plain}");
    let none = shows(stage, ("https://paths.example.com/other/health", &[]), "http/2 404")?;
    assert!(none.contains("x-frame-options: deny"), "{none}");
    Ok(())
}

/// What the scenario of the Gateway API sees too.
fn as_by_gateway(stage: &Stage) -> Outcome<()> {
    let health = shows(stage, ("https://app.example.com/health", &[]), "http/2 200")?;
    assert!(health.contains("strict-transport-security: max-age=31536000"), "{health}");
    assert!(health.contains("cache-control: no-cache"), "{health}");
    shows(stage, ("https://app.example.com/static/none", &[]), "cache-control: public, max-age=31536000, immutable")?;
    shows(stage, ("https://app.example.com/statics", &[]), "cache-control: no-cache")?;
    let plain = shows(stage, ("http://app.example.com/x", &[]), "301 moved permanently")?;
    assert!(plain.contains("location: https://app.example.com/x") && !plain.contains("strict-transport"), "{plain}");
    let www = shows(stage, ("https://www.app.example.com/a?b=c", &[]), "http/2 301")?;
    assert!(www.contains("location: https://app.example.com/a?b=c"), "{www}");
    assert_eq!(names(stage, ("csvboard", "gateways,httproutes"))?, Vec::<String>::new());
    Ok(())
}

#[test]
fn what_an_ingress_class_cannot_do_is_said() -> Outcome<()> {
    let (stage, _turn) = alone()?;
    let who = ("limits", "limits");
    operate(stage, json!({"ingress": {"class": "other"}}))?;
    stage.tenant("limits")?;
    stage.apply(&hello(
        who,
        json!({"edge": {"hsts": {"maxAgeSeconds": 60}}, "redirectFrom": ["www.limits.example.com"]}),
    ))?;
    stage.condition(who, "EdgeReady", ("False", "ClassMissing"))?;
    let class = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "other"},
        "spec": {"controller": "example.com/other"},
    });
    stage.apply(&class.to_string())?;
    let refused = stage.condition(who, "EdgeReady", ("False", "NotSupported"))?;
    let told = message(&refused);
    assert!(told.contains("`spec.edge.hsts`") && told.contains("`spec.redirectFrom`"), "{told}");
    stage.condition(who, "Stalled", ("True", "NotSupported"))?;
    stage.apply(&hello(who, json!({})))?;
    stage.condition(who, "EdgeReady", ("False", "AddressPending"))?;
    let status = json!({"loadBalancer": {"ingress": [{"ip": stage.env["GATEWAY_HOST"]}]}});
    set_status(stage, ("ingress", "limits", "limits"), status)?;
    stage.live("limits", "limits")?;
    let served = stage.condition(who, "EdgeReady", ("True", ""))?;
    assert!(message(&served).contains("what plain HTTP gets is up to IngressClass `other`"), "{served}");
    leave(stage, who)?;
    stage.kubectl(&["delete", "ingressclass", "other"]).map(drop)
}

#[test]
fn a_shared_gateway_brings_its_certificate_and_that_is_said() -> Outcome<()> {
    let (stage, _turn) = alone()?;
    let who = ("tenant", "shared");
    operate(stage, json!({"gateway": {"class": "traefik", "shared": {"name": "public", "namespace": "platform"}}}))?;
    let root = platform_certificate(stage)?;
    stage.tenant("tenant")?;
    let more = json!({"redirectFrom": ["www-shared.example.com"], "edge": {"hsts": {"maxAgeSeconds": 60}}});
    stage.apply(&hello(who, more.clone()))?;
    stage.condition(who, "EdgeReady", ("False", "GatewayMissing"))?;
    stage.condition(who, "TlsReady", ("False", "GatewayMissing"))?;
    let everybody = json!({"namespaces": {"from": "All"}});
    let plain = json!({"name": "plain", "port": 80, "protocol": "HTTP", "allowedRoutes": everybody});
    stage.apply(&gateway("public", json!({"gatewayClassName": "traefik", "listeners": [plain]})))?;
    stage.condition(who, "TlsReady", ("False", "ListenerMissing"))?;
    let secure = json!({
        "name": "secure", "port": 443, "protocol": "HTTPS", "hostname": "*.example.com", "allowedRoutes": everybody,
        "tls": {"mode": "Terminate", "certificateRefs": [{"name": "wildcard"}]},
    });
    stage.apply(&gateway("public", json!({"gatewayClassName": "traefik", "listeners": [plain, secure]})))?;
    stage.live("tenant", "shared")?;
    on_the_shared_gateway(stage, &root)?;
    let mut own = more;
    own["tls"] = json!({"secretName": "own"});
    stage.apply(&hello(who, own))?;
    let refused = stage.condition(who, "TlsReady", ("False", "NotSupported"))?;
    assert!(message(&refused).contains("`spec.tls.secretName`"), "{refused}");
    leave(stage, who)?;
    stage.kubectl(&["delete", "namespace", "platform", "--timeout=60s"]).map(drop)
}

fn on_the_shared_gateway(stage: &Stage, root: &str) -> Outcome<()> {
    let trusting = ["--cacert", root];
    let home = shows(stage, ("https://shared.example.com/", &trusting), "http/2 200")?;
    assert!(home.contains("strict-transport-security: max-age=60"), "{home}");
    let plain = shows(stage, ("http://shared.example.com/x", &[]), "301 moved permanently")?;
    assert!(plain.contains("location: https://shared.example.com/x"), "{plain}");
    let other = shows(stage, ("https://www-shared.example.com/x", &trusting), "http/2 301")?;
    assert!(other.contains("location: https://shared.example.com/x"), "{other}");
    let tls = stage.condition(("tenant", "shared"), "TlsReady", ("True", ""))?;
    assert!(message(&tls).contains("Gateway platform/public brings its own certificate"), "{tls}");
    assert_eq!(
        names(stage, ("tenant", "gateways,listenersets.gateway.networking.k8s.io")).unwrap_or_default(),
        Vec::<String>::new()
    );
    assert!(stage.kubectl(&["get", "secret", "shared-tls", "-n", "tenant"]).is_err(), "a certificate was ordered");
    let rows = rows(stage, ("example.com", "shared.example.com"))?;
    let leads = ("A".to_owned(), stage.env["GATEWAY_HOST"].clone());
    assert!(rows.len() == 2 && rows.iter().all(|row| *row == leads), "{rows:?}");
    Ok(())
}

/// No gateway here takes ListenerSets: the objects are real and the API server judges them, and their statuses are
/// written by the scenario, as such a gateway would.
#[test]
fn listeners_are_brought_to_a_gateway_that_takes_them() -> Outcome<()> {
    let (stage, _turn) = alone()?;
    let who = ("bring", "bring");
    install_kinds(stage, "listener-sets")?;
    class_with_listener_sets(stage)?;
    operate(stage, json!({"gateway": {"class": "listeners", "shared": {"name": "edge", "namespace": "platform"}}}))?;
    stage.tenant("bring")?;
    stage.apply(&hello(who, json!({"domains": ["bring.example.com", "second.example.com"]})))?;
    stage.condition(who, "TlsReady", ("True", ""))?;
    stage.condition(who, "EdgeReady", ("False", "GatewayPending"))?;
    let set = until(Duration::from_secs(30), || {
        let set = stage.json(&["get", "listenersets.gateway.networking.k8s.io", "bring", "-n", "bring"])?;
        Ok((set["spec"]["listeners"].as_array().is_some_and(|listeners| listeners.len() == 4)).then_some(set))
    })?;
    assert_eq!(set["spec"]["parentRef"]["name"], "edge");
    let secure = set["spec"]["listeners"].as_array().into_iter().flatten().filter(|l| l["protocol"] == "HTTPS");
    let certificates: Vec<&Value> = secure.map(|listener| &listener["tls"]["certificateRefs"][0]["name"]).collect();
    assert_eq!(certificates, ["bring-tls", "bring-tls"]);
    take_listeners(stage)?;
    stage.live("bring", "bring")?;
    assert_eq!(names(stage, ("bring", "gateways"))?, Vec::<String>::new());
    set_status(stage, ("gatewayclass", "", "listeners"), json!({"supportedFeatures": [{"name": "HTTPRoute"}]}))?;
    let without = stage.condition(who, "TlsReady", ("False", "ListenerMissing"))?;
    assert!(message(&without).contains("Gateway platform/edge has no HTTPS listener"), "{without}");
    leave(stage, who)?;
    stage.kubectl(&["delete", "namespace", "platform", "--timeout=60s"])?;
    stage.kubectl(&["delete", "gatewayclass", "listeners"])?;
    stage.kubectl(&["delete", "crd", "listenersets.gateway.networking.k8s.io"])?;
    install_kinds(stage, "gateway-api")
}

fn class_with_listener_sets(stage: &Stage) -> Outcome<()> {
    let class = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "listeners"},
        "spec": {"controllerName": "example.com/listeners"},
    });
    stage.apply(&class.to_string())?;
    let features = json!([{"name": "Gateway"}, {"name": "HTTPRoute"}, {"name": "ListenerSet"}]);
    set_status(
        stage,
        ("gatewayclass", "", "listeners"),
        json!({"conditions": [condition("Accepted", "True")], "supportedFeatures": features}),
    )?;
    platform_certificate(stage)?;
    let tenants = json!({"from": "Selector", "selector": {"matchLabels": {"golive.dev/tenant": "yes"}}});
    let listener = json!({"name": "own", "port": 80, "protocol": "HTTP", "hostname": "status.example.com"});
    let spec =
        json!({"gatewayClassName": "listeners", "allowedListeners": {"namespaces": tenants}, "listeners": [listener]});
    stage.apply(&gateway("edge", spec))?;
    let addresses = json!([{"type": "IPAddress", "value": stage.env["GATEWAY_HOST"]}]);
    let status =
        json!({"addresses": addresses, "conditions": [condition("Accepted", "True"), condition("Programmed", "True")]});
    set_status(stage, ("gateway", "platform", "edge"), status)
}

/// What a gateway writes once it has taken the listeners and the routes.
fn take_listeners(stage: &Stage) -> Outcome<()> {
    let taken = [condition("Accepted", "True"), condition("Programmed", "True")];
    let set = ("listenersets.gateway.networking.k8s.io", "bring", "bring");
    set_status(stage, set, json!({"conditions": taken}))?;
    for route in ["bring", "bring-http"] {
        let found = stage.json(&["get", "httproute", route, "-n", "bring"])?;
        let parents = found["spec"]["parentRefs"].as_array().cloned().unwrap_or_default();
        assert!(
            parents.iter().all(|parent| parent["kind"] == "ListenerSet" && parent["name"] == "bring"),
            "{parents:?}"
        );
        let conditions = [condition("Accepted", "True"), condition("ResolvedRefs", "True")];
        let taken = |parent: &Value| json!({"parentRef": parent, "controllerName": "example.com/listeners", "conditions": conditions});
        let parents: Vec<Value> = parents.iter().map(taken).collect();
        set_status(stage, ("httproute", "bring", route), json!({"parents": parents}))?;
    }
    Ok(())
}

#[test]
fn a_host_whose_zone_is_not_ours_is_proven_over_http() -> Outcome<()> {
    let (stage, _turn) = alone()?;
    let (who, zone) = (("selfmade", "self"), "example.com");
    operate(stage, json!({"gateway": {"class": "traefik"}, "addresses": ["front.duespark.example"]}))?;
    outsider(stage, "selfmade")?;
    stage.apply(&hello(who, json!({})))?;
    let waits = stage.condition(who, "TlsReady", ("False", "ProofPending"))?;
    until(Duration::from_secs(30), || Ok(solver(stage)?.contains("job.batch/self-solver").then_some(())))?;
    let told = until(Duration::from_secs(30), || {
        let found = stage.condition(who, "TlsReady", ("False", "ProofPending"))?;
        Ok(message(&found).contains("point self.example.com to front.duespark.example").then_some(found))
    });
    told.map_err(|e| format!("{e}: {waits}"))?;
    let dns = stage.condition(who, "DnsReady", ("True", ""))?;
    assert!(message(&dns).contains("point it to front.duespark.example"), "{dns}");
    point(stage, (zone, "self.example.com"), &stage.env["GATEWAY_HOST"])?;
    stage.live("selfmade", "self")?;
    shows(stage, ("https://self.example.com/", &[]), "http/2 200")?;
    until(Duration::from_secs(30), || Ok(solver(stage)?.is_empty().then_some(())))?;
    assert_eq!(rows(stage, (zone, "self.example.com"))?, [("A".to_owned(), stage.env["GATEWAY_HOST"].clone())]);
    leave(stage, who)
}

/// What stands of the solver, pods included.
fn solver(stage: &Stage) -> Outcome<String> {
    let kinds = "jobs,pods,services,networkpolicies,httproutes";
    let found = stage.kubectl(&["get", kinds, "-n", "selfmade", "-o", "name"])?;
    Ok(found.lines().filter(|line| line.contains("self-solver")).collect::<Vec<_>>().join(" "))
}

#[test]
fn static_addresses_are_what_names_lead_to() -> Outcome<()> {
    let (stage, _turn) = alone()?;
    operate(stage, json!({"gateway": {"class": "traefik"}, "addresses": ["front.pospal.example"]}))?;
    point(stage, ("pospal.example", "front.pospal.example"), &stage.env["GATEWAY_HOST"])?;
    stage.tenant("fixed")?;
    let smoke = json!({"smoke": [{"name": "home", "get": "/", "status": 200}]});
    stage.apply(&hello(("fixed", "fixed"), json!({"release": smoke})))?;
    stage.live("fixed", "fixed")?;
    assert_eq!(
        rows(stage, ("example.com", "fixed.example.com"))?,
        [("CNAME".to_owned(), "front.pospal.example".to_owned())]
    );
    let (server, port) = stage.env["DNS_SERVER"].split_once(':').ok_or("no port")?;
    let answer =
        run(Command::new("dig").args([&format!("@{server}"), "-p", port, "+short", "fixed.example.com", "A"]))?;
    assert_eq!(answer.lines().collect::<Vec<_>>(), ["front.pospal.example.", &stage.env["GATEWAY_HOST"]]);
    shows(stage, ("https://fixed.example.com/", &[]), "http/2 200")?;
    leave(stage, ("fixed", "fixed"))
}

#[test]
fn a_gateway_api_that_comes_late_is_taken_up_without_a_touch() -> Outcome<()> {
    let (stage, _turn) = alone()?;
    let who = ("late", "late");
    operate(stage, json!({"gateway": {"class": "traefik"}}))?;
    let before = starts(stage)?;
    let kinds = ["gateways.gateway.networking.k8s.io", "httproutes.gateway.networking.k8s.io"];
    stage.kubectl(&["delete", "crd", kinds[0], kinds[1], "--timeout=60s"])?;
    stage.tenant("late")?;
    stage.apply(&hello(who, json!({})))?;
    let missing = stage.condition(who, "EdgeReady", ("False", "GatewayApiMissing"));
    let running = stage.condition(who, "AppReady", ("True", ""));
    install_kinds(stage, "gateway-api")?;
    assert!(message(&missing?).contains("install the Gateway API"));
    running?;
    stage.live("late", "late")?;
    shows(stage, ("https://late.example.com/", &[]), "http/2 200")?;
    assert_eq!(starts(stage)?, before, "the operator was started anew");
    from_gateway_to_ingress(stage, who)?;
    leave(stage, who)
}

/// The platform team chooses another way for what is live.
fn from_gateway_to_ingress(stage: &Stage, (namespace, name): (&str, &str)) -> Outcome<()> {
    let address = format!("https://{name}.example.com/");
    operate(stage, json!({"ingress": {"class": "traefik"}}))?;
    until(Duration::from_secs(60), || Ok(names(stage, (namespace, "gateways,httproutes"))?.is_empty().then_some(())))?;
    stage.live(namespace, name)?;
    shows(stage, (&address, &[]), "http/2 200").map(drop)
}
