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
    /// Another SaasDeployment has it, or the account's `allow.domains` does not name it.
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

    /// The hosts that are this object's.
    pub fn own_hosts(&self) -> Vec<String> {
        self.hosts().into_iter().filter(|host| self.is_free(host).is_ok()).collect()
    }

    /// Whether nobody else has a host.
    ///
    /// # Errors
    /// Another SaasDeployment had it first.
    pub fn is_free(&self, host: &str) -> Result<(), Hold> {
        match self.world.rivals.get(host) {
            Some(rival) => Err(Hold::event(
                "HostClaimed",
                format!(
                    "`{host}` is claimed by SaasDeployment {rival}, which had it first: remove it from one of the two"
                ),
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
    use serde_json::{Value, json};

    use super::*;
    use crate::api::SaasDeployment;
    use crate::plan::tests::world;
    use crate::world::World;

    fn stripe(default: bool) -> Value {
        json!({"default": default, "stripe": {"mode": "Live", "keySecret": {"name": "s", "key": "k"}}})
    }

    /// The account that a part gets, or the reason why it gets none, with what is to be done.
    fn given(world: &World, named: Option<&str>) -> Result<String, (&'static str, String)> {
        let saas = SaasDeployment::new("shop", Default::default());
        let ask = Ask { saas: &saas, world };
        ask.account(Vendor::Stripe, named).map(|(name, _)| name.to_owned()).map_err(|hold| (hold.reason, hold.message))
    }

    #[test]
    fn a_part_gets_the_account_that_is_named_else_the_only_default() {
        let two = world(&[("a", stripe(false)), ("b", stripe(true))]);
        assert_eq!((given(&two, None), given(&two, Some("a"))), (Ok("b".into()), Ok("a".into())));
    }

    #[test]
    fn who_gets_no_account_learns_why() {
        let acme = json!({"default": true, "acme": {"directory": "https://ca.example.com/dir", "email": "a@example.com", "termsOfServiceAgreed": true}});
        let none = world(&[("a", stripe(false)), ("ca", acme)]);
        let both = world(&[("a", stripe(true)), ("b", stripe(true))]);
        for (world, named, reason, words) in [
            (&none, None, "AccountMissing", "no ProviderAccount is the default for `stripe`"),
            (&none, Some("z"), "AccountMissing", "there is no ProviderAccount `z`"),
            (&none, Some("ca"), "AccountMismatch", "`ca` is not of `stripe`"),
            (&both, None, "AccountAmbiguous", "`a` and `b` are both the default"),
        ] {
            let (why, message) = given(world, named).unwrap_err();
            assert!(why == reason && message.contains(words), "{why}: {message}");
        }
    }

    #[test]
    fn an_account_that_is_not_granted_is_not_given_by_name_or_by_default() {
        let mut other = world(&[("a", stripe(true))]);
        other.accounts.values_mut().for_each(|account| account.allowed = false);
        for named in [None, Some("a")] {
            let (why, message) = given(&other, named).unwrap_err();
            assert!(why == "AccountNotAllowed" && message.contains("`allow.namespaces`"), "{why}: {message}");
        }
    }

    #[test]
    fn a_host_is_used_where_the_account_covers_it_and_nobody_else_has_it() {
        let mut granted = stripe(true);
        granted["allow"] = json!({"domains": ["*.example.com"]});
        let mut world = world(&[("some", granted), ("any", stripe(false))]);
        world.rivals.insert("taken.example.com".into(), "other/app".into());
        let saas = SaasDeployment::new("shop", Default::default());
        let ask = Ask { saas: &saas, world: &world };
        let reason = |host, account| ask.may_use(host, account).err().map(|hold| hold.reason);
        assert_eq!(reason("a.example.com", "some"), None);
        assert_eq!(reason("a.example.net", "some"), Some("DomainNotAllowed"));
        assert_eq!(reason("a.example.net", "any"), None, "who names no domains allows all");
        assert_eq!(reason("taken.example.com", "some"), Some("HostClaimed"));
    }

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
