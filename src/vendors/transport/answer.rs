//! What an answer means: status to fault, once for all vendors.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::de::DeserializeOwned;

use super::Access;
use crate::fault::{Fault, Seen};

/// Bodies longer than this are no answers of an API.
pub const LARGEST: usize = 8 * 1024 * 1024;
/// Longest text of a vendor's that is passed on.
const LONGEST: usize = 300;
/// How long to wait where a vendor throttles and does not say for how long.
const THROTTLED: Duration = Duration::from_secs(30);
/// A vendor that says "at once" means soon, and one that names days may have changed its mind in an hour.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// Finds the vendor's own words in the body of a refusal.
pub type Explain = fn(&serde_json::Value) -> Option<String>;

/// A whole answer.
#[derive(Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    headers: HeaderMap,
    at: Timestamp,
    read: bool,
}

/// A body may hold a secret: it is counted, not shown.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} bytes", self.status, self.body.len())
    }
}

impl Reply {
    /// The answer that came `at` this time; `read` tells whether the question changed nothing.
    pub fn of(response: http::Response<Bytes>, at: Timestamp, read: bool) -> Self {
        let (parts, body) = response.into_parts();
        Reply { status: parts.status.as_u16(), body, headers: parts.headers, at, read }
    }

    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the vendor no longer has what was asked for.
    pub fn is_gone(&self) -> bool {
        matches!(self.status, 404 | 410)
    }

    /// The body as JSON of this shape.
    ///
    /// # Errors
    /// It is not: the vendor, or something before it, is not well. Of a write the outcome is then unknown.
    pub fn json<T: DeserializeOwned>(&self, access: &Access) -> Seen<T> {
        serde_json::from_slice(&self.body).map_err(|e| {
            let place = format!("line {}, column {}", e.line(), e.column());
            let text = format!("{} answered in a form that golive does not know ({place})", access.name());
            if self.read { Fault::Unreachable(text) } else { Fault::Lost(text) }
        })
    }

    /// The answer, if it is a good one.
    ///
    /// # Errors
    /// It is a refusal.
    pub fn good(self, access: &Access) -> Seen<Self> {
        self.fault(access).map_or(Ok(self), Err)
    }

    /// How long the vendor wants to be left alone.
    pub fn wait(&self) -> Option<Duration> {
        let said =
            self.header("retry-after").and_then(|value| wait(value, self.at)).map(|wait| wait.clamp(WAITS.0, WAITS.1));
        match self.status {
            429 => Some(said.unwrap_or(THROTTLED)),
            503 => said,
            _ => None,
        }
    }

    /// The fault that a refusal is, which says when to try again.
    pub fn fault(&self, access: &Access) -> Option<Fault> {
        if StatusCode::from_u16(self.status).is_ok_and(|status| status.is_success()) {
            return None;
        }
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let words = (access.explain)(&body).map(|words| format!(": {}", bounded(&access.redacted(&words))));
        let text = format!("{} answered {}{}", access.name(), self.status, words.unwrap_or_default());
        Some(match (self.status, self.wait()) {
            (403, _) if (access.is_quota)(&body) => Fault::Rejected(text),
            (401 | 403, _) => Fault::Denied(format!(
                "{text}. Check the credential of ProviderAccount `{}` and its rights",
                access.account
            )),
            (429, Some(after)) => Fault::Throttled { message: text, after },
            (408 | 409 | 425 | 500.., _) if !self.read => Fault::Lost(text),
            (_, Some(after)) => Fault::Throttled { message: text, after },
            (..=399 | 408 | 425 | 500.., _) => Fault::Unreachable(text),
            _ => Fault::Rejected(text),
        })
    }
}

/// Seconds, or a date: <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>.
fn wait(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until: Timestamp = rfc2822::DateTimeParser::new().parse_timestamp(value.replace("GMT", "+0000")).ok()?;
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

/// A text of a vendor's, fit for a condition: no control characters, not too long.
pub fn bounded(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendors::Access;

    fn access() -> Access {
        Access::cloudflare("main", None, "token-of-a-test".to_owned().into(), None)
    }

    fn reply(status: u16, headers: &[(&'static str, &str)], read: bool) -> Reply {
        let body = Bytes::from_static(br#"{"errors": [{"code": 7, "message": "no\u0007: token-of-a-test"}]}"#);
        let headers =
            headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect();
        Reply { status, body, headers, at: Timestamp::UNIX_EPOCH, read }
    }

    fn reason(status: u16, read: bool) -> Option<&'static str> {
        reply(status, &[], read).fault(&access()).map(|fault| fault.reason())
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        assert_eq!(wait("7", Timestamp::UNIX_EPOCH), Some(Duration::from_secs(7)));
        assert_eq!(wait("Thu, 01 Jan 1970 00:00:09 GMT", Timestamp::UNIX_EPOCH), Some(Duration::from_secs(9)));
        assert_eq!(wait("soon", Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn a_wait_is_neither_nothing_nor_for_ever() {
        for (said, waits) in [("0", 1), ("7", 7), ("18446744073709551615", 3600), ("soon", 30)] {
            assert_eq!(reply(429, &[("retry-after", said)], true).wait(), Some(Duration::from_secs(waits)), "{said}");
        }
        assert_eq!(reply(503, &[], true).wait(), None);
    }

    #[test]
    fn texts_are_bounded_and_printable() {
        assert_eq!(bounded("a\u{1b}[31m\nb"), "a [31m b");
        assert_eq!(bounded(&"x".repeat(9000)).len(), LONGEST);
    }

    #[test]
    fn each_status_is_the_fault_that_says_when_to_try_again() {
        let cases = [
            (200, None, None),
            (302, Some("Unreachable"), Some("Unreachable")),
            (400, Some("Rejected"), Some("Rejected")),
            (401, Some("CredentialDenied"), Some("CredentialDenied")),
            (403, Some("CredentialDenied"), Some("CredentialDenied")),
            (404, Some("Rejected"), Some("Rejected")),
            (408, Some("Unreachable"), Some("OutcomeUnknown")),
            (409, Some("Rejected"), Some("OutcomeUnknown")),
            (429, Some("Throttled"), Some("Throttled")),
            (500, Some("Unreachable"), Some("OutcomeUnknown")),
            (503, Some("Unreachable"), Some("OutcomeUnknown")),
        ];
        for (status, of_read, of_write) in cases {
            assert_eq!((reason(status, true), reason(status, false)), (of_read, of_write), "{status}");
        }
    }

    #[test]
    fn a_write_that_a_gateway_turned_away_may_still_have_been_done() {
        let away = [("retry-after", "9")];
        assert!(matches!(reply(503, &away, false).fault(&access()), Some(Fault::Lost(_))));
        assert!(
            matches!(reply(503, &away, true).fault(&access()), Some(Fault::Throttled { after, .. }) if after.as_secs() == 9)
        );
    }

    #[test]
    fn a_credential_that_the_vendor_repeats_is_not_passed_on() {
        let text = reply(400, &[], true).fault(&access()).unwrap().to_string();
        assert_eq!(text, "Cloudflare (account `main`) answered 400: no : [credential] (code 7)");
        assert!(!format!("{:?}", access()).contains("token-of"));
    }

    #[test]
    fn an_answer_without_form_leaves_a_write_open() {
        assert!(matches!(reply(200, &[], true).json::<Vec<u8>>(&access()), Err(Fault::Unreachable(_))));
        assert!(matches!(reply(200, &[], false).json::<Vec<u8>>(&access()), Err(Fault::Lost(_))));
    }
}
