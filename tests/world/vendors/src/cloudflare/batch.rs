//! Many changes in one transaction: <https://developers.cloudflare.com/dns/manage-dns-records/how-to/batch-record-changes/>.

use serde_json::{Map, Value, json};

use super::answer::{self, Problem, done};
use super::{BATCH_OPERATIONS, Outcome, Zone};
use crate::clock::Moment;
use crate::ids::Ids;
use crate::message::Request;

type Body = Map<String, Value>;

/// Applies all operations in the order deletes, patches, puts, posts; at the first error none.
pub fn apply(zone: &mut Zone, request: &Request, ids: &mut Ids, now: Moment) -> Outcome {
    let body = answer::object(request)?;
    let count: usize = ["deletes", "patches", "puts", "posts"].iter().map(|name| operations(&body, name).len()).sum();
    if count > BATCH_OPERATIONS {
        let message = format!("Batch has {count} operations, exceeding the limit of {BATCH_OPERATIONS}.");
        return Err(Problem::new(400, 9501, message));
    }
    let mut draft = zone.clone();
    let result = all(&mut draft, &body, ids, now)?;
    *zone = draft;
    Ok(done(result))
}

fn all(zone: &mut Zone, body: &Body, ids: &mut Ids, now: Moment) -> Result<Value, Problem> {
    let deletes = each(body, "deletes", |operation| Ok(zone.delete(id(operation)?)?.shown()))?;
    let patches = each(body, "patches", |operation| Ok(zone.patch(id(operation)?, operation, now)?.shown()))?;
    let puts = each(body, "puts", |operation| Ok(zone.put(id(operation)?, operation, now)?.shown()))?;
    let posts = each(body, "posts", |operation| Ok(zone.create(operation, ids, now)?.shown()))?;
    Ok(json!({"deletes": deletes, "patches": patches, "puts": puts, "posts": posts}))
}

fn each(
    body: &Body,
    name: &str,
    mut apply: impl FnMut(&Body) -> Result<Value, Problem>,
) -> Result<Vec<Value>, Problem> {
    let none = Body::new();
    operations(body, name).iter().map(|operation| apply(operation.as_object().unwrap_or(&none))).collect()
}

fn operations<'a>(body: &'a Body, name: &str) -> &'a [Value] {
    body.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn id(operation: &Body) -> Result<&str, Problem> {
    operation.get("id").and_then(Value::as_str).ok_or_else(Problem::record_unknown)
}
