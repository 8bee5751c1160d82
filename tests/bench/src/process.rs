//! What a program takes of the machine, by proc(5).

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::Result;

/// Clock ticks of a second in /proc: <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>; 100 on Linux.
const TICKS: f64 = 100.0;

/// A program under measurement; it ends with this value.
pub struct Program {
    child: Child,
    /// Its process.
    pub pid: u32,
    /// When it was started.
    pub begun: Instant,
}

impl Program {
    /// Starts a program with its output in a file.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let out = std::fs::File::create(log)?;
        let child = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).kill_on_drop(true).spawn()?;
        let pid = child.id().ok_or("a program ended at once")?;
        Ok(Program { child, pid, begun: Instant::now() })
    }

    /// Waits for its end, and says how long it ran and what it took.
    pub async fn finish(mut self) -> Result<Duration> {
        let status = self.child.wait().await?;
        match status.success() {
            true => Ok(self.begun.elapsed()),
            false => Err(format!("a measured program failed: {status}").into()),
        }
    }

    /// Kills it, without a word.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Stops it by SIGTERM and waits for its end.
    pub async fn stop(mut self) -> Result<()> {
        std::process::Command::new("kill").arg(self.pid.to_string()).status()?;
        tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await??;
        Ok(())
    }
}

/// Resident memory in MiB, with its share of what is mapped by others.
pub fn resident(pid: u32) -> Result<f64> {
    field(&std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?, "Rss:")
}

/// The most resident memory that it ever had, in MiB.
pub fn peak(pid: u32) -> Result<f64> {
    field(&std::fs::read_to_string(format!("/proc/{pid}/status"))?, "VmHWM:")
}

fn field(text: &str, name: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("a field of /proc is missing")?;
    let kilobytes: f64 = line.split_whitespace().next().ok_or("an empty field of /proc")?.parse()?;
    Ok(kilobytes / 1024.0)
}

/// Seconds of CPU since it began.
pub fn cpu(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(") ").ok_or("no stat")?.1.split(' ').collect();
    let ticks: f64 = fields.get(11..13).ok_or("a short stat")?.iter().filter_map(|f| f.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS)
}
