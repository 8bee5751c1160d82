//! The objects of each way of routing, whole, as text. `GOLDEN=write cargo test --test edge` writes anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use golive::api::SaasDeployment;
use golive::certificate::Certificate;
use golive::config::Config;
use golive::ground::{Facts, Listener, SharedGateway};
use golive::kinds::Kind;
use golive::plan::{Part, Steps, plan};
use golive::rows::Mark;
use golive::world::World;
use jiff::Timestamp;
use serde_json::{Value, json};

const SHARED: &str = "gateway: {class: c, shared: {name: public, namespace: infra}}";
const INGRESS: &str = "ingress: {class: web}";

fn csvboard() -> SaasDeployment {
    let text = include_str!("../examples/s0-csvboard.yaml");
    serde_saphyr::from_str(text).unwrap()
}

/// An application with everything that routes can have.
fn whole() -> SaasDeployment {
    let mut saas = csvboard();
    saas.spec.edge.as_mut().unwrap().security_headers = Some(true);
    saas.spec.routes = serde_json::from_value(json!([{"path": "/"}, {"path": "/tool", "stripPrefix": true}])).unwrap();
    saas
}

fn world(config: &str, facts: Facts) -> World {
    let mark = Mark { cluster: "00000000".into(), owner: "000000000000".into(), label: String::new() };
    let config = Arc::new(Config::read(config).unwrap());
    let mut world = World::new(Timestamp::UNIX_EPOCH, [0; 32], config, mark);
    world.served = Kind::ALL.into();
    world.ground = Arc::new(facts);
    world.namespace_labels = BTreeMap::from([("tenant".to_owned(), "yes".to_owned())]);
    let names = ["app.example.com", "www.app.example.com"].map(str::to_owned);
    world.certificate = Ok(Some(Certificate {
        names: BTreeSet::from(names),
        not_before: Timestamp::UNIX_EPOCH,
        not_after: Timestamp::MAX,
        issuer: String::new(),
        serial: String::new(),
        key_id: String::new(),
    }));
    world
}

fn listener(name: &str, protocol: &str) -> Listener {
    Listener { name: name.into(), host: None, protocol: protocol.into(), trouble: None }
}

/// The platform's Gateway, as it admits listeners.
fn shared(features: &[&str], admits: Value) -> Facts {
    let gateway = SharedGateway {
        addresses: vec!["192.0.2.7".into()],
        listeners: vec![listener("plain", "HTTP"), listener("secure", "HTTPS")],
        trouble: None,
        namespace: "infra".into(),
        admits,
    };
    let features = features.iter().map(|name| (*name).to_owned()).collect();
    Facts { features, shared: Some(gateway), controller: None }
}

fn class(controller: &str) -> Facts {
    Facts { controller: Some(controller.into()), ..Facts::default() }
}

fn edge(saas: &SaasDeployment, world: &World) -> Steps {
    plan(saas, world).parts.remove(&Part::Edge).unwrap().ok().unwrap()
}

fn kinds(steps: &Steps) -> BTreeSet<Kind> {
    steps.manifests.iter().map(|manifest| manifest.kind).collect()
}

fn text(saas: &SaasDeployment, world: &World) -> String {
    let mut steps = edge(saas, world);
    steps.manifests.sort_by_key(|manifest| (manifest.kind, manifest.name.clone()));
    let object = |manifest: &golive::plan::Manifest| {
        let body = serde_json::to_string_pretty(&manifest.body["spec"]).unwrap();
        format!("{manifest} {}\n{body}\n", json!(manifest.annotations))
    };
    let waits = steps.waits.iter().map(|hold| format!("waits: {}: {}\n", hold.reason, hold.message));
    steps.manifests.iter().map(object).chain(waits).collect()
}

#[test]
fn each_way_plans_as_written_down() {
    let everybody = json!({"from": "All"});
    let ways = [
        ("own", "gateway: {class: c}", Facts::default()),
        ("shared", SHARED, shared(&[], Value::Null)),
        ("listeners", SHARED, shared(&["ListenerSet"], everybody)),
        ("ingress", INGRESS, class("example.com/other")),
        ("traefik", INGRESS, class("traefik.io/ingress-controller")),
    ];
    for (way, config, facts) in ways {
        let planned = text(&whole(), &world(config, facts));
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/edge-{way}.txt"));
        if option_env!("GOLDEN").is_some_and(|mode| mode == "write") {
            fs::write(&golden, &planned).unwrap();
        }
        assert_eq!(planned, fs::read_to_string(&golden).unwrap_or_default(), "{}", golden.display());
    }
}

#[test]
fn listeners_are_brought_only_where_class_gateway_and_cluster_take_them() {
    let tenants = |value: &str| json!({"from": "Selector", "selector": {"matchLabels": {"tenant": value}}});
    let cases = [
        (shared(&["ListenerSet"], tenants("yes")), true),
        (shared(&[], tenants("yes")), true),
        (shared(&["HTTPRoute"], tenants("yes")), false),
        (shared(&["ListenerSet"], tenants("no")), false),
        (shared(&["ListenerSet"], Value::Null), false),
    ];
    for (facts, brought) in cases {
        let mut world = world(SHARED, facts);
        assert_eq!(kinds(&edge(&csvboard(), &world)).contains(&Kind::ListenerSet), brought, "{:?}", world.ground);
        world.served.remove(&Kind::ListenerSet);
        assert!(!kinds(&edge(&csvboard(), &world)).contains(&Kind::ListenerSet), "the cluster has no such kind");
    }
}

