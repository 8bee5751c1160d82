//! The smallest OCI image there is: one folder of static programs as its only layer, in an archive for `ctr`.

use crate::error::{Doing, Result};
use crate::image::{Image, Layer};
use crate::node::PAUSE;
use crate::place::World;
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
        let command = self.command.iter().map(|word| (*word).to_owned()).collect();
        let image = Image { name: self.name.into(), layers: vec![Layer::new(self.root)], command, ..Image::default() };
        image.archive(archive)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::run;

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
