//! golive takes a small SaaS to production from one manifest, keeps it there and proves it.
//!
//! Read `api` first, then `controller`, and what a pass goes through: `observe` gathers a `world` and is the only
//! clock, `plan` is pure, `apply` makes no choices and writes all that a plan calls for, `report` is pure. Beside
//! `apply`, `controller` writes the finalizer, statuses and events, `lease` the Lease, and `standing` the statuses of
//! ProviderAccounts. What may use a clock, randomness, the environment or a client of its own says so in place:
//! clippy.toml denies it everywhere else.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod accounts;
pub mod api;
pub mod apply;
pub mod certificate;
pub mod child;
pub mod cluster;
pub mod compare;
pub mod config;
pub mod controller;
pub mod dns;
pub mod evidence;
pub mod fault;
#[cfg(test)]
mod fuzz;
pub mod ground;
#[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "pods of their own: no World, the clock is theirs"))]
pub mod jobs;
pub mod kinds;
pub mod latest;
pub mod lease;
pub mod metrics;
pub mod objects;
pub mod observe;
pub mod offline;
pub mod operator;
pub mod outside;
pub mod pace;
pub mod patience;
pub mod plan;
pub mod report;
pub mod rows;
pub mod serve;
pub mod standing;
pub mod vault;
pub mod vendors;
pub mod world;

/// The version of golive.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
