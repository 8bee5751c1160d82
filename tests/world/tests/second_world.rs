//! A second world beside whatever else is up: pods run, are reached from outside, survive a crash of the control
//! plane, and nothing is left afterwards.

use std::error::Error;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use world::archive::Folder;
use world::{World, place, sweep};

type Outcome<T> = Result<T, Box<dyn Error>>;

const IMAGE: &str = "golive.test/hello:1";
const APPLICATION: &str = include_str!("application.yaml");

/// Takes the world down however the test ends.
struct Guard(String);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = world::down(&self.0) {
            eprintln!("{error}");
        }
    }
}

#[test]
fn a_second_world_runs_pods_and_leaves_nothing() -> Outcome<()> {
    world::install::build(&[])?;
    let guard = Guard(name());
    let world = world::up(&guard.0)?;
    world.import_image(&hello_image(&world)?)?;
    world.apply(&APPLICATION.replace("IMAGE", IMAGE))?;
    application_is_served(&world)?;
    refuses_what_is_not_restricted(&world)?;
    volume_is_writable_and_goes_with_its_claim(&world)?;
    a_second_up_changes_nothing(&world)?;
    a_crash_is_repaired(&world)?;
    a_reboot_is_a_new_cluster_with_the_same_credentials(&world)?;
    let network = world::up(&guard.0)?.network;
    drop(guard);
    assert_eq!(left(&world, &network.ok_or("no network")?.link()), Vec::<String>::new());
    Ok(())
}

/// Every checkout has its own, so that two of them can be tested at once.
fn name() -> String {
    let mut hasher = DefaultHasher::new();
    place::target().hash(&mut hasher);
    format!("second-{:08x}", hasher.finish() as u32)
}

fn hello_image(world: &World) -> Outcome<PathBuf> {
    let root = world.dir.join("hello");
    fs::create_dir_all(root.join("www"))?;
    fs::write(root.join("www/index.html"), "hello from a pod")?;
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    fs::copy(busybox.ok_or("busybox-static is not installed")?, root.join("busybox"))?;
    let command = ["/busybox", "httpd", "-f", "-p", "8080", "-h", "/www"];
    let archive = world.dir.join("hello.tar");
    Folder { name: IMAGE, root: &root, command: &command }.archive(&archive)?;
    Ok(archive)
}

