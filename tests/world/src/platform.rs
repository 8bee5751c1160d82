//! What a platform team does once: the operator by its chart, the accounts, and the Secrets they name.

use crate::command::checked;
use crate::error::Result;
use crate::image;
use crate::place::{World, root};
use crate::step::step;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

/// The operator's namespace.
pub const NAMESPACE: &str = "golive-system";
/// The label of namespaces that may use the accounts.
pub const TENANT: (&str, &str) = ("golive.dev/tenant", "yes");
/// Pods that break the strictest standard are refused:
/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/>.
pub const RESTRICTED: (&str, &str) = ("pod-security.kubernetes.io/enforce", "restricted");

type Env = BTreeMap<&'static str, String>;

impl World {
    /// Installs the operator and makes every account that this world has a vendor for. Safe to repeat.
    pub fn set_up_platform(&self) -> Result<()> {
        let env = self.env()?;
        let image = image::build_named(&["golive".into()])?;
        image.iter().try_for_each(|archive| self.import_image(archive))?;
        let roots = Roots::read(self)?;
        self.drop_certificates_of_other_roots(&roots)?;
        step("credentials of accounts", || self.apply(&list(&secrets(&env, &roots))).map(drop))?;
        step("the operator, by its chart", || self.install_chart(&roots))?;
        step("accounts", || self.apply(&list(&accounts(&env))).map(drop))
    }

    /// A CA that was started anew has a new root, and what it signed before is trusted by nobody: golive keeps
    /// certificates even beyond an application, so they are removed here, and issued again.
    fn drop_certificates_of_other_roots(&self, roots: &Roots) -> Result<()> {
        let known = [
            "-n",
            NAMESPACE,
            "get",
            "configmap",
            "roots",
            "--ignore-not-found",
            "--output",
            r"jsonpath={.data.ca\.crt}",
        ];
        let known = self.kubectl(&known)?;
        if known.trim().is_empty() || known.trim() == roots.all.trim() {
            return Ok(());
        }
        let of_golive =
            ["--selector", "app.kubernetes.io/managed-by=golive", "--field-selector", "type=kubernetes.io/tls"];
        let delete = [["delete", "secrets", "--all-namespaces"].as_slice(), &of_golive].concat();
        step("certificates of a CA that is gone, removed", || self.kubectl(&delete).map(drop))
    }

    /// Installs or upgrades the chart and waits until its pods are ready.
    fn install_chart(&self, roots: &Roots) -> Result<()> {
        let mut helm = Command::new(self.program("helm")?);
        helm.env("KUBECONFIG", self.kubeconfig()).current_dir(root());
        helm.args(["upgrade", "--install", "golive", "charts/golive", "--namespace", NAMESPACE, "--values", "-"]);
        helm.args(["--wait", "--timeout", "180s", "--force-conflicts"]);
        checked(&mut helm, Some(&self.values(roots).to_string()))?;
        self.kubectl(&["-n", NAMESPACE, "rollout", "status", "deployment/golive", "--timeout=120s"]).map(drop)
    }

    /// The tag stays the same when the image is built anew, and so does the name of a ConfigMap: annotations tell.
    fn values(&self, roots: &Roots) -> Value {
        let built = fs::read_to_string(image::folder().join("golive-dev.key")).unwrap_or_default();
        json!({
            "image": {"repository": "golive", "tag": "dev"},
            "config": {"gateway": {"class": "traefik"}},
            "trust": {"configMap": "roots"},
            "podAnnotations": {"golive.dev/image": built.trim(), "golive.dev/roots": digest(&roots.all)},
        })
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The authorities of a world, in PEM.
struct Roots {
    vendors: String,
    all: String,
}

impl Roots {
    fn read(world: &World) -> Result<Self> {
        let read = |path| fs::read_to_string(path).map_err(|e| crate::Error::new(format!("no authorities: {e}")));
        Ok(Roots { vendors: read(world.vendor_ca())?, all: read(world.every_ca())? })
    }
}

/// Manifests as one document.
pub fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// A namespace with labels.
pub fn namespace(name: &str, labels: &[(&str, &str)]) -> Value {
    let labels: BTreeMap<_, _> = labels.iter().copied().collect();
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// A Secret of texts.
pub fn secret(namespace: &str, name: &str, values: &[(&str, &str)]) -> Value {
    let values: BTreeMap<_, _> = values.iter().copied().collect();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": values})
}

fn config_map(name: &str, roots: &str) -> Value {
    let metadata = json!({"name": name, "namespace": NAMESPACE});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.crt": roots}})
}

fn secrets(env: &Env, roots: &Roots) -> Vec<Value> {
    let s3 = [
        ("AWS_ACCESS_KEY_ID", of(env, "AWS_ACCESS_KEY_ID")),
        ("AWS_SECRET_ACCESS_KEY", of(env, "AWS_SECRET_ACCESS_KEY")),
    ];
    let stripe = [("secret-key", of(env, "STRIPE_KEY")), ("test-secret-key", of(env, "STRIPE_TEST_KEY"))];
    let own = |name: &str, values: &[(&str, &str)]| secret(NAMESPACE, name, values);
    vec![
        namespace(NAMESPACE, &[RESTRICTED]),
        own("cloudflare", &[("token", of(env, "CLOUDFLARE_TOKEN"))]),
        own("stripe", &stripe),
        own("uptimerobot", &[("api-key", of(env, "UPTIMEROBOT_KEY"))]),
        own("sentry", &[("token", of(env, "SENTRY_TOKEN"))]),
        own("s3-eu", &s3),
        own("s3-us", &s3),
        own("backup-encryption", &[("password", of(env, "RESTIC_PASSWORD"))]),
        config_map("vendors-ca", &roots.vendors),
        config_map("roots", &roots.all),
    ]
}

fn of<'a>(env: &'a Env, name: &str) -> &'a str {
    env.get(name).map(String::as_str).unwrap_or_default()
}

fn account(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "golive.dev/v1alpha1", "kind": "ProviderAccount", "metadata": {"name": name}, "spec": spec})
}

