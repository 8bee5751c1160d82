use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::api::SaasDeployment;
use crate::certificate::Window;
use crate::fault::Fault;
use crate::plan::tests::{acme, proof, saas, world};
use crate::rows::{Id, Zone};
use crate::world::{HostedZone, Origin, World};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn app() -> SaasDeployment {
    saas(json!({"domains": ["app.example.org"]}))
}

/// A world with an account at a CA, two months on.
fn later() -> World {
    let mut world = world(&[("ca", acme()), ("other", json!({"acme": acme()["acme"]}))]);
    world.now += DAY * 60;
    world
}

/// A certificate of ninety days for these names, half of them gone; the CA wants it renewed since yesterday.
fn due(mut world: World, names: &[&str]) -> World {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let (start, now) = (world.now - DAY * 45, world.now);
    let (issuer, serial, key_id) = (String::new(), String::new(), String::new());
    let end = start + DAY * 90;
    world.certificate = Ok(Some(Certificate { names, not_before: start, not_after: end, issuer, serial, key_id }));
    world.origin = Some(Origin { account: "ca".into(), directory: "https://ca.example.com".into() });
    world.window = Some(Window { start: now - DAY * 2, end: now - DAY, ask_again: Duration::from_secs(1) });
    world
}

/// An order under way for these names.
fn ordered(mut world: World, names: &[&str], progress: Option<Result<Progress, Fault>>) -> World {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let url = progress.is_some().then(|| "https://ca.example.com/order/1".to_owned());
    world.order = Ok(Some(Pending { names, account: "ca".into(), at: world.now, url, progress }));
    world
}

fn issued(mut world: World, times: usize) -> World {
    let names = BTreeSet::from(["app.example.org".to_owned()]);
    let at = world.now - DAY;
    let attempt = Attempt { at, names, outcome: Outcome::Issued, replaces: false };
    world.vault.as_mut().unwrap().ledger.orders = vec![attempt; times];
    world
}

fn planned(world: &World) -> Verdict {
    plan(Ask { saas: &app(), world }).unwrap()
}

/// The steps at the CA, and why the part waits.
fn told(world: &World) -> (Vec<AcmeStep>, Option<&'static str>) {
    let steps = planned(world).ok().unwrap();
    let acme = |action: &Action| match action {
        Action::Acme(step) => Some(step.clone()),
        _ => None,
    };
    (steps.actions.iter().filter_map(acme).collect(), steps.waits.map(|hold| hold.reason))
}

fn held(world: &World) -> Option<&'static str> {
    planned(world).err().map(|hold| hold.reason)
}

const NAMES: [&str; 1] = ["app.example.org"];

#[test]
fn the_ca_s_limit_holds_an_order_but_no_renewal() {
    assert!(matches!(told(&issued(later(), 4)).0[..], [AcmeStep::Intend { .. }]));
    assert_eq!(held(&issued(later(), 5)), Some("DuplicateLimit"));
    assert!(matches!(told(&due(issued(later(), 5), &NAMES)).0[..], [AcmeStep::Intend { .. }]));
    let unannounced = World { window: None, ..due(issued(later(), 5), &NAMES) };
    let last = World { now: unannounced.now + DAY * 40, ..unannounced };
    assert!(held(&issued(last, 5)).is_some(), "the CA does not know which one it replaces");
}

#[test]
fn an_order_names_the_certificate_that_it_replaces() {
    let replaces = |world: World| match &told(&ordered(world, &NAMES, None)).0[..] {
        [AcmeStep::Order { replaces, .. }] => *replaces,
        other => panic!("{other:?}"),
    };
    assert!(replaces(due(later(), &NAMES)));
    assert!(!replaces(later()), "there is none");
    assert!(!replaces(due(later(), &["www.example.org"])), "it is of other names");
}

#[test]
fn what_is_not_due_and_an_order_for_something_else_are_dropped() {
    let fresh = World { window: None, ..due(later(), &NAMES) };
    assert!(told(&fresh).0.is_empty());
    assert!(matches!(told(&ordered(fresh, &NAMES, None)).0[..], [AcmeStep::Abandon { .. }]));
    assert!(matches!(told(&ordered(later(), &["www.example.org"], None)).0[..], [AcmeStep::Abandon { .. }]));
    let mut moved = ordered(later(), &NAMES, None);
    let pending = moved.order.as_mut().unwrap().as_mut().unwrap();
    pending.account = "other".into();
    assert!(matches!(told(&moved).0[..], [AcmeStep::Abandon { .. }]));
}

