//! The smallest OCI image there is: one folder of static programs as its only layer, in an archive for `ctr`.
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use crate::command::run;
use crate::error::{Doing, Result};
use crate::node::PAUSE;
use crate::place::World;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// What an archive is made of.
pub struct Folder<'a> {
    /// The image's full name, with its tag.
    pub name: &'a str,
    /// What becomes the root of its containers.
    pub root: &'a Path,
    /// What they run.
    pub command: &'a [&'a str],
}

impl Folder<'_> {
    /// Writes the image as an archive; the same folder makes the same archive.
    pub fn archive(&self, archive: &Path) -> Result<()> {
        let layout = archive.with_extension("layout");
        let _ = fs::remove_dir_all(&layout);
        fs::create_dir_all(layout.join("blobs/sha256")).doing(format!("making {}", layout.display()))?;
        self.write(&layout)?;
        pack(&layout, archive)?;
        fs::remove_dir_all(&layout).doing(format!("removing {}", layout.display()))
    }

    fn write(&self, layout: &Path) -> Result<()> {
        let layer = layout.join("layer.tar");
        pack(self.root, &layer)?;
        let layer_bytes = fs::read(&layer).doing("reading the layer")?;
        fs::remove_file(&layer).doing("removing the layer")?;
        let layer = blob(layout, "layer.v1.tar", &layer_bytes)?;
        let config = blob(layout, "config.v1+json", self.config(&layer["digest"]).to_string().as_bytes())?;
        let manifest =
            json!({"schemaVersion": 2, "mediaType": media("manifest.v1+json"), "config": config, "layers": [layer]});
        let mut manifest = blob(layout, "manifest.v1+json", manifest.to_string().as_bytes())?;
        manifest["annotations"] = json!({"io.containerd.image.name": self.name});
        put(&layout.join("index.json"), json!({"schemaVersion": 2, "manifests": [manifest]}).to_string().as_bytes())?;
        put(&layout.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)
    }

    fn config(&self, layer: &Value) -> Value {
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let layers = json!({"type": "layers", "diff_ids": [layer]});
        json!({"architecture": architecture, "os": "linux", "config": {"Cmd": self.command}, "rootfs": layers})
    }
}

impl World {
    /// The archive of the image that holds a pod's namespaces, made anew where its program is newer.
    pub(crate) fn pause_image(&self) -> Result<PathBuf> {
        let (program, archive) = (self.program("pause")?, self.dir.join("pause.tar"));
        let root = self.dir.join("pause");
        fs::create_dir_all(&root).doing(format!("making {}", root.display()))?;
        fs::copy(&program, root.join("pause")).doing(format!("copying {}", program.display()))?;
        Folder { name: PAUSE, root: &root, command: &["/pause"] }.archive(&archive)?;
        Ok(archive)
    }
}

/// Packs a folder so that only its content decides on the bytes.
fn pack(folder: &Path, archive: &Path) -> Result<()> {
    let same = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-cf"].map(PathBuf::from);
    let paths = [archive.to_owned(), "-C".into(), folder.to_owned(), ".".into()];
    run("tar", same.into_iter().chain(paths)).map(drop)
}

fn blob(layout: &Path, kind: &str, bytes: &[u8]) -> Result<Value> {
    let digest: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    put(&layout.join("blobs/sha256").join(&digest), bytes)?;
    Ok(json!({"mediaType": media(kind), "digest": format!("sha256:{digest}"), "size": bytes.len()}))
}

fn media(kind: &str) -> String {
    format!("application/vnd.oci.image.{kind}")
}

fn put(file: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(file, bytes).doing(format!("writing {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_folder_makes_the_same_archive() {
        let dir = std::env::temp_dir().join(format!("archive-{}", std::process::id()));
        fs::create_dir_all(dir.join("root")).unwrap();
        fs::write(dir.join("root/file"), "text").unwrap();
        let image = Folder { name: "golive.test/x:1", root: &dir.join("root"), command: &["/file"] };
        let made = |name: &str| image.archive(&dir.join(name)).map(|()| fs::read(dir.join(name)).unwrap()).unwrap();
        let (one, other) = (made("one.tar"), made("other.tar"));
        let listed = run("tar", [Path::new("-tf"), &dir.join("one.tar")]).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert!(one == other && listed.contains("./index.json") && listed.contains("./blobs/sha256/"), "{listed}");
    }
}
