//! Cloudflare: zones and DNS records. <https://developers.cloudflare.com/api/resources/dns/subresources/records/>

use cloudflare::endpoints::zones::zone::{ListZones, ListZonesParams};
use cloudflare::framework::endpoint::spec::EndpointSpec;
use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::transport::{Access, Call, Limit, Scheme, Transport};
use crate::fault::{Fault, Seen};
use crate::rows::{Change, Created, Draft, Held, Id, Mark, Provider, Record, RecordType, Zone};

const BASE: &str = "https://api.cloudflare.com/client/v4";
/// A quarter of 1,200 requests in 5 minutes: <https://developers.cloudflare.com/fundamentals/api/reference/limits/>.
const LIMIT: Limit = Limit { per_second: 1.0, burst: 60.0 };
/// The most that one page holds.
const PAGE: usize = 5000;
/// The most changes in one batch on every plan.
const BATCH: usize = 200;
/// The longest comment on every plan.
const COMMENT: usize = 100;

impl Access {
    /// A Cloudflare account, by API token.
    pub fn cloudflare(account: &str, endpoint: Option<&str>, token: SecretString, roots: Option<String>) -> Self {
        Access {
            vendor: "Cloudflare",
            account: account.to_owned(),
            base: endpoint.unwrap_or(BASE).trim_end_matches('/').to_owned(),
            credential: token,
            scheme: Scheme::Bearer,
            roots,
            limit: LIMIT,
            explain,
            scope: Vec::new(),
        }
    }
}

/// The first error of an envelope: its message, code, and what lies under it.
fn explain(body: &Value) -> Option<String> {
    let error = body["errors"].as_array()?.first()?;
    let chain = error["error_chain"].as_array().into_iter().flatten().filter_map(|e| e["message"].as_str());
    let words: Vec<&str> = error["message"].as_str().into_iter().chain(chain).collect();
    Some(format!("{} (code {})", words.join(": "), error["code"]))
}

#[derive(Deserialize)]
struct Envelope<T> {
    result: T,
    #[serde(default)]
    result_info: Option<Info>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    total_count: usize,
    #[serde(default)]
    total_pages: usize,
}

#[derive(Deserialize)]
struct WireZone {
    id: String,
    name: String,
    #[serde(default)]
    name_servers: Vec<String>,
}

/// A record as it is on the wire: only what golive decides by, so that unknown types and fields do no harm.
#[derive(Deserialize)]
struct WireRecord {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    content: String,
    #[serde(default)]
    proxied: bool,
    #[serde(default)]
    ttl: u32,
    #[serde(default)]
    comment: Option<String>,
}

/// Every zone that the token can see.
///
/// # Errors
/// As [`Transport::call`]; a listing that is not complete is one too.
pub async fn zones(transport: &Transport, access: &Access) -> Seen<Vec<Zone>> {
    let mut zones: Vec<Zone> = Vec::new();
    for page in 1.. {
        let list = ListZones {
            params: ListZonesParams { page: Some(page), per_page: Some(50), ..ListZonesParams::default() },
        };
        let path = format!("/{}?{}", list.path(), list.query().unwrap_or_default());
        let reply: Envelope<Vec<WireZone>> =
            transport.call(access, Call::new(Method::GET, path)).await?.json(access)?;
        zones.extend(reply.result.into_iter().map(|z| Zone {
            id: Id(z.id),
            name: z.name.to_lowercase(),
            name_servers: z.name_servers,
        }));
        if usize::try_from(page).unwrap_or(usize::MAX) >= reply.result_info.map_or(1, |info| info.total_pages) {
            break;
        }
    }
    Ok(zones)
}

/// The records of one zone.
pub struct Records<'a> {
    /// How requests are made.
    pub transport: &'a Transport,
    /// The account.
    pub access: &'a Access,
    /// The zone.
    pub zone: &'a Zone,
}

