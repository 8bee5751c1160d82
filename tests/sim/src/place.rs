//! A place to live in for the operator: cluster, vendors and CA in one value that can be copied, and the doors to it.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use vendors::clock::Moment;
use vendors::config::{CloudflareSeed, SentrySeed, StripeSeed, UptimeRobotSeed};
use vendors::dns::View;
use vendors::{Config, Seed, Vendors};

use crate::authority::{self, Authority, Sight};
use crate::cluster::Cluster;
use crate::cluster::answer::Request;
use crate::cluster::resource::{Resource, Target};

/// When every simulation starts.
pub const EPOCH: i64 = 1_800_000_000;
/// The namespace of the operator.
pub const SYSTEM: &str = "golive-system";
/// Zones that the Cloudflare account holds.
pub const ZONES: [&str; 3] = ["example.com", "pospal.example", "duespark.example"];
/// The credentials; all have this word in common, which must appear nowhere.
pub const CANARY: &str = "canary";

/// Everything there is.
#[derive(Clone)]
pub struct State {
    pub cluster: Cluster,
    pub vendors: Vendors,
    pub authority: Authority,
    /// The time since the start, when this state was left.
    pub at: SignedDuration,
    /// The same when the run began.
    pub since: SignedDuration,
    /// Passes so far: what randomness grows from.
    pub chance: u64,
    /// How far the script is.
    pub step: usize,
}

impl Default for State {
    fn default() -> Self {
        State::new()
    }
}

impl State {
    /// A cluster with accounts at every vendor and nothing else: made once, for each of its objects is judged.
    pub fn new() -> State {
        static FIRST: LazyLock<State> = LazyLock::new(State::first);
        FIRST.clone()
    }

    fn first() -> State {
        let allowed: Vec<String> = ZONES.iter().flat_map(|zone| [(*zone).to_owned(), format!("*.{zone}")]).collect();
        State::with_zones(&ZONES.map(str::to_owned), &allowed)
    }

