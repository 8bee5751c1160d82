//! What was measured, as it is stored under `target/bench`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One client that brought one fleet up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Round {
    /// `golive`, `floor`, `kubectl` or `cert-manager`.
    pub who: String,
    /// Applications; Certificates for cert-manager.
    pub n: usize,
    /// Children of each; the one of a Certificate is its Secret.
    pub k: usize,
    /// From the first request until all is up.
    pub seconds: f64,
    /// CPU of the client.
    pub cpu_seconds: f64,
    /// CPU of the API server meanwhile.
    pub server_cpu_seconds: f64,
    /// Resident memory at the end, in MiB.
    pub rss_mib: f64,
    /// The most that it was, in MiB.
    pub peak_mib: f64,
    /// Requests that write.
    pub writes: usize,
    /// Requests that read, but for watches.
    pub reads: usize,
    /// Answers 409 and 429.
    pub refused: usize,
    /// Requests by verb and resource.
    pub by: BTreeMap<String, usize>,
}

/// What golive does once a fleet stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Applications.
    pub n: usize,
    /// Children of each.
    pub k: usize,
    /// Resident memory before the first application, in MiB.
    pub base_mib: f64,
    /// Resident memory with the fleet, in MiB.
    pub fleet_mib: f64,
    /// At rest.
    pub idle: Idle,
    /// Passes that find nothing to do.
    #[serde(default)]
    pub noop: Idle,
    /// One field of one application after the other.
    pub change: Changes,
    /// A child changed by somebody else, one after the other.
    pub drift: Changes,
    /// One field of one application after the other, while another is changed without pause.
    #[serde(default)]
    pub beside: Beside,
    /// A new process over the same fleet.
    pub restart: Restart,
    /// Another leader.
    #[serde(default)]
    pub handover: Handover,
    /// All applications deleted.
    pub delete: Deleted,
}

/// One application that is changed without pause, and the others.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Beside {
    /// How often it was changed, in a second.
    pub noise: f64,
    /// How often golive looked at it, in a second.
    pub passes: f64,
    /// Milliseconds from its last change until that stood.
    pub settled: f64,
    /// The changes of others meanwhile.
    pub others: Changes,
}

/// Objects that are nobody's business, and what they cost.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Foreign {
    /// How many there were.
    pub objects: usize,
    /// What they weigh, in MiB.
    pub weight_mib: f64,
    /// Resident memory before and after, in MiB.
    pub rss_mib: [f64; 2],
    /// How many more there were then, of a megabyte each and with golive's labels.
    #[serde(default)]
    pub labelled: usize,
    /// The most memory that an operator ever took beside those, in MiB.
    #[serde(default)]
    pub peak_mib: f64,
}

/// A window, and what golive asked for and took in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Idle {
    /// Its length.
    pub seconds: f64,
    /// Passes that were made in it.
    pub passes: usize,
    /// Requests but for watches and the lease.
    pub requests: usize,
    /// Those with the lease.
    pub with_lease: usize,
    /// CPU of the operator.
    pub cpu_seconds: f64,
}

/// Changes made one after the other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// How many.
    pub count: usize,
    /// Milliseconds until each was written, sorted.
    pub millis: Vec<f64>,
    /// Requests that write.
    pub writes: usize,
    /// Requests that read.
    pub reads: usize,
    /// Requests by verb and resource.
    pub by: BTreeMap<String, usize>,
}

impl Changes {
    /// The latency below which this share of them is.
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.millis.len().saturating_sub(1);
        let at = (share * last as f64).round() as usize;
        self.millis.get(at).copied().unwrap_or(f64::NAN)
    }
}

/// A start over a fleet that stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// From the start of the process until it has passed over every application.
    pub seconds: f64,
    /// Requests that write.
    pub writes: usize,
    /// The most of any kind that was listed: 1 where each is listed once.
    pub lists: usize,
    /// Requests that read.
    pub reads: usize,
    /// The most memory, in MiB.
    pub peak_mib: f64,
    /// Memory once it rests, in MiB.
    pub rss_mib: f64,
}

/// Seconds until a replica that stood by leads.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handover {
    /// From the leader's SIGTERM.
    pub asked: f64,
    /// From the leader's end by SIGKILL.
    pub killed: f64,
}

/// The end of a fleet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deleted {
    /// Until the last was gone.
    pub seconds: f64,
    /// Requests that write.
    pub writes: usize,
    /// Requests that read.
    pub reads: usize,
}

