//! Servers on free ports of 127.0.0.1, and a client that trusts them.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vendors::{Config, Running, Seed};

pub const TOKEN: &str = "user_token_of_the_tests";
pub const ACCOUNT_TOKEN: &str = "cfat_token_of_the_tests";
pub const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
pub const ZONE: &str = "example.com";
pub const LIVE: &str = "sk_live_51GoliveLiveKey0001";
pub const TEST: &str = "sk_test_51GoliveTestKey0002";
pub const MONITORS: &str = "u4242-key-of-the-tests";
pub const SENTRY: &str = "sntrys_token_of_the_tests";

/// The accounts of the tests.
pub fn seed() -> Seed {
    let seed = json!({
        "cloudflare": {"tokens": [TOKEN, ACCOUNT_TOKEN], "account": ACCOUNT, "zones": [ZONE, "other.example"],
                       "nameServers": ["ns1.vendors.test", "ns2.vendors.test"]},
        "stripe": {"live": LIVE, "test": TEST},
        "uptimerobot": {"keys": [MONITORS]},
        "sentry": {"tokens": [SENTRY], "organization": "acme", "team": "platform"},
    });
    serde_json::from_value(seed).unwrap()
}

/// A directory of this test's own, empty.
pub fn directory(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vendors").join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Running servers and a client.
pub struct World {
    pub dir: PathBuf,
    pub running: Running,
    pub client: reqwest::Client,
}

impl World {
    /// Fresh servers under a name that no other test uses.
    pub async fn start(name: &str) -> Self {
        Self::with(Config::local(directory(name), seed())).await
    }

    /// Servers as configured.
    pub async fn with(config: Config) -> Self {
        let dir = config.dir.clone();
        let running = vendors::start(config).await.unwrap();
        let ca = reqwest::Certificate::from_pem(running.ca().as_bytes()).unwrap();
        let client = reqwest::Client::builder().add_root_certificate(ca).pool_max_idle_per_host(0).build().unwrap();
        Self { dir, running, client }
    }

    /// The file to trust the servers by.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// A request of a vendor with the tests' credential.
    pub fn call(&self, vendor: &str, method: &str, path: &str) -> reqwest::RequestBuilder {
        let key = match vendor {
            "cloudflare" => TOKEN,
            "stripe" => TEST,
            "uptimerobot" => MONITORS,
            _ => SENTRY,
        };
        let url = format!("{}{path}", self.running.url(vendor).unwrap());
        self.client.request(method.parse().unwrap(), url).bearer_auth(key)
    }

    /// A call of the control API, which must succeed.
    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.running.control().unwrap());
        let answer = self.client.request(method.parse().unwrap(), url).json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }
}
