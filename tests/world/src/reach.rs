//! Where everything of a world listens.

use crate::place::World;
use std::env::var;

/// Addresses and ports: several addresses and the usual ports in a world of its own; beside the user's own cluster
/// one address, and ports that need no privilege.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The vendors' APIs, ACME and S3.
    pub api: String,
    /// Cloudflare's edge, and its ports for http and https.
    pub edge: (String, u16, u16),
    /// The DNS server of the outer world.
    pub dns: (String, u16),
    /// The cluster's gateway, and its ports for http and https.
    pub gateway: (String, u16, u16),
}

impl World {
    /// Where everything listens. Beside the user's own cluster, `WORLD_ADDRESS` says where the outside is, and
    /// `GATEWAY_HOST`, `GATEWAY_HTTP_PORT` and `GATEWAY_HTTPS_PORT` where the cluster's gateway is.
    pub fn reach(&self) -> Reach {
        match self.network {
            None => beside_existing(),
            Some(network) => Reach {
                api: network.vendors(),
                edge: (network.edge(), 80, 443),
                dns: (network.dns(), 53),
                gateway: (network.node(), 80, 443),
            },
        }
    }
}

fn beside_existing() -> Reach {
    let address = var("WORLD_ADDRESS").unwrap_or_else(|_| "127.0.0.1".into());
    let port = |name: &str, usual: u16| var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let gateway = var("GATEWAY_HOST").unwrap_or_else(|_| address.clone());
    Reach {
        edge: (address.clone(), 8080, 8443),
        dns: (address.clone(), 8053),
        gateway: (gateway, port("GATEWAY_HTTP_PORT", 80), port("GATEWAY_HTTPS_PORT", 443)),
        api: address,
    }
}