    /// The same with other zones, and the names that applications may have in them.
    pub fn with_zones(zones: &[String], allowed: &[String]) -> State {
        let vendors = Vendors::new(&Config::local("unused", seed(zones)));
        let mut state = State {
            cluster: Cluster::default(),
            vendors,
            authority: Authority::default(),
            at: SignedDuration::ZERO,
            since: SignedDuration::ZERO,
            chance: 0,
            step: 0,
        };
        let system = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}});
        for object in [vec![system], definitions(), secrets(), accounts(allowed)].concat() {
            state.apply(&object, "platform");
        }
        state
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_second(EPOCH).unwrap_or_default() + self.at
    }

    /// The same for the vendors.
    pub fn moment(&self) -> Moment {
        Moment(self.now().as_millisecond())
    }

    /// Applies an object as `kubectl apply --server-side` does.
    ///
    /// # Panics
    /// The model refuses it: the test is wrong.
    pub fn apply(&mut self, object: &Value, manager: &str) {
        self.patch(&place_of(object), ("application/apply-patch+yaml", manager), object);
    }

    /// Changes an object by hand.
    ///
    /// # Panics
    /// The model refuses it: the test is wrong.
    pub fn edit(&mut self, kind: &str, [namespace, name]: &[String; 2], patch: &Value) {
        let target = place_of(&json!({"kind": kind, "metadata": {"namespace": namespace, "name": name}}));
        self.patch(&target, ("application/merge-patch+json", "kubectl-edit"), patch);
    }

    fn patch(&mut self, target: &Target, (media, manager): (&str, &str), body: &Value) {
        let query = [("fieldManager", manager), ("force", "true")].map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
        let (path, media, body) = (target.path(), media.to_owned(), body.to_string().into());
        let now = self.now();
        let answer = self.cluster.answer(&Request { method: "PATCH".into(), path, query, media, body }, now);
        assert!(answer.status < 300, "{}", String::from_utf8_lossy(&answer.body));
    }

    /// Calls a vendor with our own credential: `POST /path`, with a body in JSON (`null` for none); gives the answer.
    ///
    /// # Panics
    /// The vendor refuses it: the test is wrong.
    pub fn call(&mut self, vendor: &str, line: &str, body: &Value) -> Value {
        let (method, path) = line.split_once(' ').unwrap_or(("GET", line));
        let seed = seed(&[]);
        let token = match vendor {
            "cloudflare" => &seed.cloudflare.tokens[0],
            "stripe" => &seed.stripe.live,
            "uptimerobot" => &seed.uptimerobot.keys[0],
            _ => &seed.sentry.tokens[0],
        };
        let request = vendors::message::Request::new(method, path)
            .header("authorization", &format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(if body.is_null() { String::new() } else { body.to_string() });
        let moment = self.moment();
        let reply = self.vendors.serve(vendor, moment, &request);
        assert!(reply.answer.status < 300, "{line}: {}", String::from_utf8_lossy(&reply.answer.body));
        serde_json::from_slice(&reply.answer.body).unwrap_or_default()
    }

    /// Deletes the row at a vendor that shows a text, with our own credential.
    ///
    /// # Panics
    /// There is none: the test is wrong.
    pub fn lose(&mut self, vendor: &str, text: &str) {
        let (tables, list) = match vendor {
            "cloudflare" => (self.record_tables(), "result"),
            "stripe" => (vec!["/v1/webhook_endpoints".to_owned()], "data"),
            _ => (vec!["/v3/monitors".to_owned()], "data"),
        };
        let shows = |row: &&Value| row.to_string().contains(text);
        let place = tables.into_iter().find_map(|table| {
            let rows = self.call(vendor, &format!("GET {table}"), &Value::Null);
            let id = rows[list].as_array()?.iter().find(shows)?["id"].clone();
            Some(format!("{table}/{}", id.as_str().map_or_else(|| id.to_string(), str::to_owned)))
        });
        let place = place.unwrap_or_else(|| panic!("no row at {vendor} shows {text}"));
        self.call(vendor, &format!("DELETE {place}"), &Value::Null);
    }

    /// Where the records of each zone are.
    fn record_tables(&mut self) -> Vec<String> {
        let mut zones: Vec<Value> = Vec::new();
        for page in 1.. {
            let line = format!("GET /client/v4/zones?per_page=50&page={page}");
            let answer = self.call("cloudflare", &line, &Value::Null);
            zones.extend(answer["result"].as_array().into_iter().flatten().cloned());
            if answer["result_info"]["total_count"].as_u64().is_none_or(|total| zones.len() as u64 >= total) {
                break;
            }
        }
        let ids = zones.iter().filter_map(|zone| zone["id"].as_str());
        ids.map(|id| format!("/client/v4/zones/{id}/dns_records")).collect()
    }

    /// Deletes an object, if it is there, in the foreground or the background.
    pub fn delete(&mut self, kind: &str, [namespace, name]: &[String; 2], foreground: bool) {
        if let Some(resource) = Resource::of_kind(kind) {
            let (key, now) = ((resource, namespace.clone(), name.clone()), self.now());
            if foreground {
                self.cluster.delete_last(&key, now)
            } else {
                self.cluster.delete(&key, now)
            };
        }
    }
}

fn place_of(object: &Value) -> Target {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&object["kind"]);
    let resource = Resource::of_kind(&kind).unwrap_or_else(|| panic!("kind {kind} is not served"));
    let namespace = if resource.namespaced { text(&object["metadata"]["namespace"]) } else { String::new() };
    Target { resource, namespace, name: text(&object["metadata"]["name"]), subresource: String::new() }
}

/// What the CA sees.
pub struct Eyes<'a> {
    pub cluster: &'a Cluster,
    pub vendors: &'a Vendors,
}

impl Sight for Eyes<'_> {
    fn texts(&self, name: &str) -> Vec<String> {
        view(self.vendors).texts(name)
    }

    fn answer(&self, host: &str, token: &str) -> Option<String> {
        crate::nature::solved(self.cluster, host, token)
    }
}

/// A state that operator, nature and users share.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<State>>);

impl Shared {
    /// Shares a state.
    pub fn new(state: State) -> Shared {
        Shared(Arc::new(Mutex::new(state)))
    }

    /// The state; nobody else sees it meanwhile.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name servers' view of the zones; nobody asks here for an address.
pub fn view(vendors: &Vendors) -> View<'_> {
    let nowhere = std::net::Ipv4Addr::UNSPECIFIED.into();
    View { cloudflare: &vendors.cloudflare, edge: nowhere, dns: nowhere }
}