impl Records<'_> {
    fn path(&self, rest: &str) -> String {
        format!("/zones/{}/dns_records{rest}", self.zone.id)
    }

    async fn call(&self, call: Call) -> Seen<super::transport::Reply> {
        self.transport.call(self.access, call).await
    }

    /// Makes many changes at once. A batch is one transaction: where it is refused it is halved, so that one bad row
    /// does not hold the others; the first refusal is told.
    ///
    /// # Errors
    /// What could not be changed.
    pub async fn batch(&self, mark: &Mark, changes: &[Change<Record>]) -> Seen<()> {
        let mut open: Vec<&[Change<Record>]> = changes.chunks(BATCH).rev().collect();
        let mut first = Ok(());
        while let Some(part) = open.pop() {
            match self.send(mark, part).await {
                Err(Fault::Rejected(_)) if part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    open.extend([right, left]);
                }
                Err(fault @ Fault::Rejected(_)) => first = first.and(Err(fault)),
                result => result?,
            }
        }
        first
    }

    async fn send(&self, mark: &Mark, changes: &[Change<Record>]) -> Seen<()> {
        let (mut deletes, mut patches, mut posts) = (Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Delete(id) => deletes.push(json!({"id": id})),
                Change::Update(id, row) => {
                    let mut body = wire(row, mark);
                    body["id"] = json!(id);
                    patches.push(body);
                }
                Change::Create(row) => posts.push(wire(row, mark)),
            }
        }
        let body = json!({"deletes": deletes, "patches": patches, "posts": posts});
        self.call(Call::new(Method::POST, self.path("/batch")).json(body)).await.map(|_| ())
    }
}

/// A record with our mark, as the API takes it.
fn wire(row: &Record, mark: &Mark) -> Value {
    let comment: String = mark.to_string().chars().take(COMMENT).collect();
    let content = if row.kind == RecordType::Txt { format!("\"{}\"", row.content) } else { row.content.clone() };
    json!({
        "name": row.name,
        "type": row.kind.to_string(),
        "content": content,
        "proxied": row.proxied,
        "ttl": row.ttl,
        "comment": comment,
    })
}

impl From<WireRecord> for Held<Record> {
    fn from(wire: WireRecord) -> Self {
        let kind = RecordType::from(wire.kind.as_str());
        let content = match kind {
            RecordType::Txt => unquoted(&wire.content),
            RecordType::Cname => wire.content.trim_end_matches('.').to_lowercase(),
            _ => wire.content,
        };
        let row = Record { name: wire.name.to_lowercase(), kind, content, proxied: wire.proxied, ttl: wire.ttl };
        Held { id: Id(wire.id), mark: wire.comment.and_then(|comment| comment.parse().ok()), row }
    }
}

/// A text record's text: the API gives it with or without its quotes.
fn unquoted(content: &str) -> String {
    let inner = content.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(content);
    inner.replace("\" \"", "")
}

impl Provider<Record> for Records<'_> {
    async fn list(&self) -> Seen<Vec<Held<Record>>> {
        let mut rows: Vec<Held<Record>> = Vec::new();
        for page in 1.. {
            let call = Call::new(Method::GET, self.path(&format!("?per_page={PAGE}&page={page}")));
            let reply: Envelope<Vec<WireRecord>> = self.call(call).await?.json(self.access)?;
            let got = reply.result.len();
            rows.extend(reply.result.into_iter().map(Held::from));
            let total = reply.result_info.map_or(0, |info| info.total_count);
            if rows.len() >= total {
                break;
            }
            if got == 0 {
                let text = format!(
                    "Cloudflare lists {} of {total} records of {}: the listing is not complete",
                    rows.len(),
                    self.zone.name
                );
                return Err(Fault::Unreachable(text));
            }
        }
        Ok(rows)
    }

    async fn create(&self, draft: Draft<'_, Record>) -> Seen<Created> {
        let call = Call::new(Method::POST, self.path("")).json(wire(draft.row, draft.mark));
        let reply: Envelope<WireRecord> = self.call(call).await?.json(self.access)?;
        Ok(Created { id: Id(reply.result.id), secret: None })
    }

    async fn update(&self, id: &Id, draft: Draft<'_, Record>) -> Seen<()> {
        let call = Call::new(Method::PATCH, self.path(&format!("/{id}"))).json(wire(draft.row, draft.mark));
        self.call(call).await.map(|_| ())
    }

    async fn delete(&self, id: &Id) -> Seen<()> {
        super::gone_is_fine(self.call(Call::new(Method::DELETE, self.path(&format!("/{id}")))).await)
    }
}