#[test]
fn a_refused_order_is_told_in_the_ca_s_words_also_while_a_certificate_serves() {
    let refused = || {
        let (names, challenges) = (BTreeSet::new(), Vec::new());
        Some(Ok(Progress { status: Status::Invalid, names, challenges, error: Some("CAA forbids it".into()) }))
    };
    let steps = planned(&ordered(later(), &NAMES, refused())).ok().unwrap();
    let failed = |action: &&Action| matches!(action, Action::Note(notes) if matches!(&notes[..], [Note::Order(a)] if a.outcome == Outcome::Failed));
    assert_eq!(steps.actions.iter().filter(failed).count(), 1);
    let hold = steps.waits.unwrap();
    assert!(hold.reason == "OrderFailed" && hold.message.contains("CAA forbids it"), "{}", hold.message);
    assert_eq!(told(&ordered(due(later(), &NAMES), &NAMES, refused())).1, Some("OrderFailed"), "it is not known later");
}

#[test]
fn an_order_that_goes_on_is_no_news_while_a_certificate_serves() {
    let proof = proof(NAMES[0]);
    let zone = Zone { id: Id("z".into()), name: "example.org".into(), name_servers: Vec::new() };
    let asked = |mut world: World| {
        let (names, challenges) = (BTreeSet::new(), vec![proof.clone()]);
        let progress = Progress { status: Status::Pending, names, challenges, error: None };
        world.zones.insert(NAMES[0].into(), Ok(Some(HostedZone { account: "dns".into(), zone: zone.clone() })));
        ordered(world, &NAMES, Some(Ok(progress)))
    };
    assert_eq!(told(&asked(later())).1, Some("ProofPending"));
    assert_eq!(told(&asked(due(later(), &NAMES))).1, None);
    let mut dark = asked(later());
    dark.published.insert(NAMES[0].into(), Err(Fault::Unreachable("no name server answers".into())));
    assert_eq!(told(&dark).1, Some("Unreachable"));
    let mut shown = asked(later());
    shown.published.insert(NAMES[0].into(), Ok(["p".to_owned()].into()));
    assert!(matches!(told(&shown).0[..], [AcmeStep::Ready { .. }]));
}

#[test]
fn a_ca_that_does_not_answer_is_told() {
    let silent = Some(Err(Fault::Unreachable("the CA is silent".into())));
    assert_eq!(held(&ordered(later(), &NAMES, silent)), Some("Unreachable"));
}

#[test]
fn a_certificate_that_the_user_brings_has_to_be_there_and_nothing_is_ordered() {
    let saas = saas(json!({"domains": NAMES, "tls": {"secretName": "own"}}));
    let planned = |world: &World| plan(Ask { saas: &saas, world }).unwrap().ok().unwrap();
    assert_eq!(planned(&later()).waits.unwrap().reason, "CertificatePending");
    let steps = planned(&due(later(), &NAMES));
    assert!(steps.waits.is_none() && steps.actions.is_empty() && steps.evidence.contains("brought by the user"));
}

/// A fresh certificate from this account at this CA.
fn fresh(account: &str, directory: &str) -> World {
    let origin = Some(Origin { account: account.into(), directory: directory.into() });
    World { window: None, origin, ..due(later(), &NAMES) }
}

#[test]
fn a_certificate_of_another_ca_is_replaced_and_serves_meanwhile() {
    let staging = fresh("ca", "https://staging.example.com");
    let steps = planned(&staging).ok().unwrap();
    assert!(steps.waits.is_none() && steps.upkeep, "it serves");
    assert!(matches!(told(&staging).0[..], [AcmeStep::Intend { .. }]));
    assert!(matches!(told(&ordered(staging, &NAMES, None)).0[..], [AcmeStep::Order { replaces: false, .. }]));
    let known = World {
        window: Some(Window { start: later().now, end: later().now + DAY, ask_again: Duration::ZERO }),
        ..fresh("ca", "https://staging.example.com")
    };
    assert_eq!(held(&issued(known, 5)), Some("DuplicateLimit"), "to its CA it is no renewal");
    assert!(told(&fresh("ca", "https://ca.example.com")).0.is_empty());
}

