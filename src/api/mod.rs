//! What users write: one file per block of the spec, each with its types, bounds and rules; no behaviour.
//!
//! The first sentence of each field becomes its description in the definition, so it begins with the field's YAML name.

mod account;
mod app;
mod backup;
mod crd;
mod database;
mod deployment;
mod dns;
mod edge;
mod gates;
mod mail;
mod monitors;
mod operation;
mod payments;
mod release;
mod secrets;
mod shape;
mod status;
mod workers;

pub use account::*;
pub use app::*;
pub use backup::*;
pub use crd::{crd_yaml, crds};
pub use database::*;
pub use deployment::*;
pub use dns::*;
pub use edge::*;
pub use gates::*;
pub use mail::*;
pub use monitors::*;
pub use operation::*;
pub use payments::*;
pub use release::*;
pub use secrets::*;
pub use status::*;
pub use workers::*;
