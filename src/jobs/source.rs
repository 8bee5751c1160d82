//! Copies of a database and the manifest that proves them. The one place that knows which engines there are.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::budget::{Budget, INTERRUPTED};
use super::scratch::unwritable;
use super::sqlite;
use crate::evidence::{Contents, Failure, Source};

/// The file in a snapshot that says what the copy beside it must hold.
pub const MANIFEST: &str = "manifest.json";

/// The copy's name in a snapshot of a SQLite database.
pub const SQLITE: &str = "database.sqlite3";

/// What a copy held when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Which engine wrote it.
    pub engine: Engine,
    /// When the copy was made.
    pub time: Timestamp,
    /// The size of the copy's file.
    pub bytes: u64,
    /// The SHA-256 of the copy's file.
    pub sha256: String,
    /// A hash of the schema.
    pub schema: String,
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
}

/// A database engine, as the manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// A SQLite file.
    Sqlite,
}

impl Manifest {
    /// The rows, counted.
    pub fn contents(&self) -> Contents {
        Contents::new(self.rows.clone())
    }
}

/// Whether there is a database at all.
pub fn exists(source: &Source) -> bool {
    match source {
        Source::Sqlite { file } => file.exists(),
    }
}

/// The failure of a database that is not there.
pub fn missing(source: &Source) -> Failure {
    match source {
        Source::Sqlite { file } => {
            let text = format!("{} does not exist; check the volume and database.sqlite.file", file.display());
            Failure::new("DatabaseMissing", text)
        }
    }
}

/// Makes a consistent copy and its manifest in an empty directory, and refuses a damaged one.
pub async fn copy(source: &Source, dir: &Path, budget: &Budget) -> Result<Manifest, Failure> {
    let manifest = match source {
        Source::Sqlite { file } => copy_sqlite(file, dir, budget).await?,
    };
    write_manifest(&manifest, dir)?;
    Ok(manifest)
}

async fn copy_sqlite(file: &Path, dir: &Path, budget: &Budget) -> Result<Manifest, Failure> {
    let to = dir.join(SQLITE);
    let time = Timestamp::now();
    sqlite::copy(file, &to, budget).await?;
    sqlite::check(&to, budget).await.map_err(|failure| blame(failure, &to, file))?;
    describe(&to, time, budget).await
}

/// The manifest of a SQLite file that nobody else uses.
async fn describe(file: &Path, time: Timestamp, budget: &Budget) -> Result<Manifest, Failure> {
    let census = sqlite::census(file, budget).await?;
    let (bytes, sha256) = digest(file, budget).await?;
    Ok(Manifest { engine: Engine::Sqlite, time, bytes, sha256, schema: census.schema, rows: census.rows })
}

/// Damage in the copy is damage in the database: the message names the file that the user knows.
fn blame(mut failure: Failure, copy: &Path, file: &Path) -> Failure {
    failure.message = failure.message.replace(&*copy.to_string_lossy(), &file.to_string_lossy());
    failure
}

/// Writes the manifest beside the copy.
fn write_manifest(manifest: &Manifest, dir: &Path) -> Result<(), Failure> {
    let path = dir.join(MANIFEST);
    let text = serde_json::to_string_pretty(manifest).unwrap_or_default();
    std::fs::write(&path, text).map_err(|error| unwritable(&path, &error))
}

/// Proves a restored copy against the manifest that came with it: same bytes, whole, same schema, same rows.
pub async fn prove(dir: &Path, budget: &Budget) -> Result<Manifest, Failure> {
    let text =
        std::fs::read_to_string(dir.join(MANIFEST)).map_err(|error| differs(&format!("no manifest ({error})")))?;
    let manifest = read_manifest(&text)?;
    match manifest.engine {
        Engine::Sqlite => prove_sqlite(&dir.join(SQLITE), &manifest, budget).await?,
    }
    Ok(manifest)
}

async fn prove_sqlite(file: &Path, manifest: &Manifest, budget: &Budget) -> Result<(), Failure> {
    same_bytes(file, manifest, budget).await?;
    sqlite::check(file, budget).await?;
    let census = sqlite::census(file, budget).await?;
    if census.rows != manifest.rows {
        return Err(differs("the restored tables have other numbers of rows"));
    }
    if census.schema != manifest.schema { Err(differs("the restored schema is another")) } else { Ok(()) }
}

/// Compares a file with the manifest byte by byte.
pub async fn same_bytes(file: &Path, manifest: &Manifest, budget: &Budget) -> Result<(), Failure> {
    let (bytes, sha256) = digest(file, budget).await?;
    if (bytes, &sha256) == (manifest.bytes, &manifest.sha256) {
        return Ok(());
    }
    Err(differs(&format!("{bytes} bytes came back where {} went in, or others", manifest.bytes)))
}

/// Reads a manifest's text.
pub fn read_manifest(text: &str) -> Result<Manifest, Failure> {
    serde_json::from_str(text).map_err(|error| differs(&format!("its manifest cannot be read ({error})")))
}

fn differs(what: &str) -> Failure {
    Failure::new("SnapshotDiffers", format!("the snapshot is not what was backed up: {what}; do not rely on it"))
}

/// The size and the SHA-256 of a file.
async fn digest(file: &Path, budget: &Budget) -> Result<(u64, String), Failure> {
    let (path, budget) = (file.to_owned(), budget.clone());
    let task = tokio::task::spawn_blocking(move || digest_now(&path, &budget));
    task.await.map_err(|error| Failure::new(INTERRUPTED, error.to_string()))?
}

fn digest_now(path: &PathBuf, budget: &Budget) -> Result<(u64, String), Failure> {
    let unreadable = |error: std::io::Error| differs(&format!("{} cannot be read ({error})", path.display()));
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        budget.check()?;
        match file.read(&mut chunk).map_err(unreadable)? {
            0 => return Ok((bytes, sqlite::hex(&hash.finalize()))),
            read => {
                hash.update(&chunk[..read]);
                bytes += read as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_manifest_from_a_repository_breaks_its_reader() {
        let manifest = serde_json::json!({
            "version": 1, "engine": "sqlite", "file": "app.db", "bytes": 4096, "sha256": "aa", "schema": "bb",
            "rows": {"users": 3}, "time": "2026-11-20T06:00:00Z",
        });
        let mut refused = 0;
        crate::fuzz::json(&manifest, 2_000, |manifest| match read_manifest(&manifest.to_string()) {
            Ok(manifest) => drop(manifest.contents()),
            Err(failure) => {
                assert!(!failure.message.is_empty());
                refused += 1;
            }
        });
        assert!(refused > 100, "{refused}");
    }
}
