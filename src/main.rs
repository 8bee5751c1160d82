//! The command line: the only place for the environment and the exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use golive::jobs::{self, Order};
use tracing_subscriber::EnvFilter;

/// Takes a small SaaS to production from one manifest, keeps it there and proves it.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Backs a database up to each target and proves it by reading it back (inside a pod).
    Backup(Order),
    /// Restores the newest verified snapshot into a throw-away place and proves it (inside a pod).
    Drill(Order),
    /// Puts a proven snapshot in the place of the database (inside a pod).
    Restore(Order),
    /// Asks the public URL what a customer would ask (inside a pod).
    Smoke(Order),
    /// Answers a certificate authority's http-01 challenges (inside a pod).
    Solve(Order),
}

fn main() -> ExitCode {
    log();
    match Cli::parse().command {
        Command::Backup(order) => jobs::backup(&order),
        Command::Drill(order) => jobs::drill(&order),
        Command::Restore(order) => jobs::restore(&order),
        Command::Smoke(order) => jobs::smoke(&order),
        Command::Solve(order) => jobs::solve(&order),
    }
}

/// Structured logs on standard error; `RUST_LOG` sets the level.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
}
