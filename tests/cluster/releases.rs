//! Releases of csvboard: one that goes through every stage, some that fail in one, and the way back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::apps::CSVBOARD;
use crate::stage::{Outcome, Stage, until};

const NAME: &str = "board";
const HOST: &str = "board.example.com";

pub fn pass_or_stop(stage: &Stage) -> Outcome<()> {
    stage.tenant(NAME)?;
    release(stage, "2.3.0")?;
    stage.live(NAME, NAME)?;
    insert(stage)?;
    upgrade(stage)?;
    let pods = pods(stage)?;
    stops(stage, "2.5.0", "test")?;
    stops(stage, "2.5.1-broken", "migrate")?;
    assert_eq!(self::pods(stage)?, pods, "pods of the version before were touched");
    assert_eq!(version(stage)?, "2.4.0");
    stops(stage, "2.5.2-broken", "smoke")?;
    gives_way(stage)?;
    release(stage, "2.4.0")?;
    stage.live(NAME, NAME)?;
    assert_eq!((version(stage)?.as_str(), rows(stage)?.as_str()), ("2.4.0", "1"), "the row of 2.3.0 is still there");
    stage.kubectl(&["delete", "saas", NAME, "-n", NAME, "--timeout=120s"])?;
    stage.kubectl(&["delete", "namespace", NAME, "--wait=false"]).map(drop)
}

/// csvboard at a version, beside the example: under a host of its own.
fn release(stage: &Stage, version: &str) -> Outcome<()> {
    let mut board: Value = serde_saphyr::from_str(CSVBOARD)?;
    board["metadata"] = json!({"name": NAME, "namespace": NAME});
    board["spec"]["image"] = json!(format!("registry.example.com/csvboard:{version}"));
    board["spec"]["domains"] = json!([HOST]);
    // Two of csvboard and their Jobs have to fit on one node.
    board["spec"]["resources"]["cpu"] = json!("1");
    board["spec"].as_object_mut().ok_or("no spec")?.remove("redirectFrom");
    stage.apply(&board.to_string())
}

/// From 2.3.0 to 2.4.0: a backup, then the migration, each once, and only then the pods.
fn upgrade(stage: &Stage) -> Outcome<()> {
    assert_eq!((version(stage)?.as_str(), columns(stage)?.contains("note")), ("2.3.0", false));
    release(stage, "2.4.0")?;
    stage.live(NAME, NAME)?;
    assert_eq!((version(stage)?.as_str(), columns(stage)?.contains("note")), ("2.4.0", true));
    let status = stage.saas(NAME, NAME)?["status"]["release"].clone();
    let revision = status["revision"].as_str().unwrap_or_default();
    assert_eq!((&status["stage"], &status["image"]), (&json!("Proven"), &json!("registry.example.com/csvboard:2.4.0")));
    let times = |name: &str| -> Outcome<(String, String)> {
        let job = stage.json(&["get", "job", &format!("{NAME}-{name}-{revision}"), "-n", NAME])?;
        assert_eq!((&job["status"]["succeeded"], &job["status"]["failed"]), (&json!(1), &Value::Null), "{name}");
        let time = |field: &str| job["status"][field].as_str().unwrap_or_default().to_owned();
        Ok((time("startTime"), time("completionTime")))
    };
    let (test, backup, migrate) = (times("test")?, times("backup")?, times("migrate")?);
    let (rolled, smoke) = (newest_pod(stage)?, smoke_begun(stage, revision)?);
    let order = [&test.1, &backup.0, &backup.1, &migrate.0, &migrate.1, &rolled, &smoke];
    assert!(order.is_sorted(), "test, backup, migrate, roll out, smoke: {order:?}");
    let migrations = stage.audit_since(0)?.into_iter().filter(|event| {
        let of = &event["objectRef"];
        let made = event["responseStatus"]["code"] == 201 && of["resource"] == "jobs" && of["namespace"] == NAME;
        made && of["name"].as_str().is_some_and(|name| name.contains("-migrate-"))
    });
    assert_eq!(migrations.count(), 2, "one migration for each of the two revisions");
    Ok(())
}

