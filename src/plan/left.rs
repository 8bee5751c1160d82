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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::fault::Fault;
    use crate::plan::tests::{saas, world};
    use crate::rows::{Endpoint, Mark, Monitor, Project, Record, RecordType, Zone};
    use crate::vault::{Issued, Note, Vault, Webhook};
    use crate::world::World;

    fn held<T>(id: &str, mark: Option<&Mark>, row: T) -> Held<T> {
        Held { id: Id(id.into()), mark: mark.cloned(), row }
    }

    fn remembered(part: &str, account: &str, zone: Option<&str>) -> Note {
        Note::Account(Remembered { part: part.into(), account: account.into(), zone: zone.map(str::to_owned) })
    }

    fn left(world: &World, part: Part) -> Vec<String> {
        let mut saas = saas(json!({"domains": ["a.example.org", "b.example.net"]}));
        saas.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.now));
        Ask { saas: &saas, world }.left(part)
    }

    /// A world with these entries in its ledger.
    fn noted(notes: Vec<Note>) -> World {
        let mut vault = Vault::default();
        for note in notes {
            vault.enter(note);
        }
        World { vault: Ok(vault), ..world(&[]) }
    }

    fn unseen<T>() -> Seen<Table<T>> {
        Err(Fault::Unreachable("down".into()))
    }

    #[test]
    fn records_are_named_one_by_one_where_their_zone_is_seen_and_by_their_hosts_where_not() {
        let (near, far) = (remembered("dns", "cf", Some("example.org")), remembered("dns", "cf", Some("example.com")));
        let mut world = noted(vec![near, far, remembered("payments", "cf", Some("example.net"))]);
        let hosts = "records of a.example.org in zone `example.org` of account `cf`";
        assert_eq!(left(&world, Part::Dns), ["records in zone `example.com` of account `cf`", hosts]);
        let zone = Zone { id: Id("z".into()), name: "example.org".into(), name_servers: Vec::new() };
        let hosted = Ok(Some(HostedZone { account: "cf".into(), zone }));
        world.zones.insert("a.example.org".into(), hosted.clone());
        world.zones.insert("zone:cf/example.org".into(), hosted);
        world.zones.insert("zone:cf/example.com".into(), Ok(None));
        assert_eq!(left(&world, Part::Dns), [hosts], "its table is not seen");
        let row = |content: &str| Record {
            name: "a.example.org".into(),
            kind: RecordType::A,
            content: content.into(),
            proxied: false,
            ttl: 1,
        };
        let table = vec![held("1", Some(&world.mark), row("192.0.2.1")), held("2", None, row("192.0.2.2"))];
        world.records.insert(Id("z".into()), Ok(table.into()));
        assert_eq!(left(&world, Part::Dns), ["A a.example.org (id 1) of account `cf`"]);
    }

    #[test]
    fn endpoints_are_named_by_what_is_seen_else_noted() {
        let issued = |id: &str| Some(Issued { id: Id(id.into()), at: Timestamp::UNIX_EPOCH });
        let webhook = |account: &str, current, previous| {
            let slot = Webhook { account: account.into(), current, previous, attempt: None };
            Note::Webhook(format!("OF_{}", account.to_uppercase()), Some(slot))
        };
        let notes = vec![
            remembered("payments", "stripe", None),
            webhook("stripe", issued("new"), issued("old")),
            webhook("other", issued("theirs"), None),
        ];
        let mut world = noted(notes);
        let told = ["new", "old"].map(|id| format!("webhook endpoint {id} of account `stripe`"));
        assert_eq!(left(&world, Part::Payments), told);
        world.endpoints.insert("empty".into(), unseen());
        assert_eq!(left(&world, Part::Payments)[0], "webhook endpoints of account `empty`");
        let row = Endpoint {
            slot: "HOOK".into(),
            url: "https://a.example.org/hook".into(),
            events: [].into(),
            api_version: None,
            enabled: true,
            attempt: String::new(),
        };
        let table = vec![held("we", Some(&world.mark), row.clone()), held("theirs", None, row)];
        world.endpoints = [("stripe".to_owned(), Ok(table.into()))].into();
        let seen = "webhook endpoint we (https://a.example.org/hook) of account `stripe`";
        assert_eq!(left(&world, Part::Payments), [seen]);
    }

    #[test]
    fn monitors_that_may_turn_up_later_and_projects_are_named_too() {
        let begun = Note::Begun("uptime/up".into(), Some(Timestamp::UNIX_EPOCH));
        let mut world = noted(vec![remembered("uptime", "up", None), remembered("sentry", "se", None), begun]);
        let by_name = ["monitor `n/app` of account `up`", "Sentry project `n-app` of account `se`"];
        assert_eq!(left(&world, Part::Monitors), by_name);
        world.monitors.insert("up".into(), Ok(Vec::new().into()));
        world.projects.insert("se".into(), Ok(Vec::new().into()));
        assert_eq!(left(&world, Part::Monitors), by_name[..1], "it is not listed yet");
        world.now = Timestamp::from_second(1_000_000).unwrap();
        assert_eq!(left(&world, Part::Monitors), [""; 0]);
        let row = Monitor { name: "n/app".into(), url: "https://a".into(), every_seconds: 60, alert_after_seconds: 60 };
        let project = Project { slug: "shop".into(), dsn: None };
        let table = vec![held("7", Some(&world.mark), row.clone()), held("8", None, row)];
        world.monitors.insert("up".into(), Ok(table.into()));
        world.projects.insert("se".into(), Ok(vec![held("1", Some(&world.mark), project)].into()));
        let listed = ["monitor `n/app` of https://a (id 7) of account `up`", "Sentry project `shop` of account `se`"];
        assert_eq!(left(&world, Part::Monitors), listed);
    }

    #[test]
    fn of_other_parts_nothing_is_left_and_nothing_is_told_of_it() {
        assert_eq!(left(&noted(Vec::new()), Part::App), [""; 0]);
        assert_eq!(with_rows("it goes", &[]), "it goes");
        assert_eq!(with_rows("it goes", &["a".into(), "b".into()]), "it goes; may still stand: a, b");
    }
}
