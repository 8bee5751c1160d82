//! A CA that speaks ACME (RFC 8555, RFC 9773), as a value: it checks nonces, proofs and states, and no signatures, which
//! are the client library's own matter and checked by a real CA in `tests/acme.rs`.

mod issue;

use std::collections::{BTreeMap, BTreeSet};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use bytes::Bytes;
use http::{Request, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use issue::Issued;

/// Where the CA is.
pub const BASE: &str = "https://ca.test";
/// How long a certificate is valid.
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What the CA can see of the world when it checks a proof.
pub trait Sight {
    /// The TXT records of a name.
    fn texts(&self, name: &str) -> Vec<String>;
    /// What a host answers under `/.well-known/acme-challenge/`.
    fn answer(&self, host: &str, token: &str) -> Option<String>;
}

/// An order of certificates.
#[derive(Clone, Debug)]
pub struct Order {
    pub account: String,
    pub names: Vec<String>,
    /// The token of each name, and whether it is proven (`None`: not checked).
    tokens: BTreeMap<String, (String, Option<bool>)>,
    chain: Option<String>,
    pub replaces: bool,
    pub at: Timestamp,
}

/// The CA's state.
#[derive(Clone, Default)]
pub struct Authority {
    counter: u64,
    nonces: BTreeSet<String>,
    /// Thumbprints of accounts' keys, by account.
    accounts: Vec<String>,
    pub orders: Vec<Order>,
    pub issued: Vec<Issued>,
}

/// A signed request, opened.
struct Signed {
    account: Option<usize>,
    thumbprint: Option<String>,
    nonce: String,
    payload: Value,
}

type Outcome = Result<(u16, Value, Option<String>), (u16, &'static str, &'static str)>;

impl Authority {
    /// Answers a request.
    pub fn answer(&mut self, request: &Request<Bytes>, sight: &dyn Sight, now: Timestamp) -> Response<Bytes> {
        let path = request.uri().path().to_owned();
        let mut parts = path.trim_start_matches('/').split('/');
        let (room, id) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default().to_owned());
        let outcome = match room {
            "dir" => Ok((200, directory(), None)),
            "nonce" => Ok((200, Value::Null, None)),
            "renewal" => self.window(&id),
            _ => self.signed(room, &id, request.body(), (sight, now)),
        };
        self.response(outcome)
    }

    /// How many accounts there are.
    pub fn accounts(&self) -> usize {
        self.accounts.len()
    }

    fn response(&mut self, outcome: Outcome) -> Response<Bytes> {
        self.counter += 1;
        let nonce = format!("nonce{}", self.counter);
        self.nonces.insert(nonce.clone());
        let builder = Response::builder().header("replay-nonce", nonce);
        let answer = match outcome {
            Ok((status, Value::String(chain), _)) => builder.status(status).body(chain.into()),
            Ok((status, body, place)) => {
                let builder = place.into_iter().fold(builder.status(status), |b, place| b.header("location", place));
                builder.body(body.to_string().into())
            }
            Err((status, kind, detail)) => {
                let problem =
                    json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail, "status": status});
                builder
                    .status(status)
                    .header("content-type", "application/problem+json")
                    .body(problem.to_string().into())
            }
        };
        answer.unwrap_or_default()
    }

    fn signed(&mut self, room: &str, id: &str, body: &Bytes, (sight, now): (&dyn Sight, Timestamp)) -> Outcome {
        let signed = opened(body).ok_or((400, "malformed", "no signed request"))?;
        if !self.nonces.remove(&signed.nonce) {
            return Err((400, "badNonce", "the nonce is not known"));
        }
        let number: usize = id.parse().unwrap_or(usize::MAX);
        if room == "account" {
            return self.account(id, &signed);
        }
        let account = signed.account.filter(|at| *at < self.accounts.len());
        let account = account.ok_or((400, "accountDoesNotExist", "no such account"))?;
        let missing = (404, "malformed", "no such order");
        match room {
            "order" if id.is_empty() => self.order(account, &signed.payload, now),
            "order" => self.shown(number).ok_or(missing),
            "authz" => self.authorization(id).ok_or(missing),
            "challenge" => self.challenge(id, sight).ok_or(missing),
            "finalize" => self.finalize(number, &signed.payload, now),
            "cert" => {
                let chain = self.orders.get(number).and_then(|order| order.chain.clone());
                Ok((200, Value::String(chain.ok_or(missing)?), None))
            }
            _ => Err(missing),
        }
    }

    fn account(&mut self, id: &str, signed: &Signed) -> Outcome {
        let known = signed.thumbprint.as_ref().and_then(|t| self.accounts.iter().position(|a| a == t));
        let at = match (known, id.parse().ok(), &signed.thumbprint) {
            (Some(at), _, _) | (None, Some(at), None) => at,
            _ if signed.payload["onlyReturnExisting"] == true => {
                return Err((400, "accountDoesNotExist", "no account of this key"));
            }
            (_, _, Some(thumbprint)) => {
                self.accounts.push(thumbprint.clone());
                let contact = signed.payload["contact"].clone();
                let place = format!("{BASE}/account/{}", self.accounts.len() - 1);
                return Ok((201, json!({"status": "valid", "contact": contact}), Some(place)));
            }
            _ => return Err((400, "malformed", "no key")),
        };
        let body = json!({"status": "valid", "contact": ["mailto:ops@example.com"]});
        Ok((200, body, Some(format!("{BASE}/account/{at}"))))
    }

    fn order(&mut self, account: usize, payload: &Value, now: Timestamp) -> Outcome {
        let identifiers = payload["identifiers"].as_array().cloned().unwrap_or_default();
        let names: Vec<String> = identifiers.iter().filter_map(|i| i["value"].as_str()).map(str::to_owned).collect();
        let at = self.orders.len();
        let tokens = names.iter().map(|name| (name.clone(), (format!("token-{at}-{name}"), None))).collect();
        let replaces = payload["replaces"].is_string();
        let account = account.to_string();
        self.orders.push(Order { account, names, tokens, chain: None, replaces, at: now });
        let (_, mut body, _) = self.shown(at).ok_or((500, "serverInternal", "lost"))?;
        if replaces {
            body["replaces"] = payload["replaces"].clone();
        }
        Ok((201, body, Some(format!("{BASE}/order/{at}"))))
    }

    fn shown(&self, at: usize) -> Option<(u16, Value, Option<String>)> {
        let order = self.orders.get(at)?;
        let mut body = json!({
            "status": order.status(),
            "expires": "2099-01-01T00:00:00Z",
            "identifiers": order.names.iter().map(|name| json!({"type": "dns", "value": name})).collect::<Vec<_>>(),
            "authorizations": order.names.iter().map(|name| format!("{BASE}/authz/{at}:{name}")).collect::<Vec<_>>(),
            "finalize": format!("{BASE}/finalize/{at}"),
        });
        if order.chain.is_some() {
            body["certificate"] = json!(format!("{BASE}/cert/{at}"));
        }
        Some((200, body, Some(format!("{BASE}/order/{at}"))))
    }

    fn authorization(&self, id: &str) -> Option<(u16, Value, Option<String>)> {
        let (at, name) = id.split_once(':')?;
        let (token, proven) = self.orders.get(at.parse::<usize>().ok()?)?.tokens.get(name)?;
        let status = status_of(*proven);
        let challenge = |kind: &str| json!({"type": kind, "url": format!("{BASE}/challenge/{id}:{kind}"), "token": token, "status": status});
        let body = json!({
            "status": status, "identifier": {"type": "dns", "value": name}, "expires": "2099-01-01T00:00:00Z",
            "challenges": [challenge("http-01"), challenge("dns-01")],
        });
        Some((200, body, None))
    }

    fn challenge(&mut self, id: &str, sight: &dyn Sight) -> Option<(u16, Value, Option<String>)> {
        let mut parts = id.splitn(3, ':');
        let (at, name, kind) = (parts.next()?.parse::<usize>().ok()?, parts.next()?, parts.next()?);
        let order = self.orders.get_mut(at)?;
        let thumbprint = self.accounts.get(order.account.parse::<usize>().ok()?)?.clone();
        let (token, proven) = order.tokens.get_mut(name)?;
        let wanted = format!("{token}.{thumbprint}");
        let found = match kind {
            "dns-01" => {
                let digest = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&wanted));
                sight.texts(&format!("_acme-challenge.{name}")).contains(&digest)
            }
            _ => sight.answer(name, token).as_deref() == Some(wanted.as_str()),
        };
        proven.get_or_insert(found);
        let body = json!({"type": kind, "url": format!("{BASE}/challenge/{id}"), "token": token, "status": status_of(*proven)});
        Some((200, body, None))
    }

    fn finalize(&mut self, at: usize, payload: &Value, now: Timestamp) -> Outcome {
        let order = self.orders.get(at).ok_or((404, "malformed", "no such order"))?;
        if order.status() != "ready" {
            return Err((403, "orderNotReady", "the order is not ready"));
        }
        let csr = payload["csr"].as_str().and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
        let issued = csr.and_then(|csr| issue::sign(&csr, self.issued.len() as u64, now));
        let issued = issued.ok_or((400, "badCSR", "the signing request cannot be read"))?;
        self.orders[at].chain = Some(issued.chain.clone());
        self.issued.push(issued);
        self.shown(at).ok_or((500, "serverInternal", "lost"))
    }

    /// The window in which a certificate should be renewed: the last third of its life but for its last day.
    fn window(&self, id: &str) -> Outcome {
        let serial = id.split('.').nth(1).and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
        let found = self.issued.iter().find(|issued| serial.as_ref().is_some_and(|s| issued.is(s)));
        let at = found.ok_or((404, "malformed", "no such certificate"))?.at;
        let (start, end) = (at + LIFETIME * 2 / 3, at + LIFETIME - SignedDuration::from_hours(24));
        Ok((200, json!({"suggestedWindow": {"start": start.to_string(), "end": end.to_string()}}), None))
    }
}

