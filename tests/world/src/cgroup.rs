//! Control groups: one per world in every hierarchy, so that all of its pods can be found and ended.

use crate::daemon::kill;
use crate::error::{Doing, Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Makes the group that the kubelet puts its pods into; it does not make that one itself.
pub fn create(name: &str) -> Result<()> {
    for hierarchy in hierarchies() {
        let group = hierarchy.join(name);
        fs::create_dir_all(&group).doing(format!("making {}", group.display()))?;
        inherit(&hierarchy, &group, "cpuset.cpus");
        inherit(&hierarchy, &group, "cpuset.mems");
        delegate(&hierarchy);
        delegate(&group);
    }
    Ok(())
}

/// In version 1 a new cpuset is empty, and no process can enter it (cpuset(7)).
fn inherit(from: &Path, to: &Path, setting: &str) {
    let own = fs::read_to_string(to.join(setting)).unwrap_or_default();
    let parents = fs::read_to_string(from.join(setting)).unwrap_or_default();
    if own.trim().is_empty() && !parents.trim().is_empty() {
        let _ = fs::write(to.join(setting), parents.trim());
    }
}

/// In version 2 a group's controllers are those its parent hands down.
fn delegate(group: &Path) {
    let controllers = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// Kills everything in the group and removes it.
pub fn remove(name: &str) -> Result<()> {
    let groups: Vec<PathBuf> = hierarchies().into_iter().map(|hierarchy| hierarchy.join(name)).collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !groups.iter().all(|group| removed(group)) {
        if Instant::now() > deadline {
            return Err(Error::new(format!("the control group {name} could not be emptied"))
                .next("see which processes are in it: /sys/fs/cgroup/*/NAME/**/cgroup.procs"));
        }
        kill("-KILL", &groups.iter().flat_map(|group| processes(group)).collect::<Vec<_>>());
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The processes in a group and the groups below it.
fn processes(group: &Path) -> Vec<u32> {
    let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let own = listed.lines().filter_map(|line| line.parse().ok());
    own.chain(below(group).iter().flat_map(|child| processes(child))).collect()
}

/// Removes a group from the leaves up; whether it is gone.
fn removed(group: &Path) -> bool {
    for child in below(group) {
        removed(&child);
    }
    let _ = fs::remove_dir(group);
    !group.exists()
}

fn below(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// Where hierarchies are mounted: one per controller in version 1, a single one in version 2.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let groups = fields.filter(|fields| fields.get(2).is_some_and(|kind| kind.starts_with("cgroup")));
    groups.filter_map(|fields| fields.get(1).map(PathBuf::from)).collect()
}
