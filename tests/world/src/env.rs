//! What a world tells its users: addresses and credentials, as environment variables.

use crate::credentials::{CLOUDFLARE_ACCOUNT, Credentials};
use crate::error::Result;
use crate::outside::{BUCKETS, Outside};
use crate::place::{DEFAULT, World, write};
use std::collections::BTreeMap;

impl World {
    /// The variables, by name. They hold credentials.
    pub fn env(&self) -> Result<BTreeMap<&'static str, String>> {
        let (credentials, outside) = (self.credentials()?, self.outside());
        Ok(addresses(&outside)
            .into_iter()
            .chain(secrets(credentials))
            .chain(self.files())
            .chain(self.gateway())
            .collect())
    }

    fn files(&self) -> [(&'static str, String); 6] {
        [
            ("KUBECONFIG", self.kubeconfig()),
            ("CA_BUNDLE", self.vendor_ca()),
            ("CA_ALL", self.every_ca()),
            ("ACME_ROOT", self.acme_root()),
            ("AUDIT_LOG", self.audit_log()),
            ("WORLD_BIN", self.bin.clone()),
        ]
        .map(|(name, path)| (name, path.display().to_string()))
    }

    /// Beside the user's own cluster only they know where its gateway is.
    fn gateway(&self) -> [(&'static str, String); 3] {
        let chosen = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
        let [host, http, https] = match self.network {
            Some(network) => [network.node(), "80".into(), "443".into()],
            None => [
                chosen("GATEWAY_HOST", &self.outside().api),
                chosen("GATEWAY_HTTP_PORT", "80"),
                chosen("GATEWAY_HTTPS_PORT", "443"),
            ],
        };
        [("GATEWAY_HOST", host), ("GATEWAY_HTTP_PORT", http), ("GATEWAY_HTTPS_PORT", https)]
    }

    /// The variables as lines of a shell.
    pub fn env_lines(&self) -> Result<String> {
        let lines = self.env()?.into_iter().map(|(name, value)| format!("export {name}={}\n", quoted(&value)));
        Ok(lines.collect())
    }

    /// Writes the variables where a shell can read them; those of the default world are also beside all worlds.
    pub(crate) fn write_env(&self) -> Result<()> {
        let text = self.env_lines()?;
        write(&self.dir.join("env"), &text)?;
        if self.name == DEFAULT { write(&self.dir.with_file_name("env"), &text) } else { Ok(()) }
    }
}

fn addresses(outside: &Outside) -> Vec<(&'static str, String)> {
    let at = |scheme: &str, port: u16, path: &str| format!("{scheme}://{}:{port}{path}", outside.api);
    vec![
        ("CLOUDFLARE_API", at("https", 8001, "/client/v4")),
        ("STRIPE_API", at("https", 8002, "")),
        ("UPTIMEROBOT_API", at("https", 8003, "/v3")),
        ("SENTRY_API", at("https", 8004, "")),
        ("VENDORS_CONTROL", at("http", 8099, "")),
        ("ACME_DIRECTORY", at("https", 14000, "/dir")),
        ("S3_ENDPOINT", at("https", 9000, "")),
        ("S3_BUCKET", BUCKETS[0].into()),
        ("DNS_SERVER", format!("{}:53", outside.dns)),
        ("EDGE_HOST", outside.edge.clone()),
    ]
}

fn secrets(credentials: Credentials) -> [(&'static str, String); 9] {
    [
        ("STRIPE_KEY", credentials.stripe_live),
        ("STRIPE_TEST_KEY", credentials.stripe_test),
        ("CLOUDFLARE_TOKEN", credentials.cloudflare),
        ("CLOUDFLARE_ACCOUNT", CLOUDFLARE_ACCOUNT.into()),
        ("UPTIMEROBOT_KEY", credentials.uptimerobot),
        ("SENTRY_TOKEN", credentials.sentry),
        ("AWS_ACCESS_KEY_ID", credentials.s3_access),
        ("AWS_SECRET_ACCESS_KEY", credentials.s3_secret),
        ("RESTIC_PASSWORD", credentials.restic),
    ]
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}
