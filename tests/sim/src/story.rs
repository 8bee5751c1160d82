//! Stories: a script in, a transcript out. Lines that begin with `>` are what users do and what befalls the world; below
//! each stands what the operator then changed and what the conditions said, in order. Lines that begin with `-` are done
//! in silence: what came before.

mod told;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::cluster::resource::Resource;
use crate::cluster::write::patched;
use crate::laws::subjects;
use crate::place::State;
use crate::run::{Act, Ended, Run};
use crate::script;
use crate::trouble::{Rule, Trouble};

/// How long each act is followed, where the world does not come to rest: a vendor that is down is asked again and again.
const PACE: Duration = Duration::from_secs(600);

/// Plays a story's script, and gives the story with the transcript of now.
///
/// # Errors
/// A line is no command.
pub fn play(story: &str) -> Result<String, String> {
    let lines: Vec<&str> = story.lines().filter(|line| line.starts_with(['>', '-', '#'])).collect();
    let mut cast = Cast::default();
    let commands = lines.iter().filter_map(|line| line.strip_prefix(['>', '-']));
    let acts = commands.map(|line| cast.act(line.trim())).collect::<Result<Vec<Act>, String>>()?;
    let whole = [vec![Act::Ground(cast.ground)], acts.clone()].concat();
    let ended = Run { keeps_states: true, pace: Some(PACE), ..Run::of(&whole) }.from(State::new());
    Ok(with_transcript(&lines, &told::transcript(&ended, whole.len() - acts.len()), &ended))
}

fn with_transcript(lines: &[&str], told: &BTreeMap<usize, Vec<String>>, ended: &Ended) -> String {
    let mut text = String::new();
    let mut act = 0;
    for line in lines {
        text.push_str(line);
        text.push('\n');
        if line.starts_with('>') {
            told.get(&act).into_iter().flatten().for_each(|told| text.push_str(&format!("    {told}\n")));
        }
        act += usize::from(line.starts_with(['>', '-']));
    }
    let rests = if ended.rests { "and rests" } else { "and does not rest" };
    text + "\n" + &told::end(&ended.state) + rests + "\n"
}

/// Those who appear in a story, as they are declared by now.
#[derive(Default)]
struct Cast {
    specs: BTreeMap<String, Value>,
    /// What has to be there before the story begins.
    ground: Vec<Act>,
}

impl Cast {
    fn act(&mut self, line: &str) -> Result<Act, String> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let unclear = || format!("no command: {line}");
        match verb {
            "apply" => self.apply(rest),
            "delete" => {
                let (kind, name) = rest.split_once(' ').ok_or_else(unclear)?;
                let resource = Resource::of_kind(kind).ok_or_else(unclear)?;
                let last = name.strip_suffix(" --cascade=foreground");
                let place = [self.namespace_of(resource), last.unwrap_or(name).to_owned()];
                Ok(Act::Delete(resource.kind, place, last.is_some()))
            }
            "make" => Ok(Act::Apply(serde_json::from_str(rest).map_err(|e| format!("{rest}: {e}"))?)),
            "admit" => admit(rest).ok_or_else(unclear),
            "edit" => self.edit(rest).ok_or_else(unclear),
            "lose" => {
                let (vendor, text) = rest.split_once(' ').ok_or_else(unclear)?;
                Ok(Act::Lose(vendor_of(vendor).ok_or_else(unclear)?, text.to_owned()))
            }
            "fail" => fail(rest).ok_or_else(unclear),
            "mend" => Ok(Act::Mend),
            "pass" => Ok(Act::Pass(time(rest).ok_or_else(unclear)?)),
            "crash" => Ok(Act::Crash),
            _ => Err(unclear()),
        }
    }

    /// `apply shop`, or `apply shop {"spec": …}` to merge a change into what was applied before. Another name is another
    /// application like `shop`.
    fn apply(&mut self, rest: &str) -> Result<Act, String> {
        let (name, change) = rest.split_once(' ').unwrap_or((rest, "{}"));
        let before = self.specs.get(name).cloned().unwrap_or_else(|| manifest(name));
        let change: Value = serde_json::from_str(change).map_err(|e| format!("{rest}: {e}"))?;
        let saas = patched(&before, &change);
        if self.specs.insert(name.to_owned(), saas.clone()).is_none() {
            self.ground.extend(script::ground(&saas));
        }
        Ok(Act::Apply(saas))
    }

    /// `edit Deployment shop {"spec": …}`.
    fn edit(&self, rest: &str) -> Option<Act> {
        let (kind, rest) = rest.split_once(' ')?;
        let (name, change) = rest.split_once(' ')?;
        let resource = Resource::of_kind(kind)?;
        let place = [self.namespace_of(resource), name.to_owned()];
        Some(Act::Edit(resource.kind, place, serde_json::from_str(change).ok()?))
    }

    /// Where an object of a kind is.
    fn namespace_of(&self, resource: &Resource) -> String {
        if resource.namespaced { self.namespace() } else { String::new() }
    }

    /// The namespace of whoever was applied.
    fn namespace(&self) -> String {
        self.specs.values().next().map(|saas| script::namespace(saas).to_owned()).unwrap_or_default()
    }
}

fn manifest(name: &str) -> Value {
    let mut known = subjects();
    if let Some(at) = known.iter().position(|saas| saas["metadata"]["name"] == name) {
        return known.swap_remove(at);
    }
    let mut like = known.swap_remove(0);
    like["metadata"]["name"] = name.into();
    like
}

/// `admit Deployment {"spec": …}`: what a policy of the cluster makes of each.
fn admit(rest: &str) -> Option<Act> {
    let (kind, patch) = rest.split_once(' ')?;
    Some(Act::Admit(kind_of(kind)?, serde_json::from_str(patch).ok()?))
}

/// `fail 3 x 500 POST stripe`, `fail 1 x lost …` (the work is done, the answer lost), `fail always x cut …`.
fn fail(rest: &str) -> Option<Act> {
    let (times, rest) = rest.split_once(" x ")?;
    let (way, what) = rest.split_once(' ')?;
    let times = if times == "always" { usize::MAX } else { times.parse().ok()? };
    let trouble = match way {
        "lost" => Trouble::Hangup { done: true },
        "cut" => Trouble::Hangup { done: false },
        "silent" => Trouble::Silence { done: false },
        status => Trouble::Answer { status: status.parse().ok()?, body: "{}", retry_after: None },
    };
    Some(Act::Fail(Rule { what: what.to_owned(), after: 0, times, trouble }))
}

/// `90 days`, `3 hours`, `20 minutes`.
fn time(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_once(' ')?;
    let seconds = match unit.trim_end_matches('s') {
        "day" => 86_400,
        "hour" => 3600,
        "minute" => 60,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()? * seconds))
}

fn kind_of(word: &str) -> Option<&'static str> {
    Resource::of_kind(word).map(|resource| resource.kind)
}

fn vendor_of(word: &str) -> Option<&'static str> {
    ["cloudflare", "stripe", "uptimerobot"].into_iter().find(|vendor| *vendor == word)
}
