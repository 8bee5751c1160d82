//! Starts all servers in this process.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use serde_json::Value;

use crate::calls::Call;
use crate::config::Config;
use crate::faults::Fault;
use crate::net::authority::by_name;
use crate::net::control::Control;
use crate::net::door::{self, Door};
use crate::net::edge::Edge;
use crate::net::http::{Handler, Server};
use crate::net::hub::Hub;
use crate::net::vendor::Api;
use crate::net::{Fallible, check, deliver, dns};
use crate::settings::Settings;

/// Servers that run until this is dropped together with their runtime.
pub struct Running {
    hub: Arc<Hub>,
}

/// Opens every server; port 0 takes any free one.
pub async fn start(config: Config) -> Fallible<Running> {
    // A process may have chosen its cryptography already; both sides use ring.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let hub = Hub::open(config)?;
    let mut doors = apis(&hub).await?;
    let edge = Arc::new(Edge { hub: hub.clone() });
    let (ports, ip) = (hub.config.ports, hub.config.edge);
    let held = hub.clone();
    let tls = by_name(hub.authority.clone(), move |name| held.view(|view| view.is_held(name)));
    doors.insert("edge-http".into(), open(edge.clone(), (ip, ports.edge_http), None).await?);
    doors.insert("edge-https".into(), open(edge, (ip, ports.edge_https), Some(tls)).await?);
    doors.insert("dns".into(), dns::open(hub.clone(), SocketAddr::new(hub.config.dns, ports.dns)).await?);
    let control = Arc::new(Control { hub: hub.clone() });
    doors.insert("control".into(), open(control, (hub.config.api, ports.control), None).await?);
    hub.open_doors(doors);
    tokio::spawn(deliver::keep(hub.clone()));
    if hub.config.monitors_run {
        tokio::spawn(check::keep(hub.clone()));
    }
    Ok(Running { hub })
}

async fn apis(hub: &Arc<Hub>) -> Fallible<BTreeMap<String, Door>> {
    let (ip, ports) = (hub.config.api, hub.config.ports);
    let apis = [
        ("cloudflare", ports.cloudflare),
        ("stripe", ports.stripe),
        ("uptimerobot", ports.uptimerobot),
        ("sentry", ports.sentry),
    ];
    let mut doors = BTreeMap::new();
    for (name, port) in apis {
        let api = Arc::new(Api { hub: hub.clone(), name });
        let tls = hub.badge(name).map(|badge| badge.clone().config());
        doors.insert(name.to_string(), open(api, (ip, port), tls).await?);
    }
    Ok(doors)
}

async fn open<H: Handler>(handler: Arc<H>, at: (IpAddr, u16), tls: Option<Arc<ServerConfig>>) -> Fallible<Door> {
    door::open(SocketAddr::from(at), Arc::new(Server { handler, tls })).await
}

impl Running {
    /// Everything the servers share: state, clock, doors.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The base URL of a vendor's API, as its real one up to the host: no path, no slash at the end.
    pub fn url(&self, vendor: &str) -> Option<String> {
        self.hub.address(vendor).map(|address| format!("https://{address}"))
    }

    /// The base URL of the control API.
    pub fn control(&self) -> Option<String> {
        self.hub.address("control").map(|address| format!("http://{address}"))
    }

    /// Where a server listens: a vendor, `control`, `dns`, `edge-http` or `edge-https`.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.hub.address(name)
    }

    /// Orders requests to go wrong.
    pub fn fault(&self, fault: Fault) {
        self.hub.with(|vendors| vendors.faults.add(fault));
    }

    /// Forgets all ordered faults.
    pub fn clear_faults(&self) {
        self.hub.with(|vendors| vendors.faults.clear(None));
    }

    /// Moves the clock forward.
    pub fn advance(&self, while_: Duration) {
        self.hub.clock.advance(while_);
        self.hub.changed.notify_one();
    }

    /// Lets the clock stand still, or run on.
    pub fn hold(&self, held: bool) {
        self.hub.clock.hold(held);
    }

    /// Chooses how the vendors behave where accounts differ.
    pub fn set(&self, settings: &Settings) {
        self.hub.with(|vendors| vendors.set(settings));
    }

    /// The calls of one vendor so far.
    pub fn calls(&self, vendor: &str) -> Vec<Call> {
        self.hub.with(|vendors| vendors.calls.iter().filter(|call| call.vendor == vendor).cloned().collect())
    }

    /// All rows of all vendors; `stable` leaves out what differs between two runs alike.
    pub fn inventory(&self, stable: bool) -> Value {
        self.hub.with(|vendors| vendors.inventory(stable))
    }

    /// Makes a vendor's credential useless (`fingerprint` or `all`), or good again.
    pub fn revoke(&self, vendor: &str, credential: &str, revoked: bool) {
        self.hub.with(|vendors| match revoked {
            true => vendors.revoke(vendor, credential),
            false => vendors.restore(vendor, credential),
        });
    }

    /// Shuts a server's door or opens it again; returns when it is so.
    pub async fn set_up(&self, name: &str, up: bool) {
        if let Some(door) = self.hub.door(name) {
            door.set(up).await;
        }
    }

    /// PEM of the authority that the servers' certificates come from.
    pub fn ca(&self) -> &str {
        self.hub.authority.pem()
    }

    /// Writes the state, so that the next start goes on from it.
    pub fn save(&self) -> Fallible<()> {
        self.hub.save()
    }
}
