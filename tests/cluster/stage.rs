//! The stage of all scenarios: one world with the operator installed by its chart, driven by kubectl and foreign tools.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read, Seek, SeekFrom};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use world::World;

use world::platform::{NAMESPACE, RESTRICTED, TENANT, list, namespace, secret};

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// The world's name, so that two checkouts can be tested at once.
fn name() -> String {
    std::env::var("WORLD_NAME").unwrap_or_else(|_| "cluster".into())
}

/// Seconds between two passes: short, so that drift is seen soon.
pub const RESYNC: u64 = 5;
/// Seconds between two listings at vendors: as short as UptimeRobot's 10 requests a minute allow.
pub const REFRESH: u64 = 10;
/// How the operator is known to the API server.
pub const OPERATOR: &str = "system:serviceaccount:golive-system:golive";

pub struct Stage {
    pub world: World,
    pub env: BTreeMap<&'static str, String>,
}

/// The stage, set with these images by the first scenario that asks.
pub fn stage(images: &[&str]) -> Outcome<&'static Stage> {
    static STAGE: OnceLock<Result<Stage, String>> = OnceLock::new();
    Ok(STAGE.get_or_init(|| Stage::set(images).map_err(|e| e.to_string())).as_ref().map_err(Clone::clone)?)
}

impl Stage {
    fn set(images: &[&str]) -> Outcome<Stage> {
        world::install::build(&[])?;
        // Nothing of an earlier run: what another version left there is another test.
        if std::env::var_os("WORLD_KEEP").is_none() {
            world::down(&name())?;
        }
        let world = world::up(&name())?;
        let images: Vec<String> = images.iter().map(|name| (*name).to_owned()).collect();
        for archive in world::image::build_named(&images)? {
            world.import_image(&archive)?;
        }
        world.set_up_platform()?;
        let env = world.env()?;
        let stage = Stage { world, env };
        stage.configure(RESYNC, REFRESH)?;
        // More applications are up at once than the 16 endpoints that some accounts take.
        stage.control("POST", "/settings", json!({"stripeEndpoints": 100}))?;
        Ok(stage)
    }

    /// Tells the operator how often to look, by its chart, and to log all that it can.
    pub fn configure(&self, resync: u64, refresh: u64) -> Outcome<()> {
        let values = format!("config.resyncSeconds={resync},config.refreshSeconds={refresh},logLevel=trace");
        let mut helm = Command::new(self.world.program("helm")?);
        helm.env("KUBECONFIG", self.world.kubeconfig()).current_dir(env!("CARGO_MANIFEST_DIR"));
        helm.args(["upgrade", "golive", "charts/golive", "--namespace", NAMESPACE, "--reuse-values"]);
        run(helm.args(["--force-conflicts", "--set", &values, "--wait", "--timeout", "120s"])).map(drop)
    }

    pub fn kubectl(&self, args: &[&str]) -> Outcome<String> {
        Ok(self.world.kubectl(args)?)
    }

    pub fn kubectl_with(&self, args: &[&str], input: &str) -> Outcome<String> {
        Ok(self.world.kubectl_with(args, input)?)
    }

    pub fn json(&self, args: &[&str]) -> Outcome<Value> {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        Ok(serde_json::from_str(&self.kubectl(&args)?)?)
    }

    /// Kills the API server without a word, and brings it up again.
    pub fn kill_the_server(&self) -> Outcome<()> {
        let process = self.world.process("kube-apiserver").ok_or("no API server")?;
        run(Command::new("kill").args(["-9", &process.to_string()]))?;
        until(Duration::from_secs(30), || Ok((!self.world.running("kube-apiserver")).then_some(())))?;
        world::up(&self.world.name)?;
        Ok(())
    }

    /// A tenant's namespace, fresh: what an earlier run left in it is gone.
    pub fn tenant(&self, name: &str) -> Outcome<()> {
        self.kubectl(&["delete", "saas", "--all", "-n", name, "--ignore-not-found", "--timeout=120s"])?;
        self.kubectl(&["delete", "namespace", name, "--ignore-not-found", "--timeout=120s"])?;
        let stripe = &self.env["STRIPE_KEY"];
        let own = secret(name, "csvboard-env", &[("STRIPE_SECRET_KEY", stripe)]);
        self.world.apply(&list(&[namespace(name, &[TENANT, RESTRICTED]), own]))?;
        Ok(())
    }

    /// How far the audit log has come.
    pub fn audited(&self) -> Outcome<u64> {
        Ok(std::fs::metadata(&self.env["AUDIT_LOG"])?.len())
    }

    /// What the operator asked of the API server since then.
    pub fn audit_since(&self, from: u64) -> Outcome<Vec<Value>> {
        let mut log = std::fs::File::open(&self.env["AUDIT_LOG"])?;
        log.seek(SeekFrom::Start(from))?;
        let mut text = String::new();
        log.read_to_string(&mut text)?;
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(events.filter(|event| event["user"]["username"] == OPERATOR).collect())
    }

    pub fn apply(&self, manifest: &str) -> Outcome<()> {
        self.world.apply(manifest)?;
        Ok(())
    }

