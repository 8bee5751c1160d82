//! Lists of zones and records: filters and pages.

use serde_json::{Value, json};

use super::answer::{Problem, page};
use super::{Outcome, Record, State, Zone};
use crate::message::Request;

/// The zones, by name, status and account.
pub fn zones(state: &State, request: &Request) -> Outcome {
    let name = |zone: &&Zone| request.param("name").is_none_or(|name| zone.name == name);
    let account = request.param("account.id").is_none_or(|id| id == state.account);
    let active = request.param("status").is_none_or(|status| status == "active");
    let found = state.zones.iter().filter(name).filter(|_| account && active);
    paged(found.map(|zone| zone.shown(state)).collect(), request, (20, 50))
}

/// The records, by the filters of the list call.
pub fn records(zone: &Zone, request: &Request) -> Outcome {
    let mut found: Vec<&Record> = zone.records.iter().filter(|record| matches(record, request)).collect();
    found.sort_by(|one, other| (&one.fields.name, &one.fields.kind).cmp(&(&other.fields.name, &other.fields.kind)));
    if request.param("direction") == Some("desc") {
        found.reverse();
    }
    paged(found.iter().map(|record| record.shown()).collect(), request, (100, 5000))
}

fn paged(rows: Vec<Value>, request: &Request, (usual, most): (usize, usize)) -> Outcome {
    let size = number(request, "per_page", usual)?;
    if size < 1 || size > most {
        return Err(Problem::new(400, 1004, format!("per_page must be between 1 and {most}.")));
    }
    let page_number = number(request, "page", 1)?.max(1);
    let total = rows.len();
    let shown: Vec<Value> = rows.into_iter().skip((page_number - 1).saturating_mul(size)).take(size).collect();
    let info = json!({
        "page": page_number, "per_page": size, "count": shown.len(),
        "total_count": total, "total_pages": total.div_ceil(size),
    });
    Ok(page(shown, info))
}

fn number(request: &Request, name: &str, usual: usize) -> Result<usize, Problem> {
    let parse = |text: &str| text.parse().map_err(|_| Problem::new(400, 1004, format!("{name} must be a number.")));
    request.param(name).map_or(Ok(usual), parse)
}

fn matches(record: &Record, request: &Request) -> bool {
    let filters: Vec<bool> = request.query.iter().filter_map(|(name, value)| filter(record, name, value)).collect();
    match request.param("match") {
        Some("any") if !filters.is_empty() => filters.contains(&true),
        _ => filters.iter().all(|fits| *fits),
    }
}

/// Whether the record fits one filter; `None` if the parameter is no filter.
fn filter(record: &Record, parameter: &str, value: &str) -> Option<bool> {
    let (field, how) = parameter.split_once('.').unwrap_or((parameter, "exact"));
    let fields = &record.fields;
    let text = match field {
        "name" => &fields.name,
        "type" => &fields.kind,
        "content" => &fields.content,
        "proxied" => return Some(fields.proxied.to_string() == value),
        "comment" => return comment(fields.comment.as_deref(), how, value),
        _ => return None,
    };
    Some(compare(text, how, value))
}

fn comment(comment: Option<&str>, how: &str, value: &str) -> Option<bool> {
    Some(match how {
        "present" => comment.is_some(),
        "absent" => comment.is_none(),
        how => comment.is_some_and(|comment| compare(comment, how, value)),
    })
}

/// Filters ignore case, as the reference of the list call says.
fn compare(text: &str, how: &str, value: &str) -> bool {
    let (text, value) = (text.to_ascii_lowercase(), value.to_ascii_lowercase());
    match how {
        "contains" => text.contains(&value),
        "startswith" => text.starts_with(&value),
        "endswith" => text.ends_with(&value),
        _ => text == value,
    }
}
