//! What a plan without a cluster takes for granted, and says so: accounts, zones, the user's Secrets, the gateway's address.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::Accounts;
use crate::api::{Environment, ProviderAccount, SaasDeployment, Stripe};
use crate::certificate::Certificate;
use crate::config::{Config, Gateway};
use crate::kinds::Kind;
use crate::observe::mark;
use crate::plan::Ask;
use crate::plan::claims::Vendor;
use crate::rows::{Id, Zone};
use crate::world::{Account, HostedZone, World};

/// The address of the gateway: one for documentation (<https://www.rfc-editor.org/rfc/rfc5737>).
pub const ADDRESS: &str = "192.0.2.1";
/// How long a certificate is assumed to be valid.
const LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Stands for a value that is not known here; it is never printed.
const VALUE: &str = "a value of 32 characters or more, not known offline";

/// Gives an object what the API server would.
pub fn identify(saas: &mut SaasDeployment) {
    saas.metadata.namespace.get_or_insert_with(|| "default".into());
    saas.metadata.uid = Some("00000000-0000-0000-0000-000000000000".into());
    saas.metadata.generation = Some(1);
}

/// The world before the first pass, and what was assumed for it, in words.
pub fn world(saas: &SaasDeployment, accounts: &Accounts) -> (World, Vec<String>) {
    let gateway = Gateway { class: "gateway-class".into(), shared: None, namespace: None };
    let config = Config { gateway: Some(gateway), ..Config::default() };
    let mut world = World::new(Timestamp::UNIX_EPOCH, [0; 32], Arc::new(config), mark("00000000", saas));
    world.served = BTreeSet::from(Kind::ALL);
    world.accounts = accounts.iter().map(|(name, account)| (name.clone(), granted(account.clone()))).collect();
    let mut told = assume_accounts(saas, &mut world);
    told.extend(assume_zones(saas, &mut world));
    told.extend(assume_sources(saas, &mut world));
    told.extend(assume_certificate(saas, &mut world));
    let ask = Ask { saas, world: &world };
    world.copies = ask.copy_names().into_iter().map(|name| (name, Ok(None))).collect();
    if !saas.spec.domains.is_empty() {
        told.push(format!("a Gateway that gets the address {ADDRESS} (an example)"));
    }
    (world, told)
}

/// An account that this namespace may use, with credentials for its pods where it has any.
fn granted(object: Arc<ProviderAccount>) -> Account {
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "password"];
    let values = keys.into_iter().filter(|_| object.spec.s3.is_some()).map(value_of).collect();
    Account { object, allowed: true, credentials: Ok(values) }
}

fn value_of(key: &str) -> (String, SecretString) {
    (key.to_owned(), VALUE.to_owned().into())
}

/// The accounts that a spec uses: the vendor, and the name where it says one.
fn used(saas: &SaasDeployment) -> Vec<(Vendor, Option<String>)> {
    let spec = &saas.spec;
    let mut used = Vec::new();
    if !spec.domains.is_empty() {
        used.push((Vendor::Cloudflare, spec.dns.as_ref().and_then(|dns| dns.account.clone())));
    }
    if !spec.domains.is_empty() && spec.tls.as_ref().is_none_or(|tls| tls.secret_name.is_none()) {
        used.push((Vendor::Acme, spec.tls.as_ref().and_then(|tls| tls.account.clone())));
    }
    let stripe = spec.payments.as_ref().and_then(|payments| payments.stripe.as_ref());
    used.extend(stripe.map(|stripe| (Vendor::Stripe, stripe.account.clone())));
    used.extend(stripe.and_then(Stripe::trial).map(|account| (Vendor::Stripe, Some(account.to_owned()))));
    let monitors = spec.monitors.clone().unwrap_or_default();
    used.extend(monitors.uptime.map(|uptime| (Vendor::UptimeRobot, uptime.account)));
    used.extend(monitors.sentry.map(|sentry| (Vendor::Sentry, sentry.account)));
    let targets = spec.backup.iter().flat_map(|backup| &backup.to);
    used.extend(targets.map(|to| (Vendor::S3, Some(to.account.clone()))));
    used
}

/// Adds the accounts that the spec uses and the file does not have.
fn assume_accounts(saas: &SaasDeployment, world: &mut World) -> Vec<String> {
    let mut told = Vec::new();
    for (vendor, named) in used(saas) {
        let has_default = world
            .accounts
            .values()
            .any(|account| vendor.is_of(&account.object.spec) && account.object.spec.default == Some(true));
        let known = named.as_ref().map_or(has_default, |name| world.accounts.contains_key(name));
        let name = named.clone().unwrap_or_else(|| vendor.word().to_lowercase());
        if let (false, Some(account)) = (known, account(saas, vendor, named.as_deref())) {
            let default = if named.is_none() { ", the default" } else { "" };
            told.push(format!("ProviderAccount {name} (`{}`{default})", vendor.word()));
            world.accounts.insert(name.clone(), granted(Arc::new(account)));
        }
    }
    fill_tables(saas, world);
    told
}

