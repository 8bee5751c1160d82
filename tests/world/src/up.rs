//! Brings a world up, from whatever state it is in, and takes it down.

use crate::error::{Doing, Error, Result};
use crate::network::{self, Network};
use crate::place::{DEFAULT, World, existing_cluster};
use crate::step::step;
use std::fs::{self, File};
use std::path::PathBuf;
use std::thread::{ScopedJoinHandle, scope};

/// What a new cluster keeps of the one before: its users have the credentials in their shells.
const KEPT: [&str; 2] = ["credentials.json", "vendors"];

/// Brings up the world of that name: starts what does not run, and starts over where a reboot left only files.
pub fn up(name: &str) -> Result<World> {
    if existing_cluster().is_some() {
        return beside_existing(World::named(name)?);
    }
    bring(name, start)
}

/// Brings up only etcd and the API server, with the kinds of the Gateway API: no node, no controllers, no vendors. For
/// measuring what clients of the API server do, where nothing else takes its time.
pub fn control_plane(name: &str) -> Result<World> {
    if existing_cluster().is_some() {
        return Err(Error::new("a control plane alone needs a namespace of its own").next("unset WORLD"));
    }
    bring(name, |world| world.serve_api().and_then(|()| world.define_classes()))
}

fn bring(name: &str, start: fn(&World) -> Result<()>) -> Result<World> {
    let mut world = World::named(name)?;
    check_machine()?;
    let _lock = lock(&world)?;
    check_owner(&world)?;
    step(&format!("world `{name}`"), || {
        let whole = world.is_whole();
        if !whole {
            rebuild(&mut world)?;
        }
        match start(&world) {
            Err(error) if whole => retry(&mut world, &error, start),
            other => other,
        }?;
        world.write_env()
    })?;
    Ok(world)
}

/// Takes the world down and removes every trace of it.
pub fn down(name: &str) -> Result<()> {
    let world = World::named(name)?;
    let existing = existing_cluster().is_some();
    if !existing {
        check_machine()?;
    }
    let _lock = lock(&world)?;
    check_owner(&world)?;
    step(&format!("world `{name}` is down"), || {
        if existing {
            world.stop_all()
        } else {
            world.sweep()?
        }
        world.forget(&[])?;
        fs::remove_file(lock_file(&world)).or_else(gone).doing("removing the lock")
    })
}

fn gone(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

impl World {
    /// Whether its namespace is there since this boot, made to its end, and its files with it.
    fn is_whole(&self) -> bool {
        let booted = self.recorded("boot").is_some_and(|id| boot() == Some(id));
        booted && self.network.is_some() && network::exists(&self.namespace()) && self.kubeconfig().exists()
    }
}

/// Removes what is left and makes the namespace and the keys anew.
fn rebuild(world: &mut World) -> Result<()> {
    world.sweep()?;
    world.forget(&KEPT)?;
    step("namespace and keys", || {
        world.record("owner", &world.dir.display().to_string())?;
        let network = Network::claim(&world.namespace(), if world.name == DEFAULT { 0 } else { 1 })?;
        world.network = Some(network);
        world.record("number", &network.number.to_string())?;
        world.make_pki()?;
        world.record("boot", &boot().unwrap_or_default())
    })
}

/// A world that was there may hold data that a crash broke; a new one does not.
fn retry(world: &mut World, error: &Error, start: fn(&World) -> Result<()>) -> Result<()> {
    eprintln!("{error}\n  starting over with an empty cluster");
    rebuild(world)?;
    start(world)
}

/// Starts everything, at once where nothing waits for the other.
fn start(world: &World) -> Result<()> {
    scope(|threads| {
        let containers = threads.spawn(|| world.run_containers());
        let outside = threads.spawn(|| world.open_outside());
        world.serve_api()?;
        let dns = threads.spawn(|| world.serve_cluster_dns());
        let gateway = threads.spawn(|| world.define_classes().and_then(|()| world.serve_gateway()));
        world.start_controllers()?;
        joined(containers)?;
        world.join_node()?;
        [dns, gateway, outside].into_iter().try_for_each(joined)
    })
}

fn joined(thread: ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|_| Err(Error::new("a thread of `world up` panicked")))
}

fn beside_existing(world: World) -> Result<World> {
    let _lock = lock(&world)?;
    if network::exists(&world.namespace()) {
        return Err(Error::new(format!("a world named `{}` is up with a cluster of its own", world.name))
            .next("take it down without WORLD=existing, or choose another name: --name NAME"));
    }
    step(&format!("the outside of `{}`, beside your own cluster", world.name), || {
        world.open_outside()?;
        world.write_env()
    })?;
    Ok(world)
}

/// One command at a time works on a world; the lock ends with the process that holds it.
fn lock(world: &World) -> Result<File> {
    let path = lock_file(world);
    let file = File::options().write(true).create(true).truncate(false).open(&path).doing("opening the lock")?;
    file.lock().doing(format!("locking {}", path.display()))?;
    Ok(file)
}

fn lock_file(world: &World) -> PathBuf {
    std::env::temp_dir().join(format!("{}.lock", world.namespace()))
}

/// Two checkouts may use the same name; the second must not take down the first one's world.
fn check_owner(world: &World) -> Result<()> {
    match world.recorded("owner").filter(|owner| *owner != world.dir.display().to_string()) {
        None => Ok(()),
        Some(owner) => Err(Error::new(format!("a world named `{}` is up already, from {owner}", world.name))
            .next("take that one down, or give this one another name: --name NAME")),
    }
}

fn check_machine() -> Result<()> {
    let advice = "use your own cluster instead: set WORLD=existing and KUBECONFIG";
    if !cfg!(target_os = "linux") {
        return Err(Error::new("a world of its own needs Linux: namespaces, control groups, a kubelet").next(advice));
    }
    let status = fs::read_to_string("/proc/self/status").doing("reading /proc/self/status")?;
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:")).and_then(|ids| ids.split_whitespace().nth(1));
    if user == Some("0") {
        return Ok(());
    }
    Err(Error::new("a world of its own needs root: it makes namespaces and control groups, and runs a kubelet")
        .next(format!("run it with sudo, or {advice}")))
}

fn boot() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}
