//! The log of who called what: credentials appear as fingerprints only.

use serde::Serialize;

use crate::clock::Moment;
use crate::message::{Request, fingerprint};

/// One call of a vendor's API.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Call {
    /// Milliseconds since the Unix epoch, on the movable clock.
    pub time: i64,
    pub vendor: String,
    /// The first twelve hex digits of the credential's SHA-256; absent if there was none.
    pub credential: Option<String>,
    pub method: String,
    pub path: String,
    pub query: String,
    /// Zero if the caller got no answer.
    pub status: u16,
    pub user_agent: String,
}

impl Call {
    /// The call as it came in, before its answer is known.
    pub fn of(vendor: &str, now: Moment, request: &Request) -> Self {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&request.query);
        Self {
            time: now.0,
            vendor: vendor.into(),
            credential: request.credential().map(|credential| fingerprint(&credential)),
            method: request.method.clone(),
            path: request.path.clone(),
            query: query.finish(),
            status: 0,
            user_agent: request.head("user-agent").unwrap_or_default().into(),
        }
    }
}
