//! At rest nothing is written, and vendors hear no more than one listing in each interval.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::csvboard::csvboard;
use crate::stage::{Outcome, REFRESH, RESYNC, Stage, until};

/// The defaults of the chart, in seconds.
const DEFAULT: u64 = 60;

pub fn nothing_is_written(stage: &Stage) -> Outcome<()> {
    let _turn = csvboard(stage)?;
    stage.configure(DEFAULT, DEFAULT)?;
    settled(stage)?;
    let before = stage.audited()?;
    stage.control("DELETE", "/calls", json!({}))?;
    std::thread::sleep(Duration::from_secs(3 * DEFAULT));
    assert_eq!(writes(stage, before)?, Vec::<String>::new());
    let calls = stage.control("GET", "/calls", json!({}))?;
    stage.configure(RESYNC, REFRESH)?;
    once_in_each_interval(&calls)
}

/// A quarter of an interval in which nothing is written: what the last scenario left is done.
fn settled(stage: &Stage) -> Outcome<()> {
    until(Duration::from_secs(60), || {
        let before = stage.audited()?;
        std::thread::sleep(Duration::from_secs(DEFAULT / 4));
        Ok(writes(stage, before)?.is_empty().then_some(()))
    })
}

/// Vendors are only listed, and each list once in an interval: of three intervals that begin anywhere, at most four.
fn once_in_each_interval(calls: &Value) -> Outcome<()> {
    let ours = calls.as_array().into_iter().flatten();
    let ours = ours.filter(|call| call["userAgent"].as_str().is_some_and(|agent| agent.starts_with("golive/")));
    let mut lists: BTreeMap<String, usize> = BTreeMap::new();
    for call in ours {
        assert_eq!(call["method"], "GET", "{call}");
        *lists.entry(format!("{} {} {}", call["vendor"], call["credential"], call["path"])).or_default() += 1;
    }
    assert!(!lists.is_empty() && lists.values().all(|times| *times <= 4), "{lists:#?}");
    Ok(())
}

/// What the operator wrote since a place in the audit log, but for its lease.
fn writes(stage: &Stage, from: u64) -> Outcome<Vec<String>> {
    let events = stage.audit_since(from)?.into_iter();
    let writes = events.filter(|e| ["create", "update", "patch", "delete"].iter().any(|verb| e["verb"] == *verb));
    let named = writes.map(|e| format!("{} {} {}", e["verb"], e["objectRef"]["resource"], e["objectRef"]["name"]));
    Ok(named.filter(|text| !text.contains("leases")).collect())
}