fn seed(zones: &[String]) -> Seed {
    let name = |what: &str| format!("{CANARY}-{what}");
    Seed {
        cloudflare: CloudflareSeed {
            tokens: vec![name("cloudflare")],
            account: "0123456789abcdef0123456789abcdef".into(),
            zones: zones.to_vec(),
            name_servers: vec!["ns1.vendors.test".into(), "ns2.vendors.test".into()],
        },
        stripe: StripeSeed { live: format!("sk_live_{CANARY}"), test: format!("sk_test_{CANARY}") },
        uptimerobot: UptimeRobotSeed { keys: vec![name("uptimerobot")] },
        sentry: SentrySeed { tokens: vec![name("sentry")], organization: "acme".into(), team: "platform".into() },
    }
}

fn secret(name: &str, values: &[(&str, String)]) -> Value {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let data: serde_json::Map<String, Value> =
        values.iter().map(|(key, value)| ((*key).to_owned(), json!(BASE64_STANDARD.encode(value)))).collect();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": SYSTEM}, "data": data})
}

/// The definitions of the kinds that a cluster may lack.
fn definitions() -> Vec<Value> {
    let of = |name: &str| json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name}});
    ["gateways", "httproutes"].map(|plural| of(&format!("{plural}.gateway.networking.k8s.io"))).to_vec()
}

fn secrets() -> Vec<Value> {
    let seed = seed(&[]);
    let s3 = [("AWS_ACCESS_KEY_ID", format!("{CANARY}-s3-id")), ("AWS_SECRET_ACCESS_KEY", format!("{CANARY}-s3-key"))];
    vec![
        secret("cloudflare", &[("token", seed.cloudflare.tokens[0].clone())]),
        secret("stripe", &[("secret-key", seed.stripe.live), ("test-secret-key", seed.stripe.test)]),
        secret("uptimerobot", &[("api-key", seed.uptimerobot.keys[0].clone())]),
        secret("sentry", &[("token", seed.sentry.tokens[0].clone())]),
        secret("s3-eu", &s3),
        secret("s3-us", &s3),
        secret("backup-encryption", &[("password", format!("{CANARY}-restic"))]),
    ]
}

fn account(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "golive.dev/v1alpha1", "kind": "ProviderAccount", "metadata": {"name": name}, "spec": spec})
}

fn accounts(allowed: &[String]) -> Vec<Value> {
    let key = |name: &str, key: &str| json!({"name": name, "key": key});
    let cloudflare = json!({
        "accountId": "0123456789abcdef0123456789abcdef", "endpoint": "https://cloudflare.test/client/v4",
        "tokenSecret": key("cloudflare", "token"),
    });
    let tenants = json!({"namespaces": {"matchLabels": {"golive.dev/tenant": "yes"}}, "domains": allowed});
    let stripe =
        |mode: &str, k: &str| json!({"mode": mode, "endpoint": "https://stripe.test", "keySecret": key("stripe", k)});
    let uptime = json!({"endpoint": "https://uptimerobot.test/v3", "keySecret": key("uptimerobot", "api-key")});
    let sentry = json!({
        "organization": "acme", "team": "platform", "endpoint": "https://sentry.test",
        "tokenSecret": key("sentry", "token"),
    });
    let acme = json!({
        "directory": format!("{}/dir", authority::BASE), "email": "ops@example.com", "termsOfServiceAgreed": true,
    });
    let bucket = |place: &str| {
        json!({
            "endpoint": "https://s3.test", "region": "us-east-1", "bucket": format!("backups-{place}"),
            "credentialsSecret": {"name": format!("s3-{place}")}, "encryptionSecret": key("backup-encryption", "password"),
        })
    };
    vec![
        account("cloudflare", json!({"default": true, "allow": tenants, "cloudflare": cloudflare})),
        account("letsencrypt", json!({"default": true, "acme": acme})),
        account("stripe-live", json!({"default": true, "stripe": stripe("Live", "secret-key")})),
        account("stripe-test", json!({"stripe": stripe("Test", "test-secret-key")})),
        account("uptimerobot", json!({"default": true, "uptimeRobot": uptime})),
        account("sentry", json!({"default": true, "sentry": sentry})),
        account("s3-eu", json!({"default": true, "s3": bucket("eu")})),
        account("s3-us", json!({"s3": bucket("us")})),
    ]
}
