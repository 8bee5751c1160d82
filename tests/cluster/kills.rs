//! An operator that is killed at any moment of a go-live: its successor goes on, and nothing is made twice.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::apps::{self, all_blocks, hello};
use crate::stage::{Outcome, Stage, run, until};

/// How often the leader is killed, and how many applications go live meanwhile.
const KILLS: u64 = 50;
const APPS: u64 = 5;
/// Where the random pauses begin.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

pub fn fifty_times(stage: &Stage) -> Outcome<()> {
    stage.tenant("kills")?;
    // One goes live undisturbed: what stands for it is what must stand for all others.
    go_live(stage, "calm")?;
    stage.live("kills", "calm")?;
    let expected = rows(stage, "calm")?;
    let orders = orders(stage)?;
    let mut random = Random(SEED);
    for kill in 0..KILLS {
        if kill % (KILLS / APPS) == 0 {
            go_live(stage, &app(kill * APPS / KILLS))?;
        }
        let leader = leader(stage)?;
        std::thread::sleep(Duration::from_millis(50 + random.next() % 1450));
        kill_nine(stage, &leader)?;
    }
    for name in (0..APPS).map(app) {
        stage.live("kills", &name)?;
        // A row made twice is found and removed; a list that lags behind shows it later.
        let same = until(Duration::from_secs(60), || Ok((rows(stage, &name)? == expected).then_some(())));
        same.map_err(|e| format!("{e}: of {name} stand {:?}, not {expected:?}", rows(stage, &name)))?;
    }
    let placed = self::orders(stage)? - orders;
    assert!(placed <= 2 * APPS as usize, "{placed} orders for {APPS} certificates");
    stage.kubectl(&["delete", "saas", "--all", "-n", "kills", "--timeout=180s"])?;
    assert!((0..APPS).map(app).all(|name| rows(stage, &name).is_ok_and(|rows| rows.is_empty())));
    Ok(())
}

fn app(number: u64) -> String {
    format!("hasty{number}")
}

/// An application with a block for every vendor, and stages that must run once.
fn go_live(stage: &Stage, name: &str) -> Outcome<()> {
    let mut spec = all_blocks();
    let works = json!({"command": ["/hello", "-h"]});
    spec["release"] =
        json!({"test": works, "migrate": works, "smoke": [{"name": "health", "get": "/health", "status": 200}]});
    stage.apply(&hello("kills", name, spec))
}

/// The pod that leads now.
fn leader(stage: &Stage) -> Outcome<Value> {
    until(Duration::from_secs(60), || {
        let lease = stage.json(&["get", "lease", "golive", "-n", "golive-system"])?;
        let holder = lease["spec"]["holderIdentity"].as_str().filter(|holder| !holder.is_empty());
        holder.map(|pod| stage.json(&["get", "pod", pod, "-n", "golive-system"])).transpose()
    })
}

/// Ends the process of a pod without a word. The pod goes too, so that its successor is not kept back for having failed
/// so often; and the lease, which would only be free after 15 seconds: fifty times that is another test.
fn kill_nine(stage: &Stage, pod: &Value) -> Outcome<()> {
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
fn rows(stage: &Stage, name: &str) -> Outcome<Vec<String>> {
    let found = apps::rows(stage, &format!("kills/{name}"))?;
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

/// Xorshift: <https://www.jstatsoft.org/article/view/v008i14>.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
