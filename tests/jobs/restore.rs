//! Drill and restore: proven before anything is replaced, and never half replaced.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Guard, Place, await_line, dump, sqlite};

/// A place with a backup of ten users, and a database that has changed since.
fn changed(name: &str) -> (Place, String) {
    let place = Place::new(name);
    place.fill(10);
    place.succeed("backup", &place.backup_task(&[place.local()]));
    let saved = dump(&place.database());
    sqlite(&place.database(), "DELETE FROM users WHERE id > 3; INSERT INTO session VALUES ('new');");
    (place, saved)
}

#[test]
fn a_drill_proves_the_snapshot_and_measures_the_time() {
    let (place, _) = changed("drill");
    let before = dump(&place.database());
    let evidence = place.succeed("drill", &place.drill_task(&place.local()));
    assert_eq!((&evidence["rows"]["users"], &evidence["safety"]), (&json!(10), &Value::Null));
    assert_eq!(evidence["snapshot"], place.snapshots()[0]["id"]);
    assert!(evidence["seconds"].as_u64().unwrap() >= 1 && evidence["bytes"].as_u64().unwrap() > 0);
    assert_eq!(dump(&place.database()), before, "a drill touched the database");
}

#[test]
fn a_drill_without_a_verified_snapshot_says_so() {
    let place = Place::new("undrilled");
    place.fail("drill", &place.drill_task(&place.local()), "RepositoryMissing");
    place.restic(&["init"]);
    place.fail("drill", &place.drill_task(&place.local()), "SnapshotMissing");
    let args = ["backup", "--tag", "namespace=shop,name=csvboard", &place.path("password")];
    place.restic(&args);
    place.fail("drill", &place.drill_task(&place.local()), "SnapshotMissing");
}

#[test]
fn a_drill_finds_a_snapshot_that_is_not_what_it_says() {
    let (place, _) = changed("liar");
    let id = place.snapshots()[0]["id"].as_str().unwrap().to_owned();
    let forged = place.root.join("forged");
    place.restic(&["restore", &id, "--target", &forged.to_string_lossy()]);
    sqlite(&forged.join("database.sqlite3"), "DELETE FROM users WHERE id = 5;");
    let mut command = Command::new("restic");
    command.args(["--repo", &place.path("repository"), "--password-file", &place.path("password"), "--no-cache"]);
    command.args(["backup", "--tag", "namespace=shop,name=csvboard,verified", "database.sqlite3", "manifest.json"]);
    assert!(command.current_dir(&forged).output().unwrap().status.success());
    place.fail("drill", &place.drill_task(&place.local()), "SnapshotDiffers");
    let before = dump(&place.database());
    place.fail("restore", &place.restore_task(&place.local()), "SnapshotDiffers");
    assert_eq!(dump(&place.database()), before);
}

#[test]
fn a_restore_brings_the_rows_back_and_can_itself_be_undone() {
    let (place, saved) = changed("undo");
    let before = dump(&place.database());
    std::fs::set_permissions(place.database(), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(place.database(), Some(1234), Some(1235)).unwrap();
    let evidence = place.succeed("restore", &place.restore_task(&place.local()));
    assert_eq!(dump(&place.database()), saved);
    let meta = std::fs::metadata(place.database()).unwrap();
    assert_eq!((meta.mode() & 0o777, meta.uid(), meta.gid()), (0o600, 1234, 1235));
    let safety = evidence["safety"].as_str().unwrap();
    let entry = place.snapshots().into_iter().find(|entry| entry["id"] == safety).unwrap();
    assert!(entry["tags"].to_string().contains("before-restore"), "{entry}");
    let mut undo = place.restore_task(&place.local());
    undo["snapshot"] = json!(safety);
    place.succeed("restore", &undo);
    assert_eq!(dump(&place.database()), before);
}

#[test]
fn a_restore_fills_an_empty_volume_and_replaces_a_damaged_database() {
    let (place, saved) = changed("lost");
    std::fs::remove_dir_all(place.root.join("data")).unwrap();
    std::fs::create_dir(place.root.join("data")).unwrap();
    let evidence = place.succeed("restore", &place.restore_task(&place.local()));
    assert_eq!((dump(&place.database()), &evidence["safety"]), (saved.clone(), &Value::Null));
    let rubbish = "no database at all ".repeat(500);
    std::fs::write(place.database(), &rubbish).unwrap();
    let evidence = place.succeed("restore", &place.restore_task(&place.local()));
    assert_eq!(dump(&place.database()), saved);
    let kept = place.restic(&["dump", evidence["safety"].as_str().unwrap(), "/database.sqlite3"]);
    assert_eq!(kept, rubbish, "the damaged file was not kept");
}

#[test]
fn a_restore_refuses_a_database_in_use() {
    let (place, _) = changed("in-use");
    let mut command = Command::new("sqlite3");
    let child =
        command.arg("-batch").arg(place.database()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut user = Guard(child);
    std::io::Write::write_all(user.0.stdin.as_mut().unwrap(), b"SELECT count(*) FROM users;\n.print open\n").unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(user.0.stdout.as_mut().unwrap()));
    assert!(lines.any(|line| line.unwrap() == "open"));
    let message = place.fail("restore", &place.restore_task(&place.local()), "DatabaseLocked");
    assert!(message.contains("stop the application"), "{message}");
    assert_eq!(sqlite(&place.database(), "SELECT count(*) FROM users").trim(), "3");
    assert_eq!(place.snapshots().len(), 1, "a refused restore made a safety copy");
}

#[test]
fn a_restore_killed_at_any_step_leaves_the_old_or_the_new_database() {
    let (place, saved) = changed("killed");
    let before = dump(&place.database());
    let pristine = std::fs::read(place.database()).unwrap();
    for step in ["fetched and proven", "what was there is stored", "staging", "exchanging", "exchanged"] {
        std::fs::write(place.database(), &pristine).unwrap();
        leave_a_log(&place);
        let mut child = place.command("restore", &place.restore_task(&place.local())).spawn().unwrap();
        assert!(await_line(&mut child, step), "the step {step:?} never came");
        child.kill().unwrap();
        child.wait().unwrap();
        let now = dump(&place.database());
        assert!(now == before || now == saved, "killed at {step:?}, a mix was left: {now}");
        assert!(step != "exchanged" || now == saved, "exchanged, and still the old one");
        assert_eq!(sqlite(&place.database(), "PRAGMA integrity_check").trim(), "ok");
    }
    for left in std::fs::read_dir(place.root.join("work")).unwrap() {
        std::fs::remove_dir_all(left.unwrap().path()).unwrap();
    }
    place.succeed("restore", &place.restore_task(&place.local()));
    assert_eq!(dump(&place.database()), saved);
    let names: Vec<_> =
        std::fs::read_dir(place.root.join("data")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1, "{names:?} were left beside the database");
}

/// As an application that was killed would: committed rows that are only in the write-ahead log.
fn leave_a_log(place: &Place) {
    let file = place.database();
    let mut command = Command::new("sqlite3");
    let script = "DELETE FROM session; INSERT INTO session VALUES ('new');\n.print done\n";
    let mut app = Guard(command.arg("-batch").arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
    std::io::Write::write_all(app.0.stdin.as_mut().unwrap(), script.as_bytes()).unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(app.0.stdout.as_mut().unwrap()));
    assert!(lines.any(|line| line.unwrap() == "done"));
    drop(lines);
    app.0.kill().unwrap();
    app.0.wait().unwrap();
    let log = std::fs::metadata(format!("{}-wal", file.display())).unwrap();
    assert!(log.len() > 0, "no log was left");
}
