//! The envelope of every answer, and the problems it may carry.

use serde_json::{Map, Value, json};

use crate::message::{Request, Response};

/// An error as the API words it. Codes without a page of their own are those that users report.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub status: u16,
    pub code: u32,
    pub message: String,
    pub chain: Vec<(u32, String)>,
}

impl Problem {
    /// A problem of one line.
    pub fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), chain: Vec::new() }
    }

    /// A record that fails validation: the reason is one level deeper.
    pub fn invalid(code: u32, message: impl Into<String>) -> Self {
        let chain = vec![(code, message.into())];
        Self { chain, ..Self::new(400, 1004, "DNS Validation Error") }
    }

    /// The token does not reach this.
    pub fn authentication() -> Self {
        Self::new(403, 10000, "Authentication error")
    }

    /// No credential in the request.
    pub fn no_credential() -> Self {
        Self::new(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
    }

    /// An `Authorization` header that is no bearer token.
    pub fn bad_header() -> Self {
        let chain = vec![(6111, "Invalid format for Authorization header".into())];
        Self { chain, ..Self::new(400, 6003, "Invalid request headers") }
    }

    /// A path that leads nowhere.
    pub fn no_route(path: &str) -> Self {
        let chain = vec![(7000, "No route for that URI".into())];
        let message = format!("Could not route to {path}, perhaps your object identifier is invalid?");
        Self { chain, ..Self::new(404, 7003, message) }
    }

    /// A zone that is not this account's.
    pub fn zone_unknown(id: &str) -> Self {
        if id.len() == 32 && id.chars().all(|letter| letter.is_ascii_hexdigit()) {
            return Self::authentication();
        }
        Self::no_route(&format!("/client/v4/zones/{id}"))
    }

    /// A record that is not, or no longer, in the zone.
    pub fn record_unknown() -> Self {
        Self::new(404, 81044, "Record does not exist.")
    }
}

/// A result in its envelope.
pub fn done(result: Value) -> Response {
    Response::json(200, &json!({"result": result, "success": true, "errors": [], "messages": []}))
}

/// One page of results in its envelope.
pub fn page(result: Vec<Value>, info: Value) -> Response {
    let body = json!({"result": result, "success": true, "errors": [], "messages": [], "result_info": info});
    Response::json(200, &body)
}

/// The same answer with a message.
pub fn with_message(answer: Response, message: Value) -> Response {
    let mut body = answer.value();
    body["messages"] = json!([message]);
    Response::json(answer.status, &body)
}

/// A problem in its envelope.
pub fn failed(problem: &Problem) -> Response {
    let mut error = json!({"code": problem.code, "message": problem.message});
    if !problem.chain.is_empty() {
        let chain = problem.chain.iter().map(|(code, message)| json!({"code": code, "message": message}));
        error["error_chain"] = chain.collect();
    }
    Response::json(problem.status, &json!({"result": null, "success": false, "errors": [error], "messages": []}))
}

/// The request's body, which must be a JSON object.
pub fn object(request: &Request) -> Result<Map<String, Value>, Problem> {
    match request.json() {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(Problem::new(400, 9207, "Request body is invalid.")),
    }
}
