//! UptimeRobot without sockets: what the official Terraform provider relies on, and what it works around.

mod common;

use std::time::Duration;

use common::{MONITORS, seed};
use serde_json::{Value, json};
use vendors::clock::Moment;
use vendors::message::{Request, Response};
use vendors::{Config, Vendors};

struct Account {
    vendors: Vendors,
    now: Moment,
}

impl Account {
    fn open() -> Self {
        let config = Config::local("unused", seed());
        Self { vendors: Vendors::new(&config), now: Moment(1_800_000_000_000) }
    }

    fn call(&mut self, method: &str, target: &str, body: &Value) -> Response {
        let request = Request::new(method, target).header("authorization", &format!("Bearer {MONITORS}"));
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        self.vendors.serve("uptimerobot", self.now, &request).answer
    }

    fn create(&mut self, name: &str) -> Response {
        self.call("POST", "/v3/monitors", &monitor(name))
    }

    fn listed(&mut self) -> Vec<Value> {
        self.call("GET", "/v3/monitors", &Value::Null).value()["data"].as_array().unwrap().clone()
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }
}

fn monitor(name: &str) -> Value {
    json!({
        "friendlyName": name, "url": "https://app.example.com/health", "type": "HTTP", "interval": 60, "timeout": 30,
        "customFields": {"golive": "c1/u1"}, "tagNames": ["golive"],
    })
}

#[test]
fn lists_lag_behind_but_single_reads_do_not() {
    let mut account = Account::open();
    let made = account.create("app").value();
    let path = format!("/v3/monitors/{}", made["id"]);
    assert_eq!(account.call("GET", &path, &Value::Null).value()["friendlyName"], "app");
    assert!(account.listed().is_empty(), "not yet");
    account.pass(2);
    assert_eq!(account.listed()[0]["id"], made["id"]);
    assert_eq!(account.call("PATCH", &path, &json!({"interval": 300})).value()["interval"], 300);
    assert_eq!(account.listed()[0]["interval"], 60, "the old one still");
    account.pass(2);
    assert_eq!(account.listed()[0]["interval"], 300);
    assert_eq!(account.call("DELETE", &path, &Value::Null).status, 204);
    assert_eq!(account.call("DELETE", &path, &Value::Null).status, 404);
    assert_eq!(account.listed().len(), 1, "still shown");
    account.pass(2);
    assert!(account.listed().is_empty());
}

#[test]
fn a_patch_keeps_what_it_does_not_name() {
    let mut account = Account::open();
    let made = account.create("app").value();
    let contacts = json!([{"alertContactId": "7", "threshold": 2, "recurrence": 0}]);
    let path = format!("/v3/monitors/{}", made["id"]);
    let changed = account.call("PATCH", &path, &json!({"assignedAlertContacts": contacts})).value();
    assert_eq!(changed["assignedAlertContacts"], contacts);
    assert_eq!((&changed["customFields"], &changed["url"]), (&made["customFields"], &made["url"]));
}

#[test]
fn values_come_back_escaped() {
    let mut account = Account::open();
    let mut body = monitor("a & b <c>");
    body["customFields"] = json!({"mark": "x\"y'z"});
    let made = account.call("POST", "/v3/monitors", &body).value();
    assert_eq!(made["friendlyName"], "a &amp; b &lt;c&gt;");
    assert_eq!(made["customFields"]["mark"], "x&quot;y&#39;z");
}

#[test]
fn pages_follow_a_cursor_and_filters_choose() {
    let mut account = Account::open();
    for number in 0..7 {
        assert_eq!(account.create(&format!("m{number}")).status, 201);
    }
    account.pass(2);
    let (mut target, mut names) = ("/v3/monitors?limit=3".to_string(), Vec::new());
    loop {
        let page = account.call("GET", &target, &Value::Null).value();
        names.extend(
            page["data"].as_array().unwrap().iter().map(|row| row["friendlyName"].as_str().unwrap().to_string()),
        );
        let Some(next) = page["nextLink"].as_str() else { break };
        target = next.trim_start_matches("https://api.uptimerobot.com").to_string();
    }
    assert_eq!(names, (0..7).map(|number| format!("m{number}")).collect::<Vec<_>>());
    for (filter, count) in
        [("name=m3", 1), ("customField=golive:c1/u1", 7), ("customField=golive:other", 0), ("tags=golive", 7)]
    {
        let found = account.call("GET", &format!("/v3/monitors?{filter}"), &Value::Null).value();
        assert_eq!(found["data"].as_array().unwrap().len(), count, "{filter}");
    }
}

#[test]
fn bodies_that_break_a_rule_are_refused() {
    let cases = [
        ("interval", json!(30), "below the plan"),
        ("interval", json!(null), "missing"),
        ("type", json!("SMOKE"), "unknown type"),
        ("url", json!("not a url"), "no URL"),
        ("friendlyName", json!(""), "empty name"),
        ("customFields", json!({"bad key": "v"}), "letters of a key"),
        ("customFields", json!({"k": "v".repeat(256)}), "length of a value"),
        ("tagNames", json!(["Upper"]), "upper case"),
        (
            "assignedAlertContacts",
            json!([{"alertContactId": 7, "threshold": 0, "recurrence": 0}]),
            "number for a string",
        ),
        ("colour", json!("blue"), "unknown field"),
    ];
    let mut account = Account::open();
    for (field, value, reason) in cases {
        let mut body = monitor("app");
        body[field] = value;
        assert_eq!(account.call("POST", "/v3/monitors", &body).status, 400, "{reason}");
    }
    assert_eq!(account.vendors.inventory(true)["uptimerobot"]["monitors"], json!([]));
}

#[test]
fn the_plan_ends_at_fifty_monitors() {
    let mut account = Account::open();
    for number in 0..50 {
        assert_eq!(account.create(&format!("m{number}")).status, 201);
    }
    assert_eq!(account.create("one more").status, 403);
    let me = account.call("GET", "/v3/user/me", &Value::Null).value();
    assert_eq!((&me["monitorsCount"], &me["monitorLimit"]), (&json!(50), &json!(50)));
}

#[test]
fn a_hundred_calls_a_minute_and_no_more() {
    let mut account = Account::open();
    for left in (0..100).rev() {
        let answer = account.call("GET", "/v3/user/me", &Value::Null);
        assert_eq!(answer.head("x-ratelimit-remaining"), Some(left.to_string().as_str()));
    }
    let refused = account.call("GET", "/v3/user/me", &Value::Null);
    assert_eq!((refused.status, refused.head("retry-after")), (429, Some("60")));
    account.pass(60);
    assert_eq!(account.call("GET", "/v3/user/me", &Value::Null).status, 200);
}

#[test]
fn a_monitor_is_due_once_in_each_interval() {
    let mut account = Account::open();
    account.create("app");
    assert_eq!(account.vendors.uptimerobot.due(account.now).len(), 1, "at once");
    account.pass(59);
    assert!(account.vendors.uptimerobot.due(account.now).is_empty());
    account.pass(1);
    let due = account.vendors.uptimerobot.due(account.now);
    assert_eq!((due[0].url.as_str(), due[0].method.as_str()), ("https://app.example.com/health", "HEAD"));
    assert!(account.vendors.uptimerobot.due(account.now).is_empty());
}

#[test]
fn unknown_keys_are_refused() {
    let mut account = Account::open();
    let request = Request::new("GET", "/v3/monitors").header("authorization", "Bearer someone");
    assert_eq!(account.vendors.serve("uptimerobot", account.now, &request).answer.status, 401);
}
