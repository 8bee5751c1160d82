//! Vendor accounts, as a platform team sets them up.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{HostPattern, HttpsUrl, MailAddress, Selection, Set, Word, one_of, rule};
use super::status::{Conditions, Generation, never};
use super::{CaBundle, SecretKey, SecretName};

const ONE_VENDOR: &str = "exactly one vendor must be set (`cloudflare`, `acme`, `stripe`, `uptimeRobot`, `s3`, `sentry`, `postmark`, `resend`, \
                          `ses` or `razorpay`): make one ProviderAccount for each";
const SAME_VENDOR: &str = "the vendor of a ProviderAccount must stay: make another ProviderAccount, and name it as `account` where it is used";
/// The blocks of vendors.
const VENDORS: [&str; 10] =
    ["cloudflare", "acme", "stripe", "uptimeRobot", "s3", "sentry", "postmark", "resend", "ses", "razorpay"];

fn same_vendor() -> serde_json::Value {
    let same: Vec<String> =
        VENDORS.iter().map(|vendor| format!("has(self.{vendor}) == has(oldSelf.{vendor})")).collect();
    rule("", &same.join(" && "), SAME_VENDOR)
}

/// spec is one account at one vendor: its credential, and who may use it for what.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "golive.dev",
    version = "v1alpha1",
    kind = "ProviderAccount",
    status = "AccountStatus",
    shortname = "provideraccount",
    category = "golive",
    doc = "ProviderAccount is one account at one vendor, with the Secret that holds its credential and who may use it."
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [one_of(&VENDORS, ONE_VENDOR), same_vendor()]))]
pub struct ProviderAccountSpec {
    /// default makes this the account for its kind of work where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
    /// allow says who may use this account for what; all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allow>,
    /// cloudflare keeps DNS records and Workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloudflare: Option<CloudflareAccount>,
    /// acme issues certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<AcmeAccount>,
    /// stripe takes payments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stripe: Option<StripeAccount>,
    /// uptimeRobot watches from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_robot: Option<UptimeRobotAccount>,
    /// s3 keeps backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Account>,
    /// sentry collects errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentry: Option<SentryAccount>,
    /// postmark sends mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postmark: Option<PostmarkAccount>,
    /// resend sends mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resend: Option<ResendAccount>,
    /// ses sends mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ses: Option<SesAccount>,
    /// razorpay takes payments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub razorpay: Option<RazorpayAccount>,
}

/// status is how the account was last seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountStatus {
    /// conditions tell whether the account can be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Conditions")]
    pub conditions: Vec<Condition>,
    /// observedGeneration is the generation that this status is about.
    #[serde(default = "never")]
    #[schemars(with = "Generation")]
    pub observed_generation: i64,
}

/// Who may use an account for what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allow {
    /// namespaces selects those whose objects may use the account; all where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Selection")]
    pub namespaces: Option<LabelSelector>,
    /// domains lists the names that the account may be used for; `*.` stands for all names below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Set<HostPattern, 100>")]
    pub domains: Vec<String>,
}

/// An account at Cloudflare.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloudflareAccount {
    /// accountId is the id that Cloudflare shows for the account.
    #[schemars(with = "Word")]
    pub account_id: String,
    /// tokenSecret holds an API token.
    pub token_secret: SecretKey,
    /// endpoint is another address of the API, such as a proxy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpsUrl")]
    pub endpoint: Option<String>,
    /// caBundle holds certificates to trust at `endpoint`, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// An account at a certificate authority.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(".termsOfServiceAgreed", "self.termsOfServiceAgreed", "`termsOfServiceAgreed` must be true: read the terms of the CA, then agree to them here"),
]))]
pub struct AcmeAccount {
    /// directory is the address of the CA's directory.
    #[schemars(with = "HttpsUrl")]
    pub directory: String,
    /// email is where the CA sends warnings to.
    #[schemars(with = "MailAddress")]
    pub email: String,
    /// termsOfServiceAgreed says that you agree to the CA's terms.
    pub terms_of_service_agreed: bool,
    /// externalAccountBinding ties the account to one that you have at the CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_account_binding: Option<ExternalAccountBinding>,
    /// caBundle holds certificates to trust at `directory`, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
    /// profile is the kind of certificate to ask for, such as `shortlived`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Word")]
    pub profile: Option<String>,
}

