//! The control API for tests: plain HTTP with JSON.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::{Answer, Handler, Hangup, Line, read, whole};
use super::hub::Hub;
use super::{check, deliver};
use crate::faults::Fault;
use crate::gate::NAMES;
use crate::message::{Request, Response};
use crate::settings::Settings;
use crate::stripe::delivery::Happening;

/// The control API's handler.
pub struct Control {
    pub hub: Arc<Hub>,
}

impl Handler for Control {
    async fn answer(self: Arc<Self>, _line: Arc<Line>, request: hyper::Request<Incoming>) -> Result<Answer, Hangup> {
        let request = read(request).await?;
        Ok(whole(self.route(&request).await.unwrap_or_else(|problem| problem)))
    }
}

/// An answer, or the answer that says what is wrong with the request.
type Outcome = Result<Response, Response>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClockChange {
    #[serde(default)]
    advance_seconds: f64,
    hold: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Credential {
    vendor: String,
    #[serde(default = "all")]
    credential: String,
}

fn all() -> String {
    "all".into()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewEvent {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    livemode: bool,
    #[serde(default)]
    wrong_signature: bool,
}

impl Control {
    async fn route(&self, request: &Request) -> Outcome {
        let segments = request.segments();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["healthz"]) => Ok(Response::json(200, &json!({"ok": true}))),
            ("POST", ["clock"]) => self.set_clock(&parsed(request)?),
            ("GET", ["clock"]) => Ok(Response::json(200, &json!({"now": self.hub.clock.now().rfc3339()}))),
            ("POST", ["vendors", name, "down"]) => self.set_door(name, false).await,
            ("POST", ["vendors", name, "up"]) => self.set_door(name, true).await,
            ("POST", ["vendors", name, "untrusted"]) => self.set_trusted(name, false),
            ("POST", ["vendors", name, "trusted"]) => self.set_trusted(name, true),
            ("POST", ["stripe", "events"]) => self.happen(parsed(request)?).await,
            ("GET", ["stripe", "events", id]) => self.deliveries(id),
            ("GET", ["uptimerobot", "checks"]) => Ok(self.checks()),
            ("POST", ["uptimerobot", "checks"]) => {
                check::all(&self.hub, self.hub.with(|vendors| vendors.uptimerobot.all_checks(self.hub.clock.now())))
                    .await;
                Ok(self.checks())
            }
            _ => self.state(request),
        }
    }

    fn state(&self, request: &Request) -> Outcome {
        let segments = request.segments();
        let done = || Ok(Response::json(200, &json!({"ok": true})));
        match (request.method.as_str(), segments.as_slice()) {
            ("POST", ["faults"]) => self.add_fault(parsed(request)?),
            ("GET", ["faults"]) => Ok(Response::json(200, &self.hub.with(|vendors| json!(vendors.faults.ordered())))),
            ("DELETE", ["faults"]) => {
                self.hub.with(|vendors| vendors.faults.clear(request.param("credential")));
                done()
            }
            ("GET", ["calls"]) => self.calls(request),
            ("DELETE", ["calls"]) => {
                self.hub.with(|vendors| vendors.calls.clear());
                done()
            }
            ("GET", ["inventory"]) => {
                let stable = request.param("stable") == Some("true");
                Ok(Response::json(200, &self.hub.with(|vendors| vendors.inventory(stable))))
            }
            ("POST", ["credentials", "revoke"]) => self.credential(&parsed(request)?, true),
            ("POST", ["credentials", "restore"]) => self.credential(&parsed(request)?, false),
            ("POST", ["settings"]) => {
                let settings: Settings = parsed(request)?;
                self.hub.with(|vendors| vendors.set(&settings));
                done()
            }
            _ => Err(wrong(404, format!("no such call: {} {}", request.method, request.path))),
        }
    }

    fn add_fault(&self, fault: Fault) -> Outcome {
        known(&fault.vendor)?;
        self.hub.with(|vendors| vendors.faults.add(fault));
        Ok(Response::json(201, &json!({"ok": true})))
    }

    fn set_clock(&self, change: &ClockChange) -> Outcome {
        let by = Duration::try_from_secs_f64(change.advance_seconds).map_err(|error| wrong(400, error.to_string()))?;
        if let Some(held) = change.hold {
            self.hub.clock.hold(held);
        }
        self.hub.clock.advance(by);
        self.hub.changed.notify_one();
        Ok(Response::json(200, &json!({"now": self.hub.clock.now().rfc3339()})))
    }

    fn calls(&self, request: &Request) -> Outcome {
        let since: i64 =
            request.param("since").map_or(Ok(0), str::parse).map_err(|_| wrong(400, "since is in milliseconds"))?;
        let of = |vendor: &str| request.param("vendor").is_none_or(|wanted| wanted == vendor);
        let calls = self.hub.with(|vendors| {
            let found: Vec<_> = vendors.calls.iter().filter(|call| call.time >= since && of(&call.vendor)).collect();
            json!(found)
        });
        Ok(Response::json(200, &calls))
    }

    fn credential(&self, named: &Credential, revoke: bool) -> Outcome {
        known(&named.vendor)?;
        self.hub.with(|vendors| match revoke {
            true => vendors.revoke(&named.vendor, &named.credential),
            false => vendors.restore(&named.vendor, &named.credential),
        });
        Ok(Response::json(200, &json!({"ok": true})))
    }

    fn set_trusted(&self, name: &str, trusted: bool) -> Outcome {
        self.hub.set_trusted(name, trusted).map_err(|error| wrong(404, error.to_string()))?;
        Ok(Response::json(200, &json!({"ok": true})))
    }

    async fn set_door(&self, name: &str, open: bool) -> Outcome {
        let doors: Vec<&str> = if name == "edge" { vec!["edge-http", "edge-https"] } else { vec![name] };
        for name in doors {
            let door = self.hub.door(name).ok_or_else(|| wrong(404, format!("no such server: {name}")))?;
            door.set(open).await;
        }
        Ok(Response::json(200, &json!({"ok": true})))
    }

    fn checks(&self) -> Response {
        Response::json(200, &self.hub.with(|vendors| vendors.uptimerobot.checks()))
    }

    /// Creates an event and answers when every endpoint was tried once.
    async fn happen(&self, event: NewEvent) -> Outcome {
        let object = event.data.get("object").filter(|object| object.is_object()).cloned().unwrap_or(event.data);
        let (kind, live, wrong_signature) = (event.kind, event.livemode, event.wrong_signature);
        let happening = Happening { kind, object, live, wrong_signature };
        let id = self.hub.with(|vendors| vendors.stripe.happen(self.hub.clock.now(), happening));
        deliver::now(&self.hub).await;
        self.deliveries(&id)
    }

    fn deliveries(&self, id: &str) -> Outcome {
        let found = self.hub.with(|vendors| vendors.stripe.deliveries(id));
        found.map(|found| Response::json(200, &found)).ok_or_else(|| wrong(404, format!("no such event: {id}")))
    }
}

fn known(vendor: &str) -> Result<(), Response> {
    if NAMES.contains(&vendor) {
        Ok(())
    } else {
        Err(wrong(400, format!("no such vendor: {vendor}; known are {}", NAMES.join(", "))))
    }
}

fn parsed<T: serde::de::DeserializeOwned>(request: &Request) -> Result<T, Response> {
    serde_json::from_slice(&request.body).map_err(|error| wrong(400, error.to_string()))
}

fn wrong(status: u16, message: impl Into<String>) -> Response {
    Response::json(status, &json!({"error": message.into()}))
}
