//! The edge in front of an origin, and events that travel through it.

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::{World, directory, seed};
use hmac::{Hmac, KeyInit, Mac};
use hyper::body::Incoming;
use serde_json::{Value, json};
use sha2::Sha256;
use vendors::Config;
use vendors::message::{Request, Response, hex};
use vendors::net::authority::Authority;
use vendors::net::door::{self, Door};
use vendors::net::http::{Answer, Handler, Hangup, Line, Server, read, whole};

/// An origin that tells what it was asked, and keeps it.
#[derive(Default)]
struct Origin {
    seen: Mutex<Vec<Request>>,
}

impl Handler for Origin {
    async fn answer(self: Arc<Self>, line: Arc<Line>, request: hyper::Request<Incoming>) -> Result<Answer, Hangup> {
        let request = read(request).await?;
        let head = |name: &str| request.head(name).map(String::from);
        let seen = json!({
            "tls": line.tls, "path": request.path, "host": head("host"), "visitor": head("cf-connecting-ip"),
            "ray": head("cf-ray"), "scheme": head("x-forwarded-proto"), "body": request.body.len(),
        });
        self.seen.lock().unwrap().push(request);
        Ok(whole(Response::json(200, &seen)))
    }
}

struct Scene {
    world: World,
    origin: Arc<Origin>,
    doors: Vec<Door>,
}

/// Servers whose origins listen on free ports, with a certificate for these hosts from an authority of their own.
async fn scene(name: &str, hosts: &[&str]) -> Scene {
    let origin_dir = directory(&format!("{name}-origin"));
    let authority = Authority::open(&origin_dir).unwrap();
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let origin = Arc::new(Origin::default());
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let secure = Server { handler: origin.clone(), tls: Some(authority.server(&hosts).unwrap()) };
    let doors = vec![
        door::open(any, Arc::new(secure)).await.unwrap(),
        door::open(any, Arc::new(Server { handler: origin.clone(), tls: None })).await.unwrap(),
    ];
    let mut config = Config::local(directory(name), seed());
    config.origin_ca = Some(origin_dir.join("ca.crt"));
    (config.ports.origin_https, config.ports.origin_http) = (doors[0].address().port(), doors[1].address().port());
    Scene { world: World::with(config).await, origin, doors }
}

impl Scene {
    async fn record(&self, kind: &str, name: &str, content: &str, proxied: bool) {
        let zones: Value =
            self.world.call("cloudflare", "GET", "/client/v4/zones").send().await.unwrap().json().await.unwrap();
        let path = format!("/client/v4/zones/{}/dns_records", zones["result"][0]["id"].as_str().unwrap());
        let body = json!({"type": kind, "name": name, "content": content, "proxied": proxied});
        let answer = self.world.call("cloudflare", "POST", &path).body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{body}");
    }

    /// Visits a host through the edge.
    async fn visit(&self, scheme: &str, host: &str) -> reqwest::Response {
        let edge = self.world.running.address(&format!("edge-{scheme}")).unwrap();
        let ca = reqwest::Certificate::from_pem(self.world.running.ca().as_bytes()).unwrap();
        let client = reqwest::Client::builder().add_root_certificate(ca).resolve(host, edge).build().unwrap();
        client.get(format!("{scheme}://{host}:{}/some/page?q=1", edge.port())).send().await.unwrap()
    }

