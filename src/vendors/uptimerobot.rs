//! UptimeRobot: monitors (API v3). <https://uptimerobot.com/api/v3/>

use std::collections::BTreeMap;

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::transport::{Access, Call, Limit, Scheme, Transport};
use crate::fault::{Fault, Seen};
use crate::rows::{Created, Draft, Held, Id, Mark, Monitor, Provider};

const BASE: &str = "https://api.uptimerobot.com/v3";
/// The free plan's 10 requests a minute: <https://uptimerobot.com/api/>.
const LIMIT: Limit = Limit { per_second: 10.0 / 60.0, burst: 10.0 };

impl Access {
    /// An UptimeRobot account, by its main API key.
    pub fn uptime_robot(account: &str, endpoint: Option<&str>, key: SecretString, roots: Option<String>) -> Self {
        Access {
            vendor: "UptimeRobot",
            account: account.to_owned(),
            base: endpoint.unwrap_or(BASE).trim_end_matches('/').to_owned(),
            credential: key,
            scheme: Scheme::Bearer,
            roots,
            limit: LIMIT,
            explain,
            scope: Vec::new(),
        }
    }
}

fn explain(body: &Value) -> Option<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(list) => Some(list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; ")),
        _ => None,
    };
    text(&body["message"]).or_else(|| text(&body["error"]))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    data: Vec<Wire>,
    #[serde(default)]
    next_link: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    id: Value,
    #[serde(default)]
    friendly_name: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    interval: u32,
    #[serde(default)]
    custom_fields: Option<Value>,
}

/// The monitors of one account.
pub struct Monitors<'a> {
    /// How requests are made.
    pub transport: &'a Transport,
    /// The account.
    pub access: &'a Access,
}

/// A monitor with our mark. UptimeRobot has no field for a number of failures: the seconds after which contacts are
/// told are kept beside the mark, so that a change of them is seen.
fn wire(row: &Monitor, mark: &Mark) -> Value {
    json!({
        "friendlyName": row.name,
        "url": row.url,
        "type": "HTTP",
        "interval": row.every_seconds,
        "timeout": 30,
        "customFields": {
            "golive_cluster": mark.cluster,
            "golive_owner": mark.owner,
            "golive_name": mark.label,
            "golive_alert_after": row.alert_after_seconds.to_string(),
        },
    })
}

impl From<Wire> for Held<Monitor> {
    fn from(wire: Wire) -> Self {
        let fields = fields(wire.custom_fields.as_ref());
        let text = |key: &str| fields.get(key).cloned();
        let mark = match (text("golive_cluster"), text("golive_owner")) {
            (Some(cluster), Some(owner)) => {
                Some(Mark { cluster, owner, label: text("golive_name").unwrap_or_default() })
            }
            _ => None,
        };
        let row = Monitor {
            name: unescaped(&wire.friendly_name),
            url: unescaped(&wire.url),
            every_seconds: wire.interval,
            alert_after_seconds: text("golive_alert_after").and_then(|n| n.parse().ok()).unwrap_or(0),
        };
        Held { id: Id(plain(&wire.id)), mark, row }
    }
}

/// Custom fields come as a map, or as a list of keys and values.
fn fields(value: Option<&Value>) -> BTreeMap<String, String> {
    match value {
        Some(Value::Object(map)) => map.iter().map(|(key, value)| (key.clone(), unescaped(&plain(value)))).collect(),
        Some(Value::Array(list)) => {
            list.iter().map(|field| (plain(&field["key"]), unescaped(&plain(&field["value"])))).collect()
        }
        _ => BTreeMap::new(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The API escapes text for HTML on its way back.
fn unescaped(text: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#039;", "'"),
        ("&#x27;", "'"),
        ("&#x2F;", "/"),
        ("&amp;", "&"),
    ];
    entities.into_iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

impl Monitors<'_> {
    /// The ours of this mark that a listing shows, after a create whose outcome is not known.
    async fn found(&self, mark: &Mark) -> Seen<Option<Created>> {
        let ours = self.list().await?.into_iter().find(|held| held.is_of(mark));
        Ok(ours.map(|held| Created { id: held.id, secret: None }))
    }
}

impl Provider<Monitor> for Monitors<'_> {
    async fn list(&self) -> Seen<Vec<Held<Monitor>>> {
        let (mut rows, mut path) = (Vec::new(), Some("/monitors?limit=50".to_owned()));
        while let Some(next) = path {
            let page: Page = self.transport.call(self.access, Call::new(Method::GET, next)).await?.json(self.access)?;
            rows.extend(page.data.into_iter().map(Held::from));
            path = page.next_link.as_deref().and_then(cursor);
        }
        Ok(rows)
    }

    /// A create may answer "not found" after it has stored the monitor: then it is looked for, never repeated blindly.
    async fn create(&self, draft: Draft<'_, Monitor>) -> Seen<Created> {
        let call = Call::new(Method::POST, "/monitors").json(wire(draft.row, draft.mark));
        match self.transport.call(self.access, call).await {
            Ok(reply) => {
                let made: Wire = reply.json(self.access)?;
                Ok(Created { id: Id(plain(&made.id)), secret: None })
            }
            Err(fault @ (Fault::Rejected(_) | Fault::Lost(_))) => self.found(draft.mark).await?.ok_or(fault),
            Err(fault) => Err(fault),
        }
    }

    async fn update(&self, id: &Id, draft: Draft<'_, Monitor>) -> Seen<()> {
        let call = Call::new(Method::PATCH, format!("/monitors/{id}")).json(wire(draft.row, draft.mark));
        self.transport.call(self.access, call).await.map(|_| ())
    }

    async fn delete(&self, id: &Id) -> Seen<()> {
        super::gone_is_fine(
            self.transport.call(self.access, Call::new(Method::DELETE, format!("/monitors/{id}"))).await,
        )
    }
}

/// The path of the next page: the link's own host is not trusted.
fn cursor(link: &str) -> Option<String> {
    let (_, query) = link.split_once('?')?;
    (!query.is_empty()).then(|| format!("/monitors?{query}"))
}
