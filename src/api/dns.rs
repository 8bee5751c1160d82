//! DNS records and certificates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{Int, ObjectName, forbid};

/// The records of `domains` and `redirectFrom`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    forbid(".ttlSeconds", "!has(self.ttlSeconds) || !has(self.proxied) || !self.proxied", "`dns.ttlSeconds` is the vendor's own for proxied records: remove it, or set `proxied` to false"),
]))]
pub struct Dns {
    /// account is the ProviderAccount; the default one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub account: Option<String>,
    /// proxied lets the vendor stand in front of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxied: Option<bool>,
    /// ttlSeconds is how long resolvers may keep a record; the vendor decides where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Int<30, 86_400>")]
    pub ttl_seconds: Option<i32>,
    /// adopt says whether records of others may be taken over.
    #[serde(default)]
    pub adopt: Adopt,
}

/// Whether rows of others may be taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Adopt {
    #[default]
    Never,
    IfIdentical,
    Always,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    forbid(".account", "!has(self.account) || !has(self.secretName)", "`tls.account` must not be set together with `tls.secretName`: have a certificate issued, or bring your own"),
]))]
pub struct Tls {
    /// account is the ProviderAccount of the CA; the default one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub account: Option<String>,
    /// secretName is a Secret of type `kubernetes.io/tls` with a certificate of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub secret_name: Option<String>,
}
