//! The transcript of a go-live.

use std::collections::BTreeMap;

use serde_json::Value;

use super::happen::Happened;
use crate::api::SaasDeployment;
use crate::fault::Hold;
use crate::kinds::Kind;
use crate::plan::{Manifest, Part, Plan, Verdict};

/// The width of the column of parts.
const WIDTH: usize = 10;

/// What has been told so far.
pub struct Transcript {
    text: String,
    step: usize,
    waits: BTreeMap<Part, Hold>,
}

impl Transcript {
    /// Begins with the object and what is assumed.
    pub fn new(saas: &SaasDeployment, assumptions: &[String]) -> Self {
        let name = |part: &Option<String>| part.clone().unwrap_or_default();
        let mut text = format!("SaasDeployment {}/{}\n", name(&saas.metadata.namespace), name(&saas.metadata.name));
        if !assumptions.is_empty() {
            text.push_str("\nassumed to be there\n");
            assumptions.iter().for_each(|assumed| text.push_str(&format!("  {assumed}\n")));
        }
        Transcript { text, step: 0, waits: BTreeMap::new() }
    }

    /// Tells what a pass did and what has begun to wait, where there is anything to tell.
    pub fn pass(&mut self, plan: &Plan, happened: &Happened) {
        let waits = waits(plan);
        let fresh: BTreeMap<Part, &Hold> = waits
            .iter()
            .filter(|(part, hold)| self.waits.get(part) != Some(hold))
            .map(|(part, hold)| (*part, hold))
            .collect();
        let mut lines: BTreeMap<Part, Vec<String>> = BTreeMap::new();
        happened.lines.iter().for_each(|(part, line)| lines.entry(*part).or_default().push(line.clone()));
        fresh.iter().for_each(|(part, hold)| lines.entry(*part).or_default().push(format!("waits: {}", worded(hold))));
        if !lines.is_empty() {
            self.step += 1;
            self.text.push_str(&format!("\nstep {}\n", self.step));
        }
        lines.iter().for_each(|(part, lines)| self.part(*part, lines));
        self.waits = waits;
    }

    fn part(&mut self, part: Part, lines: &[String]) {
        for (at, line) in lines.iter().enumerate() {
            let word = if at == 0 { part.word() } else { "" };
            self.text.push_str(&format!("  {word:WIDTH$}{line}\n"));
        }
    }

    /// Ends with what still waits when nothing more happens by itself.
    pub fn end(mut self, plan: &Plan) -> String {
        let waits = waits(plan);
        if waits.is_empty() {
            self.text.push_str("\nlive: every part is ready\n");
            return self.text;
        }
        self.text.push_str("\nnot live: somebody has to act first\n");
        waits.iter().for_each(|(part, hold)| self.part(*part, &[worded(hold)]));
        self.text
    }

    /// Ends where passes keep changing something.
    pub fn restless(mut self) -> String {
        self.text.push_str("\nnot at rest after all these steps: please report this manifest as a defect of golive\n");
        self.text
    }
}

fn worded(hold: &Hold) -> String {
    format!("{}: {}", hold.reason, hold.message)
}

fn waits(plan: &Plan) -> BTreeMap<Part, Hold> {
    let hold = |verdict: &Verdict| match verdict {
        Ok(steps) => steps.waits.clone(),
        Err(hold) => Some(hold.clone()),
    };
    plan.parts.iter().filter_map(|(part, verdict)| Some((*part, hold(verdict)?))).collect()
}

/// What sets an object apart, in brackets.
pub fn detail(manifest: &Manifest) -> String {
    let at = |pointer: &str| manifest.body.pointer(pointer);
    let told = match manifest.kind {
        Kind::PersistentVolumeClaim => at("/spec/resources/requests/storage").map(plain),
        Kind::CronJob => at("/spec/schedule").map(plain),
        Kind::HttpRoute => at("/spec/hostnames").map(plain),
        Kind::Gateway => at("/spec/listeners").map(|list| plain(&names(list))),
        Kind::Deployment => at("/spec/template/spec/containers/0/image").map(|image| match at("/spec/replicas") {
            Some(replicas) => format!("{replicas} of {}", plain(image)),
            None => plain(image),
        }),
        Kind::HorizontalPodAutoscaler => {
            let (least, most) = (at("/spec/minReplicas"), at("/spec/maxReplicas"));
            least.zip(most).map(|(least, most)| format!("{least} to {most}"))
        }
        Kind::Job => {
            let container = |field: &str| at(&format!("/spec/template/spec/containers/0/{field}"));
            container("command").or(container("args")).map(plain_words)
        }
        _ => None,
    };
    told.map(|told| format!(" ({told})")).unwrap_or_default()
}

fn names(list: &Value) -> Value {
    list.as_array().into_iter().flatten().map(|item| item["name"].clone()).collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A command as one would type it.
fn plain_words(value: &Value) -> String {
    let word = |word: &Value| match plain(word) {
        text if text.contains(' ') => format!("'{text}'"),
        text => text,
    };
    value.as_array().into_iter().flatten().map(word).collect::<Vec<_>>().join(" ")
}
