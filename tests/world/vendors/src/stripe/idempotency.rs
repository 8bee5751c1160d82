//! Idempotency keys: <https://docs.stripe.com/api/idempotent_requests>.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::clock::Moment;
use crate::message::{Request, Response, hex};

const KEPT: Duration = Duration::from_secs(24 * 3600);

/// The answers that keys stand for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Keys {
    saved: BTreeMap<String, Saved>,
    /// Replays leave the signing secret out: nobody documents whether Stripe's do.
    #[serde(default)]
    pub hides_secret: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Saved {
    path: String,
    parameters: String,
    status: u16,
    body: String,
    request: String,
    at: Moment,
}

/// The key of a request that has one and may need it.
pub fn key(request: &Request) -> Option<&str> {
    request.head("idempotency-key").filter(|key| request.method == "POST" && !key.is_empty())
}

impl Keys {
    /// The saved answer to the same request; an error if the key was used for another one.
    pub fn replay(&mut self, now: Moment, request: &Request) -> Result<Option<Response>, Problem> {
        self.saved.retain(|_, saved| now < saved.at.plus(KEPT));
        let Some(key) = key(request) else { return Ok(None) };
        if key.len() > 255 {
            return Err(Problem::invalid(400, "Idempotency-Key is too long: at most 255 characters are allowed."));
        }
        let Some(saved) = self.saved.get(key) else { return Ok(None) };
        saved.same(key, request)?;
        let body = if self.hides_secret { without_secret(&saved.body) } else { saved.body.clone() };
        let answer = Response::text(saved.status, "application/json", body);
        Ok(Some(answer.with("idempotent-replayed", "true").with("original-request", &saved.request)))
    }

    /// Keeps an answer for a day, whether it is good or bad.
    pub fn save(&mut self, now: Moment, request: &Request, answer: &Response) {
        let Some(key) = key(request) else { return };
        let saved = Saved {
            path: request.path.clone(),
            parameters: parameters(request),
            status: answer.status,
            body: String::from_utf8_lossy(&answer.body).into_owned(),
            request: answer.head("request-id").unwrap_or_default().into(),
            at: now,
        };
        self.saved.insert(key.into(), saved);
    }
}

impl Saved {
    fn same(&self, key: &str, request: &Request) -> Result<(), Problem> {
        let wrong = |message: String| Err(Problem::invalid(400, message).kind("idempotency_error"));
        if self.path != request.path {
            return wrong(format!(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for ('{}' vs '{}'). Try using a key other than '{key}' if you meant to execute a different request.",
                request.path, self.path
            ));
        }
        if self.parameters != parameters(request) {
            return wrong(format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{key}' if you meant to execute a different request."
            ));
        }
        Ok(())
    }
}

fn without_secret(body: &str) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap_or_default();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("secret");
    }
    body.to_string()
}

/// A digest of the parameters in any order.
fn parameters(request: &Request) -> String {
    let mut pairs: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
    pairs.sort();
    hex(&Sha256::digest(format!("{pairs:?}")))
}
