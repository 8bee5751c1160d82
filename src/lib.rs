//! golive takes a small SaaS to production from one manifest, keeps it there and proves it.
//!
//! The modules in reading order. `observe` is the only reader and the only clock, `plan` is pure,
//! `apply` is the only writer and makes no choices, `report` is pure.

pub mod api;
pub mod fault;
pub mod rows;
pub mod kinds;
pub mod objects;
pub mod certificate;
pub mod evidence;
pub mod vault;
pub mod world;
pub mod plan;
pub mod offline;
pub mod config;
pub mod cluster;
pub mod dns;
pub mod accounts;
pub mod vendors;
pub mod observe;
pub mod apply;
pub mod report;
pub mod metrics;
pub mod controller;
pub mod lease;
pub mod serve;
pub mod jobs;
