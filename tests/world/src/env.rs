//! What a world tells its users: addresses and credentials, as environment variables.

use crate::credentials::{CLOUDFLARE_ACCOUNT, Credentials};
use crate::error::Result;
use crate::outside::BUCKETS;
use crate::place::{DEFAULT, World, existing_cluster, write};
use crate::reach::Reach;
use std::collections::BTreeMap;

impl World {
    /// The variables, by name. They hold credentials. A world that is not up has none.
    pub fn env(&self) -> Result<BTreeMap<&'static str, String>> {
        if existing_cluster().is_none() {
            self.net()?;
        }
        let credentials = self.credentials()?;
        let spares = [
            ("CLOUDFLARE_SPARE_TOKEN", credentials.spare_cloudflare()),
            ("UPTIMEROBOT_SPARE_KEY", credentials.spare_uptimerobot()),
            ("SENTRY_SPARE_TOKEN", credentials.spare_sentry()),
        ];
        let (vendors, places) = (secrets(credentials), places(&self.reach()));
        Ok(vendors.into_iter().chain(spares).chain(places).chain(apis(&self.reach().api)).chain(self.files()).collect())
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

fn apis(address: &str) -> [(&'static str, String); 8] {
    let at = |scheme: &str, port: u16, path: &str| format!("{scheme}://{address}:{port}{path}");
    [
        ("CLOUDFLARE_API", at("https", 8001, "/client/v4")),
        ("STRIPE_API", at("https", 8002, "")),
        ("UPTIMEROBOT_API", at("https", 8003, "/v3")),
        ("SENTRY_API", at("https", 8004, "")),
        ("VENDORS_CONTROL", at("http", 8099, "")),
        ("ACME_DIRECTORY", at("https", 14000, "/dir")),
        ("S3_ENDPOINT", at("https", 9000, "")),
        ("S3_BUCKET", BUCKETS[0].into()),
    ]
}

fn places(reach: &Reach) -> [(&'static str, String); 7] {
    [
        ("DNS_SERVER", format!("{}:{}", reach.dns.0, reach.dns.1)),
        ("EDGE_HOST", reach.edge.0.clone()),
        ("EDGE_HTTP_PORT", reach.edge.1.to_string()),
        ("EDGE_HTTPS_PORT", reach.edge.2.to_string()),
        ("GATEWAY_HOST", reach.gateway.0.clone()),
        ("GATEWAY_HTTP_PORT", reach.gateway.1.to_string()),
        ("GATEWAY_HTTPS_PORT", reach.gateway.2.to_string()),
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
