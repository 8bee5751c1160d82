//! `sim`: looks for breaches of the laws in a simulated world, and tells what it found.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use clap::builder::PossibleValuesParser;
use sim::drift;
use sim::laws::{self, Effort, Figure, Finding};
use sim::page::page;
use sim::search::Budget;
use sim::storm;

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
    /// Runs with random troubles.
    #[arg(long, default_value_t = 10_000)]
    mixes: u64,
    /// Laws to try, by their ids; all of them where none is named.
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(laws::ids()), conflicts_with = "page")]
    laws: Vec<String>,
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
    let effort = Effort { stride: cli.stride, pairs: cli.pairs, walks: cli.walks, mixes: cli.mixes };
    let wanted = |id: &str| cli.laws.is_empty() || cli.laws.iter().any(|law| law == id);
    let findings = laws::of(&wanted, effort, budget);
    let mut figures = laws::figures(&findings, began.elapsed());
    figures.extend(storm::figures());
    figures.push(drift::figure());
    figures.iter().for_each(line);
    findings.iter().for_each(tell);
    write(&cli.report, &laws::report(&figures).to_string());
    cli.page.inspect(|file| write(file, &page(&figures, began.elapsed())));
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

fn line(figure: &Figure) {
    let verdict = if figure.passes { "pass" } else { "miss" };
    println!("{:3} {:61} {:38} {:40} {verdict}", figure.id, figure.what, figure.goal, figure.figure);
}

/// The breaches of a law, with what shows them again.
fn tell(finding: &Finding) {
    for breach in finding.tally.breaches.iter().take(10) {
        println!("{}  {}\n        {}", finding.id, breach.plan, breach.what.join("\n        "));
    }
}
