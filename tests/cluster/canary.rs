//! No secret is told: not in a log at the finest level, not in an event, a status, an annotation or any other object.
//!
//! While the scenarios run, the logs of all pods are kept beyond their pods, so is each version that is seen of golive's own
//! objects and of events, and what the operator's metrics are labelled with; and every value is noted that is ever in a
//! Secret. At the end all of the one is searched for all of the other.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::stage::{Outcome, Stage, run};

/// Shorter values may stand anywhere by chance.
const SHORTEST: usize = 12;
/// Keys of Secrets whose values are public: certificates, what is known of an order beside its key, and a text of scenarios.
const PUBLIC: [&str; 7] = ["tls.crt", "ca.crt", "AWS_ACCESS_KEY_ID", "at", "names", "url", "GREETING"];
/// Variables of the world that are credentials.
const CREDENTIALS: [&str; 10] = [
    "STRIPE_KEY",
    "STRIPE_TEST_KEY",
    "CLOUDFLARE_TOKEN",
    "CLOUDFLARE_SPARE_TOKEN",
    "UPTIMEROBOT_KEY",
    "UPTIMEROBOT_SPARE_KEY",
    "SENTRY_TOKEN",
    "SENTRY_SPARE_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "RESTIC_PASSWORD",
];

/// What scenarios delete again: it is looked at while they run.
const PASSING: &str = "saasdeployments,saasoperations,provideraccounts,events";

/// Every value that was ever secret, by where it was.
static SECRETS: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

