//! Backup: consistent, proven, named when it fails, and never the end of the last good copy.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Guard, Place, await_line, dump, eventually, free_port, sqlite};

#[test]
fn a_backup_restores_to_what_was_there() {
    let place = Place::new("whole");
    place.fill(5000);
    let evidence = place.succeed("backup", &place.backup_task(&[place.local()]));
    let rows = json!({"users": 5000, "odd \"name's": 2, "session": 0});
    assert_eq!((&evidence["rows"], &evidence["tables"], &evidence["warnings"]), (&rows, &json!(3), &json!([])));
    let id = evidence["targets"][0]["snapshot"].as_str().unwrap();
    let snapshots = place.snapshots();
    assert_eq!((snapshots.len(), &snapshots[0]["id"], &snapshots[0]["hostname"]), (1, &json!(id), &json!("golive")));
    assert_eq!(snapshots[0]["tags"], json!(["namespace=shop", "name=csvboard", "revision=7", "verified"]));
    place.restic(&["restore", id, "--target", &place.path("foreign")]);
    assert_eq!(dump(&place.root.join("foreign/database.sqlite3")), dump(&place.database()));
}

#[test]
fn a_backup_is_consistent_while_rows_are_written() {
    copy_under_load(&Place::new("writer-wal"), "wal");
}

#[test]
fn a_busy_writer_does_not_starve_a_backup() {
    copy_under_load(&Place::new("writer-delete"), "delete");
}

fn copy_under_load(place: &Place, mode: &str) {
    place.fill(20_000);
    sqlite(&place.database(), &format!("PRAGMA journal_mode = {mode}; CREATE TABLE a (n); CREATE TABLE b (n);"));
    let count = || sqlite(&place.database(), "SELECT count(*) FROM a").trim().parse::<u64>().unwrap();
    let script = "BEGIN; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); COMMIT;\n";
    let (writer, stop) = write_for_ever(place, script);
    eventually("the writer writes", || count() > 50);
    let before = count();
    let mut task = place.backup_task(&[place.local()]);
    task["limits"]["job_seconds"] = json!(60);
    let evidence = place.succeed("backup", &task);
    let after = count();
    drop(stop);
    writer.join().unwrap();
    let (a, b) = (evidence["rows"]["a"].as_u64().unwrap(), evidence["rows"]["b"].as_u64().unwrap());
    assert_eq!(a, b, "a transaction was torn apart");
    assert!(before <= a && a < after, "{before} <= {a} < {after}: nothing was written meanwhile");
}

/// Feeds a connection with transactions until the sender is dropped.
fn write_for_ever(place: &Place, script: &'static str) -> (std::thread::JoinHandle<()>, std::sync::mpsc::Sender<()>) {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let file = place.database();
    let writer = std::thread::spawn(move || {
        let mut command = Command::new("sqlite3");
        let child = command.args(["-batch", "-cmd", ".timeout 30000"]).arg(file).stdin(Stdio::piped()).spawn();
        let mut child = Guard(child.unwrap());
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            std::io::Write::write_all(child.0.stdin.as_mut().unwrap(), script.as_bytes()).unwrap();
        }
    });
    (writer, stop)
}

#[test]
fn a_missing_database_is_a_failure_unless_it_is_allowed() {
    let place = Place::new("missing");
    let mut task = place.backup_task(&[place.local()]);
    let message = place.fail("backup", &task, "DatabaseMissing");
    assert!(message.contains(&*place.database().to_string_lossy()), "{message}");
    task["allow_missing"] = json!(true);
    assert_eq!(place.succeed("backup", &task)["missing"], json!(true));
    assert!(!place.root.join("repository").exists() && !place.database().exists());
}

