//! A place for one test, the commands run in it, and a look at what they left.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The repository's password: a text that must never be shown.
pub const PASSWORD: &str = "canary-5f2a-password";
/// The S3 key: another one.
pub const SECRET_KEY: &str = "canary-91bc-secret-key";
/// The S3 key's id.
pub const KEY_ID: &str = "canary-key-id";

/// A directory for one test, removed when it ends.
pub struct Place {
    pub root: PathBuf,
}

impl Place {
    pub fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("jobs-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        for dir in ["data", "work", "credentials"] {
            std::fs::create_dir_all(root.join(dir)).unwrap();
        }
        std::fs::write(root.join("password"), format!("{PASSWORD}\n")).unwrap();
        std::fs::write(root.join("credentials/AWS_ACCESS_KEY_ID"), KEY_ID).unwrap();
        std::fs::write(root.join("credentials/AWS_SECRET_ACCESS_KEY"), SECRET_KEY).unwrap();
        Place { root }
    }

    pub fn path(&self, name: &str) -> String {
        self.root.join(name).to_string_lossy().into_owned()
    }

    /// The database that is backed up: a name that needs quoting everywhere.
    pub fn database(&self) -> PathBuf {
        self.root.join("data/it's a \"db\".sqlite3")
    }

    /// Makes a database in WAL mode with this many users, and a table whose name needs quoting.
    pub fn fill(&self, users: u32) {
        let script = format!(
            "PRAGMA journal_mode = WAL; CREATE TABLE users (id INTEGER PRIMARY KEY, mail TEXT NOT NULL);
             CREATE TABLE \"odd \"\"name's\" (x); INSERT INTO \"odd \"\"name's\" VALUES (1), (2);
             CREATE TABLE session (token TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {users})
             INSERT INTO users (mail) SELECT 'user' || i || '@example.com' FROM n;"
        );
        sqlite(&self.database(), &script);
    }

    pub fn target(&self, account: &str, repository: &str) -> Value {
        json!({"account": account, "repository": repository, "password": self.path("password"),
               "credentials": self.path("credentials"), "region": "us-east-1"})
    }

    /// A directory as a repository.
    pub fn local(&self) -> Value {
        self.target("local", &self.path("repository"))
    }

    pub fn backup_task(&self, targets: &[Value]) -> Value {
        json!({"source": {"sqlite": {"file": self.database()}}, "targets": targets, "keep_days": 30,
               "tags": tags(), "workdir": self.path("work"), "limits": {"job_seconds": 120, "answer_seconds": 20}})
    }

    pub fn restore_task(&self, target: &Value) -> Value {
        json!({"source": {"sqlite": {"file": self.database()}}, "target": target, "tags": tags(), "workdir": self.path("work")})
    }

    pub fn drill_task(&self, target: &Value) -> Value {
        json!({"target": target, "tags": tags(), "workdir": self.path("work")})
    }

    pub fn command(&self, name: &str, task: &Value) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_golive"));
        command.arg(name).env("GOLIVE_TASK", task.to_string()).env("GOLIVE_RESULT", self.result(name));
        command.env("RUST_LOG", "trace").stderr(Stdio::piped()).stdout(Stdio::piped());
        command
    }

    fn result(&self, name: &str) -> String {
        self.path(&format!("result-{name}"))
    }

    /// Runs a command to its end, at trace level.
    pub fn run(&self, name: &str, task: &Value) -> Run {
        let output = self.command(name, task).output().unwrap();
        self.finish(name, output)
    }

    pub fn finish(&self, name: &str, output: Output) -> Run {
        let (out, logs) = (text(&output.stdout), text(&output.stderr));
        let evidence = std::fs::read_to_string(self.result(name)).unwrap_or_else(|_| panic!("no evidence: {logs}"));
        for shown in [&out, &logs, &evidence] {
            assert!(!shown.contains("canary"), "a secret was shown: {shown}");
        }
        assert!(evidence.len() <= 4096, "{} bytes of evidence", evidence.len());
        let left: Vec<_> =
            std::fs::read_dir(self.root.join("work")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?} was left behind");
        let value: Value = serde_json::from_str(&evidence).unwrap();
        assert_eq!(output.status.code(), Some(i32::from(value["ok"] != json!(true))), "{value}");
        Run { evidence: value, logs }
    }

    pub fn succeed(&self, name: &str, task: &Value) -> Value {
        let run = self.run(name, task);
        assert_eq!(run.evidence["ok"], json!(true), "{}\n{}", run.evidence, run.logs);
        run.evidence
    }

    /// Runs a command that must fail for this reason; returns its message.
    pub fn fail(&self, name: &str, task: &Value, reason: &str) -> String {
        let run = self.run(name, task);
        assert_eq!(run.evidence["reason"], json!(reason), "{}\n{}", run.evidence, run.logs);
        run.evidence["message"].as_str().unwrap().to_owned()
    }

    /// restic itself, as the referee, on the local repository.
    pub fn restic(&self, args: &[&str]) -> String {
        let mut command = Command::new("restic");
        command.args(["--repo", &self.path("repository"), "--password-file", &self.path("password"), "--no-cache"]);
        let output = command.args(args).output().unwrap();
        assert!(output.status.success(), "restic {args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    pub fn snapshots(&self) -> Vec<Value> {
        serde_json::from_str(&self.restic(&["snapshots", "--json"])).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// How a command ended.
pub struct Run {
    pub evidence: Value,
    pub logs: String,
}

pub fn tags() -> Value {
    json!({"namespace": "shop", "name": "csvboard", "revision": "7"})
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs SQL with the real tool.
pub fn sqlite(file: &Path, script: &str) -> String {
    let output = Command::new("sqlite3")
        .args(["-batch", "-bail", "-cmd", ".timeout 30000"])
        .arg(file)
        .arg(script)
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Everything a database says about itself: the same text means the same contents.
pub fn dump(file: &Path) -> String {
    assert!(file.exists(), "{} is gone", file.display());
    sqlite(file, ".dump")
}

/// A process that is killed when the test ends.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a process's log until a line contains the text; the rest is read by nobody, so the process must not depend on it.
pub fn await_line(child: &mut Child, wanted: &str) -> bool {
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    lines.any(|line| line.unwrap().contains(wanted))
}

/// Waits until a condition holds, for at most ten seconds.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port on which nobody listens now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
