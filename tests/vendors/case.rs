//! What the laws have to know of each vendor.

use std::collections::BTreeSet;
use std::time::Duration;

use golive::rows::{Endpoint, Held, Id, Mark, Monitor, Project, Provider, Record, RecordType, Row, Zone};
use golive::vendors::snapshots::Snapshots;
use golive::vendors::transport::{Access, Transport};
use golive::vendors::{cloudflare, sentry, stripe, uptimerobot};
use serde_json::{Value, json};

use crate::place::{Place, ZONE, transport};

/// The object whose rows are made.
pub fn mark() -> Mark {
    Mark { cluster: "1a2b3c4d".into(), owner: "0123456789ab".into(), label: "shop/csvboard".into() }
}

/// A vendor's table, as the laws see it.
pub trait Case: Copy {
    type Row: Row;
    /// The server's name.
    const VENDOR: &'static str;
    /// The path of the list, which creates go to as well, but for Cloudflare's zone.
    fn path(self, bench: &Bench) -> String;
    /// The client.
    fn provider(self, bench: &Bench) -> impl Provider<Self::Row>;
    /// A row to make.
    fn row(self) -> Self::Row;
    /// What it is changed into.
    fn other(self) -> Self::Row;
    /// A row as it was asked for, without what the vendor adds.
    fn asked(self, row: Self::Row) -> Self::Row {
        row
    }
    /// Makes a row past golive.
    async fn stranger(self, place: &Place, bench: &Bench, number: usize);
    /// How many rows there are at the vendor.
    fn count(self, place: &Place) -> usize;
    /// One page of a list, with rows and what leads to the next page: `None` on the last one.
    fn page(self, rows: &[Value], next: Option<usize>, total: usize) -> Value;
    /// A row of such a page; odd ones have unknown types, states and fields.
    fn shown(self, number: usize, odd: bool) -> Value;
    /// Whether a create under the same key comes to the row that is there.
    fn creates_once(self) -> bool {
        true
    }
}

/// A client's surroundings: a new transport each, as after a restart.
pub struct Bench {
    pub transport: Transport,
    pub access: Access,
    pub zone: Zone,
    pub contacts: Snapshots<Vec<String>>,
}

impl Bench {
    /// For a vendor of the place.
    pub fn of<C: Case>(_: C, place: &Place) -> Bench {
        let zones = place.running.hub().with(|vendors| vendors.cloudflare.zones.clone());
        let zone = Zone { id: Id(zones[0].id.clone()), name: zones[0].name.clone(), name_servers: Vec::new() };
        let contacts = Snapshots::new(Duration::ZERO);
        Bench { transport: transport(), access: place.access(C::VENDOR), zone, contacts }
    }
}

/// The rows of our mark.
pub fn ours<T: Row>(rows: &[Held<T>]) -> Vec<Held<T>> {
    rows.iter().filter(|held| held.is_of(&mark())).cloned().collect()
}

fn length(place: &Place, pointer: &str) -> usize {
    let inventory = place.running.inventory(false);
    inventory.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer} in {inventory}")).len()
}

/// Cloudflare's DNS records.
#[derive(Clone, Copy)]
pub struct Records;

impl Case for Records {
    type Row = Record;
    const VENDOR: &'static str = "cloudflare";

    fn path(self, bench: &Bench) -> String {
        format!("/client/v4/zones/{}/dns_records", bench.zone.id)
    }

    fn provider(self, bench: &Bench) -> impl Provider<Record> {
        cloudflare::Records { transport: &bench.transport, access: &bench.access, zone: &bench.zone }
    }

    fn row(self) -> Record {
        Record {
            name: format!("app.{ZONE}"),
            kind: RecordType::A,
            content: "192.0.2.1".into(),
            proxied: false,
            ttl: 300,
        }
    }

    fn other(self) -> Record {
        Record { content: "192.0.2.2".into(), proxied: true, ttl: 1, ..self.row() }
    }

    async fn stranger(self, place: &Place, bench: &Bench, number: usize) {
        let row =
            json!({"type": "TXT", "name": format!("s{number}"), "content": "golive/x", "comment": "golive is not me"});
        place.raw(Self::VENDOR, "POST", &self.path(bench), &row).await;
    }

    fn count(self, place: &Place) -> usize {
        length(place, "/cloudflare/zones/example.com")
    }

    fn page(self, rows: &[Value], _: Option<usize>, total: usize) -> Value {
        json!({"body": {"success": true, "errors": [], "result": rows, "result_info": {"total_count": total}}})
    }

    fn shown(self, number: usize, odd: bool) -> Value {
        let kind = if odd { "OPENPGPKEY" } else { "A" };
        json!({"id": number.to_string(), "type": kind, "name": "a.example.com", "content": "192.0.2.1", "ttl": 1, "later": [{}],
               "comment": null, "proxied": null})
    }
}

/// Stripe's webhook endpoints.
#[derive(Clone, Copy)]
pub struct Endpoints;

impl Case for Endpoints {
    type Row = Endpoint;
    const VENDOR: &'static str = "stripe";

    fn path(self, _: &Bench) -> String {
        "/v1/webhook_endpoints".into()
    }

    fn provider(self, bench: &Bench) -> impl Provider<Endpoint> {
        stripe::Endpoints { transport: &bench.transport, access: &bench.access }
    }

