//! Programs that outlive the command that starts them: started once, found again, and stopped by id.

use crate::command::succeeds;
use crate::error::{Doing, Error, Result};
use crate::place::{World, write};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// How much of a log goes into an error.
const TAIL_LINES: usize = 12;

/// A program and how it is run.
pub struct Daemon {
    /// What its log and its record are called.
    pub name: &'static str,
    file: PathBuf,
    args: Vec<String>,
    env: Vec<(&'static str, String)>,
}

impl Daemon {
    /// A program without arguments yet.
    pub fn new(name: &'static str, file: PathBuf) -> Self {
        Self { name, file, args: Vec::new(), env: Vec::new() }
    }

    /// Adds `--name=value`.
    pub fn flag(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.args.push(format!("--{name}={}", value.as_ref().display()));
        self
    }

    /// Adds arguments as they are.
    pub fn args<I: IntoIterator<Item: Into<String>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &'static str, value: impl AsRef<Path>) -> Self {
        self.env.push((name, value.as_ref().display().to_string()));
        self
    }

    /// Changes when the program, its arguments or its environment do: a rebuilt program is started anew.
    fn signature(&self) -> u64 {
        let modified = fs::metadata(&self.file).and_then(|file| file.modified()).ok();
        let age = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let mut hasher = DefaultHasher::new();
        (&self.file, &self.args, &self.env, age).hash(&mut hasher);
        hasher.finish()
    }

