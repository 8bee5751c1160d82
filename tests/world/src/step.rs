//! Tells the person at the terminal what is up and how long it took.

use crate::error::Result;
use std::time::Instant;

/// Does the work and says in a line that it is done, and in how many seconds.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let done = work()?;
    eprintln!("  {what} ({:.1} s)", begun.elapsed().as_secs_f32());
    Ok(done)
}
