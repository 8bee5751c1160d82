//! What the platform team tells the operator once: facts of the cluster, in one typed file.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The operator's configuration; every field has a default that suits a small cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Names this cluster in the marks on vendors' rows: 8 lower-case hex digits. Default: from the uid of `kube-system`.
    pub cluster_id: Option<String>,
    /// Routes by Gateway API; absent where only Ingress is to be used.
    pub gateway: Option<Gateway>,
    /// Routes by Ingress, where there is no gateway.
    pub ingress: Option<Ingress>,
    /// Public addresses that DNS points to, where the route's own status does not say them.
    pub addresses: Vec<String>,
    /// The image that backup, drill, smoke and solver pods run: the operator's own.
    pub job_image: String,
    /// A PEM file of roots that smoke tests and journeys trust beside the system's.
    pub trust_file: Option<PathBuf>,
    /// Seconds between two passes over an object to which nothing happened.
    pub resync_seconds: u64,
    /// Seconds for which a listing of a vendor's rows is taken as fresh.
    pub refresh_seconds: u64,
    /// Objects that are reconciled at once.
    pub concurrency: u16,
    /// Seconds after which a deletion leaves behind what an unreachable vendor still holds.
    pub abandon_after_seconds: u64,
    /// DNS servers (`address:port`) that are asked for names, in place of the system's resolver.
    pub resolvers: Vec<String>,
    /// Labels that Prometheus selects monitors by.
    pub monitor_labels: std::collections::BTreeMap<String, String>,
}

/// How routes reach the cluster's gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gateway {
    /// The GatewayClass of the gateways that golive makes, one for each application.
    pub class: String,
    /// An existing Gateway that routes attach to instead; where it admits no listeners, it brings its own certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Shared>,
    /// The namespace that the gateway's pods run in: the only one that may reach applications. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A Gateway of the platform team.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shared {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// How Ingress objects are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ingress {
    /// The IngressClass.
    pub class: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            cluster_id: None,
            gateway: None,
            ingress: None,
            addresses: Vec::new(),
            job_image: format!("golive:{}", crate::VERSION),
            trust_file: None,
            resync_seconds: 60,
            refresh_seconds: 60,
            concurrency: 16,
            abandon_after_seconds: 900,
            resolvers: Vec::new(),
            monitor_labels: Default::default(),
        }
    }
}

impl Config {
    /// Reads a configuration from YAML; the error names the field.
    pub fn read(text: &str) -> Result<Config, String> {
        let config: Config = serde_saphyr::from_str(text).map_err(|e| format!("operator configuration: {e}"))?;
        match config.cluster_id.as_deref() {
            Some(id) if id.len() != 8 || !id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) => {
                Err(format!("operator configuration: `clusterId` must be 8 lower-case hex digits, not {id:?}"))
            }
            _ => Ok(config),
        }
    }
}