/// Keeps logs and notes values from now on.
pub fn watch(stage: &'static Stage) {
    std::thread::spawn(move || {
        for round in 0u32.. {
            // What cannot be read now is read in the next round: pods and Secrets come and go.
            drop(keep_logs(stage));
            if round.is_multiple_of(20) {
                drop(note_secrets(stage));
                drop(keep_objects(stage));
                drop(keep_metrics(stage));
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    });
}

fn kept(stage: &Stage) -> PathBuf {
    stage.world.dir.join("kept-logs")
}

/// A second name for each log file: it stays when the pod goes.
fn keep_logs(stage: &Stage) -> Outcome<()> {
    let folder = kept(stage);
    std::fs::create_dir_all(&folder)?;
    for pod in std::fs::read_dir(stage.world.dir.join("pods"))?.flatten() {
        for container in std::fs::read_dir(pod.path()).into_iter().flatten().flatten() {
            for log in std::fs::read_dir(container.path()).into_iter().flatten().flatten() {
                let Ok(about) = log.metadata() else { continue };
                let name = pod.file_name().to_string_lossy().into_owned();
                drop(std::fs::hard_link(log.path(), folder.join(format!("{name}-{}", about.ino()))));
            }
        }
    }
    Ok(())
}

/// A file for each version of each object that is seen.
fn keep_objects(stage: &Stage) -> Outcome<()> {
    let all = stage.json(&["get", PASSING, "--all-namespaces", "--show-managed-fields"])?;
    for object in all["items"].as_array().into_iter().flatten() {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let file = kept(stage).join(format!("seen-{}-{}", text("uid"), text("resourceVersion")));
        if !file.exists() {
            std::fs::write(file, object.to_string())?;
        }
    }
    Ok(())
}

/// The names and labels of all metrics of each replica, each once: only numbers change.
fn keep_metrics(stage: &Stage) -> Outcome<()> {
    let pods = stage.json(&["get", "pods", "-n", "golive-system", "-l", "app.kubernetes.io/name=golive"])?;
    let file = kept(stage).join("metrics");
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let mut series: BTreeSet<String> = known.lines().map(str::to_owned).collect();
    let mut kept = std::fs::OpenOptions::new().create(true).append(true).open(&file)?;
    for pod in pods["items"].as_array().into_iter().flatten() {
        let Some(address) = pod["status"]["podIP"].as_str() else { continue };
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        // A replica that starts or goes does not answer: the next round asks again.
        let url = format!("http://{host}:8080/metrics");
        let told = run(Command::new("curl").args(["-sS", "--max-time", "2", &url])).unwrap_or_default();
        for line in told.lines() {
            let name = line.rsplit_once(' ').map_or(line, |(name, _)| name);
            if series.insert(name.to_owned()) {
                writeln!(kept, "{name}")?;
            }
        }
    }
    Ok(())
}

fn note_secrets(stage: &Stage) -> Outcome<()> {
    let all = stage.json(&["get", "secrets", "--all-namespaces"])?;
    let mut noted = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    for secret in all["items"].as_array().into_iter().flatten().filter(|s| s["type"] != "helm.sh/release.v1") {
        for (key, value) in
            secret["data"].as_object().into_iter().flatten().filter(|(key, _)| !PUBLIC.contains(&key.as_str()))
        {
            let text = String::from_utf8(STANDARD.decode(value.as_str().unwrap_or_default())?).unwrap_or_default();
            let place = format!("{}/{} {key}", secret["metadata"]["namespace"], secret["metadata"]["name"]);
            // Of a private key each line is one; all else is one line.
            let lines = text.lines().filter(|line| line.len() >= SHORTEST && !line.starts_with("-----"));
            noted.extend(lines.map(|line| (line.to_owned(), place.clone())));
        }
    }
    Ok(())
}

pub fn no_secret_is_told(stage: &Stage) -> Outcome<()> {
    note_secrets(stage)?;
    keep_logs(stage)?;
    keep_objects(stage)?;
    keep_metrics(stage)?;
    std::fs::write(kept(stage).join("objects"), objects(stage)?)?;
    let mut secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    secrets.extend(CREDENTIALS.map(|name| (stage.env[name].clone(), name.to_owned())));
    assert!(secrets.len() >= 30, "only {} values were noted", secrets.len());
    // The search finds what is there: all levels of the log, the start of the operator, an object.
    for known in ["TRACE", "golive starts", "\"leading\"", "provideraccounts"] {
        assert!(!search(stage, &[known])?.is_empty(), "{known} is not in what was kept");
    }
    for (known, file) in [("\"kind\":\"SaasDeployment\"", "seen-"), ("golive_vendor_requests", "metrics")] {
        let found = search(stage, &[known])?;
        assert!(found.iter().any(|name| name.starts_with(file)), "{known} is in no file {file}…: {found:?}");
    }
    let encoded: BTreeMap<String, String> =
        secrets.iter().map(|(value, place)| (base64(value), place.clone())).collect();
    secrets.extend(encoded);
    let values: Vec<&str> = secrets.keys().map(String::as_str).collect();
    let told: Vec<(String, Vec<String>)> = match search(stage, &values)?.is_empty() {
        true => Vec::new(),
        false => secrets
            .iter()
            .map(|(value, place)| Ok((place.clone(), search(stage, &[value])?)))
            .collect::<Outcome<_>>()?,
    };
    let told: Vec<_> = told.into_iter().filter(|(_, files)| !files.is_empty()).collect();
    assert!(told.is_empty(), "secrets of these places stand in these files: {told:#?}");
    Ok(())
}

/// A value as it stands in the data of a Secret, without the end that depends on its length.
fn base64(value: &str) -> String {
    let whole = STANDARD.encode(value);
    whole.trim_end_matches('=').chars().take(value.len() * 4 / 3).collect()
}

/// The files in which any of these texts stands.
fn search(stage: &Stage, texts: &[&str]) -> Outcome<Vec<String>> {
    let patterns = stage.world.dir.join("patterns");
    std::fs::write(&patterns, texts.join("\n"))?;
    let found =
        Command::new("grep").arg("-rlFf").arg(&patterns).arg(kept(stage)).arg(&stage.env["AUDIT_LOG"]).output()?;
    std::fs::remove_file(&patterns)?;
    // 1 is "not found": https://pubs.opengroup.org/onlinepubs/9799919799/utilities/grep.html
    match found.status.code() {
        Some(0 | 1) => Ok(String::from_utf8(found.stdout)?.lines().map(|file| name(Path::new(file))).collect()),
        _ => Err(format!("grep: {}", String::from_utf8_lossy(&found.stderr)).into()),
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Every object of the cluster as text; of Secrets only what is around their values.
fn objects(stage: &Stage) -> Outcome<String> {
    let kinds = stage.kubectl(&["api-resources", "--verbs=list", "--output=name"])?;
    let kinds: Vec<&str> = kinds.lines().filter(|kind| *kind != "secrets").collect();
    let others =
        stage.kubectl(&["get", &kinds.join(","), "--all-namespaces", "--output=json", "--show-managed-fields"])?;
    let secrets = stage.json(&["get", "secrets", "--all-namespaces"])?;
    let around: Vec<Value> =
        secrets["items"].as_array().into_iter().flatten().map(|secret| secret["metadata"].clone()).collect();
    Ok(format!("{kinds:?}\n{others}\n{}", serde_json::to_string_pretty(&around)?))
}
