//! What the servers are started with.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use serde::Deserialize;

/// Addresses, ports, files and accounts. Port 0 takes any free one.
#[derive(Clone, Debug)]
pub struct Config {
    /// Holds the authority's key and the saved state.
    pub dir: PathBuf,
    pub api: IpAddr,
    pub edge: IpAddr,
    pub dns: IpAddr,
    /// PEM of the authorities that origins are trusted by; read again for each connection, may be missing.
    pub origin_ca: Option<PathBuf>,
    pub seed: Seed,
    pub ports: Ports,
    /// What identifiers and secrets grow from.
    pub entropy: String,
    /// Whether monitors visit their URLs by themselves, or only when the control API asks.
    pub monitors_run: bool,
}

impl Config {
    /// Everything on 127.0.0.1 with free ports: for tests.
    pub fn local(dir: impl Into<PathBuf>, seed: Seed) -> Self {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let ports = Ports::free();
        let (entropy, monitors_run) = ("local".into(), false);
        Self { dir: dir.into(), api: ip, edge: ip, dns: ip, origin_ca: None, seed, ports, entropy, monitors_run }
    }
}

/// Where each server listens, and where origins do.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    pub cloudflare: u16,
    pub stripe: u16,
    pub uptimerobot: u16,
    pub sentry: u16,
    pub control: u16,
    pub dns: u16,
    pub edge_http: u16,
    pub edge_https: u16,
    /// The ports of origins behind the edge, and of webhook receivers whose URL names none.
    pub origin_http: u16,
    pub origin_https: u16,
}

impl Ports {
    /// Free ports for the servers, the usual ones for origins.
    pub fn free() -> Self {
        Self {
            cloudflare: 0,
            stripe: 0,
            uptimerobot: 0,
            sentry: 0,
            control: 0,
            dns: 0,
            edge_http: 0,
            edge_https: 0,
            origin_http: 80,
            origin_https: 443,
        }
    }
}

/// The accounts that exist from the start.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Seed {
    pub cloudflare: CloudflareSeed,
    pub stripe: StripeSeed,
    pub uptimerobot: UptimeRobotSeed,
    pub sentry: SentrySeed,
}

/// Cloudflare: API tokens of one account, and its zones.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct CloudflareSeed {
    pub tokens: Vec<String>,
    pub account: String,
    pub zones: Vec<String>,
    pub name_servers: Vec<String>,
}

/// Stripe: one account's live and test keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct StripeSeed {
    pub live: String,
    pub test: String,
}

/// UptimeRobot: one account each key.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct UptimeRobotSeed {
    pub keys: Vec<String>,
}

/// Sentry: tokens of one organization with one team.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SentrySeed {
    pub tokens: Vec<String>,
    pub organization: String,
    pub team: String,
}
