//! The chart as helm renders it, with values that suit and values that do not.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use golive::api::SaasDeployment;
use golive::evidence::SmokeTask;
use golive::metrics::Metrics;
use golive::outside::Real;
use golive::vendors::transport::{Access, Call, Transport};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use reqwest::Method;
use serde_json::{Value, json};

/// Renders the chart; an error is what helm says against the values.
fn render(set: &[&str]) -> Result<Vec<Value>, String> {
    let helm = world::World::named(world::DEFAULT).unwrap().program("helm").unwrap_or_else(|e| panic!("{e}"));
    let mut command = Command::new(helm);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    command.args(["template", "golive", "charts/golive", "--namespace", "golive-system"]);
    command.args(set.iter().flat_map(|value| ["--set-json", value]));
    let output = command.output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(&String::from_utf8_lossy(&output.stdout)).unwrap();
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// The only object of a kind, if it is rendered.
fn one(objects: &[Value], kind: &str) -> Option<Value> {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let first = found.next().cloned();
    assert!(found.next().is_none(), "more than one {kind}");
    first
}

fn rendered(kind: &str, set: &[&str]) -> Value {
    one(&render(set).unwrap(), kind).unwrap_or_else(|| panic!("no {kind} with {set:?}"))
}

const ALERTS: &str = r#"prometheusRule={"enabled":true,"labels":{"team":"a"}}"#;

fn alerts() -> Vec<Value> {
    rendered("PrometheusRule", &[ALERTS])["spec"]["groups"][0]["rules"].as_array().unwrap().clone()
}

#[test]
fn what_is_optional_is_there_when_asked_for() {
    let cases = [
        ("NetworkPolicy", r#"networkPolicy={"enabled":true}"#, r#"networkPolicy={"enabled":false}"#),
        ("PodDisruptionBudget", "replicas=2", "replicas=1"),
        ("PodDisruptionBudget", "replicas=3", r#"podDisruptionBudget={"enabled":false}"#),
        ("ServiceMonitor", r#"serviceMonitor={"enabled":true}"#, "replicas=2"),
        ("PrometheusRule", ALERTS, "replicas=2"),
    ];
    for (kind, with, without) in cases {
        assert!(one(&render(&[with]).unwrap(), kind).is_some(), "{kind} with {with}");
        assert!(one(&render(&[without]).unwrap(), kind).is_none(), "{kind} with {without}");
    }
}

#[test]
fn values_that_do_not_fit_are_refused_and_named() {
    let cases = [
        ("replica=2", "replica"),
        ("replicas=0", "replicas"),
        (r#"config={"gateway":{"clas":"x"}}"#, "clas"),
        (r#"config={"gateway":{"shared":{"name":"a","namespace":"b"}}}"#, "class"),
        (r#"config={"resyncSeconds":"60"}"#, "resyncSeconds"),
        (r#"config={"resolvers":["192.0.2.1"]}"#, "resolvers"),
        (r#"networkPolicy={"egressPorts":[]}"#, "egressPorts"),
        (r#"networkPolicy={"egressPorts":[70000]}"#, "egressPorts"),
        (r#"networkPolicy={"metricsFrom":[{}]}"#, "metricsFrom"),
        (r#"networkPolicy={"metricsFrom":[{"namespace":"a"}]}"#, "metricsFrom"),
        (r#"networkPolicy={"extraEgress":[{"to":[]}]}"#, "extraEgress"),
        (r#"prometheusRule={"enabled":"yes"}"#, "prometheusRule"),
        (r#"serviceMonitor={"interval":"often"}"#, "interval"),
        (r#"resources={"request":{}}"#, "request"),
        (r#"image={"digest":"sha256:short"}"#, "digest"),
    ];
    for (values, named) in cases {
        let said = render(&[values]).err().unwrap_or_else(|| panic!("{values} is accepted"));
        assert!(said.contains(named), "{values}: {said}");
    }
}

#[test]
fn the_schema_leaves_no_object_open_but_those_that_kubernetes_judges() {
    fn open(schema: &Value, path: &str, found: &mut Vec<String>) {
        let closed = schema.get("additionalProperties").is_some();
        if schema["type"] == "object" && !closed {
            found.push(path.to_owned());
        }
        let inner = ["properties", "definitions"].iter().flat_map(|key| schema[*key].as_object().into_iter().flatten());
        inner.for_each(|(name, below)| open(below, &format!("{path}.{name}"), found));
        schema.get("items").into_iter().for_each(|below| open(below, &format!("{path}[]"), found));
    }
    let schema = include_str!("../../charts/golive/values.schema.json");
    let mut found = Vec::new();
    open(&serde_json::from_str(schema).unwrap(), "", &mut found);
    assert_eq!(found, [".affinity", ".global", ".tolerations[]", ".selector.matchExpressions[]"]);
}

#[test]
fn the_network_policy_admits_the_port_and_lets_out_to_names_and_https() {
    let spec = rendered("NetworkPolicy", &["replicas=2"])["spec"].clone();
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(spec["ingress"], json!([{"ports": [{"port": "http", "protocol": "TCP"}]}]));
    let ports: Vec<i64> = spec["egress"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|rule| rule["ports"].as_array().unwrap())
        .map(|port| port["port"].as_i64().unwrap())
        .collect();
    assert_eq!(ports, [53, 53, 443, 6443]);
    let https = spec["egress"][1]["to"].to_string();
    assert!(https.contains("169.254.0.0/16") && https.contains("fd00:ec2::254/128"), "{https}");
    let selected = rendered("Deployment", &["replicas=2"])["spec"]["template"]["metadata"]["labels"].clone();
    for (key, value) in spec["podSelector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(&selected[key], value, "the policy selects the operator's pods");
    }
}

#[test]
fn the_network_policy_takes_what_the_platform_adds() {
    let values = r#"networkPolicy={"metricsFrom":[{"namespaceSelector":{"matchLabels":{"a":"b"}}}],"egressPorts":[8443],"extraEgress":[{"ports":[{"port":3128}]}]}"#;
    let spec = rendered("NetworkPolicy", &[values])["spec"].clone();
    assert_eq!(spec["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"]["a"], "b");
    assert_eq!(spec["egress"][1]["ports"], json!([{"port": 8443, "protocol": "TCP"}]));
    assert_eq!(spec["egress"][2], json!({"ports": [{"port": 3128}]}));
    let test = rendered("Pod", &[values])["metadata"]["labels"].clone();
    let admitted = &spec["ingress"][0]["from"][1]["podSelector"]["matchLabels"];
    assert_eq!(&test, admitted, "`helm test` still reaches the port");
}

#[test]
fn each_alert_has_its_section_in_the_runbook() {
    let runbook = include_str!("../../docs/operations.md");
    let alerts = alerts();
    assert_eq!(alerts.len(), runbook.matches("\n### ").count(), "a section for each alert, and no other");
    for alert in alerts {
        let name = alert["alert"].as_str().unwrap();
        assert!(runbook.contains(&format!("\n### {name}\n")), "docs/operations.md has no section {name}");
        let link = format!("docs/operations.md#{}", name.to_lowercase());
        assert_eq!(alert["annotations"]["runbook_url"], json!(link));
        assert!(["critical", "warning"].contains(&alert["labels"]["severity"].as_str().unwrap()), "{name}");
    }
}

#[tokio::test]
async fn alerts_ask_for_metrics_that_the_operator_has() {
    let mut registry = Registry::default();
    let (metrics, transport) = (Metrics::new(&mut registry), Transport::new(&mut registry, Arc::new(Real::default())));
    // A family is told once it has a member.
    metrics.passed(Duration::ZERO, true);
    metrics.ready(&SaasDeployment::new("a", Default::default()), &Default::default());
    let nobody = Access::stripe("a", Some("http://127.0.0.1:1"), "sk_test_a".to_owned().into(), None);
    assert!(transport.call(&nobody, Call::new(Method::GET, "/")).await.is_err());
    let mut told = String::new();
    encode(&mut told, &registry).unwrap();
    let known: BTreeSet<&str> =
        told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let mut asked = BTreeSet::new();
    for alert in alerts() {
        let expr = alert["expr"].as_str().unwrap().to_owned();
        let words = expr.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::to_owned);
        asked.extend(words.filter(|word| word.starts_with("golive_")));
    }
    for word in &asked {
        let family = word.trim_end_matches("_total").trim_end_matches("_bucket");
        assert!(known.contains(family), "{word} is none of {known:?}");
    }
    assert!(asked.len() >= 4, "{asked:?}");
}

#[test]
fn the_test_pod_asks_what_the_operator_serves() {
    let pod = rendered("Pod", &["replicas=2"]);
    assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["command"], json!(["golive", "smoke"]));
    let task: SmokeTask = serde_json::from_str(container["env"][0]["value"].as_str().unwrap()).unwrap();
    let mut registry = Registry::default();
    let _fresh = Metrics::new(&mut registry);
    let mut told = String::new();
    encode(&mut told, &registry).unwrap();
    let wanted = task.checks[2].contains.clone().unwrap();
    assert!(told.contains(&wanted), "an operator that has nothing to do yet does not tell {wanted}");
    let paths: Vec<&str> = task.checks.iter().map(|check| check.path.as_str()).collect();
    assert_eq!(
        (task.base_url.as_str(), paths),
        ("http://golive.golive-system:8080", vec!["/healthz", "/readyz", "/metrics"])
    );
    assert_eq!(
        container["image"],
        rendered("Deployment", &["replicas=2"])["spec"]["template"]["spec"]["containers"][0]["image"]
    );
}

#[test]
fn pods_of_the_chart_meet_the_restricted_standard() {
    let deployment = rendered("Deployment", &["replicas=2"])["spec"]["template"]["spec"].clone();
    for pod in [deployment, rendered("Pod", &["replicas=2"])["spec"].clone()] {
        assert_eq!(
            (&pod["securityContext"]["runAsNonRoot"], &pod["securityContext"]["seccompProfile"]["type"]),
            (&json!(true), &json!("RuntimeDefault"))
        );
        let context = &pod["containers"][0]["securityContext"];
        let expected = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
        assert_eq!(context, &expected);
    }
}
