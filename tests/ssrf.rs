//! Where a user's text could make somebody connect to: every host, path and address of the API, who connects there, and a
//! corpus of addresses that are smuggled. The operator's own process connects to nothing that a SaasDeployment names.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use golive::api::crds;
use golive::offline::judge;
use reqwest::Url;
use serde_json::{Value, json};

/// Who connects to what stands in a field.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Connects {
    /// A vendor's servers, from outside of the cluster.
    Vendor,
    /// Pods of the application's own namespace, or the kubelet to them.
    Tenant,
    /// Customers, through the gateway.
    Customers,
    /// The operator, by the platform team's word: ProviderAccounts are cluster-scoped.
    Platform,
    /// Nobody: a name, or a field that this version does not act on.
    Nobody,
}

use Connects::{Customers, Nobody, Platform, Tenant, Vendor};

/// Every field with the form of a host, a URL, a path of one or a mail address.
const FIELDS: &[(&str, Connects)] = &[
    ("ProviderAccount.acme.directory", Platform),
    ("ProviderAccount.acme.email", Nobody),
    ("ProviderAccount.allow.domains[]", Nobody),
    ("ProviderAccount.cloudflare.endpoint", Platform),
    ("ProviderAccount.postmark.endpoint", Nobody),
    ("ProviderAccount.razorpay.endpoint", Nobody),
    ("ProviderAccount.resend.endpoint", Nobody),
    ("ProviderAccount.s3.endpoint", Tenant),
    ("ProviderAccount.sentry.endpoint", Platform),
    ("ProviderAccount.ses.endpoint", Nobody),
    ("ProviderAccount.stripe.endpoint", Platform),
    ("ProviderAccount.uptimeRobot.endpoint", Platform),
    ("SaasDeployment.database.sqlite.file", Nobody),
    ("SaasDeployment.domains[]", Customers),
    ("SaasDeployment.edge.cache[].path", Customers),
    ("SaasDeployment.edge.cors.origins[]", Nobody),
    ("SaasDeployment.edge.rateLimit[].path", Nobody),
    ("SaasDeployment.health.path", Tenant),
    ("SaasDeployment.mail.dmarc.reportTo", Nobody),
    ("SaasDeployment.mail.fallback.postmark.domain", Nobody),
    ("SaasDeployment.mail.fallback.postmark.from", Nobody),
    ("SaasDeployment.mail.fallback.resend.domain", Nobody),
    ("SaasDeployment.mail.fallback.resend.from", Nobody),
    ("SaasDeployment.mail.fallback.ses.domain", Nobody),
    ("SaasDeployment.mail.fallback.ses.from", Nobody),
    ("SaasDeployment.mail.postmark.domain", Nobody),
    ("SaasDeployment.mail.postmark.from", Nobody),
    ("SaasDeployment.mail.resend.domain", Nobody),
    ("SaasDeployment.mail.resend.from", Nobody),
    ("SaasDeployment.mail.ses.domain", Nobody),
    ("SaasDeployment.mail.ses.from", Nobody),
    ("SaasDeployment.monitors.metrics.path", Tenant),
    ("SaasDeployment.monitors.uptime.path", Vendor),
    ("SaasDeployment.payments.razorpay.webhooks[].path", Nobody),
    ("SaasDeployment.payments.stripe.webhooks[].path", Vendor),
    ("SaasDeployment.processes[].routes[].path", Customers),
    ("SaasDeployment.redirectFrom[]", Customers),
    ("SaasDeployment.release.smoke[].get", Tenant),
    ("SaasDeployment.release.smoke[].post", Tenant),
    ("SaasDeployment.routes[].path", Customers),
    ("SaasDeployment.workers[].domain", Nobody),
    ("SaasDeployment.workers[].health.path", Nobody),
];

/// Words in a field's name that make one look twice, whatever its form.
const WORDS: [&str; 9] = ["url", "host", "domain", "endpoint", "origin", "directory", "server", "webhook", "redirect"];

/// Every text of a schema, by path.
fn texts(schema: &Value, path: String, found: &mut BTreeMap<String, Value>) {
    if schema["type"] == "string" {
        found.insert(path.clone(), schema.clone());
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        texts(inner, format!("{path}.{name}"), found);
    }
    schema.get("items").into_iter().for_each(|inner| texts(inner, format!("{path}[]"), found));
    schema.get("additionalProperties").into_iter().for_each(|inner| texts(inner, format!("{path}{{}}"), found));
}

fn all() -> &'static BTreeMap<String, Value> {
    static ALL: OnceLock<BTreeMap<String, Value>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut found = BTreeMap::new();
        for crd in crds() {
            let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_owned();
            texts(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], kind, &mut found);
        }
        found
    })
}

