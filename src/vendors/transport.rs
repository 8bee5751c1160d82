//! One HTTP transport for every vendor: timeout, throttle per credential, Retry-After, circuit, redaction, metrics.

mod access;
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
use reqwest::{Certificate, Client, Method, RequestBuilder};
use secrecy::ExposeSecret;
use tokio::time::Instant;
use tracing::Instrument;

pub use access::{Access, Limit, Scheme};
pub use answer::{Explain, Reply};
use bucket::{Gate, Lesson};

use crate::fault::{Fault, Seen};

const TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(5);
/// Shorter than vendors keep idle connections, so that a write does not go into one that they are closing.
const IDLE: Duration = Duration::from_secs(30);

/// What a request carries.
#[derive(Clone, Default)]
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
#[derive(Clone)]
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

    /// What is done to what, without the query.
    fn route(&self) -> String {
        format!("{} {}", self.method, self.path.split('?').next().unwrap_or_default())
    }
}

/// Why there is no answer.
enum Broken {
    /// What we were given to call with cannot be used.
    Unusable(String),
    /// There was no connection: nothing was sent.
    Unsent(String),
    /// The connection ended before there was an answer.
    Hung(String),
    /// There is no answer in time, or none that can be read.
    Cut(String),
}

impl Broken {
    /// `waits` is true until the answer begins.
    fn of(error: reqwest::Error, waits: bool) -> Self {
        let (connects, late) = (error.is_connect(), error.is_timeout());
        let (builds, text) = (error.is_builder(), plain(error));
        match (builds, connects) {
            (true, _) => Broken::Unusable("its credential or address has characters that HTTP does not take".into()),
            (_, true) => Broken::Unsent(text),
            _ if waits && !late => Broken::Hung(text),
            _ => Broken::Cut(text),
        }
    }

    /// Whether a read is worth a second try at once: not after a wait that used up the patience.
    fn is_brief(&self) -> bool {
        matches!(self, Broken::Unsent(_) | Broken::Hung(_))
    }

    /// A write without an answer may have been carried out.
    fn fault(&self, access: &Access, call: &Call) -> Fault {
        let (Broken::Unusable(why) | Broken::Unsent(why) | Broken::Hung(why) | Broken::Cut(why)) = self;
        let text =
            answer::bounded(&access.redacted(&format!("{} did not answer {}: {why}", access.name(), call.route())));
        match self {
            Broken::Unusable(why) => Fault::Denied(format!("{} cannot be called: {why}", access.name())),
            Broken::Unsent(_) => Fault::Unreachable(text),
            _ if call.is_read() => Fault::Unreachable(text),
            _ => Fault::Lost(text),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    vendor: &'static str,
    account: String,
    method: String,
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
        self.send(access, call).await?.good(access)
    }

    /// Makes a request and gives the vendor's answer, whatever it is: for those who read more from a refusal.
    ///
    /// # Errors
    /// The credential's gate is closed, or nobody answered.
    pub async fn send(&self, access: &Access, call: Call) -> Seen<Reply> {
        let (gate, route) = (self.gate(access), call.route());
        gate.pass(&access.name(), &route).await?;
        let mut result = self.attempt(access, &call).await;
        if call.is_read() && result.as_ref().is_err_and(Broken::is_brief) {
            gate.pass(&access.name(), &route).await?;
            result = self.attempt(access, &call).await;
        }
        let reply = result.map_err(|broken| broken.fault(access, &call))?;
        if let Some(lesson) = lesson(access, &reply) {
            gate.learn(&route, lesson);
        }
        Ok(reply)
    }

    async fn attempt(&self, access: &Access, call: &Call) -> Result<Reply, Broken> {
        let route = call.route();
        let span = tracing::debug_span!("vendor", name = access.vendor, account = access.account, route);
        let started = Instant::now();
        let result = self.exchange(access, call).instrument(span.clone()).await;
        let took = started.elapsed();
        let code = result.as_ref().map_or_else(|_| "none".to_owned(), |reply| reply.status.to_string());
        span.in_scope(|| tracing::debug!(code, milliseconds = took.as_millis(), "answered"));
        self.seconds.observe(took.as_secs_f64());
        let method = call.method.to_string();
        self.requests
            .get_or_create(&Labels { vendor: access.vendor, account: access.account.clone(), method, code })
            .inc();
        result
    }

    async fn exchange(&self, access: &Access, call: &Call) -> Result<Reply, Broken> {
        let client = self.client(access.roots.as_ref())?;
        let request = client.request(call.method.clone(), format!("{}{}", access.base, call.path));
        let response = dressed(request, access, call).send().await.map_err(|e| Broken::of(e, true))?;
        answer::read(response, call.is_read()).await
    }

    /// One client for each set of roots: they keep their connections.
    #[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "the one client of all vendors"))]
    fn client(&self, roots: Option<&String>) -> Result<Client, Broken> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&roots.cloned()) {
            return Ok(client.clone());
        }
        let agent = concat!("golive/", env!("CARGO_PKG_VERSION"));
        let builder = Client::builder().user_agent(agent).redirect(Policy::none()).pool_idle_timeout(IDLE);
        let mut builder = builder.timeout(TIMEOUT).connect_timeout(CONNECT);
        if let Some(pem) = roots {
            let bundle = Certificate::from_pem_bundle(pem.as_bytes());
            let bundle = bundle.map_err(|e| Broken::Unusable(format!("its caBundle is no PEM: {}", plain(e))))?;
            if bundle.is_empty() {
                return Err(Broken::Unusable("its caBundle holds no certificate".into()));
            }
            builder = bundle.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        let client =
            builder.build().map_err(|e| Broken::Unusable(format!("its roots cannot be used: {}", plain(e))))?;
        clients.insert(roots.cloned(), client.clone());
        Ok(client)
    }

    fn gate(&self, access: &Access) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry(access.fingerprint()).or_insert_with(|| Arc::new(Gate::new(access.limit))).clone()
    }
}

/// The request with its credential, headers and body.
fn dressed(request: RequestBuilder, access: &Access, call: &Call) -> RequestBuilder {
    let request = match access.scheme {
        Scheme::Bearer => request.bearer_auth(access.credential.expose_secret()),
    };
    let request = call.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
    match &call.body {
        Body::None => request,
        Body::Json(json) => request.json(json),
        Body::Form(form) => request.header("content-type", "application/x-www-form-urlencoded").body(form.clone()),
    }
}

/// What an answer teaches about its credential. 401 is about the credential, 403 about what it was used for.
fn lesson(access: &Access, reply: &Reply) -> Option<Lesson> {
    match (reply.fault(access), reply.wait()) {
        (None, _) => Some(Lesson::Good),
        (Some(fault), Some(after)) => Some(Lesson::Wait(after, Fault::Throttled { message: fault.to_string(), after })),
        (Some(fault @ Fault::Denied(_)), _) if reply.status == 401 => Some(Lesson::Denied(fault)),
        (Some(fault @ Fault::Denied(_)), _) => Some(Lesson::Forbidden(fault)),
        _ => None,
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
