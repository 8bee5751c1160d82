//! A part of the laws, small enough for every run; `make laws` tries far more.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::{Value, json};
use sim::law;
use sim::laws::{Effort, Finding, all, farewells, go_live, subjects};
use sim::place::State;
use sim::run::{Act, Ended, Run};
use sim::script;
use sim::search::Budget;
use sim::trouble::{Rule, Trouble, Troubles};

fn budget() -> Budget {
    Budget { until: Instant::now() + Duration::from_secs(3600), threads: 2 }
}

fn told(finding: &Finding) -> String {
    format!("{} {}: {:#?}", finding.id, finding.what, finding.tally.breaches)
}

#[test]
fn no_crash_no_fault_and_no_way_leads_elsewhere() {
    for finding in all(Effort { stride: 37, pairs: false, walks: 4, mixes: 30 }, budget()) {
        assert!(finding.tally.plans > 3, "{} tried nothing", finding.id);
        assert!(finding.tally.breaches.is_empty(), "{}", told(&finding));
    }
}

#[test]
fn a_world_at_rest_is_live_and_its_laws_are_not_empty() {
    let (case, ended) = go_live(&subjects()[0]);
    assert!(ended.rests && ended.writes.len() > 20, "{} writes", ended.writes.len());
    // A row that goes missing without anybody's wish is a breach.
    let mut robbed = ended;
    robbed.state.vendors = State::new().vendors;
    assert!(!case.breaches(&robbed).is_empty());
}

/// A go-live in which requests go wrong.
fn in_trouble(rules: Vec<Rule>) -> Ended {
    let acts = script::go_live(&subjects()[0]);
    Run { troubles: Troubles { rules, ..Troubles::default() }, ..Run::of(&acts) }.from(State::new())
}

#[test]
fn an_order_whose_address_cannot_be_stored_is_not_placed_again() {
    let what = "PATCH /api/v1/namespaces/shop/secrets/shop-tls-order".to_owned();
    let ended = in_trouble(vec![Rule { what, after: 1, times: 5, trouble: Trouble::Hangup { done: false } }]);
    assert_eq!((ended.state.authority.orders.len(), ended.rests), (1, true));
}

#[test]
fn the_key_of_an_account_that_was_not_seen_is_not_made_anew() {
    let (case, live) = go_live(&subjects()[0]);
    let key = |ended: &Ended| {
        let secrets = ended.state.cluster.of_kind("Secret").map(|object| object.value.clone());
        secrets.into_iter().find(|secret| secret["metadata"]["name"] == "acme-letsencrypt-key").unwrap()["data"].clone()
    };
    let unseen = Trouble::Answer { status: 404, body: "{}", retry_after: None };
    let troubles = Troubles::one("GET /api/v1/namespaces/golive-system/secrets/acme-letsencrypt-key", 0, unseen);
    let again = Run { troubles, ..Run::of(&case.script) }.from(live.state.clone());
    assert!(again.calls.iter().any(|(_, what)| what.starts_with("POST") && what.ends_with("/acme-letsencrypt-key")));
    assert_eq!((key(&again), again.rests), (key(&live), true));
}

#[test]
fn what_is_new_has_no_vault_to_be_read() {
    let (_, ended) = go_live(&subjects()[0]);
    let vault = ended.calls.iter().find(|(_, what)| what.ends_with("/secrets/shop-secrets"));
    assert!(vault.is_some_and(|(_, what)| what.starts_with("POST ")), "{vault:?}");
}

#[test]
fn a_silent_api_server_does_not_hold_the_operator_for_ever() {
    let saas = subjects()[0].clone();
    let script: Vec<Act> = script::go_live(&saas);
    let silence = Trouble::Silence { done: false };
    let troubles = Troubles::one("GET /apis/golive.dev/v1alpha1/saasoperations", 0, silence);
    let (case, _) = go_live(&saas);
    // Nobody writes while the first list hangs, so the world may seem to rest: the next act waits for it.
    let mut twice = script.clone();
    twice.push(Act::Apply(saas));
    let ended = Run { troubles, ..Run::of(&twice) }.from(State::new());
    assert_eq!(case.breaches(&ended), Vec::<String>::new());
}

