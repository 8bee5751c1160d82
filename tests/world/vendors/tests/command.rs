//! The program: it tells when it is ready, keeps its state over a restart, and issues certificates.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{TEST, directory};
use hyper::body::Incoming;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use vendors::message::Response;
use vendors::net::door;
use vendors::net::http::{Answer, Handler, Hangup, Line, Server, whole};

const PORTS: [&str; 8] = ["cloudflare", "stripe", "uptimerobot", "sentry", "control", "dns", "edge-http", "edge-https"];

struct Program {
    child: Child,
    ports: Vec<u16>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ports that are free now, for TCP and UDP.
fn free_ports() -> Vec<u16> {
    let sockets: Vec<_> = PORTS.iter().map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect()
}

fn start(dir: &Path) -> Program {
    let ports = free_ports();
    let seed = dir.join("seed.json");
    std::fs::write(&seed, format!(r#"{{"stripe": {{"test": "{TEST}"}}}}"#)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vendors"));
    command.arg("--dir").arg(dir).arg("--seed").arg(seed).args([
        "--api",
        "127.0.0.1",
        "--edge",
        "127.0.0.1",
        "--dns",
        "127.0.0.1",
    ]);
    for (name, port) in PORTS.iter().zip(&ports) {
        command.arg(format!("--{name}-port={port}"));
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    Program { child, ports }
}

impl Program {
    /// Ends it as a service manager would.
    fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "still running");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(self.child.wait().unwrap().success());
    }

    async fn inventory(&self) -> Value {
        let url = format!("http://127.0.0.1:{}/inventory", self.ports[4]);
        reqwest::get(url).await.unwrap().json().await.unwrap()
    }

    async fn create(&self, dir: &Path) -> Value {
        let ca = reqwest::Certificate::from_pem(&std::fs::read(dir.join("ca.crt")).unwrap()).unwrap();
        let client = reqwest::Client::builder().add_root_certificate(ca).build().unwrap();
        let url = format!("https://127.0.0.1:{}/v1/webhook_endpoints", self.ports[1]);
        let request = client.post(url).bearer_auth(TEST).header("idempotency-key", "once");
        request.body("url=https://a.example.com&enabled_events[]=*").send().await.unwrap().json().await.unwrap()
    }
}

#[tokio::test]
async fn state_survives_a_restart() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = directory("command");
    let mut first = start(&dir);
    let made = first.create(&dir).await;
    let rows = first.inventory().await;
    assert_eq!(rows["stripe"]["test"]["webhookEndpoints"].as_array().unwrap().len(), 1);
    first.terminate();
    let second = start(&dir);
    assert_eq!(second.inventory().await, rows);
    assert_eq!(second.create(&dir).await, made, "idempotency keys survive, too");
}

/// Serves nothing but a status, with a certificate from files.
struct Hello;

impl Handler for Hello {
    async fn answer(self: Arc<Self>, _: Arc<Line>, _: hyper::Request<Incoming>) -> Result<Answer, Hangup> {
        Ok(whole(Response::empty(204)))
    }
}

#[tokio::test]
async fn certificates_are_issued_from_the_command_line() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = directory("command-cert");
    let run = |arguments: &[&str]| {
        assert!(Command::new(env!("CARGO_BIN_EXE_vendors")).args(arguments).status().unwrap().success());
    };
    let (folder, prefix) = (dir.to_str().unwrap(), dir.join("s3"));
    run(&["ca", "--dir", folder]);
    let before = std::fs::read(dir.join("ca.crt")).unwrap();
    let hosts = ["--host", "127.0.0.1", "--host", "s3.vendors.test"];
    run(&[&["cert", "--dir", folder, "--out", prefix.to_str().unwrap()], &hosts[..]].concat());
    run(&["ca", "--dir", folder]);
    assert_eq!(std::fs::read(dir.join("ca.crt")).unwrap(), before);

    let chain = CertificateDer::pem_file_iter(dir.join("s3.crt")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(dir.join("s3.key")).unwrap();
    let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let server = Server { handler: Arc::new(Hello), tls: Some(Arc::new(tls)) };
    let door = door::open("127.0.0.1:0".parse().unwrap(), Arc::new(server)).await.unwrap();
    let ca = reqwest::Certificate::from_pem(&before).unwrap();
    let client =
        reqwest::Client::builder().add_root_certificate(ca).resolve("s3.vendors.test", door.address()).build().unwrap();
    for host in ["127.0.0.1", "s3.vendors.test"] {
        let answer = client.get(format!("https://{host}:{}/", door.address().port())).send().await.unwrap();
        assert_eq!(answer.status(), 204);
    }
}

#[test]
fn without_addresses_it_says_what_is_missing() {
    let output = Command::new(env!("CARGO_BIN_EXE_vendors")).args(["--dir", "x"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--api"));
}
