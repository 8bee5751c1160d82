//! The vendors' tables that a pass needs: of the accounts that the spec uses, and of those where rows of ours may be left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;

use super::Observer;
use crate::api::{SaasDeployment, Stripe};
use crate::fault::Seen;
use crate::plan::Ask;
use crate::plan::claims::Vendor;
use crate::rows::{Endpoint, Id, Monitor, Project, Record, Zone, is_within};
use crate::vault::Remembered;
use crate::world::{HostedZone, Table, World, left_at};

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
        let own = ask.dns_account().ok().map(|(name, _)| name.to_owned());
        let mut accounts = remembered(world, "dns");
        accounts.extend(own.clone());
        let tables = join_all(accounts.into_iter().map(|account| self.zones_of(account, own.as_deref()))).await;
        held(ask, tables)
    }

    async fn zones_of(&self, account: String, own: Option<&str>) -> Listed {
        let list = async { Ok(self.vendors.zones(&self.accounts.access(&account)?).await?.to_vec()) };
        Listed { zones: list.await, is_own: own == Some(account.as_str()), account }
    }

    /// The records of every zone in use, listed anew where that began longer ago than `oldest`.
    pub(super) async fn records(&self, world: &World, oldest: Duration) -> BTreeMap<Id, Seen<Table<Record>>> {
        let hosted: BTreeMap<&Id, &HostedZone> =
            world.zones.values().flatten().flatten().map(|hosted| (&hosted.zone.id, hosted)).collect();
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

/// The zones of an account, as it lists them.
struct Listed {
    account: String,
    /// Whether it is the one that the spec names, or the default.
    is_own: bool,
    zones: Seen<Vec<Zone>>,
}

impl Listed {
    fn hosted(&self, zone: &Zone) -> HostedZone {
        HostedZone { account: self.account.clone(), zone: zone.clone() }
    }
}

/// For each host, the zone that holds it; and the zones where records may be left. Of an account that is no more rows
/// cannot be removed, which is for the end of the object to tell: it holds no host.
fn held(ask: Ask<'_>, mut tables: Vec<Listed>) -> BTreeMap<String, Seen<Option<HostedZone>>> {
    tables.sort_by_key(|listed| !listed.is_own);
    let there: Vec<&Listed> = tables.iter().filter(|l| ask.world.accounts.contains_key(&l.account)).collect();
    let mut zones: BTreeMap<_, _> = ask.hosts().into_iter().map(|host| (host.clone(), holder(&host, &there))).collect();
    let in_use = zones.values().flatten().flatten().map(|hosted| (hosted.zone.id.clone(), hosted.clone()));
    let mut known: BTreeMap<Id, HostedZone> = in_use.collect();
    for (key, seen) in left_zones(ask.world, &tables) {
        // Two accounts may lead to one zone: it is read and written by way of one of them.
        let one = |hosted: HostedZone| known.entry(hosted.zone.id.clone()).or_insert(hosted).clone();
        zones.insert(key, seen.map(|hosted| hosted.map(one)));
    }
    zones
}

/// Zones where records of ours may stand, whatever the spec says now. An account that cannot be read leaves them open.
fn left_zones(world: &World, tables: &[Listed]) -> Vec<(String, Seen<Option<HostedZone>>)> {
    let ledger = world.vault.as_ref().map(|vault| vault.ledger.accounts.clone()).unwrap_or_default();
    let find = |remembered: &Remembered| {
        let name = remembered.zone.as_deref()?;
        let listed = tables.iter().find(|listed| listed.account == remembered.account)?;
        let found = listed.zones.as_ref().map(|zones| zones.iter().find(|zone| zone.name == name));
        let hosted = found.map(|zone| zone.map(|zone| listed.hosted(zone)));
        Some((left_at(remembered), hosted.map_err(Clone::clone)))
    };
    ledger.iter().filter(|r| r.part == "dns").filter_map(find).collect()
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

/// The zone with the longest name that holds a host; of several of that name, the first. An account that cannot be read
/// leaves the question open: the own one always, another where no zone is found.
fn holder(host: &str, tables: &[&Listed]) -> Seen<Option<HostedZone>> {
    let mut best: Option<HostedZone> = None;
    let mut failed = None;
    for listed in tables {
        match &listed.zones {
            Err(fault) if listed.is_own => return Err(fault.clone()),
            Err(fault) => failed = Some(fault.clone()),
            Ok(zones) => {
                for zone in zones.iter().filter(|zone| is_within(host, &zone.name)) {
                    if best.as_ref().is_none_or(|b| b.zone.name.len() < zone.name.len()) {
                        best = Some(listed.hosted(zone));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fault::Fault;
    use crate::plan::tests::{saas, world};

    const HOST: &str = "app.example.org";

    fn zone(id: &str, name: &str) -> Zone {
        Zone { id: Id(id.into()), name: name.into(), name_servers: Vec::new() }
    }

    fn listed(account: &str, is_own: bool, zones: Seen<Vec<Zone>>) -> Listed {
        Listed { account: account.into(), is_own, zones }
    }

    fn down() -> Fault {
        Fault::Unreachable("down".into())
    }

    /// A world with these accounts, which remembers rows in the zone `example.org` of each.
    fn remembering(accounts: &[&str], remembered: &[&str]) -> World {
        let spec = json!({"cloudflare": {"accountId": "a", "tokenSecret": {"name": "s", "key": "k"}}});
        let accounts: Vec<_> = accounts.iter().map(|name| (*name, spec.clone())).collect();
        let mut world = world(&accounts);
        let note = |account: &&str| Remembered {
            part: "dns".into(),
            account: (*account).into(),
            zone: Some("example.org".into()),
        };
        world.vault.as_mut().unwrap().ledger.accounts = remembered.iter().map(note).collect();
        world
    }

    /// Who holds the host, and at which accounts rows may be left.
    fn told(world: &World, tables: Vec<Listed>) -> (Seen<Option<String>>, Vec<String>) {
        let saas = saas(json!({"domains": [HOST]}));
        let mut zones = held(Ask { saas: &saas, world }, tables);
        let holder = zones.remove(HOST).unwrap().map(|hosted| hosted.map(|hosted| hosted.account));
        (holder, zones.into_values().flatten().flatten().map(|hosted| hosted.account).collect())
    }

    #[test]
    fn of_accounts_that_list_a_zone_the_spec_s_own_holds_it_and_what_is_left_at_the_other_is_seen() {
        let world = remembering(&["a", "b"], &["a"]);
        let tables = || {
            vec![
                listed("a", false, Ok(vec![zone("1", "example.org")])),
                listed("b", true, Ok(vec![zone("2", "example.org")])),
            ]
        };
        assert_eq!(told(&world, tables()), (Ok(Some("b".into())), vec!["a".into()]));
        let longer = || listed("a", false, Ok(vec![zone("1", HOST)]));
        let [_, own] = tables().try_into().ok().unwrap();
        assert_eq!(told(&world, vec![longer(), own]).0, Ok(Some("a".into())), "where the name is delegated to");
    }

    #[test]
    fn a_zone_to_which_two_accounts_lead_is_one() {
        let world = remembering(&["a", "b"], &["a", "b"]);
        let tables = ["a", "b"].map(|account| listed(account, account == "b", Ok(vec![zone("1", "example.org")])));
        assert_eq!(told(&world, tables.into()), (Ok(Some("b".into())), vec!["b".into(), "b".into()]));
    }

    #[test]
    fn an_account_that_cannot_be_read_leaves_open_what_it_may_hold() {
        let world = remembering(&["a", "b"], &["a"]);
        let whole = |account, is_own| listed(account, is_own, Ok(vec![zone("1", "example.org")]));
        assert_eq!(told(&world, vec![whole("a", false), listed("b", true, Err(down()))]).0, Err(down()));
        assert_eq!(told(&world, vec![listed("a", false, Err(down())), whole("b", true)]).0, Ok(Some("b".into())));
        let empty = listed("b", true, Ok(Vec::new()));
        assert_eq!(told(&world, vec![listed("a", false, Err(down())), empty]).0, Err(down()));
    }

    #[test]
    fn an_account_that_is_no_more_holds_no_host_and_is_told_when_the_object_goes() {
        let world = remembering(&["b"], &["a"]);
        let gone = || Fault::Rejected("there is no ProviderAccount `a`".into());
        let saas = saas(json!({"domains": [HOST]}));
        let tables = vec![listed("a", false, Err(gone())), listed("b", true, Ok(Vec::new()))];
        let zones = held(Ask { saas: &saas, world: &world }, tables);
        assert_eq!(zones[HOST], Ok(None));
        assert_eq!(zones.values().filter(|seen| **seen == Err(gone())).count(), 1);
    }
}
