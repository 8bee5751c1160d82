//! Go projects of this repository: what is built from them, and where the modules are that they name.

use crate::command::checked;
use crate::error::Result;
use crate::place::root;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with a go.mod.
pub struct Project {
    folder: PathBuf,
}

impl Project {
    /// The project in a folder of this repository.
    pub fn at(folder: impl AsRef<Path>) -> Self {
        Self { folder: root().join(folder) }
    }

    /// Builds packages into a file or a folder; `stamps` are flags for the linker.
    pub fn build(&self, stamps: &str, output: &Path, packages: &[&str]) -> Result<()> {
        let mut go = self.go();
        go.env("CGO_ENABLED", "0").args(["build", "-trimpath", "-ldflags", &format!("-s -w {stamps}"), "-o"]);
        checked(go.arg(output).args(packages), None).map(drop)
    }

    /// Where a module is, in the version that the project names; it is downloaded where it is not there yet.
    pub fn module(&self, module: &str) -> Result<PathBuf> {
        checked(self.go().args(["mod", "download", module]), None)?;
        let listed = checked(self.go().args(["list", "-m", "-f", "{{.Dir}}", module]), None)?;
        Ok(listed.trim().into())
    }

    fn go(&self) -> Command {
        let mut go = Command::new("go");
        go.current_dir(&self.folder);
        go
    }
}
