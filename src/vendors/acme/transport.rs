//! The HTTP transport under the ACME client: one request, one answer, no repetition.
//!
//! A POST is never repeated here: its signature covers a nonce that is used up
//! (<https://www.rfc-editor.org/rfc/rfc8555#section-6.5>).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use jiff::Timestamp;

use super::problem::{Answer, Refusal};
use crate::fault::Fault;

const TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Chains and problems are a few kilobytes.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// The longest window of a limit; a longer wait is a mistake.
const MAX_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Sends requests of one account. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    account: Arc<str>,
}

impl Transport {
    /// A transport that trusts the system's roots and these.
    #[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "the one client of a CA"))]
    pub fn new(account: &str, roots: Option<&str>) -> Result<Self, Fault> {
        // reqwest takes the process's provider; the first to install one wins, and all install this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let unusable = |e: reqwest::Error| Fault::Denied(format!("ACME account {account}: {}", cause(&e)));
        let bundle = roots.map(|pem| reqwest::Certificate::from_pem_bundle(pem.as_bytes()));
        let bundle = bundle.transpose().map_err(unusable)?;
        if bundle.as_ref().is_some_and(Vec::is_empty) {
            return Err(Fault::Denied(format!("ACME account {account}: its CA bundle holds no certificate")));
        }
        let mut builder = reqwest::Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT);
        for root in bundle.unwrap_or_default() {
            builder = builder.add_root_certificate(root);
        }
        Ok(Transport { http: builder.build().map_err(unusable)?, account: account.into() })
    }

    /// One request. What is not a success is a refusal, but for a refused nonce: the client repeats that itself.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
        let agent = HeaderValue::from_static(concat!("golive/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        let method = request.method().clone();
        let response = self.exchange(request).await.map_err(|e| self.silence(&method, &e))?;
        if response.status().is_success() || is_bad_nonce(&response) {
            return Ok(response);
        }
        let answer = Answer {
            account: &self.account,
            method: &method,
            status: response.status(),
            retry_after: retry_after(response.headers()),
            body: response.body(),
        };
        Err(answer.refusal())
    }

    /// A GET of a public document.
    pub async fn get(&self, url: &str) -> Result<Response<Bytes>, Refusal> {
        self.send(self.request(Method::GET, url, None)?).await
    }

    /// A request with or without a signed body.
    pub fn request(&self, method: Method, url: &str, body: Option<Bytes>) -> Result<Request<Bytes>, Refusal> {
        let mut builder = Request::builder().method(method).uri(url);
        if body.is_some() {
            builder = builder.header(CONTENT_TYPE, "application/jose+json");
        }
        builder
            .body(body.unwrap_or_default())
            .map_err(|e| Refusal::silent(Fault::Rejected(format!("ACME account {}: {url}: {e}", self.account))))
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Silence> {
        let request = reqwest::Request::try_from(request).map_err(Silence::Http)?;
        let mut response = self.http.execute(request).await.map_err(Silence::Http)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(Silence::Http)? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(Silence::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }

    /// No answer: what was never sent is out of reach, a POST that may have arrived is lost.
    fn silence(&self, method: &Method, silence: &Silence) -> Refusal {
        let (unsent, why) = match silence {
            Silence::Http(e) => (e.is_connect() || e.is_builder(), cause(e)),
            Silence::TooLong => (false, format!("the answer has more than {MAX_BODY_BYTES} bytes")),
        };
        let message = format!("ACME account {}: {why}", self.account);
        Refusal::silent(match method == Method::POST && !unsent {
            true => Fault::Lost(message),
            false => Fault::Unreachable(message),
        })
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let transport = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
            Ok(transport.send(Request::from_parts(parts, body)).await?.map(Full::new).into())
        })
    }
}

/// Why there is no answer.
enum Silence {
    Http(reqwest::Error),
    TooLong,
}

/// Whether only the nonce was refused.
fn is_bad_nonce(response: &Response<Bytes>) -> bool {
    response.status() == StatusCode::BAD_REQUEST
        && serde_json::from_slice::<instant_acme::Problem>(response.body())
            .is_ok_and(|p| p.r#type.is_some_and(|t| t.ends_with(":badNonce")))
}

/// Seconds, or a date (<https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => until(value)?,
    };
    Some(wait.min(MAX_WAIT))
}

#[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "a date in an answer is turned into a wait"))]
fn until(date: &str) -> Option<Duration> {
    let at = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default())
}

/// The deepest cause, which is the one that a reader can act on.
fn cause(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    match error.is_timeout() {
        true => format!("no answer in {} s", TIMEOUT.as_secs()),
        false => deepest.to_string(),
    }
}
