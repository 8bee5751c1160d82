//! One HTTP transport for every vendor: timeout, throttle per credential, Retry-After, circuit, redaction, metrics.

mod answer;
mod bucket;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

pub use answer::{Explain, Reply};
use bucket::Gate;

use crate::fault::{Fault, Seen};

const TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(5);

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
    /// The vendor's own words in an error body.
    pub explain: Explain,
    /// What else the vendor's client has to know: an account id, an organization.
    pub scope: Vec<String>,
}

impl Access {
    /// Tells credentials apart without showing them: 12 hex digits.
    pub fn fingerprint(&self) -> String {
        let text = format!("{} {} {}", self.vendor, self.base, self.credential.expose_secret());
        Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    fn name(&self) -> String {
        format!("{} (account `{}`)", self.vendor, self.account)
    }
}

/// What a request carries.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// JSON.
    Json(serde_json::Value),
    /// A form, already encoded.
    Form(String),
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path with its query, from the base on.
    pub path: String,
    /// What it carries.
    pub body: Body,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
}

impl Call {
    /// A request without body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Call { method, path: path.into(), body: Body::None, headers: Vec::new() }
    }

    /// The same with a JSON body.
    pub fn json(mut self, body: serde_json::Value) -> Self {
        self.body = Body::Json(body);
        self
    }

    /// Whether it changes nothing, so that repeating it is harmless.
    fn is_read(&self) -> bool {
        self.method == Method::GET
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    vendor: &'static str,
    account: String,
    code: String,
}

/// The transport: shared by all vendors and all passes.
pub struct Transport {
    clients: Mutex<HashMap<Option<String>, Client>>,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    requests: Family<Labels, Counter>,
    seconds: Histogram,
}

impl Transport {
    /// A transport whose metrics are in `registry`.
    pub fn new(registry: &mut Registry) -> Self {
        let transport = Transport {
            clients: Mutex::default(),
            gates: Mutex::default(),
            requests: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.005, 3.0, 9)),
        };
        registry.register("golive_vendor_requests", "Requests to vendors", transport.requests.clone());
        let text = "Time until a vendor's answer was read";
        registry.register_with_unit("golive_vendor_request_duration", text, Unit::Seconds, transport.seconds.clone());
        transport
    }

    /// Makes a request and gives the vendor's answer, if it is a good one.
    ///
    /// # Errors
    /// The credential's gate is closed, nobody answered, or the answer is a refusal.
    pub async fn call(&self, access: &Access, call: Call) -> Seen<Reply> {
        let gate = self.gate(access);
        gate.pass(&access.name()).await?;
        let mut result = self.attempt(access, &call).await;
        if call.is_read() && matches!(result, Err(Fault::Unreachable(_))) {
            result = self.attempt(access, &call).await;
        }
        if let Err(fault) = &result {
            gate.learn(fault);
        } else {
            gate.open();
        }
        result
    }

    async fn attempt(&self, access: &Access, call: &Call) -> Seen<Reply> {
        let started = Instant::now();
        let result = self.exchange(access, call).await;
        self.seconds.observe(started.elapsed().as_secs_f64());
        let code = match &result {
            Ok(reply) => reply.status.to_string(),
            Err(_) => "none".to_owned(),
        };
        tracing::debug!(vendor = access.vendor, account = access.account, method = %call.method, path = call.path, code, "request");
        self.requests.get_or_create(&Labels { vendor: access.vendor, account: access.account.clone(), code }).inc();
        let reply = result.map_err(|error| lost_or_unreachable(access, call, &error))?;
        answer::judge(access, call.is_read(), reply)
    }

    async fn exchange(&self, access: &Access, call: &Call) -> Result<Reply, String> {
        let client = self.client(access.roots.as_ref())?;
        let mut request = client.request(call.method.clone(), format!("{}{}", access.base, call.path));
        request = match access.scheme {
            Scheme::Bearer => request.bearer_auth(access.credential.expose_secret()),
        };
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        request = match &call.body {
            Body::None => request,
            Body::Json(json) => request.json(json),
            Body::Form(form) => request.header("content-type", "application/x-www-form-urlencoded").body(form.clone()),
        };
        let response = request.send().await.map_err(plain)?;
        answer::read(response).await
    }

    /// One client for each set of roots: they keep their connections.
    fn client(&self, roots: Option<&String>) -> Result<Client, String> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&roots.cloned()) {
            return Ok(client.clone());
        }
        let agent = concat!("golive/", env!("CARGO_PKG_VERSION"));
        let mut builder =
            Client::builder().user_agent(agent).timeout(TIMEOUT).connect_timeout(CONNECT).redirect(Policy::none());
        if let Some(pem) = roots {
            let bundle =
                Certificate::from_pem_bundle(pem.as_bytes()).map_err(|e| format!("its caBundle is no PEM: {e}"))?;
            builder = bundle.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        let client = builder.build().map_err(plain)?;
        clients.insert(roots.cloned(), client.clone());
        Ok(client)
    }

    fn gate(&self, access: &Access) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry(access.fingerprint()).or_insert_with(|| Arc::new(Gate::new(access.limit))).clone()
    }
}

/// The text of an error without the URL, which may hold what was asked for.
fn plain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// A write without an answer may have been carried out.
fn lost_or_unreachable(access: &Access, call: &Call, error: &str) -> Fault {
    let text =
        answer::bounded(&format!("{} did not answer {} {}: {error}", access.name(), call.method, bare(&call.path)));
    if call.is_read() || error.contains("connect") || error.contains("caBundle") {
        return Fault::Unreachable(text);
    }
    Fault::Lost(text)
}

fn bare(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}
