//! Builds and installs everything a world is made of, by name.

use crate::command::{checked, installed, run};
use crate::error::{Doing, Error, Result};
use crate::go::Project;
use crate::place::{root, target};
use crate::step::step;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// The Kubernetes the cluster is, as `cluster/go.mod` requires it.
const KUBERNETES: [(&str, &str); 3] = [("gitVersion", "v1.34.4"), ("gitMajor", "1"), ("gitMinor", "34")];

/// The names one file answers to.
const PROGRAMS: [&str; 7] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"];

/// Debian's packages and a program that is there when the package is.
const PACKAGES: [(&str, &str); 13] = [
    ("containerd", "containerd"),
    ("runc", "runc"),
    // `bridge` is also a program of iproute2.
    ("containernetworking-plugins", "host-local"),
    ("iptables", "iptables"),
    ("busybox-static", "busybox"),
    ("iproute2", "ip"),
    ("conntrack", "conntrack"),
    ("dnsutils", "dig"),
    ("restic", "restic"),
    ("sqlite3", "sqlite3"),
    ("curl", "curl"),
    ("mmdebstrap", "mmdebstrap"),
    ("procps", "sysctl"),
];

/// A thing to build: its name, what to say about it, and how.
type Part = (&'static str, &'static str, fn(&Path) -> Result<()>);

const PARTS: [Part; 9] = [
    ("packages", "Debian packages", |_| packages()),
    ("kubernetes", "Kubernetes, etcd and pause (5 minutes the first time)", kubernetes),
    ("storage", "storage provisioner", storage),
    ("tools", "ACME and S3 servers", tools),
    ("dns", "cluster DNS (1 minute the first time)", dns),
    ("gateway", "gateway (4 minutes the first time)", gateway),
    ("helm", "helm (2 minutes the first time)", helm),
    ("vendors", "vendor servers", |_| vendors()),
    ("images", "images of golive and the applications", |_| images()),
];

/// Builds the parts named, or all of them where none is.
pub fn build(wanted: &[String]) -> Result<()> {
    let unknown = wanted.iter().find(|name| !PARTS.iter().any(|part| part.0 == *name));
    if let Some(name) = unknown {
        let known = PARTS.map(|part| part.0).join(", ");
        return Err(Error::new(format!("there is no part {name:?} to build")).next(format!("name one of: {known}")));
    }
    let bin = target().join("world/bin");
    fs::create_dir_all(&bin).doing(format!("making {}", bin.display()))?;
    let chosen = PARTS.iter().filter(|part| wanted.is_empty() || wanted.iter().any(|name| part.0 == name));
    chosen.into_iter().try_for_each(|(_, text, work)| step(text, || work(&bin)))
}

/// Asks the package tool only for what is missing, so that a machine that has everything needs no network.
fn packages() -> Result<()> {
    let missing = || PACKAGES.iter().filter(|(_, program)| !installed(program)).map(|(package, _)| *package);
    let absent: Vec<&str> = missing().collect();
    if absent.is_empty() {
        return Ok(());
    }
    if !installed("apt-get") {
        let list = absent.join(", ");
        return Err(Error::new(format!("these are missing: {list}")).next("install them; apt-get is not here to do it"));
    }
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "-qq", "--no-install-recommends"]).args(&absent);
    run("apt-get", ["update", "-qq"])?;
    checked(&mut install, None).map(drop)
}

fn kubernetes(bin: &Path) -> Result<()> {
    let stamps = KUBERNETES.map(|(name, value)| format!("-X k8s.io/component-base/version.{name}={value}")).join(" ");
    project(".").build(&stamps, &bin.join("kubernetes"), &["."])?;
    project(".").build("", &bin.join("pause"), &["./pause"])?;
    PROGRAMS.iter().try_for_each(|name| link(bin, name))
}

/// Every program is the same file under another name.
fn link(bin: &Path, name: &str) -> Result<()> {
    let path = bin.join(name);
    if path.is_symlink() {
        return Ok(());
    }
    symlink("kubernetes", &path).doing(format!("linking {}", path.display()))
}

fn storage(bin: &Path) -> Result<()> {
    project("storage").build("", &bin.join("storage"), &["."])
}

fn tools(bin: &Path) -> Result<()> {
    let commands = ["github.com/letsencrypt/pebble/v2/cmd/pebble", "github.com/versity/versitygw/cmd/versitygw"];
    project("tools").build("", &bin.join(""), &commands)
}

fn dns(bin: &Path) -> Result<()> {
    project("dns").build("", &bin.join("coredns"), &["github.com/coredns/coredns"])
}

fn gateway(bin: &Path) -> Result<()> {
    project("gateway").build("", &bin.join("traefik"), &["github.com/traefik/traefik/v3/cmd/traefik"])?;
    KINDS.iter().try_for_each(|kinds| copy_kinds(bin, kinds))
}

fn helm(bin: &Path) -> Result<()> {
    project("helm").build("", &bin.join("helm"), &["helm.sh/helm/v4/cmd/helm"])
}

fn project(name: &str) -> Project {
    Project::at(Path::new("tests/world/cluster").join(name))
}

/// Kinds that come with the module that defines them.
struct Kinds {
    /// The project that names the module's version.
    project: &'static str,
    module: &'static str,
    folder: &'static str,
    /// The files wanted; all where none is named.
    files: &'static [&'static str],
    to: &'static str,
}

const KINDS: [Kinds; 3] = [
    Kinds {
        project: "gateway",
        module: "sigs.k8s.io/gateway-api",
        folder: "config/crd/standard",
        files: &[],
        to: "gateway-api",
    },
    Kinds {
        project: "gateway",
        module: "github.com/traefik/traefik/v3",
        folder: "docs/content/reference/dynamic-configuration",
        files: &["kubernetes-crd-definition-v1.yml"],
        to: "gateway-api",
    },
    // The gateway here takes no ListenerSets, and its version of the API has none: for tests that install the kind.
    Kinds {
        project: "kinds",
        module: "sigs.k8s.io/gateway-api",
        folder: "config/crd/standard",
        files: &["gateway.networking.k8s.io_gateways.yaml", "gateway.networking.k8s.io_listenersets.yaml"],
        to: "listener-sets",
    },
];

fn copy_kinds(bin: &Path, kinds: &Kinds) -> Result<()> {
    let (from, to) = (project(kinds.project).module(kinds.module)?.join(kinds.folder), bin.join(kinds.to));
    fs::create_dir_all(&to).doing(format!("making {}", to.display()))?;
    for entry in fs::read_dir(&from).doing(format!("reading {}", from.display()))?.flatten() {
        let name = entry.file_name();
        if kinds.files.is_empty() || kinds.files.iter().any(|file| name == *file) {
            let text = fs::read(entry.path()).doing("reading a kind")?;
            fs::write(to.join(name), text).doing("copying a kind")?;
        }
    }
    Ok(())
}

fn vendors() -> Result<()> {
    let mut cargo = Command::new("cargo");
    checked(cargo.current_dir(root()).args(["build", "--quiet", "-p", "vendors"]), None).map(drop)
}

fn images() -> Result<()> {
    crate::image::build_named(&[]).map(drop)
}
