//! Stripe: webhook endpoints (v1). <https://docs.stripe.com/api/webhook_endpoints>
//!
//! Requests are built by async-stripe and sent by our own transport, which knows idempotency keys, Retry-After and
//! redaction; answers are read leniently, so that a field that Stripe adds or drops does no harm.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest, VERSION};
use stripe_misc::webhook_endpoint::{
    CreateWebhookEndpoint, DeleteWebhookEndpoint, ListWebhookEndpoint, UpdateWebhookEndpoint,
};

use super::transport::{Access, Body, Call, Limit, Reply, Scheme, Transport};
use crate::fault::{Fault, Seen};
use crate::rows::{Created, Draft, Endpoint, Held, Id, Mark, Provider};

const BASE: &str = "https://api.stripe.com";
/// A quarter of the limits: <https://docs.stripe.com/rate-limits>.
const LIVE: Limit = Limit { per_second: 25.0, burst: 20.0 };
const TEST: Limit = Limit { per_second: 6.0, burst: 6.0 };
/// The most that one page holds.
const PAGE: i64 = 100;
/// How often a create goes on with a further key, where Stripe has kept a failure of its own for the one before.
const KEYS: usize = 3;

impl Access {
    /// A Stripe account, by secret or restricted key.
    pub fn stripe(account: &str, endpoint: Option<&str>, key: SecretString, roots: Option<String>) -> Self {
        let live = is_live(&key) != Some(false);
        Access {
            vendor: "Stripe",
            account: account.to_owned(),
            base: format!("{}/v1", endpoint.unwrap_or(BASE).trim_end_matches('/').trim_end_matches("/v1")),
            credential: key,
            scheme: Scheme::Bearer,
            roots,
            limit: if live { LIVE } else { TEST },
            told: |_| None,
            explain,
            is_quota: |_| false,
            scope: Vec::new(),
        }
    }
}

/// Whether a key moves real money, by its prefix: <https://docs.stripe.com/keys>. `None`: this is no key for a server.
pub fn is_live(key: &SecretString) -> Option<bool> {
    let kind = key.expose_secret().strip_prefix("sk_").or_else(|| key.expose_secret().strip_prefix("rk_"))?;
    match kind.split('_').next() {
        Some("live") => Some(true),
        Some("test") => Some(false),
        _ => None,
    }
}

/// Refuses a key of the other mode, before anything is asked with it.
///
/// # Errors
/// The key is of the other mode, or publishable.
pub fn check_mode(access: &Access, live: bool) -> Seen<()> {
    let (wanted, prefix) = if live { ("live", "sk_live_ or rk_live_") } else { ("test", "sk_test_ or rk_test_") };
    if is_live(&access.credential) == Some(live) {
        return Ok(());
    }
    let text = format!("{} is declared in {wanted} mode, and its key does not begin with {prefix}", access.name());
    Err(Fault::Denied(format!("{text}. Correct the account's mode or its Secret")))
}

fn explain(body: &Value) -> Option<String> {
    let error = &body["error"];
    let code = error["code"].as_str().or(error["type"].as_str()).unwrap_or_default();
    Some(format!("{} ({code})", error["message"].as_str()?))
}

#[derive(Deserialize)]
struct List {
    data: Vec<Wire>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Wire {
    id: String,
    url: String,
    #[serde(default)]
    enabled_events: BTreeSet<String>,
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    status: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    secret: Option<SecretText>,
}

/// A secret on the wire; it has no readable Debug.
#[derive(Deserialize)]
#[serde(transparent)]
struct SecretText(String);

/// The endpoints of one account.
pub struct Endpoints<'a> {
    /// How requests are made.
    pub transport: &'a Transport,
    /// The account.
    pub access: &'a Access,
}

impl Endpoints<'_> {
    async fn send(&self, request: RequestBuilder, key: Option<&str>) -> Seen<Reply> {
        let method = match request.method {
            StripeMethod::Get => Method::GET,
            StripeMethod::Post => Method::POST,
            StripeMethod::Delete => Method::DELETE,
        };
        let query =
            request.query.filter(|query| !query.is_empty()).map(|query| format!("?{query}")).unwrap_or_default();
        let mut headers = vec![("stripe-version", VERSION.to_string())];
        headers.extend(key.map(|key| ("idempotency-key", key.to_owned())));
        let body = request.body.map_or(Body::None, Body::Form);
        self.transport.send(self.access, Call { method, path: format!("{}{query}", request.path), body, headers }).await
    }

    /// The endpoint that an earlier try of this create has made. Its secret was shown once, and is not known.
    async fn made(&self, draft: Draft<'_, Endpoint>) -> Seen<Option<Created>> {
        let of_attempt = |held: &Held<Endpoint>| held.is_of(draft.mark) && held.row.attempt == draft.row.attempt;
        Ok(self.list().await?.into_iter().find(of_attempt).map(|held| Created { id: held.id, secret: None }))
    }
}

fn create_request(draft: Draft<'_, Endpoint>) -> RequestBuilder {
    let events: Vec<_> = draft.row.events.iter().filter_map(|event| event.parse().ok()).collect();
    let request = CreateWebhookEndpoint::new(events, draft.row.url.clone())
        .metadata(metadata(draft.row, draft.mark))
        .description(draft.mark.to_string());
    let version = draft.row.api_version.as_ref().and_then(|version| version.parse::<stripe_shared::ApiVersion>().ok());
    match version {
        Some(version) => request.api_version(version).build(),
        None => request.build(),
    }
}

