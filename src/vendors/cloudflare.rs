//! Cloudflare: zones and DNS records. <https://developers.cloudflare.com/api/resources/dns/subresources/records/>

use std::net::Ipv6Addr;

use cloudflare::endpoints::zones::zone::{ListZones, ListZonesParams};
use cloudflare::framework::endpoint::spec::EndpointSpec;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::transport::{Access, Call, Limit, Reply, Scheme, Transport};
use crate::fault::{Fault, Seen};
use crate::rows::{Change, Created, Draft, Held, Id, Mark, Provider, Record, RecordType, Zone};

const BASE: &str = "https://api.cloudflare.com/client/v4";
/// A quarter of 1,200 requests in 5 minutes: <https://developers.cloudflare.com/fundamentals/api/reference/limits/>.
const LIMIT: Limit = Limit { per_second: 1.0, burst: 60.0 };
/// The most that one page holds.
const PAGE: usize = 5000;
/// The most changes in one batch on every plan.
pub const BATCH: usize = 200;
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
            told: |_| None,
            explain,
            is_quota: |_| false,
            scope: Vec::new(),
        }
    }

    /// Of all that the token can see only what belongs to this Cloudflare account.
    pub fn of_account(mut self, account_id: &str) -> Self {
        self.scope = vec![account_id.to_owned()];
        self
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

/// What a list says of itself, by which it is known to be complete.
#[derive(Deserialize)]
struct Info {
    total_count: usize,
}

#[derive(Deserialize)]
struct WireZone {
    id: String,
    name: String,
    #[serde(default)]
    name_servers: Option<Vec<String>>,
}

impl From<WireZone> for Zone {
    fn from(wire: WireZone) -> Self {
        let name_servers = wire.name_servers.unwrap_or_default();
        Zone { id: Id(wire.id), name: wire.name.to_lowercase(), name_servers }
    }
}

/// A record as it is on the wire: only what golive decides by, so that unknown types and fields do no harm.
#[derive(Deserialize)]
struct WireRecord {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    proxied: Option<bool>,
    #[serde(default)]
    ttl: Option<u32>,
    #[serde(default)]
    comment: Option<String>,
}

/// All pages of a list; `path` gives the path of a page.
async fn pages<T: DeserializeOwned>(
    transport: &Transport,
    access: &Access,
    path: impl Fn(u32) -> String,
) -> Seen<Vec<T>> {
    let mut rows: Vec<T> = Vec::new();
    for page in 1.. {
        let reply = transport.call(access, Call::new(Method::GET, path(page))).await?;
        let mut reply: Envelope<Vec<T>> = reply.json(access)?;
        let (got, info) = (reply.result.len(), reply.result_info);
        rows.append(&mut reply.result);
        match info.map(|info| info.total_count) {
            Some(total) if rows.len() == total => break,
            Some(total) if got > 0 && rows.len() < total => {}
            total => return Err(incomplete(access, rows.len(), total)),
        }
    }
    Ok(rows)
}

fn incomplete(access: &Access, got: usize, total: Option<usize>) -> Fault {
    let total = total.map_or("no total".to_owned(), |total| format!("a total of {total}"));
    Fault::Unreachable(format!("{} listed {got} rows and {total}: the list is not taken for complete", access.name()))
}

/// Every zone that the token can see, or of these the account's.
///
/// # Errors
/// As [`Transport::call`]; a listing that is not complete is one too.
pub async fn zones(transport: &Transport, access: &Access) -> Seen<Vec<Zone>> {
    let path = |page| {
        let list = ListZones {
            params: ListZonesParams { page: Some(page), per_page: Some(50), ..ListZonesParams::default() },
        };
        let account = access.scope.first().map(|id| format!("&account.id={id}")).unwrap_or_default();
        format!("/{}?{}{account}", list.path(), list.query().unwrap_or_default())
    };
    let zones: Vec<WireZone> = pages(transport, access, path).await?;
    Ok(zones.into_iter().map(Zone::from).collect())
}

/// Whether the token is good. Tokens of an account are verified where the account is:
/// <https://developers.cloudflare.com/fundamentals/api/get-started/account-owned-tokens/>.
///
/// # Errors
/// It is not, or cannot be asked.
pub async fn verify(transport: &Transport, access: &Access) -> Seen<()> {
    let of_account = access.credential.expose_secret().starts_with("cfat_");
    let path = match access.scope.first().filter(|_| of_account) {
        Some(id) => format!("/accounts/{id}/tokens/verify"),
        None => "/user/tokens/verify".to_owned(),
    };
    let token: Envelope<Value> = transport.call(access, Call::new(Method::GET, path)).await?.json(access)?;
    match token.result["status"].as_str() {
        Some("active") => Ok(()),
        status => {
            let status: String = status.unwrap_or("unknown").chars().take(20).collect();
            Err(Fault::Denied(format!(
                "the token of {} is {status}: give the ProviderAccount a new one",
                access.name()
            )))
        }
    }
}

/// A change of a record, and whose the record is: those of several applications share a batch.
pub struct Entry {
    /// Its mark.
    pub mark: Mark,
    /// What is to be done.
    pub change: Change<Record>,
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

    /// Makes many changes at once. A batch is one transaction: where it is refused it is halved, so that one bad row
    /// does not hold the others; the first refusal is told. Any other fault ends it.
    ///
    /// # Errors
    /// What could not be changed.
    pub async fn batch(&self, entries: &[Entry]) -> Seen<()> {
        let mut open: Vec<&[Entry]> = entries.chunks(BATCH).rev().collect();
        let mut first = Ok(());
        while let Some(part) = open.pop() {
            match self.written(part).await {
                Err(Fault::Rejected(_)) if part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    open.extend([right, left]);
                }
                Err(fault @ Fault::Rejected(_)) => first = first.and(Err(fault)),
                Err(fault) => return first.and(Err(fault)),
                Ok(()) => {}
            }
        }
        first
    }

    /// Makes changes in one request: all of them, or none.
    ///
    /// # Errors
    /// They could not be made, or nobody knows.
    pub async fn written(&self, entries: &[Entry]) -> Seen<()> {
        match entries {
            [one] => self.one(one).await,
            many => self.together(many).await,
        }
    }

    async fn one(&self, Entry { mark, change }: &Entry) -> Seen<()> {
        let draft = |row| Draft { row, mark, key: "" };
        match change {
            Change::Create(row) => self.create(draft(row)).await.map(|_| ()),
            Change::Update(id, row) => self.update(id, draft(row)).await,
            Change::Delete(id) => self.delete(id).await,
        }
    }

    async fn together(&self, entries: &[Entry]) -> Seen<()> {
        let (mut deletes, mut patches, mut posts) = (Vec::new(), Vec::new(), Vec::new());
        for Entry { mark, change } in entries {
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
        self.transport.call(self.access, Call::new(Method::POST, self.path("/batch")).json(body)).await.map(|_| ())
    }

    /// Where a record stands already: it is fine if it is ours, as after a create whose answer was lost.
    async fn standing(&self, draft: Draft<'_, Record>, refusal: Fault) -> Seen<Created> {
        let ours = |held: &Held<Record>| held.is_of(draft.mark) && held.row == *draft.row;
        let found = self.list().await?.into_iter().find(ours);
        found.map(|held| Created { id: held.id, secret: None }).ok_or(refusal)
    }
}

/// An identical record exists, or one that differs in TTL or proxy only. Cloudflare documents neither code.
fn stands_already(reply: &Reply) -> bool {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    body["errors"].as_array().into_iter().flatten().any(|error| matches!(error["code"].as_u64(), Some(81057 | 81058)))
}

/// A record with our mark, as the API takes it.
fn wire(row: &Record, mark: &Mark) -> Value {
    let comment: String = mark.to_string().chars().take(COMMENT).collect();
    let content = if row.kind == RecordType::Txt { quoted(&row.content) } else { row.content.clone() };
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
        let content = wire.content.unwrap_or_default();
        let content = match kind {
            RecordType::Txt => unquoted(&content),
            RecordType::Cname => content.trim_end_matches('.').to_lowercase(),
            RecordType::Aaaa => content.parse().map_or(content, |ip: Ipv6Addr| ip.to_string()),
            _ => content,
        };
        let (proxied, ttl) = (wire.proxied.unwrap_or_default(), wire.ttl.unwrap_or(1));
        let row = Record { name: wire.name.to_lowercase(), kind, content, proxied, ttl };
        Held { id: Id(wire.id), mark: wire.comment.and_then(|comment| comment.parse().ok()), row }
    }
}

