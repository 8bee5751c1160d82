//! The HTTP transport under the ACME client: one request, one answer, no repetition.
//!
//! A POST is never repeated here: its signature covers a nonce that is used up
//! (<https://www.rfc-editor.org/rfc/rfc8555#section-6.5>).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};

use super::problem::{Answer, Refusal};
use crate::fault::Fault;
use crate::outside::{Broken, Outside, Terms};

/// Chains and problems are a few kilobytes.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// The longest window of a limit; a longer wait is a mistake.
const MAX_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Sends requests of one account. Cheap to clone.
#[derive(Clone)]
pub(super) struct Transport {
    outside: Arc<dyn Outside>,
    roots: Option<String>,
    account: Arc<str>,
}

impl Transport {
    /// A transport that trusts the system's roots and these.
    pub fn new(outside: Arc<dyn Outside>, account: &str, roots: Option<&str>) -> Self {
        Transport { outside, roots: roots.map(str::to_owned), account: account.into() }
    }

    /// One request. What is not a success is a refusal, but for a refused nonce: the client repeats that itself.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
        // The transport below has its own name and refuses a second one.
        request.headers_mut().remove(USER_AGENT);
        let method = request.method().clone();
        let response = self.exchange(request).await.map_err(|broken| self.silence(&method, &broken))?;
        if response.status().is_success() || is_bad_nonce(&response) {
            return Ok(response);
        }
        let answer = Answer {
            account: &self.account,
            method: &method,
            status: response.status(),
            retry_after: self.retry_after(response.headers()),
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

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Broken> {
        if request.uri().scheme() != Some(&Scheme::HTTPS) {
            return Err(Broken::Unusable(format!("{} is not https", request.uri())));
        }
        self.outside.exchange(request, Terms { roots: self.roots.as_ref(), longest: MAX_BODY_BYTES }).await
    }

    /// No answer: what was never sent is out of reach, a POST that may have arrived is lost.
    fn silence(&self, method: &Method, broken: &Broken) -> Refusal {
        let message = format!("ACME account {}: {}", self.account, broken.text());
        Refusal::silent(match broken {
            Broken::Unusable(_) => Fault::Denied(message),
            _ if method == Method::POST && !broken.is_unsent() => Fault::Lost(message),
            _ => Fault::Unreachable(message),
        })
    }

    /// How long the CA wants to be left alone: seconds, or a date
    /// (<https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>).
    pub fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match value.parse() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => self.until(value)?,
        };
        Some(wait.min(MAX_WAIT))
    }

    fn until(&self, date: &str) -> Option<Duration> {
        let at = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
        Some(Duration::try_from(at.duration_since(self.outside.now())).unwrap_or_default())
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

/// Whether only the nonce was refused.
fn is_bad_nonce(response: &Response<Bytes>) -> bool {
    response.status() == StatusCode::BAD_REQUEST
        && serde_json::from_slice::<instant_acme::Problem>(response.body())
            .is_ok_and(|p| p.r#type.is_some_and(|t| t.ends_with(":badNonce")))
}
