//! The vendors: one file each.

pub mod acme;
