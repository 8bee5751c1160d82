//! Faults that tests order: the next so many matching requests go wrong in a stated way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::{Request, Response, fingerprint};

/// An order for requests to go wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    pub vendor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// A prefix of the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A credential's fingerprint: the first twelve hex digits of its SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Requests left to spoil.
    #[serde(default = "once")]
    pub times: u32,
    #[serde(flatten)]
    pub kind: Kind,
}

fn once() -> u32 {
    1
}

/// How a request goes wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Kind {
    /// The vendor answers this instead. With `apply` it does the work first, as a gateway that loses the answer.
    Status {
        code: u16,
        #[serde(default)]
        body: Value,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        apply: bool,
    },
    /// The work is done, then the connection closes without an answer.
    Lost,
    /// The connection is reset before anything is done.
    Reset,
    /// The work is done, the answer comes so many milliseconds later.
    Delay { ms: u64 },
    /// The work is done, the answer's body is cut in the middle.
    Malformed,
    /// The work is done, so many megabytes of blanks follow the answer's body.
    Huge {
        #[serde(default = "sixty_four")]
        megabytes: usize,
    },
    /// The work is done, the answer's body arrives a byte at a time, this many milliseconds apart.
    Slow {
        #[serde(default = "a_tenth")]
        ms: u64,
    },
}

fn sixty_four() -> usize {
    64
}

fn a_tenth() -> u64 {
    100
}

impl Fault {
    fn matches(&self, vendor: &str, request: &Request) -> bool {
        let method = self.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(&request.method));
        let path = self.path.as_ref().is_none_or(|path| request.path.starts_with(path.as_str()));
        let caller = || request.credential().map(|credential| fingerprint(&credential));
        let credential = self.credential.as_ref().is_none_or(|wanted| caller().as_ref() == Some(wanted));
        self.times > 0 && self.vendor == vendor && method && path && credential
    }
}

/// The orders not yet used up, in the order given.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    ordered: Vec<Fault>,
}

impl Faults {
    /// Takes an order.
    pub fn add(&mut self, fault: Fault) {
        self.ordered.push(fault);
    }

    /// Forgets all orders, or those for one credential.
    pub fn clear(&mut self, credential: Option<&str>) {
        self.ordered.retain(|fault| credential.is_some_and(|wanted| fault.credential.as_deref() != Some(wanted)));
    }

    /// What is still ordered.
    pub fn ordered(&self) -> &[Fault] {
        &self.ordered
    }

    /// Uses up the first order that fits this request.
    pub fn take(&mut self, vendor: &str, request: &Request) -> Option<Kind> {
        let place = self.ordered.iter().position(|fault| fault.matches(vendor, request))?;
        self.ordered[place].times -= 1;
        let kind = self.ordered[place].kind.clone();
        self.ordered.retain(|fault| fault.times > 0);
        Some(kind)
    }
}

/// The answer of a `status` fault.
pub fn ordered_answer(code: u16, body: &Value, headers: &BTreeMap<String, String>) -> Response {
    let answer = match body {
        Value::Null => Response::empty(code),
        Value::String(text) => Response::text(code, "text/html", text.clone()),
        json => Response::json(code, json),
    };
    headers.iter().fold(answer, |answer, (name, value)| answer.with(name, value))
}

/// The answer with blanks behind its body.
pub fn swollen(mut answer: Response, megabytes: usize) -> Response {
    let mut body = answer.body.to_vec();
    body.resize(body.len().saturating_add(megabytes << 20), b' ');
    answer.body = body.into();
    answer
}

/// The answer with its body cut in the middle, so that it is no JSON any more.
pub fn cut(mut answer: Response) -> Response {
    answer.body = answer.body.slice(..answer.body.len() / 2);
    answer
}