#[test]
fn of_a_certificate_of_an_earlier_version_it_is_noted_where_it_came_from_and_none_is_ordered() {
    let unknown = World { origin: None, ..fresh("", "") };
    let wanted = Origin { account: "ca".into(), directory: "https://ca.example.com".into() };
    assert_eq!(told(&unknown), (vec![AcmeStep::Note(wanted)], None));
    assert!(planned(&unknown).ok().unwrap().upkeep);
    let nowhere = World { accounts: [].into(), ..unknown };
    assert!(told(&nowhere).0.is_empty());
}

#[test]
fn another_account_that_is_named_replaces_a_certificate_and_another_default_does_not() {
    let named = |account: &str, world: &World| {
        let saas = saas(json!({"domains": NAMES, "tls": {"account": account}}));
        plan(Ask { saas: &saas, world }).unwrap().ok().unwrap().actions.len()
    };
    let world = fresh("ca", "https://ca.example.com");
    assert_eq!((named("ca", &world), named("other", &world), named("missing", &world)), (0, 1, 0));
    assert!(told(&fresh("other", "https://ca.example.com")).0.is_empty());
}

/// What is ordered next: the names of the intent.
fn intended(saas: &SaasDeployment, world: &World) -> Vec<String> {
    let steps = plan(Ask { saas, world }).unwrap().ok().unwrap();
    let names = steps.actions.into_iter().find_map(|action| match action {
        Action::Acme(AcmeStep::Intend { names, .. }) => Some(names),
        _ => None,
    });
    names.unwrap_or_default()
}

#[test]
fn what_serves_is_renewed_before_a_host_joins_it() {
    let both = saas(json!({"domains": [NAMES[0], "new.example.org"]}));
    let wide = ["app.example.org", "new.example.org"];
    assert_eq!(intended(&both, &World { window: None, ..due(later(), &NAMES) }), wide, "it is not due");
    assert_eq!(intended(&both, &due(later(), &NAMES)), NAMES);
    let open = ordered(due(later(), &NAMES), &wide, None);
    let steps = plan(Ask { saas: &both, world: &open }).unwrap().ok().unwrap();
    assert!(matches!(&steps.actions[..], [Action::Acme(AcmeStep::Abandon { .. })]), "the host may never be proven");
    assert!(steps.waits.is_some(), "the new host is not served");
    let over = due(later(), &NAMES);
    assert_eq!(intended(&both, &World { now: over.now + DAY * 46, ..over }), NAMES, "it ran out");
    let origin = Some(Origin { account: "ca".into(), directory: "https://other".into() });
    let moved = || World { origin: origin.clone(), ..due(later(), &NAMES) };
    assert_eq!(intended(&both, &moved()), NAMES, "of another CA, and due");
    assert_eq!(intended(&both, &World { window: None, ..moved() }), wide, "of another CA");
}

#[test]
fn a_host_that_the_ca_lets_nobody_prove_is_told() {
    let offered = |name: &str, status: ChallengeState| {
        let challenge = Challenge { status, ..proof(name) };
        let names = BTreeSet::from([name.to_owned()]);
        let progress = Progress { status: Status::Pending, names, challenges: vec![challenge], error: None };
        ordered(later(), &NAMES, Some(Ok(progress)))
    };
    assert_eq!(
        held(&offered(NAMES[0], ChallengeState::Pending)),
        Some("NoChallenge"),
        "over DNS alone, and the zone is not ours"
    );
    assert_eq!(held(&offered(NAMES[0], ChallengeState::Valid)), None, "it is proven already");
    let mut none = offered(NAMES[0], ChallengeState::Pending);
    let pending = none.order.as_mut().unwrap().as_mut().unwrap();
    pending.progress.as_mut().unwrap().as_mut().unwrap().challenges.clear();
    assert_eq!(held(&none), None, "it may be proven in a way that golive does not know");
}

