//! What the platform team sets up in these scenarios: the operator's configuration, and the ground that routes rest on.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use world::platform::{NAMESPACE, TENANT, namespace};

use crate::stage::{Outcome, Stage, run, until};

/// Installs the operator with another configuration of routes, and waits until it runs.
pub fn operate(stage: &Stage, routes: Value) -> Outcome<()> {
    let program = stage.world.program("helm")?;
    let helm = || {
        let mut helm = Command::new(&program);
        helm.env("KUBECONFIG", stage.world.kubeconfig()).current_dir(env!("CARGO_MANIFEST_DIR"));
        helm
    };
    let values = run(helm().args(["get", "values", "golive", "-n", NAMESPACE, "-o", "json"]))?;
    let mut values: Value = serde_json::from_str(&values)?;
    for field in ["gateway", "ingress", "addresses"] {
        let none = if field == "addresses" { json!([]) } else { json!({}) };
        values["config"][field] = routes.get(field).cloned().unwrap_or(none);
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("routes-values.json");
    std::fs::write(&file, values.to_string())?;
    let upgrade = ["upgrade", "golive", "charts/golive", "-n", NAMESPACE, "--reset-values", "--force-conflicts"];
    run(helm().args(upgrade).arg("--values").arg(&file).args(["--wait", "--timeout", "120s"]))?;
    stage.kubectl(&["rollout", "status", "deployment/golive", "-n", NAMESPACE, "--timeout=120s"])?;
    // A rollout is over while pods from before it still shut down.
    let wanted = stage.json(&["get", "deployment/golive", "-n", NAMESPACE])?["spec"]["replicas"].as_u64();
    until(Duration::from_secs(60), || Ok((Some(starts(stage)?.len() as u64) == wanted).then_some(())))
}

/// The name of the operator's pods, and how often each was started anew.
pub fn starts(stage: &Stage) -> Outcome<Vec<(String, i64)>> {
    let pods = stage.json(&["get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=golive"])?;
    let start = |pod: &Value| {
        let count = pod["status"]["containerStatuses"][0]["restartCount"].as_i64();
        (pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(), count.unwrap_or(-1))
    };
    Ok(pods["items"].as_array().into_iter().flatten().map(start).collect())
}

/// Patches an object's status, as its controller would.
pub fn set_status(stage: &Stage, (kind, namespace, name): (&str, &str, &str), status: Value) -> Outcome<()> {
    let patch = json!({"status": status}).to_string();
    let object = ["patch", kind, name, "-n", namespace, "--subresource=status", "--type=merge", "-p", &patch];
    stage.kubectl(&object).map(drop)
}

/// A condition as controllers of the Gateway API write it.
pub fn condition(kind: &str, status: &str) -> Value {
    json!({"type": kind, "status": status, "reason": kind, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1})
}

/// A Gateway of the platform team's.
pub fn gateway(name: &str, spec: Value) -> String {
    let metadata = json!({"name": name, "namespace": "platform"});
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": metadata, "spec": spec})
        .to_string()
}

/// The platform team's namespace, with a certificate for every host below `example.com` that nobody but they trust.
/// Returns where the certificate can be read by those who check.
pub fn platform_certificate(stage: &Stage) -> Outcome<String> {
    let made = rcgen::generate_simple_self_signed(vec!["*.example.com".to_owned()])?;
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "wildcard", "namespace": "platform"}, "stringData": {"tls.crt": chain, "tls.key": key},
    });
    stage.apply(&namespace("platform", &[]).to_string())?;
    stage.apply(&secret.to_string())?;
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("routes-wildcard.crt");
    std::fs::write(&file, chain)?;
    Ok(file.display().to_string())
}

/// Somebody points a host by hand, at the vendor's own API.
pub fn point(stage: &Stage, (zone, host): (&str, &str), to: &str) -> Outcome<()> {
    let (api, auth) =
        (&stage.env["CLOUDFLARE_API"], format!("Authorization: Bearer {}", stage.env["CLOUDFLARE_TOKEN"]));
    let found = stage.vendor(&["-H", &auth, &format!("{api}/zones?name={zone}")])?;
    let id = found["result"][0]["id"].as_str().ok_or("no such zone")?.to_owned();
    let record = json!({"type": "A", "name": host, "content": to, "ttl": 60, "proxied": false}).to_string();
    let records = format!("{api}/zones/{id}/dns_records");
    let made =
        stage.vendor(&["-X", "POST", "-H", &auth, "-H", "content-type: application/json", "-d", &record, &records])?;
    if made["success"] == true { Ok(()) } else { Err(format!("{host} cannot be pointed: {made}").into()) }
}

/// The rows of a host at the vendor: type and content.
pub fn rows(stage: &Stage, (zone, host): (&str, &str)) -> Outcome<Vec<(String, String)>> {
    let inventory = stage.inventory()?;
    let rows = inventory["cloudflare"]["zones"][zone].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_host = rows.iter().filter(|row| text(&row["name"]).ends_with(host));
    Ok(of_host.map(|row| (text(&row["type"]), text(&row["content"]))).collect())
}

/// A namespace in which the accounts of the platform may not be used.
pub fn outsider(stage: &Stage, name: &str) -> Outcome<()> {
    stage.tenant(name)?;
    stage.kubectl(&["label", "namespace", name, &format!("{}-", TENANT.0)]).map(drop)
}

/// Installs kinds from a folder of the world's, and waits until they are served.
pub fn install_kinds(stage: &Stage, folder: &str) -> Outcome<()> {
    let folder = stage.world.bin.join(folder).display().to_string();
    stage.kubectl(&["apply", "--server-side", "--force-conflicts", "--field-manager=world", "-f", &folder])?;
    stage.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]).map(drop)
}

/// The names of what golive keeps of some kinds in a namespace.
pub fn names(stage: &Stage, (namespace, kinds): (&str, &str)) -> Outcome<Vec<String>> {
    let found =
        stage.kubectl(&["get", kinds, "-n", namespace, "-o", "name", "-l", "app.kubernetes.io/managed-by=golive"])?;
    Ok(found.lines().map(|line| line.trim().to_owned()).collect())
}

/// Waits until an answer through the gateway contains a text; gives the answer in lower case.
pub fn shows(stage: &Stage, (url, more): (&str, &[&str]), text: &str) -> Outcome<String> {
    let mut last = String::new();
    let shown = until(Duration::from_secs(30), || {
        last = stage.through_gateway(url, more)?.to_lowercase();
        Ok(last.contains(text).then(|| last.clone()))
    });
    shown.map_err(|e| format!("{url} shows no {text}: {e}: {last}").into())
}
