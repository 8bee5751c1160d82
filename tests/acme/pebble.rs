//! A real CA for each test: Pebble, with the DNS and HTTP server that it asks, on ports of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use golive::vendors::acme::{AcmeAccess, Challenge, Kind};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

pub type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The external account that some CAs of the tests ask for.
pub const EAB_ID: &str = "kid-1";
pub const EAB_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
/// A name that the CA refuses by policy.
pub const BLOCKED: &str = "blocked.example.net";

/// How a CA differs from the usual one.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Percent of good nonces that are refused.
    pub bad_nonces: u32,
    /// Percent of authorizations that are reused.
    pub reuse: u32,
    pub eab: bool,
}

/// A running CA. Its processes end with it.
pub struct Pebble {
    pub directory: String,
    pub dns: String,
    pub ca: Ca,
    management: String,
    challenges: String,
    http: reqwest::Client,
    _processes: Vec<Child>,
}

impl Pebble {
    pub async fn start() -> Outcome<Pebble> {
        Pebble::start_with(Options::default()).await
    }

    /// Ports are free when they are picked, not when they are bound: another try, then, with others.
    pub async fn start_with(options: Options) -> Outcome<Pebble> {
        for _ in 0..3 {
            if let Ok(pebble) = Pebble::attempt(options).await {
                return Ok(pebble);
            }
        }
        Pebble::attempt(options).await
    }

    async fn attempt(options: Options) -> Outcome<Pebble> {
        let [acme, management, http, tls, dns, control] = ports()?;
        let folder = folder()?;
        let ca = Ca::new()?;
        let config = ca.configure(&folder, [acme, management, http, tls], options)?;
        let dns = format!("127.0.0.1:{dns}");
        let pebble = Command::new(binary("pebble")?)
            .args(["-config", &config, "-dnsserver", &dns])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", options.bad_nonces.to_string())
            .env("PEBBLE_AUTHZREUSE", options.reuse.to_string())
            .stdout(log(&folder, "pebble")?)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let served = Command::new(binary("pebble-challtestsrv")?)
            .args(["-defaultIPv6", "", "-dnsserver", &dns, "-http01", &format!("127.0.0.1:{http}")])
            .args(["-https01", "", "-tlsalpn01", "", "-doh", "", "-management", &format!("127.0.0.1:{control}")])
            .stdout(log(&folder, "challtestsrv")?)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let client = reqwest_client(&ca.root_pem)?;
        let started = Pebble {
            directory: format!("https://127.0.0.1:{acme}/dir"),
            management: format!("https://127.0.0.1:{management}"),
            challenges: format!("http://127.0.0.1:{control}"),
            dns,
            ca,
            http: client,
            _processes: vec![pebble, served],
        };
        started.wait().await?;
        Ok(started)
    }

    async fn wait(&self) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let up = self.http.get(&self.directory).send().await.and(self.http.get(&self.challenges).send().await);
            match up {
                Ok(_) => return Ok(()),
                Err(e) if Instant::now() > deadline => return Err(e.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// An account at this CA.
    pub fn access(&self) -> AcmeAccess {
        AcmeAccess {
            account: "letsencrypt".into(),
            directory: self.directory.clone(),
            email: Some("ops@example.com".into()),
            roots: Some(self.ca.root_pem.clone()),
            eab: None,
            profile: None,
        }
    }

    /// Puts the proofs where the CA looks.
    pub async fn prove(&self, challenges: &[Challenge], kind: Kind) -> Outcome {
        for challenge in challenges.iter().filter(|c| c.kind == kind) {
            let host = format!("_acme-challenge.{}.", challenge.name);
            match kind {
                Kind::Dns01 => self.control("set-txt", json!({ "host": host, "value": challenge.proof })).await?,
                Kind::Http01 => {
                    let page = json!({ "token": challenge.token, "content": challenge.proof });
                    self.control("add-http01", page).await?
                }
            }
        }
        Ok(())
    }

    /// A command to the DNS and HTTP server.
    pub async fn control(&self, command: &str, body: Value) -> Outcome {
        self.http
            .post(format!("{}/{command}", self.challenges))
            .body(body.to_string())
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Makes the CA answer this when it is asked when a certificate is to be renewed.
    pub async fn set_window(&self, chain: &str, answer: &str) -> Outcome {
        let body = json!({ "certificate": chain, "ariResponse": answer }).to_string();
        let url = format!("{}/set-renewal-info/", self.management);
        self.http.post(url).body(body).send().await?.error_for_status()?;
        Ok(())
    }

    /// The root of the chains that the CA issues.
    pub async fn issued_root(&self) -> Outcome<String> {
        Ok(self.http.get(format!("{}/roots/0", self.management)).send().await?.error_for_status()?.text().await?)
    }
}

/// Whom the servers of the tests are trusted by.
pub struct Ca {
    pub root_pem: String,
    pub server_pem: String,
    pub server_key: String,
}

impl Ca {
    pub fn new() -> Outcome<Ca> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test root");
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let server = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()])?.signed_by(&key, &root)?;
        Ok(Ca { root_pem: root.pem(), server_pem: server.pem(), server_key: key.serialize_pem() })
    }