impl Order {
    /// How far it is, as the CA words it.
    pub fn status(&self) -> &'static str {
        let proofs = || self.tokens.values().map(|(_, proven)| *proven);
        match () {
            () if self.chain.is_some() => "valid",
            () if proofs().any(|proven| proven == Some(false)) => "invalid",
            () if proofs().all(|proven| proven == Some(true)) => "ready",
            () => "pending",
        }
    }
}

fn status_of(proven: Option<bool>) -> &'static str {
    match proven {
        None => "pending",
        Some(true) => "valid",
        Some(false) => "invalid",
    }
}

fn directory() -> Value {
    let at = |room: &str| format!("{BASE}/{room}");
    json!({
        "newNonce": at("nonce"), "newAccount": at("account"), "newOrder": at("order"),
        "revokeCert": at("revoke"), "keyChange": at("key"), "renewalInfo": at("renewal"),
        "meta": {"profiles": {"classic": "as ever"}},
    })
}

fn opened(body: &Bytes) -> Option<Signed> {
    let outer: Value = serde_json::from_slice(body).ok()?;
    let part = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(outer[name].as_str()?).ok();
    let protected: Value = serde_json::from_slice(&part("protected")?).ok()?;
    let payload = part("payload").filter(|bytes| !bytes.is_empty());
    let account = protected["kid"].as_str().and_then(|kid| kid.rsplit('/').next()?.parse().ok());
    let jwk = protected["jwk"].as_object().map(|jwk| {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text("x"), text("y"));
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
    });
    let payload = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    Some(Signed { account, thumbprint: jwk, nonce: protected["nonce"].as_str()?.to_owned(), payload })
}
