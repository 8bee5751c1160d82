//! Errors as Stripe words them: <https://docs.stripe.com/api/errors>.

use serde_json::{Value, json};

use crate::message::Response;

/// An error; `started` tells whether the work had begun, and with it whether an idempotency key keeps the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub status: u16,
    pub kind: &'static str,
    pub code: Option<&'static str>,
    pub param: Option<String>,
    pub message: String,
    pub started: bool,
}

impl Problem {
    /// A request that cannot be served as it stands.
    pub fn invalid(status: u16, message: impl Into<String>) -> Self {
        let kind = "invalid_request_error";
        Self { status, kind, code: None, param: None, message: message.into(), started: false }
    }

    /// The same error with a code.
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// The same error about a parameter.
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same error of another type.
    pub fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// The same error, found only while the work was being done.
    pub fn started(mut self) -> Self {
        self.started = true;
        self
    }

    /// A parameter that the call does not know.
    pub fn unknown(param: &str) -> Self {
        Self::invalid(400, format!("Received unknown parameter: {param}")).code("parameter_unknown").param(param)
    }

    /// A parameter that the call needs.
    pub fn missing(param: &str) -> Self {
        Self::invalid(400, format!("Missing required param: {param}.")).code("parameter_missing").param(param)
    }

    /// An object that is not there, or not in this mode.
    pub fn not_found(status: u16, object: &str, id: &str) -> Self {
        Self::invalid(status, format!("No such {object}: '{id}'")).code("resource_missing").param("id")
    }

    /// A path that leads nowhere.
    pub fn no_route(method: &str, path: &str) -> Self {
        Self::invalid(
            404,
            format!(
                "Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we can help at https://support.stripe.com/."
            ),
        )
    }

    /// The same idempotency key is at work in another request.
    pub fn key_in_use() -> Self {
        let message = "There is currently another in-progress request using this Idempotent Key (that probably means \
            you submitted twice, and the other request is still going through). Please try again later.";
        Self::invalid(409, message).kind("idempotency_error").code("idempotency_key_in_use")
    }

    /// The same object is at work in another request.
    pub fn locked() -> Self {
        let message = "This object cannot be accessed right now because another API request or Stripe process is \
            currently accessing it. If you see this error intermittently, retry the request.";
        Self::invalid(429, message).code("lock_timeout")
    }

    /// The error's answer; `request` is the identifier in the account's log.
    pub fn answer(&self, live: bool, request: &str) -> Response {
        let mode = if live { "" } else { "test/" };
        let mut error = json!({
            "type": self.kind, "message": self.message,
            "request_log_url": format!("https://dashboard.stripe.com/{mode}logs/{request}"),
        });
        if let Some(code) = self.code {
            error["code"] = json!(code);
            error["doc_url"] = json!(format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-")));
        }
        if let Some(param) = &self.param {
            error["param"] = Value::String(param.clone());
        }
        Response::json(self.status, &json!({"error": error}))
    }
}
