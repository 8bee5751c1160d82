//! How often and how much planning allocates, as JSON.

#[path = "../fleet.rs"]
#[expect(dead_code, reason = "no fleet is brought up here")]
mod fleet;
#[path = "../planning.rs"]
mod planning;

use std::alloc::System;
use std::process::ExitCode;

use planning::{kept, measured};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    let Some([plan, pass]) = measured(allocated) else { return ExitCode::FAILURE };
    // The first brings up what is made once.
    let (Some(_), Some([object, children])) = (kept(held), kept(held)) else {
        return ExitCode::FAILURE;
    };
    println!(
        "{}",
        json!({
            "planAllocations": plan.0, "planKilobytes": plan.1,
            "passAllocations": pass.0, "passKilobytes": pass.1,
            "objectKilobytes": object, "childrenKilobytes": children,
        })
    );
    ExitCode::SUCCESS
}

/// Kilobytes that are held after some work and were not before.
fn held(work: &mut dyn FnMut()) -> f64 {
    let region = Region::new(COUNTED);
    work();
    let change = region.change();
    (change.bytes_allocated as f64 - change.bytes_deallocated as f64) / 1024.0
}

/// Allocations and kilobytes of one round; in the first, all children are compared.
fn allocated(work: &dyn Fn()) -> (f64, f64) {
    work();
    let region = Region::new(COUNTED);
    work();
    let change = region.change();
    (change.allocations as f64, change.bytes_allocated as f64 / 1024.0)
}
