//! Vendor accounts: the ProviderAccounts of the platform team with the Secrets of the operator's own namespace.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};
use kube::runtime::reflector::{ObjectRef, Store};
use secrecy::SecretString;

use crate::api::{CaBundle, ExternalAccountBinding, ProviderAccount, S3Account, SecretKey, StripeMode};
use crate::fault::{Fault, Seen};
use crate::vendors::acme::{AcmeAccess, ExternalBinding};
use crate::vendors::{Access, stripe};
use crate::world::Account;

/// The accounts, as the watches last saw them.
#[derive(Clone)]
pub struct Accounts {
    /// The operator's own namespace.
    pub namespace: String,
    /// All ProviderAccounts.
    pub accounts: Store<ProviderAccount>,
    /// The Secrets of the operator's namespace.
    pub secrets: Store<Secret>,
    /// The ConfigMaps of the operator's namespace.
    pub config_maps: Store<ConfigMap>,
}

impl Accounts {
    /// The account of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &str) -> Seen<Arc<ProviderAccount>> {
        let missing = || Fault::Rejected(format!("there is no ProviderAccount `{name}`"));
        self.accounts.get(&ObjectRef::new(name)).ok_or_else(missing)
    }

    /// All accounts, with whether a namespace with these labels may use each.
    pub fn seen_by(&self, labels: &BTreeMap<String, String>) -> BTreeMap<String, Account> {
        let see = |object: Arc<ProviderAccount>| {
            let credentials = self.pod_credentials(&object);
            (object.name_any(), Account { allowed: is_allowed(&object, labels), object, credentials })
        };
        self.accounts.state().into_iter().map(see).collect()
    }

    /// What pods of this account's parts need: for S3 its keys and password.
    fn pod_credentials(&self, account: &ProviderAccount) -> Seen<BTreeMap<String, SecretString>> {
        match &account.spec.s3 {
            Some(s3) => self.s3_credentials(s3),
            None => Ok(BTreeMap::new()),
        }
    }

    fn s3_credentials(&self, s3: &S3Account) -> Seen<BTreeMap<String, SecretString>> {
        let key = |key: &str| SecretKey { name: s3.credentials_secret.name.clone(), key: key.into() };
        let mut values = BTreeMap::new();
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            values.insert(name.to_owned(), self.secret(&key(name))?);
        }
        values.insert("password".into(), self.secret(&s3.encryption_secret)?);
        if let Some(roots) = self.roots(s3.ca_bundle.as_ref())? {
            values.insert("ca.crt".into(), roots.into());
        }
        Ok(values)
    }

    /// How to reach the vendor of an account over HTTP.
    ///
    /// # Errors
    /// The account, its Secret or its CA bundle is missing, or the key is of another mode than is declared.
    pub fn access(&self, name: &str) -> Seen<Access> {
        let account = self.find(name)?;
        let spec = &account.spec;
        if let Some(c) = &spec.cloudflare {
            let roots = self.roots(c.ca_bundle.as_ref())?;
            let access = Access::cloudflare(name, c.endpoint.as_deref(), self.secret(&c.token_secret)?, roots);
            return Ok(access.of_account(&c.account_id));
        }
        if let Some(c) = &spec.stripe {
            let roots = self.roots(c.ca_bundle.as_ref())?;
            let access = Access::stripe(name, c.endpoint.as_deref(), self.secret(&c.key_secret)?, roots);
            return stripe::check_mode(&access, c.mode == StripeMode::Live).map(|()| access);
        }
        if let Some(c) = &spec.uptime_robot {
            let roots = self.roots(c.ca_bundle.as_ref())?;
            return Ok(Access::uptime_robot(name, c.endpoint.as_deref(), self.secret(&c.key_secret)?, roots));
        }
        if let Some(c) = &spec.sentry {
            let roots = self.roots(c.ca_bundle.as_ref())?;
            let access = Access::sentry(name, c.endpoint.as_deref(), self.secret(&c.token_secret)?, roots);
            return Ok(access.of_team(&c.organization, &c.team));
        }
        Err(Fault::Rejected(format!("ProviderAccount `{name}` has no block of a vendor that is called over HTTP")))
    }

    /// Whether everything is there that this account's use needs; the vendor is not asked.
    ///
    /// # Errors
    /// What is missing, or that this version does not work with the vendor.
    pub fn usable(&self, account: &ProviderAccount) -> Seen<()> {
        let (name, spec) = (account.name_any(), &account.spec);
        if let Some(s3) = &spec.s3 {
            return self.s3_credentials(s3).map(|_| ());
        }
        if spec.acme.is_some() {
            return self.acme(&name).map(|_| ());
        }
        let unbuilt = [spec.postmark.is_some(), spec.resend.is_some(), spec.ses.is_some(), spec.razorpay.is_some()];
        match unbuilt.contains(&true) {
            true => {
                Err(Fault::Rejected(format!("this version of golive does not work with the vendor of `{name}` yet")))
            }
            false => self.access(&name).map(|_| ()),
        }
    }

    /// How to reach an ACME CA.
    ///
    /// # Errors
    /// The account is missing or another vendor's, or its terms of service are not agreed to.
    pub fn acme(&self, name: &str) -> Seen<AcmeAccess> {
        let account = self.find(name)?;
        let not = |why: &str| Fault::Rejected(format!("ProviderAccount `{name}` {why}"));
        let acme = account.spec.acme.as_ref().ok_or_else(|| not("is not of `acme`"))?;
        if !acme.terms_of_service_agreed {
            return Err(not("does not agree to the CA's terms: set `acme.termsOfServiceAgreed`"));
        }
        Ok(AcmeAccess {
            account: name.to_owned(),
            directory: acme.directory.clone(),
            email: Some(acme.email.clone()),
            roots: self.roots(acme.ca_bundle.as_ref())?,
            eab: acme.external_account_binding.as_ref().map(|binding| self.binding(binding)).transpose()?,
            profile: acme.profile.clone(),
        })
    }

    fn binding(&self, binding: &ExternalAccountBinding) -> Seen<ExternalBinding> {
        Ok(ExternalBinding { id: binding.key_id.clone(), key: self.secret(&binding.hmac_secret)? })
    }

    /// A key of a Secret in the operator's namespace.
    fn secret(&self, from: &SecretKey) -> Seen<SecretString> {
        let found = self.secrets.get(&ObjectRef::new(&from.name).within(&self.namespace));
        let missing = |what: &str| {
            Fault::Denied(format!(
                "Secret `{}` in namespace {} {what}: the platform team has to create it",
                from.name, self.namespace
            ))
        };
        let found = found.ok_or_else(|| missing("does not exist"))?;
        let value = found.data.as_ref().and_then(|data| data.get(&from.key));
        let value = value.ok_or_else(|| missing(&format!("has no key `{}`", from.key)))?;
        let text =
            str::from_utf8(&value.0).map_err(|_| missing(&format!("has a key `{}` that is no text", from.key)))?;
        match text.trim() {
            "" => Err(missing(&format!("has an empty key `{}`", from.key))),
            trimmed => Ok(trimmed.to_owned().into()),
        }
    }

    /// The roots that a bundle names, in PEM.
    fn roots(&self, bundle: Option<&CaBundle>) -> Seen<Option<String>> {
        let Some(bundle) = bundle else { return Ok(None) };
        let found = self.config_maps.get(&ObjectRef::new(&bundle.config_map).within(&self.namespace));
        let value = found.and_then(|map| map.data.as_ref()?.get(&bundle.key).cloned());
        let missing = || {
            Fault::Denied(format!(
                "ConfigMap `{}` in namespace {} has no key `{}`",
                bundle.config_map, self.namespace, bundle.key
            ))
        };
        value.map(Some).ok_or_else(missing)
    }
}

/// Whether an account is granted to a namespace: an account without `allow.namespaces` is granted to all.
fn is_allowed(account: &ProviderAccount, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = account.spec.allow.as_ref().and_then(|allow| allow.namespaces.clone()) else { return true };
    Selector::try_from(selector).is_ok_and(|selector| selector.matches(labels))
}
