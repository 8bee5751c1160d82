//! A whole vendor refuses connections, for everybody: again only its part says so.

use std::time::Duration;

use serde_json::{Value, json};
use world::refuse::ACME;

use crate::apps::{hello, records};
use crate::csvboard::csvboard;
use crate::stage::{Outcome, Stage, until};

/// The vendors that csvboard uses, and the part that each holds.
const VENDORS: [(&str, &str); 4] = [
    ("cloudflare", "DnsReady"),
    ("stripe", "PaymentsReady"),
    ("uptimerobot", "MonitorsReady"),
    ("sentry", "MonitorsReady"),
];

pub fn each_in_turn(stage: &Stage) -> Outcome<()> {
    let _turn = csvboard(stage)?;
    stage.tenant("gone")?;
    stage.apply(&hello("gone", "gone", json!({})))?;
    stage.live("gone", "gone")?;
    for (vendor, part) in VENDORS {
        stage.control("POST", &format!("/vendors/{vendor}/down"), json!({}))?;
        let held = is_held(stage, part);
        let waits = if vendor == "cloudflare" { deletion_waits(stage) } else { Ok(()) };
        stage.control("POST", &format!("/vendors/{vendor}/up"), json!({}))?;
        held.and(waits).map_err(|e| format!("without {vendor}: {e}"))?;
        stage.live("csvboard", "csvboard")?;
    }
    nothing_is_left(stage)
}

fn is_held(stage: &Stage, part: &str) -> Outcome<()> {
    let app = ("csvboard", "csvboard");
    let held = stage.condition(app, part, ("False", "Unreachable"))?;
    stage.only_part_not_ready(app, part)?;
    assert!(held["message"].as_str().is_some_and(|text| text.contains("did not answer")), "{held}");
    let health = stage.through_gateway("https://app.example.com/health", &[])?;
    assert!(health.starts_with("HTTP/2 200"), "{health}");
    Ok(())
}

/// The spec names no host any more, and the cluster deletes what belongs to the application first: the vault, which alone knows
/// of the record, stays.
fn deletion_waits(stage: &Stage) -> Outcome<()> {
    stage.apply(&hello("gone", "gone", json!({"domains": []})))?;
    stage.kubectl(&["delete", "saas", "gone", "-n", "gone", "--cascade=foreground", "--wait=false"])?;
    stage.condition(("gone", "gone"), "DnsReady", ("False", "Unreachable"))?;
    until(Duration::from_secs(60), || {
        let vault = stage.json(&["get", "secret", "gone-secrets", "-n", "gone"])?;
        Ok(vault["metadata"]["deletionTimestamp"].is_string().then_some(()))
    })
}

/// What a deletion waited for is removed once the vendor is back; and a namespace that goes takes its rows with it.
fn nothing_is_left(stage: &Stage) -> Outcome<()> {
    stage.kubectl(&["wait", "--for=delete", "saas/gone", "-n", "gone", "--timeout=90s"])?;
    assert_eq!(records(stage, "gone.example.com")?, 0);
    stage.apply(&hello("gone", "again", json!({})))?;
    stage.live("gone", "again")?;
    stage.kubectl(&["delete", "namespace", "gone", "--timeout=120s"])?;
    assert_eq!(records(stage, "again.example.com")?, 0);
    Ok(())
}

/// Without the CA what has a certificate goes on, what needs one says so, and gets it once the CA is back.
pub fn of_the_ca(stage: &Stage) -> Outcome<()> {
    stage.tenant("without-ca")?;
    stage.apply(&hello("without-ca", "early", json!({})))?;
    stage.live("without-ca", "early")?;
    stage.world.refuse(ACME)?;
    let held = ca_is_missed(stage);
    stage.world.admit(ACME)?;
    held?;
    stage.live("without-ca", "late")?;
    stage.kubectl(&["delete", "saas", "--all", "-n", "without-ca", "--timeout=90s"]).map(drop)
}

fn ca_is_missed(stage: &Stage) -> Outcome<()> {
    let late = ("without-ca", "late");
    stage.apply(&hello("without-ca", "late", json!({})))?;
    let held = stage.condition(late, "TlsReady", ("False", "Unreachable"))?;
    assert!(held["message"].as_str().is_some_and(|text| text.contains("ACME account letsencrypt")), "{held}");
    for part in ["DnsReady", "AppReady", "SecretsReady"] {
        stage.condition(late, part, ("True", ""))?;
    }
    stage.condition(late, "EdgeReady", ("False", "CertificatePending"))?;
    stage.apply(&hello("without-ca", "early", json!({"env": {"MEANWHILE": "yes"}})))?;
    stage.live("without-ca", "early")
}

