//! Cloudflare's edge: ends TLS for proxied names and forwards to their origin.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::client::{Failure, Target, origin_pem, send, trust};
use super::http::{Answer, Handler, Hangup, Line, whole};
use super::hub::Hub;
use crate::ids::named;
use crate::message::Response;

/// <https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/error-524/>
const PATIENCE: Duration = Duration::from_secs(100);

/// The edge's handler, for both schemes.
pub struct Edge {
    pub hub: Arc<Hub>,
}

impl Handler for Edge {
    async fn answer(self: Arc<Self>, line: Arc<Line>, request: hyper::Request<Incoming>) -> Result<Answer, Hangup> {
        let ray = format!("{}-GLV", named(&format!("{}{}", self.hub.clock.now().0, line.peer), 16));
        let mut answer = match self.forward(&line, &ray, request).await {
            Ok(answer) => answer,
            Err((status, code)) => {
                whole(Response::text(status, "text/plain; charset=UTF-8", format!("error code: {code}")))
            }
        };
        stamp(answer.headers_mut(), "server", "cloudflare");
        stamp(answer.headers_mut(), "cf-ray", &ray);
        Ok(answer)
    }
}

/// A status and Cloudflare's number for what went wrong.
type Refusal = (u16, u16);

impl Edge {
    async fn forward(&self, line: &Line, ray: &str, mut request: hyper::Request<Incoming>) -> Result<Answer, Refusal> {
        let host = host(&request).ok_or((400, 1003))?;
        if !self.hub.view(|view| view.is_proxied(&host)) {
            return Err((409, 1001));
        }
        let origins = self.hub.view(|view| view.origins(&host));
        let origin = *origins.first().ok_or((530, 1016))?;
        introduce(&mut request, line, ray);
        let sent = tokio::time::timeout(PATIENCE, send(self.target(line, &host, origin), request)).await;
        let answer = sent.map_err(|_| (524, 524))?.map_err(refusal)?;
        Ok(answer.map(BodyExt::boxed))
    }

    /// HTTPS goes on as HTTPS and its certificate is checked: the mode `Full (strict)`.
    fn target(&self, line: &Line, host: &str, origin: IpAddr) -> Target {
        let ports = self.hub.config.ports;
        if !line.tls {
            return Target { address: SocketAddr::new(origin, ports.origin_http), tls: None };
        }
        let trusted = trust(&[&origin_pem(self.hub.config.origin_ca.as_deref())]);
        Target { address: SocketAddr::new(origin, ports.origin_https), tls: Some((host.into(), trusted)) }
    }
}

/// <https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/>
fn refusal(failure: Failure) -> Refusal {
    match failure {
        Failure::Refused => (521, 521),
        Failure::TimedOut => (522, 522),
        Failure::Handshake => (525, 525),
        Failure::Untrusted => (526, 526),
        Failure::NotFound => (530, 1016),
        Failure::Broken => (520, 520),
    }
}

fn host(request: &hyper::Request<Incoming>) -> Option<String> {
    let header = request.headers().get(http::header::HOST)?.to_str().ok()?;
    Some(header.rsplit_once(':').map_or(header, |(host, _)| host).to_ascii_lowercase())
}

/// <https://developers.cloudflare.com/fundamentals/reference/http-headers/>
fn introduce(request: &mut hyper::Request<Incoming>, line: &Line, ray: &str) {
    let visitor = line.peer.ip().to_string();
    let scheme = if line.tls { "https" } else { "http" };
    let headers = request.headers_mut();
    let earlier = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok()).map(String::from);
    let forwarded = earlier.map_or_else(|| visitor.clone(), |earlier| format!("{earlier},{visitor}"));
    headers.remove(http::header::CONNECTION);
    stamp(headers, "cf-ray", ray);
    stamp(headers, "cf-connecting-ip", &visitor);
    stamp(headers, "cf-visitor", &format!("{{\"scheme\":\"{scheme}\"}}"));
    stamp(headers, "cdn-loop", "cloudflare");
    stamp(headers, "x-forwarded-for", &forwarded);
    stamp(headers, "x-forwarded-proto", scheme);
}

fn stamp(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
