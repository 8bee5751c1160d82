//! `sim`: looks for breaches of the laws, and prints what it found.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use sim::place::State;
use sim::script;
use sim::search::{Budget, Case, Tally};

/// Half of a simulation is made of small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Looks for breaches of the laws in a simulated world.
#[derive(Parser)]
struct Cli {
    /// How long to look, in seconds.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Manifests to go live with.
    files: Vec<std::path::PathBuf>,
    #[arg(long)]
    pairs: bool,
    #[arg(long)]
    faults: bool,
    #[arg(long)]
    walks: Option<u64>,
    #[arg(long, default_value_t = 0)]
    first: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let until = Instant::now() + Duration::from_secs(cli.seconds);
    let budget = Budget { until, threads: std::thread::available_parallelism().map_or(2, usize::from) };
    let mut total = Tally::default();
    if let Some(count) = cli.walks {
        let specs: Vec<_> =
            cli.files.iter().flat_map(|f| script::documents(&std::fs::read_to_string(f).unwrap_or_default())).collect();
        let words = sim::walk::Vocabulary::of(&specs.iter().map(|s| s["spec"].clone()).collect::<Vec<_>>());
        let seeds: Vec<u64> = (cli.first..cli.first + count).collect();
        total = budget.work(&seeds, |seed| sim::search::walk(&words, &specs[*seed as usize % specs.len()], *seed, 4));
        for breach in total.breaches.iter().take(30) {
            println!("{}\n    {}", breach.plan, breach.what.join("\n    "));
        }
        println!("{} plans, {} breaches", total.plans, total.breaches.len());
        return ExitCode::SUCCESS;
    }
    for file in &cli.files {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        for saas in script::documents(&text) {
            let mut acts = script::go_live(&saas);
            let started = Instant::now();
            let (case, ended) = Case::new(&file.display().to_string(), State::new(), acts.clone());
            println!(
                "{}: {} requests, {} writes, rests {}, {:?}",
                case.name,
                ended.requests,
                ended.writes.len(),
                ended.rests,
                started.elapsed()
            );
            for s in ended.state.cluster.of_kind("SaasDeployment") {
                println!("{}", s.value["status"]["conditions"][0]["message"]);
            }
            let started = Instant::now();
            let found = if cli.faults { case.faults(&ended, budget) } else { case.crashes(&ended, cli.pairs, budget) };
            println!("{} plans in {:?}, {} breaches", found.plans, started.elapsed(), found.breaches.len());
            total = total.and(found);
            let live = ended.state;
            acts.push(script::delete(&saas));
            let (case, ended) = Case::new(&format!("{} deleted", file.display()), live, acts);
            let found = if cli.faults { case.faults(&ended, budget) } else { case.crashes(&ended, cli.pairs, budget) };
            println!("deleted: {} plans, {} breaches", found.plans, found.breaches.len());
            total = total.and(found);
        }
    }
    for breach in total.breaches.iter().take(30) {
        println!("{}\n    {}", breach.plan, breach.what.join("\n    "));
    }
    println!("{} plans, {} breaches", total.plans, total.breaches.len());
    if total.breaches.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
