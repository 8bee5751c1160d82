//! A DNS record: what users write, and what the API adds.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::Problem;
use super::rules;
use crate::clock::Moment;

/// The fields that users write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fields {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub content: String,
    pub ttl: u32,
    pub proxied: bool,
    pub comment: Option<String>,
    pub tags: Vec<String>,
    pub priority: Option<u16>,
    pub data: Option<Value>,
    pub settings: Value,
}

impl Fields {
    /// Reads and validates a body; `zone` completes relative names.
    pub fn read(body: &Map<String, Value>, zone: &str) -> Result<Self, Problem> {
        let kind = rules::kind(body)?;
        let data = body.get("data").filter(|data| !data.is_null()).cloned();
        let priority = rules::priority(body, &kind)?;
        let content = rules::content(body, &kind, priority)?;
        let proxied = rules::proxied(body, &kind)?;
        Ok(Self {
            name: rules::name(body, zone)?,
            content,
            ttl: rules::ttl(body, proxied)?,
            proxied,
            comment: rules::comment(body)?,
            tags: rules::tags(body)?,
            priority,
            data: rules::structured(&kind).then_some(data).flatten(),
            settings: body
                .get("settings")
                .filter(|settings| settings.is_object())
                .cloned()
                .unwrap_or_else(|| json!({})),
            kind,
        })
    }

    /// The fields as a body that would write them again.
    pub fn written(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        }
    }

    /// Whether a name and type resolve through the edge.
    pub fn proxiable(&self) -> bool {
        rules::proxiable(&self.kind)
    }
}

/// A stored record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    pub fields: Fields,
    pub created: Moment,
    pub modified: Moment,
    pub comment_modified: Option<Moment>,
}

impl Record {
    /// A new record.
    pub fn new(id: String, fields: Fields, now: Moment) -> Self {
        let comment_modified = fields.comment.as_ref().map(|_| now);
        Self { id, fields, created: now, modified: now, comment_modified }
    }

    /// Takes other fields.
    pub fn change(&mut self, fields: Fields, now: Moment) {
        if fields.comment != self.fields.comment {
            self.comment_modified = Some(now);
        }
        self.fields = fields;
        self.modified = now;
    }

    /// The record as the API shows it.
    pub fn shown(&self) -> Value {
        let mut shown = self.listed(false);
        shown["meta"] = json!({});
        shown["proxiable"] = json!(self.fields.proxiable());
        if let Some(changed) = self.comment_modified {
            shown["comment_modified_on"] = json!(changed.rfc3339());
        }
        shown
    }

    /// What users wrote; with `stable` nothing else.
    pub fn listed(&self, stable: bool) -> Value {
        let mut fields = self.fields.written();
        fields.retain(|name, value| !(value.is_null() && matches!(name.as_str(), "priority" | "data")));
        if !stable {
            fields.insert("id".into(), json!(self.id));
            fields.insert("created_on".into(), json!(self.created.rfc3339()));
            fields.insert("modified_on".into(), json!(self.modified.rfc3339()));
        }
        Value::Object(fields)
    }
}
