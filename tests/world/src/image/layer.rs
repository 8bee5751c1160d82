//! One layer of an image: a tar file as it is, or a folder packed so that only its content decides on the bytes.

use super::blob::Blob;
use crate::command::run;
use crate::error::{Doing, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A tar file or a folder, and where it lands in the image.
#[derive(Clone, Debug)]
pub struct Layer {
    source: PathBuf,
    at: Option<String>,
    without: Vec<String>,
}

impl Layer {
    /// A tar file or a folder that becomes the root of containers.
    pub fn new(source: impl Into<PathBuf>) -> Self {
        Self { source: source.into(), at: None, without: vec![] }
    }

    /// Puts a folder of sources at a path of the image, readable by all, whatever the umask of the checkout was.
    pub fn at(mut self, path: &str) -> Self {
        self.at = Some(path.trim_matches('/').to_owned());
        self
    }

    /// Leaves out what is directly in the folder under these names, and caches anywhere.
    pub fn without(mut self, names: &[&str]) -> Self {
        self.without = names.iter().map(|name| format!("./{name}")).collect();
        self
    }

    /// Packs the layer into a file, unless it is one already.
    pub(super) fn pack(&self, into: &Path) -> Result<Blob> {
        if self.source.is_file() {
            return Blob::of(&self.source);
        }
        self.write(into)?;
        Blob::of(into)
    }

    /// Writes a folder as a tar file, whole or not at all.
    pub(super) fn write(&self, into: &Path) -> Result<()> {
        let fresh = into.with_extension("new");
        if let Some(parent) = into.parent() {
            fs::create_dir_all(parent).doing(format!("making {}", parent.display()))?;
        }
        run("tar", self.arguments(&fresh))?;
        fs::rename(&fresh, into).doing(format!("writing {}", into.display()))
    }

    fn arguments(&self, file: &Path) -> Vec<OsString> {
        let mut words = SAME.map(OsString::from).to_vec();
        if let Some(at) = &self.at {
            // `flags=r` renames the members only, and leaves the targets of links alone.
            let prefix = Path::new(".").join(at);
            words.push(
                format!("--transform=flags=r;s,^\\.,{},", prefix.display().to_string().trim_end_matches('/')).into(),
            );
            words.push("--mode=u=rwX,go=rX".into());
        }
        if !self.without.is_empty() {
            words.extend(
                ["--no-anchored", "--exclude=__pycache__", "--exclude=.*_cache", "--anchored"].map(OsString::from),
            );
            words.extend(self.without.iter().map(|name| format!("--exclude={name}").into()));
        }
        words.extend(["-cf".into(), file.into(), "-C".into(), self.source.clone().into(), ".".into()]);
        words
    }
}

/// What makes the same folder the same file.
const SAME: [&str; 5] = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
