//! What ends a job from outside: its deadline, and SIGTERM.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::evidence::Failure;

/// The reason of a failure by the deadline.
pub const LATE: &str = "DeadlineExceeded";

/// The reason of a failure by SIGTERM.
pub const INTERRUPTED: &str = "Interrupted";

/// No job runs longer than this, whatever its task says.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How long something may still take. Clones share the stop signal.
#[derive(Clone, Debug)]
pub struct Budget {
    ends: Instant,
    stop: watch::Receiver<bool>,
}

impl Budget {
    /// A day, or until the sender says stop.
    pub fn new(stop: watch::Receiver<bool>) -> Self {
        Budget { ends: Instant::now() + LONGEST, stop }
    }

    /// The part of this budget that a step may use.
    pub fn within(&self, limit: Duration) -> Self {
        Budget { ends: self.ends.min(Instant::now() + limit), stop: self.stop.clone() }
    }

    /// A fair share of what is left, when `sharers` steps are still to come.
    pub fn share(&self, sharers: usize) -> Self {
        self.within(self.left() / u32::try_from(sharers.max(1)).unwrap_or(u32::MAX))
    }

    /// What is left.
    pub fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    /// Returns when nothing is left, with the reason.
    pub async fn spent(&self) -> Failure {
        let mut stop = self.stop.clone();
        let stopped = async move {
            if stop.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = stopped => interrupted(),
            () = tokio::time::sleep_until(self.ends) => late(),
        }
    }

    /// An error when nothing is left: for loops that do not await.
    pub fn check(&self) -> Result<(), Failure> {
        if *self.stop.borrow() {
            return Err(interrupted());
        }
        if self.left().is_zero() { Err(late()) } else { Ok(()) }
    }

    /// Waits, unless the budget ends before.
    pub async fn pause(&self, wait: Duration) -> Result<(), Failure> {
        tokio::select! {
            failure = self.spent() => Err(failure),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }
}

fn interrupted() -> Failure {
    Failure::new(INTERRUPTED, "the job was told to stop before it was done; run it again")
}

fn late() -> Failure {
    Failure::new(LATE, "the job ran out of time")
}