/// A failure that Stripe kept for the idempotency key, and gives again for a day:
/// <https://docs.stripe.com/api/idempotent_requests>.
fn is_kept_failure(reply: &Reply) -> bool {
    reply.status >= 500 && reply.header("idempotent-replayed") == Some("true")
}

fn metadata(row: &Endpoint, mark: &Mark) -> HashMap<String, String> {
    let pairs = [
        ("golive_cluster", &mark.cluster),
        ("golive_owner", &mark.owner),
        ("golive_name", &mark.label),
        ("golive_slot", &row.slot),
        ("golive_attempt", &row.attempt),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

impl From<Wire> for Held<Endpoint> {
    fn from(wire: Wire) -> Self {
        let text = |key: &str| wire.metadata.get(key).cloned();
        let mark = match (text("golive_cluster"), text("golive_owner")) {
            (Some(cluster), Some(owner)) => {
                Some(Mark { cluster, owner, label: text("golive_name").unwrap_or_default() })
            }
            _ => None,
        };
        let row = Endpoint {
            slot: text("golive_slot").unwrap_or_default(),
            url: wire.url.clone(),
            events: wire.enabled_events.clone(),
            api_version: wire.api_version.clone(),
            enabled: wire.status != "disabled",
            attempt: text("golive_attempt").unwrap_or_default(),
        };
        Held { id: Id(wire.id), mark, row }
    }
}

impl Provider<Endpoint> for Endpoints<'_> {
    async fn list(&self) -> Seen<Vec<Held<Endpoint>>> {
        let (mut rows, mut seen) = (Vec::<Held<Endpoint>>::new(), BTreeSet::new());
        loop {
            let mut request = ListWebhookEndpoint::new().limit(PAGE);
            if let Some(last) = rows.last() {
                request = request.starting_after(last.id.0.clone());
            }
            let page: List = self.send(request.build(), None).await?.good(self.access)?.json(self.access)?;
            let last = page.data.last().map(|wire| wire.id.clone());
            rows.extend(page.data.into_iter().map(Held::from));
            if !page.has_more {
                return Ok(rows);
            }
            // A page that ends where an earlier one did, or nowhere, leads nowhere else.
            if !last.is_some_and(|last| seen.insert(last)) {
                return Err(Fault::Unreachable(format!("{} lists the same page again and again", self.access.name())));
            }
        }
    }

    /// Under one key a create has one effect, and its answer is kept with it: a failure too. Then the endpoint is looked
    /// for, and made under a key that follows from the first, so that a restart comes to the same keys.
    async fn create(&self, draft: Draft<'_, Endpoint>) -> Seen<Created> {
        for turn in 0..KEYS {
            let key = if turn == 0 { draft.key.to_owned() } else { format!("{}.{turn}", draft.key) };
            let reply = self.send(create_request(draft), Some(&key)).await?;
            if is_kept_failure(&reply) {
                match self.made(draft).await? {
                    Some(created) => return Ok(created),
                    None => continue,
                }
            }
            let wire: Wire = reply.good(self.access).map_err(at_the_cap)?.json(self.access)?;
            return Ok(Created { id: Id(wire.id), secret: wire.secret.map(|secret| secret.0.into()) });
        }
        Err(Fault::Lost(format!(
            "{} keeps a failure of its own for this endpoint, under {KEYS} keys",
            self.access.name()
        )))
    }

    async fn update(&self, id: &Id, draft: Draft<'_, Endpoint>) -> Seen<()> {
        let events: Vec<_> = draft.row.events.iter().filter_map(|event| event.parse().ok()).collect();
        let request = UpdateWebhookEndpoint::new(id.0.as_str())
            .url(draft.row.url.clone())
            .enabled_events(events)
            .disabled(!draft.row.enabled)
            .metadata(metadata(draft.row, draft.mark));
        super::changed(self.access, self.send(request.build(), None).await?, id)
    }

    async fn delete(&self, id: &Id) -> Seen<()> {
        super::deleted(self.access, self.send(DeleteWebhookEndpoint::new(id.0.as_str()).build(), None).await?)
    }
}

/// Stripe has no code for a full account, only words.
fn at_the_cap(fault: Fault) -> Fault {
    match fault {
        Fault::Rejected(text) if text.contains("endpoint") && (text.contains("maximum") || text.contains("limit")) => {
            Fault::Rejected(format!(
                "{text}. Delete endpoints that nobody uses in Stripe's dashboard; golive tries again"
            ))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_a_key_is_its_prefix() {
        let cases = [
            ("sk_live_1", Some(true)),
            ("rk_live_1", Some(true)),
            ("sk_test_1", Some(false)),
            ("pk_live_1", None),
            ("", None),
        ];
        for (key, live) in cases {
            assert_eq!(is_live(&key.to_owned().into()), live, "{key}");
        }
        let access = Access::stripe("pay", None, "sk_test_1".to_owned().into(), None);
        assert_eq!(check_mode(&access, false), Ok(()));
        assert!(check_mode(&access, true).unwrap_err().to_string().contains("sk_live_"));
    }

    #[test]
    fn a_full_account_is_told_with_what_to_do() {
        let full = at_the_cap(Fault::Rejected("You have reached the maximum of 16 test webhook endpoints.".into()));
        assert!(full.to_string().contains("Delete endpoints"));
        let other = Fault::Rejected("limit must be at most 100".into());
        assert_eq!(at_the_cap(other.clone()), other);
    }
}
