//! What happens to requests before they reach the application.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{Int, Item, Keyed, Origin, Set, UrlPath, rule};

/// Rules for all requests from outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// httpsRedirect sends requests over plain HTTP to HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_redirect: Option<bool>,
    /// hsts tells browsers to use HTTPS only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,
    /// cache lists what may be kept outside of the application, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<CacheRule, 16>")]
    pub cache: Vec<CacheRule>,
    /// cors says which web pages of others may call the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// rateLimit lists how often one client may ask, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<RateLimit, 16>")]
    pub rate_limit: Vec<RateLimit>,
    /// compress lets answers be compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<bool>,
    /// securityHeaders adds the headers that keep browsers from guessing and framing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_headers: Option<bool>,
    /// originTls says how the proxy in front reaches the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_tls: Option<OriginTls>,
}

/// Strict transport security.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hsts {
    /// maxAgeSeconds is how long browsers remember.
    #[serde(default = "year")]
    #[schemars(with = "Int<0, 63_072_000>")]
    pub max_age_seconds: i32,
    /// includeSubdomains extends it to all names below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_subdomains: Option<bool>,
    /// preload asks for a place in the list that browsers ship with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preload: Option<bool>,
}

fn year() -> i32 {
    31_536_000
}

/// How long answers below a path may be kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("", "(has(self.immutable) && self.immutable) != (has(self.noCache) && self.noCache)",
        "exactly one of `immutable` and `noCache` must be true for a path of `edge.cache`: keep one of them"),
]))]
pub struct CacheRule {
    /// path is the beginning of the paths that this is about.
    #[schemars(with = "UrlPath")]
    pub path: String,
    /// immutable lets answers be kept for a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
    /// noCache lets no answer be used again without asking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_cache: Option<bool>,
}

impl Item for CacheRule {
    const KEYS: &'static [&'static str] = &["path"];
}

/// Cross-origin requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cors {
    /// origins lists the pages that may call, as scheme and host.
    #[schemars(with = "Set<Origin, 32>")]
    pub origins: Vec<String>,
}

/// How often one client may ask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// path is the beginning of the paths that this is about.
    #[schemars(with = "UrlPath")]
    pub path: String,
    /// requestsPerMinute is how many requests of one client pass in a minute.
    #[schemars(with = "Int<1, 1_000_000>")]
    pub requests_per_minute: i32,
}

impl Item for RateLimit {
    const KEYS: &'static [&'static str] = &["path"];
}

/// How a proxy in front reaches the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OriginTls {
    #[default]
    FullStrict,
    Full,
    Flexible,
}
