//! What is outside of the cluster: the vendors' APIs, Cloudflare's edge, DNS, an ACME authority and S3.

use crate::command::{fetch, run};
use crate::control::PATIENCE;
use crate::credentials::Credentials;
use crate::daemon::Daemon;
use crate::error::{Doing, Error, Result};
use crate::place::{World, target, write};
use crate::reach::Reach;
use crate::step::step;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

/// The buckets that exist from the start.
pub const BUCKETS: [&str; 2] = ["acme-backups-eu", "acme-backups-us"];

impl World {
    /// The authority of the vendors' servers.
    pub fn vendor_ca(&self) -> PathBuf {
        self.outside_file("ca.crt")
    }

    /// The root of the ACME authority; a new one each time that is started.
    pub fn acme_root(&self) -> PathBuf {
        self.outside_file("acme-root.crt")
    }

    /// Both of them in one file.
    pub fn every_ca(&self) -> PathBuf {
        self.outside_file("all.crt")
    }

    fn outside_file(&self, name: &str) -> PathBuf {
        self.dir.join("vendors").join(name)
    }

    /// Brings up everything outside of the cluster.
    pub(crate) fn open_outside(&self) -> Result<()> {
        let credentials = self.credentials()?;
        step("certificates of the outside", || self.vouch_for_outside())?;
        step("vendors, edge and DNS", || self.serve_vendors(&credentials))?;
        step("S3", || self.serve_s3(&credentials))?;
        step("ACME", || self.serve_acme())
    }

    /// The vendors' program owns their authority, and vouches for ACME and S3 too.
    fn vouch_for_outside(&self) -> Result<()> {
        let vendors = vendors_program()?;
        let dir = self.outside_file("").display().to_string();
        run(&vendors, ["ca", "--dir", &dir])?;
        let certificate = self.outside_file("tools").display().to_string();
        run(&vendors, ["cert", "--dir", &dir, "--host", &self.reach().api, "--out", &certificate]).map(drop)
    }

    fn serve_vendors(&self, credentials: &Credentials) -> Result<()> {
        let reach = self.reach();
        let seed = self.dir.join("seed.json");
        write(&seed, credentials.seed().to_string())?;
        let vendors = Daemon::new("vendors", vendors_program()?)
            .flag("dir", self.outside_file(""))
            .flag("api", reach.api)
            .flag("edge", reach.edge.0)
            .flag("edge-http-port", reach.edge.1.to_string())
            .flag("edge-https-port", reach.edge.2.to_string())
            .flag("dns", reach.dns.0)
            .flag("dns-port", reach.dns.1.to_string())
            .flag("origin-http-port", reach.gateway.1.to_string())
            .flag("origin-https-port", reach.gateway.2.to_string())
            .flag("origin-ca", self.acme_root())
            .flag("seed", seed);
        self.start(&vendors)?;
        self.wait("vendors", PATIENCE, || said_ready(&self.log("vendors")))
    }

    /// A bucket is a folder, and a folder of versions must not be one.
    fn serve_s3(&self, credentials: &Credentials) -> Result<()> {
        let (data, versions) = (self.dir.join("s3"), self.dir.join("s3-versions"));
        for folder in BUCKETS.map(|bucket| data.join(bucket)).iter().chain([&versions]) {
            fs::create_dir_all(folder).doing(format!("making {}", folder.display()))?;
        }
        let address = format!("{}:9000", self.reach().api);
        let gateway = Daemon::new("versitygw", self.program("versitygw")?)
            .env("ROOT_ACCESS_KEY", &credentials.s3_access)
            .env("ROOT_SECRET_KEY", &credentials.s3_secret)
            .flag("cert", self.outside_file("tools.crt"))
            .flag("key", self.outside_file("tools.key"))
            .flag("port", &address)
            .flag("region", "us-east-1")
            .args(["posix", "--versioning-dir", &versions.display().to_string(), &data.display().to_string()]);
        self.start(&gateway)?;
        self.wait("versitygw", PATIENCE, || TcpStream::connect(&address).is_ok())
    }

    /// Challenges are looked up at the outer DNS and fetched at the usual ports, as Let's Encrypt does.
    fn serve_acme(&self) -> Result<()> {
        let reach = self.reach();
        let config = self.dir.join("pebble.json");
        write(&config, self.acme_config(&reach).to_string())?;
        let pebble = Daemon::new("pebble", self.program("pebble")?)
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "5")
            .flag("config", config)
            .flag("dnsserver", format!("{}:{}", reach.dns.0, reach.dns.1));
        self.start(&pebble)?;
        let root = format!("https://{}:15000/roots/0", reach.api);
        self.wait("pebble", PATIENCE, || fetch(&root, &self.vendor_ca()).is_some())?;
        let root = fetch(&root, &self.vendor_ca()).ok_or_else(|| Error::new("pebble did not give its root"))?;
        write(&self.acme_root(), &root)?;
        write(&self.every_ca(), read(&self.vendor_ca())? + &root)
    }

    /// The profiles of Let's Encrypt: <https://letsencrypt.org/docs/profiles/>.
    fn acme_config(&self, reach: &Reach) -> Value {
        let address = &reach.api;
        let (days, hours) = (24 * 3600, 3600);
        let profile = |text: &str, seconds: u32, name: bool| json!({"description": text, "validityPeriod": seconds, "promoteCommonName": name});
        let settings = json!({
            "listenAddress": format!("{address}:14000"), "managementListenAddress": format!("{address}:15000"),
            "certificate": self.outside_file("tools.crt"), "privateKey": self.outside_file("tools.key"),
            "httpPort": reach.gateway.1, "tlsPort": reach.gateway.2, "keyAlgorithm": "ecdsa", "caaIdentities": ["letsencrypt.org"],
            "profiles": {
                "classic": profile("90 days, with a common name", 90 * days, true),
                "tlsserver": profile("90 days, without", 90 * days, false),
                "shortlived": profile("160 hours", 160 * hours, false),
            },
        });
        json!({ "pebble": settings })
    }
}

/// The vendors' program: the newest of the builds there are.
fn vendors_program() -> Result<PathBuf> {
    let builds = ["debug", "release"].map(|profile| target().join(profile).join("vendors"));
    let made = |file: &PathBuf| fs::metadata(file).and_then(|file| file.modified()).ok();
    let newest = builds.into_iter().filter(|file| file.is_file()).max_by_key(made);
    newest.ok_or_else(|| Error::new("vendors is not built yet").next("run `make world`, or `world build vendors`"))
}

fn said_ready(log: &Path) -> bool {
    fs::read_to_string(log).is_ok_and(|text| text.lines().any(|line| line.trim() == "ready"))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).doing(format!("reading {}", file.display()))
}