    fn row(self) -> Endpoint {
        let events = ["invoice.paid", "customer.subscription.deleted"].map(str::to_owned);
        Endpoint {
            slot: "STRIPE_WEBHOOK_SECRET".into(),
            url: "https://app.example.com/stripe-webhook?a=1&b=ü".into(),
            events: BTreeSet::from(events),
            api_version: Some("2026-09-30.endive".into()),
            enabled: true,
            attempt: "key-1".into(),
        }
    }

    fn other(self) -> Endpoint {
        Endpoint { events: BTreeSet::from(["*".to_owned()]), enabled: false, ..self.row() }
    }

    async fn stranger(self, place: &Place, bench: &Bench, number: usize) {
        let form = format!("url=https://x.example/{number}&enabled_events[0]=*&metadata[golive_cluster]=1a2b3c4d");
        place.raw(Self::VENDOR, "POST", &self.path(bench), &json!(form)).await;
    }

    fn count(self, place: &Place) -> usize {
        length(place, "/stripe/test/webhookEndpoints")
    }

    fn page(self, rows: &[Value], next: Option<usize>, _: usize) -> Value {
        json!({"body": {"object": "list", "data": rows, "has_more": next.is_some()}})
    }

    fn shown(self, number: usize, odd: bool) -> Value {
        let events = if odd { json!(["never.heard_of"]) } else { json!(["*"]) };
        json!({"id": format!("we_{number}"), "object": "webhook_endpoint", "url": "https://x.example", "enabled_events": events,
               "status": if odd { "paused" } else { "enabled" }, "api_version": null, "metadata": {}, "later": {"a": 1}})
    }
}

/// UptimeRobot's monitors.
#[derive(Clone, Copy)]
pub struct Monitors;

impl Case for Monitors {
    type Row = Monitor;
    const VENDOR: &'static str = "uptimerobot";

    fn path(self, _: &Bench) -> String {
        "/v3/monitors".into()
    }

    fn provider(self, bench: &Bench) -> impl Provider<Monitor> {
        uptimerobot::Monitors { transport: &bench.transport, access: &bench.access, contacts: &bench.contacts }
    }

    fn row(self) -> Monitor {
        let url = "https://app.example.com/health?a=1&b='2'".into();
        Monitor { name: "Fish & \"Chips\" <shop>".into(), url, every_seconds: 60, alert_after_seconds: 120 }
    }

    fn other(self) -> Monitor {
        Monitor { every_seconds: 300, alert_after_seconds: 600, ..self.row() }
    }

    async fn stranger(self, place: &Place, bench: &Bench, number: usize) {
        let url = format!("https://x.example/{number}");
        let row = json!({"friendlyName": "golive", "url": url, "type": "HTTP", "interval": 300, "customFields": {"golive_owner": "x"}});
        place.raw(Self::VENDOR, "POST", &self.path(bench), &row).await;
    }

    fn count(self, place: &Place) -> usize {
        length(place, "/uptimerobot/monitors")
    }

    fn page(self, rows: &[Value], next: Option<usize>, _: usize) -> Value {
        let link = next.map(|next| format!("https://elsewhere.example/v3/monitors?cursor={next}&limit=50"));
        json!({"body": {"data": rows, "nextLink": link}})
    }

    fn shown(self, number: usize, odd: bool) -> Value {
        match odd {
            true => {
                json!({"id": number, "type": "QUANTUM", "status": "ENTANGLED", "url": null, "interval": null, "customFields": []})
            }
            false => {
                json!({"id": number, "type": "HTTP", "friendlyName": "x", "url": "https://x.example", "interval": 60})
            }
        }
    }

    /// There is no idempotency key: the caller looks before it creates.
    fn creates_once(self) -> bool {
        false
    }
}

/// Sentry's projects.
#[derive(Clone, Copy)]
pub struct Projects;

impl Case for Projects {
    type Row = Project;
    const VENDOR: &'static str = "sentry";

    fn path(self, _: &Bench) -> String {
        "/api/0/teams/acme/platform/projects/".into()
    }

    fn provider(self, bench: &Bench) -> impl Provider<Project> {
        sentry::Projects { transport: &bench.transport, access: &bench.access }
    }

    fn row(self) -> Project {
        Project { slug: "shop-csvboard".into(), dsn: None }
    }

    fn other(self) -> Project {
        self.row()
    }

    fn asked(self, row: Project) -> Project {
        Project { dsn: None, ..row }
    }

    async fn stranger(self, place: &Place, bench: &Bench, number: usize) {
        let row = json!({"name": format!("Stranger {number}"), "slug": format!("stranger-{number}")});
        place.raw(Self::VENDOR, "POST", &self.path(bench), &row).await;
    }

    fn count(self, place: &Place) -> usize {
        length(place, "/sentry/projects")
    }

    /// Only projects that exist can be paged through, since each is asked for its keys.
    fn page(self, rows: &[Value], next: Option<usize>, _: usize) -> Value {
        let (results, cursor) = (next.is_some(), next.unwrap_or_default());
        let link =
            format!("<https://elsewhere.example>; rel=\"next\"; results=\"{results}\"; cursor=\"100:{cursor}:0\"");
        json!({"body": rows, "headers": {"link": link}})
    }

    fn shown(self, number: usize, odd: bool) -> Value {
        match odd {
            true => json!({"slug": format!("stranger-{number}"), "platform": "abacus", "status": "asleep", "later": 1}),
            false => json!({"slug": format!("stranger-{number}"), "name": "x", "id": number.to_string()}),
        }
    }
}
