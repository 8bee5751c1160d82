//! A project and its client keys.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Body, Problem};
use crate::clock::Moment;
use crate::ids::Ids;

/// A project of one team.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Project {
    pub id: u64,
    pub slug: String,
    /// Its team, where that is not the organization's first one.
    #[serde(default)]
    pub team: Option<String>,
    name: String,
    pub platform: Option<String>,
    created: Moment,
    keys: Vec<Key>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Key {
    public: String,
    secret: String,
    name: String,
    active: bool,
    rate_limit: Option<Value>,
    created: Moment,
}

impl Project {
    /// A new project; it comes with a key called `Default`.
    pub fn new(ids: &mut Ids, (team, name, slug): (Option<String>, String, String), now: Moment) -> Self {
        let id = 4_505_000_000_000_000 + ids.number();
        let keys = vec![Key::new(ids, "Default".into(), now)];
        Self { id, slug, team, name, platform: None, created: now, keys }
    }

    /// The project as the API shows it, without team and organization.
    pub fn shown(&self) -> Value {
        json!({
            "id": self.id.to_string(), "slug": self.slug, "name": self.name, "platform": self.platform,
            "dateCreated": self.created.rfc3339(), "status": "active", "isMember": true, "isPublic": false,
            "isBookmarked": false, "hasAccess": true, "features": [], "firstEvent": null, "color": "#3fbf7f",
        })
    }

    /// What users wrote; with `stable` nothing else.
    pub fn row(&self, stable: bool) -> Value {
        let keys: Vec<Value> = self
            .keys
            .iter()
            .map(|key| json!({"name": key.name, "isActive": key.active, "rateLimit": key.rate_limit}))
            .collect();
        let mut row = json!({"slug": self.slug, "name": self.name, "platform": self.platform, "keys": keys});
        if !stable {
            row["id"] = json!(self.id.to_string());
        }
        row
    }

    /// Changes what is given.
    pub fn change(&mut self, body: &Body) -> Result<(), Problem> {
        let (name, slug) = (name(body, "name", 50)?, slug(body)?);
        self.name = name.unwrap_or_else(|| self.name.clone());
        self.slug = slug.unwrap_or_else(|| self.slug.clone());
        if let Some(platform) = body.get("platform") {
            self.platform = platform.as_str().map(String::from);
        }
        Ok(())
    }

    /// All keys as the API shows them.
    pub fn shown_keys(&self) -> Vec<Value> {
        self.keys.iter().map(|key| key.shown(self.id)).collect()
    }

    /// One key.
    pub fn shown_key(&self, id: &str) -> Option<Value> {
        self.keys.iter().find(|key| key.public == id).map(|key| key.shown(self.id))
    }

    /// Adds a key.
    pub fn add_key(&mut self, ids: &mut Ids, now: Moment, body: &Body) -> Result<Value, Problem> {
        let name = name(body, "name", 64)?.unwrap_or_else(|| "Liked Pegasus".into());
        let mut key = Key::new(ids, name, now);
        key.rate_limit = rate_limit(body)?;
        let shown = key.shown(self.id);
        self.keys.push(key);
        Ok(shown)
    }

    /// Changes a key.
    pub fn change_key(&mut self, id: &str, body: &Body) -> Result<Option<Value>, Problem> {
        let (project, name) = (self.id, name(body, "name", 64)?);
        let limit = body.contains_key("rateLimit").then(|| rate_limit(body)).transpose()?;
        let Some(key) = self.keys.iter_mut().find(|key| key.public == id) else { return Ok(None) };
        key.name = name.unwrap_or_else(|| key.name.clone());
        key.active = body.get("isActive").and_then(Value::as_bool).unwrap_or(key.active);
        key.rate_limit = limit.unwrap_or_else(|| key.rate_limit.clone());
        Ok(Some(key.shown(project)))
    }

    /// Takes a key out; false if it was not there.
    pub fn delete_key(&mut self, id: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.public != id);
        self.keys.len() < before
    }
}

impl Key {
    fn new(ids: &mut Ids, name: String, now: Moment) -> Self {
        Self { public: ids.hex(32), secret: ids.hex(32), name, active: true, rate_limit: None, created: now }
    }

    /// The key as the API shows it; its DSN stays readable.
    fn shown(&self, project: u64) -> Value {
        let host = "o1.ingest.sentry.io";
        json!({
            "id": self.public, "name": self.name, "label": self.name, "public": self.public, "secret": self.secret,
            "projectId": project, "isActive": self.active, "rateLimit": self.rate_limit,
            "dateCreated": self.created.rfc3339(), "browserSdkVersion": "8.x", "browserSdk": {"choices": []},
            "dynamicSdkLoaderOptions": {"hasReplay": true, "hasPerformance": true, "hasDebug": false},
            "dsn": {
                "public": format!("https://{}@{host}/{project}", self.public),
                "secret": format!("https://{}:{}@{host}/{project}", self.public, self.secret),
                "csp": format!("https://{host}/api/{project}/csp-report/?sentry_key={}", self.public),
                "security": format!("https://{host}/api/{project}/security/?sentry_key={}", self.public),
                "minidump": format!("https://{host}/api/{project}/minidump/?sentry_key={}", self.public),
            },
        })
    }
}

/// A text of bounded length.
pub fn name(body: &Body, field: &str, most: usize) -> Result<Option<String>, Problem> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => {
            Err((400, json!({field: ["This field may not be blank."]})))
        }
        Some(Value::String(text)) if text.chars().count() <= most => Ok(Some(text.clone())),
        Some(_) => Err((400, json!({field: [format!("Ensure this field has no more than {most} characters.")]}))),
    }
}

/// A slug: <https://docs.sentry.io/api/projects/create-a-new-project/>.
pub fn slug(body: &Body) -> Result<Option<String>, Problem> {
    let Some(slug) = name(body, "slug", 100)? else { return Ok(None) };
    let letters =
        slug.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter));
    if letters && !slug.chars().all(|letter| letter.is_ascii_digit()) {
        return Ok(Some(slug));
    }
    let message = "Enter a valid slug consisting of lowercase letters, numbers, underscores or hyphens. It cannot be entirely numeric.";
    Err((400, json!({"slug": [message]})))
}

/// The name as a slug, with a number behind it if that is taken.
pub fn free_slug(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let plain: String =
        name.to_lowercase().chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let plain = plain.trim_matches('-').to_string();
    let numbered = (2..).map(|number| format!("{plain}-{number}"));
    std::iter::once(plain.clone()).chain(numbered).find(|slug| !taken(slug)).unwrap_or(plain)
}

fn rate_limit(body: &Body) -> Result<Option<Value>, Problem> {
    match body.get("rateLimit") {
        None | Some(Value::Null) => Ok(None),
        Some(limit) if limit["window"].as_u64().is_some() && limit["count"].as_u64().is_some() => {
            Ok(Some(limit.clone()))
        }
        Some(_) => Err((
            400,
            json!({"rateLimit": {"count": ["This field is required."], "window": ["This field is required."]}}),
        )),
    }
}
