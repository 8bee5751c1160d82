//! A monitor with its history, since lists show it as it was a while ago.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::Moment;
use crate::message::Request;

/// What users write: names and values as they were sent.
pub type Fields = Map<String, Value>;

/// A monitor; a version without fields is its deletion.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Monitor {
    pub id: u64,
    created: Moment,
    versions: Vec<(Moment, Option<Fields>)>,
    #[serde(default)]
    pub last_check: Option<Moment>,
    /// The status of the answer, or what went wrong before there was one.
    #[serde(default)]
    pub last_outcome: Option<Result<u16, String>>,
}

impl Monitor {
    /// A new monitor.
    pub fn new(id: u64, fields: Fields, now: Moment) -> Self {
        Self { id, created: now, versions: vec![(now, Some(fields))], last_check: None, last_outcome: None }
    }

    /// What it is now; nothing once it is deleted.
    pub fn fields(&self) -> Option<&Fields> {
        self.versions.last().and_then(|(_, fields)| fields.as_ref())
    }

    /// What a list shows.
    pub fn seen(&self, now: Moment, lag: Duration) -> Option<&Fields> {
        let old = self.versions.iter().rev().find(|(at, _)| now >= at.plus(lag));
        old.and_then(|(_, fields)| fields.as_ref())
    }

    /// Whether its last change is too young for lists.
    pub fn is_fresh(&self, now: Moment, lag: Duration) -> bool {
        self.versions.last().is_some_and(|(at, _)| now < at.plus(lag))
    }

    /// Takes other fields.
    pub fn change(&mut self, fields: Fields, now: Moment) {
        self.versions.push((now, Some(fields)));
    }

    /// Ends it.
    pub fn delete(&mut self, now: Moment) {
        self.versions.push((now, None));
    }

    /// The monitor as the API shows it by its identifier.
    pub fn shown(&self) -> Value {
        self.fields().map_or(Value::Null, |fields| self.show(fields))
    }

    /// The monitor as a list shows it.
    pub fn listed(&self, now: Moment, lag: Duration) -> Option<Value> {
        self.seen(now, lag).map(|fields| self.show(fields))
    }

    /// What users wrote, without the password; with `stable` nothing else.
    pub fn row(&self, stable: bool) -> Option<Value> {
        let fields = self.fields()?;
        let mut row = fields.clone();
        row.remove("httpPassword");
        if !stable {
            row.insert("id".into(), json!(self.id));
        }
        Some(Value::Object(row))
    }

    /// Up while the last visit was answered with success or a redirect.
    pub fn status(&self) -> &'static str {
        match self.last_outcome {
            None => "STARTED",
            Some(Ok(200..400)) => "UP",
            Some(_) => "DOWN",
        }
    }

    fn show(&self, fields: &Fields) -> Value {
        let mut shown = json!({
            "id": self.id, "status": self.status(), "currentStateDuration": 0, "createDateTime": self.created.rfc3339(),
            "lastIncidentId": null, "lastIncident": null, "lastDayUptimes": null, "userId": 4242, "groupId": 0,
            "maintenanceWindows": [], "psps": [], "apiKey": null, "sslBrand": null, "sslExpiryDateTime": null,
            "domainExpireDate": null,
        });
        for (name, value) in fields {
            match name.as_str() {
                "tagNames" => shown["tags"] = tags(value),
                // The password of a protected page is write-only.
                "httpPassword" => shown["httpPassword"] = json!(""),
                _ => shown[name] = escaped(value),
            }
        }
        shown
    }
}

fn tags(names: &Value) -> Value {
    let names = names.as_array().map_or(&[][..], Vec::as_slice);
    names.iter().enumerate().map(|(place, name)| json!({"id": place + 1, "name": name, "color": "#3BD671"})).collect()
}

/// Values come back with HTML entities: the provider's `unescapeHTML` exists for that.
fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(escape(text)),
        Value::Object(pairs) => {
            pairs.iter().map(|(name, value)| (name.clone(), escaped(value))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}

/// Whether a shown row fits the filters of the list call.
pub fn fits(row: &Value, request: &Request) -> bool {
    let text = |name: &str, parameter: &str| request.param(parameter).is_none_or(|wanted| row[name] == escape(wanted));
    let tags = request.param("tags").is_none_or(|tags| tags.split(',').all(|tag| has_tag(row, tag)));
    let mut fields = request.query.iter().filter(|(name, _)| name == "customField");
    text("friendlyName", "name") && text("url", "url") && tags && fields.all(|(_, pair)| has_field(row, pair))
}

fn has_tag(row: &Value, tag: &str) -> bool {
    row["tags"].as_array().is_some_and(|tags| tags.iter().any(|known| known["name"] == tag))
}

fn has_field(row: &Value, pair: &str) -> bool {
    pair.split_once(':').is_some_and(|(name, value)| row["customFields"][name] == escape(value))
}
