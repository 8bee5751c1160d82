//! One HTTP transport for every vendor: timeout, throttle per credential, Retry-After, circuit, redaction, metrics.

mod access;
mod answer;
mod bucket;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use secrecy::ExposeSecret;
use tokio::time::Instant;
use tracing::Instrument;

pub use access::{Access, Limit, Scheme};
pub use answer::{Explain, Reply};
use bucket::{Gate, Lesson, Who};

use crate::fault::{Fault, Seen};
use crate::outside::{Broken, Outside, Terms};

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

/// The fault that a missing answer is. A write without an answer may have been carried out.
fn silence(broken: &Broken, access: &Access, call: &Call) -> Fault {
    let why = broken.text();
    let text = answer::bounded(&access.redacted(&format!("{} did not answer {}: {why}", access.name(), call.route())));
    match broken {
        Broken::Unusable(why) => Fault::Denied(format!("{} cannot be called: {why}", access.name())),
        Broken::Unsent(_) => Fault::Unreachable(text),
        _ if call.is_read() => Fault::Unreachable(text),
        _ => Fault::Lost(text),
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
    outside: Arc<dyn Outside>,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    requests: Family<Labels, Counter>,
    seconds: Histogram,
}

impl Transport {
    /// A transport whose metrics are in `registry`.
    pub fn new(registry: &mut Registry, outside: Arc<dyn Outside>) -> Self {
        let transport = Transport {
            outside,
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
        let who = Who { vendor: access.vendor, account: &access.account };
        gate.pass(who, &route).await?;
        let mut result = self.attempt(access, &call).await;
        if call.is_read() && result.as_ref().is_err_and(Broken::is_brief) {
            gate.pass(who, &route).await?;
            result = self.attempt(access, &call).await;
        }
        let reply = result.map_err(|broken| silence(&broken, access, &call))?;
        (access.told)(&reply).into_iter().for_each(|limit| gate.keep_to(limit));
        if let Some(lesson) = lesson(access, &reply) {
            gate.learn(who, &route, lesson);
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
        let terms = Terms { roots: access.roots.as_ref(), longest: answer::LARGEST };
        let response = self.outside.exchange(dressed(access, call)?, terms).await?;
        Ok(Reply::of(response, self.outside.now(), call.is_read()))
    }

    fn gate(&self, access: &Access) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry(access.fingerprint()).or_insert_with(|| Arc::new(Gate::new(access.limit))).clone()
    }
}

/// The request with its credential, headers and body.
fn dressed(access: &Access, call: &Call) -> Result<http::Request<Bytes>, Broken> {
    let mut request = http::Request::builder().method(&call.method).uri(format!("{}{}", access.base, call.path));
    request = match access.scheme {
        Scheme::Bearer => request.header(AUTHORIZATION, format!("Bearer {}", access.credential.expose_secret())),
    };
    request = call.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
    let (kind, body) = match &call.body {
        Body::None => (None, Bytes::new()),
        Body::Json(json) => (Some("application/json"), json.to_string().into()),
        Body::Form(form) => (Some("application/x-www-form-urlencoded"), form.clone().into()),
    };
    request = kind.into_iter().fold(request, |request, kind| request.header(CONTENT_TYPE, kind));
    let unusable = "its credential or address has characters that HTTP does not take";
    request.body(body).map_err(|_| Broken::Unusable(unusable.into()))
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
