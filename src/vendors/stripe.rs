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

impl Access {
    /// A Stripe account, by secret or restricted key.
    pub fn stripe(account: &str, endpoint: Option<&str>, key: SecretString, roots: Option<String>) -> Self {
        let live = key.expose_secret().contains("_live_");
        Access {
            vendor: "Stripe",
            account: account.to_owned(),
            base: format!("{}/v1", endpoint.unwrap_or(BASE).trim_end_matches('/').trim_end_matches("/v1")),
            credential: key,
            scheme: Scheme::Bearer,
            roots,
            limit: if live { LIVE } else { TEST },
            explain,
            scope: Vec::new(),
        }
    }
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
        self.transport.call(self.access, Call { method, path: format!("{}{query}", request.path), body, headers }).await
    }
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
        let mut rows: Vec<Held<Endpoint>> = Vec::new();
        loop {
            let mut request = ListWebhookEndpoint::new().limit(PAGE);
            if let Some(last) = rows.last() {
                request = request.starting_after(last.id.0.clone());
            }
            let page: List = self.send(request.build(), None).await?.json(self.access)?;
            let empty = page.data.is_empty();
            rows.extend(page.data.into_iter().map(Held::from));
            match (page.has_more, empty) {
                (true, true) => {
                    return Err(Fault::Unreachable("Stripe says there are more endpoints and lists none".into()));
                }
                (true, false) => {}
                (false, _) => return Ok(rows),
            }
        }
    }

    async fn create(&self, draft: Draft<'_, Endpoint>) -> Seen<Created> {
        let events: Vec<_> = draft.row.events.iter().filter_map(|event| event.parse().ok()).collect();
        let mut request = CreateWebhookEndpoint::new(events, draft.row.url.clone())
            .metadata(metadata(draft.row, draft.mark))
            .description(draft.mark.to_string());
        if let Some(version) =
            draft.row.api_version.as_ref().and_then(|version| version.parse::<stripe_shared::ApiVersion>().ok())
        {
            request = request.api_version(version);
        }
        let wire: Wire = self.send(request.build(), Some(draft.key)).await.map_err(at_the_cap)?.json(self.access)?;
        Ok(Created { id: Id(wire.id), secret: wire.secret.map(|secret| secret.0.into()) })
    }

    async fn update(&self, id: &Id, draft: Draft<'_, Endpoint>) -> Seen<()> {
        let events: Vec<_> = draft.row.events.iter().filter_map(|event| event.parse().ok()).collect();
        let request = UpdateWebhookEndpoint::new(id.0.as_str())
            .url(draft.row.url.clone())
            .enabled_events(events)
            .disabled(!draft.row.enabled)
            .metadata(metadata(draft.row, draft.mark));
        self.send(request.build(), None).await.map(|_| ())
    }

    async fn delete(&self, id: &Id) -> Seen<()> {
        super::gone_is_fine(self.send(DeleteWebhookEndpoint::new(id.0.as_str()).build(), None).await)
    }
}

/// Stripe has no code for a full account, only words.
fn at_the_cap(fault: Fault) -> Fault {
    match fault {
        Fault::Rejected(text) if text.contains("maximum") || text.contains("limit") => Fault::Rejected(format!(
            "{text}. Delete endpoints that nobody uses in Stripe's dashboard; golive tries again"
        )),
        other => other,
    }
}
