//! What plans are tested with, and what holds of any plan.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::pod::merge;
use super::*;
use crate::api::ProviderAccount;
use crate::config::Config;
use crate::fault::Fault;
use crate::rows::{Held, Id, Mark};
use crate::vendors::acme::{Challenge, ChallengeState};
use crate::world::Account;

/// The application `app` with this spec.
pub fn saas(mut spec: Value) -> SaasDeployment {
    merge(&mut spec, json!({"image": "i"}));
    serde_json::from_value(json!({
        "apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment",
        "metadata": {"name": "app", "namespace": "n"}, "spec": spec,
    }))
    .unwrap()
}

/// A world with accounts of these specs, all of them granted.
pub fn world(accounts: &[(&str, Value)]) -> World {
    let mark = Mark { cluster: "c".into(), owner: "o".into(), label: String::new() };
    let mut world = World::new(Timestamp::UNIX_EPOCH, [0; 32], Arc::new(Config::default()), mark);
    for (name, spec) in accounts {
        let object = ProviderAccount::new(name, serde_json::from_value(spec.clone()).unwrap());
        let account = Account { object: Arc::new(object), allowed: true, credentials: Ok([].into()) };
        world.accounts.insert((*name).to_owned(), account);
    }
    world
}

/// A default account at a CA.
pub fn acme() -> Value {
    json!({"default": true, "acme": {
        "directory": "https://ca.example.com", "email": "ops@example.com", "termsOfServiceAgreed": true,
    }})
}

/// What the CA waits to see of a host in DNS.
pub fn proof(host: &str) -> Challenge {
    Challenge {
        name: host.into(),
        wildcard: false,
        kind: crate::vendors::acme::Kind::Dns01,
        token: "t".into(),
        proof: "p".into(),
        status: ChallengeState::Pending,
        error: None,
    }
}

fn record(name: &str, kind: RecordType) -> Record {
    Record { name: name.into(), kind, content: "192.0.2.1".into(), proxied: false, ttl: 1 }
}

fn records(changes: Vec<Change<Record>>) -> Action {
    let zone = Zone { id: Id("z".into()), name: "example.org".into(), name_servers: Vec::new() };
    Action::Records { account: "dns".into(), zone, changes }
}

fn of(actions: Vec<Action>) -> Plan {
    Plan { parts: [(Part::Dns, Ok(Steps { actions, ..Steps::default() }))].into() }
}

#[test]
fn a_name_is_claimed_by_a_new_record_that_leads_somewhere() {
    let claims = |change| of(vec![records(vec![change])]).claims_names();
    let (host, proof) = ("app.example.org", "_acme-challenge.app.example.org");
    assert!(claims(Change::Create(record(host, RecordType::A))));
    assert!(!claims(Change::Create(record(proof, RecordType::Txt))));
    assert!(!claims(Change::Update(Id("r".into()), record(host, RecordType::A))));
    assert!(!claims(Change::Delete(Id("r".into()))));
    assert!(!of(Vec::new()).claims_names());
}

#[test]
fn a_plan_that_only_notes_changes_nothing_elsewhere() {
    let note = || Action::Note(vec![Note::Proven("r".into())]);
    let change = || records(vec![Change::Delete(Id("r".into()))]);
    assert!(of(vec![note(), note()]).only_notes());
    assert!(!of(vec![note(), change()]).only_notes() && !of(Vec::new()).only_notes());
}

#[test]
fn proofs_come_and_go_by_themselves_and_other_records_do_not() {
    let (saas, mut world) = (saas(json!({})), world(&[]));
    let held = |id: &str, name: &str| Held { id: Id(id.into()), mark: None, row: record(name, RecordType::Txt) };
    let table = vec![held("proof", "_acme-challenge.app.example.org"), held("other", "app.example.org")];
    world.records.insert(Id("z".into()), Ok(table.into()));
    let is_upkeep = |world: &World, change| Ask { saas: &saas, world }.is_upkeep(&records(vec![change]));
    assert!(is_upkeep(&world, Change::Create(record("_acme-challenge.a.example.org", RecordType::Txt))));
    assert!(!is_upkeep(&world, Change::Create(record("a.example.org", RecordType::A))));
    assert!(is_upkeep(&world, Change::Delete(Id("proof".into()))));
    assert!(!is_upkeep(&world, Change::Delete(Id("other".into()))));
    world.records.insert(Id("z".into()), Err(Fault::Unreachable("down".into())));
    assert!(!is_upkeep(&world, Change::Delete(Id("proof".into()))));
}