    fn configure(&self, folder: &Path, ports: [u16; 4], options: Options) -> Outcome<String> {
        let (certificate, key, file) = (folder.join("cert.pem"), folder.join("key.pem"), folder.join("pebble.json"));
        std::fs::write(&certificate, &self.server_pem)?;
        std::fs::write(&key, &self.server_key)?;
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{}", ports[0]),
            "managementListenAddress": format!("127.0.0.1:{}", ports[1]),
            "certificate": certificate, "privateKey": key, "httpPort": ports[2], "tlsPort": ports[3],
            "externalAccountBindingRequired": options.eab,
            "externalAccountMACKeys": { EAB_ID: EAB_KEY },
            "domainBlocklist": [BLOCKED],
            "keyAlgorithm": "ecdsa",
            "retryAfter": { "authz": 1, "order": 1 },
            "profiles": {
                "default": { "description": "ninety days", "validityPeriod": 7_776_000 },
                "shortlived": { "description": "six days", "validityPeriod": 518_400 },
            },
        }});
        std::fs::write(&file, config.to_string())?;
        Ok(file.to_string_lossy().into())
    }
}

/// A set of names.
pub fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| name.to_string()).collect()
}

/// A client that trusts a root. HTTP/1.1, where a Host header is passed on as it is.
pub fn reqwest_client(root_pem: &str) -> Outcome<reqwest::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root = reqwest::Certificate::from_pem(root_pem.as_bytes())?;
    Ok(reqwest::Client::builder().user_agent("golive-tests").http1_only().add_root_certificate(root).build()?)
}

/// A program: the one named by the environment, the one that the test world built, or built now.
fn binary(name: &str) -> Outcome<PathBuf> {
    static BUILDING: Mutex<()> = Mutex::new(());
    if let Some(path) = std::env::var_os(name.to_uppercase().replace('-', "_")) {
        return Ok(path.into());
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/world/bin").join(name);
    let _one = BUILDING.lock().unwrap_or_else(|e| e.into_inner());
    if !path.exists() {
        build(name, &path)?;
    }
    Ok(path)
}

fn build(name: &str, path: &Path) -> Outcome {
    let built = std::process::Command::new("go")
        .args(["build", "-o"])
        .arg(path)
        .arg(format!("github.com/letsencrypt/pebble/v2/cmd/{name}"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/world/cluster/tools"))
        .output()?;
    match built.status.success() {
        true => Ok(()),
        false => Err(format!("go build of {name}: {}", String::from_utf8_lossy(&built.stderr)).into()),
    }
}

fn ports<const N: usize>() -> Outcome<[u16; N]> {
    let bound: Vec<_> = (0..N).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let ports = bound.iter().map(|b| Ok(b.local_addr()?.port())).collect::<std::io::Result<Vec<_>>>()?;
    Ok(ports.try_into().map_err(|_| "no ports")?)
}

fn folder() -> Outcome<PathBuf> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("acme-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn log(folder: &Path, name: &str) -> Outcome<Stdio> {
    Ok(std::fs::File::create(folder.join(format!("{name}.log")))?.into())
}
