//! Takes a world down: processes, mounts, control groups, links, sockets and files, whatever state they are in.

use crate::command::{run, succeeds};
use crate::daemon::kill;
use crate::error::{Doing, Error, Result};
use crate::place::{DEFAULT, World};
use crate::{cgroup, network, node};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

impl World {
    /// Removes everything that runs, and everything outside of the world's own folder.
    /// The kubelet goes first, or it would start again what is ended.
    pub(crate) fn sweep(&self) -> Result<()> {
        self.stop_all();
        cgroup::remove(&self.namespace())?;
        self.empty_namespace()?;
        let containers = self.containers();
        self.remove_notes(&containers);
        for folder in [&self.run, &self.dir] {
            unmount_below(folder)?;
        }
        network::remove(&self.namespace(), self.network);
        remove(&self.run)
    }

    /// Removes the world's files, except what `keep` names.
    pub(crate) fn forget(&self, keep: &[&str]) -> Result<()> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| !keep.iter().any(|name| entry.file_name() == *name)) {
            remove(&entry.path())?;
        }
        if !keep.is_empty() {
            return Ok(());
        }
        if self.name == DEFAULT {
            remove(&self.dir.with_file_name("env"))?;
        }
        remove(&self.dir)
    }

    /// What is left in the namespace is what its programs started, such as the shims of containers.
    fn empty_namespace(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while network::exists(&self.namespace()) {
            let listed = run("ip", ["netns", "pids", &self.namespace()])?;
            let pids: Vec<u32> = listed.lines().filter_map(|line| line.parse().ok()).collect();
            if pids.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                return Err(
                    Error::new(format!("processes {pids:?} do not end")).next("see what they wait for: `ps -l`")
                );
            }
            kill("-KILL", &pids);
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The ids of the containers there were: each has a folder in the runtime's state.
    fn containers(&self) -> BTreeSet<String> {
        names(&self.tasks()).into_iter().collect()
    }

    fn tasks(&self) -> PathBuf {
        self.run.join("containerd/io.containerd.runtime.v2.task/k8s.io")
    }

    /// Removes what the node's programs left under paths that all worlds share: sockets of shims, whose names are in
    /// their folders, results of CNI calls, named by container, and links to logs.
    fn remove_notes(&self, containers: &BTreeSet<String>) {
        for id in containers {
            let address = fs::read_to_string(self.tasks().join(id).join("address")).unwrap_or_default();
            let _ = fs::remove_file(address.trim().trim_start_matches("unix://"));
        }
        let [logs, results] = node::fixed_paths();
        let named = |name: &str| containers.iter().any(|id| name.contains(id.as_str()));
        let linked = |name: &str| fs::read_link(logs.join(name)).is_ok_and(|target| target.starts_with(&self.dir));
        names(results).iter().filter(|name| named(name)).for_each(|name| drop(fs::remove_file(results.join(name))));
        names(logs).iter().filter(|name| linked(name)).for_each(|name| drop(fs::remove_file(logs.join(name))));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Unmounts what is mounted below a folder, the latest first, and refuses to go on while anything still is: removing
/// the folder would then remove what is behind the mount.
fn unmount_below(folder: &Path) -> Result<()> {
    for mount in mounts_below(folder).iter().rev() {
        if !succeeds("umount", [mount]) {
            succeeds("umount", [Path::new("--lazy"), mount]);
        }
    }
    match mounts_below(folder).first() {
        None => Ok(()),
        Some(left) => {
            Err(Error::new(format!("{} is still mounted", left.display())).next("unmount it, then try again"))
        }
    }
}

/// The mount points below a folder, in the order they were mounted (proc_pid_mountinfo(5)).
pub fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| PathBuf::from(unescaped(point)));
    points.filter(|point| point.starts_with(folder)).collect()
}

fn unescaped(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(point.to_owned(), |text, (code, character)| text.replace(code, character))
}

fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(kind) if kind.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.doing(format!("removing {}", path.display()))
}
