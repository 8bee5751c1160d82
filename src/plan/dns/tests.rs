use serde_json::json;

use super::*;
use crate::api::SaasDeployment;
use crate::plan::tests::{proof, saas, world};
use crate::rows::{Id, Mark, Zone};
use crate::vendors::acme::{Progress, Status};
use crate::world::{Pending, World};

const HOSTS: [&str; 2] = ["app.example.org", "www.example.org"];

fn app() -> SaasDeployment {
    saas(json!({"domains": HOSTS}))
}

fn cloudflare() -> serde_json::Value {
    json!({"default": true, "cloudflare": {"accountId": "a", "tokenSecret": {"name": "s", "key": "k"}}})
}

fn hosted(account: &str, id: &str) -> HostedZone {
    let zone = Zone { id: Id(id.into()), name: "example.org".into(), name_servers: Vec::new() };
    HostedZone { account: account.into(), zone }
}

fn address(name: &str, ip: &str) -> Record {
    Record { name: name.into(), kind: RecordType::A, content: ip.into(), proxied: false, ttl: AUTOMATIC }
}

fn held(id: &str, mark: Option<&Mark>, row: Record) -> Held<Record> {
    Held { id: Id(id.into()), mark: mark.cloned(), row }
}

/// A world whose default account holds the zone of both hosts, with this table; the route has moved to another address.
fn moved(table: impl Fn(&Mark) -> Vec<Held<Record>>) -> World {
    let mut world = world(&[("dns", cloudflare())]);
    let mut config = (*world.config).clone();
    config.addresses = vec!["192.0.2.2".into()];
    world.config = config.into();
    world.zones = HOSTS.iter().map(|host| ((*host).to_owned(), Ok(Some(hosted("dns", "z"))))).collect();
    world.records.insert(Id("z".into()), Ok(table(&world.mark).into()));
    world
}

/// The CA waits for a proof of this host.
fn proving(mut world: World, host: &str) -> World {
    let challenge = proof(host);
    let progress = Progress { status: Status::Pending, names: [].into(), challenges: vec![challenge], error: None };
    let (names, url) = (vec![host.to_owned()], Some("https://ca.example.com/order/1".to_owned()));
    let pending = Pending { names, account: "ca".into(), at: world.now, url, progress: Some(Ok(progress)) };
    world.order = Ok(Some(pending));
    world
}

/// The changes of the zones, by account, and why the part waits.
fn told(world: &World) -> (Vec<(String, Change<Record>)>, Option<&'static str>) {
    let saas = app();
    let steps = plan(Ask { saas: &saas, world }).unwrap().ok().unwrap();
    let of = |action: &Action| match action {
        Action::Records { account, changes, .. } => changes.iter().map(|c| (account.clone(), c.clone())).collect(),
        _ => Vec::new(),
    };
    (steps.actions.iter().flat_map(of).collect(), steps.waits.map(|hold| hold.reason))
}

#[test]
fn a_name_that_a_stranger_took_holds_no_other_name_and_no_proof() {
    let world = moved(|ours| {
        vec![
            held("1", Some(ours), address("app.example.org", "192.0.2.1")),
            held("2", Some(ours), address("www.example.org", "192.0.2.1")),
            held("3", None, address("www.example.org", "192.0.2.9")),
        ]
    });
    let (changes, waits) = told(&proving(world, "www.example.org"));
    assert_eq!(waits, Some("RecordTaken"));
    let proof = |change: &Change<Record>| matches!(change, Change::Create(row) if row.name == "_acme-challenge.www.example.org");
    assert_eq!(changes.iter().filter(|(_, change)| proof(change)).count(), 1);
    let moved = Change::Update(Id("1".into()), address("app.example.org", "192.0.2.2"));
    assert!(changes.len() == 2 && changes.contains(&("dns".into(), moved)), "{changes:?}");
}

#[test]
fn what_is_left_at_another_account_goes_once_the_wanted_records_stand() {
    let mut world = moved(|_| Vec::new());
    let ours = world.mark.clone();
    let note =
        |account: &str| Remembered { part: "dns".into(), account: account.into(), zone: Some("example.org".into()) };
    world.vault.as_mut().unwrap().ledger.accounts = [note("dns"), note("old")].into();
    world.zones.insert(left_at(&note("old")), Ok(Some(hosted("old", "y"))));
    let old = vec![held("1", Some(&ours), address("app.example.org", "192.0.2.1"))];
    world.records.insert(Id("y".into()), Ok(old.into()));
    let made = |host: &str| ("dns".to_owned(), Change::Create(address(host, "192.0.2.2")));
    assert_eq!(told(&world).0, HOSTS.map(made));
    let new = HOSTS.map(|host| held(host, Some(&ours), address(host, "192.0.2.2")));
    world.records.insert(Id("z".into()), Ok(new.to_vec().into()));
    assert_eq!(told(&world), (vec![("old".into(), Change::Delete(Id("1".into())))], None));
    world.records.insert(Id("z".into()), Err(crate::fault::Fault::Unreachable("down".into())));
    assert_eq!(told(&world), (Vec::new(), Some("Unreachable")));
}

