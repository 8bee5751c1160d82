//! DNS: every host leads to the route's address, and the proofs that a CA asks for stand beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::claims::Vendor;
use super::diff::{Difference, diff};
use super::{Action, Ask, Steps, Verdict};
use crate::api::Adopt;
use crate::fault::Hold;
use crate::rows::{Change, Held, Id, Record, RecordType, Zone};
use crate::vault::{Note, Remembered};
use crate::vendors::acme::proof_name;
use crate::world::{HostedZone, left_at};

/// The TTL that leaves the choice to the vendor.
const AUTOMATIC: u32 = 1;
/// The TTL of a challenge's record, the least that Cloudflare takes:
/// <https://developers.cloudflare.com/dns/manage-dns-records/reference/ttl/>.
const SHORT: u32 = 60;

/// Plans the records of all hosts.
pub fn plan(ask: Ask<'_>) -> Option<Verdict> {
    let left = ask.remembered_zones();
    if ask.hosts().is_empty() && left.is_empty() {
        return None;
    }
    Some(ask.records(left))
}

/// Removes all records when the object goes. The ledger may be gone before (a namespace loses its Secrets first), so
/// every zone that the spec or the ledger leads to is looked at, and one that cannot be seen is waited for, as is a ledger
/// that cannot be read.
pub fn farewell(ask: Ask<'_>) -> Option<Verdict> {
    let mut steps = Steps::default();
    let mut zones: BTreeMap<&Id, &HostedZone> = BTreeMap::new();
    for seen in ask.world.zones.values() {
        match seen {
            Ok(Some(hosted)) => drop(zones.insert(&hosted.zone.id, hosted)),
            Ok(None) => {}
            Err(fault) => steps.wait(fault.into()),
        }
    }
    zones.values().for_each(|hosted| ask.zone(hosted, &[], &mut steps));
    steps.or_wait(ask.world.vault());
    Some(Ok(steps))
}

