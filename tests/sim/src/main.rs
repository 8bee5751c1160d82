//! `sim`: looks for breaches of the laws in a simulated world, and tells what it found.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use sim::laws::{self, Effort, Finding};
use sim::page::page;
use sim::search::Budget;

/// Half of a simulation is made of small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Looks for breaches of the laws in a simulated world.
#[derive(Parser)]
struct Cli {
    /// How long to look, in seconds.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Every so many crash points and faults.
    #[arg(long, default_value_t = 1)]
    stride: usize,
    /// Random walks over specs.
    #[arg(long, default_value_t = 2000)]
    walks: u64,
    /// Whether a crash is followed by a crash of its recovery.
    #[arg(long)]
    pairs: bool,
    /// The file for the findings, in JSON.
    #[arg(long, default_value = "target/laws.json")]
    report: PathBuf,
    /// A page about the findings, to be written too.
    #[arg(long)]
    page: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let began = Instant::now();
    let until = began + Duration::from_secs(cli.seconds);
    let budget = Budget { until, threads: std::thread::available_parallelism().map_or(2, usize::from) };
    let effort = Effort { stride: cli.stride, pairs: cli.pairs, walks: cli.walks };
    let findings = laws::all(effort, budget);
    findings.iter().for_each(tell);
    write(&cli.report, &laws::report(&findings).to_string());
    cli.page.inspect(|file| write(file, &page(&findings, began.elapsed())));
    match findings.iter().all(|finding| finding.tally.breaches.is_empty()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn write(file: &Path, text: &str) {
    if let Err(e) = std::fs::write(file, text) {
        eprintln!("{}: {e}", file.display());
    }
}

fn tell(finding: &Finding) {
    let (plans, breaches) = (finding.tally.plans, &finding.tally.breaches);
    let verdict = if breaches.is_empty() { "pass" } else { "miss" };
    println!("{:3} {:52} {plans:7} plans {:4} breaches  {verdict}", finding.id, finding.what, breaches.len());
    for breach in breaches.iter().take(10) {
        println!("    {}\n        {}", breach.plan, breach.what.join("\n        "));
    }
}
