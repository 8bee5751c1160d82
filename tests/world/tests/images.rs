//! Images as containers run them: another user, a read-only root, no network. Each version of csvboard ends the stages
//! of a release as its README says.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use world::{image, place};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A version and the stages that fail.
const VERSIONS: [(&str, &[&str]); 6] = [
    ("2.3.0", &[]),
    ("2.4.0", &[]),
    ("2.5.0", &["test"]),
    ("2.5.0-broken", &["test", "migrate"]),
    ("2.5.1-broken", &["migrate"]),
    ("2.5.2-broken", &["journeys"]),
];

/// Removes what was unpacked however the test ends.
struct Unpacked(PathBuf);

impl Drop for Unpacked {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

#[test]
fn each_version_of_csvboard_ends_its_stages_as_told() -> Outcome<()> {
    for (version, failing) in VERSIONS {
        let archive = image::named(&format!("csvboard:{version}"))?;
        let root = unpacked(&archive, &format!("csvboard-{version}"))?;
        let (ended, said) = tried(&root.0)?;
        let failed: Vec<&str> = ended.iter().filter(|(_, code)| code != "0").map(|(stage, _)| stage.as_str()).collect();
        assert_eq!(failed, failing, "csvboard {version}: {ended:?}\n{said}");
    }
    Ok(())
}

#[test]
fn the_image_of_golive_has_the_programs_its_jobs_run() -> Outcome<()> {
    let root = unpacked(&image::named("golive")?, "golive")?;
    for words in
        [["/usr/local/bin/golive", "--version"], ["/usr/bin/restic", "version"], ["/usr/bin/sqlite3", "--version"]]
    {
        let status = Command::new("chroot").arg("--userspec=65532:65532").arg(&root.0).args(words).status()?;
        assert!(status.success(), "{words:?}");
    }
    let roots = fs::read_to_string(root.0.join("etc/ssl/certs/ca-certificates.crt"))?;
    assert!(roots.matches("BEGIN CERTIFICATE").count() > 50);
    Ok(())
}

/// Unpacks an archive's layers over each other, as a runtime does.
fn unpacked(archive: &Path, name: &str) -> Outcome<Unpacked> {
    let root = Unpacked(place::target().join(format!("tmp/{name}-{}", std::process::id())));
    fs::create_dir_all(&root.0)?;
    let index = member(archive, "./index.json")?;
    let manifest = member(archive, &blob(&index["manifests"][0]["digest"])?)?;
    for layer in manifest["layers"].as_array().ok_or("no layers")? {
        let mut reader = Command::new("tar");
        reader.arg("-xOf").arg(archive).arg(blob(&layer["digest"])?).stdout(Stdio::piped());
        let mut reader = reader.spawn()?;
        let content = reader.stdout.take().ok_or("no output")?;
        let written = Command::new("tar").args(["-xf", "-", "-C"]).arg(&root.0).stdin(content).status()?;
        assert!(reader.wait()?.success() && written.success());
    }
    Ok(root)
}

fn member(archive: &Path, name: &str) -> Outcome<serde_json::Value> {
    let output = Command::new("tar").arg("-xOf").arg(archive).arg(name).output()?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn blob(digest: &serde_json::Value) -> Outcome<String> {
    let digest = digest.as_str().and_then(|digest| digest.strip_prefix("sha256:"));
    Ok(format!("./blobs/sha256/{}", digest.ok_or("no digest")?))
}

/// How each stage ended, and what was said meanwhile.
fn tried(root: &Path) -> Outcome<(Vec<(String, String)>, String)> {
    let script = place::root().join("tests/world/apps/csvboard/image/try.sh");
    let output = Command::new("unshare").args(["--mount", "--net"]).arg(script).arg(root).output()?;
    let told = String::from_utf8(output.stdout)?;
    let ended = told.lines().filter_map(|line| line.split_once(' '));
    let ended = ended.map(|(stage, code)| (stage.to_owned(), code.to_owned())).collect();
    Ok((ended, String::from_utf8_lossy(&output.stderr).into_owned()))
}
