//! The vendors' tables that a pass needs: of the accounts that the spec uses, and of those where rows of ours may be left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;

use super::Observer;
use crate::api::{SaasDeployment, Stripe};
use crate::fault::Seen;
use crate::plan::Ask;
use crate::plan::claims::Vendor;
use crate::rows::{Endpoint, Monitor, Project, Record, Zone};
use crate::world::{HostedZone, Table, World};

/// What was listed within this time counts as now. Not zero: of many objects that ask at once one lists for all.
const NOW: Duration = Duration::from_secs(2);

impl Observer {
    /// For each host, the zone that holds it.
    pub(super) async fn zones(
        &self,
        saas: &SaasDeployment,
        world: &World,
    ) -> BTreeMap<String, Seen<Option<HostedZone>>> {
        let ask = Ask { saas, world };
        let mut accounts = remembered(world, "dns");
        accounts.extend(ask.dns_account().ok().map(|(name, _)| name.to_owned()));
        let listed = join_all(accounts.iter().map(|account| self.zones_of(account))).await;
        let tables: Vec<(String, Seen<Vec<Zone>>)> = accounts.into_iter().zip(listed).collect();
        let mut zones: BTreeMap<String, Seen<Option<HostedZone>>> = BTreeMap::new();
        for host in ask.hosts() {
            zones.insert(host.clone(), holder(&host, &tables));
        }
        zones.extend(left_zones(world, &tables));
        zones
    }

    async fn zones_of(&self, account: &str) -> Seen<Vec<Zone>> {
        Ok(self.vendors.zones(&self.accounts.access(account)?).await?.to_vec())
    }

    /// The records of every zone in use, listed anew where that began longer ago than `oldest`.
    pub(super) async fn records(&self, world: &World, oldest: Duration) -> BTreeMap<String, Seen<Table<Record>>> {
        let hosted: BTreeMap<&String, &HostedZone> =
            world.zones.values().flatten().flatten().map(|hosted| (&hosted.zone.name, hosted)).collect();
        let reads = hosted.values().map(|hosted| async {
            let access = self.accounts.access(&hosted.account)?;
            self.vendors.records(&access, &hosted.zone, oldest).await
        });
        let seen = join_all(reads).await;
        hosted.into_keys().cloned().zip(seen).collect()
    }

    /// Looks at the zones anew: a name is claimed only where nobody has made rows of it since the last listing.
    pub async fn look_at_names(&self, world: &mut World) {
        world.records = self.records(world, NOW).await;
    }

    /// The webhook endpoints of every account in use.
    pub(super) async fn endpoints(
        &self,
        saas: &SaasDeployment,
        world: &World,
    ) -> BTreeMap<String, Seen<Table<Endpoint>>> {
        let stripe = saas.spec.payments.as_ref().and_then(|payments| payments.stripe.as_ref());
        let trial = stripe.and_then(Stripe::trial).map(|account| Some(account.to_owned()));
        let named = stripe.map(|stripe| stripe.account.clone()).into_iter().chain(trial);
        let accounts = used(Ask { saas, world }, "payments", Vendor::Stripe, named);
        let reads = accounts.iter().map(|name| async { self.vendors.endpoints(&self.accounts.access(name)?).await });
        let seen = join_all(reads).await;
        accounts.into_iter().zip(seen).collect()
    }

    /// The uptime monitors of every account in use.
    pub(super) async fn monitors(
        &self,
        saas: &SaasDeployment,
        world: &World,
    ) -> BTreeMap<String, Seen<Table<Monitor>>> {
        let uptime = saas.spec.monitors.as_ref().and_then(|monitors| monitors.uptime.as_ref());
        let named = uptime.map(|uptime| uptime.account.clone());
        let accounts = used(Ask { saas, world }, "uptime", Vendor::UptimeRobot, named);
        let reads = accounts.iter().map(|name| async { self.vendors.monitors(&self.accounts.access(name)?).await });
        let seen = join_all(reads).await;
        accounts.into_iter().zip(seen).collect()
    }

    /// The Sentry projects of every account in use.
    pub(super) async fn projects(
        &self,
        saas: &SaasDeployment,
        world: &World,
    ) -> BTreeMap<String, Seen<Table<Project>>> {
        let sentry = saas.spec.monitors.as_ref().and_then(|monitors| monitors.sentry.as_ref());
        let named = sentry.map(|sentry| sentry.account.clone());
        let accounts = used(Ask { saas, world }, "sentry", Vendor::Sentry, named);
        let reads = accounts.iter().map(|name| async { self.vendors.projects(&self.accounts.access(name)?).await });
        let seen = join_all(reads).await;
        accounts.into_iter().zip(seen).collect()
    }
}

/// Zones where records of ours may stand, whatever the spec says now. An account that cannot be read leaves them open.
fn left_zones(world: &World, tables: &[(String, Seen<Vec<Zone>>)]) -> Vec<(String, Seen<Option<HostedZone>>)> {
    let ledger = world.vault.as_ref().map(|vault| vault.ledger.accounts.clone()).unwrap_or_default();
    let find = |account: &str, name: &str| {
        let zones = &tables.iter().find(|(a, _)| a == account)?.1;
        let hosted = |zone: &Zone| HostedZone { account: account.to_owned(), zone: zone.clone() };
        let found = zones.as_ref().map(|zones| zones.iter().find(|zone| zone.name == name).map(hosted));
        Some((format!("zone:{name}"), found.map_err(Clone::clone)))
    };
    ledger.iter().filter(|r| r.part == "dns").filter_map(|r| find(&r.account, r.zone.as_deref()?)).collect()
}

fn remembered(world: &World, part: &str) -> BTreeSet<String> {
    let accounts = world.vault.as_ref().map(|vault| vault.ledger.accounts.clone()).unwrap_or_default();
    accounts.into_iter().filter(|r| r.part == part).map(|r| r.account).collect()
}

/// The accounts to look at for a part: remembered ones, and those that the spec uses (`None`: the default).
fn used(ask: Ask<'_>, part: &str, vendor: Vendor, named: impl IntoIterator<Item = Option<String>>) -> BTreeSet<String> {
    let mut accounts = remembered(ask.world, part);
    let known = |named: Option<String>| Some(ask.account(vendor, named.as_deref()).ok()?.0.to_owned());
    accounts.extend(named.into_iter().filter_map(known));
    accounts
}

/// The zone with the longest name that holds a host. An account that cannot be read leaves the question open.
fn holder(host: &str, tables: &[(String, Seen<Vec<Zone>>)]) -> Seen<Option<HostedZone>> {
    let mut best: Option<HostedZone> = None;
    let mut failed = None;
    for (account, zones) in tables {
        match zones {
            Err(fault) => failed = Some(fault.clone()),
            Ok(zones) => {
                for zone in zones.iter().filter(|zone| is_within(host, &zone.name)) {
                    if best.as_ref().is_none_or(|b| b.zone.name.len() < zone.name.len()) {
                        best = Some(HostedZone { account: account.clone(), zone: zone.clone() });
                    }
                }
            }
        }
    }
    match (best, failed) {
        (None, Some(fault)) => Err(fault),
        (best, _) => Ok(best),
    }
}

fn is_within(host: &str, zone: &str) -> bool {
    host == zone || host.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'))
}