#[test]
fn an_order_is_dropped_where_the_user_brings_the_certificate() {
    let saas = saas(json!({"domains": NAMES, "tls": {"secretName": "own"}}));
    let world = ordered(due(later(), &NAMES), &NAMES, None);
    let steps = plan(Ask { saas: &saas, world: &world }).unwrap().ok().unwrap();
    assert!(matches!(&steps.actions[..], [Action::Acme(AcmeStep::Abandon { .. })]));
}

#[test]
fn an_order_that_cannot_be_read_matters_once_one_is_due() {
    let unread = |world: World| World { order: Err(Fault::Unreachable("down".into())), ..world };
    assert_eq!(held(&unread(later())), Some("Unreachable"), "two might be placed");
    assert_eq!(held(&unread(due(later(), &NAMES))), Some("Unreachable"));
    assert_eq!(told(&unread(fresh("ca", "https://ca.example.com"))), (Vec::new(), None));
}

#[test]
fn a_certificate_serves_until_it_ends_and_only_for_its_names() {
    let waits = |names: &[&str], left: SignedDuration| {
        let mut world = World { window: None, ..due(later(), names) };
        let end = world.now + left;
        world.certificate.as_mut().unwrap().as_mut().unwrap().not_after = end;
        told(&world).1
    };
    assert_eq!(waits(&NAMES, SignedDuration::from_secs(1)), None);
    assert_eq!(waits(&NAMES, SignedDuration::ZERO), Some("Issuing"), "it ends at this moment");
    assert_eq!(waits(&["www.example.org"], DAY), Some("Issuing"));
}

#[test]
fn no_order_is_placed_whose_proof_could_not_be_shown() {
    let zone = Zone { id: Id("z".into()), name: "example.org".into(), name_servers: Vec::new() };
    let cloudflare = json!({"cloudflare": {"accountId": "a", "tokenSecret": {"name": "s", "key": "k"}}});
    let mut world = world(&[("ca", acme()), ("dns", cloudflare)]);
    world.zones.insert(NAMES[0].into(), Ok(Some(HostedZone { account: "dns".into(), zone })));
    assert!(matches!(told(&world).0[..], [AcmeStep::Intend { .. }]));
    world.accounts.get_mut("dns").unwrap().allowed = false;
    assert_eq!(held(&world), Some("AccountNotAllowed"));
}

#[test]
fn what_the_ca_says_of_an_order_stands_beside_how_far_it_is() {
    let said = |error: Option<&str>| {
        let (names, challenges, error) = (BTreeSet::new(), Vec::new(), error.map(str::to_owned));
        let progress = Progress { status: Status::Processing, names, challenges, error };
        planned(&ordered(later(), &NAMES, Some(Ok(progress)))).ok().unwrap().waits.unwrap().message
    };
    let plain = "the order for app.example.org is Processing at the CA";
    assert_eq!((said(None), said(Some("slow"))), (plain.to_owned(), format!("{plain} (slow)")));
}

#[test]
fn a_name_in_our_zone_is_proven_over_dns() {
    let zone = Zone { id: Id("z".into()), name: "example.org".into(), name_servers: Vec::new() };
    let mut world = later();
    world.zones.insert(NAMES[0].into(), Ok(Some(HostedZone { account: "dns".into(), zone })));
    world.published.insert(NAMES[0].into(), Ok(["p".to_owned()].into()));
    let progress =
        Progress { status: Status::Pending, names: [].into(), challenges: vec![proof(NAMES[0])], error: None };
    match &told(&ordered(world, &NAMES, Some(Ok(progress)))).0[..] {
        [AcmeStep::Ready { names, .. }] => assert_eq!(*names, [(NAMES[0].to_owned(), true)].into()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn too_many_renewals_are_no_trouble_while_a_certificate_serves() {
    let mut world = due(issued(later(), 3), &NAMES);
    let orders = &mut world.vault.as_mut().unwrap().ledger.orders;
    orders.iter_mut().for_each(|order| (order.replaces, order.at) = (true, world.now - DAY / 2));
    assert_eq!(told(&world), (Vec::new(), None));
    let steps = planned(&world).ok().unwrap();
    assert!(steps.again.is_none() && steps.evidence.contains("valid until"), "{}", steps.evidence);
    world.now += DAY * 46;
    assert_eq!(held(&World { window: None, ..issued(world, 5) }), Some("DuplicateLimit"), "nothing serves");
}
