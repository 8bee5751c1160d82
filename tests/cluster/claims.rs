//! Whose row, whose host: what others made is touched only when that is asked for, and a host has one owner.

use serde_json::{Value, json};

use crate::apps::{hello, shows};
use crate::stage::{Outcome, Stage};

/// The zone's records at Cloudflare, by its own API.
struct Zone<'a> {
    stage: &'a Stage,
    records: String,
    authorization: String,
}

impl<'a> Zone<'a> {
    fn find(stage: &'a Stage) -> Outcome<Zone<'a>> {
        let authorization = format!("Authorization: Bearer {}", stage.env["CLOUDFLARE_TOKEN"]);
        let zones = format!("{}/zones", stage.env["CLOUDFLARE_API"]);
        let found = stage.vendor(&["-H", &authorization, &format!("{zones}?name=example.com")])?;
        let id = found["result"][0]["id"].as_str().ok_or("no zone")?.to_owned();
        Ok(Zone { stage, records: format!("{zones}/{id}/dns_records"), authorization })
    }

    fn call(&self, method: &str, path: &str, row: &Value) -> Outcome<Value> {
        let url = format!("{}{path}", self.records);
        let row = row.to_string();
        let json = "Content-Type: application/json";
        let said = self.stage.vendor(&["-X", method, "-H", &self.authorization, "-H", json, "-d", &row, &url])?;
        assert_eq!(said["success"], true, "{said}");
        Ok(said["result"].clone())
    }

    /// The only record of a name.
    fn only(&self, name: &str) -> Outcome<Value> {
        let listed = self.stage.vendor(&["-H", &self.authorization, &format!("{}?name={name}", self.records)])?;
        match listed["result"].as_array().map(Vec::as_slice) {
            Some([only]) => Ok(only.clone()),
            other => Err(format!("not one record of {name}: {other:?}").into()),
        }
    }
}

fn record(name: &str, content: &str) -> Value {
    json!({"type": "A", "name": name, "content": content, "ttl": 1, "proxied": false})
}

/// A row that somebody else made: kept, taken over once it is as wanted, taken over as it is.
pub fn rows_of_others(stage: &Stage) -> Outcome<()> {
    let zone = Zone::find(stage)?;
    stage.tenant("rows")?;
    let name = "taken.example.com";
    let apply = |adopt: &str| stage.apply(&hello("rows", "taken", json!({"dns": {"adopt": adopt}})));
    let theirs = zone.call("POST", "", &record(name, "192.0.2.9"))?;
    for adopt in ["Never", "IfIdentical"] {
        apply(adopt)?;
        let held = stage.condition(("rows", "taken"), "DnsReady", ("False", "RecordTaken"))?;
        let message = held["message"].as_str().unwrap_or_default();
        let both = message.contains("192.0.2.9") && message.contains(&stage.env["GATEWAY_HOST"]);
        assert!(both && message.contains("dns.adopt"), "{message}");
        assert_eq!(zone.only(name)?, theirs, "{adopt}");
    }
    zone.call(
        "PATCH",
        &format!("/{}", theirs["id"].as_str().unwrap_or_default()),
        &record(name, &stage.env["GATEWAY_HOST"]),
    )?;
    stage.live("rows", "taken")?;
    is_ours(&zone, &theirs, stage)?;
    let other = zone.call("POST", "", &record("asis.example.com", "192.0.2.10"))?;
    stage.apply(&hello("rows", "asis", json!({"dns": {"adopt": "Always"}})))?;
    stage.live("rows", "asis")?;
    is_ours(&zone, &other, stage)?;
    stage.kubectl(&["delete", "saas", "--all", "-n", "rows", "--timeout=90s"])?;
    assert!(zone.only(name).is_err() && zone.only("asis.example.com").is_err(), "what was adopted goes with its owner");
    Ok(())
}

/// The same row, now as wanted and with our mark.
fn is_ours(zone: &Zone<'_>, before: &Value, stage: &Stage) -> Outcome<()> {
    let now = zone.only(before["name"].as_str().unwrap_or_default())?;
    assert_eq!((&now["id"], &now["content"]), (&before["id"], &json!(stage.env["GATEWAY_HOST"])));
    assert!(now["comment"].as_str().is_some_and(|comment| comment.starts_with("golive/")), "{now}");
    Ok(())
}

/// Of two that name a host the first has it; the other says so, and gets it when the first goes.
pub fn one_host_for_two(stage: &Stage) -> Outcome<()> {
    let zone = Zone::find(stage)?;
    stage.tenant("first")?;
    stage.tenant("second")?;
    let host = "shared.example.com";
    let apply = |namespace: &str| {
        let more = json!({"domains": [host], "env": {"WHO": namespace}});
        stage.apply(&hello(namespace, namespace, more))
    };
    apply("first")?;
    stage.live("first", "first")?;
    apply("second")?;
    for part in ["DnsReady", "EdgeReady"] {
        let held = stage.condition(("second", "second"), part, ("False", "HostClaimed"))?;
        assert!(held["message"].as_str().is_some_and(|text| text.contains("first/first")), "{held}");
    }
    stage.condition(("second", "second"), "AppReady", ("True", ""))?;
    stage.live("first", "first")?;
    assert!(zone.only(host)?["comment"].as_str().is_some_and(|comment| comment.ends_with("first/first")));
    shows(stage, &format!("https://{host}/"), "from first-")?;
    stage.kubectl(&["delete", "saas", "first", "-n", "first", "--timeout=90s"])?;
    stage.live("second", "second")?;
    assert!(zone.only(host)?["comment"].as_str().is_some_and(|comment| comment.ends_with("second/second")));
    shows(stage, &format!("https://{host}/"), "from second-")?;
    stage.kubectl(&["delete", "saas", "second", "-n", "second", "--timeout=90s"]).map(drop)
}

/// A Service and a ServiceAccount of somebody else's have the names that golive's would have: golive never writes to them, that is
/// said, and once they are gone golive makes its own.
pub fn objects_of_others(stage: &Stage) -> Outcome<()> {
    let (space, name) = ("namesakes", "namesake");
    stage.tenant(space)?;
    let theirs = json!({"name": name, "namespace": space, "labels": {"theirs": "yes"}});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": theirs});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": theirs,
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}});
    stage.apply(&account.to_string())?;
    stage.apply(&service.to_string())?;
    let show = |kind: &str| stage.json(&["get", kind, name, "-n", space, "--show-managed-fields"]);
    let before = ["serviceaccount", "service"].map(|kind| (kind, show(kind)));
    stage.apply(&hello(space, name, json!({})))?;
    let held = stage.condition((space, name), "AppReady", ("False", "Rejected"))?;
    assert!(held["message"].as_str().is_some_and(|text| text.contains("exists and is not golive's")), "{held}");
    for (kind, before) in before {
        assert_eq!(show(kind)?, before?, "not a version of it is golive's");
        stage.kubectl(&["delete", kind, name, "-n", space])?;
    }
    stage.apply(&hello(space, name, json!({"env": {"AFTER": "all"}})))?;
    stage.live(space, name)?;
    stage.kubectl(&["delete", "saas", name, "-n", space, "--timeout=90s"]).map(drop)
}
