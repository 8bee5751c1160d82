//! The vendors: one file each.

pub mod acme;

use std::sync::Arc;
use secrecy::SecretString;
use crate::fault::Seen;
use crate::rows::*;
use crate::world::Table;

pub struct Access;
impl Access {
    pub fn cloudflare(_: &str, _: Option<&str>, _: SecretString, _: Option<String>) -> Self { Access }
    pub fn stripe(_: &str, _: Option<&str>, _: SecretString, _: Option<String>) -> Self { Access }
    pub fn uptime_robot(_: &str, _: Option<&str>, _: SecretString, _: Option<String>) -> Self { Access }
    pub fn sentry(_: &str, _: Option<&str>, _: SecretString, _: Option<String>) -> Self { Access }
}
pub struct Vendors;
macro_rules! todo_fn { ($($n:ident($($a:ty),*) -> $r:ty;)*) => { impl Vendors { $(pub async fn $n(&self, _: &Access, $(_: $a),*) -> Seen<$r> { todo!() })* } } }
#[allow(unused)] type P<'a, T> = Draft<'a, T>;
impl Vendors {
    pub async fn zones(&self, _: &Access) -> Seen<Arc<Vec<Zone>>> { todo!() }
    pub async fn create_endpoint(&self, _: &Access, _: Draft<'_, Endpoint>) -> Seen<Created> { todo!() }
    pub async fn update_endpoint(&self, _: &Access, _: &Id, _: Draft<'_, Endpoint>) -> Seen<()> { todo!() }
    pub async fn create_monitor(&self, _: &Access, _: Draft<'_, Monitor>) -> Seen<Created> { todo!() }
    pub async fn update_monitor(&self, _: &Access, _: &Id, _: Draft<'_, Monitor>) -> Seen<()> { todo!() }
    pub async fn create_project(&self, _: &Access, _: Draft<'_, Project>) -> Seen<Created> { todo!() }
    pub async fn update_project(&self, _: &Access, _: &Id, _: Draft<'_, Project>) -> Seen<()> { todo!() }
}
todo_fn! {
    records(&Zone) -> Table<Record>;
    write_records(&Zone, &Mark, Vec<Change<Record>>) -> ();
    endpoints() -> Table<Endpoint>; delete_endpoint(&Id) -> ();
    monitors() -> Table<Monitor>; delete_monitor(&Id) -> ();
    projects() -> Table<Project>; delete_project(&Id) -> ();
}
