//! Measures golive on a real API server, beside the floor and its peers, and writes what it found to `target/bench` and
//! `docs/performance.md`.
//!
//! In reading order: [`fleet`] is what is brought up, [`stage`] where, [`round`] by whom and how fast, [`certmanager`] what
//! another operator takes, [`standing`] what follows, [`foreign`] beside what else; [`audit`] and [`process`] count;
//! [`goals`], [`plot`] and [`page`] tell.

mod audit;
mod certmanager;
mod figures;
mod fleet;
mod floor;
mod foreign;
mod goals;
mod operator;
mod page;
mod plot;
mod pods;
mod process;
mod ready;
mod round;
mod stage;
mod standing;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use figures::{Figures, Machine};
use fleet::Size;
use operator::Operator;
use stage::Stage;

/// Any failure: a benchmark that cannot go on ends.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures golive beside the floor and its peers.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures everything.
    Run(Run),
    /// Brings a fleet up as the bare client does.
    Floor(Floor),
    /// Writes the page anew from the figures of the last run.
    Page,
}

#[derive(clap::Args)]
struct Run {
    /// Sizes of fleets.
    #[arg(long, value_delimiter = ',', default_value = "100,1000")]
    applications: Vec<usize>,
    /// Children of each application.
    #[arg(long, value_delimiter = ',', default_value = "10,20")]
    children: Vec<usize>,
    /// How often golive and the floor take turns at 1,000 applications and below.
    #[arg(long, default_value_t = 3)]
    turns: usize,
    /// The world that is made for it, and taken down after it.
    #[arg(long, env = "WORLD_NAME", default_value = "bench")]
    world: String,
    /// Leaves docs/performance.md alone.
    #[arg(long)]
    dry: bool,
}

#[derive(clap::Args)]
struct Floor {
    #[arg(long)]
    kubeconfig: PathBuf,
    #[arg(long)]
    applications: usize,
    #[arg(long)]
    children: usize,
}

/// The largest fleet that kubectl, which applies one object after the other, is given.
const KUBECTL: usize = 100;

fn main() -> ExitCode {
    let provider = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new();
    let (Ok(()), Ok(runtime)) = (provider, runtime) else { return ExitCode::FAILURE };
    match runtime.block_on(act(Cli::parse().command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn act(command: Command) -> Result<()> {
    match command {
        Command::Run(run) => whole(&run).await,
        Command::Floor(f) => {
            let size = Size { n: f.applications, k: f.children };
            floor::run(&f.kubeconfig, size, round::AT_ONCE).await
        }
        Command::Page => page::publish(&page::read()?),
    }
}

async fn whole(run: &Run) -> Result<()> {
    certmanager::build()?;
    let mut figures = Figures { machine: machine()?, ..Figures::default() };
    figures.pure = Some(pure()?);
    let sizes = run.applications.iter().flat_map(|n| run.children.iter().map(|k| Size { n: *n, k: *k }));
    let measured = async {
        for size in sizes {
            one_size(run, size, &mut figures).await?;
            page::store(&figures)?;
        }
        figures.foreign = Some(foreign::measure(&Stage::set(&run.world).await?).await?);
        page::store(&figures)
    };
    let result: Result<()> = measured.await;
    world::down(&run.world)?;
    result?;
    print!("{}", goals::table(&figures));
    if run.dry { Ok(()) } else { page::publish(&figures) }
}

/// golive and the floor in turns, on a cluster that is made for this size.
async fn one_size(run: &Run, size: Size, figures: &mut Figures) -> Result<()> {
    let turns = if size.n > 1000 { 1 } else { run.turns.max(1) };
    let stage = Stage::set(&run.world).await?;
    for turn in 1..=turns {
        keep(figures, round::floor(&stage, size).await?);
        stage.sweep().await?;
        if turn == 1 && size.n <= KUBECTL {
            keep(figures, round::kubectl(&stage, size).await?);
            stage.sweep().await?;
        }
        let operator = Operator::lead(&stage).await?;
        let base = process::resident(operator.program.pid)?;
        keep(figures, round::golive(&stage, &operator, size).await?);
        if turn < turns {
            operator.program.stop().await?;
        } else {
            figures.standings.push(standing::measure(&stage, operator, (size, base)).await?);
        }
        stage.sweep().await?;
    }
    // Last, for its kinds and its many writes stay in the API server's memory; and once for each N, for it knows no k.
    if run.children.first() == Some(&size.k) {
        keep(figures, certmanager::round(&stage, size.n).await?);
    }
    Ok(())
}

fn keep(figures: &mut Figures, round: figures::Round) {
    let figures::Round { who, n, k, seconds, .. } = &round;
    let requests = (round.writes as f64 / *n as f64, round.reads as f64 / *n as f64);
    eprintln!(
        "  {who}: {n} x {k}: {seconds:.1} s, {:.1} writes and {:.1} reads each, {:.0} MiB",
        requests.0, requests.1, round.rss_mib
    );
    figures.rounds.push(round);
}

/// Planning alone, by the programs beside this one: the allocator that counts is not golive's.
fn pure() -> Result<figures::Pure> {
    let mut found = serde_json::Map::new();
    for program in ["pure", "counted"] {
        let out = std::process::Command::new(std::env::current_exe()?.with_file_name(program)).output()?;
        found.extend(serde_json::from_slice::<serde_json::Map<_, _>>(&out.stdout)?);
    }
    Ok(serde_json::from_value(found.into())?)
}

fn machine() -> Result<Machine> {
    let processors = std::fs::read_to_string("/proc/cpuinfo")?;
    let processor = processors.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let load = std::fs::read_to_string("/proc/loadavg")?;
    Ok(Machine {
        cores: std::thread::available_parallelism()?.get(),
        processor: processor.trim_matches([' ', '\t', ':']).to_owned(),
        load: load.split(' ').next().unwrap_or_default().parse()?,
        at: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
    })
}

/// Waits for something, but not for ever.
async fn deadline<T>(what: &str, waits: impl Future<Output = T>) -> Result<T> {
    let limit = Duration::from_secs(900);
    let late = |_| format!("not within {} s: {what}", limit.as_secs());
    Ok(tokio::time::timeout(limit, waits).await.map_err(late)?)
}