/// One account at each vendor; what differs from a real one is where it is reached, and whom to trust.
fn accounts(env: &Env) -> Vec<Value> {
    let ca = json!({"configMap": "vendors-ca", "key": "ca.crt"});
    let at = |api: &str, mut block: Value| {
        block["endpoint"] = json!(of(env, api));
        block["caBundle"] = ca.clone();
        block
    };
    let key = |name: &str, key: &str| json!({"name": name, "key": key});
    let stripe = |mode: &str, k: &str| at("STRIPE_API", json!({"mode": mode, "keySecret": key("stripe", k)}));
    let cloudflare = json!({"accountId": of(env, "CLOUDFLARE_ACCOUNT"), "tokenSecret": key("cloudflare", "token")});
    let sentry = json!({"organization": "acme", "team": "platform", "tokenSecret": key("sentry", "token")});
    let bucket = |name: &str| at("S3_ENDPOINT", bucket(name));
    vec![
        account(
            "cloudflare",
            json!({"default": true, "allow": allowed(), "cloudflare": at("CLOUDFLARE_API", cloudflare)}),
        ),
        account("letsencrypt", json!({"default": true, "acme": authority(env, &ca)})),
        account("stripe-live", json!({"default": true, "stripe": stripe("Live", "secret-key")})),
        account("stripe-test", json!({"stripe": stripe("Test", "test-secret-key")})),
        account(
            "uptimerobot",
            json!({"default": true, "uptimeRobot": at("UPTIMEROBOT_API", json!({"keySecret": key("uptimerobot", "api-key")}))}),
        ),
        account("sentry", json!({"default": true, "sentry": at("SENTRY_API", sentry)})),
        account("s3-eu", json!({"default": true, "s3": bucket("eu")})),
        account("s3-us", json!({"s3": bucket("us")})),
    ]
}

fn allowed() -> Value {
    let zones = ["example.com", "duespark.example", "pospal.example"];
    let domains: Vec<String> = zones.iter().flat_map(|zone| [(*zone).to_owned(), format!("*.{zone}")]).collect();
    json!({"namespaces": {"matchLabels": {TENANT.0: TENANT.1}}, "domains": domains})
}

fn authority(env: &Env, ca: &Value) -> Value {
    json!({
        "directory": of(env, "ACME_DIRECTORY"),
        "email": "ops@example.com",
        "termsOfServiceAgreed": true,
        "caBundle": ca,
        "profile": "classic",
    })
}

fn bucket(place: &str) -> Value {
    json!({
        "region": "us-east-1",
        "bucket": format!("acme-backups-{place}"),
        "credentialsSecret": {"name": format!("s3-{place}")},
        "encryptionSecret": {"name": "backup-encryption", "key": "password"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_account_names_a_secret_that_is_made() {
        let env = Env::new();
        let roots = Roots { vendors: String::new(), all: String::new() };
        let made: Vec<Value> = secrets(&env, &roots).iter().map(|object| object["metadata"]["name"].clone()).collect();
        for account in accounts(&env) {
            let spec = account["spec"].as_object().unwrap().values().filter_map(Value::as_object).flatten();
            for (field, reference) in spec.filter(|(field, _)| field.ends_with("Secret")) {
                assert!(made.contains(&reference["name"]), "{field} of {}", account["metadata"]["name"]);
            }
        }
    }

    #[test]
    fn only_accounts_of_one_vendor_each_are_defaults() {
        let accounts = accounts(&Env::new());
        let default = |account: &&Value| account["spec"]["default"] == true;
        let vendor = |account: &Value| {
            account["spec"].as_object().unwrap().keys().find(|k| !["default", "allow"].contains(&k.as_str())).cloned()
        };
        let mut vendors: Vec<_> = accounts.iter().filter(default).map(vendor).collect();
        let all = vendors.len();
        vendors.sort();
        vendors.dedup();
        assert_eq!((vendors.len(), all), (6, 6));
    }
}
