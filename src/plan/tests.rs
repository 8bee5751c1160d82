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
use crate::vault::{Issued, Remembered, Webhook};
use crate::vendors::acme::{Challenge, ChallengeState};
use crate::world::{Account, HostedZone};

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

/// A world in which the webhook `HOOK` has an endpoint at the account `stripe`.
fn hooked() -> World {
    let mut world = world(&[]);
    let issued = Issued { id: Id("current".into()), at: Timestamp::UNIX_EPOCH };
    let webhook = Webhook { account: "stripe".into(), current: Some(issued), previous: None, attempt: None };
    world.vault.as_mut().unwrap().ledger.webhooks.insert("HOOK".into(), webhook);
    list(&mut world, "current");
    world
}

fn endpoint() -> Endpoint {
    let (slot, url, events) = ("HOOK".into(), "https://app.example.org".into(), ["charge".to_owned()].into());
    Endpoint { slot, url, events, api_version: None, enabled: true, attempt: "1".into() }
}

/// Stripe lists one endpoint of ours, of this id.
fn list(world: &mut World, id: &str) {
    let held = Held { id: Id(id.into()), mark: Some(world.mark.clone()), row: endpoint() };
    world.endpoints.insert("stripe".into(), Ok(vec![held].into()));
}

#[test]
fn an_endpoint_is_upkeep_where_it_follows_one_that_stands_at_the_same_account() {
    let saas = saas(json!({}));
    let is_upkeep = |world: &World, account: &str, env: &str| {
        let (account, env) = (account.to_owned(), env.to_owned());
        let made = Action::CreateEndpoint { account, endpoint: endpoint(), env, previous_env: None };
        Ask { saas: &saas, world }.is_upkeep(&made)
    };
    let mut world = hooked();
    assert!(is_upkeep(&world, "stripe", "HOOK"));
    assert!(!is_upkeep(&world, "other", "HOOK"), "it moves");
    assert!(!is_upkeep(&world, "stripe", "OTHER"), "it is the first");
    list(&mut world, "another");
    assert!(!is_upkeep(&world, "stripe", "HOOK"), "somebody deleted it");
    world.endpoints.insert("stripe".into(), Err(Fault::Unreachable("down".into())));
    assert!(!is_upkeep(&world, "stripe", "HOOK"), "nobody knows whether it stands");
}

/// An object of golive's, of this part.
fn child(world: World, kind: Kind, name: &str, part: Part) -> World {
    let object = json!({"apiVersion": "v1", "kind": kind.name(), "metadata": {"name": name,
        "labels": {crate::objects::PART: part.word()},
        "ownerReferences": [{"apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment", "name": "app", "uid": "u"}]}});
    World { children: world.children.with(kind, serde_json::from_value(object).unwrap()), ..world }
}

#[test]
fn a_part_that_keeps_all_keeps_its_own_and_leaves_the_rest_to_others() {
    let (saas, world) = (saas(json!({})), child(world(&[]), Kind::HttpRoute, "former", Part::Edge));
    let world = child(world, Kind::Service, "app", Part::App);
    let mut steps = Steps::default();
    Ask { saas: &saas, world: &world }.keep_all(Part::Edge, &mut steps);
    assert_eq!(steps.kept, [(Kind::HttpRoute, "former".to_owned())]);
}

/// `app` as it is being deleted.
fn going(spec: Value) -> SaasDeployment {
    let mut saas = saas(spec);
    let at = serde_json::from_value(json!("2020-01-01T00:00:00Z")).unwrap();
    (saas.metadata.deletion_timestamp, saas.metadata.uid) = (Some(at), Some("u".into()));
    saas
}

#[test]
fn what_is_deleted_takes_its_rows_along_and_says_which_it_may_leave() {
    let mut world = hooked();
    let remembered = Remembered { part: "payments".into(), account: "stripe".into(), zone: None };
    world.vault.as_mut().unwrap().ledger.accounts.insert(remembered);
    let (dns, zone) =
        (Id("z".into()), Zone { id: Id("z".into()), name: "example.org".into(), name_servers: Vec::new() });
    world.zones.insert("app.example.org".into(), Ok(Some(HostedZone { account: "dns".into(), zone })));
    let row = record("app.example.org", RecordType::A);
    world.records.insert(dns, Ok(vec![Held { id: Id("r".into()), mark: Some(world.mark.clone()), row }].into()));
    let row = Monitor { name: "app".into(), url: String::new(), every_seconds: 60, alert_after_seconds: 60 };
    let held = Held { id: Id("m".into()), mark: Some(world.mark.clone()), row };
    world.monitors.insert("uptime".into(), Ok(vec![held].into()));
    let plan = plan(&going(json!({})), &world);
    let steps = |part: Part| plan.parts[&part].as_ref().ok().unwrap();
    assert_eq!(plan.parts.keys().copied().collect::<Vec<_>>(), [Part::Dns, Part::Payments, Part::Monitors]);
    assert!(matches!(steps(Part::Dns).actions[..], [Action::Records { .. }]));
    assert!(matches!(steps(Part::Payments).actions[..], [Action::Endpoint { change: Change::Delete(_), .. }]));
    assert!(matches!(steps(Part::Monitors).actions[..], [Action::Monitor { change: Change::Delete(_), .. }]));
    assert!(plan.parts.keys().all(|part| !steps(*part).left.is_empty()), "what may be left is told");
    assert!(!plan.retains());
}

#[test]
fn a_volume_that_is_to_outlive_its_object_is_kept_back_before_the_object_goes() {
    let claim = child(world(&[]), Kind::PersistentVolumeClaim, "app-data", Part::Database);
    let retains = |saas: &SaasDeployment, world: &World| plan(saas, world).retains();
    assert!(retains(&going(json!({})), &claim));
    assert!(!retains(&going(json!({"deletionPolicy": {"volumes": "Delete"}})), &claim));
    assert!(!retains(&going(json!({})), &world(&[])), "there is none");
    let other = SaasDeployment { metadata: saas(json!({})).metadata, ..going(json!({})) };
    assert!(!retains(&other, &claim), "it does not go with this one");
    assert!(!plan(&other, &claim).parts.contains_key(&Part::Database));
}