fn application_is_served(world: &World) -> Outcome<()> {
    world.kubectl(&["-n", "shop", "rollout", "status", "deployment/web", "--timeout=90s"])?;
    assert_eq!(phase(world, "pvc/data")?, "Bound");
    let network = world.net()?;
    let service = world.kubectl(&["-n", "shop", "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
    let serves = |address: &str| answer(address).is_ok_and(|text| text.contains("hello from a pod"));
    until("the Service is reached from the host", || serves(&service))?;
    until("the route is served", || serves(&network.node()))?;
    let resolved = ask(&network.cluster_dns(), "web.shop.svc.cluster.local")?;
    assert_eq!(resolved, service, "the cluster's DNS answers");
    let inside = ["-n", "shop", "exec", "deployment/web", "--", "/busybox", "wget", "-qO-", "http://web"];
    assert!(world.kubectl(&inside)?.contains("hello from a pod"), "a pod reaches the Service by name");
    let nameserver = ask(&network.dns(), "ns1.vendors.test")?;
    assert!(nameserver.parse::<IpAddr>().is_ok(), "the outer DNS answers: {nameserver:?}");
    Ok(())
}

fn refuses_what_is_not_restricted(world: &World) -> Outcome<()> {
    let image = format!("--image={IMAGE}");
    let refusal = world.kubectl(&["-n", "shop", "run", "plain", &image]).err().ok_or("a plain pod was admitted")?;
    assert!(refusal.to_string().contains("violates PodSecurity"), "{refusal}");
    Ok(())
}

fn volume_is_writable_and_goes_with_its_claim(world: &World) -> Outcome<()> {
    world.kubectl(&["-n", "shop", "exec", "deployment/web", "--", "/busybox", "touch", "/data/written"])?;
    let volumes = world.dir.join("volumes");
    assert_eq!(fs::read_dir(&volumes)?.count(), 1);
    world.kubectl(&["-n", "shop", "scale", "deployment/web", "--replicas=0"])?;
    world.kubectl(&["-n", "shop", "delete", "pvc", "data", "--timeout=60s"])?;
    until("the volume is gone", || fs::read_dir(&volumes).is_ok_and(|mut entries| entries.next().is_none()))?;
    world.apply(&APPLICATION.replace("IMAGE", IMAGE))?;
    Ok(())
}

fn a_second_up_changes_nothing(world: &World) -> Outcome<()> {
    let before = records(world);
    world::up(&world.name)?;
    assert_eq!(records(world), before, "nothing was started again");
    Ok(())
}

fn a_crash_is_repaired(world: &World) -> Outcome<()> {
    for program in ["etcd", "kube-apiserver", "kubelet", "traefik", "vendors"] {
        let record = fs::read_to_string(world.run.join("pid").join(program))?;
        let pid = record.split(' ').next().unwrap_or_default();
        assert!(Command::new("kill").args(["-KILL", pid]).status()?.success());
        // The signal is sent before the process is gone; until then it would count as running.
        until(&format!("{program} has ended"), || !world.running(program))?;
    }
    world::up(&world.name)?;
    application_is_served(world)
}

fn a_reboot_is_a_new_cluster_with_the_same_credentials(world: &World) -> Outcome<()> {
    let token = world.credentials()?.cloudflare;
    fs::write(world.run.join("boot"), "another boot")?;
    let again = world::up(&world.name)?;
    assert_eq!(again.credentials()?.cloudflare, token);
    assert!(again.kubectl(&["get", "namespace", "shop"]).is_err(), "the cluster is new");
    Ok(())
}

fn phase(world: &World, object: &str) -> Outcome<String> {
    Ok(world.kubectl(&["-n", "shop", "get", object, "-o", "jsonpath={.status.phase}"])?)
}

fn answer(address: &str) -> Outcome<String> {
    let url = format!("http://{address}/");
    printed(Command::new("curl").args(["-sSf", "--max-time", "5", "-H", "Host: shop.example.com", &url]))
}

fn ask(server: &str, name: &str) -> Outcome<String> {
    printed(Command::new("dig").args(["+short", "+time=3", &format!("@{server}"), name]))
}

fn printed(command: &mut Command) -> Outcome<String> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn until(what: &str, holds: impl Fn() -> bool) -> Outcome<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        if Instant::now() > deadline {
            return Err(format!("not within 60 s: {what}").into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The processes on record. The vendors' program may be built anew by someone else meanwhile, and is then started anew.
fn records(world: &World) -> Vec<(String, String)> {
    let entries = fs::read_dir(world.run.join("pid")).into_iter().flatten().flatten();
    let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    let mut records: Vec<_> =
        entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), read(entry.path()))).collect();
    records.retain(|(name, _)| name != "vendors");
    records.sort();
    records
}

/// What is still there of a world that is down.
fn left(world: &World, link: &str) -> Vec<String> {
    let namespace = Path::new("/run/netns").join(world.namespace());
    let link = Path::new("/sys/class/net").join(link);
    let files = [namespace, link, world.run.clone(), world.dir.clone()].into_iter().filter(|path| path.exists());
    let mounts = [&world.run, &world.dir].into_iter().flat_map(|folder| sweep::mounts_below(folder));
    let groups = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let groups = groups.map(|entry| entry.path().join(world.namespace())).filter(|group| group.exists());
    let paths = files.chain(mounts).chain(groups).map(|path| path.display().to_string());
    paths.chain(processes(world)).collect()
}

/// The command lines that name the world; a zombie has none.
fn processes(world: &World) -> Vec<String> {
    let folders = [world.run.display().to_string(), format!("{}/", world.dir.display())];
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| folders.iter().any(|folder| line.contains(folder))).collect()
}
