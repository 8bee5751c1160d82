//! What a monitor's body may say.

use serde_json::{Map, Value, json};

use super::monitor::Fields;
use crate::message::{Request, Response};

/// An error as the API words it.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    status: u16,
    message: String,
    code: Option<&'static str>,
}

impl Problem {
    /// A problem of one line.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), code: None }
    }

    /// The same problem with a code.
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// A key that is missing, unknown or revoked.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized")
    }

    /// The problem's answer.
    pub fn answer(&self) -> Response {
        let mut body = json!({"message": self.message, "statusCode": self.status});
        if let Some(code) = self.code {
            body["code"] = json!(code);
        }
        Response::json(self.status, &body)
    }
}

const TYPES: [&str; 8] = ["HTTP", "KEYWORD", "PING", "PORT", "HEARTBEAT", "DNS", "API", "UDP"];
const KNOWN: [&str; 33] = [
    "friendlyName",
    "url",
    "type",
    "interval",
    "timeout",
    "authType",
    "httpMethodType",
    "httpUsername",
    "httpPassword",
    "port",
    "keywordType",
    "keywordValue",
    "keywordCaseType",
    "assignedAlertContacts",
    "checkSSLErrors",
    "sslCheckEnabled",
    "customHttpHeaders",
    "customFields",
    "successHttpResponseCodes",
    "maintenanceWindowsIds",
    "tagNames",
    "gracePeriod",
    "postValueType",
    "postValueData",
    "sslExpirationReminder",
    "domainExpirationReminder",
    "followRedirections",
    "responseTimeThreshold",
    "regionalData",
    "regionData",
    "config",
    "groupId",
    "status",
];

/// What a monitor is when nothing is said.
pub fn defaults() -> Fields {
    let defaults = json!({
        "timeout": 30, "httpMethodType": "HEAD", "authType": "NONE", "followRedirections": true, "checkSSLErrors": false,
        "sslExpirationReminder": false, "domainExpirationReminder": false, "tagNames": [], "customFields": {},
        "customHttpHeaders": {}, "assignedAlertContacts": [], "successHttpResponseCodes": ["2xx", "3xx"],
    });
    defaults.as_object().cloned().unwrap_or_default()
}

/// The request's body, which must be a JSON object.
pub fn object(request: &Request) -> Result<Fields, Problem> {
    match request.json() {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(Problem::new(400, "Invalid JSON body")),
    }
}

/// A number in a query.
pub fn number(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Problem::new(400, "cursor and limit must be integer numbers"))
}

/// Lays a body over what a monitor is, and checks the whole.
pub fn read(old: &Fields, body: &Fields) -> Result<Fields, Problem> {
    if let Some(name) = body.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(Problem::new(400, format!("property {name} should not exist")));
    }
    if old.contains_key("type") && body.get("type").is_some_and(|kind| Some(kind) != old.get("type")) {
        return Err(Problem::new(400, "type cannot be changed"));
    }
    let mut whole = old.clone();
    whole.extend(body.clone());
    check(&whole)?;
    Ok(whole)
}

fn check(whole: &Fields) -> Result<(), Problem> {
    let text = |name: &str| whole.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("friendlyName").is_empty() || text("friendlyName").chars().count() > 250 {
        return Err(Problem::new(400, "friendlyName must be between 1 and 250 characters"));
    }
    if !TYPES.contains(&text("type")) {
        return Err(Problem::new(400, format!("type must be one of the following values: {}", TYPES.join(", "))));
    }
    if matches!(text("type"), "HTTP" | "KEYWORD" | "API") && !text("url").starts_with("http") {
        return Err(Problem::new(400, "url must be a URL address"));
    }
    within(whole, "interval", 60..=86400)?;
    within(whole, "timeout", 1..=60)?;
    tags(whole.get("tagNames"))?;
    custom_fields(whole.get("customFields"))?;
    contacts(whole.get("assignedAlertContacts"))
}

/// Intervals under a minute belong to larger plans: <https://uptimerobot.com/pricing/>.
fn within(whole: &Fields, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<(), Problem> {
    let number = whole.get(name).and_then(Value::as_u64);
    if number.is_some_and(|number| range.contains(&number)) {
        return Ok(());
    }
    Err(Problem::new(400, format!("{name} must be between {} and {} seconds on your plan", range.start(), range.end())))
}

fn tags(tags: Option<&Value>) -> Result<(), Problem> {
    let names = tags.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let lower = |name: &Value| name.as_str().is_some_and(|name| !name.is_empty() && name == name.to_lowercase());
    if names.iter().all(lower) { Ok(()) } else { Err(Problem::new(400, "tagNames must be lower-case strings")) }
}

fn custom_fields(fields: Option<&Value>) -> Result<(), Problem> {
    let none = Map::new();
    let fields = fields.and_then(Value::as_object).unwrap_or(&none);
    let key = |key: &str| {
        (1..=64).contains(&key.len())
            && key.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
    };
    let value = |value: &Value| value.as_str().is_some_and(|text| text.chars().count() <= 255);
    if fields.len() <= 20 && fields.iter().all(|(name, text)| key(name) && value(text)) {
        return Ok(());
    }
    Err(Problem::new(
        400,
        "customFields allows 20 keys of 1-64 letters, digits, - or _ with values of at most 255 characters",
    ))
}

fn contacts(contacts: Option<&Value>) -> Result<(), Problem> {
    let list = contacts.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let whole = |contact: &Value| {
        contact["alertContactId"].is_string()
            && contact["threshold"].as_u64().is_some()
            && contact["recurrence"].as_u64().is_some()
    };
    if list.iter().all(whole) {
        Ok(())
    } else {
        Err(Problem::new(
            400,
            "assignedAlertContacts needs alertContactId (string), threshold and recurrence (minutes)",
        ))
    }
}
