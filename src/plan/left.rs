//! What of ours may still stand at vendors, in words: a deletion that a vendor holds up names each row that is known.

use std::collections::BTreeMap;

use super::{Ask, Part};
use crate::fault::Seen;
use crate::rows::{Held, Id, is_within};
use crate::vault::Remembered;
use crate::world::{HostedZone, Table, left_at};

impl Ask<'_> {
    /// The rows of a part, as far as they are seen; else as far as the ledger and the spec tell of them.
    pub(super) fn left(self, part: Part) -> Vec<String> {
        match part {
            Part::Dns => self.left_records(),
            Part::Payments => self.left_endpoints(),
            Part::Monitors => [self.left_monitors(), self.left_projects()].concat(),
            _ => Vec::new(),
        }
    }

    /// Our rows of a table, in words; nothing where it cannot be seen.
    fn told<T>(self, table: Option<&Seen<Table<T>>>, words: impl Fn(&Held<T>) -> String) -> Option<Vec<String>> {
        let table = table?.as_ref().ok()?;
        Some(table.iter().filter(|held| held.is_of(&self.world.mark)).map(words).collect())
    }

    fn left_records(self) -> Vec<String> {
        let hosted = self.world.zones.values().flatten().flatten();
        let seen: BTreeMap<&Id, &HostedZone> = hosted.map(|hosted| (&hosted.zone.id, hosted)).collect();
        let is_unseen = |noted: &&Remembered| !matches!(self.world.zones.get(&left_at(noted)), Some(Ok(_)));
        let noted = self.ledger().into_iter().flat_map(|ledger| &ledger.accounts).filter(|noted| noted.part == "dns");
        let unseen = noted.filter(is_unseen).filter_map(|noted| Some((noted.zone.as_deref()?, noted.account.as_str())));
        let unseen: Vec<String> = unseen.map(|(zone, account)| self.records_of_hosts(zone, account)).collect();
        seen.into_values().flat_map(|hosted| self.records_in(hosted)).chain(unseen).collect()
    }

    fn records_in(self, HostedZone { account, zone }: &HostedZone) -> Vec<String> {
        let told = self.told(self.world.records.get(&zone.id), |held| {
            format!("{} {} (id {}) of account `{account}`", held.row.kind, held.row.name, held.id)
        });
        told.unwrap_or_else(|| vec![self.records_of_hosts(&zone.name, account)])
    }

    /// What may stand in a zone that cannot be seen: the spec may have named more hosts before.
    fn records_of_hosts(self, zone: &str, account: &str) -> String {
        let hosts: Vec<String> = self.hosts().into_iter().filter(|host| is_within(host, zone)).collect();
        let of_hosts = if hosts.is_empty() { String::new() } else { format!(" of {}", hosts.join(", ")) };
        format!("records{of_hosts} in zone `{zone}` of account `{account}`")
    }

    fn left_endpoints(self) -> Vec<String> {
        let left = |account: String| {
            let told = self.told(self.world.endpoints.get(&account), |held| {
                format!("webhook endpoint {} ({}) of account `{account}`", held.id, held.row.url)
            });
            told.unwrap_or_else(|| self.noted_endpoints(&account))
        };
        self.paying_accounts().into_iter().flat_map(left).collect()
    }

    fn noted_endpoints(self, account: &str) -> Vec<String> {
        let slots = self.ledger().into_iter().flat_map(|ledger| ledger.webhooks.values());
        let issued = slots.filter(|slot| slot.account == account).flat_map(|slot| [&slot.current, &slot.previous]);
        let noted = issued.flatten().map(|issued| format!("webhook endpoint {} of account `{account}`", issued.id));
        let noted: Vec<String> = noted.collect();
        if noted.is_empty() { vec![format!("webhook endpoints of account `{account}`")] } else { noted }
    }

    fn left_monitors(self) -> Vec<String> {
        let left = |account: String| {
            let told = self.told(self.world.monitors.get(&account), |held| {
                format!("monitor `{}` of {} (id {}) of account `{account}`", held.row.name, held.row.url, held.id)
            });
            let told = told.filter(|told| !told.is_empty() || !self.may_monitor_turn_up(&account));
            told.unwrap_or_else(|| vec![format!("monitor `{}` of account `{account}`", self.label())])
        };
        self.accounts_of("uptime", None).into_iter().flat_map(left).collect()
    }

    fn left_projects(self) -> Vec<String> {
        let words = |slug: &str, account: &str| format!("Sentry project `{slug}` of account `{account}`");
        let left = |account: String| {
            let told = self.told(self.world.projects.get(&account), |held| words(&held.row.slug, &account));
            told.unwrap_or_else(|| vec![words(&self.project_slug(), &account)])
        };
        self.accounts_of("sentry", None).into_iter().flat_map(left).collect()
    }
}

/// Why a part of a deletion goes on, with what it may leave behind.
pub fn with_rows(why: &str, rows: &[String]) -> String {
    match rows.is_empty() {
        true => why.to_owned(),
        false => format!("{why}; may still stand: {}", rows.join(", ")),
    }
}