/// What ties an ACME account to one at the CA (RFC 8555, 7.3.4).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalAccountBinding {
    /// keyId is the id of the key that the CA gave you.
    #[schemars(with = "super::shape::Text<256>")]
    pub key_id: String,
    /// hmacSecret holds the key itself, in base64url.
    pub hmac_secret: SecretKey,
}

/// An account at Stripe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StripeAccount {
    /// mode is that of the key: whether money moves.
    pub mode: StripeMode,
    /// keySecret holds a secret or restricted key.
    pub key_secret: SecretKey,
    /// endpoint is another address of the API, such as a proxy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpsUrl")]
    pub endpoint: Option<String>,
    /// caBundle holds certificates to trust at `endpoint`, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// Whether money moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StripeMode {
    #[default]
    Live,
    Test,
}

/// An account at UptimeRobot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UptimeRobotAccount {
    /// keySecret holds an API key.
    pub key_secret: SecretKey,
    /// endpoint is another address of the API, such as a proxy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpsUrl")]
    pub endpoint: Option<String>,
    /// caBundle holds certificates to trust at `endpoint`, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// A bucket of an S3 store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Account {
    /// endpoint is the address of the store.
    #[schemars(with = "HttpsUrl")]
    pub endpoint: String,
    /// region is the one that requests are signed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Word")]
    pub region: Option<String>,
    /// bucket is where backups go.
    #[schemars(with = "Word")]
    pub bucket: String,
    /// credentialsSecret holds `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    pub credentials_secret: SecretName,
    /// encryptionSecret holds the password that backups are encrypted with.
    pub encryption_secret: SecretKey,
    /// caBundle holds the certificates to trust at `endpoint`, in the place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// A team at Sentry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SentryAccount {
    /// organization is the slug of the organization.
    #[schemars(with = "Word")]
    pub organization: String,
    /// team is the slug of the team that owns the projects.
    #[schemars(with = "Word")]
    pub team: String,
    /// tokenSecret holds an auth token.
    pub token_secret: SecretKey,
    /// endpoint is the address of an installation of your own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpsUrl")]
    pub endpoint: Option<String>,
    /// caBundle holds certificates to trust at `endpoint`, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// An account at Postmark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostmarkAccount {
    /// accountTokenSecret holds the token of the account, not of a server.
    pub account_token_secret: SecretKey,
    /// endpoint is another address of the API, such as a proxy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpsUrl")]
    pub endpoint: Option<String>,
    /// caBundle holds certificates to trust at `endpoint`, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// An account at Resend.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResendAccount {
    /// keySecret holds an API key with full access.
    pub key_secret: SecretKey,
    /// endpoint is another address of the API, such as a proxy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpsUrl")]
    pub endpoint: Option<String>,
    /// caBundle holds certificates to trust at `endpoint`, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// An account at Amazon SES.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SesAccount {
    /// region is where mail is sent from.
    #[schemars(with = "Word")]
    pub region: String,
    /// credentialsSecret holds `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    pub credentials_secret: SecretName,
    /// endpoint is another address of the API, such as a VPC endpoint's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpsUrl")]
    pub endpoint: Option<String>,
    /// caBundle holds certificates to trust at `endpoint`, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// An account at Razorpay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RazorpayAccount {
    /// mode is that of the key: whether money moves.
    pub mode: StripeMode,
    /// keySecret holds `RAZORPAY_KEY_ID` and `RAZORPAY_KEY_SECRET`.
    pub key_secret: SecretName,
    /// webhooks says who keeps endpoints: a person by the dashboard, or golive by the API, which Razorpay opens to partners only.
    #[serde(default)]
    pub webhooks: RazorpayWebhooks,
    /// endpoint is another address of the API, such as a proxy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HttpsUrl")]
    pub endpoint: Option<String>,
    /// caBundle holds certificates to trust at `endpoint`, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// Who keeps endpoints at Razorpay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RazorpayWebhooks {
    #[default]
    Manual,
    Partner,
}
