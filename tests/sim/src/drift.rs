//! What somebody deletes at a vendor, and how soon golive has it back.

use std::time::Duration;

use serde_json::Value;

use crate::doors::Write;
use crate::law::is_live;
use crate::laws::Figure;
use crate::place::State;
use crate::run::{Act, Ended, Run, SETTLED};
use crate::script;

/// As many zones of one token as golive's share of its limit lets it list in a minute.
const ZONES: usize = 60;
/// How many records are lost, one after the other.
const LOST: usize = 8;
/// What all zones are below.
const ABOVE: &str = "many.example";
/// A listing counts as fresh for a minute; and a record is made two requests later, of which one passes in a second.
const GOAL: f64 = 62.0;

/// The seconds from the loss of a record until it is back, of each that is lost: of so many zones, with an application in
/// each. `None` where one never comes back.
pub fn seconds(zones: usize) -> Option<Vec<f64>> {
    let names: Vec<String> = (0..zones).map(|number| format!("zone-{number:02}.{ABOVE}")).collect();
    let live = script::at_once(names.iter().map(|zone| application(zone)).collect());
    let losses = (0..LOST).map(|loss| Act::Lose("cloudflare", format!("app.{}", names[7 * loss % zones])));
    let script: Vec<Act> = std::iter::once(live).chain(losses).collect();
    let ended = Run::of(&script).from(State::with_zones(&names, &[format!("*.{ABOVE}")]));
    let rests = ended.writes.windows(2).filter(|pair| pair[1].time - pair[0].time >= SETTLED).map(|pair| &pair[0]);
    let back: Option<Vec<f64>> = rests.map(|rest| back(&ended, rest).map(|time| time.as_secs_f64())).collect();
    back.filter(|back| back.len() == LOST && ended.rests && is_live(&ended.state))
}

/// The time from the loss that ended a rest until a record was made.
fn back(ended: &Ended, rest: &Write) -> Option<Duration> {
    let (made, _) = ended.calls.iter().find(|(at, what)| *at > rest.at && what.starts_with("POST cloudflare"))?;
    let told = ended.writes.iter().find(|write| write.at > *made)?;
    Some(told.time - rest.time - SETTLED)
}

/// The figure beside its goal.
pub fn figure() -> Figure {
    let found = seconds(ZONES).map(|all| all.into_iter().fold(0.0, f64::max));
    Figure {
        id: "P12",
        what: "a record that others deleted is back, with 60 zones at one token",
        goal: format!("within {GOAL} s"),
        figure: found.map_or("never".into(), |seconds| format!("{seconds:.0} s, the latest of {LOST}")),
        passes: found.is_some_and(|seconds| seconds <= GOAL),
    }
}

fn application(zone: &str) -> Value {
    script::least(["drift", &zone.replace('.', "-"), &format!("app.{zone}")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_delete_is_back_within_a_minute() {
        let seconds = seconds(3).expect("each record is made again");
        assert!(seconds.iter().all(|seconds| *seconds <= GOAL), "{seconds:?}");
    }
}