/// Planning without a cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pure {
    /// Children of the application that is planned.
    pub k: usize,
    /// Microseconds of one plan: the median.
    pub plan_micros: f64,
    /// Allocations of one plan.
    pub plan_allocations: f64,
    /// Kilobytes allocated by one plan.
    pub plan_kilobytes: f64,
    /// Microseconds of a plan, the comparison of all children and the report: a pass that has nothing to write.
    pub pass_micros: f64,
    /// Allocations of such a pass.
    pub pass_allocations: f64,
    /// Kilobytes allocated by such a pass.
    pub pass_kilobytes: f64,
    /// Kilobytes of heap that the object is kept in, with its status.
    #[serde(default)]
    pub object_kilobytes: f64,
    /// Kilobytes of heap that its children are remembered in, once each was compared.
    #[serde(default)]
    pub children_kilobytes: f64,
}

/// The machine it ran on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Cores.
    pub cores: usize,
    /// Its processor.
    pub processor: String,
    /// Waiting programs when it began: above zero means that others worked here too.
    pub load: f64,
    /// When it began.
    pub at: String,
}

/// Everything of one run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Where and when.
    pub machine: Machine,
    /// Fleets brought up, by whom.
    pub rounds: Vec<Round>,
    /// What golive does afterwards.
    pub standings: Vec<Standing>,
    /// Objects of others.
    #[serde(default)]
    pub foreign: Option<Foreign>,
    /// Planning alone.
    pub pure: Option<Pure>,
}

impl Figures {
    /// The rounds of one client with applications of `k` children, by size.
    pub fn of(&self, who: &str, k: usize) -> Vec<&Round> {
        let mut rounds: Vec<&Round> = self.rounds.iter().filter(|r| r.who == who && r.k == k).collect();
        rounds.sort_by_key(|round| round.n);
        rounds
    }

    /// The clients that were measured.
    pub fn clients(&self) -> Vec<String> {
        let mut clients: Vec<String> = Vec::new();
        for round in &self.rounds {
            if !clients.contains(&round.who) {
                clients.push(round.who.clone());
            }
        }
        clients
    }

    /// The numbers of children that a client was measured with.
    pub fn children_of(&self, who: &str) -> Vec<usize> {
        let all: std::collections::BTreeSet<usize> = self.rounds.iter().filter(|r| r.who == who).map(|r| r.k).collect();
        all.into_iter().collect()
    }

    /// The numbers of children that golive was measured with.
    pub fn children(&self) -> Vec<usize> {
        self.children_of("golive")
    }

    /// The median of a figure over all rounds of one client and size.
    pub fn median(&self, who: &str, (n, k): (usize, usize), figure: fn(&Round) -> f64) -> Option<f64> {
        median(self.of(who, k).into_iter().filter(|round| round.n == n).map(figure).collect())
    }

    /// The sizes that a client was measured at.
    pub fn sizes(&self, who: &str, k: usize) -> Vec<usize> {
        let mut sizes: Vec<usize> = self.of(who, k).iter().map(|round| round.n).collect();
        sizes.dedup();
        sizes
    }
}

/// The middle of some figures.
pub fn median(mut all: Vec<f64>) -> Option<f64> {
    all.sort_by(f64::total_cmp);
    let middle = all.len() / 2;
    match all.len() % 2 {
        1 => all.get(middle).copied(),
        _ => Some((all.get(middle.checked_sub(1)?)? + all.get(middle)?) / 2.0),
    }
}

/// The exponent by which a figure grows with N: the slope of a line through the logarithms.
pub fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> =
        points.iter().filter(|p| p.0 > 0.0 && p.1 > 0.0).map(|p| (p.0.ln(), p.1.ln())).collect();
    let count = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let spread: f64 = logs.iter().map(|p| (p.0 - x).powi(2)).sum();
    let together: f64 = logs.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    (logs.len() > 1 && spread > 0.0).then_some(together / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_grows_by_one_and_a_square_by_two() {
        let line: Vec<_> = [1.0, 10.0, 100.0].map(|n| (n, 3.0 * n)).into();
        let square: Vec<_> = [1.0, 10.0, 100.0].map(|n| (n, n * n)).into();
        assert!((exponent(&line).unwrap() - 1.0).abs() < 1e-9);
        assert!((exponent(&square).unwrap() - 2.0).abs() < 1e-9);
        assert_eq!(exponent(&line[..1]), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }
}
