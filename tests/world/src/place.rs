//! Where a world keeps its things, and how it is reached.

use crate::command::checked;
use crate::error::{Doing, Error, Result};
use crate::network::Network;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name of the world that `make world` brings up.
pub const DEFAULT: &str = "default";

/// A world: a cluster, its vendors and its files, known by a name.
#[derive(Clone, Debug)]
pub struct World {
    /// What it is called.
    pub name: String,
    /// Its files: credentials, logs, volumes, `env`.
    pub dir: PathBuf,
    /// Its sockets and its own small notes; a short path, because a socket's name ends at 107 bytes.
    pub run: PathBuf,
    /// The programs all worlds share.
    pub bin: PathBuf,
    /// The subnet of its namespace; none where the cluster is the user's own.
    pub network: Option<Network>,
}

impl World {
    /// The world of that name, up or not.
    pub fn named(name: &str) -> Result<Self> {
        check_name(name)?;
        let shared = target().join("world");
        let (dir, bin) = (shared.join(name), shared.join("bin"));
        // Beside an existing cluster there are no sockets with short names to keep, and perhaps no right to /run.
        let own = existing_cluster().is_none();
        let run = if own { PathBuf::from(format!("/run/golive-{name}")) } else { dir.join("run") };
        let mut world = Self { name: name.into(), dir, run, bin, network: None };
        world.network =
            world.recorded("number").and_then(|number| number.parse().ok()).map(|number| Network { number });
        Ok(world)
    }

    /// The name of its network namespace and of its control group.
    pub fn namespace(&self) -> String {
        format!("golive-{}", self.name)
    }

    /// The socket of its container runtime.
    pub fn containerd(&self) -> PathBuf {
        self.run.join("containerd.sock")
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        if let Some(own) = existing_cluster() {
            return own;
        }
        self.dir.join("kubeconfig")
    }

    /// The API server's audit log.
    pub fn audit_log(&self) -> PathBuf {
        self.log("audit")
    }

    /// The log of one of its programs.
    pub fn log(&self, program: &str) -> PathBuf {
        self.dir.join("log").join(format!("{program}.log"))
    }

    /// A program: from KUBEBUILDER_ASSETS where that has it, else one that `world build` made.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(|folder| PathBuf::from(folder).join(name));
        let found = assets.into_iter().chain([self.bin.join(name)]).find(|file| file.is_file());
        found.ok_or_else(|| Error::new(format!("{name} is not built yet")).next("run `make world`, or `world build`"))
    }

    /// The network, of a world that has one of its own.
    pub fn net(&self) -> Result<Network> {
        self.network.ok_or_else(|| Error::new(format!("the world `{}` is not up", self.name)).next(self.up_advice()))
    }

    pub(crate) fn up_advice(&self) -> String {
        format!("`world up --name {}`", self.name)
    }

    /// Runs kubectl as the administrator and gives what it printed.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        checked(&mut self.kubectl_command(args)?, None)
    }

    /// Applies manifests, server-side.
    pub fn apply(&self, manifests: &str) -> Result<String> {
        let args = ["apply", "--server-side", "--force-conflicts", "--field-manager=world", "-f", "-"];
        checked(&mut self.kubectl_command(&args)?, Some(manifests))
    }

    /// Runs kubectl as the administrator with something to read from its standard input.
    pub fn kubectl_with(&self, args: &[&str], input: &str) -> Result<String> {
        checked(&mut self.kubectl_command(args)?, Some(input))
    }

    fn kubectl_command(&self, args: &[&str]) -> Result<Command> {
        let mut kubectl = Command::new(self.program("kubectl")?);
        kubectl.env("KUBECONFIG", self.kubeconfig()).args(args);
        Ok(kubectl)
    }

    /// Imports an OCI image archive into the node, so that pods can run it without a registry.
    pub fn import_image(&self, archive: &Path) -> Result<()> {
        let mut ctr = Command::new("ctr");
        ctr.args(["-n", "k8s.io", "-a"]).arg(self.containerd()).args(["image", "import"]).arg(archive);
        checked(&mut ctr, None).map(drop).map_err(|error| error.next(self.up_advice()))
    }

    /// A note kept with the sockets, which a reboot removes.
    pub(crate) fn recorded(&self, note: &str) -> Option<String> {
        std::fs::read_to_string(self.run.join(note)).ok().map(|text| text.trim().to_owned())
    }

    pub(crate) fn record(&self, note: &str, text: &str) -> Result<()> {
        write(&self.run.join(note), text)
    }
}

/// The user's own cluster, where they opted in: `WORLD=existing` and `KUBECONFIG`.
pub fn existing_cluster() -> Option<PathBuf> {
    let opted_in = std::env::var("WORLD").is_ok_and(|value| value == "existing");
    std::env::var_os("KUBECONFIG").map(PathBuf::from).filter(|_| opted_in)
}

/// Writes a file only its owner may read, and the folders above it.
pub fn write(file: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let parent = file.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent).doing(format!("making {}", parent.display()))?;
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(file);
    let mut opened = opened.doing(format!("opening {}", file.display()))?;
    opened.write_all(text.as_ref()).doing(format!("writing {}", file.display()))
}

/// Where cargo builds to.
pub fn target() -> PathBuf {
    let chosen = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    chosen.unwrap_or_else(|| root().join("target"))
}

/// The root of the repository.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

/// Names become part of link, folder and control group names, and of a socket's path.
fn check_name(name: &str) -> Result<()> {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if plain && (1..=20).contains(&name.len()) && !matches!(name, "bin" | "images") {
        return Ok(());
    }
    Err(Error::new(format!("{name:?} cannot be the name of a world"))
        .next("use 1 to 20 lower-case letters, digits and dashes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_folder_is_refused() {
        for name in ["", "..", "a/b", "Default", "bin", "a-name-longer-than-twenty"] {
            assert!(World::named(name).is_err(), "{name}");
        }
        assert!(World::named("story-2").is_ok());
    }
}