/// A text as the API wants it: <https://developers.cloudflare.com/dns/manage-dns-records/reference/dns-record-types/#txt>.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A text record's text: the API gives it with or without its quotes, and long ones in several strings.
fn unquoted(content: &str) -> String {
    let Some(inner) = content.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return content.to_owned();
    };
    let (mut text, mut characters) =
        (String::new(), inner.replace("\" \"", "").chars().collect::<Vec<_>>().into_iter());
    while let Some(character) = characters.next() {
        text.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    text
}

impl Provider<Record> for Records<'_> {
    async fn list(&self) -> Seen<Vec<Held<Record>>> {
        let path = |page| self.path(&format!("?per_page={PAGE}&page={page}"));
        let rows: Vec<WireRecord> = pages(self.transport, self.access, path).await?;
        Ok(rows.into_iter().map(Held::from).collect())
    }

    async fn create(&self, draft: Draft<'_, Record>) -> Seen<Created> {
        let call = Call::new(Method::POST, self.path("")).json(wire(draft.row, draft.mark));
        let reply = self.transport.send(self.access, call).await?;
        if let Some(fault) = reply.fault(self.access) {
            return if stands_already(&reply) { self.standing(draft, fault).await } else { Err(fault) };
        }
        let made: Envelope<WireRecord> = reply.json(self.access)?;
        Ok(Created { id: Id(made.result.id), secret: None })
    }

    async fn update(&self, id: &Id, draft: Draft<'_, Record>) -> Seen<()> {
        let call = Call::new(Method::PATCH, self.path(&format!("/{id}"))).json(wire(draft.row, draft.mark));
        super::changed(self.access, self.transport.send(self.access, call).await?, id)
    }

    async fn delete(&self, id: &Id) -> Seen<()> {
        let call = Call::new(Method::DELETE, self.path(&format!("/{id}")));
        super::deleted(self.access, self.transport.send(self.access, call).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(record: Value) -> Held<Record> {
        serde_json::from_value::<WireRecord>(record).unwrap().into()
    }

    #[test]
    fn texts_come_with_and_without_quotes() {
        for (wire, text) in
            [("v=1", "v=1"), ("\"v=1\"", "v=1"), ("\"a\" \"b\"", "ab"), (r#""say \"x\" \\""#, r#"say "x" \"#)]
        {
            assert_eq!(unquoted(wire), text, "{wire}");
        }
        assert_eq!(unquoted(&quoted(r#"a "b" \ c"#)), r#"a "b" \ c"#);
    }

    #[test]
    fn a_record_of_another_type_and_with_unknown_fields_is_kept_as_it_is() {
        let held = read(
            json!({"id": "1", "name": "Example.com", "type": "HTTPS", "content": "1 . alpn=h3", "ttl": 1, "proxied": null, "new": {}}),
        );
        assert_eq!((held.row.kind, held.mark), (RecordType::Other("HTTPS".into()), None));
        assert_eq!((held.row.name.as_str(), held.row.content.as_str()), ("example.com", "1 . alpn=h3"));
    }

    #[test]
    fn addresses_have_one_spelling() {
        let held = read(json!({"id": "1", "name": "a.b", "type": "AAAA", "content": "2001:DB8:0:0::1"}));
        assert_eq!(held.row.content, "2001:db8::1");
    }

    #[test]
    fn a_long_mark_is_cut_and_still_read() {
        let mark = Mark { cluster: "1a2b3c4d".into(), owner: "0123456789ab".into(), label: "n".repeat(120) };
        let row =
            Record { name: "a.b".into(), kind: RecordType::A, content: "192.0.2.1".into(), proxied: false, ttl: 1 };
        let comment = wire(&row, &mark)["comment"].as_str().unwrap().to_owned();
        assert_eq!(comment.chars().count(), 100);
        assert!(comment.parse::<Mark>().unwrap().same(&mark));
    }
}