#[test]
fn a_damaged_database_is_refused() {
    let place = Place::new("damaged");
    place.fill(5000);
    sqlite(&place.database(), "PRAGMA wal_checkpoint(TRUNCATE);");
    let mut bytes = std::fs::read(place.database()).unwrap();
    bytes[3 * 4096..5 * 4096].fill(0xAA);
    std::fs::write(place.database(), &bytes).unwrap();
    let message = place.fail("backup", &place.backup_task(&[place.local()]), "DatabaseCorrupt");
    assert!(message.contains(&*place.database().to_string_lossy()), "{message}");
    std::fs::write(place.database(), "this is no database, but long enough to be looked at. ".repeat(100)).unwrap();
    place.fail("backup", &place.backup_task(&[place.local()]), "DatabaseCorrupt");
    assert!(!place.root.join("repository").exists());
}

#[test]
fn a_wrong_password_is_named_at_once() {
    let place = Place::new("password");
    place.fill(10);
    place.succeed("backup", &place.backup_task(&[place.local()]));
    std::fs::write(place.root.join("password"), "canary-another").unwrap();
    let started = Instant::now();
    let message = place.fail("backup", &place.backup_task(&[place.local()]), "WrongPassword");
    assert!(message.contains("account local") && message.contains("encryption Secret"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[test]
fn one_dead_target_does_not_stop_the_other() {
    let place = Place::new("dead");
    place.fill(10);
    let dead = place.target("dead", &format!("s3:http://127.0.0.1:{}/backups/shop", free_port()));
    let run = place.run("backup", &place.backup_task(&[dead, place.local()]));
    assert_eq!(
        (&run.evidence["ok"], &run.evidence["reason"]),
        (&json!(false), &json!("Unreachable")),
        "{}",
        run.evidence
    );
    let targets = &run.evidence["targets"];
    assert_eq!((&targets[0]["account"], &targets[0]["ok"]), (&json!("dead"), &json!(false)));
    assert_eq!((&targets[1]["account"], &targets[1]["ok"]), (&json!("local"), &json!(true)));
    assert_eq!(place.snapshots().len(), 1);
}

#[test]
fn a_silent_target_is_given_up_within_its_deadline() {
    let place = Place::new("silent");
    place.fill(10);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = place.target("silent", &format!("s3:http://{}/backups/shop", listener.local_addr().unwrap()));
    let mut task = place.backup_task(&[silent]);
    task["limits"]["answer_seconds"] = json!(2);
    let started = Instant::now();
    let message = place.fail("backup", &task, "Unreachable");
    assert!(message.contains("within 2 s"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[test]
fn retention_keeps_the_last_good_copy() {
    let place = Place::new("retention");
    place.fill(10);
    let task = place.backup_task(&[place.local()]);
    let first = place.succeed("backup", &task)["targets"][0]["snapshot"].clone();
    age(&place, &first);
    let old = place.snapshots()[0]["id"].clone();
    for name in ["foreign", "ours"] {
        let owner = if name == "ours" { "namespace=shop,name=csvboard" } else { "namespace=other,name=csvboard" };
        place.restic(&["backup", "--tag", owner, "--time", "2020-01-01 00:00:00", &place.path("password")]);
    }
    sqlite(&place.database(), "DELETE FROM users; DELETE FROM \"odd \"\"name's\"; DELETE FROM session;");
    let evidence = place.succeed("backup", &task);
    let warning = evidence["warnings"][0].as_str().unwrap();
    assert!(warning.contains("all tables are empty") && warning.contains("12 rows"), "{warning}");
    assert_eq!(evidence["targets"][0]["forgotten"], json!(1), "{evidence}");
    let left = place.snapshots();
    let has = |wanted: &dyn Fn(&Value) -> bool| left.iter().filter(|entry| wanted(entry)).count();
    assert_eq!(has(&|entry| entry["id"] == old), 1, "the last good copy was evicted: {left:?}");
    assert_eq!(has(&|entry| entry["tags"][0] == "namespace=other"), 1, "a stranger's snapshot was forgotten");
    assert_eq!(has(&|entry| entry["tags"].to_string().contains("suspicious")), 1);
    assert_eq!(left.len(), 3);
    assert_eq!(place.succeed("drill", &place.drill_task(&place.local()))["rows"]["users"], json!(10));
}

/// Makes a snapshot look five years old: its files are stored again with another time and the same tags.
fn age(place: &Place, id: &Value) {
    let id = id.as_str().unwrap();
    place.restic(&["restore", id, "--target", &place.path("aged")]);
    let mut command = Command::new("restic");
    command.args([
        "--repo",
        &place.path("repository"),
        "--password-file",
        &place.path("password"),
        "--no-cache",
        "backup",
    ]);
    command.args(["--time", "2021-01-01 00:00:00", "--tag", "namespace=shop,name=csvboard,verified"]);
    let status =
        command.args(["database.sqlite3", "manifest.json"]).current_dir(place.path("aged")).output().unwrap().status;
    assert!(status.success());
    place.restic(&["forget", id]);
}

#[test]
fn a_database_without_tables_is_pointed_out() {
    let place = Place::new("empty");
    std::fs::write(place.database(), "").unwrap();
    let evidence = place.succeed("backup", &place.backup_task(&[place.local()]));
    assert!(evidence["warnings"][0].as_str().unwrap().contains("no tables"), "{evidence}");
}

#[test]
fn sigterm_ends_a_backup_and_leaves_no_lock_or_file() {
    let place = Place::new("sigterm");
    place.fill(10);
    place.succeed("backup", &place.backup_task(&[place.local()]));
    let mut child = place.command("backup", &place.backup_task(&[place.local()])).spawn().unwrap();
    assert!(await_line(&mut child, "the database is copied"));
    // The repository is busy from here on; where exactly the signal meets it does not matter.
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let started = Instant::now();
    let run = place.finish("backup", child.wait_with_output().unwrap());
    assert_eq!(run.evidence["reason"], json!("Interrupted"), "{}", run.evidence);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(place.restic(&["list", "locks", "--no-lock"]), "");
}

#[test]
fn backups_to_one_repository_wait_for_each_other() {
    let (one, two) = (Place::new("together-1"), Place::new("together-2"));
    one.fill(10);
    two.fill(20);
    one.restic(&["init"]);
    let task = two.backup_task(&[one.local()]);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| two.succeed("backup", &task)["rows"]["users"].clone());
        assert_eq!(one.succeed("backup", &one.backup_task(&[one.local()]))["rows"]["users"], json!(10));
        assert_eq!(other.join().unwrap(), json!(20));
    });
    assert!(one.snapshots().iter().all(|entry| entry["tags"].to_string().contains("verified")));
}

#[test]
fn a_lock_is_respected_while_its_owner_lives_and_removed_after() {
    let place = Place::new("lock");
    place.fill(10);
    place.restic(&["init"]);
    let mut command = Command::new("restic");
    command.args(["--repo", &place.path("repository"), "--password-file", &place.path("password"), "--no-cache"]);
    let mut owner =
        Guard(command.args(["backup", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
    let locks = place.root.join("repository/locks");
    eventually("the owner holds a lock", || std::fs::read_dir(&locks).unwrap().next().is_some());
    let mut task = place.backup_task(&[place.local()]);
    task["limits"]["job_seconds"] = json!(8);
    let message = place.fail("backup", &task, "RepositoryLocked");
    assert!(message.contains("another job holds its lock"), "{message}");
    owner.0.kill().unwrap();
    owner.0.wait().unwrap();
    place.succeed("backup", &place.backup_task(&[place.local()]));
}

#[test]
fn a_task_that_cannot_be_read_is_named() {
    let place = Place::new("task");
    place.fail("backup", &json!({"source": {"floppy": {}}}), "TaskInvalid");
    place.fill(1);
    std::fs::remove_file(place.root.join("credentials/AWS_SECRET_ACCESS_KEY")).unwrap();
    let message = place.fail("backup", &place.backup_task(&[place.local()]), "SecretMissing");
    assert!(message.contains("AWS_SECRET_ACCESS_KEY"), "{message}");
    let exotic = place.target("exotic", "rclone:run-anything");
    place.fail("backup", &place.backup_task(&[exotic]), "RepositoryUnsupported");
}
