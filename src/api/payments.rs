//! Payment providers: products, prices and the endpoints that they deliver events to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secrets::RotationDays;
use super::shape::{
    Currency, EnvName, Int, Item, Keyed, Label, ObjectName, Set, Text, UrlPath, Word, demand, forbid, rule,
};

/// How customers pay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Payments {
    /// stripe keeps endpoints, products and prices at Stripe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stripe: Option<Stripe>,
    /// razorpay keeps endpoints at Razorpay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub razorpay: Option<Razorpay>,
}

/// What is wanted at Stripe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(".webhooks", &format!("!has(self.webhooks) || self.webhooks.all(w, {})", differs_from_all()),
        "`previousSecretEnv` must be a variable of its own, no other webhook's `secretEnv` or `previousSecretEnv`: rename it"),
]))]
pub struct Stripe {
    /// account is the ProviderAccount; the default one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub account: Option<String>,
    /// startInTestMode keeps live objects back until the scorecard is green in test mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_in_test_mode: Option<TestMode>,
    /// products lists what is sold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<Product, 32>")]
    pub products: Vec<Product>,
    /// webhooks lists where Stripe delivers events to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<StripeWebhook, 16>")]
    pub webhooks: Vec<StripeWebhook>,
}

impl Stripe {
    /// The account of a trial in test mode.
    pub fn trial(&self) -> Option<&str> {
        self.start_in_test_mode.as_ref().map(|trial| trial.account.as_str())
    }
}

/// A trial run before live mode.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestMode {
    /// account is the ProviderAccount with a key for test mode.
    #[schemars(with = "ObjectName")]
    pub account: String,
}

/// Something that is sold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// name is what customers read.
    #[schemars(with = "Text<250>")]
    pub name: String,
    /// prices lists what it costs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<Price, 16>")]
    pub prices: Vec<Price>,
}

impl Item for Product {
    const KEYS: &'static [&'static str] = &["name"];
}

/// What something costs. A price cannot be changed at Stripe, so another amount becomes another price.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// name tells the price apart, in lower case; it becomes the lookup key.
    #[schemars(with = "Label")]
    pub name: String,
    /// amountMinor is the price in the smallest unit of the currency, such as cents.
    #[schemars(with = "Int<0, 99_999_999>")]
    pub amount_minor: i32,
    /// currency is the ISO 4217 code in lower case.
    #[schemars(with = "Currency")]
    pub currency: String,
    /// interval makes it a subscription that renews each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// env is the variable that carries the price's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EnvName")]
    pub env: Option<String>,
}

impl Item for Price {
    const KEYS: &'static [&'static str] = &["name"];
}

/// How often a subscription renews.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Interval {
    Day,
    Week,
    #[default]
    Month,
    Year,
}

/// An endpoint that Stripe delivers events to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("", "(has(self.events) && self.events.size() > 0) != has(self.preset)", "exactly one of `events` and `preset` must be set in a webhook: name the events, or use a preset"),
    demand("", "has(self.path)", "`path` must say where the events are delivered to: add it to the webhook, also with `worker`"),
    forbid(".previousSecretEnv", "!has(self.previousSecretEnv) || self.previousSecretEnv != self.secretEnv",
        "`previousSecretEnv` must be another variable than `secretEnv`: rename it"),
]))]
pub struct StripeWebhook {
    /// path is where events are delivered to, on the first of `domains` or on the worker's domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "UrlPath")]
    pub path: Option<String>,
    /// worker is the name of the worker that takes the events in the application's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Label")]
    pub worker: Option<String>,
    /// events lists the types of events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Set<Word, 100>")]
    pub events: Vec<String>,
    /// preset names a usual list of events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<EventPreset>,
    /// secretEnv is the variable that carries the signing secret.
    #[schemars(with = "EnvName")]
    pub secret_env: String,
    /// previousSecretEnv is the variable that carries the signing secret before, during a rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EnvName")]
    pub previous_secret_env: Option<String>,
    /// rotateAfterDays replaces the signing secret when it is that old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "RotationDays")]
    pub rotate_after_days: Option<i32>,
    /// apiVersion is the version of Stripe's API that events are written in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Word")]
    pub api_version: Option<String>,
}

/// In CEL, whether `w.previousSecretEnv` is no name of another secret: `secretEnv` tells the items of the list apart.
fn differs_from_all() -> String {
    let other = "o.secretEnv == w.secretEnv || (o.secretEnv != w.previousSecretEnv && (!has(o.previousSecretEnv) || o.previousSecretEnv != w.previousSecretEnv))";
    format!("!has(w.previousSecretEnv) || self.webhooks.all(o, {other})")
}

impl Item for StripeWebhook {
    const KEYS: &'static [&'static str] = &["secretEnv"];
}

/// Usual lists of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EventPreset {
    #[default]
    Subscriptions,
}

/// What is wanted at Razorpay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Razorpay {
    /// account is the ProviderAccount; the default one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ObjectName")]
    pub account: Option<String>,
    /// webhooks lists where Razorpay delivers events to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Keyed<RazorpayWebhook, 16>")]
    pub webhooks: Vec<RazorpayWebhook>,
}

/// An endpoint that Razorpay delivers events to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RazorpayWebhook {
    /// path is where events are delivered to, on the first of `domains`.
    #[schemars(with = "UrlPath")]
    pub path: String,
    /// events lists the types of events.
    #[schemars(with = "Set<Word, 100>")]
    pub events: Vec<String>,
    /// secretEnv is the variable that carries the secret that events are signed with.
    #[schemars(with = "EnvName")]
    pub secret_env: String,
}

impl Item for RazorpayWebhook {
    const KEYS: &'static [&'static str] = &["secretEnv"];
}
