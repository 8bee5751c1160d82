//! What a SaasDeployment may use: vendor accounts that are granted to it, and hosts that nobody claimed before.

use super::Ask;
use crate::api::ProviderAccountSpec;
use crate::fault::Hold;
use crate::world::Account;

/// A kind of vendor account, by the block that its spec has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    Cloudflare,
    Acme,
    Stripe,
    UptimeRobot,
    Sentry,
    S3,
}

impl Vendor {
    /// The vendor's block in the spec.
    pub fn word(self) -> &'static str {
        match self {
            Vendor::Cloudflare => "cloudflare",
            Vendor::Acme => "acme",
            Vendor::Stripe => "stripe",
            Vendor::UptimeRobot => "uptimeRobot",
            Vendor::Sentry => "sentry",
            Vendor::S3 => "s3",
        }
    }

    /// Whether an account is one of this vendor's.
    pub fn is_of(self, spec: &ProviderAccountSpec) -> bool {
        match self {
            Vendor::Cloudflare => spec.cloudflare.is_some(),
            Vendor::Acme => spec.acme.is_some(),
            Vendor::Stripe => spec.stripe.is_some(),
            Vendor::UptimeRobot => spec.uptime_robot.is_some(),
            Vendor::Sentry => spec.sentry.is_some(),
            Vendor::S3 => spec.s3.is_some(),
        }
    }
}

impl Ask<'_> {
    /// The account that a part works with: the one named, else the vendor's default.
    ///
    /// # Errors
    /// There is none, it is another vendor's, or it is not granted to this namespace.
    pub fn account(&self, vendor: Vendor, named: Option<&str>) -> Result<(&str, &Account), Hold> {
        let (name, account) = match named {
            Some(name) => self.world.accounts.get_key_value(name).ok_or_else(|| unknown(vendor, name))?,
            None => self.default_account(vendor)?,
        };
        if !vendor.is_of(&account.object.spec) {
            return Err(Hold::event(
                "AccountMismatch",
                format!("ProviderAccount `{name}` is not of `{}`", vendor.word()),
            ));
        }
        match account.allowed {
            true => Ok((name, account)),
            false => Err(Hold::event(
                "AccountNotAllowed",
                format!(
                    "ProviderAccount `{name}` does not allow this namespace: its `allow.namespaces` must match the namespace's labels"
                ),
            )),
        }
    }

    fn default_account(&self, vendor: Vendor) -> Result<(&String, &Account), Hold> {
        let of_vendor = || self.world.accounts.iter().filter(|(_, account)| vendor.is_of(&account.object.spec));
        let mut defaults = of_vendor().filter(|(_, account)| account.object.spec.default.unwrap_or(false));
        match (defaults.next(), defaults.next()) {
            (Some(only), None) => Ok(only),
            (Some((one, _)), Some((two, _))) => Err(Hold::event(
                "AccountAmbiguous",
                format!(
                    "ProviderAccounts `{one}` and `{two}` are both the default for `{}`: name one in the spec",
                    vendor.word()
                ),
            )),
            (None, _) => Err(Hold::event(
                "AccountMissing",
                format!(
                    "no ProviderAccount is the default for `{}`: create one, or name one in the spec",
                    vendor.word()
                ),
            )),
        }
    }

    /// Whether a host may be used by this object with this account.
    ///
    /// # Errors
    /// An older SaasDeployment claims it, or the account's `allow.domains` does not name it.
    pub fn may_use(&self, host: &str, account: &str) -> Result<(), Hold> {
        self.is_free(host)?;
        let domains =
            self.world.accounts.get(account).and_then(|a| a.object.spec.allow.as_ref()).map(|allow| &allow.domains);
        match domains {
            Some(domains) if !domains.is_empty() && !domains.iter().any(|pattern| covers(pattern, host)) => {
                Err(Hold::event(
                    "DomainNotAllowed",
                    format!(
                        "`{host}` is not among `allow.domains` of ProviderAccount `{account}`: ask the platform team to add it"
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whether nobody else claimed a host before.
    pub fn is_free(&self, host: &str) -> Result<(), Hold> {
        match self.world.rivals.get(host) {
            Some(rival) => Err(Hold::event(
                "HostClaimed",
                format!("`{host}` is claimed by the older SaasDeployment {rival}: remove it from one of the two"),
            )),
            None => Ok(()),
        }
    }
}

fn unknown(vendor: Vendor, name: &str) -> Hold {
    Hold::event(
        "AccountMissing",
        format!("there is no ProviderAccount `{name}`: create it, or name another of `{}`", vendor.word()),
    )
}

/// Whether a pattern of `allow.domains` covers a host: itself, or with `*.` every name below.
pub fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => host.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => pattern == host,
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_wildcard_covers_every_name_below_and_not_the_name_itself() {
        assert!(covers("*.example.com", "a.example.com"));
        assert!(covers("*.example.com", "a.b.example.com"));
        assert!(!covers("*.example.com", "example.com"));
        assert!(!covers("*.example.com", ".example.com"));
        assert!(!covers("*.example.com", "badexample.com"));
        assert!(covers("example.com", "example.com") && !covers("example.com", "a.example.com"));
    }
}