/// Whether a text can be an address: it takes what an address looks like, or is named like one. Words of a closed
/// choice, names of objects, env names and values of the application's own are none.
fn is_address(path: &str, schema: &Value) -> bool {
    if schema.get("enum").is_some() {
        return false;
    }
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    let takes = |text: &str| regex::Regex::new(pattern).unwrap().is_match(text);
    let name = path.rsplit('.').next().unwrap_or_default().to_lowercase();
    let rules = schema["x-kubernetes-validations"].to_string();
    let formed = !pattern.is_empty() && !takes("a b") && !takes("word") && takes_an_address(&takes);
    formed || rules.contains("https://") || WORDS.iter().any(|word| name.contains(word))
}

fn takes_an_address(takes: &impl Fn(&str) -> bool) -> bool {
    ["/path", "example.com", "https://example.com", "a@example.com"].iter().any(|text| takes(text))
}

#[test]
fn every_field_that_can_hold_an_address_says_who_connects_there() {
    let found: Vec<&str> =
        all().iter().filter(|(path, schema)| is_address(path, schema)).map(|(path, _)| path.as_str()).collect();
    let known: Vec<&str> = FIELDS.iter().map(|(path, _)| *path).collect();
    assert_eq!(found, known, "a new field: who connects to what stands in it?");
}

#[test]
fn nobody_connects_for_the_operator_to_what_an_application_names() {
    let own = FIELDS.iter().filter(|(_, who)| *who == Platform);
    assert!(own.clone().count() > 3);
    own.for_each(|(path, _)| assert!(path.starts_with("ProviderAccount."), "{path}"));
}

fn corpus(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).map(str::to_owned).collect()
}

fn saas(spec: Value) -> Value {
    let mut object = json!({"apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment", "metadata": {"name": "a"}});
    object["spec"] = spec;
    object["spec"]["image"] = json!("registry.example.com/a:1");
    object
}

fn schema_takes(path: &str, text: &str) -> bool {
    let schema = &all()[path];
    regex::Regex::new(schema["pattern"].as_str().unwrap()).unwrap().is_match(text)
}

#[test]
fn what_is_no_name_is_no_host() {
    let hosts = corpus(include_str!("ssrf/hosts.txt"));
    assert!(hosts.len() > 40);
    for field in ["SaasDeployment.domains[]", "SaasDeployment.redirectFrom[]", "SaasDeployment.workers[].domain"] {
        let taken: Vec<&String> = hosts.iter().filter(|host| schema_takes(field, host)).collect();
        assert!(taken.is_empty(), "{field} takes {taken:?}");
        for host in ["example.com", "a-b.example.com", "xn--bcher-kva.example", "1.example.com", "3m.com"] {
            assert!(schema_takes(field, host), "{field} refuses {host}");
        }
    }
    let judged = judge::faults(&saas(json!({"domains": ["169.254.169.254"]})), None);
    assert!(judged.iter().any(|fault| fault.starts_with("spec.domains[0] in body should match")), "{judged:?}");
}

#[test]
fn no_path_leads_away_from_the_host() {
    for path in corpus(include_str!("ssrf/paths.txt")) {
        let url = format!("https://app.example.com{path}");
        let parsed = Url::parse(&url).unwrap_or_else(|e| panic!("{url}: {e}"));
        assert_eq!((parsed.host_str(), parsed.username(), parsed.port()), (Some("app.example.com"), "", None), "{url}");
    }
    for field in FIELDS.iter().filter(|(path, _)| path.ends_with("path") || path.contains(".smoke")) {
        for text in ["", "path", "@169.254.169.254/", ":80/", "\\@169.254.169.254", ".example.com/", "http://a/"] {
            assert!(!schema_takes(field.0, text), "{} takes {text:?}", field.0);
        }
    }
}

#[test]
fn accounts_are_reached_over_tls_only() {
    let account = |endpoint: &str| {
        json!({
            "apiVersion": "golive.dev/v1alpha1", "kind": "ProviderAccount", "metadata": {"name": "a"},
            "spec": {"stripe": {"mode": "Test", "keySecret": {"name": "a", "key": "a"}, "endpoint": endpoint}},
        })
    };
    assert_eq!(judge::faults(&account("https://api.example.com"), None), Vec::<String>::new());
    for endpoint in ["http://169.254.169.254", "file:///etc/passwd", "gopher://127.0.0.1", "//a", ""] {
        let faults = judge::faults(&account(endpoint), None);
        assert!(faults.iter().any(|fault| fault.contains("must begin with `https://`")), "{endpoint}: {faults:?}");
    }
}
