//! The only place that a job writes to, and reading the small files that are mounted into it.

use std::path::{Path, PathBuf};

use crate::evidence::Failure;

/// A directory that is removed when the job ends, however it ends short of a kill.
#[derive(Debug)]
pub struct Scratch {
    root: PathBuf,
}

impl Scratch {
    /// A fresh directory below the working directory. What a killed predecessor left under its name is removed.
    pub fn new(workdir: &Path, job: &str) -> Result<Self, Failure> {
        let root = workdir.join(format!("golive-{job}-{}", std::process::id()));
        let fresh = std::fs::remove_dir_all(&root).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        });
        fresh.and_then(|()| std::fs::create_dir_all(&root)).map_err(|error| unwritable(&root, &error))?;
        Ok(Scratch { root })
    }

    /// A new, empty directory in it.
    pub fn dir(&self, name: &str) -> Result<PathBuf, Failure> {
        let dir = self.root.join(name);
        std::fs::create_dir_all(&dir).map_err(|error| unwritable(&dir, &error))?;
        Ok(dir)
    }

    /// Frees the space of one of its directories early.
    pub fn clear(&self, name: &str) -> Result<(), Failure> {
        let dir = self.root.join(name);
        std::fs::remove_dir_all(&dir).map_err(|error| unwritable(&dir, &error))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.root) {
            tracing::warn!(directory = %self.root.display(), %error, "temporary files are left behind");
        }
    }
}

/// The failure of a write to the scratch directory.
pub fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    let text = format!("{} cannot be written ({error}); mount a writable volume with enough space", path.display());
    Failure::new("ScratchUnwritable", text)
}

/// A small mounted file, without the line break at its end.
pub fn mounted(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let text = format!("{} cannot be read ({error}); the Secret must have this key", path.display());
        Failure::new("SecretMissing", text)
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
