//! UptimeRobot: monitors (API v3). <https://uptimerobot.com/api/v3/>

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::snapshots::Snapshots;
use super::transport::{Access, Call, Limit, Reply, Scheme, Transport};
use crate::fault::{Fault, Seen};
use crate::rows::{Created, Draft, Held, Id, Mark, Monitor, Provider};

const BASE: &str = "https://api.uptimerobot.com/v3";
/// The free plan's 10 requests a minute: <https://uptimerobot.com/api/>. Paid plans tell theirs with each answer.
const FREE: f64 = 10.0;
/// The most that any plan has, in requests a minute.
const MOST: f64 = 5000.0;

/// How long lists may stay behind what was written: as long as the official Terraform provider waits at most.
pub const LAG: Duration = Duration::from_secs(180);

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
            limit: share(FREE),
            told: of_plan,
            explain,
            is_quota: |body| {
                body["code"] == "MONITOR_LIMIT" || body["message"].as_str().is_some_and(|text| text.contains("limit"))
            },
            scope: Vec::new(),
        }
    }
}

/// Half of a minute's requests at once, and half in the course of it: never more than all of them in any minute.
fn share(per_minute: f64) -> Limit {
    Limit { per_second: per_minute / 120.0, burst: (per_minute / 2.0).floor() }
}

/// The limit of the account's plan: <https://uptimerobot.com/api/>.
fn of_plan(reply: &Reply) -> Option<Limit> {
    let per_minute: f64 = reply.header("x-ratelimit-limit")?.trim().parse().ok()?;
    per_minute.is_finite().then(|| share(per_minute.clamp(FREE, MOST)))
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
    friendly_name: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    interval: Option<u32>,
    #[serde(default)]
    custom_fields: Option<Value>,
}

/// The monitors of one account.
pub struct Monitors<'a> {
    /// How requests are made.
    pub transport: &'a Transport,
    /// The account.
    pub access: &'a Access,
    /// Whom each account tells of anything: asked once for many monitors.
    pub contacts: &'a Snapshots<Vec<String>>,
}

/// Somebody who can be told.
#[derive(Deserialize)]
struct WireContact {
    id: Value,
    #[serde(default)]
    status: Option<String>,
}

/// Who is told of one monitor.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAssigned {
    #[serde(default)]
    assigned_alert_contacts: Option<Vec<WireAssignment>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAssignment {
    alert_contact_id: Value,
}

/// A monitor with our mark. UptimeRobot has no field for a number of failures, only minutes for each contact: the seconds
/// are kept beside the mark, so that a change of them is seen.
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

/// Tells these contacts so many minutes after the first failure, once.
fn told(contacts: &[String], minutes: u32) -> Value {
    contacts.iter().map(|id| json!({"alertContactId": id, "threshold": minutes, "recurrence": 0})).collect()
}

/// The first failure is seen within an interval; the rest of the time is waited.
fn minutes(row: &Monitor) -> u32 {
    row.alert_after_seconds.saturating_sub(row.every_seconds).div_ceil(60)
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
            name: unescaped(&wire.friendly_name.unwrap_or_default()),
            url: unescaped(&wire.url.unwrap_or_default()),
            every_seconds: wire.interval.unwrap_or_default(),
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
    /// Whom the account tells of anything: <https://uptimerobot.com/api/v3/>.
    async fn contacts(&self) -> Seen<Arc<Vec<String>>> {
        let table = self.access.table();
        let contacts = self.contacts.read(&table, || self.ask_for_contacts()).await;
        // Who is to be told of a monitor is decided once: nobody may be a matter of seconds.
        if contacts.as_ref().map_or(true, |contacts| contacts.is_empty()) {
            self.contacts.forget(&table);
        }
        contacts
    }

    async fn ask_for_contacts(&self) -> Seen<Vec<String>> {
        let call = Call::new(Method::GET, "/user/alert-contacts");
        let contacts: Vec<WireContact> = self.transport.call(self.access, call).await?.json(self.access)?;
        let active = contacts.into_iter().filter(|contact| contact.status.as_deref() == Some("Active"));
        Ok(active.map(|contact| plain(&contact.id)).collect())
    }

    /// Whom this monitor tells: people may have chosen others.
    async fn assigned(&self, id: &Id) -> Seen<Vec<String>> {
        let reply = self.transport.send(self.access, Call::new(Method::GET, format!("/monitors/{id}"))).await?;
        super::changed(self.access, reply.clone(), id)?;
        let monitor: WireAssigned = reply.json(self.access)?;
        let assigned = monitor.assigned_alert_contacts.unwrap_or_default();
        Ok(assigned.iter().map(|assignment| plain(&assignment.alert_contact_id)).collect())
    }

    /// Writes a monitor. A free plan tells at once or not at all: there the minutes are given up, not the telling.
    async fn write(&self, call: Call, draft: Draft<'_, Monitor>, contacts: &[String]) -> Seen<Reply> {
        let with = |minutes| {
            let mut body = wire(draft.row, draft.mark);
            body["assignedAlertContacts"] = told(contacts, minutes);
            call.clone().json(body)
        };
        let reply = self.transport.send(self.access, with(minutes(draft.row))).await?;
        match reply.fault(self.access) {
            Some(Fault::Rejected(text)) if minutes(draft.row) > 0 && text.to_lowercase().contains("threshold") => {
                self.transport.send(self.access, with(0)).await
            }
            _ => Ok(reply),
        }
    }

    /// The one of this draft that a listing shows, after a create whose outcome is not known.
    async fn found(&self, draft: Draft<'_, Monitor>) -> Seen<Option<Created>> {
        let same = |held: &Held<Monitor>| held.is_of(draft.mark) && held.row.url == draft.row.url;
        Ok(self.list().await?.into_iter().find(same).map(|held| Created { id: held.id, secret: None }))
    }

    /// Looks for what a create may have made. Lists lag behind: what they do not show may be there all the same.
    async fn look(&self, draft: Draft<'_, Monitor>, fault: Fault) -> Seen<Created> {
        let text = format!("{fault}: the monitor may have been made, and is looked for before it is made again");
        self.found(draft).await.ok().flatten().ok_or(Fault::Lost(text))
    }
}

