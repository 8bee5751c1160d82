//! Rows at vendors that take every change and list it at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::happen::{Happened, enter};
use crate::fault::Seen;
use crate::plan::{Action, Ask, Part};
use crate::rows::{Change, Endpoint, Held, Id, Mark, Project, Record, RecordType};
use crate::vault::{Issued, Note, Webhook};
use crate::world::{Table, World};

/// Tables by account, or by the id of the zone.
type Tables<K, T> = BTreeMap<K, Seen<Table<T>>>;

/// Takes a change of a row.
pub fn write(ask: Ask<'_>, (part, action): (Part, &Action), next: &mut World, happened: &mut Happened) {
    let mark = &ask.world.mark;
    match action {
        Action::Records { zone, changes, .. } => {
            for change in changes {
                let text = worded(&next.records, &zone.id, change, record);
                happened.tell(part, format!("DNS record {text}"));
                put(&mut next.records, &zone.id, mark, change);
            }
        }
        Action::CreateEndpoint { account, endpoint, env, .. } => {
            happened.tell(part, endpoint_text(endpoint, env, &ask.vault_name()));
            issue(account, endpoint, env, next);
        }
        Action::Endpoint { account, change } => {
            let text = worded(&next.endpoints, account, change, |row: &Endpoint| row.url.clone());
            happened.tell(part, format!("Stripe webhook endpoint {text}"));
            put(&mut next.endpoints, account, mark, change);
        }
        Action::Monitor { account, change } => {
            let text = worded(&next.monitors, account, change, ToString::to_string);
            happened.tell(part, format!("UptimeRobot monitor {text}"));
            put(&mut next.monitors, account, mark, change);
        }
        Action::Project { account, change } => {
            let text = worded(&next.projects, account, change, |row: &Project| row.slug.clone());
            happened.tell(part, format!("Sentry project {text}"));
            put(&mut next.projects, account, mark, &with_dsn(change));
        }
        _ => {}
    }
}

/// A record, but for the value of a proof.
fn record(row: &Record) -> String {
    match row.kind {
        RecordType::Txt => format!("{} TXT ({})", row.name, row.content),
        _ => row.to_string(),
    }
}

fn worded<K: Ord, T>(tables: &Tables<K, T>, at: &K, change: &Change<T>, text: impl Fn(&T) -> String) -> String {
    let held = |id: &Id| tables.get(at)?.as_ref().ok()?.iter().find(|held| held.id == *id).map(|held| text(&held.row));
    match change {
        Change::Create(row) => text(row),
        Change::Update(_, row) => format!("{} is changed", text(row)),
        Change::Delete(id) => format!("{} is removed", held(id).unwrap_or_default()),
    }
}

fn put<K: Ord, T: Clone>(tables: &mut Tables<K, T>, at: &K, mark: &Mark, change: &Change<T>) {
    let Some(Ok(table)) = tables.get_mut(at) else { return };
    let rows = Arc::make_mut(table);
    let held = |id: Id, row: &T| Held { id, mark: Some(mark.clone()), row: row.clone() };
    match change {
        Change::Create(row) => rows.push(held(Id(format!("row-{}", rows.len())), row)),
        Change::Update(id, row) => {
            rows.iter_mut().filter(|have| have.id == *id).for_each(|have| *have = held(id.clone(), row))
        }
        Change::Delete(id) => rows.retain(|have| have.id != *id),
    }
}

fn with_dsn(change: &Change<Project>) -> Change<Project> {
    match change {
        Change::Create(row) => Change::Create(Project { dsn: Some("not known offline".into()), ..row.clone() }),
        other => other.clone(),
    }
}

fn endpoint_text(endpoint: &Endpoint, env: &str, vault: &str) -> String {
    let events = endpoint.events.iter().cloned().collect::<Vec<_>>().join(", ");
    format!("Stripe webhook endpoint {} for {events}; Secret {vault} gets {env}", endpoint.url)
}

/// Makes an endpoint and stores its secret.
fn issue(account: &String, endpoint: &Endpoint, env: &str, next: &mut World) {
    let (mark, at) = (next.mark.clone(), next.now);
    put(&mut next.endpoints, account, &mark, &Change::Create(endpoint.clone()));
    let table = next.endpoints.get(account).and_then(|seen| seen.as_ref().ok());
    let Some(id) = table.and_then(|table| table.last()).map(|held| held.id.clone()) else { return };
    let current = Some(Issued { id, at });
    let webhook = Webhook { account: account.to_owned(), current, previous: None, attempt: None };
    enter(next, Note::Value(env.to_owned(), "not known offline".to_owned().into()));
    enter(next, Note::Webhook(env.to_owned(), Some(webhook)));
}