#[test]
fn a_clock_that_is_a_day_behind_is_told_and_golive_does_not_run_in_circles() {
    let acts = script::go_live(&subjects()[0]);
    let troubles = Troubles { ahead: SignedDuration::from_hours(-24), ..Troubles::default() };
    let ended = Run { troubles, ..Run::of(&acts) }.from(State::new());
    assert!(ended.rests && ended.requests < 1000, "{} requests", ended.requests);
    let told = ended.state.cluster.of_kind("SaasDeployment").map(|object| object.value["status"].to_string());
    assert!(told.into_iter().all(|status| status.contains("check the clock of its node")));
}

/// The values of a vault, as they are in its Secret.
fn vault(ended: &Ended, name: &str) -> Value {
    let name = format!("{name}-secrets");
    let secret = ended.state.cluster.of_kind("Secret").find(|object| object.meta("name") == name);
    secret.unwrap().value["data"].clone()
}

#[test]
fn a_rotation_is_done_once_by_a_clock_that_is_behind() {
    let troubles = || Troubles { ahead: SignedDuration::from_secs(-300), ..Troubles::default() };
    for (at, env, old) in [(3, "SESSION_KEY", "OLD_SESSION_KEY"), (4, "HOOK_SECRET", "OLD_HOOK_SECRET")] {
        let saas = &subjects()[at];
        let name = saas["metadata"]["name"].as_str().unwrap();
        let mut acts = script::go_live(saas);
        let live = Run { troubles: troubles(), ..Run::of(&acts) }.from(State::new());
        acts.push(Act::Apply(json!({
            "apiVersion": "golive.dev/v1alpha1", "kind": "SaasOperation",
            "metadata": {"name": "fresh", "namespace": script::namespace(saas)},
            "spec": {"deployment": name, "rotate": {"env": [env]}},
        })));
        let ended = Run { troubles: troubles(), ..Run::of(&acts) }.from(live.state.clone());
        let made =
            ended.calls.iter().filter(|(_, what)| what.starts_with("POST") && what.contains("/webhook_endpoints"));
        assert!(ended.rests && made.count() <= 1, "{name}: {:?}", ended.calls);
        let (before, after) = (vault(&live, name), vault(&ended, name));
        assert_ne!(before[env], after[env], "{name}");
        assert_eq!(before[env], after[old], "{name}: the value before");
    }
}

/// What Cloudflare lists under a name: contents and comments.
fn listed(state: &mut State, name: &str) -> Vec<(String, String)> {
    let zones = state.call("cloudflare", "GET /client/v4/zones?name=example.com", &Value::Null);
    let zone = zones["result"][0]["id"].as_str().unwrap();
    let rows = state.call("cloudflare", &format!("GET /client/v4/zones/{zone}/dns_records?name={name}"), &Value::Null);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rows["result"].as_array().unwrap().iter().map(|row| (text(&row["content"]), text(&row["comment"]))).collect()
}

#[test]
fn a_row_that_somebody_made_since_the_last_listing_gets_no_twin() {
    let shop = subjects()[0].clone();
    let mut late = shop.clone();
    (late["metadata"]["name"], late["spec"]["domains"]) = (json!("late"), json!(["late.example.com"]));
    let zones = State::new().call("cloudflare", "GET /client/v4/zones?name=example.com", &Value::Null);
    let path = format!("POST /client/v4/zones/{}/dns_records", zones["result"][0]["id"].as_str().unwrap());
    let row = json!({"type": "A", "name": "late.example.com", "content": "192.0.2.9", "ttl": 1, "proxied": false});
    let mut acts = script::go_live(&shop);
    acts.push(Act::AtOnce(vec![Act::Call("cloudflare", path, row), Act::Apply(late)]));
    let mut ended = Run::of(&acts).from(State::new());
    assert_eq!(listed(&mut ended.state, "late.example.com"), [("192.0.2.9".to_owned(), String::new())]);
    let reasons = ended.state.cluster.of_kind("SaasDeployment").filter(|object| object.meta("name") == "late");
    assert!(reasons.into_iter().all(|object| String::from_utf8_lossy(&object.text()).contains("RecordTaken")));
}

#[test]
fn what_is_given_up_after_a_drift_was_repaired_goes() {
    let mut shop = subjects()[0].clone();
    shop["spec"]["health"] = json!({"path": "/health"});
    shop["spec"]["resources"] = json!({"cpu": "1", "memory": "64Mi"});
    shop["spec"]["env"] = json!({"A": "1", "B": "2"});
    let plain = subjects()[0].clone();
    let drift = json!({"metadata": {"labels": {"by": "hand"}}, "spec": {"template": {
        "metadata": {"labels": {"by": "hand"}}, "spec": {"containers": [{"name": "app", "image": "evil:1"}]}}}});
    let drift = Act::Edit("Deployment", ["shop", "shop"].map(str::to_owned), drift);
    let ground = script::ground(&shop);
    let walked = [ground.clone(), vec![Act::Apply(shop), drift, Act::Apply(plain.clone())]].concat();
    let straight = [ground, vec![Act::Apply(plain)]].concat();
    let (walked, straight) = (Run::of(&walked).from(State::new()), Run::of(&straight).from(State::new()));
    assert_eq!(law::strays(&straight, &walked), Vec::<String>::new());
}