/// Nothing stands at a vendor yet.
fn fill_tables(saas: &SaasDeployment, world: &mut World) {
    let ask = Ask { saas, world };
    let of = |vendor| used(saas).into_iter().filter(move |(of, _)| *of == vendor);
    let names = |vendor| -> Vec<String> {
        of(vendor).filter_map(|(vendor, name)| Some(ask.account(vendor, name.as_deref()).ok()?.0.to_owned())).collect()
    };
    let (stripe, uptime, sentry) = (names(Vendor::Stripe), names(Vendor::UptimeRobot), names(Vendor::Sentry));
    world.endpoints = stripe.into_iter().map(|name| (name, Ok(Arc::default()))).collect();
    world.monitors = uptime.into_iter().map(|name| (name, Ok(Arc::default()))).collect();
    world.projects = sentry.into_iter().map(|name| (name, Ok(Arc::default()))).collect();
}

fn account(saas: &SaasDeployment, vendor: Vendor, named: Option<&str>) -> Option<ProviderAccount> {
    let key = json!({"name": "assumed", "key": "assumed"});
    let stripe = saas.spec.payments.as_ref().and_then(|payments| payments.stripe.as_ref());
    let on_trial = named.is_some() && named == stripe.and_then(Stripe::trial);
    let mode = if saas.spec.environment == Environment::Production && !on_trial { "Live" } else { "Test" };
    let block = match vendor {
        Vendor::Cloudflare => json!({"accountId": "0".repeat(32), "tokenSecret": key}),
        Vendor::Acme => {
            json!({"directory": "https://acme.invalid/directory", "email": "a@example.com", "termsOfServiceAgreed": true})
        }
        Vendor::Stripe => json!({"mode": mode, "keySecret": key}),
        Vendor::UptimeRobot => json!({"keySecret": key}),
        Vendor::Sentry => json!({"organization": "assumed", "team": "assumed", "tokenSecret": key}),
        Vendor::S3 => json!({
            "endpoint": "https://s3.invalid", "bucket": "assumed",
            "credentialsSecret": {"name": "assumed"}, "encryptionSecret": key,
        }),
    };
    let spec = BTreeMap::from([("default", Value::Bool(named.is_none())), (vendor.word(), block)]);
    Some(ProviderAccount::new("assumed", serde_json::from_value(json!(spec)).ok()?))
}

/// Every host is in a zone of the DNS account.
fn assume_zones(saas: &SaasDeployment, world: &mut World) -> Vec<String> {
    let ask = Ask { saas, world };
    let Ok(account) = ask.dns_account().map(|(name, _)| name.to_owned()) else { return Vec::new() };
    let hosts = ask.hosts();
    let names: BTreeSet<String> = hosts.iter().map(|host| zone_of(host)).collect();
    for host in hosts {
        let name = zone_of(&host);
        let zone = Zone { id: Id(name.clone()), name, name_servers: Vec::new() };
        world.zones.insert(host, Ok(Some(HostedZone { account: account.clone(), zone })));
    }
    world.records = names.iter().map(|name| (Id(name.clone()), Ok(Arc::default()))).collect();
    names.into_iter().map(|name| format!("zone {name} in ProviderAccount {account}")).collect()
}

/// The zone that most likely holds a host: the name that one registers. Without the list of public suffixes a short
/// second level below a country (`co.uk`) is taken for one.
fn zone_of(host: &str) -> String {
    let labels: Vec<&str> = host.split('.').collect();
    let public = match labels.as_slice() {
        [.., second, top] if second.len() <= 3 && top.len() == 2 => 2,
        _ => 1,
    };
    labels[labels.len().saturating_sub(public + 1)..].join(".")
}

/// The Secrets and ConfigMaps that the spec names are there, and have between them every key that is required of them.
fn assume_sources(saas: &SaasDeployment, world: &mut World) -> Vec<String> {
    let ask = Ask { saas, world };
    let required = saas.spec.secrets.as_ref().map(|secrets| secrets.require.clone()).unwrap_or_default();
    let given: BTreeSet<String> = saas
        .spec
        .env
        .keys()
        .cloned()
        .chain(ask.computed_env(Some(ask.saas.spec.port)).into_iter().map(|(env, _)| env))
        .chain(ask.kept_env())
        .collect();
    let mut open: Vec<String> = required.into_iter().filter(|env| !given.contains(env)).collect();
    let mut told = Vec::new();
    for source in ask.sources() {
        let keys = std::mem::take(&mut open);
        told.push(match keys.is_empty() {
            true => source.to_string(),
            false => format!("{source} with {}", keys.join(", ")),
        });
        world.sources.insert(source, Ok(Some(keys.iter().map(|key| value_of(key)).collect())));
    }
    told
}

/// A certificate that the user brings is there.
fn assume_certificate(saas: &SaasDeployment, world: &mut World) -> Vec<String> {
    let Some(name) = saas.spec.tls.as_ref().and_then(|tls| tls.secret_name.clone()) else { return Vec::new() };
    let hosts = Ask { saas, world }.hosts();
    world.certificate = Ok(Some(certificate(hosts.iter().cloned().collect(), world.now)));
    vec![format!("Secret `{name}` with a certificate for {}", hosts.join(", "))]
}

/// A certificate for these names, fresh at this time.
pub fn certificate(names: BTreeSet<String>, now: Timestamp) -> Certificate {
    let not_after = now.checked_add(LIFETIME).unwrap_or(Timestamp::MAX);
    Certificate {
        names,
        not_before: now,
        not_after,
        issuer: "CN=assumed".into(),
        serial: "01".into(),
        key_id: "assumed".into(),
    }
}