/// S3 of one application refuses connections, or its credential; its backups say so, and the next that succeeds by the
/// schedule ends it.
pub fn of_the_store(stage: &Stage) -> Outcome<()> {
    let (nowhere, wrong) = (store("nowhere"), store("wrong"));
    std::thread::scope(|threads| {
        let refuses = threads.spawn(|| nowhere.fails(stage, Store::move_away).map_err(|e| e.to_string()));
        let denies = threads.spawn(|| wrong.fails(stage, Store::forget_key).map_err(|e| e.to_string()));
        [refuses, denies].into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("it panicked".into())))
    })?;
    Ok(())
}

fn store(name: &'static str) -> Store {
    Store { name }
}

/// An application with an S3 account of its own, all of one name.
struct Store {
    name: &'static str,
}

impl Store {
    fn fails(&self, stage: &Stage, spoil: fn(&Store, &Stage, bool) -> Outcome<()>) -> Outcome<()> {
        let app = (self.name, self.name);
        stage.tenant(self.name)?;
        spoil(self, stage, false)?;
        let backup = json!({"schedule": "* * * * *", "to": [{"account": self.name}]});
        let sqlite = json!({"file": "/data/app.sqlite3", "size": "1Gi", "env": "DATABASE_PATH"});
        stage.apply(&hello(self.name, self.name, json!({"database": {"sqlite": sqlite}, "backup": backup})))?;
        stage.condition(app, "AppReady", ("True", ""))?;
        self.fill(stage)?;
        self.said(stage, ("True", "last backup"))?;
        spoil(self, stage, true)?;
        self.said(stage, ("False", "the next one runs on schedule"))?;
        stage.only_part_not_ready(app, "BackupReady")?;
        spoil(self, stage, false)?;
        self.said(stage, ("True", "last backup"))?;
        stage.live(self.name, self.name)?;
        stage.kubectl(&["delete", "saas", self.name, "-n", self.name, "--timeout=90s"]).map(drop)
    }

    fn said(&self, stage: &Stage, (status, words): (&str, &str)) -> Outcome<()> {
        let reason = if status == "True" { "" } else { "BackupFailed" };
        until(Duration::from_secs(240), || {
            let saas = stage.saas(self.name, self.name)?;
            let said = crate::stage::conditions(&saas).find(|c| c["type"] == "BackupReady" && c["status"] == status);
            let fits = |c: &&Value| reason.is_empty() || c["reason"] == reason;
            let text = said.filter(fits).map(|c| c["message"].to_string()).unwrap_or_default();
            Ok(text.contains(words).then_some(()))
        })
        .map_err(|e| format!("BackupReady={status} with {words:?}: {e}").into())
    }

    /// The account as the platform's own, but at a port where nobody listens.
    fn move_away(&self, stage: &Stage, away: bool) -> Outcome<()> {
        let endpoint = &stage.env["S3_ENDPOINT"];
        self.account(
            stage,
            if away { endpoint.replace(":9000", ":9009") } else { endpoint.clone() },
            "AWS_SECRET_ACCESS_KEY",
        )
    }

    /// The account as the platform's own, but with a secret key that is not its own.
    fn forget_key(&self, stage: &Stage, forget: bool) -> Outcome<()> {
        let key = if forget { "RESTIC_PASSWORD" } else { "AWS_SECRET_ACCESS_KEY" };
        self.account(stage, stage.env["S3_ENDPOINT"].clone(), key)
    }

    fn account(&self, stage: &Stage, endpoint: String, key: &str) -> Outcome<()> {
        let mut account = stage.json(&["get", "provideraccount", "s3-us"])?;
        account["metadata"] = json!({"name": self.name});
        account["spec"]["s3"]["endpoint"] = json!(endpoint);
        account["spec"]["s3"]["credentialsSecret"] = json!({"name": self.name});
        account.as_object_mut().map(|account| account.remove("status"));
        let keys = [
            ("AWS_ACCESS_KEY_ID", stage.env["AWS_ACCESS_KEY_ID"].as_str()),
            ("AWS_SECRET_ACCESS_KEY", &stage.env[key]),
        ];
        let held = world::platform::secret(world::platform::NAMESPACE, self.name, &keys);
        stage.apply(&world::platform::list(&[held, account]))
    }

    /// A database as the application would have made it.
    fn fill(&self, stage: &Stage) -> Outcome<()> {
        let restricted = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        let sql = "create table kept (a); insert into kept values (1);";
        let container = json!({
            "name": "fill", "image": "golive:dev", "command": ["sqlite3", "/data/app.sqlite3", sql],
            "securityContext": restricted, "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        });
        let user = json!({"runAsNonRoot": true, "runAsUser": 10001, "fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"}});
        let volume = json!({"name": "data", "persistentVolumeClaim": {"claimName": format!("{}-data", self.name)}});
        let spec =
            json!({"restartPolicy": "Never", "securityContext": user, "containers": [container], "volumes": [volume]});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fill", "namespace": self.name}, "spec": spec});
        stage.apply(&pod.to_string())?;
        let done = "--for=jsonpath={.status.phase}=Succeeded";
        stage.kubectl(&["wait", done, "pod/fill", "-n", self.name, "--timeout=60s"]).map(drop)
    }
}