/// A release that fails names its stage.
fn stops(stage: &Stage, version: &str, at: &str) -> Outcome<()> {
    release(stage, version)?;
    let held = stage.condition((NAME, NAME), "ReleaseReady", ("False", "StageFailed"))?;
    let message = held["message"].as_str().unwrap_or_default();
    let told = message.starts_with(&format!("stage {at} failed: ")) && message.contains("kubectl logs -n board job/");
    assert!(told, "{version}: {message}");
    let ready = stage.condition((NAME, NAME), "Ready", ("False", "StageFailed"))?;
    assert!(ready["message"].as_str().is_some_and(|text| text.starts_with("ReleaseReady: ")), "{ready}");
    stage.event(NAME, "StageFailed", &format!("stage {at} failed"))?;
    health(stage).map(drop)
}

/// What does not pass its smoke test gives way to the version before; the spec still says what is wanted.
fn gives_way(stage: &Stage) -> Outcome<()> {
    until(Duration::from_secs(120), || Ok((version(stage)? == "2.4.0").then_some(())))?;
    stage.condition((NAME, NAME), "AppReady", ("True", ""))?;
    let saas = stage.saas(NAME, NAME)?;
    let (release, wanted) = (&saas["status"]["release"], &saas["spec"]["image"]);
    assert_eq!(
        (&release["stage"], wanted),
        (&json!("RolledBack"), &json!("registry.example.com/csvboard:2.5.2-broken"))
    );
    let held = stage.condition((NAME, NAME), "ReleaseReady", ("False", "StageFailed"))?;
    assert!(held["message"].as_str().is_some_and(|text| text.contains("csvboard:2.4.0) runs again")), "{held}");
    Ok(())
}

fn health(stage: &Stage) -> Outcome<Value> {
    until(Duration::from_secs(60), || {
        let answer = stage.through_gateway(&format!("https://{HOST}/health"), &[])?;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        Ok(answer.starts_with("HTTP/2 200").then(|| serde_json::from_str(body)).transpose()?)
    })
}

fn version(stage: &Stage) -> Outcome<String> {
    Ok(health(stage)?["version"].as_str().unwrap_or_default().to_owned())
}

fn app_pods(stage: &Stage) -> Outcome<Vec<Value>> {
    let pods = stage.json(&["get", "pods", "-n", NAME, "-l", "app.kubernetes.io/component=app"])?;
    Ok(pods["items"].as_array().cloned().unwrap_or_default())
}

fn pods(stage: &Stage) -> Outcome<Vec<Value>> {
    Ok(app_pods(stage)?.into_iter().map(|pod| pod["metadata"]["uid"].clone()).collect())
}

fn newest_pod(stage: &Stage) -> Outcome<String> {
    let made =
        app_pods(stage)?.into_iter().filter_map(|pod| Some(pod["metadata"]["creationTimestamp"].as_str()?.to_owned()));
    Ok(made.max().unwrap_or_default())
}

/// When the first Job of the smoke stage began.
fn smoke_begun(stage: &Stage, revision: &str) -> Outcome<String> {
    let jobs = stage.json(&["get", "jobs", "-n", NAME])?;
    let smoke = jobs["items"].as_array().into_iter().flatten().filter(|job| {
        job["metadata"]["name"].as_str().is_some_and(|name| name.contains("-smoke-") && name.ends_with(revision))
    });
    let begun = smoke.filter_map(|job| Some(job["status"]["startTime"].as_str()?.to_owned()));
    Ok(begun.min().ok_or("no Job of the smoke stage")?)
}

fn sql(stage: &Stage, statement: &str) -> Outcome<String> {
    let script = format!(
        "import os, sqlite3; c = sqlite3.connect(os.environ['DATABASE_PATH']); print(*c.execute(\"{statement}\")); c.commit()"
    );
    let said = stage.kubectl(&["exec", "-n", NAME, "deployment/board", "--", "python", "-c", &script])?;
    Ok(said.trim().trim_matches(|c| "(,)".contains(c)).to_owned())
}

/// A customer's row, to be found again after every release.
fn insert(stage: &Stage) -> Outcome<()> {
    sql(stage, "insert into accounts (email, password_hash) values ('kept@example.com', 'x')").map(drop)
}

fn rows(stage: &Stage) -> Outcome<String> {
    sql(stage, "select count(*) from accounts where email = 'kept@example.com'")
}

fn columns(stage: &Stage) -> Outcome<String> {
    sql(stage, "select group_concat(name) from pragma_table_info('uploads')")
}