    /// `setsid` lets it outlive the terminal; neither it nor `nsenter` forks here, so the child's id is the program's.
    fn command(&self, world: &World) -> Command {
        let mut command = Command::new("setsid");
        if world.network.is_some() {
            command.args(["nsenter".into(), format!("--net=/run/netns/{}", world.namespace()), "--".into()]);
        }
        command.arg(&self.file).args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What is known about a daemon that was started: its process, when that began, and how it was run.
struct Record {
    pid: u32,
    began: String,
    signature: String,
}

impl Record {
    fn read(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        let mut words = text.split_whitespace().map(str::to_owned);
        Some(Self { pid: words.next()?.parse().ok()?, began: words.next()?, signature: words.next()? })
    }

    /// A process id may be in use again; the time a process began tells one from the other.
    fn alive(&self) -> bool {
        began(self.pid).is_some_and(|began| began == self.began)
    }
}

impl World {
    fn record_of(&self, name: &str) -> PathBuf {
        self.run.join("pid").join(name)
    }

    /// Whether the daemon runs.
    pub fn running(&self, name: &str) -> bool {
        Record::read(&self.record_of(name)).is_some_and(|record| record.alive())
    }

    /// The process of a daemon that runs: for measuring it.
    pub fn process(&self, name: &str) -> Option<u32> {
        Record::read(&self.record_of(name)).filter(Record::alive).map(|record| record.pid)
    }

    /// Starts the daemon unless it runs already as it should; says whether it was started now.
    pub(crate) fn start(&self, daemon: &Daemon) -> Result<bool> {
        let signature = daemon.signature().to_string();
        let running = Record::read(&self.record_of(daemon.name)).filter(Record::alive);
        if running.as_ref().is_some_and(|record| record.signature == signature) {
            return Ok(false);
        }
        running.into_iter().for_each(|record| end(record.pid, Duration::from_secs(2)));
        let log = self.fresh_log(daemon.name)?;
        let errors = log.try_clone().doing("sharing a log")?;
        let child = daemon.command(self).stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        let pid = child.doing(format!("starting {}", daemon.name))?.id();
        let record = format!("{pid} {} {signature}", began(pid).unwrap_or_default());
        write(&self.record_of(daemon.name), record)?;
        Ok(true)
    }

    /// The log of the run before is kept as `NAME.log.before`.
    fn fresh_log(&self, name: &str) -> Result<File> {
        let log = self.log(name);
        let _ = fs::rename(&log, log.with_extension("log.before"));
        write(&log, "")?;
        File::options().append(true).open(&log).doing(format!("opening {}", log.display()))
    }

    /// Waits until the daemon does its work, and gives up when it ended or took too long.
    pub(crate) fn wait(&self, name: &str, limit: Duration, ready: impl Fn() -> bool) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !ready() {
            if !self.running(name) {
                return Err(self.fault(name, "ended before it was ready"));
            }
            if Instant::now() > deadline {
                return Err(self.fault(name, &format!("was not ready within {} s", limit.as_secs())));
            }
            sleep(Duration::from_millis(30));
        }
        Ok(())
    }

    fn fault(&self, name: &str, what: &str) -> Error {
        let log = self.log(name);
        let advice =
            format!("read {}; start over with `world down --name {}` and `world up`", log.display(), self.name);
        Error::new(format!("{name} {what}; the end of its log:\n{}", tail(&log))).next(advice)
    }

    /// Ends every daemon on record, at once.
    pub(crate) fn stop_all(&self) {
        let records = fs::read_dir(self.run.join("pid")).into_iter().flatten().flatten();
        let alive = records.filter_map(|entry| Record::read(&entry.path())).filter(Record::alive);
        kill("-KILL", &alive.map(|record| record.pid).collect::<Vec<_>>());
    }
}

/// When a process began, in clock ticks since boot; none when it is gone or a zombie. A zombie whose other threads are
/// still ending holds its ports and files, and counts as running.
/// Fields are counted after the name, which may itself hold spaces (proc_pid_stat(5)).
pub(crate) fn began(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let (state, threads) = (*fields.first()?, *fields.get(17)?);
    let ended = matches!(state, "Z" | "X") && threads.parse().is_ok_and(|count: u32| count <= 1);
    fields.get(19).filter(|_| !ended).map(|ticks| (*ticks).to_owned())
}

/// Asks a process to end, and insists after `patience`.
fn end(pid: u32, patience: Duration) {
    let deadline = Instant::now() + patience;
    kill("-TERM", &[pid]);
    while began(pid).is_some() && Instant::now() < deadline {
        sleep(Duration::from_millis(20));
    }
    if began(pid).is_some() {
        kill("-KILL", &[pid]);
    }
}

/// Sends a signal to processes; those already gone do not matter.
pub(crate) fn kill(signal: &str, pids: &[u32]) {
    if !pids.is_empty() {
        succeeds("kill", [signal.to_owned()].into_iter().chain(pids.iter().map(u32::to_string)));
    }
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(name: &str) -> World {
        let dir = std::env::temp_dir().join(format!("world-{}-{name}", std::process::id()));
        World { name: name.into(), run: dir.join("run"), bin: dir.join("bin"), dir, network: None }
    }

    fn sleeper(seconds: &str) -> Daemon {
        Daemon::new("sleeper", "/bin/sleep".into()).args([seconds])
    }

    #[test]
    fn a_running_daemon_is_left_alone_and_a_changed_one_started_anew() {
        let world = world("daemon");
        assert!(world.start(&sleeper("60")).unwrap());
        assert!(!world.start(&sleeper("60")).unwrap());
        assert!(world.start(&sleeper("61")).unwrap());
        world.stop_all();
        let deadline = Instant::now() + Duration::from_secs(10);
        while world.running("sleeper") {
            assert!(Instant::now() < deadline, "it was told to stop");
            sleep(Duration::from_millis(10));
        }
        fs::remove_dir_all(&world.dir).unwrap();
    }

    #[test]
    fn a_daemon_that_ends_early_is_told_with_its_log() {
        let world = world("early");
        let daemon = Daemon::new("short", "/bin/sh".into()).args(["-c", "echo no such luck; exit 1"]);
        world.start(&daemon).unwrap();
        let told = world.wait("short", Duration::from_secs(10), || false).unwrap_err().to_string();
        assert!(told.contains("no such luck") && told.contains("next:"), "{told}");
        fs::remove_dir_all(&world.dir).unwrap();
    }

    #[test]
    fn a_process_id_in_use_again_is_not_ours() {
        let record = Record { pid: std::process::id(), began: "1".into(), signature: String::new() };
        assert!(!record.alive());
    }
}
