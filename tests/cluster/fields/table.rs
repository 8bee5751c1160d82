//! The fields of csvboard's manifest: two values of each, and where the world shows them.

use serde_json::{Value, json};

/// One field of the spec.
pub struct Field {
    /// Its path in the spec.
    pub path: &'static str,
    /// Fields of one group come and go together: one would be refused, or show nothing, without the other.
    pub group: usize,
    /// What it is set to first, and then.
    pub values: [Value; 2],
    /// Where it is seen.
    pub at: Shown,
    /// What is seen there: with the first value, with the second, and without the field.
    pub shown: [Value; 3],
}

/// A place where the world shows a field.
pub enum Shown {
    /// An object of the namespace, `kind/name`, by JSON pointer.
    Object(&'static str, &'static str),
    /// A variable of the application's container; `kept` where its value comes from golive's Secret.
    Env(&'static str),
    /// The task of a CronJob of golive's own, by JSON pointer.
    Task(&'static str, &'static str),
    /// The generated keys in golive's Secret.
    Keys,
    /// A record at Cloudflare.
    Record(&'static str, &'static str),
    /// The endpoint at Stripe, of live or test mode.
    Endpoint(&'static str, &'static str),
    /// The monitor at UptimeRobot.
    Monitor(&'static str),
    /// The project at Sentry.
    Project(&'static str),
    /// How many Jobs of a stage there are.
    Jobs(&'static str),
    /// Which of these words a condition's message contains.
    Says(&'static str, &'static [&'static str]),
    /// Which of these words an answer through the gateway contains.
    Answer(&'static str, &'static [&'static str]),
}

const WEB: &str = "deployment/fields";

/// A line of the table.
fn field(path: &'static str, group: usize, values: [Value; 2], at: Shown, shown: [Value; 3]) -> Field {
    Field { path, group, values, at, shown }
}

pub fn fields() -> Vec<Field> {
    [pods(), values(), names(), vendors(), proofs()].into_iter().flatten().collect()
}

fn in_container(pointer: &'static str) -> Shown {
    Shown::Object(WEB, pointer)
}

fn pods() -> Vec<Field> {
    let command = |port: &str| json!(["/hello", "-port", port]);
    let none = Value::Null;
    vec![
        field(
            "image",
            1,
            [json!("registry.example.com/hello:1.0.0"), json!("registry.example.com/hello:1.1.0")],
            Shown::Answer("https://fields.example.com/", &["hello 1.0.0", "hello 1.1.0"]),
            [json!("hello 1.0.0"), json!("hello 1.1.0"), json!("hello 1.0.0")],
        ),
        field(
            "command",
            2,
            [command("8000"), command("8080")],
            in_container("/spec/template/spec/containers/0/command/2"),
            [json!("8000"), json!("8080"), none.clone()],
        ),
        field(
            "port",
            2,
            [json!(8000), json!(8080)],
            in_container("/spec/template/spec/containers/0/ports/0/containerPort"),
            [json!(8000), json!(8080), json!(8000)],
        ),
        field(
            "health",
            3,
            [json!({"path": "/health"}), json!({"path": "/"})],
            in_container("/spec/template/spec/containers/0/readinessProbe/httpGet/path"),
            [json!("/health"), json!("/"), none.clone()],
        ),
        field(
            "resources.cpu",
            4,
            [json!("400m"), json!("200m")],
            in_container("/spec/template/spec/containers/0/resources/limits/cpu"),
            [json!("400m"), json!("200m"), none.clone()],
        ),
        field(
            "resources.memory",
            5,
            [json!("64Mi"), json!("96Mi")],
            in_container("/spec/template/spec/containers/0/resources/limits/memory"),
            [json!("64Mi"), json!("96Mi"), json!("256Mi")],
        ),
        field(
            "cron",
            6,
            [
                json!([{"name": "tidy", "schedule": "0 9 * * *", "command": ["/hello", "-h"]}]),
                json!([{"name": "sweep", "schedule": "0 9 * * *", "command": ["/hello", "-h"]},
                    {"name": "tidy", "schedule": "5 9 * * *", "command": ["/hello", "-h"]}]),
            ],
            Shown::Object("cronjob/fields-tidy", "/spec/schedule"),
            [json!("0 9 * * *"), json!("5 9 * * *"), none],
        ),
    ]
}

fn values() -> Vec<Field> {
    let none = Value::Null;
    let generate = |env: &str| json!([{"env": env, "bytes": 32, "rotateAfterDays": 90}]);
    vec![
        field(
            "env",
            7,
            [json!({"ENABLE_HSTS": "1"}), json!({"ENABLE_HSTS": "0"})],
            Shown::Env("ENABLE_HSTS"),
            [json!("1"), json!("0"), none.clone()],
        ),
        field(
            "envFrom",
            8,
            [json!([{"secret": "one"}]), json!([{"secret": "two"}])],
            in_container("/spec/template/spec/containers/0/envFrom/0/secretRef/name"),
            [json!("one"), json!("two"), none.clone()],
        ),
        field(
            "secrets.require",
            8,
            [json!(["GREETING"]), json!(["GREETING", "PORT"])],
            Shown::Says("SecretsReady", &["1 required", "2 required", "0 required"]),
            [json!("1 required"), json!("2 required"), json!("0 required")],
        ),
        field(
            "secrets.generate",
            9,
            [generate("SECRET_KEY"), generate("SESSION_KEY")],
            Shown::Keys,
            [json!(["SECRET_KEY"]), json!(["SESSION_KEY"]), json!([])],
        ),
        field(
            "database.sqlite.size",
            10,
            [json!("1Gi"), json!("1Gi")],
            Shown::Env("DATABASE_FILE"),
            [none.clone(), json!("/store/app.sqlite3"), none.clone()],
        ),
        field(
            "database.sqlite.file",
            10,
            [json!("/data/app.sqlite3"), json!("/store/app.sqlite3")],
            in_container("/spec/template/spec/containers/0/volumeMounts/0/mountPath"),
            [json!("/data"), json!("/store"), json!("/tmp")],
        ),
        field(
            "database.sqlite.env",
            10,
            [json!("DATABASE_PATH"), json!("DATABASE_FILE")],
            Shown::Env("DATABASE_PATH"),
            [json!("/data/app.sqlite3"), none.clone(), none],
        ),
    ]
}

fn names() -> Vec<Field> {
    let none = Value::Null;
    let domains = || {
        [
            json!(["fields.example.com", "two.fields.example.com"]),
            json!(["fields.example.com", "three.fields.example.com"]),
        ]
    };
    let from = || [json!(["www.fields.example.com"]), json!(["old.fields.example.com"])];
    let a = json!("A");
    let kept = "cache-control: no-cache";
    let immutable = "cache-control: public, max-age=31536000, immutable";
    vec![
        field(
            "domains",
            11,
            domains(),
            Shown::Record("two.fields.example.com", "/type"),
            [a.clone(), none.clone(), none.clone()],
        ),
        field(
            "domains",
            11,
            domains(),
            Shown::Answer("https://three.fields.example.com/", &["http/2 200"]),
            [none.clone(), json!("http/2 200"), none.clone()],
        ),
        field(
            "redirectFrom",
            12,
            from(),
            Shown::Record("www.fields.example.com", "/type"),
            [a, none.clone(), none.clone()],
        ),
        field(
            "redirectFrom",
            12,
            from(),
            Shown::Answer("https://old.fields.example.com/", &["location: https://fields.example.com/"]),
            [none.clone(), json!("location: https://fields.example.com/"), none.clone()],
        ),
        field(
            "dns.proxied",
            13,
            [json!(true), json!(false)],
            Shown::Record("fields.example.com", "/proxied"),
            [json!(true), json!(false), json!(false)],
        ),
        field(
            "edge.httpsRedirect",
            14,
            [json!(true), json!(false)],
            Shown::Answer("http://fields.example.com/", &["http/1.1 301", "http/1.1 200"]),
            [json!("http/1.1 301"), json!("http/1.1 200"), json!("http/1.1 301")],
        ),
        field(
            "edge.hsts",
            15,
            [json!({"maxAgeSeconds": 31_536_000}), json!({"maxAgeSeconds": 60})],
            Shown::Answer("https://fields.example.com/", &["security: max-age=31536000", "security: max-age=60"]),
            [json!("security: max-age=31536000"), json!("security: max-age=60"), none.clone()],
        ),
        field(
            "edge.cache",
            16,
            [
                json!([{"path": "/static", "immutable": true}, {"path": "/", "noCache": true}]),
                json!([{"path": "/", "immutable": true}]),
            ],
            Shown::Answer(
                "https://fields.example.com/",
                &["cache-control: no-cache", "cache-control: public, max-age=31536000, immutable"],
            ),
            [json!(kept), json!(immutable), none],
        ),
    ]
}

fn vendors() -> Vec<Field> {
    let none = Value::Null;
    let hook = |path: &str, event: &str, env: &str| json!([{"path": path, "events": ["checkout.session.completed", event], "secretEnv": env, "rotateAfterDays": 180}]);
    let hooks =
        || [hook("/hook", "invoice.paid", "HOOK_SECRET"), hook("/paid", "invoice.payment_failed", "PAID_SECRET")];
    let events = |event: &str| json!(["checkout.session.completed", event]);
    let (path, kept) = ("payments.stripe.webhooks", json!("kept"));
    let every = |seconds: i32| json!(seconds);
    vec![
        field(
            "payments.stripe.account",
            17,
            [json!("stripe-live"), json!("stripe-test")],
            Shown::Endpoint("live", "/url"),
            [json!("https://fields.example.com/hook"), none.clone(), none.clone()],
        ),
        field(
            path,
            17,
            hooks(),
            Shown::Endpoint("test", "/url"),
            [none.clone(), json!("https://fields.example.com/paid"), none.clone()],
        ),
        field(
            path,
            17,
            hooks(),
            Shown::Endpoint("live", "/enabled_events"),
            [events("invoice.paid"), none.clone(), none.clone()],
        ),
        field(
            path,
            17,
            hooks(),
            Shown::Endpoint("test", "/enabled_events"),
            [none.clone(), events("invoice.payment_failed"), none.clone()],
        ),
        field(path, 17, hooks(), Shown::Env("HOOK_SECRET"), [kept.clone(), none.clone(), none.clone()]),
        field(path, 17, hooks(), Shown::Env("PAID_SECRET"), [none.clone(), kept.clone(), none.clone()]),
        field(
            "monitors.uptime.path",
            18,
            [json!("/health"), json!("/metrics")],
            Shown::Monitor("/url"),
            [json!("https://fields.example.com/health"), json!("https://fields.example.com/metrics"), none.clone()],
        ),
        field(
            "monitors.uptime.everySeconds",
            18,
            [every(60), every(300)],
            Shown::Monitor("/interval"),
            [every(60), every(300), none.clone()],
        ),
        field(
            "monitors.sentry.env",
            19,
            [json!("SENTRY_DSN"), json!("ERRORS_DSN")],
            Shown::Env("SENTRY_DSN"),
            [kept, none.clone(), none.clone()],
        ),
        field(
            "monitors.sentry.env",
            19,
            [json!("SENTRY_DSN"), json!("ERRORS_DSN")],
            Shown::Project("/slug"),
            [json!("fields"), json!("fields"), none.clone()],
        ),
        field(
            "monitors.metrics",
            20,
            [json!({"path": "/metrics", "dashboard": true}), json!({"path": "/metrics", "dashboard": false})],
            Shown::Object("configmap/fields-dashboard", "/metadata/name"),
            [json!("fields-dashboard"), none.clone(), none.clone()],
        ),
        field(
            "monitors.logs",
            21,
            [json!({"retainDays": 30}), json!({"retainDays": 60})],
            Shown::Says("MonitorsReady", &["log retention"]),
            [json!("log retention"), json!("log retention"), none],
        ),
    ]
}

fn proofs() -> Vec<Field> {
    let none = Value::Null;
    let accounts = || [json!([{"account": "s3-eu"}]), json!([{"account": "s3-us"}])];
    let at = |minute: &str| json!(format!("{minute} 2 * * *"));
    let smoke = [json!([{"name": "health", "get": "/health", "status": 200}]), json!([{"name": "root", "get": "/"}])];
    let does = |word: &str| json!({"command": ["/hello", "-h", word]});
    vec![
        field(
            "backup.schedule",
            10,
            [at("0"), at("30")],
            Shown::Object("cronjob/fields-backup", "/spec/schedule"),
            [at("0"), at("30"), none.clone()],
        ),
        field(
            "backup.keepDays",
            10,
            [json!(30), json!(7)],
            Shown::Task("cronjob/fields-backup", "/keep_days"),
            [json!(30), json!(7), none.clone()],
        ),
        field(
            "backup.to",
            10,
            accounts(),
            Shown::Object("secret/fields-account-s3-eu", "/metadata/name"),
            [json!("fields-account-s3-eu"), none.clone(), none.clone()],
        ),
        field(
            "backup.to",
            10,
            accounts(),
            Shown::Task("cronjob/fields-backup", "/targets/0/account"),
            [json!("s3-eu"), json!("s3-us"), none.clone()],
        ),
        field(
            "backup.drill.schedule",
            10,
            [at("10"), at("40")],
            Shown::Object("cronjob/fields-drill", "/spec/schedule"),
            [at("10"), at("40"), none.clone()],
        ),
        field("release.test", 22, [does("one"), does("two")], Shown::Jobs("test"), [json!(1), json!(1), json!(0)]),
        field(
            "release.migrate",
            22,
            [does("one"), does("two")],
            Shown::Jobs("migrate"),
            [json!(1), json!(1), json!(0)],
        ),
        field("release.smoke", 23, smoke, Shown::Jobs("smoke"), [json!(1), json!(1), json!(0)]),
    ]
}
