//! The credentials of a world: random, its own, and kept while the world's folder is.

use crate::error::{Doing, Result};
use crate::place::{World, write};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
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
                "tokens": [self.cloudflare, self.spare_cloudflare()],
                "account": CLOUDFLARE_ACCOUNT,
                "zones": ["example.com", "duespark.example", "pospal.example"],
                "nameServers": ["ns1.vendors.test", "ns2.vendors.test"],
            },
            "stripe": {"live": self.stripe_live, "test": self.stripe_test},
            "uptimerobot": {"keys": [self.uptimerobot, self.spare_uptimerobot()]},
            "sentry": {"tokens": [self.sentry, self.spare_sentry()], "organization": "acme", "team": "platform"},
        })
    }

    /// A second token of Cloudflare: tests spoil it while everybody else goes on with the first.
    pub fn spare_cloudflare(&self) -> String {
        spare(&self.cloudflare, 40)
    }

    /// A key of a second account at UptimeRobot.
    pub fn spare_uptimerobot(&self) -> String {
        format!("u7654321-{}", spare(&self.uptimerobot, 24))
    }

    /// A second token of Sentry.
    pub fn spare_sentry(&self) -> String {
        format!("sntrys_{}", spare(&self.sentry, 64))
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

/// Follows from the first credential, so that worlds made before there was a second one have it too.
fn spare(first: &str, digits: usize) -> String {
    let digest = Sha256::digest(format!("spare {first}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..digits].to_owned()
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
        assert_ne!(one.spare_cloudflare(), one.cloudflare);
        assert_eq!((one.spare_cloudflare().len(), one.spare_sentry().len()), (40, one.sentry.len()));
    }
}
