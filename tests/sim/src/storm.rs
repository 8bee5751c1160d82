//! Many applications at one moment, before vendors that hold to their true limits.

use serde_json::{Value, json};

use crate::flaw::Flaw;
use crate::law::is_live;
use crate::laws::Figure;
use crate::place::{State, ZONES};
use crate::run::{Ended, Run};
use crate::script;
use crate::trouble::Troubles;

/// What each vendor may be asked by one credential of golive's: at once, and then in a second. It is a share of the vendor's
/// limit, for the credential is not golive's alone; UptimeRobot tells only with its first answer that its plan is no free one.
const SHARES: [(&str, f64, f64); 2] = [("cloudflare", 60.0, 1.0), ("uptimerobot", 5.0, 100.0 / 120.0)];
/// As many as fit into the free zones and the plan.
pub const APPLICATIONS: usize = 48;

/// What a change of a table costs beside itself: it is listed anew before names are claimed, and after them.
const OVER: f64 = 1.5;
/// The most changes that Cloudflare takes in one request.
const BATCH: usize = 200;

/// What came of it.
pub struct Storm {
    /// Requests that a vendor refused as too many.
    pub refused: Vec<String>,
    /// Requests to each vendor, beside the least that do.
    pub calls: Vec<(&'static str, usize, usize)>,
    /// Seconds from the first application until the last write.
    pub seconds: f64,
    /// The least time in seconds in which golive's share of the limits lets the least requests pass.
    pub least: f64,
    /// Whether every application went live.
    pub live: bool,
}

impl Storm {
    /// Requests over the fewest.
    fn over(&self) -> f64 {
        let sum = |of: fn(&(&str, usize, usize)) -> usize| self.calls.iter().map(of).sum::<usize>() as f64;
        sum(|calls| calls.1) / sum(|calls| calls.2)
    }

    fn told(&self) -> String {
        let each = self.calls.iter().map(|(vendor, calls, fewest)| format!("{vendor} {calls} for {fewest}"));
        each.collect::<Vec<_>>().join(", ")
    }
}

/// So many applications, each with a host, a certificate and a monitor, all applied at one moment.
pub fn of(applications: usize) -> Storm {
    with(applications, None)
}

/// The same, where the operator has a bug.
pub fn with(applications: usize, flaw: Option<Flaw>) -> Storm {
    let script = [script::at_once((0..applications).map(application).collect())];
    let troubles = Troubles { flaw, ..Troubles::default() };
    let ended = Run { troubles, ..Run::of(&script) }.from(State::new());
    Storm {
        refused: ended.refused.clone(),
        calls: SHARES.map(|(vendor, ..)| (vendor, calls(&ended, vendor), fewest(vendor, applications))).into(),
        seconds: ended.writes.last().map_or(0.0, |write| write.time.as_secs_f64()),
        least: SHARES.map(|share| least(share, applications)).into_iter().fold(0.0, f64::max),
        live: ended.rests && is_live(&ended.state),
    }
}

/// The figures of a storm.
pub fn figures() -> Vec<Figure> {
    let (one, storm) = (of(1), of(APPLICATIONS));
    let over = storm.seconds / (storm.least + one.seconds);
    let total: usize = storm.calls.iter().map(|(_, calls, _)| calls).sum();
    let figure = |id, what, goal: String, figure, passes| Figure { id, what, goal, figure, passes };
    vec![
        figure(
            "P4",
            "a storm of applications: requests to vendors, over the fewest that could do",
            format!("at most {OVER}"),
            format!("{:.2} ({})", storm.over(), storm.told()),
            storm.live && storm.over() <= OVER,
        ),
        figure(
            "P5",
            "requests that vendors refuse as too many",
            "0".into(),
            format!("{} of {}, {APPLICATIONS} applications", storm.refused.len(), total),
            storm.live && storm.refused.is_empty(),
        ),
        figure(
            "P5",
            "its time, over the least that golive's share of the limits allows",
            "at most 1.05".into(),
            format!("{over:.2} ({:.0} s)", storm.seconds),
            storm.live && over <= 1.05,
        ),
    ]
}

fn application(number: usize) -> Value {
    let (name, zone) = (format!("app-{number:03}"), ZONES[number % ZONES.len()]);
    let mut saas = script::least(["storm", &name, &format!("{name}.{zone}")]);
    saas["spec"]["monitors"] = json!({"uptime": {"path": "/", "everySeconds": 300, "failures": 3}});
    saas
}

/// The requests to a vendor until the last write.
fn calls(ended: &Ended, vendor: &str) -> usize {
    let last = ended.writes.last().map_or(0, |write| write.at);
    let until = ended.calls.iter().take_while(|(at, _)| *at <= last);
    until.filter(|(_, what)| what.split(' ').nth(1) == Some(vendor)).count()
}

/// The fewest requests that bring so many applications up, where each is known to be needed: a listing of each table; of each
/// zone the records with their proofs, and the end of the proofs, as many in a request as it takes; each monitor by itself.
fn fewest(vendor: &str, applications: usize) -> usize {
    let zones = applications.min(ZONES.len());
    let batches = (2 * applications.div_ceil(zones)).div_ceil(BATCH) + applications.div_ceil(zones).div_ceil(BATCH);
    match vendor {
        "cloudflare" => 1 + zones * (1 + batches),
        _ => 2 + applications,
    }
}

/// How long a vendor's share takes for the fewest requests.
fn least((vendor, burst, rate): (&str, f64, f64), applications: usize) -> f64 {
    (fewest(vendor, applications) as f64 - burst).max(0.0) / rate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_keeps_to_the_vendors_limits_and_wastes_no_time() {
        let (one, storm) = (of(1), of(APPLICATIONS));
        assert!(one.live && storm.live);
        assert_eq!(storm.refused, Vec::<String>::new());
        let least = storm.least + one.seconds;
        assert!(storm.seconds <= 1.05 * least, "{} s where {least} s do", storm.seconds);
        assert!(storm.over() <= OVER, "{}", storm.told());
    }
}