/// The shop, live, and then with another spec or another account; what stands at Stripe and how it is secured.
fn after(then: Act) -> State {
    let mut acts = script::go_live(&subjects()[0]);
    acts.push(then);
    Run::of(&acts).from(State::new()).state
}

fn with(change: impl FnOnce(&mut Value)) -> Act {
    let mut shop = subjects()[0].clone();
    change(&mut shop["spec"]);
    Act::Apply(shop)
}

fn endpoints(state: &State) -> usize {
    state.vendors.inventory(true)["stripe"].to_string().matches("https://shop.example.com/hook").count()
}

#[test]
fn an_account_that_cannot_be_told_takes_no_endpoint_away() {
    let before = endpoints(&after(with(|_| {})));
    assert!(before > 0);
    let lost = after(with(|spec| spec["payments"]["stripe"]["account"] = json!("nobody")));
    assert_eq!(endpoints(&lost), before);
    assert_eq!(endpoints(&after(with(|spec| drop(spec.as_object_mut().unwrap().remove("payments"))))), 0);
}

#[test]
fn a_host_that_is_added_takes_https_from_no_other() {
    let (_, live) = go_live(&subjects()[0]);
    let down = Trouble::Answer { status: 500, body: "{}", retry_after: None };
    let troubles = Troubles::of(Rule { what: " ca ".into(), after: 0, times: usize::MAX, trouble: down });
    let mut acts = script::go_live(&subjects()[0]);
    acts.push(with(|spec| spec["domains"] = json!(["shop.example.com", "late.example.com"])));
    let ended = Run { troubles, ..Run::of(&acts) }.from(live.state);
    let gateways = ended.state.cluster.of_kind("Gateway").map(|gateway| gateway.value["spec"]["listeners"].to_string());
    let listeners: String = gateways.collect();
    assert!(listeners.contains("http.late.example.com") && !listeners.contains("https.late.example.com"));
    assert!(listeners.contains("https.shop.example.com"), "{listeners}");
}

#[test]
fn no_row_of_ours_is_left_and_no_vault_however_an_application_ends() {
    let rows = |state: &State| state.vendors.inventory(true);
    for saas in subjects() {
        let (_, live) = go_live(&saas);
        for (case, ended) in farewells(&saas, &live.state) {
            assert_eq!(rows(&ended.state), rows(&State::new()), "{}", case.name);
            let left = ended.state.cluster.every().filter(|(key, _)| key.2.ends_with("-secrets"));
            assert_eq!((left.count(), case.breaches(&ended)), (0, Vec::new()), "{}", case.name);
            let writes = ended.writes.iter().map(|write| write.what.as_str());
            let of_cluster = |what: &&str| ["PATCH /", "POST /", "DELETE /"].iter().any(|verb| what.starts_with(verb));
            let writes: Vec<&str> = writes.filter(of_cluster).filter(|what| !what.ends_with("/status")).collect();
            assert!(writes.len() == 2 && writes[0].ends_with("-secrets"), "{}: {writes:?}", case.name);
        }
    }
}

#[test]
fn a_vault_that_an_earlier_version_left_is_held_at_first_sight_and_once() {
    let (_, live) = go_live(&subjects()[0]);
    let vault = ["shop", "shop-secrets"].map(str::to_owned);
    let free = Act::Edit("Secret", vault, json!({"metadata": {"finalizers": ["example.com/other"]}}));
    let ended = Run::of(&[script::go_live(&subjects()[0]), vec![free]].concat()).from(live.state);
    let writes: Vec<&str> = ended.writes.iter().map(|write| write.what.as_str()).collect();
    assert_eq!((writes, ended.rests), (vec!["PATCH /api/v1/namespaces/shop/secrets/shop-secrets"], true));
    let held = ended.state.cluster.of_kind("Secret").find(|object| object.meta("name") == "shop-secrets").unwrap();
    assert_eq!(held.value["metadata"]["finalizers"], json!(["example.com/other", "golive.dev/cleanup"]));
}

