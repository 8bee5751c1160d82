//! Where a URL leads: names by our own DNS, proxied ones through the edge.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::client::{Failure, Target, origin_pem, trust};
use super::hub::Hub;

/// The place to connect to for a URL.
pub fn target(hub: &Arc<Hub>, url: &http::Uri) -> Result<Target, Failure> {
    let host = url.host().ok_or(Failure::NotFound)?.to_string();
    let secure = url.scheme_str() == Some("https");
    let ip: Option<IpAddr> = host.parse().ok().or_else(|| hub.view(|view| view.addresses(&host).first().copied()));
    let port = url.port_u16().unwrap_or_else(|| port(hub, &host, secure));
    let address = SocketAddr::new(ip.ok_or(Failure::NotFound)?, port);
    let trusted = || trust(&[hub.authority.pem(), &origin_pem(hub.config.origin_ca.as_deref())]);
    Ok(Target { address, tls: secure.then(|| (host, trusted())) })
}

/// The edge's port for proxied hosts, the origins' port for all others: the usual ones, unless moved.
fn port(hub: &Arc<Hub>, host: &str, secure: bool) -> u16 {
    let ports = hub.config.ports;
    let (edge, origin) = if secure { ("edge-https", ports.origin_https) } else { ("edge-http", ports.origin_http) };
    let proxied = hub.view(|view| view.is_proxied(host));
    hub.address(edge).filter(|_| proxied).map_or(origin, |address| address.port())
}
