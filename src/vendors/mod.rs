//! The vendors: one file each, behind one transport; and the snapshots of their tables that all passes share.

pub mod acme;
pub mod cloudflare;
pub mod commits;
pub mod rows;
pub mod sentry;
pub mod snapshots;
pub mod stripe;
pub mod transport;
pub mod uptimerobot;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;

pub use transport::Access;
use transport::{Reply, Transport};

use self::cloudflare::{Entry, Records};
use self::commits::{Batch, Commits};
use self::rows::Rows;
use self::sentry::Projects;
use self::snapshots::Snapshots;
use self::stripe::Endpoints;
use self::uptimerobot::Monitors;
use crate::fault::{Fault, Seen};
use crate::outside::Outside;
use crate::rows::{Change, Created, Draft, Endpoint, Held, Id, Mark, Monitor, Project, Provider, Record, Zone};
use crate::world::Table;

/// How long changes of records wait for those of other applications. Name servers take longer than that to follow.
const LINGER: Duration = Duration::from_millis(200);

/// All vendors. A table is listed once for all passes, again after its time or after a write of ours.
pub struct Vendors {
    transport: Transport,
    zones: Snapshots<Vec<Zone>>,
    records: Snapshots<Vec<Held<Record>>>,
    commits: Commits<Entry>,
    endpoints: Rows<Endpoint>,
    monitors: Rows<Monitor>,
    projects: Rows<Project>,
    contacts: Snapshots<Vec<String>>,
}

/// The calls for a table of which an account has one: list, create, update, delete.
macro_rules! table {
    ($row:ty, $provider:expr, $store:ident, $list:ident, $create:ident, $update:ident, $delete:ident) => {
        impl Vendors {
            #[doc = concat!("The rows of an account's table of ", stringify!($row), "s.")]
            ///
            /// # Errors
            /// The table cannot be listed whole.
            pub async fn $list(&self, access: &Access) -> Seen<Table<$row>> {
                self.$store.read(&access.table(), &$provider(self, access)).await
            }

            #[doc = concat!("Creates a ", stringify!($row), ".")]
            ///
            /// # Errors
            /// It was refused, or its outcome is not known.
            pub async fn $create(&self, access: &Access, draft: Draft<'_, $row>) -> Seen<Created> {
                self.$store.create(&access.table(), &$provider(self, access), draft).await
            }

            #[doc = concat!("Changes a ", stringify!($row), ".")]
            ///
            /// # Errors
            /// It was refused, or its outcome is not known.
            pub async fn $update(&self, access: &Access, id: &Id, draft: Draft<'_, $row>) -> Seen<()> {
                self.$store.update(&access.table(), &$provider(self, access), (id, draft)).await
            }

            #[doc = concat!("Removes a ", stringify!($row), "; one that is gone is fine.")]
            ///
            /// # Errors
            /// It was refused, or its outcome is not known.
            pub async fn $delete(&self, access: &Access, id: &Id) -> Seen<()> {
                self.$store.delete(&access.table(), &$provider(self, access), id).await
            }
        }
    };
}

table!(Endpoint, Vendors::stripe, endpoints, endpoints, create_endpoint, update_endpoint, delete_endpoint);
table!(Monitor, Vendors::uptime_robot, monitors, monitors, create_monitor, update_monitor, delete_monitor);
table!(Project, Vendors::sentry, projects, projects, create_project, update_project, delete_project);

impl Vendors {
    /// All vendors; a listing counts as fresh for `fresh`.
    pub fn new(registry: &mut Registry, fresh: Duration, outside: Arc<dyn Outside>) -> Self {
        Vendors {
            transport: Transport::new(registry, outside),
            zones: Snapshots::new(fresh),
            records: Snapshots::new(fresh),
            commits: Commits::of(cloudflare::BATCH, LINGER),
            endpoints: Rows::new(fresh, Duration::ZERO),
            monitors: Rows::new(fresh, uptimerobot::LAG),
            projects: Rows::new(fresh, Duration::ZERO),
            contacts: Snapshots::new(fresh),
        }
    }

    fn stripe<'a>(&'a self, access: &'a Access) -> Endpoints<'a> {
        Endpoints { transport: &self.transport, access }
    }

    fn uptime_robot<'a>(&'a self, access: &'a Access) -> Monitors<'a> {
        Monitors { transport: &self.transport, access, contacts: &self.contacts }
    }

    fn sentry<'a>(&'a self, access: &'a Access) -> Projects<'a> {
        Projects { transport: &self.transport, access }
    }

    /// Whether a Cloudflare token is good.
    ///
    /// # Errors
    /// It is not, or cannot be asked.
    pub async fn verify_token(&self, access: &Access) -> Seen<()> {
        cloudflare::verify(&self.transport, access).await
    }

    /// The zones of an account.
    ///
    /// # Errors
    /// They cannot be listed whole.
    pub async fn zones(&self, access: &Access) -> Seen<Arc<Vec<Zone>>> {
        self.zones.read(&access.table(), || cloudflare::zones(&self.transport, access)).await
    }

    /// The records of a zone, listed anew if that began longer ago than `oldest`.
    ///
    /// # Errors
    /// They cannot be listed whole.
    pub async fn records(&self, access: &Access, zone: &Zone, oldest: Duration) -> Seen<Table<Record>> {
        let records = Records { transport: &self.transport, access, zone };
        self.records.read_within(&in_zone(access, zone), oldest, || records.list()).await
    }

    /// Changes records of a zone, in one request with what other passes want changed there at the same time.
    ///
    /// # Errors
    /// What could not be changed; the rest is.
    pub async fn write_records(
        &self,
        access: &Access,
        zone: &Zone,
        mark: &Mark,
        changes: Vec<Change<Record>>,
    ) -> Seen<()> {
        let records = Records { transport: &self.transport, access, zone };
        let entries = changes.into_iter().map(|change| Entry { mark: mark.clone(), change }).collect();
        // Faults name the account: two accounts with one credential do not share a request.
        let queue = format!("{}/{}", access.account, in_zone(access, zone));
        self.commits.commit(&queue, entries, &Zoned { records, listed: &self.records }).await
    }
}

/// The records of a zone, whose listing is told of each write.
struct Zoned<'a> {
    records: Records<'a>,
    listed: &'a Snapshots<Vec<Held<Record>>>,
}

impl Zoned<'_> {
    fn of(&self, written: Seen<()>) -> Seen<()> {
        if written.as_ref().err().is_none_or(Fault::may_have_changed) {
            self.listed.forget(&in_zone(self.records.access, self.records.zone));
        }
        written
    }
}

impl Batch<Entry> for Zoned<'_> {
    async fn together(&self, entries: &[Entry]) -> Seen<()> {
        self.of(self.records.written(entries).await)
    }

    async fn alone(&self, entries: &[Entry]) -> Seen<()> {
        self.of(self.records.batch(entries).await)
    }
}

fn in_zone(access: &Access, zone: &Zone) -> String {
    format!("{}/{}", access.fingerprint(), zone.id)
}

/// What a change of a row came to. A row that is gone has to be looked for again: the listing was old.
fn changed(access: &Access, reply: Reply, id: &Id) -> Seen<()> {
    if reply.is_gone() {
        return Err(Fault::Lost(format!("{} no longer has {id}: its rows are listed again", access.name())));
    }
    reply.good(access).map(|_| ())
}

/// What a delete of a row came to. One that is gone is what was wished.
fn deleted(access: &Access, reply: Reply) -> Seen<()> {
    if reply.is_gone() { Ok(()) } else { reply.good(access).map(|_| ()) }
}

#[cfg(test)]
mod tests;
