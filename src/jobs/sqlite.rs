//! SQLite through its own command line tool: consistent copies, integrity, rows and the exclusive lock.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::budget::{Budget, LATE};
use super::child::{self, Feed, Finished};
use super::scratch::unwritable;
use crate::evidence::Failure;

/// What a database holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// A hash of all definitions.
    pub schema: String,
}

/// How long a copy that disturbs no writer is tried, at most.
const UNDISTURBED: Duration = Duration::from_secs(60);

/// Copies a database that may be in use, by SQLite's online backup (<https://www.sqlite.org/backup.html>).
///
/// Another process's write restarts an online backup, unless the copying connection holds a read transaction. In WAL mode
/// that disturbs nobody. In the other modes it makes writers wait, so the copy is first tried without, for a while.
pub async fn copy(file: &Path, to: &Path, budget: &Budget) -> Result<(), Failure> {
    let mode = ask(file, "PRAGMA journal_mode;", budget).await?;
    let backup = format!(".backup {}", argument(to));
    if mode.trim() != "wal" {
        match ask(file, &backup, &budget.within(UNDISTURBED.min(budget.left() / 8))).await {
            Err(failure) if failure.reason == LATE && budget.check().is_ok() => discard(to)?,
            other => return other.map(drop),
        }
        tracing::info!("rows are written faster than they are copied: writers wait for the copy");
    }
    ask(file, &format!("BEGIN;\nSELECT count(*) FROM sqlite_schema;\n{backup}"), budget).await.map(drop)
}

/// Removes an unfinished copy.
fn discard(copy: &Path) -> Result<(), Failure> {
    for suffix in ["", "-journal"] {
        let mut path = copy.as_os_str().to_owned();
        path.push(suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(unwritable(copy, &error)),
            _ => {}
        }
    }
    Ok(())
}

/// Refuses a database that is not whole.
pub async fn check(file: &Path, budget: &Budget) -> Result<(), Failure> {
    let answer = ask(file, "PRAGMA integrity_check(3);", budget).await?;
    match answer.trim() {
        "ok" => Ok(()),
        damage => Err(corrupt(file, damage)),
    }
}

/// Counts every ordinary table's rows, and hashes the schema. Virtual tables need their own extensions, so only the
/// ordinary tables below them are counted.
pub async fn census(file: &Path, budget: &Budget) -> Result<Census, Failure> {
    let schema =
        ask(file, "SELECT json_array(type, name, sql) FROM sqlite_schema ORDER BY type, name;", budget).await?;
    let names = ask(file, TABLES, budget).await?;
    let mut script = String::new();
    for name in lines::<String>(file, &names)? {
        let (text, ident) = (name.replace('\'', "''"), name.replace('"', "\"\""));
        let _infallible = writeln!(script, "SELECT json_array('{text}', (SELECT count(*) FROM \"{ident}\"));");
    }
    let counts = ask(file, &script, budget).await?;
    let rows = lines::<(String, u64)>(file, &counts)?.into_iter().collect();
    Ok(Census { rows, schema: hex(&Sha256::digest(schema.as_bytes())) })
}

const TABLES: &str = "SELECT json_quote(name) FROM sqlite_schema WHERE type = 'table' \
    AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name;";

/// Proves that nobody else has the database open, and folds its write-ahead log into the file, so that the one file is
/// all there is (<https://www.sqlite.org/wal.html>, section 2.1, and <https://www.sqlite.org/lockingv3.html>).
pub async fn settle(file: &Path, budget: &Budget) -> Result<(), Failure> {
    let script = "PRAGMA locking_mode = EXCLUSIVE;\nBEGIN EXCLUSIVE;\nCOMMIT;\nPRAGMA wal_checkpoint(TRUNCATE);";
    script_with(file, script, Patience::None, budget).await.map(drop)
}

/// Whether to wait for other users of the database.
#[derive(Clone, Copy)]
enum Patience {
    None,
    TenSeconds,
}

async fn ask(file: &Path, script: &str, budget: &Budget) -> Result<String, Failure> {
    script_with(file, script, Patience::TenSeconds, budget).await
}

async fn script_with(file: &Path, script: &str, patience: Patience, budget: &Budget) -> Result<String, Failure> {
    let wait = match patience {
        Patience::None => 0,
        Patience::TenSeconds => 10_000,
    };
    let input = format!(".timeout {wait}\n{script}\n");
    let ended = child::run(command(file), Feed { input, hopeless: None }, budget).await;
    let finished = ended.map_err(|unfinished| unfinished.failure)?;
    if finished.code == Some(0) { Ok(finished.out) } else { Err(failure(file, &finished)) }
}

/// The tool, on an existing file: plainly given a name, it would make an empty database where there is none.
fn command(file: &Path) -> Command {
    let mut uri = String::from("file:");
    for byte in file.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(char::from(*byte)),
            other => drop(write!(uri, "%{other:02x}")),
        }
    }
    let mut command = Command::new("sqlite3");
    command.args(["-batch", "-bail", "-noheader", "-list", "-init", "/dev/null"]).arg(uri + "?mode=rw");
    command.env_remove("GOLIVE_TASK");
    command
}

/// A path as an argument of one of the tool's own commands, where C escapes apply in double quotes.
fn argument(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\""))
}

fn lines<T: serde::de::DeserializeOwned>(file: &Path, text: &str) -> Result<Vec<T>, Failure> {
    let parsed: Result<_, _> = text.lines().map(serde_json::from_str).collect();
    parsed.map_err(|error| corrupt(file, &error.to_string()))
}

fn corrupt(file: &Path, damage: &str) -> Failure {
    let damage: String = damage.chars().take(300).collect();
    let text = format!("{} is damaged: {damage}; restore the last verified snapshot", file.display());
    Failure::new("DatabaseCorrupt", text)
}

fn failure(file: &Path, finished: &Finished) -> Failure {
    let said = finished.err.trim();
    let shown = file.display();
    let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    if has(&["not a database", "malformed", "disk image"]) {
        return corrupt(file, said);
    }
    if has(&["is locked", "is busy"]) {
        let text = format!("{shown} is in use by another process ({said}); stop the application, then try again");
        return Failure::new("DatabaseLocked", text);
    }
    if has(&["is full", "disk I/O"]) {
        return Failure::new("ScratchFull", format!("no space to copy {shown} ({said}); give the job a larger volume"));
    }
    if has(&["unable to open", "readonly"]) {
        let text =
            format!("{shown} cannot be opened ({said}); mount its directory writable, for the user that owns it");
        return Failure::new("DatabaseUnreadable", text);
    }
    Failure::new("DatabaseFailed", format!("{shown}: sqlite3 said: {said}"))
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_census_breaks_its_reader() {
        let mut read = 0;
        crate::fuzz::texts(&["[\"users\",3]\n[\"orders\",0]\n", "\"users\"\n"], 3_000, |text| {
            let file = Path::new("/data/app.db");
            read += usize::from(lines::<(String, u64)>(file, text).is_ok())
                + usize::from(lines::<String>(file, text).is_ok());
            assert!(corrupt(file, text).message.chars().count() < 400);
        });
        assert!(read > 100, "{read}");
    }
}
