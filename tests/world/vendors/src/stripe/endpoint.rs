//! Webhook endpoints: <https://docs.stripe.com/api/webhook_endpoints>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Mode;
use super::params::{self, EVENT_NAMES};
use super::problem::Problem;
use crate::clock::Moment;
use crate::ids::Ids;

/// Accounts report a limit of 16 endpoints, test and live each for itself: getlago/lago-api #2154.
pub const ENDPOINTS: usize = 16;
const CREATE: [&str; 7] = ["url", "enabled_events", "api_version", "connect", "description", "metadata", "expand"];
const UPDATE: [&str; 6] = ["url", "enabled_events", "description", "metadata", "disabled", "expand"];

type Body = Map<String, Value>;

/// A stored endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    pub id: String,
    pub url: String,
    pub enabled_events: Vec<String>,
    pub api_version: Option<String>,
    pub description: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub disabled: bool,
    pub connect: bool,
    pub secret: String,
    pub created: Moment,
}

impl Endpoint {
    /// The endpoint as the API shows it: never with its secret.
    pub fn shown(&self, live: bool) -> Value {
        json!({
            "id": self.id, "object": "webhook_endpoint", "api_version": self.api_version, "application": null,
            "created": self.created.seconds(), "description": self.description, "enabled_events": self.enabled_events,
            "livemode": live, "metadata": self.metadata, "status": self.status(), "url": self.url,
        })
    }

    /// What users wrote, with nothing that differs between two runs alike.
    pub fn row(&self) -> Value {
        let mut events = self.enabled_events.clone();
        events.sort();
        json!({
            "api_version": self.api_version, "description": self.description, "enabled_events": events,
            "metadata": self.metadata, "status": self.status(), "url": self.url,
        })
    }

    fn status(&self) -> &'static str {
        if self.disabled { "disabled" } else { "enabled" }
    }

    /// Whether events of this type go there.
    pub fn wants(&self, event: &str) -> bool {
        !self.disabled && self.enabled_events.iter().any(|wanted| wanted == event || wanted == "*")
    }
}

/// Creates an endpoint; the answer is the only one that ever shows the secret.
pub fn create(mode: &mut Mode, body: &Body, ids: &mut Ids, now: Moment) -> Result<Value, Problem> {
    params::only(body, &CREATE)?;
    let url = params::url(params::required(body, "url")?, mode.live)?;
    let enabled_events = events(body.get("enabled_events").ok_or_else(|| Problem::missing("enabled_events"))?)?;
    let api_version = params::text(body, "api_version").map(params::api_version).transpose()?;
    let connect = params::boolean(body, "connect")?.unwrap_or(false);
    let metadata = params::metadata(&BTreeMap::new(), body.get("metadata"))?;
    if mode.endpoints.len() >= mode.limit {
        return Err(at_the_cap(mode));
    }
    let description = description(body)?;
    let (id, secret) = (format!("we_1{}", ids.base62(23)), format!("whsec_{}", ids.base62(32)));
    let disabled = false;
    let endpoint = Endpoint {
        id,
        url,
        enabled_events,
        api_version,
        description,
        metadata,
        disabled,
        connect,
        secret,
        created: now,
    };
    let mut shown = endpoint.shown(mode.live);
    shown["secret"] = json!(endpoint.secret);
    mode.endpoints.push(endpoint);
    Ok(shown)
}

/// The error has no code of its own: PostHog/posthog #83460.
fn at_the_cap(mode: &Mode) -> Problem {
    let (most, kind) = (mode.limit, if mode.live { "" } else { "test " });
    Problem::invalid(400, format!("You have reached the maximum of {most} {kind}webhook endpoints.")).started()
}

/// Changes what is given; metadata is merged.
pub fn update(mode: &mut Mode, id: &str, body: &Body) -> Result<Value, Problem> {
    params::only(body, &UPDATE)?;
    let live = mode.live;
    let endpoint = mode.endpoints.iter_mut().find(|endpoint| endpoint.id == id);
    let endpoint = endpoint.ok_or_else(|| Problem::not_found(404, "webhook endpoint", id))?;
    let mut changed = endpoint.clone();
    if let Some(url) = params::text(body, "url") {
        changed.url = params::url(url, live)?;
    }
    if let Some(names) = body.get("enabled_events") {
        changed.enabled_events = events(names)?;
    }
    if body.contains_key("description") {
        changed.description = description(body)?;
    }
    changed.disabled = params::boolean(body, "disabled")?.unwrap_or(changed.disabled);
    changed.metadata = params::metadata(&changed.metadata, body.get("metadata"))?;
    *endpoint = changed;
    Ok(endpoint.shown(live))
}

/// Shows one endpoint.
pub fn retrieve(mode: &Mode, id: &str) -> Result<Value, Problem> {
    let endpoint = mode.endpoints.iter().find(|endpoint| endpoint.id == id);
    endpoint.map(|endpoint| endpoint.shown(mode.live)).ok_or_else(|| Problem::not_found(404, "webhook endpoint", id))
}

/// Takes an endpoint out.
pub fn delete(mode: &mut Mode, id: &str) -> Result<Value, Problem> {
    let place = mode.endpoints.iter().position(|endpoint| endpoint.id == id);
    let place = place.ok_or_else(|| Problem::not_found(404, "webhook endpoint", id))?;
    mode.endpoints.remove(place);
    Ok(json!({"id": id, "object": "webhook_endpoint", "deleted": true}))
}

fn description(body: &Body) -> Result<Option<String>, Problem> {
    let text = params::text(body, "description").unwrap_or_default();
    if text.chars().count() > 5000 {
        return Err(Problem::invalid(400, "Invalid string: must be at most 5000 characters").param("description"));
    }
    Ok((!text.is_empty()).then(|| text.into()))
}

fn events(names: &Value) -> Result<Vec<String>, Problem> {
    let list = names
        .as_array()
        .filter(|list| !list.is_empty())
        .ok_or_else(|| Problem::invalid(400, "Invalid array").param("enabled_events"))?;
    list.iter().enumerate().map(event).collect()
}

fn event((place, name): (usize, &Value)) -> Result<String, Problem> {
    let name = name.as_str().unwrap_or_default();
    if EVENT_NAMES.lines().any(|known| known == name) {
        return Ok(name.into());
    }
    let param = format!("enabled_events[{place}]");
    let known: Vec<&str> = EVENT_NAMES.lines().take(3).collect();
    Err(Problem::invalid(400, format!("Invalid {param}: must be one of {}, ...", known.join(", "))).param(param))
}
