//! Python with the wheels of one application: two layers, the interpreter's and the wheels', both with bytecode, since
//! containers on a read-only root cannot make their own and would compile at each start.

use super::debian::{self, Rootfs, USER};
use super::{Layer, fresh, hash};
use crate::command::{run, succeeds};
use crate::error::{Doing, Error, Result};
use crate::step::step;
use std::fs;
use std::path::{Path, PathBuf};

/// The interpreter of Debian 12, and where it looks for modules that are not Debian's.
const VERSION: &str = "3.11";
const MODULES: &str = "usr/local/lib/python3.11/dist-packages";

/// busybox gives `kubectl exec` a shell and the usual commands.
const PACKAGES: [&str; 4] = ["python3", "sqlite3", "ca-certificates", "busybox-static"];
const COMMANDS: [&str; 14] = [
    "bin/sh",
    "bin/cat",
    "bin/cp",
    "bin/grep",
    "bin/head",
    "bin/id",
    "bin/ls",
    "bin/mkdir",
    "bin/ps",
    "bin/rm",
    "bin/sleep",
    "bin/tail",
    "bin/wget",
    "usr/bin/env",
];

/// The layers below the application: interpreter, then the wheels that the file pins.
pub fn layers(requirements: &Path) -> Result<Vec<Layer>> {
    let Rootfs { root } = debian::rootfs("python", &PACKAGES)?;
    let text = fs::read_to_string(requirements).doing(format!("reading {}", requirements.display()))?;
    let commands = hash(&format!("{COMMANDS:?}"));
    let (base, wheels) = (beside(&root, &format!("base-{}", &commands[..6])), beside(&root, &hash(&text)[..12]));
    if !base.is_file() {
        step("bytecode of Python", || interpreter(&root, &base))?;
    }
    if !wheels.is_file() {
        step("wheels of the application", || install(&root, requirements, &wheels))?;
    }
    Ok(vec![Layer::new(base), Layer::new(wheels)])
}

fn beside(root: &Path, what: &str) -> PathBuf {
    root.with_file_name(format!("{}.{what}.layer", root.file_name().unwrap_or_default().to_string_lossy()))
}

fn interpreter(root: &Path, layer: &Path) -> Result<()> {
    fresh(&root.join(MODULES))?;
    fs::create_dir_all(root.join("app")).doing("making app")?;
    debian::link(root, &format!("python{VERSION}"), "usr/bin/python")?;
    COMMANDS.iter().try_for_each(|name| debian::link(root, "/bin/busybox", name))?;
    compile(root, &format!("/usr/lib/python{VERSION}"))?;
    run("chown", [format!("{USER}:{USER}").as_ref(), root.join("app").as_os_str()])?;
    Layer::new(root).write(layer)
}

/// Installs into the interpreter's own root, so that it is that interpreter which compiles.
fn install(root: &Path, requirements: &Path, layer: &Path) -> Result<()> {
    let modules = root.join(MODULES);
    fresh(&modules)?;
    pip()?;
    run("python3", pip_words(requirements, &modules))?;
    // Its scripts name the interpreter of the machine that built them.
    let _ = fs::remove_dir_all(modules.join("bin"));
    compile(root, &format!("/{MODULES}"))?;
    Layer::new(&modules).at(MODULES).write(layer)
}

fn pip_words(requirements: &Path, modules: &Path) -> Vec<PathBuf> {
    let machine = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };
    let platforms =
        ["manylinux2014", "manylinux_2_17", "manylinux_2_28"].map(|kind| format!("--platform={kind}_{machine}"));
    let fixed = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:"];
    let target = ["--implementation=cp", "--disable-pip-version-check", "--root-user-action=ignore"];
    let version = format!("--python-version={VERSION}");
    let words = fixed.into_iter().chain(target).chain([version.as_str()]).chain(platforms.iter().map(String::as_str));
    let paths = ["--requirement".into(), requirements.to_owned(), "--target".into(), modules.to_owned()];
    words.map(PathBuf::from).chain(paths).collect()
}

/// Debian keeps pip apart from Python.
fn pip() -> Result<()> {
    let works = || succeeds("python3", ["-m", "pip", "--version"]);
    if works() {
        return Ok(());
    }
    run("apt-get", ["install", "-qq", "--no-install-recommends", "python3-pip"])?;
    if works() { Ok(()) } else { Err(Error::new("python3 has no pip").next("install pip for the `python3` on PATH")) }
}

/// Bytecode that is never compared with its source: files of an image do not change, and have no times.
fn compile(root: &Path, folder: &str) -> Result<()> {
    let python = format!("/usr/bin/python{VERSION}");
    let words = [python.as_str(), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", folder];
    run("chroot", [root.as_os_str()].into_iter().chain(words.iter().map(|word| word.as_ref()))).map(drop)
}
