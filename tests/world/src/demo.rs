//! The demonstration: an application goes live before one's eyes, on a machine that has no account anywhere.

use crate::command::checked;
use crate::error::{Doing, Error, Result};
use crate::place::{World, root};
use crate::platform::{RESTRICTED, TENANT, list, namespace, secret};
use crate::step::step;
use crate::{image, install};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The application's name, and its namespace's.
const NAME: &str = "csvboard";
/// How long the way to production may take.
const DEADLINE: &str = "420s";

/// The manifest that goes live where none is named.
pub fn example() -> PathBuf {
    root().join("examples/s0-csvboard.yaml")
}

/// Builds what is missing, brings a world up, and takes csvboard live in it.
pub fn demo(name: &str, manifest: &Path) -> Result<()> {
    let text = fs::read_to_string(manifest).doing(format!("reading {}", manifest.display()))?;
    eprintln!("What is missing is built: 15 minutes the first time, nothing later.");
    install::build(&[])?;
    let world = crate::up(name)?;
    for archive in image::build_named(&[NAME.into()])? {
        world.import_image(&archive)?;
    }
    world.set_up_platform()?;
    world.go_live(&text)?;
    world.tell_what_to_try()
}

impl World {
    /// Applies the manifest in a tenant's namespace and tells each condition as it turns True.
    pub fn go_live(&self, manifest: &str) -> Result<()> {
        let stripe = self.env()?.remove("STRIPE_KEY").unwrap_or_default();
        let tenant =
            [namespace(NAME, &[TENANT, RESTRICTED]), secret(NAME, "csvboard-env", &[("STRIPE_SECRET_KEY", &stripe)])];
        step("a tenant's namespace, with its own Stripe key", || self.apply(&list(&tenant)).map(drop))?;
        self.apply(manifest)?;
        eprintln!("csvboard goes live:");
        let begun = Instant::now();
        let mut watch = self.watch()?;
        let result = follow(&mut watch, begun);
        // The watch has served its purpose, and may have ended by itself.
        drop((watch.kill(), watch.wait()));
        result
    }

    /// Every state of the application, one JSON document after the other, until the deadline.
    fn watch(&self) -> Result<Child> {
        let mut kubectl = Command::new(self.program("kubectl")?);
        kubectl.env("KUBECONFIG", self.kubeconfig()).args(["--request-timeout", DEADLINE, "--namespace", NAME]);
        kubectl.args(["get", "saasdeployment", NAME, "--watch", "--output", "json"]);
        kubectl.stdout(Stdio::piped()).spawn().doing("watching the application")
    }

    fn tell_what_to_try(&self) -> Result<()> {
        let saas = self.kubectl(&["-n", NAME, "get", "saasdeployment", NAME, "--output", "json"])?;
        let saas: Value = serde_json::from_str(&saas).doing("reading the application's state")?;
        let url = saas["status"]["url"].as_str().unwrap_or_default();
        let (edge, _, port) = self.reach().edge;
        let health = if port == 443 { format!("{url}/health") } else { format!("{url}:{port}/health") };
        let way = format!("{}:{port}:{edge}", url.trim_start_matches("https://"));
        let answer = self.ask(&health, &way)?;
        let card = |field: &str| saas["status"]["scorecard"][field].as_i64().unwrap_or(0);
        let card = format!("{} passed, {} failed, {} waived", card("passed"), card("failed"), card("waived"));
        println!("\n{health} answers {}\nscorecard: {card}\n", answer.trim());
        println!("Three things to try, after `source {}`:\n", self.dir.join("env").display());
        println!("  curl --resolve {way} --cacert \"$CA_ALL\" {health}");
        println!("  $WORLD_BIN/kubectl -n {NAME} describe saas {NAME}");
        println!(
            "  $WORLD_BIN/kubectl -n {NAME} delete service {NAME}; $WORLD_BIN/kubectl -n {NAME} get events --watch"
        );
        println!("\nThe last one breaks it: golive repairs it and says so. `make world-down` removes everything.");
        Ok(())
    }

    /// What a URL answers through the edge to somebody who trusts this world's authorities alone.
    fn ask(&self, url: &str, way: &str) -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "10", "--resolve", way, "--cacert"]);
        checked(curl.arg(self.every_ca()).arg(url), None)
    }
}

/// Tells what turns True until the application is Ready.
fn follow(watch: &mut Child, begun: Instant) -> Result<()> {
    let output = watch.stdout.take().ok_or_else(|| Error::new("the watch has no output"))?;
    let mut told = BTreeSet::new();
    let mut last = Value::Null;
    for state in serde_json::Deserializer::from_reader(BufReader::new(output)).into_iter::<Value>() {
        last = state.doing("reading the application's state")?;
        for (part, message) in news(&last, &mut told) {
            eprintln!("  {:>6.1} s  {part:<15} {message}", begun.elapsed().as_secs_f32());
        }
        if told.contains("Ready") {
            return Ok(());
        }
    }
    Err(Error::new(format!("it is not Ready after {DEADLINE}:{}", open(&last)))
        .next(format!("`kubectl -n {NAME} describe saas {NAME}` says more")))
}

/// The conditions of this generation of the spec.
fn conditions(state: &Value) -> impl Iterator<Item = &Value> {
    let generation = &state["metadata"]["generation"];
    let all = state["status"]["conditions"].as_array().into_iter().flatten();
    all.filter(move |condition| condition["observedGeneration"] == *generation)
}

fn text<'a>(condition: &'a Value, field: &str) -> &'a str {
    condition[field].as_str().unwrap_or_default()
}

/// Parts that have become True since the last state, with what they say; `Ready` last.
fn news(state: &Value, told: &mut BTreeSet<String>) -> Vec<(String, String)> {
    let mut news: Vec<(String, String)> = conditions(state)
        .filter(|condition| condition["status"] == "True" && text(condition, "type").ends_with("Ready"))
        .map(|condition| (text(condition, "type").to_owned(), text(condition, "message").to_owned()))
        .filter(|(part, _)| told.insert(part.clone()))
        .collect();
    news.sort_by_key(|(part, _)| part == "Ready");
    news
}

/// What is not True, in lines.
fn open(state: &Value) -> String {
    let open = conditions(state).filter(|c| text(c, "type").ends_with("Ready") && c["status"] != json!("True"));
    open.map(|c| format!("\n  {}: {}: {}", text(c, "type"), text(c, "reason"), text(c, "message"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(conditions: &[(&str, &str, i64)]) -> Value {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(part, status, seen)| json!({"type": part, "status": status, "observedGeneration": seen, "message": "m", "reason": "R"}))
            .collect();
        json!({"metadata": {"generation": 2}, "status": {"conditions": conditions}})
    }

    #[test]
    fn each_part_is_told_once_and_ready_last() {
        let mut told = BTreeSet::new();
        let first =
            state(&[("Ready", "True", 2), ("DnsReady", "True", 2), ("Stalled", "True", 2), ("AppReady", "False", 2)]);
        let parts: Vec<String> = news(&first, &mut told).into_iter().map(|(part, _)| part).collect();
        assert_eq!(parts, ["DnsReady", "Ready"]);
        assert!(news(&first, &mut told).is_empty());
    }

    #[test]
    fn what_was_true_of_an_older_spec_is_no_news() {
        assert!(news(&state(&[("Ready", "True", 1)]), &mut BTreeSet::new()).is_empty());
    }

    #[test]
    fn what_is_open_is_said_with_its_reason() {
        assert_eq!(open(&state(&[("DnsReady", "True", 2), ("TlsReady", "False", 2)])), "\n  TlsReady: R: m");
    }
}
