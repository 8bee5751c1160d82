//! A run in words.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cluster::resource::Target;
use crate::doors::Write;
use crate::place::State;
use crate::run::Ended;

/// What each act came to: writes and what conditions turned to, in order. Acts are counted from `first`.
pub fn transcript(ended: &Ended, first: usize) -> BTreeMap<usize, Vec<String>> {
    let mut told: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for write in &ended.writes {
        let Some((before, after)) = &write.states else { continue };
        // The act that is under way is the last that has begun.
        let Some(act) = before.step.checked_sub(first + 1) else { continue };
        let lines = told.entry(act).or_default();
        for line in lines_of(write, before, after) {
            push(lines, line);
        }
    }
    told
}

/// A line that says the same as the last is counted with it.
fn push(lines: &mut Vec<String>, line: String) {
    let last = lines.last_mut().filter(|last| last.split(" (").next() == Some(&line));
    match last {
        Some(last) => {
            let times = last.rsplit_once('(').and_then(|(_, n)| n.strip_suffix(" times)")?.parse().ok()).unwrap_or(1);
            *last = format!("{line} ({} times)", times + 1);
        }
        None => lines.push(line),
    }
}

fn lines_of(write: &Write, before: &State, after: &State) -> Vec<String> {
    let (method, place) = write.what.split_once(' ').unwrap_or_default();
    match Target::of(place) {
        Some(target) if target.subresource == "status" => turned(before, after),
        Some(target) => vec![format!("{} {} {}", verb(method), target.resource.kind, target.name)],
        None => vec![masked(&write.what)],
    }
}

fn verb(method: &str) -> &'static str {
    match method {
        "PATCH" => "apply",
        "POST" => "create",
        "PUT" => "replace",
        _ => "delete",
    }
}

/// The conditions that a write turned: `DnsReady=True InSync`.
fn turned(before: &State, after: &State) -> Vec<String> {
    let (old, new) = (conditions(before), conditions(after));
    new.into_iter()
        .filter(|(key, said)| old.get(key) != Some(said))
        .map(|((_, kind), said)| format!("  {kind}={said}"))
        .collect()
}

fn conditions(state: &State) -> BTreeMap<(String, String), String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut all = BTreeMap::new();
    for saas in state.cluster.of_kind("SaasDeployment") {
        for c in saas.value["status"]["conditions"].as_array().into_iter().flatten() {
            if !["Reconciling", "Stalled"].contains(&c["type"].as_str().unwrap_or_default()) {
                let key = (saas.meta("name").to_owned(), text(&c["type"]));
                all.insert(key, format!("{} {}", text(&c["status"]), text(&c["reason"])));
            }
        }
    }
    all
}

/// A vendor's path without ids and tokens, which say nothing to readers.
fn masked(what: &str) -> String {
    let random = |part: &str| part.len() > 8 && part.contains(|c: char| c.is_ascii_digit());
    what.split('/').map(|part| if random(part) { "…" } else { part }).collect::<Vec<_>>().join("/")
}

/// How it ended: what stands ready, what came of requests, and the warnings that were told in events.
pub fn end(state: &State) -> String {
    let ready = state.cluster.of_kind("SaasDeployment").map(|saas| {
        let list = saas.value["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ready = list.iter().find(|c| c["type"] == "Ready").cloned().unwrap_or_default();
        let word = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
        format!("{}: Ready={} {}: {}\n", saas.meta("name"), word("status"), word("reason"), word("message"))
    });
    let asked = state.cluster.of_kind("SaasOperation").map(|operation| {
        let status = &operation.value["status"];
        let word = |at: &str| status.pointer(at).and_then(Value::as_str).unwrap_or_default();
        format!("{}: {}: {}\n", operation.meta("name"), word("/conditions/0/reason"), word("/message"))
    });
    let ready: String = ready.chain(asked).collect();
    let mut events: Vec<String> = state.cluster.of_kind("Event").filter_map(|event| said(&event.value)).collect();
    events.sort();
    events.dedup();
    ready + &events.concat()
}

/// An event that people should know of.
fn said(event: &Value) -> Option<String> {
    let warns = event["type"] == "Warning";
    warns.then(|| {
        format!(
            "event {}: {}\n",
            event["reason"].as_str().unwrap_or_default(),
            event["note"].as_str().unwrap_or_default()
        )
    })
}
