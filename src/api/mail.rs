//! Mail that the application sends: the sending domain, and what proves it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{Host, MailAddress, ObjectName, one_of, rule};

/// Who sends mail, as whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    one_of(&["postmark", "resend", "ses"], "exactly one of `postmark`, `resend` and `ses` must be set in `mail`: put another one under `mail.fallback`"),
]))]
pub struct Mail {
    /// postmark sends by Postmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postmark: Option<Sender>,
    /// resend sends by Resend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resend: Option<Sender>,
    /// ses sends by Amazon SES.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ses: Option<Sender>,
    /// fallback is a second vendor whose domain is made ready too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    /// dmarc says what receivers do with mail that is not proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dmarc: Option<Dmarc>,
}

/// A domain at a vendor of mail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(".from", "!has(self.from) || self.from.endsWith('@' + self.domain) || self.from.endsWith('.' + self.domain)",
        "`from` must be an address of `domain`: receivers refuse mail from another one"),
]))]
pub struct Sender {
    /// account is the ProviderAccount; the default one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub account: Option<String>,
    /// domain is the one that mail is sent from.
    #[schemars(with = "Host")]
    pub domain: String,
    /// from is the address that mail is sent from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MailAddress")]
    pub from: Option<String>,
}

/// A second vendor of mail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    one_of(&["postmark", "resend", "ses"], "exactly one of `postmark`, `resend` and `ses` must be set in `mail.fallback`: keep one of them"),
]))]
pub struct Fallback {
    /// postmark sends by Postmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postmark: Option<Sender>,
    /// resend sends by Resend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resend: Option<Sender>,
    /// ses sends by Amazon SES.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ses: Option<Sender>,
}

/// A policy for mail that is not proven.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dmarc {
    /// policy is what receivers do with it.
    #[serde(default)]
    pub policy: DmarcPolicy,
    /// reportTo is the address that receivers send their reports to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MailAddress")]
    pub report_to: Option<String>,
}

/// What receivers do with mail that is not proven: nothing, put it aside, or refuse it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DmarcPolicy {
    #[default]
    None,
    Quarantine,
    Reject,
}
