//! A real world on one machine: a Kubernetes cluster whose pods run, the vendors around it, an ACME authority, S3, DNS
//! and an edge. Each world is a network namespace with its own control groups and files, so several run at once.
//!
//! In reading order: [`place`], [`network`] and [`reach`] say where things are; [`daemon`] keeps programs running; `control`,
//! `node`, `gateway` and [`outside`] start them; [`up`] orders that and `sweep` undoes it; [`install`] builds it all.

pub mod archive;
pub mod audit;
mod cgroup;
mod command;
mod control;
pub mod credentials;
pub mod daemon;
pub mod demo;
mod env;
pub mod error;
mod gateway;
pub mod go;
pub mod image;
pub mod install;
pub mod network;
mod node;
pub mod outside;
mod pki;
pub mod place;
pub mod platform;
pub mod reach;
pub mod refuse;
pub mod step;
pub mod sweep;
mod up;

pub use error::{Error, Result};
pub use place::{DEFAULT, World};
pub use up::{control_plane, down, up};
