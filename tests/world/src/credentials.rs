//! The credentials of a world: random, its own, and kept while the world's folder is.

use crate::error::{Doing, Result};
use crate::place::{World, write};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs;
use std::io::Read;

/// The Cloudflare account every world has.
pub const CLOUDFLARE_ACCOUNT: &str = "0123456789abcdef0123456789abcdef";

/// One credential for each vendor. It has no Debug, so that it cannot end up in a log.
#[derive(Serialize, Deserialize)]
pub struct Credentials {
    /// A live-mode secret key of Stripe.
    pub stripe_live: String,
    /// A test-mode secret key of Stripe.
    pub stripe_test: String,
    /// An API token of Cloudflare.
    pub cloudflare: String,
    /// A main API key of UptimeRobot.
    pub uptimerobot: String,
    /// An organization token of Sentry.
    pub sentry: String,
    /// The access key id of the S3 account.
    pub s3_access: String,
    /// The secret access key of the S3 account.
    pub s3_secret: String,
    /// The password restic repositories are encrypted with.
    pub restic: String,
}

impl Credentials {
    fn random() -> Result<Self> {
        Ok(Self {
            stripe_live: format!("sk_live_{}", hex(24)?),
            stripe_test: format!("sk_test_{}", hex(24)?),
            cloudflare: hex(20)?,
            uptimerobot: format!("u1234567-{}", hex(12)?),
            sentry: format!("sntrys_{}", hex(32)?),
            s3_access: format!("AK{}", hex(9)?.to_uppercase()),
            s3_secret: hex(20)?,
            restic: hex(16)?,
        })
    }

    /// What the vendor servers start with.
    pub fn seed(&self) -> Value {
        json!({
            "cloudflare": {
                "tokens": [self.cloudflare],
                "account": CLOUDFLARE_ACCOUNT,
                "zones": ["example.com", "duespark.example", "pospal.example"],
                "nameServers": ["ns1.vendors.test", "ns2.vendors.test"],
            },
            "stripe": {"live": self.stripe_live, "test": self.stripe_test},
            "uptimerobot": {"keys": [self.uptimerobot]},
            "sentry": {"tokens": [self.sentry], "organization": "acme", "team": "platform"},
        })
    }
}

impl World {
    /// The world's credentials; made when they are asked for first.
    pub fn credentials(&self) -> Result<Credentials> {
        let file = self.dir.join("credentials.json");
        if let Ok(text) = fs::read_to_string(&file) {
            return serde_json::from_str(&text).doing(format!("reading {}", file.display()));
        }
        let made = Credentials::random()?;
        write(&file, serde_json::to_string_pretty(&made).doing("writing credentials")?)?;
        Ok(made)
    }
}

fn hex(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .doing("reading /dev/urandom")?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_their_mode_and_no_two_worlds_share_one() {
        let (one, other) = (Credentials::random().unwrap(), Credentials::random().unwrap());
        assert!(one.stripe_live.starts_with("sk_live_") && one.stripe_test.starts_with("sk_test_"));
        assert_ne!(one.seed(), other.seed());
        assert_eq!(one.cloudflare.len(), 40);
    }
}
