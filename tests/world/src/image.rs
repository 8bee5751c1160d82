//! OCI images made without a registry or a container engine: layers from Debian's packages, wheels, Go programs and
//! folders, written as an archive that `ctr image import` takes. The same sources make the same bytes.
//!
//! [`named`] builds the images this repository knows; [`build`] builds any other.

mod blob;
mod debian;
mod layer;
mod layout;
mod python;
mod recipe;

pub use layer::Layer;
pub use recipe::{ALL, golive, named};

use crate::error::{Doing, Result};
use crate::place::target;
use blob::Blob;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What an image is made of.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The full name with its tag: `registry.example.com/csvboard:2.3.0`.
    pub name: String,
    /// From the lowest to the highest.
    pub layers: Vec<Layer>,
    /// What containers run.
    pub entrypoint: Vec<String>,
    /// What containers run where there is no entry point, or its arguments.
    pub command: Vec<String>,
    /// The environment of containers, in order.
    pub env: Vec<(String, String)>,
    /// User and group, as numbers, so that `runAsNonRoot` can be judged.
    pub user: String,
    /// The folder that containers start in.
    pub workdir: String,
}

impl Image {
    /// Writes the image to a file, with its layers beside it.
    pub fn archive(&self, archive: &Path) -> Result<()> {
        layout::write(self, &self.packed(archive)?, archive)
    }

    fn packed(&self, beside: &Path) -> Result<Vec<Blob>> {
        let numbered = self.layers.iter().enumerate();
        numbered.map(|(number, layer)| layer.pack(&beside.with_extension(format!("{number}.layer")))).collect()
    }
}

/// Builds the image's archive, or finds the one built before from the same content.
pub fn build(image: &Image) -> Result<PathBuf> {
    let archive = folder().join(format!("{}.tar", file_name(&image.name)));
    let layers = image.packed(&archive)?;
    let (stamp, key) = (archive.with_extension("key"), key(image, &layers));
    if !(archive.is_file() && fs::read_to_string(&stamp).is_ok_and(|old| old == key)) {
        layout::write(image, &layers, &archive)?;
        fs::write(&stamp, key).doing(format!("writing {}", stamp.display()))?;
    }
    Ok(archive)
}

/// Builds the images named, or all where none is.
pub fn build_named(names: &[String]) -> Result<Vec<PathBuf>> {
    if names.is_empty() {
        return ALL.iter().map(|name| named(name)).collect();
    }
    names.iter().map(|name| named(name)).collect()
}

/// All that decides on the archive's bytes.
fn key(image: &Image, layers: &[Blob]) -> String {
    let digests: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    hash(&format!("{} {} {digests:?}", image.name, image.config(layers)))
}

/// Where archives and layers are kept.
pub fn folder() -> PathBuf {
    target().join("world/images")
}

/// Held while images are built, since all builds share their folder; it is let go when the file is closed.
fn lock() -> Result<File> {
    fs::create_dir_all(folder()).doing("making the folder of images")?;
    let file = File::create(folder().join("build.lock")).doing("opening the lock of images")?;
    file.lock().doing("waiting for another build of images")?;
    Ok(file)
}

/// The image's name as the name of a file: without the registry, and without a colon.
fn file_name(name: &str) -> String {
    name.rsplit('/').next().unwrap_or(name).replace(':', "-")
}

fn hash(text: &str) -> String {
    blob::hex(&Sha256::digest(text))
}

/// Makes a folder anew, empty.
fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).doing(format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(folder).doing(format!("making {}", folder.display()))
}

#[cfg(test)]
mod tests;
