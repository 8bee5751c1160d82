//! What an answer means: status to fault, once for all vendors.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::de::DeserializeOwned;

use super::Access;
use crate::fault::{Fault, Seen};

/// Bodies longer than this are no answers of an API.
const LARGEST: usize = 8 * 1024 * 1024;
/// Longest text of a vendor's that is passed on.
const LONGEST: usize = 300;
/// How long to wait where a vendor throttles and does not say for how long.
const THROTTLED: Duration = Duration::from_secs(30);

/// Finds the vendor's own words in the body of a refusal.
pub type Explain = fn(&serde_json::Value) -> Option<String>;

/// A whole answer.
#[derive(Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    retry_after: Option<Duration>,
}

impl Reply {
    /// The body as JSON of this shape.
    ///
    /// # Errors
    /// It is not: the vendor, or something before it, is not well.
    pub fn json<T: DeserializeOwned>(&self, access: &Access) -> Seen<T> {
        serde_json::from_slice(&self.body).map_err(|e| {
            let place = format!("line {}, column {}", e.line(), e.column());
            Fault::Unreachable(format!(
                "{} (account `{}`) answered in a form that golive does not know ({place})",
                access.vendor, access.account
            ))
        })
    }
}

/// Reads an answer whole, but not without end.
pub async fn read(mut response: reqwest::Response) -> Result<Reply, String> {
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(wait);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(super::plain)? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST {
            return Err(format!("its answer is longer than {LARGEST} bytes"));
        }
    }
    Ok(Reply { status, body: body.into(), retry_after })
}

/// Seconds, or a date: <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>.
fn wait(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until: Timestamp = rfc2822::DateTimeParser::new().parse_timestamp(value.replace("GMT", "+0000")).ok()?;
    Some(Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default())
}

/// Turns a refusal into the fault that says when to try again.
pub fn judge(access: &Access, read: bool, reply: Reply) -> Seen<Reply> {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::BAD_GATEWAY);
    if status.is_success() {
        return Ok(reply);
    }
    let words = serde_json::from_slice(&reply.body).ok().and_then(|body| (access.explain)(&body));
    let said = words.map(|words| format!(": {}", bounded(&words))).unwrap_or_default();
    let text = format!("{} (account `{}`) answered {}{said}", access.vendor, access.account, reply.status);
    Err(match reply.status {
        401 | 403 => Fault::Denied(format!(
            "{text}. Check the credential of ProviderAccount `{}` and its rights",
            access.account
        )),
        429 => Fault::Throttled { message: text, after: reply.retry_after.unwrap_or(THROTTLED) },
        503 if reply.retry_after.is_some() => {
            Fault::Throttled { message: text, after: reply.retry_after.unwrap_or(THROTTLED) }
        }
        409 | 500.. if !read => Fault::Lost(text),
        300..=399 | 500.. => Fault::Unreachable(text),
        _ => Fault::Rejected(text),
    })
}

/// A text of a vendor's, fit for a condition: no control characters, not too long.
pub fn bounded(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn texts_are_bounded_and_printable() {
        assert_eq!(bounded("a\u{1b}[31m\nb"), "a [31m b");
        assert_eq!(bounded(&"x".repeat(9000)).len(), LONGEST);
    }
}
