//! At rest nothing is written, and vendors hear no more than one listing in each interval.

use std::time::Duration;

use serde_json::{Value, json};

use crate::csvboard::csvboard;
use crate::stage::{Outcome, RESYNC, Stage, until};

pub fn nothing_is_written(stage: &Stage) -> Outcome<()> {
    let _turn = csvboard(stage)?;
    let settled = until(Duration::from_secs(60), || {
        let before = stage.audited()?;
        std::thread::sleep(Duration::from_secs(RESYNC));
        Ok(writes(stage, before)?.is_empty().then_some(()))
    });
    settled?;
    let before = stage.audited()?;
    stage.control("DELETE", "/calls", json!({}))?;
    std::thread::sleep(Duration::from_secs(3 * RESYNC));
    assert_eq!(writes(stage, before)?, Vec::<String>::new());
    let calls = stage.vendor(&[&format!("{}/calls", stage.env["VENDORS_CONTROL"])])?;
    let list = calls.as_array().cloned().or(calls["calls"].as_array().cloned()).unwrap_or_default();
    let ours: Vec<&Value> =
        list.iter().filter(|c| c["userAgent"].as_str().is_some_and(|agent| agent.starts_with("golive/"))).collect();
    assert!(ours.iter().all(|c| c["method"] == "GET"), "{ours:?}");
    // Six tables (zones, records, endpoints, monitors, projects and a project's keys), once in each interval, and one for the edges of the window.
    assert!(ours.len() <= 6 * 4, "{} calls", ours.len());
    Ok(())
}

/// What the operator wrote since a place in the audit log, but for its lease.
fn writes(stage: &Stage, from: u64) -> Outcome<Vec<String>> {
    let events = stage.audit_since(from)?.into_iter();
    let writes = events.filter(|e| ["create", "update", "patch", "delete"].iter().any(|verb| e["verb"] == *verb));
    let named = writes.map(|e| format!("{} {} {}", e["verb"], e["objectRef"]["resource"], e["objectRef"]["name"]));
    Ok(named.filter(|text| !text.contains("leases")).collect())
}
