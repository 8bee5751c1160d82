//! What all servers share: the vendors' state behind one lock, the clock, the authority.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::Fallible;
use super::authority::{Authority, Badge, write_private};
use super::door::Door;
use crate::clock::Clock;
use crate::config::Config;
use crate::dns::View;
use crate::gate::{NAMES, Vendors};

/// Shared by every server.
pub struct Hub {
    vendors: Mutex<Vendors>,
    pub clock: Clock,
    /// Told when a delivery may have become due.
    pub changed: Notify,
    pub authority: Arc<Authority>,
    pub config: Config,
    doors: OnceLock<BTreeMap<String, Door>>,
    /// The certificates of the vendors' APIs, by name.
    badges: BTreeMap<&'static str, Arc<Badge>>,
}

impl Hub {
    /// Takes up the saved state of the directory, or starts afresh from the seed.
    pub fn open(config: Config) -> Fallible<Arc<Self>> {
        let authority = Arc::new(Authority::open(&config.dir)?);
        let badge = |name| Ok((name, Arc::new(Badge::new(&authority, &hosts(&config))?)));
        let badges = NAMES.into_iter().map(badge).collect::<Fallible<_>>()?;
        let (vendors, clock) = restored(&config)?;
        let (vendors, changed, doors) = (Mutex::new(vendors), Notify::new(), OnceLock::new());
        Ok(Arc::new(Self { vendors, clock, changed, authority, config, doors, badges }))
    }

    /// Reads or changes the vendors.
    pub fn with<T>(&self, action: impl FnOnce(&mut Vendors) -> T) -> T {
        action(&mut self.vendors.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the zones as the DNS does.
    pub fn view<T>(&self, action: impl FnOnce(&View<'_>) -> T) -> T {
        let (edge, dns) = (self.config.edge, self.config.dns);
        self.with(|vendors| action(&View { cloudflare: &vendors.cloudflare, edge, dns }))
    }

    /// Remembers the open doors, once.
    pub fn open_doors(&self, doors: BTreeMap<String, Door>) {
        let _ = self.doors.set(doors);
    }

    /// A server's door by its name.
    pub fn door(&self, name: &str) -> Option<&Door> {
        self.doors.get()?.get(name)
    }

    /// The certificate of a vendor's API.
    pub fn badge(&self, vendor: &str) -> Option<&Arc<Badge>> {
        self.badges.get(vendor)
    }

    /// Makes a vendor's API show a certificate for another host, or the right one again.
    pub fn set_trusted(&self, vendor: &str, trusted: bool) -> Fallible<()> {
        let hosts = if trusted { hosts(&self.config) } else { vec!["wrong.vendors.test".into()] };
        self.badge(vendor).ok_or("no such vendor")?.replace(&self.authority, &hosts)
    }

    /// Where a server listens.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.door(name).map(Door::address)
    }

    /// Writes the state next to the authority.
    pub fn save(&self) -> Fallible<()> {
        let vendors = self.with(|vendors| serde_json::to_value(vendors))?;
        let state = json!({"clockOffset": self.clock.offset(), "vendors": vendors});
        write_private(&state_file(&self.config), &state.to_string())
    }
}

fn hosts(config: &Config) -> Vec<String> {
    vec![config.api.to_string(), "127.0.0.1".into(), "localhost".into()]
}

fn state_file(config: &Config) -> PathBuf {
    config.dir.join("state.json")
}

fn restored(config: &Config) -> Fallible<(Vendors, Clock)> {
    let Ok(text) = std::fs::read_to_string(state_file(config)) else {
        return Ok((Vendors::new(config), Clock::default()));
    };
    let mut state: Value = serde_json::from_str(&text)?;
    let mut vendors: Vendors = serde_json::from_value(state["vendors"].take())?;
    vendors.sow(config);
    Ok((vendors, Clock::ahead(state["clockOffset"].as_i64().unwrap_or(0))))
}