#[test]
fn without_a_certificate_no_listener_names_it_and_what_served_stays() {
    let mut world = world(SHARED, shared(&["ListenerSet"], json!({"from": "All"})));
    world.certificate = Ok(None);
    let steps = edge(&csvboard(), &world);
    let set = steps.manifests.iter().find(|m| m.kind == Kind::ListenerSet).unwrap();
    let protocols = set.body["spec"]["listeners"].as_array().unwrap().iter().map(|l| l["protocol"].clone());
    assert_eq!(protocols.collect::<Vec<_>>(), ["HTTP", "HTTP"]);
    assert!(steps.kept.contains(&(Kind::HttpRoute, "csvboard".into())));
}

/// An application with so many hosts, each path of which is treated in its own way; and a world that is certain of them.
fn many(hosts: usize, config: &str, facts: Facts) -> (SaasDeployment, World) {
    let mut saas = csvboard();
    saas.spec.domains = (1..=hosts).map(|number| format!("{number}.example.com")).collect();
    saas.spec.redirect_from = Vec::new();
    let paths = (1..=17).map(|number| json!({"path": format!("/{number}")}));
    saas.spec.routes = serde_json::from_value(paths.chain([json!({"path": "/"})]).collect()).unwrap();
    let mut world = world(config, facts);
    if let Ok(Some(certificate)) = &mut world.certificate {
        certificate.names = saas.spec.domains.iter().cloned().collect();
    }
    (saas, world)
}

#[test]
fn what_one_route_cannot_take_is_divided_and_nothing_is_lost() {
    let (saas, world) = many(30, "gateway: {class: c}", Facts::default());
    let steps = edge(&saas, &world);
    let lists = |route: &golive::plan::Manifest| {
        let spec = &route.body["spec"];
        ["hostnames", "rules", "parentRefs"].map(|field| spec[field].as_array().cloned().unwrap_or_default())
    };
    let secure = steps.manifests.iter().filter(|m| m.kind == Kind::HttpRoute && !m.name.contains("http")).map(lists);
    let mut led = Vec::new();
    for [hosts, rules, parents] in secure {
        assert!(hosts.len() <= 16 && rules.len() <= 16 && parents.len() == hosts.len());
        led.extend(hosts.iter().flat_map(|host| rules.iter().map(move |rule| format!("{host} {}", rule["matches"]))));
    }
    let all: BTreeSet<&String> = led.iter().collect();
    assert_eq!((led.len(), all.len()), (30 * 19, 30 * 19), "17 paths, `/` and what is cached");
}

#[test]
fn more_hosts_than_a_gateway_has_listeners_for_are_refused_whole() {
    let (saas, many_world) = many(33, "gateway: {class: c}", Facts::default());
    let refusal = plan(&saas, &many_world).parts.remove(&Part::Edge).unwrap().err().unwrap();
    assert_eq!(refusal.reason, "TooManyHosts");
    assert!(refusal.message.contains("33 hosts") && refusal.message.contains("listeners for 32"));
    // The platform's Gateway has its own listeners.
    let (saas, world) = many(33, SHARED, shared(&[], Value::Null));
    assert_eq!(edge(&saas, &world).waits.unwrap().reason, "RoutePending");
}

#[test]
fn traefiks_kinds_are_used_only_where_the_cluster_has_them() {
    let mut world = world(INGRESS, class("traefik.io/ingress-controller"));
    assert!(kinds(&edge(&csvboard(), &world)).contains(&Kind::Middleware));
    world.served.remove(&Kind::Middleware);
    let steps = edge(&csvboard(), &world);
    assert_eq!(kinds(&steps), BTreeSet::from([Kind::Ingress]));
    assert_eq!(steps.waits.unwrap().reason, "NotSupported");
}

#[test]
fn a_listener_of_the_platform_that_is_missing_or_broken_is_named() {
    let mut facts = shared(&[], Value::Null);
    let told = |facts: &Facts| {
        let tls = plan(&csvboard(), &world(SHARED, facts.clone())).parts.remove(&Part::Tls).unwrap().ok().unwrap();
        assert!(tls.actions.is_empty(), "a certificate was ordered");
        tls.waits.map(|hold| hold.message)
    };
    assert_eq!(told(&facts), None);
    facts.shared.as_mut().unwrap().listeners[1].trouble = Some("no such Secret (InvalidCertificateRef)".into());
    assert!(
        told(&facts).unwrap().contains("listener secure of Gateway infra/public, which takes app.example.com: no such")
    );
    facts.shared.as_mut().unwrap().listeners.truncate(1);
    assert!(told(&facts).unwrap().contains("has no HTTPS listener that takes app.example.com"));
    facts.shared = None;
    let verdict = plan(&csvboard(), &world(SHARED, facts)).parts.remove(&Part::Tls).unwrap();
    assert_eq!(verdict.err().unwrap().reason, "GatewayMissing");
}