#[test]
fn an_object_that_the_server_did_not_let_go_is_let_go_again() {
    let (_, live) = go_live(&subjects()[0]);
    let (case, _) = sim::laws::farewell(&subjects()[0], live.state);
    let refusal = Trouble::Answer { status: 404, body: "{}", retry_after: None };
    let troubles = Troubles::one("PATCH /apis/golive.dev/v1alpha1/namespaces/shop/saasdeployments/shop", 0, refusal);
    let ended = Run { troubles, ..Run::of(&case.script) }.from(case.start.clone());
    assert_eq!(case.breaches(&ended), Vec::<String>::new());
}

#[test]
fn a_monitor_that_is_made_is_changed_and_not_made_again() {
    let (_, live) = go_live(&subjects()[0]);
    let (old, new) =
        (monitor(&live.state), monitor(&after(with(|spec| spec["monitors"]["uptime"]["path"] = json!("/other")))));
    assert!(old["url"] == "https://shop.example.com/health" && new["url"] == "https://shop.example.com/other");
    assert_eq!(old["id"], new["id"]);
}

/// The one monitor that stands at UptimeRobot.
fn monitor(state: &State) -> Value {
    let monitors = state.vendors.inventory(false)["uptimerobot"]["monitors"].clone();
    assert_eq!(monitors.as_array().map(Vec::len), Some(1), "{monitors}");
    assert!(monitors[0]["id"].is_number(), "{monitors}");
    monitors[0].clone()
}

#[test]
fn a_trial_in_test_mode_goes_live_when_all_else_is_ready_and_leaves_nothing_of_the_trial() {
    let mut shop = subjects()[0].clone();
    shop["spec"]["payments"]["stripe"]["startInTestMode"] = json!({"account": "stripe-test"});
    let (case, ended) = go_live(&shop);
    let stands = |state: &State| {
        let rows = state.vendors.inventory(true)["stripe"].clone();
        ["live", "test"].map(|mode| rows[mode]["webhookEndpoints"].as_array().unwrap().len())
    };
    assert_eq!(stands(&ended.state), [1, 0]);
    let states: Vec<_> = ended.writes.iter().filter_map(|write| write.states.as_ref()).collect();
    assert!(states.iter().any(|(_, after)| stands(after) == [0, 1]), "nothing was tried in test mode");
    let before = &states.iter().find(|(_, after)| stands(after)[0] == 1).unwrap().0;
    let told = before.cluster.of_kind("SaasDeployment").next().unwrap().value.to_string();
    assert!(told.contains("on trial with ProviderAccount `stripe-test`"), "{told}");
    let effort = Effort { stride: 9, pairs: false, walks: 0, mixes: 0 };
    assert!(case.crashes(&ended, effort, budget()).breaches.is_empty());
}

#[test]
fn what_is_live_is_not_put_on_trial() {
    let trial = |spec: &mut Value| spec["payments"]["stripe"]["startInTestMode"] = json!({"account": "stripe-test"});
    let (before, then) = (after(with(|_| {})), after(with(trial)));
    assert_eq!(before.vendors.inventory(false)["stripe"], then.vendors.inventory(false)["stripe"]);
}

#[test]
fn a_trial_with_a_live_key_is_refused() {
    let mut shop = subjects()[0].clone();
    shop["spec"]["payments"]["stripe"]["account"] = json!("stripe-test");
    shop["spec"]["payments"]["stripe"]["startInTestMode"] = json!({"account": "stripe-live"});
    let (_, ended) = go_live(&shop);
    let told = ended.state.cluster.of_kind("SaasDeployment").next().unwrap().value["status"].to_string();
    assert!(told.contains("LiveKeyInTrial") && endpoints(&ended.state) == 0, "{told}");
}

#[test]
fn a_trial_does_not_begin_again_when_the_memory_of_it_is_lost() {
    let mut shop = subjects()[0].clone();
    shop["spec"]["payments"]["stripe"]["startInTestMode"] = json!({"account": "stripe-test"});
    let vault = ["shop", "shop-secrets"].map(str::to_owned);
    let deleted = Act::Delete("Secret", vault.clone(), false);
    let lost = Act::Edit("Secret", vault, json!({"metadata": {"finalizers": null}}));
    let acts = [script::go_live(&shop), vec![deleted, lost]].concat();
    let ended = Run { keeps_states: true, ..Run::of(&acts) }.from(State::new());
    let live = |state: &State| state.vendors.inventory(true)["stripe"]["live"].to_string().contains("/hook");
    let states: Vec<&State> = ended.writes.iter().filter_map(|write| Some(&write.states.as_ref()?.1)).collect();
    let from = states.iter().position(|state| live(state)).unwrap();
    let told = |state: &State| state.cluster.of_kind("SaasDeployment").next().unwrap().value["status"].to_string();
    // The trial's end is told a few writes after the first live endpoint.
    let past = states[from..].iter().position(|state| !told(state).contains("InTestMode")).unwrap() + from;
    assert!(states[past..].iter().all(|state| live(state) && !told(state).contains("InTestMode")));
    assert!(ended.rests && endpoints(&ended.state) == 1);
}