    pub fn saas(&self, namespace: &str, name: &str) -> Outcome<Value> {
        self.json(&["get", "saas", name, "-n", namespace])
    }

    /// Waits for a condition to be of this status and reason (`""` for any), for the newest spec.
    pub fn condition(
        &self,
        (namespace, name): (&str, &str),
        kind: &str,
        (status, reason): (&str, &str),
    ) -> Outcome<Value> {
        let mut last = Value::Null;
        let found = until(Duration::from_secs(480), || {
            last = self.saas(namespace, name)?;
            let fits = |c: &&Value| {
                let fresh = c["observedGeneration"] == last["metadata"]["generation"];
                c["type"] == kind && c["status"] == status && fresh && (reason.is_empty() || c["reason"] == reason)
            };
            Ok(conditions(&last).find(fits).cloned())
        });
        found.map_err(|e| format!("{namespace}/{name} {kind}={status} {reason}: {e}; it is {}", told(&last)).into())
    }

    pub fn live(&self, namespace: &str, name: &str) -> Outcome<()> {
        self.condition((namespace, name), "Ready", ("True", "")).map(drop)
    }

    /// Waits until every part but this one is ready, for the newest spec.
    pub fn only_part_not_ready(&self, (namespace, name): (&str, &str), part: &str) -> Outcome<()> {
        let mut last = Value::Null;
        let alone = until(Duration::from_secs(90), || {
            last = self.saas(namespace, name)?;
            let others = conditions(&last).filter(|c| {
                let kind = c["type"].as_str().unwrap_or_default();
                kind.ends_with("Ready") && kind != "Ready" && kind != part
            });
            let fine = |c: &Value| c["status"] == "True" && c["observedGeneration"] == last["metadata"]["generation"];
            Ok((!others.into_iter().any(|c| !fine(c))).then_some(()))
        });
        alone.map_err(|e| format!("{namespace}/{name}: more than {part} is not ready: {e}; {}", told(&last)).into())
    }

    /// Whether an event of this reason was told whose note contains a text.
    pub fn event(&self, namespace: &str, reason: &str, text: &str) -> Outcome<()> {
        until(Duration::from_secs(60), || {
            let events = self.json(&["get", "events.events.k8s.io", "-n", namespace])?;
            let fits = |e: &Value| e["reason"] == reason && e["note"].as_str().is_some_and(|note| note.contains(text));
            Ok(events["items"].as_array().is_some_and(|items| items.iter().any(fits)).then_some(()))
        })
        .map_err(|e| format!("event {reason} with {text:?}: {e}").into())
    }

    /// A call of the vendors' control port.
    pub fn control(&self, method: &str, path: &str, body: Value) -> Outcome<Value> {
        let url = format!("{}{path}", self.env["VENDORS_CONTROL"]);
        let text = run(Command::new("curl").args([
            "-sS",
            "--fail",
            "-X",
            method,
            &url,
            "-H",
            "content-type: application/json",
            "-d",
            &body.to_string(),
        ]))?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// What stands at the vendors, without volatile ids.
    pub fn inventory(&self) -> Outcome<Value> {
        let url = format!("{}/inventory?stable=true", self.env["VENDORS_CONTROL"]);
        Ok(serde_json::from_str(&run(Command::new("curl").args(["-sS", "--fail", &url]))?)?)
    }

    /// A call of a vendor's own API, with curl.
    pub fn vendor(&self, args: &[&str]) -> Outcome<Value> {
        let text = run(Command::new("curl").args(["-sS", "--cacert", &self.env["CA_BUNDLE"]]).args(args))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// An HTTPS request through the gateway by somebody who trusts the ACME root alone: headers and body.
    pub fn through_gateway(&self, url: &str, more: &[&str]) -> Outcome<String> {
        let host = url.split('/').nth(2).ok_or("no host")?;
        let (gateway, root) = (&self.env["GATEWAY_HOST"], &self.env["ACME_ROOT"]);
        let resolve: Vec<String> = [443, 80].iter().map(|port| format!("{host}:{port}:{gateway}")).collect();
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "-i",
            "--max-time",
            "10",
            "--cacert",
            root,
            "--resolve",
            &resolve[0],
            "--resolve",
            &resolve[1],
        ]);
        run(curl.args(more).arg(url))
    }
}

/// Runs a command and gives what it printed.
pub fn run(command: &mut Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout)?),
        false => Err(format!(
            "{command:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
        .into()),
    }
}

/// Asks until there is an answer, or the deadline has passed.
pub fn until<T>(deadline: Duration, mut ask: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let end = Instant::now() + deadline;
    loop {
        match ask() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) if Instant::now() > end => return Err(format!("not within {} s", deadline.as_secs()).into()),
            Err(e) if Instant::now() > end => return Err(e),
            _ => std::thread::sleep(Duration::from_millis(300)),
        }
    }
}

pub fn conditions(saas: &Value) -> impl Iterator<Item = &Value> {
    saas["status"]["conditions"].as_array().into_iter().flatten()
}

fn told(saas: &Value) -> String {
    conditions(saas).map(|c| format!("\n  {} {} {}: {}", c["type"], c["status"], c["reason"], c["message"])).collect()
}
