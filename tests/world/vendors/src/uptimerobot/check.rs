//! Which monitors are due to be checked, and what became of it. Visiting is the transport's work.

use std::time::Duration;

use serde_json::{Value, json};

use super::State;
use super::monitor::{Fields, Monitor};
use crate::clock::Moment;

/// One visit to be made.
#[derive(Clone, Debug)]
pub struct Check {
    pub id: u64,
    pub url: String,
    pub method: String,
    pub timeout: Duration,
}

impl State {
    /// Takes the monitors whose interval is over.
    pub fn due(&mut self, now: Moment) -> Vec<Check> {
        self.take(now, |monitor, fields| {
            monitor.last_check.is_none_or(|last| now >= last.plus(seconds(fields, "interval")))
        })
    }

    /// Takes all monitors, due or not.
    pub fn all_checks(&mut self, now: Moment) -> Vec<Check> {
        self.take(now, |_, _| true)
    }

    fn take(&mut self, now: Moment, wanted: impl Fn(&Monitor, &Fields) -> bool) -> Vec<Check> {
        let monitors = self.accounts.values_mut().flat_map(|account| &mut account.monitors);
        let mut checks = Vec::new();
        for monitor in monitors {
            let fields = monitor.fields().filter(|fields| fields["type"] == "HTTP" && wanted(monitor, fields));
            if let Some(check) = fields.map(|fields| check(monitor.id, fields)) {
                monitor.last_check = Some(now);
                checks.push(check);
            }
        }
        checks
    }

    /// Takes note of a visit.
    pub fn checked(&mut self, now: Moment, id: u64, outcome: Result<u16, String>) {
        let mut monitors = self.accounts.values_mut().flat_map(|account| &mut account.monitors);
        if let Some(monitor) = monitors.find(|monitor| monitor.id == id) {
            monitor.last_check = Some(now);
            monitor.last_outcome = Some(outcome);
        }
    }

    /// What each monitor saw last.
    pub fn checks(&self) -> Value {
        let monitors = self.accounts.values().flat_map(|account| &account.monitors);
        let alive = monitors.filter_map(|monitor| monitor.fields().map(|fields| (monitor, fields)));
        alive.map(|(monitor, fields)| shown(monitor, fields)).collect()
    }
}

fn check(id: u64, fields: &Fields) -> Check {
    let text = |name: &str| fields[name].as_str().unwrap_or_default().to_string();
    Check { id, url: text("url"), method: text("httpMethodType"), timeout: seconds(fields, "timeout") }
}

fn seconds(fields: &Fields, name: &str) -> Duration {
    Duration::from_secs(fields.get(name).and_then(Value::as_u64).unwrap_or(60))
}

fn shown(monitor: &Monitor, fields: &Fields) -> Value {
    let outcome = monitor.last_outcome.as_ref();
    json!({
        "id": monitor.id, "url": fields["url"], "status": monitor.status(),
        "responseCode": outcome.and_then(|outcome| outcome.as_ref().ok()),
        "error": outcome.and_then(|outcome| outcome.as_ref().err()),
        "checkedAt": monitor.last_check.map(|last| last.0),
    })
}