#[test]
fn routes_that_serve_stay_while_hosts_are_divided_anew_and_the_ca_is_down() {
    let hosts = |from: usize, to: usize| (from..=to).map(|n| json!(format!("h{n}.example.com"))).collect::<Vec<_>>();
    let mut shop = subjects()[0].clone();
    shop["spec"]["domains"] = json!(hosts(1, 17));
    let (_, live) = go_live(&shop);
    let routes = |state: &State| {
        let routes = state.cluster.of_kind("HTTPRoute").filter(|route| !route.meta("name").contains("http"));
        routes.map(|route| route.value["spec"]["hostnames"].to_string()).collect::<String>()
    };
    assert!(routes(&live.state).contains("\"h17.example.com\""));
    let down = Trouble::Answer { status: 500, body: "{}", retry_after: None };
    let troubles = Troubles::of(Rule { what: " ca ".into(), after: 0, times: usize::MAX, trouble: down });
    let mut changed = shop.clone();
    changed["spec"]["domains"] = json!([hosts(3, 17), vec![json!("new.example.com")]].concat());
    let acts = [script::go_live(&shop), vec![Act::Apply(changed)]].concat();
    let ended = Run { troubles, ..Run::of(&acts) }.from(live.state);
    assert!(routes(&ended.state).contains("\"h17.example.com\""), "{}", routes(&ended.state));
}

#[test]
fn a_removal_that_is_forbidden_is_told_and_not_tried_again_and_again() {
    let forbidden = Trouble::Answer { status: 403, body: "{}", retry_after: None };
    let what = "DELETE /api/v1/namespaces/shop/secrets/shop-tls-order".to_owned();
    let troubles = Troubles::of(Rule { what, after: 0, times: usize::MAX, trouble: forbidden });
    let acts = script::go_live(&subjects()[0]);
    let ended = Run { troubles, pace: Some(Duration::from_secs(3600)), ..Run::of(&acts) }.from(State::new());
    let told = ended.state.cluster.of_kind("SaasDeployment").next().unwrap().value["status"].to_string();
    assert!(told.contains("Rejected") && told.contains("shop-tls-order"), "{told}");
    assert!(ended.requests < 3000, "{} requests in an hour", ended.requests);
}

#[test]
fn a_stage_that_goes_is_gone_before_the_next_begins() {
    let release = |image: &str| {
        let mut shop = subjects()[0].clone();
        shop["spec"]["image"] = json!(format!("registry.example.com/hello:{image}"));
        shop["spec"]["release"] = json!({"migrate": {"command": ["./migrate"]}});
        shop
    };
    let acts = [script::go_live(&release("1.0.0-missing")), vec![Act::Apply(release("1.0.1"))]].concat();
    let ended = Run { keeps_states: true, ..Run::of(&acts) }.from(State::new());
    // Whether each migration that has not ended is going.
    let open = |state: &State| -> Vec<bool> {
        let jobs = state.cluster.of_kind("Job").filter(|job| job.meta("name").contains("-migrate-"));
        let open = jobs.filter(|job| job.value["status"]["conditions"].is_null());
        open.map(|job| !job.value["metadata"]["deletionTimestamp"].is_null()).collect()
    };
    let at = |verb: &str| {
        let writes =
            ended.writes.iter().filter(|write| write.what.starts_with(verb) && write.what.contains("shop-migrate-"));
        writes.map(|write| write.states.as_ref().unwrap()).collect::<Vec<_>>()
    };
    let (made, deleted) = (at("POST"), at("DELETE"));
    assert_eq!((made.len(), deleted.len()), (2, 1));
    assert_eq!(open(&deleted[0].1), [true], "it stays until its pod is gone");
    assert!(made.iter().all(|(before, _)| open(before).is_empty()));
    assert!(law::is_live(&ended.state));
}
