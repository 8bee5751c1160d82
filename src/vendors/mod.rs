//! The vendors: one file each, behind one transport; and the snapshots of their tables that all passes share.

pub mod acme;
pub mod cloudflare;
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

use self::cloudflare::Records;
use self::sentry::Projects;
use self::snapshots::Snapshots;
use self::stripe::Endpoints;
use self::uptimerobot::Monitors;
use crate::fault::{Fault, Seen};
use crate::rows::{Change, Created, Draft, Endpoint, Held, Id, Mark, Monitor, Project, Provider, Record, Zone};
use crate::world::Table;

/// All vendors. A table is listed once for all passes, again after its time or after a write of ours.
pub struct Vendors {
    transport: Transport,
    zones: Snapshots<Zone>,
    records: Snapshots<Held<Record>>,
    endpoints: Snapshots<Held<Endpoint>>,
    monitors: Snapshots<Held<Monitor>>,
    projects: Snapshots<Held<Project>>,
}

/// The calls for a table of which an account has one: list, create, update, delete.
macro_rules! table {
    ($row:ty, $provider:ident, $store:ident, $list:ident, $create:ident, $update:ident, $delete:ident) => {
        impl Vendors {
            #[doc = concat!("The rows of an account's table of ", stringify!($row), "s.")]
            ///
            /// # Errors
            /// The table cannot be listed whole.
            pub async fn $list(&self, access: &Access) -> Seen<Table<$row>> {
                let provider = $provider { transport: &self.transport, access };
                self.$store.read(&access.fingerprint(), || provider.list()).await
            }

            #[doc = concat!("Creates a ", stringify!($row), ".")]
            ///
            /// # Errors
            /// It was refused, or its outcome is not known.
            pub async fn $create(&self, access: &Access, draft: Draft<'_, $row>) -> Seen<Created> {
                self.$store.forget(&access.fingerprint()).await;
                let created = $provider { transport: &self.transport, access }.create(draft).await;
                self.$store.forget(&access.fingerprint()).await;
                created
            }

            #[doc = concat!("Changes a ", stringify!($row), ".")]
            ///
            /// # Errors
            /// It was refused, or its outcome is not known.
            pub async fn $update(&self, access: &Access, id: &Id, draft: Draft<'_, $row>) -> Seen<()> {
                let updated = $provider { transport: &self.transport, access }.update(id, draft).await;
                self.$store.forget(&access.fingerprint()).await;
                updated
            }

            #[doc = concat!("Removes a ", stringify!($row), "; one that is gone is fine.")]
            ///
            /// # Errors
            /// It was refused, or its outcome is not known.
            pub async fn $delete(&self, access: &Access, id: &Id) -> Seen<()> {
                let deleted = $provider { transport: &self.transport, access }.delete(id).await;
                self.$store.forget(&access.fingerprint()).await;
                deleted
            }
        }
    };
}

table!(Endpoint, Endpoints, endpoints, endpoints, create_endpoint, update_endpoint, delete_endpoint);
table!(Monitor, Monitors, monitors, monitors, create_monitor, update_monitor, delete_monitor);
table!(Project, Projects, projects, projects, create_project, update_project, delete_project);

impl Vendors {
    /// All vendors; a listing counts as fresh for `fresh`.
    pub fn new(registry: &mut Registry, fresh: Duration) -> Self {
        Vendors {
            transport: Transport::new(registry),
            zones: Snapshots::new(fresh),
            records: Snapshots::new(fresh),
            endpoints: Snapshots::new(fresh),
            monitors: Snapshots::new(fresh),
            projects: Snapshots::new(fresh),
        }
    }

    /// The zones of an account.
    ///
    /// # Errors
    /// They cannot be listed whole.
    pub async fn zones(&self, access: &Access) -> Seen<Arc<Vec<Zone>>> {
        self.zones.read(&access.fingerprint(), || cloudflare::zones(&self.transport, access)).await
    }

    /// The records of a zone.
    ///
    /// # Errors
    /// They cannot be listed whole.
    pub async fn records(&self, access: &Access, zone: &Zone) -> Seen<Table<Record>> {
        let records = Records { transport: &self.transport, access, zone };
        self.records.read(&in_zone(access, zone), || records.list()).await
    }

    /// Changes records of a zone.
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
        let written = records.batch(mark, &changes).await;
        self.records.forget(&in_zone(access, zone)).await;
        written
    }
}

fn in_zone(access: &Access, zone: &Zone) -> String {
    format!("{}/{}", access.fingerprint(), zone.id)
}

/// A delete of what is gone has done its work. 404 and 410 are refusals, and so told apart by their text.
fn gone_is_fine(result: Seen<Reply>) -> Seen<()> {
    match result {
        Err(Fault::Rejected(text)) if text.contains("answered 404") || text.contains("answered 410") => Ok(()),
        result => result.map(|_| ()),
    }
}
