//! What an ACME server refuses, as a fault that says what to do
//! (<https://www.rfc-editor.org/rfc/rfc8555#section-6.7>).

use std::fmt::Write;
use std::time::Duration;

use http::{Method, StatusCode};
use instant_acme::{Error, Identifier, Problem, Subproblem};

use crate::fault::Fault;

const PREFIX: &str = "urn:ietf:params:acme:error:";
/// The kind of what only the client library finds wrong with an answer.
pub(super) const BY_CLIENT: &str = "clientRefused";
/// Where the server names no time: as long as its shortest limit, five failures an hour, asks.
const RATE_LIMITED: Duration = Duration::from_secs(12 * 60);
const UNAVAILABLE: Duration = Duration::from_secs(60);

/// A refusal: the fault, and the two facts by which a step decides what it means to it.
#[derive(Debug, thiserror::Error)]
#[error("{fault}")]
pub(super) struct Refusal {
    /// The HTTP status, if there was an answer.
    pub status: Option<StatusCode>,
    /// The problem's type without its prefix; empty if there is none.
    pub kind: String,
    /// What it means.
    pub fault: Fault,
}

impl Refusal {
    /// A failure without an answer.
    pub fn silent(fault: Fault) -> Self {
        Refusal { status: None, kind: String::new(), fault }
    }

    /// Whether the resource is not there, or not this account's: an order is lost with the account's key.
    pub fn is_gone(&self) -> bool {
        let absent = matches!(self.status, Some(StatusCode::NOT_FOUND | StatusCode::GONE));
        self.kind == "unauthorized" || absent && matches!(self.fault, Fault::Rejected(_))
    }

    /// The fault of a step that reads: nothing can be lost by it.
    pub fn of_read(self) -> Fault {
        match self.fault {
            Fault::Lost(message) => Fault::Unreachable(message),
            other => other,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::Other(Box::new(refusal))
    }
}

/// The answer of a server that did not do what it was asked.
pub(super) struct Answer<'a> {
    /// Who was asked.
    pub account: &'a str,
    pub method: &'a Method,
    pub status: StatusCode,
    pub retry_after: Option<Duration>,
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// What the answer means. A body that is no problem document says nothing, for a proxy may have written it;
    /// no body at all is the server's own.
    pub fn refusal(&self) -> Refusal {
        let problem = serde_json::from_slice::<Problem>(self.body).ok().filter(|p| p.r#type.is_some());
        let kind = problem.as_ref().map(kind).unwrap_or_default();
        let said = problem.as_ref().map_or_else(|| "no ACME problem".to_string(), text);
        let message = format!("ACME account {} answers {}: {said}", self.account, self.status.as_u16());
        let fault = self.throttled(&kind, &message).unwrap_or_else(|| match (problem, self.status.is_server_error()) {
            (Some(_), false) => fault_of(&kind, message),
            (None, false) if self.status.is_client_error() && self.body.is_empty() => Fault::Rejected(message),
            (_, true) if self.method == Method::POST => Fault::Lost(message),
            _ => Fault::Unreachable(message),
        });
        Refusal { status: Some(self.status), kind, fault }
    }

    fn throttled(&self, kind: &str, message: &str) -> Option<Fault> {
        let usual = match self.status {
            _ if kind == "rateLimited" => RATE_LIMITED,
            StatusCode::TOO_MANY_REQUESTS => RATE_LIMITED,
            StatusCode::SERVICE_UNAVAILABLE => UNAVAILABLE,
            _ => return None,
        };
        Some(Fault::Throttled { message: message.to_string(), after: self.retry_after.unwrap_or(usual) })
    }
}

/// What the client library reports, as a refusal. Whatever our transport saw is passed through.
pub(super) fn refusal(account: &str, error: Error) -> Refusal {
    match error {
        Error::Other(inner) => match inner.downcast::<Refusal>() {
            Ok(refusal) => *refusal,
            Err(other) => {
                let fault = Fault::Lost(format!("ACME account {account}: {other}"));
                Refusal { kind: BY_CLIENT.into(), ..Refusal::silent(fault) }
            }
        },
        Error::Api(problem) => of_problem(account, &problem),
        Error::Crypto | Error::KeyRejected => {
            Refusal::silent(Fault::Denied(format!("the key of ACME account {account} is not a P-256 key in PKCS#8")))
        }
        Error::Unsupported(what) => {
            Refusal::silent(Fault::Rejected(format!("ACME account {account}: no {what} there")))
        }
        other => Refusal::silent(Fault::Lost(format!("ACME account {account}: {other}"))),
    }
}

/// Whether the server refused only the nonce: nothing was done, and the same may be asked again at once.
pub(super) fn is_bad_nonce(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if kind(problem) == "badNonce")
}

fn of_problem(account: &str, problem: &Problem) -> Refusal {
    let kind = kind(problem);
    let message = format!("ACME account {account}: {}", text(problem));
    let fault = match kind.as_str() {
        "rateLimited" => Fault::Throttled { message, after: RATE_LIMITED },
        _ => fault_of(&kind, message),
    };
    Refusal { status: problem.status.and_then(|s| StatusCode::from_u16(s).ok()), kind, fault }
}

/// By the table of error types.
fn fault_of(kind: &str, message: String) -> Fault {
    match kind {
        "unauthorized" | "externalAccountRequired" | "userActionRequired" | "accountDoesNotExist" => {
            Fault::Denied(message)
        }
        "serverInternal" | "orderNotReady" => Fault::Lost(message),
        "badNonce" => Fault::Unreachable(message),
        _ => Fault::Rejected(message),
    }
}

fn kind(problem: &Problem) -> String {
    let full = problem.r#type.as_deref().unwrap_or_default();
    full.strip_prefix(PREFIX).unwrap_or(full).to_string()
}

/// The CA's own words: detail, type, and each subproblem with its name.
pub(super) fn text(problem: &Problem) -> String {
    let mut text = said(problem.detail.as_deref(), problem.r#type.as_deref());
    for sub in &problem.subproblems {
        let _ = write!(text, "; {}", sub_text(sub));
    }
    text.chars().take(1000).collect()
}

fn sub_text(sub: &Subproblem) -> String {
    let said = said(sub.detail.as_deref(), sub.r#type.as_deref());
    match &sub.identifier {
        Some(Identifier::Dns(name)) => format!("{name}: {said}"),
        Some(Identifier::Ip(address)) => format!("{address}: {said}"),
        _ => said,
    }
}

fn said(detail: Option<&str>, kind: Option<&str>) -> String {
    let kind = kind.map(|k| k.strip_prefix(PREFIX).unwrap_or(k)).unwrap_or("unknown problem");
    match detail {
        Some(detail) => format!("{detail} ({kind})"),
        None => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_problem_breaks_the_reader_or_fills_a_condition() {
        let problem = json!({
            "type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many", "status": 429,
            "subproblems": [{"type": "a", "detail": "b", "identifier": {"type": "dns", "value": "example.com"}}],
        });
        let judge = |body: &[u8], status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            let answer = Answer { account: "a", method: &Method::POST, status, retry_after: None, body };
            let refusal = answer.refusal();
            assert!(refusal.fault.to_string().chars().count() < 1_100, "{}", refusal.fault);
        };
        let text = problem.to_string();
        crate::fuzz::bytes(&[text.as_bytes()], 5_000, |body| judge(body, 400));
        crate::fuzz::json(&problem, 2_000, |body| judge(body.to_string().as_bytes(), 429));
    }
}
