//! Who is asked, by whom and how often.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{Explain, Reply};

/// How many requests a credential may make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Requests per second, in the long run.
    pub per_second: f64,
    /// Requests at once.
    pub burst: f64,
}

/// How a vendor is told who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Bearer …`.
    Bearer,
}

/// One vendor account, as the transport needs it.
#[derive(Clone)]
pub struct Access {
    /// The vendor's name, for messages.
    pub vendor: &'static str,
    /// The ProviderAccount.
    pub account: String,
    /// Where the API is, without a slash at the end.
    pub base: String,
    /// The token or key.
    pub credential: SecretString,
    /// How it is sent.
    pub scheme: Scheme,
    /// Roots that are trusted beside the system's, in PEM.
    pub roots: Option<String>,
    /// The published limit, or our share of it.
    pub limit: Limit,
    /// The limit of this very account, where the vendor tells it with its answers.
    pub told: fn(&Reply) -> Option<Limit>,
    /// The vendor's own words in an error body.
    pub explain: Explain,
    /// Whether the body of a 403 tells of a plan that is full, and not of missing rights.
    pub is_quota: fn(&serde_json::Value) -> bool,
    /// What else the vendor's client has to know: an account id, an organization.
    pub scope: Vec<String>,
}

impl Access {
    /// Tells credentials apart without showing them: 12 hex digits.
    pub fn fingerprint(&self) -> String {
        let text = format!("{} {} {}", self.vendor, self.base, self.credential.expose_secret());
        Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Tells apart the tables that one credential reaches.
    pub fn table(&self) -> String {
        std::iter::once(&self.fingerprint()).chain(&self.scope).map(String::as_str).collect::<Vec<_>>().join("/")
    }

    /// The account, for messages.
    pub fn name(&self) -> String {
        format!("{} (account `{}`)", self.vendor, self.account)
    }

    /// A text in which the credential does not stand, should the other side have repeated it.
    pub fn redacted(&self, text: &str) -> String {
        match self.credential.expose_secret() {
            "" => text.to_owned(),
            secret => text.replace(secret, "[credential]"),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Access");
        shown.field("vendor", &self.vendor).field("account", &self.account).field("base", &self.base);
        shown.field("fingerprint", &self.fingerprint()).field("scope", &self.scope).finish_non_exhaustive()
    }
}
