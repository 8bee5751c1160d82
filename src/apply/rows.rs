//! Rows at vendors: each change by its id, each once-only secret stored before anything else happens.

use super::vault::Writer;
use super::{Drift, Wrote};
use crate::fault::{Fault, Seen};
use crate::observe::Observer;
use crate::plan::monitors::begun_at;
use crate::plan::{AcmeStep, Action, Ask};
use crate::rows::{Change, Draft, Endpoint, Monitor, Project};
use crate::vault::{Issued, Note, Webhook};

/// Carries out a change at a vendor; says what it was, and whether it undoes what somebody else did there.
pub async fn write(observer: &Observer, ask: Ask<'_>, action: &Action, writer: &Writer<'_>) -> (Wrote, Seen<bool>) {
    let (what, result) = change(observer, ask, action, writer).await;
    (Wrote { what, drift: Drift::if_well(!ask.is_upkeep(action)) }, result)
}

async fn change(observer: &Observer, ask: Ask<'_>, action: &Action, writer: &Writer<'_>) -> (String, Seen<bool>) {
    match action {
        Action::Records { account, zone, changes } => {
            let what = format!("{} changes in zone {}", changes.len(), zone.name);
            let result = async {
                let access = observer.accounts.access(account)?;
                observer.vendors.write_records(&access, zone, &ask.world.mark, changes.clone()).await
            };
            (what, result.await.map(|()| true))
        }
        Action::CreateEndpoint { account, endpoint, env, previous_env } => {
            let create = Create { account, endpoint, env, previous_env: previous_env.as_deref() };
            (format!("Stripe endpoint for {}", endpoint.url), create.run(observer, ask, writer).await)
        }
        Action::Endpoint { account, change } => {
            (format!("Stripe endpoint {}", verb(change)), endpoint(observer, ask, account, change).await)
        }
        Action::Monitor { account, change } => {
            let result = monitor(observer, ask, account, change).await;
            let nothing_made = matches!(
                result,
                Err(Fault::Rejected(_) | Fault::Denied(_) | Fault::Throttled { .. } | Fault::Unreachable(_))
            );
            let settled = match change {
                Change::Create(_) => nothing_made,
                Change::Delete(_) => result.is_ok() && ask.may_monitor_turn_up(account),
                Change::Update(..) => false,
            };
            let over = match settled {
                true => writer.enter(vec![Note::Begun(begun_at(account), None)]).await,
                false => Ok(false),
            };
            (format!("uptime monitor {}", verb(change)), result.and_then(|made| over.map(|_| made)))
        }
        Action::Project { account, change } => {
            (format!("Sentry project {}", verb(change)), project(observer, ask, account, change).await)
        }
        _ => (String::new(), Ok(false)),
    }
}

fn verb<T>(change: &Change<T>) -> String {
    match change {
        Change::Create(_) => "created".into(),
        Change::Update(id, _) => format!("{id} corrected"),
        Change::Delete(id) => format!("{id} deleted"),
    }
}

/// The create of an endpoint whose secret is shown once.
struct Create<'a> {
    account: &'a str,
    endpoint: &'a Endpoint,
    env: &'a str,
    previous_env: Option<&'a str>,
}

impl Create<'_> {
    /// Creates and stores. An answer without a secret is a replay of an older one: the next pass finds the endpoint by
    /// its attempt and replaces it.
    async fn run(&self, observer: &Observer, ask: Ask<'_>, writer: &Writer<'_>) -> Seen<bool> {
        let access = observer.accounts.access(self.account)?;
        let draft = Draft { row: self.endpoint, mark: &ask.world.mark, key: &self.endpoint.attempt };
        let created = observer.vendors.create_endpoint(&access, draft).await?;
        let Some(secret) = created.secret else {
            return Err(Fault::Lost(format!(
                "Stripe made endpoint {} and did not tell its secret: it is replaced",
                created.id
            )));
        };
        let old = writer.webhook(self.env).await;
        let current = Issued { id: created.id, at: ask.time_of_making(self.env) };
        let previous = old.and_then(|webhook| webhook.current);
        let mut notes = Vec::new();
        if let (Some(env), Some(value), Some(_)) = (self.previous_env, writer.value(self.env).await, &previous) {
            notes.push(Note::Value(env.to_owned(), value));
        }
        let webhook = Webhook { account: self.account.to_owned(), current: Some(current), previous, attempt: None };
        notes.push(Note::Value(self.env.to_owned(), secret));
        notes.push(Note::Webhook(self.env.to_owned(), Some(webhook)));
        writer.enter(notes).await
    }
}

async fn endpoint(observer: &Observer, ask: Ask<'_>, account: &str, change: &Change<Endpoint>) -> Seen<bool> {
    let access = observer.accounts.access(account)?;
    match change {
        Change::Delete(id) => observer.vendors.delete_endpoint(&access, id).await?,
        Change::Update(id, row) => {
            let draft = Draft { row, mark: &ask.world.mark, key: &row.attempt };
            observer.vendors.update_endpoint(&access, id, draft).await?;
        }
        Change::Create(_) => return Ok(false),
    }
    Ok(true)
}

async fn monitor(observer: &Observer, ask: Ask<'_>, account: &str, change: &Change<Monitor>) -> Seen<bool> {
    let access = observer.accounts.access(account)?;
    let draft = |row| Draft { row, mark: &ask.world.mark, key: &ask.world.mark.owner };
    match change {
        Change::Create(row) => drop(observer.vendors.create_monitor(&access, draft(row)).await?),
        Change::Update(id, row) => observer.vendors.update_monitor(&access, id, draft(row)).await?,
        Change::Delete(id) => observer.vendors.delete_monitor(&access, id).await?,
    }
    Ok(true)
}

async fn project(observer: &Observer, ask: Ask<'_>, account: &str, change: &Change<Project>) -> Seen<bool> {
    let access = observer.accounts.access(account)?;
    let draft = |row| Draft { row, mark: &ask.world.mark, key: &ask.world.mark.owner };
    match change {
        Change::Create(row) => drop(observer.vendors.create_project(&access, draft(row)).await?),
        Change::Update(id, row) => observer.vendors.update_project(&access, id, draft(row)).await?,
        Change::Delete(id) => observer.vendors.delete_project(&access, id).await?,
    }
    Ok(true)
}

/// Enters an issued certificate into the ledger of orders.
pub async fn issued(ask: Ask<'_>, step: &AcmeStep, writer: &Writer<'_>) -> Seen<bool> {
    let (AcmeStep::Take { .. }, Ok(Some(pending))) = (step, &ask.world.order) else { return Ok(false) };
    let entry = ask.entry(pending, crate::certificate::ledger::Outcome::Issued);
    writer.enter(vec![Note::Order(entry)]).await
}
