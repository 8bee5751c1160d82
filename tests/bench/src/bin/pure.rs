//! How long planning takes, with golive's own allocator, as JSON.

#[path = "../figures.rs"]
#[expect(dead_code, reason = "only the median is used here")]
mod figures;
#[path = "../fleet.rs"]
#[expect(dead_code, reason = "no fleet is brought up here")]
mod fleet;
#[path = "../planning.rs"]
#[expect(dead_code, reason = "nothing is weighed here")]
mod planning;

use std::process::ExitCode;
use std::time::Instant;

use mimalloc::MiMalloc;
use planning::{CHILDREN, measured};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Rounds, of which the median counts.
const ROUNDS: usize = 2000;

fn main() -> ExitCode {
    let Some([plan, pass]) = measured(micros) else { return ExitCode::FAILURE };
    println!("{}", json!({"k": CHILDREN, "planMicros": plan, "passMicros": pass}));
    ExitCode::SUCCESS
}

/// The median time in microseconds.
fn micros(work: &dyn Fn()) -> f64 {
    let round = |_| {
        let begun = Instant::now();
        work();
        begun.elapsed().as_secs_f64() * 1e6
    };
    figures::median((0..ROUNDS).map(round).collect()).unwrap_or(f64::NAN)
}
