//! csvboard, the whole example: live, and seen so by tools that know nothing of golive.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::apps::{CSVBOARD, answers, completed, operation_of};
use crate::stage::{Outcome, Stage, run, until};

const ROWS: &str = "import os, json, sqlite3; c = sqlite3.connect(os.environ['DATABASE_PATH']); \
    names = [n for (n,) in c.execute(\"select name from sqlite_master where type='table' and name not like 'sqlite_%'\")]; \
    print(json.dumps({n: c.execute(f'select count(*) from \"{n}\"').fetchone()[0] for n in names}))";

/// csvboard in production, for one scenario at a time; it is brought there by the first that asks.
pub fn csvboard(stage: &Stage) -> Outcome<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if stage.saas("csvboard", "csvboard").is_err() {
        stage.tenant("csvboard")?;
        stage.apply(CSVBOARD)?;
    }
    stage.live("csvboard", "csvboard")?;
    Ok(turn)
}

pub fn goes_live(stage: &Stage) -> Outcome<()> {
    let _turn = csvboard(stage)?;
    served_over_the_gateway(stage)?;
    names_lead_to_the_edge(stage)?;
    events_are_verified(stage)?;
    runs_restricted(stage)?;
    is_watched(stage)?;
    backup_and_drill_on_request(stage)
}

fn served_over_the_gateway(stage: &Stage) -> Outcome<()> {
    // Another scenario may just have had its pod replaced, of which the gateway hears within seconds.
    let health = until(Duration::from_secs(15), || {
        let answer = stage.through_gateway("https://app.example.com/health", &[])?.to_lowercase();
        Ok(answer.starts_with("http/2 200").then_some(answer))
    })?;
    assert!(health.contains("strict-transport-security: max-age=31536000"), "{health}");
    assert!(health.contains("cache-control: no-cache"), "{health}");
    let missing = stage.through_gateway("https://app.example.com/static/none", &[])?.to_lowercase();
    assert!(missing.contains("cache-control: public, max-age=31536000, immutable"), "{missing}");
    let plain = stage.through_gateway("http://app.example.com/x", &[])?;
    assert!(plain.starts_with("HTTP/1.1 301") && plain.contains("ocation: https://app.example.com/x"), "{plain}");
    let www = stage.through_gateway("https://www.app.example.com/", &[])?.to_lowercase();
    assert!(www.starts_with("http/2 301") && www.contains("location: https://app.example.com/"), "{www}");
    Ok(())
}

fn names_lead_to_the_edge(stage: &Stage) -> Outcome<()> {
    let (server, port) = stage.env["DNS_SERVER"].split_once(':').ok_or("no port")?;
    for name in ["app.example.com", "www.app.example.com"] {
        let answer = run(Command::new("dig").args([&format!("@{server}"), "-p", port, "+short", name, "A"]))?;
        assert_eq!(answer.trim(), stage.env["EDGE_HOST"], "{name}");
    }
    Ok(())
}

/// Stripe delivers a signed event through DNS and the edge to the application, which accepts it, and refuses a forged one.
fn events_are_verified(stage: &Stage) -> Outcome<()> {
    let event = json!({"type": "checkout.session.completed", "livemode": true, "data": {"id": "cs_1", "object": "checkout.session"}});
    assert_eq!(answers(stage, "app.example.com", event)?, vec![200]);
    let forged =
        json!({"type": "invoice.payment_failed", "livemode": true, "data": {"id": "in_1"}, "wrongSignature": true});
    assert_eq!(answers(stage, "app.example.com", forged)?, vec![400]);
    Ok(())
}

fn runs_restricted(stage: &Stage) -> Outcome<()> {
    let namespace = stage.json(&["get", "namespace", "csvboard"])?;
    assert_eq!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    let pods = stage.json(&["get", "pods", "-n", "csvboard", "-l", "app.kubernetes.io/component=app"])?;
    let phases: Vec<&Value> =
        pods["items"].as_array().into_iter().flatten().map(|pod| &pod["status"]["phase"]).collect();
    assert_eq!(phases, vec!["Running"]);
    Ok(())
}

fn is_watched(stage: &Stage) -> Outcome<()> {
    let monitors = stage.inventory()?["uptimerobot"]["monitors"].clone();
    let ours: Vec<&Value> =
        monitors.as_array().into_iter().flatten().filter(|m| m["url"] == "https://app.example.com/health").collect();
    assert_eq!(ours.len(), 1, "{monitors}");
    assert_eq!(ours[0]["interval"], 60, "{monitors}");
    Ok(())
}

fn backup_and_drill_on_request(stage: &Stage) -> Outcome<()> {
    stage.kubectl(&["delete", "saasop", "--all", "-n", "csvboard"])?;
    let web = "deployment/csvboard";
    let rows = stage.kubectl(&["exec", "-n", "csvboard", web, "--", "python", "-c", ROWS])?;
    stage.apply(&operation_of("csvboard", "backup-now", json!({"backup": {}})))?;
    let done = completed(stage, "backup-now")?;
    assert!(done["status"]["snapshot"].is_string() && done["status"]["bytes"].as_i64() > Some(0), "{}", done["status"]);
    stage.apply(&operation_of("csvboard", "drill-now", json!({"drill": {}})))?;
    completed(stage, "drill-now")?;
    let saas = stage.saas("csvboard", "csvboard")?;
    assert!(saas["status"]["backups"]["lastProvenRestore"].is_string(), "{}", saas["status"]);
    let uid = stage.json(&["get", "namespace", "kube-system"])?["metadata"]["uid"]
        .as_str()
        .unwrap_or_default()
        .replace('-', "");
    let mut referees = Command::new(python()?);
    referees.envs(stage.env.iter()).env("CLUSTER", &uid[..8]).arg(here("tests/cluster/referees.py")).arg(rows.trim());
    assert!(run(&mut referees)?.contains("the referees agree"));
    Ok(())
}

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A Python with the vendors' own SDKs, made once.
fn python() -> Outcome<std::path::PathBuf> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("referees-cluster");
    let (python, wanted) = (venv.join("bin/python"), here("tests/world/vendors/referees/requirements.txt"));
    let done = venv.join("requirements.txt");
    if std::fs::read(&wanted).ok() != std::fs::read(&done).ok() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&wanted))?;
        std::fs::copy(&wanted, &done)?;
    }
    Ok(python)
}
