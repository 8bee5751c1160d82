//! The cluster's certificate authority and who it vouches for.

use crate::error::{Doing, Result};
use crate::place::{World, write};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use serde_json::json;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Who a certificate is for: a user and its groups to the API server, hosts to a client.
struct Subject<'a> {
    name: &'a str,
    group: &'a str,
    hosts: Vec<String>,
}

/// The users of the cluster's own programs: the file name of each, its user and its group.
/// <https://kubernetes.io/docs/setup/best-practices/certificates/#configure-certificates-for-user-accounts>
const USERS: [(&str, &str, &str); 8] = [
    ("admin", "admin", "system:masters"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("kubelet", "system:node:node", "system:nodes"),
    ("proxy", "system:kube-proxy", ""),
    ("gateway", "gateway", "system:masters"),
    ("dns", "dns", "system:masters"),
    ("storage", "storage", "system:masters"),
];

impl World {
    /// A file of the cluster's keys and certificates.
    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.dir.join("pki").join(file)
    }

    /// The kubeconfig of one of the cluster's own programs.
    pub(crate) fn kubeconfig_of(&self, user: &str) -> PathBuf {
        self.pki(&format!("{user}.kubeconfig"))
    }

    /// Makes the authority, the servers' certificates and everyone's kubeconfig.
    pub(crate) fn make_pki(&self) -> Result<()> {
        let authority = self.authority()?;
        for server in ["apiserver", "kubelet-server"] {
            let subject = Subject { name: server, group: "", hosts: self.server_names()? };
            self.issue(&authority, server, &subject)?;
        }
        let client = Subject { name: "apiserver", group: "system:masters", hosts: Vec::new() };
        self.issue(&authority, "kubelet-client", &client)?;
        for (file, name, group) in USERS {
            self.issue(&authority, file, &Subject { name, group, hosts: Vec::new() })?;
            self.write_kubeconfig(file)?;
        }
        write(&self.kubeconfig(), read_to_string(self.kubeconfig_of("admin")).doing("reading the kubeconfig")?)
    }

    fn authority(&self) -> Result<Issuer<'static, KeyPair>> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name = distinguished("cluster", "");
        params.not_after = date_time_ymd(2099, 1, 1);
        let key = new_key()?;
        write(&self.pki("ca.crt"), params.self_signed(&key).doing("making the cluster's authority")?.pem())?;
        let accounts = new_key()?;
        write(&self.pki("accounts.key"), accounts.serialize_pem())?;
        write(&self.pki("accounts.pub"), accounts.public_key_pem())?;
        Ok(Issuer::new(params, key))
    }

    fn server_names(&self) -> Result<Vec<String>> {
        let network = self.net()?;
        let names = ["localhost", "node", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
        let addresses = ["127.0.0.1".into(), network.node(), network.first_service()];
        let long = "kubernetes.default.svc.cluster.local".to_owned();
        Ok(names.map(str::to_owned).into_iter().chain(addresses).chain([long]).collect())
    }

    fn issue(&self, authority: &Issuer<'static, KeyPair>, file: &str, subject: &Subject) -> Result<()> {
        let mut params = CertificateParams::new(subject.hosts.clone()).doing("naming a certificate's hosts")?;
        params.distinguished_name = distinguished(subject.name, subject.group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = date_time_ymd(2099, 1, 1);
        let key = new_key()?;
        let certificate = params.signed_by(&key, authority).doing(format!("issuing {file}"))?;
        write(&self.pki(&format!("{file}.crt")), certificate.pem())?;
        write(&self.pki(&format!("{file}.key")), key.serialize_pem())
    }

    fn write_kubeconfig(&self, user: &str) -> Result<()> {
        let cluster = json!({
            "server": format!("https://{}:6443", self.net()?.node()),
            "certificate-authority-data": encoded(&self.pki("ca.crt"))?,
        });
        let credential = json!({
            "client-certificate-data": encoded(&self.pki(&format!("{user}.crt")))?,
            "client-key-data": encoded(&self.pki(&format!("{user}.key")))?,
        });
        let name = self.namespace();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": user, "user": credential}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        });
        write(&self.kubeconfig_of(user), format!("{config:#}"))
    }
}

fn new_key() -> Result<KeyPair> {
    KeyPair::generate().doing("making a key")
}

fn distinguished(name: &str, group: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    if !group.is_empty() {
        distinguished.push(DnType::OrganizationName, group);
    }
    distinguished
}

fn encoded(file: &Path) -> Result<String> {
    Ok(STANDARD.encode(std::fs::read(file).doing(format!("reading {}", file.display()))?))
}