impl Provider<Monitor> for Monitors<'_> {
    /// The oldest first: of two alike the older one is kept.
    async fn list(&self) -> Seen<Vec<Held<Monitor>>> {
        let (mut rows, mut seen) = (Vec::new(), BTreeSet::new());
        let mut path = Some("/monitors?limit=50".to_owned());
        while let Some(next) = path {
            if !seen.insert(next.clone()) {
                return Err(Fault::Unreachable(format!("{} lists the same page again and again", self.access.name())));
            }
            let page: Page = self.transport.call(self.access, Call::new(Method::GET, next)).await?.json(self.access)?;
            rows.extend(page.data.into_iter().map(Held::from));
            path = page.next_link.filter(|link| !link.is_empty()).map(|link| self.cursor(&link)).transpose()?;
        }
        rows.sort_by_key(|held: &Held<Monitor>| (held.id.0.len(), held.id.clone()));
        Ok(rows)
    }

    /// A create may answer "not found" after it has stored the monitor: then it is looked for, never repeated blindly.
    async fn create(&self, draft: Draft<'_, Monitor>) -> Seen<Created> {
        let contacts = self.contacts().await?;
        let reply = match self.write(Call::new(Method::POST, "/monitors"), draft, &contacts).await {
            Err(fault @ Fault::Lost(_)) => return self.look(draft, fault).await,
            reply => reply?,
        };
        match reply.fault(self.access) {
            Some(fault) if reply.is_gone() || matches!(fault, Fault::Lost(_)) => self.look(draft, fault).await,
            Some(fault) => {
                // It may be a contact that is gone.
                if matches!(fault, Fault::Rejected(_)) {
                    self.contacts.forget(&self.access.table());
                }
                Err(fault)
            }
            None => match reply.json::<Wire>(self.access) {
                Ok(made) => Ok(Created { id: Id(plain(&made.id)), secret: None }),
                Err(fault) => self.look(draft, fault).await,
            },
        }
    }

    async fn update(&self, id: &Id, draft: Draft<'_, Monitor>) -> Seen<()> {
        let contacts = self.assigned(id).await?;
        let reply = self.write(Call::new(Method::PATCH, format!("/monitors/{id}")), draft, &contacts).await?;
        super::changed(self.access, reply, id)
    }

    async fn delete(&self, id: &Id) -> Seen<()> {
        super::deleted(
            self.access,
            self.transport.send(self.access, Call::new(Method::DELETE, format!("/monitors/{id}"))).await?,
        )
    }
}

impl Monitors<'_> {
    /// The path of the next page: the link's own host is not trusted, and a link without query is no end of the list.
    fn cursor(&self, link: &str) -> Seen<String> {
        match link.split_once('?') {
            Some((_, query)) if !query.is_empty() => Ok(format!("/monitors?{query}")),
            _ => Err(Fault::Unreachable(format!("{} names a next page that cannot be asked for", self.access.name()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn text_that_came_through_html_is_itself_again() {
        for (wire, text) in [("a &amp; b", "a & b"), ("&amp;lt;", "&lt;"), ("it&#39;s &quot;up&quot;", "it's \"up\"")] {
            assert_eq!(unescaped(wire), text);
        }
    }

    #[test]
    fn the_plans_limit_is_kept_in_any_minute_and_nonsense_is_none() {
        let told = |value: &str| {
            let response = http::Response::builder().header("x-ratelimit-limit", value).body(Bytes::new()).unwrap();
            of_plan(&Reply::of(response, jiff::Timestamp::UNIX_EPOCH, true))
        };
        for (value, per_minute) in [("10", 10.0), ("100", 100.0), ("0", 10.0), ("-7", 10.0), ("1e30", 5000.0)] {
            let limit = told(value).unwrap();
            assert!(limit.burst + limit.per_second * 60.0 <= per_minute && limit.burst >= 1.0, "{value}: {limit:?}");
        }
        assert_eq!(["", "many", "NaN", "inf"].map(told), [None; 4]);
    }

    #[test]
    fn custom_fields_are_read_as_map_and_as_list_and_strangers_have_none() {
        let (map, list) = (json!({"golive_owner": "o"}), json!([{"key": "golive_owner", "value": "o"}]));
        assert_eq!(fields(Some(&map)), fields(Some(&list)));
        let wire: Wire =
            serde_json::from_value(json!({"id": 7, "type": "NEW", "customFields": null, "status": "ODD"})).unwrap();
        assert_eq!(Held::from(wire).mark, None);
    }
}
