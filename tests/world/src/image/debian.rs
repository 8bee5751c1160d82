//! Small root file systems of Debian's packages: unpacked with what they depend on, without their install scripts,
//! and without what only a person at a terminal or a package tool needs.

use super::{folder, fresh, hash};
use crate::command::run;
use crate::error::{Doing, Result};
use crate::step::step;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const SUITE: &str = "bookworm";

/// To be counted up when the steps below change, so that what was made by the old ones is not used.
const EDITION: u32 = 2;

/// The user and group of applications.
pub const USER: u32 = 10001;

/// What is not needed when a program runs; perl and dpkg come with packages whose scripts would need them.
const UNUSED: [&str; 25] = [
    "bin/tar",
    "dev",
    "etc/apt",
    "etc/dpkg",
    "etc/logrotate.d",
    "lib/systemd",
    "sbin",
    "usr/lib/apt",
    "usr/lib/dpkg",
    "usr/lib/*/gconv",
    "usr/lib/*/perl-base",
    "usr/bin/dpkg*",
    "usr/bin/perl*",
    "usr/sbin",
    "usr/share/bash-completion",
    "usr/share/debconf",
    "usr/share/doc",
    "usr/share/dpkg",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl5",
    "usr/share/zoneinfo/right",
    "var",
];

/// A root file system, made once for each list of packages.
pub struct Rootfs {
    /// The folder it is unpacked in.
    pub root: PathBuf,
}

/// Unpacks packages and what they depend on; `name` is for people.
pub fn rootfs(name: &str, packages: &[&str]) -> Result<Rootfs> {
    let key = hash(&format!("{EDITION} {SUITE} {packages:?} {UNUSED:?}"));
    let root = folder().join("roots").join(format!("{name}-{}", &key[..12]));
    if root.is_dir() {
        return Ok(Rootfs { root });
    }
    crate::install::build(&["packages".to_owned()])?;
    let unfinished = root.with_extension("unfinished");
    step(&format!("Debian packages of {name}"), || {
        fresh(&unfinished)?;
        unpack(packages, &unfinished)?;
        prune(&unfinished)?;
        complete(&unfinished)
    })?;
    fs::rename(&unfinished, &root).doing(format!("making {}", root.display()))?;
    Ok(Rootfs { root })
}

fn unpack(packages: &[&str], root: &Path) -> Result<()> {
    let include = format!("--include={}", packages.join(","));
    let fixed = ["--quiet", "--variant=extract", "--format=directory", include.as_str(), SUITE].map(PathBuf::from);
    run("mmdebstrap", fixed.into_iter().chain([root.to_owned()])).map(drop)
}

fn prune(root: &Path) -> Result<()> {
    UNUSED.iter().try_for_each(|pattern| matching(root, pattern).iter().try_for_each(|path| remove(path)))
}

/// The paths that a pattern names; `*` stands for a part of one name.
fn matching(root: &Path, pattern: &str) -> Vec<PathBuf> {
    pattern.split('/').fold(vec![root.to_owned()], |folders, part| {
        let Some((before, after)) = part.split_once('*') else {
            return folders.into_iter().map(|folder| folder.join(part)).filter(|path| path.exists()).collect();
        };
        let fits = |name: &str| name.starts_with(before) && name.ends_with(after);
        let found = folders.iter().flat_map(|folder| names(folder).into_iter().map(|name| (folder.clone(), name)));
        found.filter(|(_, name)| fits(name)).map(|(folder, name)| folder.join(name)).collect()
    })
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.doing(format!("removing {}", path.display()))
}

/// Does what the install scripts would have done and running programs need: users, authorities, folders.
fn complete(root: &Path) -> Result<()> {
    for folder in ["dev", "etc/ssl/certs", "proc", "run", "sys", "tmp", "usr/lib/ssl", "var/tmp"] {
        fs::create_dir_all(root.join(folder)).doing(format!("making {folder}"))?;
    }
    let people = format!("root:x:0:0:root:/:/bin/sh\napp:x:{USER}:{USER}:application:/tmp:/bin/sh\n");
    write(root, "etc/passwd", people.as_bytes())?;
    write(root, "etc/group", format!("root:x:0:\napp:x:{USER}:\n").as_bytes())?;
    authorities(root)
}

/// The bundle that update-ca-certificates makes, where OpenSSL and others look for it.
fn authorities(root: &Path) -> Result<()> {
    let source = root.join("usr/share/ca-certificates/mozilla");
    let mut files = names(&source);
    files.sort();
    let read = |name: &String| fs::read_to_string(source.join(name)).doing(format!("reading {name}"));
    let bundle: String = files.iter().map(read).collect::<Result<_>>()?;
    write(root, "etc/ssl/certs/ca-certificates.crt", bundle.as_bytes())?;
    link(root, "/etc/ssl/certs/ca-certificates.crt", "usr/lib/ssl/cert.pem")
}

fn write(root: &Path, file: &str, text: &[u8]) -> Result<()> {
    fs::write(root.join(file), text).doing(format!("writing {file}"))
}

/// Makes a link in the root, in place of what is there.
pub fn link(root: &Path, to: &str, file: &str) -> Result<()> {
    let path = root.join(file);
    if path.symlink_metadata().is_ok() {
        remove(&path)?;
    }
    symlink(to, &path).doing(format!("linking {file}"))
}
