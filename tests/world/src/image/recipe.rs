//! The images this repository makes, by name.

use super::debian::{self, USER};
use super::layout::architecture;
use super::{Image, Layer, build, folder, fresh, lock, python};
use crate::command::{checked, run};
use crate::error::{Doing, Error, Result};
use crate::place::{root, target};
use crate::step::step;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What `world build` makes: every image, in every version that stories need.
pub const ALL: [&str; 5] = ["golive", "hello", "csvboard", "csvboard:2.4.0", "csvboard:2.5.0"];

/// Not an application's: the operator shares no files with one.
const OPERATOR: &str = "65532:65532";

/// Builds `hello`, `csvboard` or `golive`; a tag after a colon chooses another version of the first two.
pub fn named(name: &str) -> Result<PathBuf> {
    let (what, tag) = name.split_once(':').map_or((name, None), |(what, tag)| (what, Some(tag)));
    if tag.is_some_and(|tag| tag.is_empty() || !tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))) {
        return Err(Error::new(format!("{name:?} has no usable tag")).next("use letters, digits, dots and dashes"));
    }
    let _alone = lock()?;
    match (what, tag) {
        ("hello", tag) => step(&format!("image {name}"), || hello(tag.unwrap_or("1.0.0"))),
        ("csvboard", tag) => step(&format!("image {name}"), || csvboard(tag.unwrap_or("2.3.0"))),
        ("golive", None | Some("dev")) => operator(&built()?),
        _ => Err(Error::new(format!("there is no image {name:?}"))
            .next("name hello, csvboard or golive, the first two with any tag that they have")),
    }
}

fn apps() -> PathBuf {
    root().join("tests/world/apps")
}

/// A static program that answers HTTP; any tag is a version it reports.
fn hello(tag: &str) -> Result<PathBuf> {
    let stage = folder().join("stage").join(format!("hello-{tag}"));
    fresh(&stage)?;
    let stamp = format!("-s -w -buildid= -X main.version={tag}");
    let mut go = Command::new("go");
    go.current_dir(apps().join("hello")).env("CGO_ENABLED", "0").env("GOOS", "linux").env("GOARCH", architecture());
    go.args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &stamp, "-o"]).arg(stage.join("hello")).arg(".");
    checked(&mut go, None)?;
    build(&Image {
        name: format!("registry.example.com/hello:{tag}"),
        layers: vec![Layer::new(stage).at("/")],
        entrypoint: vec!["/hello".into()],
        user: "65532:65532".into(),
        workdir: "/".into(),
        ..Image::default()
    })
}

/// The Flask application; tags other than the first have a folder under `variants` that is laid over it.
fn csvboard(tag: &str) -> Result<PathBuf> {
    let sources = apps().join("csvboard");
    let overlay = overlay(&sources, tag)?;
    let mut layers = python::layers(&sources.join("requirements.txt"))?;
    layers.push(Layer::new(sources.join("image/bin")).at("/usr/local/bin"));
    layers.push(Layer::new(&sources).at("/app").without(&["variants", "image", "README.md"]));
    layers.extend(overlay);
    build(&Image {
        name: format!("registry.example.com/csvboard:{tag}"),
        layers,
        command: ["gunicorn", "-c", "gunicorn.conf.py", "app:app"].map(String::from).to_vec(),
        env: pairs(&[
            ("PATH", PATH),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("PYTHONUNBUFFERED", "1"),
            ("TMPDIR", "/tmp"),
            ("HOME", "/tmp"),
        ]),
        user: format!("{USER}:{USER}"),
        workdir: "/app".into(),
        ..Image::default()
    })
}

/// What a variant adds; none for the version that the sources themselves are.
fn overlay(sources: &Path, tag: &str) -> Result<Option<Layer>> {
    let version = fs::read_to_string(sources.join("VERSION")).doing("reading csvboard's VERSION")?;
    if version.trim() == tag {
        return Ok(None);
    }
    let variant = sources.join("variants").join(tag);
    if variant.is_dir() {
        return Ok(Some(Layer::new(variant).at("/app").without(&["README.md"])));
    }
    Err(Error::new(format!("csvboard has no version {tag}"))
        .next(format!("its versions are {} and the folders of variants/", version.trim())))
}

/// The binary of the profile that GOLIVE_PROFILE names, built anew where its sources changed.
fn built() -> Result<PathBuf> {
    let release = std::env::var("GOLIVE_PROFILE").is_ok_and(|profile| profile == "release");
    let profile = if release { "release" } else { "dev" };
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root()).args(["build", "--quiet", "-p", "golive", "--bin", "golive", "--profile", profile]);
    checked(&mut cargo, None)?;
    Ok(target().join(if release { "release/golive" } else { "debug/golive" }))
}

/// The operator's image from its built binary, with the programs that its jobs run.
pub fn golive(binary: &Path) -> Result<PathBuf> {
    let _alone = lock()?;
    operator(binary)
}

fn operator(binary: &Path) -> Result<PathBuf> {
    if !binary.is_file() {
        let missing = Error::new(format!("{} is not built", binary.display()));
        return Err(missing.next("`cargo build --release`, or name the binary"));
    }
    let base = debian::rootfs("golive", &["libc6", "libgcc-s1", "ca-certificates", "restic", "sqlite3"])?;
    let stage = folder().join("stage/golive");
    fresh(&stage)?;
    step("image golive:dev", || {
        run("strip", ["-o".as_ref(), stage.join("golive").as_os_str(), binary.as_os_str()])?;
        build(&Image {
            name: "golive:dev".into(),
            layers: vec![Layer::new(base.root), Layer::new(stage).at("/usr/local/bin")],
            entrypoint: vec!["/usr/local/bin/golive".into()],
            env: pairs(&[("PATH", PATH), ("TMPDIR", "/tmp"), ("HOME", "/tmp")]),
            user: OPERATOR.into(),
            workdir: "/".into(),
            ..Image::default()
        })
    })
}

fn pairs(env: &[(&str, &str)]) -> Vec<(String, String)> {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
