//! The same against a real S3 server that checks signatures, over TLS.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Guard, KEY_ID, Place, SECRET_KEY, dump, eventually, free_port};

/// The S3 server of the embedded world, built if it is not there yet.
fn versitygw() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let program = root.join("target/world/bin/versitygw");
        if !program.exists() {
            let mut go = Command::new("go");
            go.args(["build", "-o"]).arg(&program).arg("github.com/versity/versitygw/cmd/versitygw");
            let built = go.current_dir(root.join("tests/world/cluster/tools")).status().unwrap();
            assert!(built.success(), "versitygw cannot be built");
        }
        program
    })
}

/// A running server with one bucket, `backups`.
struct S3 {
    port: u16,
    _process: Guard,
}

impl S3 {
    fn start(place: &Place) -> Self {
        std::fs::create_dir_all(place.root.join("objects/backups")).unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(place.root.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(place.root.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        let port = free_port();
        let mut command = Command::new(versitygw());
        command.args(["--port", &format!("127.0.0.1:{port}"), "--region", "us-east-1"]);
        command.args([
            "--cert",
            &place.path("cert.pem"),
            "--key",
            &place.path("key.pem"),
            "posix",
            &place.path("objects"),
        ]);
        command.env("ROOT_ACCESS_KEY", KEY_ID).env("ROOT_SECRET_KEY", SECRET_KEY);
        let process = Guard(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        eventually("the S3 server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        S3 { port, _process: process }
    }

    fn target(&self, place: &Place) -> Value {
        let mut target = place.target("s3-eu", &format!("s3:https://127.0.0.1:{}/backups/shop/csvboard", self.port));
        target["roots"] = json!(place.path("cert.pem"));
        target
    }
}

#[test]
fn a_backup_to_s3_is_encrypted_and_restores() {
    let place = Place::new("s3");
    place.fill(2000);
    let s3 = S3::start(&place);
    let target = s3.target(&place);
    let evidence = place.succeed("backup", &place.backup_task(&[target.clone(), place.local()]));
    assert_eq!((&evidence["targets"][0]["ok"], &evidence["rows"]["users"]), (&json!(true), &json!(2000)));
    assert!(evidence["targets"][0]["stored_bytes"].as_u64().unwrap() > 0);
    let found = Command::new("grep").args(["-rlE", "user1@example.com|manifest.json", &place.path("objects")]).output();
    assert_eq!(found.unwrap().status.code(), Some(1), "the objects are not encrypted");
    let saved = dump(&place.database());
    std::fs::remove_file(place.database()).unwrap();
    place.succeed("restore", &place.restore_task(&target));
    assert_eq!(dump(&place.database()), saved);
    assert_eq!(place.succeed("drill", &place.drill_task(&target))["rows"]["users"], json!(2000));
}

#[test]
fn a_wrong_key_is_named_at_once() {
    let place = Place::new("s3-key");
    place.fill(10);
    let s3 = S3::start(&place);
    let started = Instant::now();
    std::fs::write(place.root.join("credentials/AWS_SECRET_ACCESS_KEY"), "canary-wrong").unwrap();
    let message = place.fail("backup", &place.backup_task(&[s3.target(&place)]), "AccessDenied");
    assert!(message.contains("account s3-eu") && message.contains("check the key"), "{message}");
    std::fs::write(place.root.join("credentials/AWS_ACCESS_KEY_ID"), "canary-nobody").unwrap();
    place.fail("backup", &place.backup_task(&[s3.target(&place)]), "AccessDenied");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}

#[test]
fn a_server_with_an_unknown_authority_is_not_trusted() {
    let place = Place::new("s3-ca");
    place.fill(10);
    let s3 = S3::start(&place);
    let mut target = s3.target(&place);
    target["roots"] = Value::Null;
    let message = place.fail("backup", &place.backup_task(&[target]), "CertificateUntrusted");
    assert!(message.contains("caBundle"), "{message}");
}
