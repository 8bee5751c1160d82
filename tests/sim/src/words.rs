//! What random walks are made of: the words of all manifests, those of `words.yaml` for fields that none of them has, and
//! the ground that all of it stands on.

use std::sync::OnceLock;

use base64::prelude::{BASE64_STANDARD, Engine};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use crate::authority;
use crate::laws::subjects;
use crate::run::Act;
use crate::script;
use crate::walk::Vocabulary;

/// The Secret with a certificate of the user's own.
const CERTIFICATE: &str = "own-cert";

/// All words.
pub fn all() -> Vocabulary {
    let manifests = subjects().into_iter().map(|saas| saas["spec"].clone());
    Vocabulary::of(&manifests.chain(script::documents(include_str!("../words.yaml"))).collect::<Vec<_>>())
}

/// What walks find beside what their manifests call for: a second account at the CA, and a certificate of the user's own.
pub fn ground(namespace: &str) -> Vec<Act> {
    let directory = format!("{}/dir", authority::BASE);
    let acme = json!({"directory": directory, "email": "other@example.com", "termsOfServiceAgreed": true});
    let account = json!({
        "apiVersion": "golive.dev/v1alpha1", "kind": "ProviderAccount", "metadata": {"name": "other-ca"},
        "spec": {"acme": acme},
    });
    let (chain, key) = certificate();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": CERTIFICATE, "namespace": namespace},
        "data": {"tls.crt": BASE64_STANDARD.encode(chain), "tls.key": BASE64_STANDARD.encode(key)},
    });
    vec![Act::Apply(account), Act::Apply(secret)]
}

/// A certificate for every host of the manifests, and its key: made once.
fn certificate() -> &'static (String, String) {
    static MADE: OnceLock<(String, String)> = OnceLock::new();
    MADE.get_or_init(|| signed().unwrap_or_default())
}

fn signed() -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(hosts())?;
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2200, 1, 1));
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// Every host that a manifest names.
fn hosts() -> Vec<String> {
    let named = |saas: &Value| {
        let lists = ["domains", "redirectFrom"].map(|list| saas["spec"][list].as_array().cloned());
        lists.into_iter().flatten().flatten().filter_map(|host| host.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let mut hosts: Vec<String> = subjects().iter().flat_map(named).collect();
    hosts.sort();
    hosts.dedup();
    hosts
}
