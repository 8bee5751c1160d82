//! A peer: cert-manager's own controllers, which issue a certificate for each application of a fleet.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::process::Command;
use world::go::Project;
use world::place::target;

use crate::Result;
use crate::figures::Round;
use crate::fleet::{Size, namespace};
use crate::process::Program;
use crate::ready::is_ready;
use crate::round::{Fleet, brought_up};
use crate::stage::{Kept, Stage};

/// Its user in the audit log, and its name in the tables.
const NAME: &str = "cert-manager";
/// The issuer, and the Secret with its key pair.
const ISSUER: &str = "bench-authority";
/// Where cert-manager looks for the Secrets of issuers of the whole cluster.
const SYSTEM: &str = "kube-system";

/// What is asked for: <https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.Certificate>.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize)]
#[kube(group = "cert-manager.io", version = "v1", kind = "Certificate", namespaced)]
#[kube(status = "CertificateStatus", schema = "disabled")]
#[serde(rename_all = "camelCase")]
pub struct CertificateSpec {
    secret_name: String,
    dns_names: Vec<String>,
    private_key: Value,
    issuer_ref: Value,
}

/// What is told of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CertificateStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

impl Kept for Certificate {}

/// Builds it from its module.
pub fn build() -> Result<()> {
    Ok(world::step::step("cert-manager (3 minutes the first time)", || project().build("", &program(), &["."]))?)
}

/// From the first of `n` Certificates created until the last is Ready; the cluster is left as it was found.
pub async fn round(stage: &Stage, n: usize) -> Result<Round> {
    let kinds = kinds()?;
    stage.world.kubectl(&["apply", "--server-side", "-f", &kinds])?;
    stage.world.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", &kinds])?;
    let peer = start(stage).await?;
    let size = Size { n, k: 1 };
    let fleet = Fleet { size, objects: (0..n).map(certificate).collect(), is_ready: is_issued };
    let round = brought_up(stage, (NAME, peer.pid), &fleet).await?;
    peer.stop().await?;
    clear(stage, &kinds).await?;
    Ok(round)
}

/// Starts it and waits until its issuer can issue: its caches are filled then.
async fn start(stage: &Stage) -> Result<Program> {
    authorities(stage).create(&PostParams::default(), &authority()?).await?;
    let issuer = json!({
        "apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer",
        "metadata": {"name": ISSUER}, "spec": {"ca": {"secretName": ISSUER}},
    });
    stage.world.apply(&issuer.to_string())?;
    let mut command = Command::new(program());
    command.arg("--kubeconfig").arg(stage.user(NAME)?);
    let peer = Program::start(&mut command, &stage.world.log(NAME))?;
    let issuer = format!("clusterissuer/{ISSUER}");
    stage.world.kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", &issuer])?;
    Ok(peer)
}

/// With its kinds go all of its objects; Secrets and events go with the next sweep.
async fn clear(stage: &Stage, kinds: &str) -> Result<()> {
    stage.world.kubectl(&["delete", "-f", kinds])?;
    authorities(stage).delete(ISSUER, &DeleteParams::default()).await?;
    stage.sweep().await
}

fn authorities(stage: &Stage) -> Api<Secret> {
    Api::namespaced(stage.client.clone(), SYSTEM)
}

fn authority() -> Result<Secret> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let files = [("tls.crt", params.self_signed(&key)?.pem()), ("tls.key", key.serialize_pem())];
    Ok(Secret {
        metadata: ObjectMeta { name: Some(ISSUER.into()), ..ObjectMeta::default() },
        type_: Some("kubernetes.io/tls".into()),
        string_data: Some(files.map(|(name, text)| (name.to_owned(), text)).into()),
        ..Secret::default()
    })
}

/// The certificate of the application of that number, with a key as golive's own have it.
fn certificate(number: usize) -> Certificate {
    let name = format!("app-{number:05}");
    let spec = CertificateSpec {
        secret_name: format!("{name}-tls"),
        dns_names: vec![format!("{name}.example.com")],
        private_key: json!({"algorithm": "ECDSA", "size": 256}),
        issuer_ref: json!({"kind": "ClusterIssuer", "name": ISSUER}),
    };
    let mut certificate = Certificate::new(&name, spec);
    certificate.metadata.namespace = Some(namespace(number));
    certificate
}

fn is_issued(certificate: &Certificate) -> bool {
    let conditions = certificate.status.iter().flat_map(|status| &status.conditions);
    is_ready(conditions, certificate.metadata.generation)
}

fn project() -> Project {
    Project::at("tests/bench/certmanager")
}

fn program() -> PathBuf {
    target().join("bench/cert-manager")
}

/// The folder of its kinds, which come with the module.
fn kinds() -> Result<String> {
    let module = project().module("github.com/cert-manager/cert-manager")?;
    Ok(module.join("deploy/crds").display().to_string())
}
