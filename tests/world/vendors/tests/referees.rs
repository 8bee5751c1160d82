//! The official SDKs judge the servers: each script of `referees/` runs against servers of its own.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::{ACCOUNT, ACCOUNT_TOKEN, LIVE, TEST, TOKEN, World, ZONE};

fn referees() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("referees")
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

/// A Python with the SDKs, made once and kept under the target directory.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("referees");
        let (wanted, done) = (referees().join("requirements.txt"), venv.join("requirements.txt"));
        let text = |path: &Path| std::fs::read_to_string(path).ok();
        let python = venv.join("bin/python");
        if text(&wanted) != text(&done) {
            succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
            succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&wanted));
            std::fs::copy(&wanted, &done).unwrap();
        }
        python
    })
}

async fn judged_by(script: &str) {
    let world = World::start(script).await;
    let mut command = Command::new(python());
    command
        .current_dir(referees())
        .arg(script)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CA_BUNDLE", world.ca_file())
        .env("VENDORS_CONTROL", world.running.control().unwrap())
        .env("STRIPE_API", world.running.url("stripe").unwrap())
        .env("STRIPE_LIVE_KEY", LIVE)
        .env("STRIPE_TEST_KEY", TEST)
        .env("CLOUDFLARE_API", format!("{}/client/v4", world.running.url("cloudflare").unwrap()))
        .env("CLOUDFLARE_TOKEN", TOKEN)
        .env("CLOUDFLARE_ACCOUNT_TOKEN", ACCOUNT_TOKEN)
        .env("CLOUDFLARE_ACCOUNT", ACCOUNT)
        .env("CLOUDFLARE_ZONE", ZONE)
        .env("DNS_SERVER", world.running.address("dns").unwrap().to_string());
    tokio::task::spawn_blocking(move || succeed(&mut command)).await.unwrap();
}

macro_rules! judged {
    ($($name:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            judged_by(concat!(stringify!($name), ".py")).await;
        })*
    };
}

judged! {
    stripe_endpoints
    stripe_idempotency
    stripe_events
    cloudflare_records
    dns_answers
}
