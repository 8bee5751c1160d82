//! An operator that is killed at any moment of a go-live: its successor goes on, and nothing is made twice.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::apps::{self, all_blocks, hello};
use crate::chance::{Random, dial};
use crate::stage::{Outcome, Stage, run, until};

/// How often the leader is killed, unless `KILLS` says so; how many kills make a round, and how many applications go live
/// in it.
const KILLS: u64 = 50;
const ROUND: u64 = 50;
const APPS: u64 = 5;
const SPACE: &str = "kills";
/// Where the random pauses begin.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

pub fn again_and_again(stage: &Stage) -> Outcome<()> {
    stage.tenant(SPACE)?;
    // One goes live undisturbed: what stands for it is what must stand for all others.
    go_live(stage, "calm")?;
    stage.live(SPACE, "calm")?;
    let expected = rows(stage, SPACE, "calm")?;
    let mut random = Random(SEED);
    for number in 0..dial("KILLS", KILLS).div_ceil(ROUND) {
        round(stage, &mut random, (number, &expected)).map_err(|e| format!("round {number}: {e}"))?;
    }
    stage.kubectl(&["delete", "saas", "calm", "-n", SPACE, "--timeout=180s"]).map(drop)
}

/// Applications go live and are deleted, while every leader is killed after a moment.
fn round(stage: &Stage, random: &mut Random, (number, expected): (u64, &[String])) -> Outcome<()> {
    let orders = orders(stage)?;
    let apps: Vec<String> = (0..APPS).map(|app| format!("hasty{}", number * APPS + app)).collect();
    for kill in 0..ROUND {
        if kill % (ROUND / APPS) == 0 {
            go_live(stage, &apps[(kill * APPS / ROUND) as usize])?;
        }
        kill_after_a_moment(stage, random)?;
    }
    for name in &apps {
        stage.live(SPACE, name)?;
        stands_once(stage, (SPACE, name), expected)?;
    }
    let placed = self::orders(stage)? - orders;
    assert!(placed <= 2 * apps.len(), "{placed} orders for {APPS} certificates");
    let all: Vec<&str> = apps.iter().map(String::as_str).collect();
    stage.kubectl(&[&["delete", "saas", "-n", SPACE, "--timeout=180s"], &all[..]].concat())?;
    assert!(apps.iter().all(|name| rows(stage, SPACE, name).is_ok_and(|rows| rows.is_empty())));
    Ok(())
}

fn kill_after_a_moment(stage: &Stage, random: &mut Random) -> Outcome<()> {
    let leader = leader(stage)?;
    std::thread::sleep(Duration::from_millis(50 + random.below(1450)));
    kill_nine(stage, &leader)
}

/// What stands at vendors for an application is what stands for one that was left alone.
pub fn stands_once(stage: &Stage, (namespace, name): (&str, &str), expected: &[String]) -> Outcome<()> {
    // A row made twice is found and removed; a list that lags behind shows it later.
    let same = until(Duration::from_secs(60), || Ok((rows(stage, namespace, name)? == expected).then_some(())));
    same.map_err(|e| format!("{e}: of {name} stand {:?}, not {expected:?}", rows(stage, namespace, name)).into())
}

/// An application with a block for every vendor, and stages that must run once.
fn go_live(stage: &Stage, name: &str) -> Outcome<()> {
    let mut spec = all_blocks();
    let works = json!({"command": ["/hello", "-h"]});
    spec["release"] =
        json!({"test": works, "migrate": works, "smoke": [{"name": "health", "get": "/health", "status": 200}]});
    stage.apply(&hello(SPACE, name, spec))
}

/// The pod that leads now.
pub fn leader(stage: &Stage) -> Outcome<Value> {
    until(Duration::from_secs(60), || {
        let lease = stage.json(&["get", "lease", "golive", "-n", "golive-system"])?;
        let holder = lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty());
        holder.map(|pod| stage.json(&["get", "pod", pod, "-n", "golive-system"])).transpose()
    })
}

/// Ends the process of a pod without a word. The pod goes too, so that its successor is not kept back for having failed
/// so often; and the lease, which would only be free after 15 seconds: so often that is another test.
pub fn kill_nine(stage: &Stage, pod: &Value) -> Outcome<()> {
    let name = pod["metadata"]["name"].as_str().ok_or("no name")?;
    for process in processes_of(pod["metadata"]["uid"].as_str().ok_or("no uid")?)? {
        run(Command::new("kill").args(["-9", &process]))?;
    }
    stage.kubectl(&["delete", "pod", name, "-n", "golive-system", "--grace-period=0", "--force"])?;
    stage.kubectl(&["delete", "lease", "golive", "-n", "golive-system"]).map(drop)
}

/// The operator's processes in a pod: its control group is named after the pod.
fn processes_of(uid: &str) -> Outcome<Vec<String>> {
    let read = |process: &Path, file: &str| std::fs::read_to_string(process.join(file)).unwrap_or_default();
    let all = std::fs::read_dir("/proc")?.flatten().map(|entry| entry.path());
    let ours = all.filter(|process| read(process, "comm").trim() == "golive" && read(process, "cgroup").contains(uid));
    let found: Vec<String> = ours.filter_map(|process| Some(process.file_name()?.to_str()?.to_owned())).collect();
    if found.is_empty() { Err(format!("no process of pod {uid}").into()) } else { Ok(found) }
}

/// What stands at all vendors for an application, with `NAME` in place of its name, and without marks.
pub fn rows(stage: &Stage, namespace: &str, name: &str) -> Outcome<Vec<String>> {
    let found = apps::rows(stage, &format!("{namespace}/{name}"))?;
    let mut plain: Vec<String> = found.into_iter().map(|row| plain(row).to_string().replace(name, "NAME")).collect();
    plain.sort();
    Ok(plain)
}

/// A row without what names the object's uid or the attempt that made it.
fn plain(row: Value) -> Value {
    match row {
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, plain(value))).collect(),
        Value::Array(list) => list.into_iter().map(plain).collect(),
        Value::String(text) if text.starts_with("golive/") => json!("mark"),
        Value::String(text) if text.len() == 12 && text.chars().all(|c| c.is_ascii_hexdigit()) => json!("owner"),
        Value::String(text) if text.contains('-') && text.len() > 20 && !text.contains('.') => json!("attempt"),
        other => other,
    }
}

/// How many orders the CA has taken.
fn orders(stage: &Stage) -> Outcome<usize> {
    let log = std::fs::read_to_string(stage.world.log("pebble"))?;
    Ok(log.lines().filter(|line| line.contains("Added order")).count())
}