#[test]
fn of_two_accounts_that_lead_to_one_zone_the_one_in_use_is_remembered() {
    let mut world = moved(|ours| HOSTS.map(|host| held(host, Some(ours), address(host, "192.0.2.2"))).into());
    let note =
        |account: &str| Remembered { part: "dns".into(), account: account.into(), zone: Some("example.org".into()) };
    world.zones.insert(left_at(&note("old")), Ok(Some(hosted("dns", "z"))));
    let noted = |world: &World| {
        let saas = app();
        let steps = plan(Ask { saas: &saas, world }).unwrap().ok().unwrap();
        format!("{:?}", steps.actions)
    };
    world.vault.as_mut().unwrap().ledger.accounts = [note("old")].into();
    assert_eq!(noted(&world), format!("{:?}", [Action::Note(vec![Note::Account(note("dns"))])]));
    world.vault.as_mut().unwrap().ledger.accounts = [note("dns"), note("old")].into();
    assert_eq!(noted(&world), format!("{:?}", [Action::Note(vec![Note::Forget(note("old"))])]));
}

#[test]
fn a_wanted_lifetime_holds_where_the_vendors_edge_does_not_stand_before_the_record() {
    let world = moved(|_| Vec::new());
    let rows = |dns: serde_json::Value| {
        let saas = saas(json!({"domains": HOSTS, "dns": dns}));
        let rows = Ask { saas: &saas, world: &world }.address_rows(HOSTS[0]).ok().unwrap();
        rows.into_iter().map(|row| (row.proxied, row.ttl)).collect::<Vec<_>>()
    };
    assert_eq!(rows(json!({"ttlSeconds": 300})), [(false, 300)]);
    assert_eq!(rows(json!({"ttlSeconds": 300, "proxied": true})), [(true, AUTOMATIC)]);
    assert_eq!(rows(json!({})), [(false, AUTOMATIC)]);
}

#[test]
fn a_host_is_resolvable_once_a_record_of_ours_leads_it_to_the_route() {
    let waits = |of_www: &dyn Fn(&Mark) -> Held<Record>| {
        let app = |ours: &Mark| held("1", Some(ours), address("app.example.org", "192.0.2.2"));
        let world = moved(|ours| vec![app(ours), of_www(ours)]);
        Ask { saas: &self::app(), world: &world }.is_resolvable().err().map(|hold| hold.message)
    };
    let www = |ip| address("www.example.org", ip);
    let pending = Some("the record of www.example.org is not there yet: see DnsReady".to_owned());
    assert_eq!(waits(&|ours| held("2", Some(ours), www("192.0.2.2"))), None);
    assert_eq!(waits(&|ours| held("2", Some(ours), www("192.0.2.1"))), pending);
    assert_eq!(waits(&|_| held("2", None, www("192.0.2.2"))), pending, "a stranger's may go");
}

#[test]
fn addresses_become_records_each_once_and_a_name_stands_alone() {
    let led = |addresses: &[&str]| {
        let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
        let rows = led_to(&addresses).into_iter().map(|(kind, content)| format!("{kind} {content}"));
        rows.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(led(&["192.0.2.7", "192.0.2.7"]), "A 192.0.2.7");
    assert_eq!(led(&["2001:db8:0::7", "192.0.2.7", "2001:DB8::7"]), "A 192.0.2.7, AAAA 2001:db8::7");
    assert_eq!(led(&["lb.example.net", "192.0.2.7"]), "A 192.0.2.7");
    assert_eq!(led(&["B.example.net.", "a.example.net"]), "CNAME a.example.net");
    assert_eq!(led(&[]), "");
}

#[test]
fn a_host_in_nobodys_zone_is_its_owners_to_point_here_unless_an_account_is_named_for_it() {
    let mut world = moved(|_| Vec::new());
    world.zones = HOSTS.iter().map(|host| ((*host).to_owned(), Ok(None))).collect();
    let waits = |spec: serde_json::Value| {
        let saas = saas(spec);
        plan(Ask { saas: &saas, world: &world }).unwrap().ok().unwrap().waits.map(|hold| hold.reason)
    };
    assert_eq!(waits(json!({"domains": HOSTS, "dns": {}})), None);
    assert_eq!(waits(json!({"domains": HOSTS, "dns": {"account": "dns"}})), Some("ZoneMissing"));
}
