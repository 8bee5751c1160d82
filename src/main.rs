//! The command line: the only place for the environment and the exit code.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use golive::jobs::{self, Order};
use tracing_subscriber::EnvFilter;

/// A pass is some thousand small allocations, for which the system's allocator takes half as long again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Takes a small SaaS to production from one manifest, keeps it there and proves it.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the operator.
    Run(run::Run),
    /// Prints the CustomResourceDefinitions.
    Crd,
    /// Prints what would be made of a manifest, without a cluster.
    Plan {
        /// The manifest, in YAML.
        #[arg(short, long)]
        file: PathBuf,
    },
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
    /// Looks for the proofs of http-01 challenges where the authority will (inside a pod).
    Look(Order),
}

fn main() -> ExitCode {
    log();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return failed("a TLS provider was installed before main");
    }
    match Cli::parse().command {
        Command::Run(run) => run::run(run).map_or_else(failed, |()| ExitCode::SUCCESS),
        Command::Crd => print(golive::api::crd_yaml()),
        Command::Plan { file } => print(offline(&file)),
        Command::Backup(order) => jobs::backup(&order),
        Command::Drill(order) => jobs::drill(&order),
        Command::Restore(order) => jobs::restore(&order),
        Command::Smoke(order) => jobs::smoke(&order),
        Command::Solve(order) => jobs::solve(&order),
        Command::Look(order) => jobs::look(&order),
    }
}

fn offline(file: &std::path::Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    golive::offline::render(&text)
}

fn print(result: Result<String, String>) -> ExitCode {
    match result {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => failed(why),
    }
}

fn failed(why: impl std::fmt::Display) -> ExitCode {
    eprintln!("golive: {why}");
    ExitCode::FAILURE
}

/// Structured logs on standard error; `RUST_LOG` sets the level.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
}
