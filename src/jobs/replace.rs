//! Exchanges a database for a restored copy so that a crash leaves one or the other.
//!
//! SQLite keeps committed rows beside the file, in `-wal`. A log that meets another database than its own corrupts it
//! (<https://www.sqlite.org/howtocorrupt.html>, section 1.4), so it is folded into the old file before the exchange.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use super::budget::Budget;
use super::source::{self, Manifest, SQLITE};
use super::sqlite;
use crate::evidence::{Failure, Source};

/// What SQLite keeps beside a database.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Proves that nobody has the database open. A damaged one, or none, is nobody's.
pub async fn idle(source: &Source, budget: &Budget) -> Result<(), Failure> {
    match source {
        Source::Sqlite { file } if file.exists() => settle(file, budget).await.map(drop),
        Source::Sqlite { .. } => Ok(()),
    }
}

/// Copies a damaged database as it is, with what lies beside it.
pub fn salvage(source: &Source, dir: &Path) -> Result<(), Failure> {
    let Source::Sqlite { file } = source;
    let mut names = vec![""];
    names.extend(BESIDE);
    for suffix in names {
        let (from, to) = (beside(file, suffix), beside(&dir.join(SQLITE), suffix));
        if from.exists() {
            fs::copy(&from, &to).map_err(|error| super::scratch::unwritable(&to, &error))?;
        }
    }
    Ok(())
}

/// Puts the restored copy in the database's place.
pub async fn replace(source: &Source, restored: &Path, manifest: &Manifest, budget: &Budget) -> Result<(), Failure> {
    let Source::Sqlite { file } = source;
    let staged = beside(file, ".golive-restore");
    let replaced = match stage(&restored.join(SQLITE), file, &staged) {
        Ok(()) => swap(&staged, file, manifest, budget).await,
        Err(error) => Err(unreplaced(file, &error)),
    };
    if replaced.is_err() {
        // Not there if it was already renamed; the failure that counts is the first one.
        let _first_failure_counts = fs::remove_file(&staged);
    }
    replaced
}

async fn swap(staged: &Path, file: &Path, manifest: &Manifest, budget: &Budget) -> Result<(), Failure> {
    source::same_bytes(staged, manifest, budget).await?;
    if file.exists() && !settle(file, budget).await? {
        forsake(file).map_err(|error| unreplaced(file, &error))?;
    }
    budget.check()?;
    exchange(staged, file).map_err(|error| unreplaced(file, &error))
}

/// Folds the log into the file. False if the file is too damaged for that.
async fn settle(file: &Path, budget: &Budget) -> Result<bool, Failure> {
    match sqlite::settle(file, budget).await {
        Ok(()) => Ok(true),
        Err(failure) if failure.reason == "DatabaseCorrupt" => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Writes the copy beside the database, on the same file system, with its mode and owner, and down to the disk.
fn stage(from: &Path, file: &Path, staged: &Path) -> io::Result<()> {
    tracing::debug!(file = %staged.display(), "staging");
    fs::copy(from, staged)?;
    if let Ok(old) = fs::metadata(file) {
        let new = fs::metadata(staged)?;
        fs::set_permissions(staged, old.permissions())?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            chown(staged, Some(old.uid()), Some(old.gid()))?;
        }
    }
    File::open(staged)?.sync_all()
}

/// The one step that counts: a rename is atomic, and the directory makes it last.
fn exchange(staged: &Path, file: &Path) -> io::Result<()> {
    tracing::debug!(file = %file.display(), "exchanging");
    fs::rename(staged, file)?;
    File::open(file.parent().unwrap_or(Path::new("/")))?.sync_all()?;
    tracing::debug!(file = %file.display(), "exchanged");
    forsake(file)
}

/// Removes what lies beside the database.
fn forsake(file: &Path) -> io::Result<()> {
    for suffix in BESIDE {
        match fs::remove_file(beside(file, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(suffix);
    PathBuf::from(name)
}

fn unreplaced(file: &Path, error: &io::Error) -> Failure {
    let text = format!(
        "{} was not replaced ({error}); run as the user that owns it, with space for a second copy",
        file.display()
    );
    Failure::new("DatabaseUnwritable", text)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    /// A database whose only row is in the log that its killed user left.
    fn crashed(dir: &Path) -> PathBuf {
        let file = dir.join("app.sqlite3");
        let mut tool = Command::new("sqlite3");
        tool.args(["-batch"]).arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut user = tool.spawn().unwrap();
        let script = b"PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (7);\n.print done\n";
        user.stdin.as_mut().unwrap().write_all(script).unwrap();
        let mut lines = BufReader::new(user.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "done"));
        user.kill().unwrap();
        user.wait().unwrap();
        file
    }

    /// The exchange is made to fail at its last step: a rename does not cross file systems. What is left then is what a
    /// crash just before the rename leaves.
    #[tokio::test]
    async fn the_log_is_in_the_old_file_before_anything_is_exchanged() {
        let name = format!("golive-replace-{}", std::process::id());
        let (dir, elsewhere) = (std::env::temp_dir().join(&name), Path::new("/dev/shm").join(&name));
        fs::create_dir_all(&dir).unwrap();
        fs::create_dir_all(&elsewhere).unwrap();
        let file = crashed(&elsewhere);
        assert!(fs::metadata(beside(&file, "-wal")).unwrap().len() > 0);
        let (_stop, stopped) = tokio::sync::watch::channel(false);
        let budget = Budget::new(stopped);
        let manifest = source::copy(&Source::Sqlite { file: crashed(&dir) }, &dir, &budget).await.unwrap();
        let failure = swap(&dir.join(SQLITE), &file, &manifest, &budget).await.unwrap_err();
        assert_eq!(failure.reason, "DatabaseUnwritable");
        assert_eq!(fs::metadata(beside(&file, "-wal")).map(|meta| meta.len()).unwrap_or(0), 0);
        let alone = dir.join("alone.sqlite3");
        fs::copy(&file, &alone).unwrap();
        let rows = Command::new("sqlite3").arg(&alone).arg("SELECT x FROM t").output().unwrap().stdout;
        assert_eq!(rows, b"7\n");
        fs::remove_dir_all(&dir).unwrap();
        fs::remove_dir_all(&elsewhere).unwrap();
    }
}
