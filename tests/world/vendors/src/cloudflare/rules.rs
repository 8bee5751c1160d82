//! What makes a record valid, and what it must not stand beside:
//! <https://developers.cloudflare.com/dns/manage-dns-records/reference/>.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};

use super::answer::Problem;
use super::record::{Fields, Record};

type Body = Map<String, Value>;

const KINDS: [&str; 11] = ["A", "AAAA", "CAA", "CNAME", "HTTPS", "MX", "NS", "PTR", "SRV", "TXT", "TLSA"];
/// <https://developers.cloudflare.com/dns/manage-dns-records/reference/record-attributes/>
const COMMENT: usize = 100;
const CONTENT: usize = 8192;

/// The record's type.
pub fn kind(body: &Body) -> Result<String, Problem> {
    let kind = body.get("type").and_then(Value::as_str).unwrap_or_default();
    if KINDS.contains(&kind) { Ok(kind.into()) } else { Err(Problem::invalid(9000, "DNS record type is invalid.")) }
}

/// Only these may hide behind the edge.
pub fn proxiable(kind: &str) -> bool {
    matches!(kind, "A" | "AAAA" | "CNAME")
}

/// Types whose parts come in `data`.
pub fn structured(kind: &str) -> bool {
    matches!(kind, "CAA" | "SRV" | "HTTPS" | "TLSA")
}

/// The full name, in lower case; a relative one is completed by the zone.
pub fn name(body: &Body, zone: &str) -> Result<String, Problem> {
    let given = body.get("name").and_then(Value::as_str).unwrap_or_default();
    let name = given.trim_end_matches('.').to_ascii_lowercase();
    let name = match name.as_str() {
        "" => return Err(Problem::invalid(9000, "DNS name is invalid.")),
        "@" => zone.to_string(),
        name if name == zone || name.ends_with(&format!(".{zone}")) => name.to_string(),
        name => format!("{name}.{zone}"),
    };
    let valid = name.len() <= 253 && name.split('.').enumerate().all(|(place, label)| is_label(place, label));
    if valid { Ok(name) } else { Err(Problem::invalid(9000, "DNS name is invalid.")) }
}

fn is_label(place: usize, label: &str) -> bool {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    (place == 0 && label == "*") || (!label.is_empty() && label.len() <= 63 && label.chars().all(letter))
}

/// The content, checked for its type; of structured types it is put together from `data`.
pub fn content(body: &Body, kind: &str, priority: Option<u16>) -> Result<String, Problem> {
    if structured(kind) && body.get("data").is_some_and(Value::is_object) {
        return composed(kind, &body["data"]);
    }
    let content = body.get("content").and_then(Value::as_str).unwrap_or_default().trim();
    if content.is_empty() || content.len() > CONTENT {
        return Err(Problem::invalid(9202, "Content for the record is missing or too long."));
    }
    let valid = match kind {
        "A" => content.parse::<Ipv4Addr>().is_ok(),
        "AAAA" => content.parse::<Ipv6Addr>().is_ok(),
        "MX" => priority.is_some() && is_host(content),
        "CNAME" | "NS" | "PTR" => is_host(content),
        _ => true,
    };
    if valid { Ok(normal(kind, content)) } else { Err(unfit(kind)) }
}

fn normal(kind: &str, content: &str) -> String {
    match kind {
        "CNAME" | "NS" | "PTR" | "MX" => content.trim_end_matches('.').to_ascii_lowercase(),
        "AAAA" => content.parse::<Ipv6Addr>().map_or_else(|_| content.into(), |ip| ip.to_string()),
        _ => content.into(),
    }
}

fn unfit(kind: &str) -> Problem {
    match kind {
        "A" => Problem::invalid(9005, "Content for A record must be a valid IPv4 address."),
        "AAAA" => Problem::invalid(9006, "Content for AAAA record must be a valid IPv6 address."),
        "CNAME" => Problem::invalid(9007, "Content for CNAME record is invalid."),
        kind => Problem::invalid(9009, format!("Content for {kind} record is invalid.")),
    }
}

fn is_host(text: &str) -> bool {
    let text = text.trim_end_matches('.');
    text.len() <= 253 && text.parse::<Ipv4Addr>().is_err() && text.split('.').all(|label| is_label(1, label))
}