impl Ask<'_> {
    fn records(self, left: Vec<(Remembered, HostedZone)>) -> Verdict {
        self.world.vault()?;
        let mut steps = Steps::default();
        let mut tables: BTreeMap<Id, (HostedZone, Vec<Record>)> = BTreeMap::new();
        for host in self.hosts() {
            let Some(hosted) = steps.or_wait(self.hosted(&host)).flatten() else { continue };
            let addresses = steps.or_wait(self.address_rows(&host));
            let rows = self.challenges(&host).into_iter().chain(addresses.into_iter().flatten());
            tables.entry(hosted.zone.id.clone()).or_insert((hosted, Vec::new())).1.extend(rows);
        }
        let complete = steps.waits.is_none();
        for (hosted, rows) in tables.values() {
            self.zone_if(complete, hosted, rows, &mut steps);
        }
        // What stands elsewhere goes once all that is wanted stands: the zone of another account may have the same name.
        let stands = steps.waits.is_none() && !steps.actions.iter().any(|act| matches!(act, Action::Records { .. }));
        for (remembered, hosted) in left {
            if hosted.account != remembered.account {
                self.forget_way(remembered, &hosted, &mut steps);
            } else if !tables.contains_key(&hosted.zone.id) {
                self.zone_if(stands, &hosted, &[], &mut steps);
            }
        }
        steps.upkeep = steps.actions.iter().all(|action| self.is_upkeep(action));
        steps.evidence = self.records_evidence(tables.values().map(|(_, rows)| rows.len()).sum());
        Ok(steps)
    }

    /// Forgets an account that leads to a zone to which another one leads, once that one is remembered.
    fn forget_way(self, remembered: Remembered, hosted: &HostedZone, steps: &mut Steps) {
        if self.remembers(&Remembered { account: hosted.account.clone(), ..remembered.clone() }) {
            steps.note(Note::Forget(remembered));
        }
    }

    /// Changes a zone. While not every wanted row is known, nothing is removed.
    fn zone_if(self, complete: bool, hosted: &HostedZone, rows: &[Record], steps: &mut Steps) {
        let before = steps.actions.len();
        self.zone(hosted, rows, steps);
        if complete {
            return;
        }
        for action in &mut steps.actions[before..] {
            if let Action::Records { changes, .. } = action {
                changes.retain(|change| !matches!(change, Change::Delete(_)));
            }
        }
        steps.actions.retain(|action| !matches!(action, Action::Records { changes, .. } if changes.is_empty()));
    }

    /// The zone that holds a host; `None` where none of our accounts does, which is said and not refused.
    fn hosted(self, host: &str) -> Result<Option<HostedZone>, Hold> {
        self.is_free(host)?;
        if self.saas.spec.dns.is_some() {
            self.dns_account()?;
        }
        let Some(seen) = self.world.zones.get(host) else { return Ok(None) };
        let Some(hosted) = seen.as_ref().map_err(Hold::from)? else { return self.foreign(host).map(|()| None) };
        self.may_write(host, hosted)?;
        Ok(Some(hosted.clone()))
    }

    /// Whether rows of a host may be made in a zone. Its account may be remembered from a time when it was granted.
    pub fn may_write(self, host: &str, hosted: &HostedZone) -> Result<(), Hold> {
        self.account(Vendor::Cloudflare, Some(&hosted.account))?;
        self.may_use(host, &hosted.account)
    }

    /// A host in nobody's zone: its owner has to point it here.
    fn foreign(self, host: &str) -> Result<(), Hold> {
        let named = self.saas.spec.dns.as_ref().and_then(|dns| dns.account.clone());
        if let Some(account) = named {
            return Err(Hold::event("ZoneMissing", format!("ProviderAccount `{account}` holds no zone for `{host}`")));
        }
        Ok(())
    }

    /// The rows that lead one host to the route's address.
    fn address_rows(self, host: &str) -> Result<Vec<Record>, Hold> {
        let dns = self.saas.spec.dns.clone().unwrap_or_default();
        let proxied = dns.proxied.unwrap_or(false);
        let ttl = dns.ttl_seconds.filter(|_| !proxied).and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or(AUTOMATIC);
        let row = |(kind, content)| Record { name: host.to_owned(), kind, content, proxied, ttl };
        Ok(led_to(&self.addresses()?).into_iter().map(row).collect())
    }

    /// The proofs of dns-01 that the CA waits for.
    fn challenges(self, host: &str) -> Vec<Record> {
        let proofs = self.proofs().into_iter().filter(|(name, _)| name == host);
        let row = |(_, content)| Record {
            name: proof_name(host),
            kind: RecordType::Txt,
            content,
            proxied: false,
            ttl: SHORT,
        };
        proofs.map(row).collect()
    }

    /// The changes of one zone, and the notes that remember or forget it.
    fn zone(self, hosted: &HostedZone, rows: &[Record], steps: &mut Steps) {
        let HostedZone { account, zone } = hosted;
        let remembered = Remembered { part: "dns".into(), account: account.clone(), zone: Some(zone.name.clone()) };
        let Some(table) = steps.or_wait(self.table(zone)) else { return };
        let adopt = self.saas.spec.dns.as_ref().map(|dns| dns.adopt).unwrap_or(Adopt::Never);
        let Difference { changes, taken } = diff(rows, table, &self.world.mark, adopt);
        taken.into_iter().for_each(|hold| steps.wait(hold));
        let known = self.remembers(&remembered);
        if !rows.is_empty() && !known {
            steps.note(Note::Account(remembered.clone()));
        }
        if rows.is_empty() && changes.is_empty() && known {
            steps.note(Note::Forget(remembered));
        }
        if !changes.is_empty() {
            steps.act(Action::Records { account: account.clone(), zone: zone.clone(), changes });
        }
    }

    fn table(&self, zone: &Zone) -> Result<&[Held<Record>], Hold> {
        match self.world.records.get(&zone.id) {
            Some(Ok(table)) => Ok(table.as_slice()),
            Some(Err(fault)) => Err(fault.into()),
            None => Err(Hold::event(
                "ZoneMissing",
                format!("zone `{}` was not found in any account that is granted here", zone.name),
            )),
        }
    }

    /// Zones in which rows of ours may stand, as they are remembered and as they are seen.
    fn remembered_zones(self) -> Vec<(Remembered, HostedZone)> {
        let Ok(vault) = &self.world.vault else { return Vec::new() };
        let seen = |remembered: &Remembered| match self.world.zones.get(&left_at(remembered)) {
            Some(Ok(Some(hosted))) => Some((remembered.clone(), hosted.clone())),
            _ => None,
        };
        vault.ledger.accounts.iter().filter(|remembered| remembered.part == "dns").filter_map(seen).collect()
    }

    fn remembers(self, remembered: &Remembered) -> bool {
        self.world.vault.as_ref().is_ok_and(|vault| vault.ledger.accounts.contains(remembered))
    }

    /// Whether every host's record stands.
    pub fn is_resolvable(self) -> Result<(), Hold> {
        for host in self.hosts() {
            let Some(hosted) = self.hosted(&host)? else { continue };
            let wanted = self.address_rows(&host)?;
            let table = self.table(&hosted.zone)?;
            let stands = |row: &Record| table.iter().any(|held| held.is_of(&self.world.mark) && held.row == *row);
            if !wanted.iter().all(stands) {
                return Err(Hold::event(
                    "RecordPending",
                    format!("the record of {host} is not there yet: see DnsReady"),
                ));
            }
        }
        Ok(())
    }

    fn records_evidence(self, count: usize) -> String {
        let foreign: Vec<String> =
            self.hosts().into_iter().filter(|h| matches!(self.world.zones.get(h), None | Some(Ok(None)))).collect();
        match (foreign.is_empty(), self.addresses()) {
            (true, _) => format!("{count} records stand as declared"),
            (false, Ok(addresses)) => format!(
                "{count} records stand as declared; no account holds a zone for {}: point it to {} where its zone is kept",
                foreign.join(", "),
                addresses.join(", ")
            ),
            (false, Err(_)) => format!("no account holds a zone for {}", foreign.join(", ")),
        }
    }

    /// The DNS account that is named, for the zones to be looked for.
    pub fn dns_account(&self) -> Result<(&str, &crate::world::Account), Hold> {
        self.account(Vendor::Cloudflare, self.saas.spec.dns.as_ref().and_then(|dns| dns.account.as_deref()))
    }
}

/// The records that lead to addresses, each once. A name stands alone at its host
/// (<https://www.rfc-editor.org/rfc/rfc1034#section-3.6.2>): numbers go before it, and of several the first is taken.
fn led_to(addresses: &[String]) -> Vec<(RecordType, String)> {
    let numbers: BTreeSet<IpAddr> = addresses.iter().filter_map(|address| address.parse().ok()).collect();
    let names = addresses.iter().filter(|address| address.parse::<IpAddr>().is_err());
    let name = names.map(|name| name.trim_end_matches('.').to_lowercase()).min();
    let kind = |ip: &IpAddr| if ip.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
    match numbers.is_empty() {
        true => name.into_iter().map(|name| (RecordType::Cname, name)).collect(),
        false => numbers.iter().map(|ip| (kind(ip), ip.to_string())).collect(),
    }
}

#[cfg(test)]
mod tests;
