//! golive takes a small SaaS to production from one manifest, keeps it there and proves it.
//!
//! The modules in reading order. `observe` is the only reader and the only clock, `plan` is pure,
//! `apply` is the only writer and makes no choices, `report` is pure.

pub mod accounts;
pub mod api;
pub mod apply;
pub mod certificate;
pub mod child;
pub mod cluster;
pub mod config;
pub mod controller;
pub mod dns;
pub mod evidence;
pub mod fault;
pub mod ground;
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
pub mod patience;
pub mod plan;
pub mod report;
pub mod rows;
pub mod serve;
pub mod standing;
pub mod vault;
pub mod vendors;
pub mod world;