fn composed(kind: &str, data: &Value) -> Result<String, Problem> {
    let part = |name: &str| match &data[name] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let names: &[&str] = match kind {
        "CAA" => &["flags", "tag", "value"],
        "SRV" => &["priority", "weight", "port", "target"],
        "HTTPS" => &["priority", "target", "value"],
        _ => &["usage", "selector", "matching_type", "certificate"],
    };
    let parts: Option<Vec<String>> = names.iter().map(|name| part(name)).collect();
    let parts = parts.ok_or_else(|| Problem::invalid(9101, format!("Data for {kind} record is incomplete.")))?;
    Ok(if kind == "CAA" { format!("{} {} \"{}\"", parts[0], parts[1], parts[2]) } else { parts.join(" ") })
}

/// The priority of an MX record.
pub fn priority(body: &Body, kind: &str) -> Result<Option<u16>, Problem> {
    let given = body.get("priority").and_then(Value::as_u64).and_then(|number| u16::try_from(number).ok());
    match kind {
        "MX" if given.is_none() => Err(Problem::invalid(9100, "DNS record priority is required for MX records.")),
        "MX" => Ok(given),
        _ => Ok(None),
    }
}

/// Whether the edge stands in front.
pub fn proxied(body: &Body, kind: &str) -> Result<bool, Problem> {
    let proxied = body.get("proxied").and_then(Value::as_bool).unwrap_or(false);
    if proxied && !proxiable(kind) {
        return Err(Problem::invalid(9004, "This record type cannot be proxied."));
    }
    Ok(proxied)
}

/// One is automatic, and the only value behind the edge; a free zone takes 60 to 86400 else.
pub fn ttl(body: &Body, proxied: bool) -> Result<u32, Problem> {
    let ttl = body.get("ttl").and_then(Value::as_u64).unwrap_or(1);
    match u32::try_from(ttl) {
        Ok(ttl) if ttl == 1 || (60..=86400).contains(&ttl) => Ok(if proxied { 1 } else { ttl }),
        _ => Err(Problem::invalid(9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")),
    }
}

/// The comment: one line of at most a hundred characters on the free plan.
pub fn comment(body: &Body) -> Result<Option<String>, Problem> {
    let comment = body.get("comment").and_then(Value::as_str).unwrap_or_default();
    if comment.chars().count() > COMMENT {
        let message = format!("DNS record comment exceeds the maximum length of {COMMENT} characters.");
        return Err(Problem::new(400, 9313, message));
    }
    if comment.contains(['\n', '\r']) {
        return Err(Problem::new(400, 9314, "DNS record comment contains invalid characters."));
    }
    Ok((!comment.is_empty()).then(|| comment.into()))
}

/// Tags belong to paid plans.
pub fn tags(body: &Body) -> Result<Vec<String>, Problem> {
    match body.get("tags").and_then(Value::as_array) {
        Some(tags) if !tags.is_empty() => {
            Err(Problem::new(400, 9300, "DNS record has 1 tags, exceeding the quota of 0."))
        }
        _ => Ok(Vec::new()),
    }
}

/// Refuses a record beside which it cannot stand; `own` is the one being changed.
pub fn no_conflict(fields: &Fields, own: Option<&str>, records: &[Record]) -> Result<(), Problem> {
    let same_name = |record: &&Record| record.fields.name == fields.name && own != Some(record.id.as_str());
    records.iter().filter(same_name).try_for_each(|record| beside(fields, &record.fields))
}

fn beside(new: &Fields, old: &Fields) -> Result<(), Problem> {
    if new.kind == old.kind && new.content == old.content && new.priority == old.priority {
        return Err(if same_settings(new, old) {
            Problem::new(400, 81058, "An identical record already exists.")
        } else {
            Problem::new(400, 81057, "The record already exists.")
        });
    }
    match (new.kind.as_str(), old.kind.as_str()) {
        ("CNAME", "A" | "AAAA" | "CNAME") => {
            Err(Problem::new(400, 81053, "An A, AAAA, or CNAME record with that host already exists."))
        }
        ("A" | "AAAA", "CNAME") => Err(Problem::new(400, 81054, "A CNAME record with that host already exists.")),
        (kind, "NS") if kind != "NS" => Err(Problem::new(400, 81056, "NS records with that host already exist.")),
        _ => Ok(()),
    }
}

fn same_settings(new: &Fields, old: &Fields) -> bool {
    (new.ttl, new.proxied) == (old.ttl, old.proxied)
}
