//! The servers with their accounts, and everything that was logged.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use golive::fault::Fault;
use golive::outside::Real;
use golive::vendors::Access;
use golive::vendors::transport::{Limit, Transport};
use prometheus_client::registry::Registry;
use reqwest::Client;
use serde_json::{Value, json};
use vendors::{Config, Running, Seed};

pub const ZONE: &str = "example.com";
pub const ACCOUNT: &str = "0123456789abcdef0123456789abcdef";
/// Credentials that must appear nowhere. All have this word in common.
pub const CANARY: &str = "canary";
pub const CLOUDFLARE: &str = "canary-of-cloudflare-7f3a";
pub const STRIPE: &str = "sk_test_canaryofstripe7f3a";
pub const UPTIMEROBOT: &str = "u1-canary-of-uptimerobot-7f3a";
pub const SENTRY: &str = "sntrys_canary-of-sentry-7f3a";

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Every record of every crate in this process, at TRACE.
struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn listen_to_everything() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(|| Log).init();
    });
}

/// Running servers.
pub struct Place {
    pub running: Running,
    pub client: Client,
}

impl Place {
    /// Servers of this test alone.
    pub async fn start() -> Place {
        Self::with(&[ZONE]).await
    }

    /// Servers whose Cloudflare account has these zones.
    pub async fn with<Z: AsRef<str>>(zones: &[Z]) -> Place {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        listen_to_everything();
        let name = format!("contract-{}", NEXT.fetch_add(1, Ordering::SeqCst));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let running = vendors::start(Config::local(dir, seed(zones))).await.unwrap();
        let ca = reqwest::Certificate::from_pem(running.ca().as_bytes()).unwrap();
        let client = Client::builder().add_root_certificate(ca).pool_max_idle_per_host(0).build().unwrap();
        Place { running, client }
    }

    /// The account that golive uses at a vendor; our own throttle is not what is tested here.
    pub fn access(&self, vendor: &str) -> Access {
        let (url, roots) = (self.running.url(vendor).unwrap(), Some(self.running.ca().to_owned()));
        let access = match vendor {
            "cloudflare" => {
                let base = format!("{url}/client/v4");
                Access::cloudflare("dns", Some(&base), CLOUDFLARE.to_owned().into(), roots).of_account(ACCOUNT)
            }
            "stripe" => Access::stripe("pay", Some(&url), STRIPE.to_owned().into(), roots),
            "uptimerobot" => {
                let base = format!("{url}/v3");
                Access::uptime_robot("up", Some(&base), UPTIMEROBOT.to_owned().into(), roots)
            }
            _ => Access::sentry("errors", Some(&url), SENTRY.to_owned().into(), roots).of_team("acme", "platform"),
        };
        Access { limit: Limit { per_second: 1e3, burst: 1e3 }, told: |_| None, ..access }
    }

    /// Orders requests to go wrong.
    pub fn fault(&self, vendor: &str, method: &str, fault: &Value) {
        let mut whole = json!({"vendor": vendor, "method": method});
        whole.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        self.running.fault(serde_json::from_value(whole).unwrap());
    }

    /// A request past golive, as a person's at the vendor.
    pub async fn raw(&self, vendor: &str, method: &str, path: &str, body: &Value) -> Value {
        let key = match vendor {
            "cloudflare" => CLOUDFLARE,
            "stripe" => STRIPE,
            "uptimerobot" => UPTIMEROBOT,
            _ => SENTRY,
        };
        let request =
            self.client.request(method.parse().unwrap(), format!("{}{path}", self.running.url(vendor).unwrap()));
        let request = request.bearer_auth(key);
        let request = match body {
            Value::String(form) => {
                request.header("content-type", "application/x-www-form-urlencoded").body(form.clone())
            }
            json => request.json(json),
        };
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// So many calls a vendor has had.
    pub fn calls(&self, vendor: &str) -> usize {
        self.running.calls(vendor).len()
    }

    /// Lets lists catch up with writes.
    pub fn catch_up(&self) {
        self.running.advance(Duration::from_secs(10));
    }
}

/// A transport that knows nothing yet, as after a restart.
pub fn transport() -> Transport {
    Transport::new(&mut Registry::default(), Arc::new(Real::default()))
}

fn seed<Z: AsRef<str>>(zones: &[Z]) -> Seed {
    let zones: Vec<&str> = zones.iter().map(AsRef::as_ref).collect();
    let seed = json!({
        "cloudflare": {"tokens": [CLOUDFLARE], "account": ACCOUNT, "zones": zones},
        "stripe": {"live": "sk_live_canaryofstripe7f3a", "test": STRIPE},
        "uptimerobot": {"keys": [UPTIMEROBOT]},
        "sentry": {"tokens": [SENTRY], "organization": "acme", "team": "platform"},
    });
    serde_json::from_value(seed).unwrap()
}

/// Fails if a credential, or this secret, is in anything that was logged so far by any test.
pub fn nothing_was_told(secrets: &[&str]) {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&log);
    assert!(text.contains("answered"), "the log is listened to");
    for secret in secrets.iter().chain(&[CANARY]) {
        let told = text.lines().find(|line| line.contains(secret));
        assert_eq!(told, None, "a secret is in the log");
    }
}

/// The fault's own text, which must be fit for a condition and hold no secret.
pub fn text_of(fault: &Fault) -> String {
    let text = fault.to_string();
    assert!(!text.contains(CANARY) && !format!("{fault:?}").contains(CANARY), "{text}");
    assert!(text.chars().count() < 600 && !text.chars().any(char::is_control), "{text}");
    text
}