    async fn refusal(&self, host: &str) -> (u16, String) {
        let answer = self.visit("https", host).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

#[tokio::test]
async fn a_proxied_host_is_served_by_its_origin() {
    let scene = scene("edge-served", &["app.example.com"]).await;
    scene.record("A", "app", "127.0.0.1", true).await;
    let answer = scene.visit("https", "app.example.com").await;
    let ray = answer.headers()["cf-ray"].to_str().unwrap().to_string();
    assert_eq!(answer.headers()["server"], "cloudflare");
    let seen: Value = answer.json().await.unwrap();
    assert_eq!(seen["tls"], true);
    assert_eq!((seen["path"].as_str(), seen["scheme"].as_str()), (Some("/some/page"), Some("https")));
    assert_eq!((seen["visitor"].as_str(), seen["ray"].as_str()), (Some("127.0.0.1"), Some(ray.as_str())));
    assert!(seen["host"].as_str().unwrap().starts_with("app.example.com"));
    let plain: Value = scene.visit("http", "app.example.com").await.json().await.unwrap();
    assert_eq!((plain["tls"].as_bool(), plain["scheme"].as_str()), (Some(false), Some("http")));
}

#[tokio::test]
async fn aliases_lead_to_the_origin_behind_them() {
    let scene = scene("edge-alias", &["www.example.com"]).await;
    scene.record("A", "app", "127.0.0.1", true).await;
    scene.record("CNAME", "www", "app.example.com", true).await;
    assert_eq!(scene.visit("https", "www.example.com").await.status(), 200);
}

#[tokio::test]
async fn what_is_wrong_behind_the_edge_has_its_own_status() {
    let scene = scene("edge-wrong", &["app.example.com"]).await;
    scene.record("A", "other", "127.0.0.1", true).await;
    assert_eq!(
        scene.refusal("other.example.com").await,
        (526, "error code: 526".into()),
        "certificate of another host"
    );
    scene.record("CNAME", "away", "nowhere.example.net", true).await;
    assert_eq!(scene.refusal("away.example.com").await, (530, "error code: 1016".into()));
    scene.record("A", "plain", "127.0.0.1", false).await;
    assert_eq!(scene.refusal("plain.example.com").await, (409, "error code: 1001".into()), "not proxied");
    scene.record("A", "app", "127.0.0.1", true).await;
    scene.doors[0].set(false).await;
    assert_eq!(scene.refusal("app.example.com").await, (521, "error code: 521".into()));
}

#[tokio::test]
async fn an_origin_is_trusted_only_by_the_authority_file_of_the_moment() {
    let scene = scene("edge-trust", &["app.example.com"]).await;
    scene.record("A", "app", "127.0.0.1", true).await;
    let file = scene.world.running.hub().config.origin_ca.clone().unwrap();
    let right = std::fs::read(&file).unwrap();
    std::fs::write(&file, scene.world.running.ca()).unwrap();
    assert_eq!(scene.refusal("app.example.com").await.0, 526);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(scene.refusal("app.example.com").await.0, 526);
    std::fs::write(&file, right).unwrap();
    assert_eq!(scene.refusal("app.example.com").await.0, 200);
}

#[tokio::test]
async fn no_certificate_is_issued_for_a_host_of_no_zone() {
    let scene = scene("edge-stranger", &["app.example.com"]).await;
    let edge = scene.world.running.address("edge-https").unwrap();
    let ca = reqwest::Certificate::from_pem(scene.world.running.ca().as_bytes()).unwrap();
    let client = reqwest::Client::builder().add_root_certificate(ca).resolve("stranger.example.net", edge).build();
    let url = format!("https://stranger.example.net:{}/", edge.port());
    let error = format!("{:?}", client.unwrap().get(url).send().await.unwrap_err());
    assert!(error.contains("AccessDenied") || error.contains("HandshakeFailure"), "{error}");
}

async fn endpoint(world: &World, url: &str) -> Value {
    let form = format!("url={url}&enabled_events[]=invoice.paid");
    let request = world.call("stripe", "POST", "/v1/webhook_endpoints");
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    request.send().await.unwrap().json().await.unwrap()
}

fn signed_with(secret: &str, request: &Request) -> bool {
    let header = request.head("stripe-signature").unwrap();
    let (stamp, signature) = header.trim_start_matches("t=").split_once(",v1=").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{stamp}.").as_bytes());
    mac.update(&request.body);
    hex(&mac.finalize().into_bytes()) == signature
}

#[tokio::test]
async fn events_travel_through_dns_and_edge_to_the_origin() {
    let scene = scene("edge-event", &["app.example.com", "direct.example.com"]).await;
    scene.record("A", "app", "127.0.0.1", true).await;
    scene.record("A", "direct", "127.0.0.1", false).await;
    for host in ["app", "direct"] {
        let made = endpoint(&scene.world, &format!("https://{host}.example.com/hook")).await;
        let event = json!({"type": "invoice.paid", "data": {"id": "in_1"}});
        let sent = scene.world.control("POST", "/stripe/events", event).await;
        assert_eq!(sent["deliveries"][0]["status"], "succeeded", "{host}: {sent}");
        let request = scene.origin.seen.lock().unwrap().pop().unwrap();
        assert!(signed_with(made["secret"].as_str().unwrap(), &request));
        assert_eq!(request.head("cf-ray").is_some(), host == "app", "only the proxied host passes the edge");
        let path = format!("/v1/webhook_endpoints/{}", made["id"].as_str().unwrap());
        assert_eq!(scene.world.call("stripe", "DELETE", &path).send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn an_event_for_a_host_that_does_not_resolve_stays_pending() {
    let scene = scene("edge-lost-event", &["app.example.com"]).await;
    endpoint(&scene.world, "https://app.example.com/hook").await;
    let sent = scene.world.control("POST", "/stripe/events", json!({"type": "invoice.paid"})).await;
    let delivery = &sent["deliveries"][0];
    assert_eq!((delivery["status"].as_str(), delivery["error"].as_str()), (Some("pending"), Some("host not found")));
}

#[tokio::test]
async fn monitors_see_whether_their_host_is_up() {
    let scene = scene("edge-monitor", &["app.example.com"]).await;
    scene.record("A", "app", "127.0.0.1", true).await;
    let monitor =
        json!({"friendlyName": "app", "url": "https://app.example.com/health", "type": "HTTP", "interval": 60});
    let made = scene.world.call("uptimerobot", "POST", "/v3/monitors").body(monitor.to_string()).send().await.unwrap();
    let path = format!("/v3/monitors/{}", made.json::<Value>().await.unwrap()["id"]);
    for (open, code, status) in [(true, 200, "UP"), (false, 521, "DOWN"), (true, 200, "UP")] {
        scene.doors[0].set(open).await;
        let seen = scene.world.control("POST", "/uptimerobot/checks", json!({})).await;
        assert_eq!((&seen[0]["responseCode"], &seen[0]["status"]), (&json!(code), &json!(status)));
        let shown: Value = scene.world.call("uptimerobot", "GET", &path).send().await.unwrap().json().await.unwrap();
        assert_eq!(shown["status"], status);
    }
    assert_eq!(scene.origin.seen.lock().unwrap()[0].path, "/health");
}

#[test]
fn an_authority_is_made_once() {
    let dir = directory("authority");
    let (first, again) = (Authority::open(&dir).unwrap(), Authority::open(&dir).unwrap());
    assert_eq!(first.pem(), again.pem());
    first.write_leaf(&["app.example.com".into(), "127.0.0.1".into()], &dir.join("leaf.v1")).unwrap();
    assert!(Path::new(&dir.join("leaf.v1.crt")).exists() && dir.join("leaf.v1.key").exists());
}
