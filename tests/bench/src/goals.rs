//! The goals of golive's speed, and what was measured of each.

use crate::figures::{Figures, Foreign, Pure, Round, Standing, exponent};

/// A goal: its number, what is measured, what is wanted, what was found.
pub struct Goal {
    /// As the goals are numbered.
    pub id: &'static str,
    /// What is measured.
    pub what: String,
    /// What is wanted, in words.
    pub goal: String,
    /// What was found, in words.
    pub found: String,
    /// Whether it is met.
    pub met: bool,
}

fn at_most(id: &'static str, what: impl Into<String>, (limit, found): (f64, f64), unit: &str) -> Goal {
    let words = |value: f64| format!("{}{unit}", short(value));
    Goal { id, what: what.into(), goal: format!("≤ {}", words(limit)), found: words(found), met: found <= limit }
}

/// A number with as many digits as matter.
pub fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v == v.round() => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// All goals that the figures say something about.
pub fn judged(figures: &Figures) -> Vec<Goal> {
    let mut goals = floor(figures);
    let largest = figures.standings.iter().max_by_key(|s| (s.n.min(1000), s.k));
    goals.extend(requests(figures));
    goals.extend(largest.into_iter().flat_map(steady));
    goals.extend(memory(figures));
    goals.extend(figures.standings.iter().max_by_key(|s| (s.n, s.k)).into_iter().flat_map(restart));
    goals.extend(largest.into_iter().flat_map(handover));
    goals.extend(largest.into_iter().flat_map(latency));
    goals.extend(largest.into_iter().flat_map(noisy));
    goals.extend(figures.foreign.iter().flat_map(foreign));
    goals.extend(growth(figures));
    goals.extend(figures.pure.iter().flat_map(|pure| {
        let what = format!("planning one application, k = {} ({} allocations)", pure.k, short(pure.plan_allocations));
        [at_most("pure", what, (50.0, pure.plan_micros), " µs")]
    }));
    goals
}

/// The largest size that both were measured at; the goal is set for 1,000.
fn floor(figures: &Figures) -> Vec<Goal> {
    let of_k = |k: usize| {
        let sizes = figures.sizes("golive", k);
        let n = sizes.iter().copied().filter(|n| *n <= 1000).max()?;
        let seconds = |who| figures.median(who, (n, k), |round: &Round| round.seconds);
        let ratio = seconds("golive")? / seconds("floor")?;
        Some(at_most("P1", format!("time until {n} stand, over the floor, k = {k}"), (1.15, ratio), " ×"))
    };
    figures.children().into_iter().filter_map(of_k).collect()
}

fn requests(figures: &Figures) -> Vec<Goal> {
    let mut goals = Vec::new();
    for k in figures.children() {
        let Some(n) = figures.sizes("golive", k).into_iter().filter(|n| *n <= 1000).max() else { continue };
        let each = |figure: fn(&Round) -> f64| figures.median("golive", (n, k), figure).map(|all| all / n as f64);
        if let (Some(writes), Some(reads)) = (each(|r| r.writes as f64), each(|r| r.reads as f64)) {
            goals.push(at_most("P2", format!("writes to create one of k = {k}"), (k as f64 + 4.0, writes), ""));
            goals.push(at_most("P2", format!("reads to create one of k = {k}"), (0.0, reads), ""));
        }
    }
    goals
}

fn steady(s: &Standing) -> Vec<Goal> {
    let each = |count: usize, of: usize| count as f64 / of.max(1) as f64;
    let passes = format!("requests of a pass with nothing to do ({} passes)", s.noop.passes);
    let cpu = s.noop.cpu_seconds * 1e3 / s.noop.passes.max(1) as f64;
    vec![
        at_most("P2", passes, (0.0, each(s.noop.requests, s.noop.passes)), ""),
        at_most("P2", "writes to change one field", (3.0, each(s.change.writes, s.change.count)), ""),
        at_most("P2", "reads to change one field", (0.0, each(s.change.reads, s.change.count)), ""),
        at_most("P2", "writes to delete one", (2.0, each(s.delete.writes, s.n)), ""),
        at_most("P2", "reads to delete one", (0.0, each(s.delete.reads, s.n)), ""),
        at_most(
            "P3",
            format!("requests at rest, N = {}", s.n),
            (0.25, s.idle.with_lease as f64 / s.idle.seconds),
            "/s",
        ),
        at_most("P9", "CPU of a pass with nothing to do", (0.5, cpu), " ms"),
        at_most("P9", format!("CPU at rest, N = {}", s.n), (2.0, 1e3 * s.idle.cpu_seconds / s.idle.seconds), " mcores"),
    ]
}

fn memory(figures: &Figures) -> Vec<Goal> {
    let Some(s) = figures.standings.iter().max_by_key(|s| (s.n, s.k)) else {
        return Vec::new();
    };
    let slope = (s.fleet_mib - s.base_mib) * 1000.0 / s.n as f64;
    vec![
        at_most("P6", "resident memory with no application", (20.0, s.base_mib), " MiB"),
        at_most(
            "P6",
            format!("resident memory per 1,000 applications, N = {}, k = {}{}", s.n, s.k, heap(figures)),
            (8.0, slope),
            " MiB",
        ),
    ]
}

/// What of an application's memory is asked of the allocator.
fn heap(figures: &Figures) -> String {
    let told = |pure: &Pure| {
        let (object, children) = (short(pure.object_kilobytes), short(pure.children_kilobytes));
        format!(" (heap of one of k = {}: {object} KB for the object, {children} KB for its children)", pure.k)
    };
    figures.pure.as_ref().map(told).unwrap_or_default()
}

fn restart(s: &Standing) -> Vec<Goal> {
    let (n, restart) = (s.n, &s.restart);
    vec![
        at_most("P8", format!("start over {n}, until each was looked at"), (5.0, restart.seconds), " s"),
        at_most("P8", format!("writes of a start over {n}"), (0.0, restart.writes as f64), ""),
        at_most("P8", format!("lists of any kind at a start over {n}"), (1.0, restart.lists as f64), ""),
        at_most("P8", "peak of memory at a start, over its rest", (1.3, restart.peak_mib / restart.rss_mib), " ×"),
    ]
}

fn handover(s: &Standing) -> Vec<Goal> {
    vec![
        at_most("R8", "until another leads, the leader asked to go", (2.0, s.handover.asked), " s"),
        at_most("R8", "until another leads, the leader killed", (15.0, s.handover.killed), " s"),
    ]
}

fn latency(s: &Standing) -> Vec<Goal> {
    vec![
        at_most(
            "P10",
            format!("spec change to child written, N = {}, p50", s.n),
            (150.0, s.change.quantile(0.5)),
            " ms",
        ),
        at_most(
            "P10",
            format!("spec change to child written, N = {}, p99", s.n),
            (500.0, s.change.quantile(0.99)),
            " ms",
        ),
        at_most(
            "P11",
            format!("drift in the cluster repaired, N = {}, p99", s.n),
            (1000.0, s.drift.quantile(0.99)),
            " ms",
        ),
    ]
}

/// One application is changed without pause: it gets its share, and others hardly notice.
fn noisy(s: &Standing) -> Vec<Goal> {
    let slower = s.beside.others.quantile(0.99) / s.change.quantile(0.99);
    let loud = format!("one changed {} times a second: passes over it", short(s.beside.noise));
    vec![
        at_most("P14", loud, (2.0, (s.beside.passes * 10.0).round() / 10.0), "/s"),
        at_most("P14", "its last change until that stands", (1000.0, s.beside.settled), " ms"),
        at_most("P14", "meanwhile changes of others, p99, over that at rest", (1.5, slower), " ×"),
    ]
}

fn foreign(f: &Foreign) -> [Goal; 2] {
    let what = format!("memory taken by {} objects of others ({} MiB)", f.objects, short(f.weight_mib));
    let labelled = format!("the most memory beside {} MB of others' objects with golive's labels", f.labelled);
    [
        at_most("P7", what, (1.0, f.rss_mib[1] - f.rss_mib[0]), " MiB"),
        at_most("P7", labelled, (LIMIT_MIB, f.peak_mib), " MiB"),
    ]
}

/// The operator's limit of memory, as the chart sets it.
const LIMIT_MIB: f64 = 512.0;

/// Exponents over N, for applications of the most children.
fn growth(figures: &Figures) -> Vec<Goal> {
    let Some(k) = figures.children().into_iter().max() else { return Vec::new() };
    let over = |figure: fn(&Round) -> f64| {
        let points = figures.sizes("golive", k).into_iter();
        exponent(
            &points.filter_map(|n| Some((n as f64, figures.median("golive", (n, k), figure)?))).collect::<Vec<_>>(),
        )
    };
    type Figure = fn(&Round) -> f64;
    let all: [(&str, f64, Figure); 3] = [
        ("time", 1.03, |r| r.seconds),
        ("requests", 1.0, |r| (r.writes + r.reads) as f64),
        ("memory", 1.0, |r| r.rss_mib),
    ];
    let goal = |(what, limit, figure): (&str, f64, Figure)| {
        Some(at_most("P13", format!("exponent of {what} over N, k = {k}"), (limit, over(figure)?), ""))
    };
    // Three requests among thousands are no growth: figures are compared at two digits.
    let rounded = |goal: Goal| Goal { met: goal.met || goal.goal == format!("≤ {}", goal.found), ..goal };
    all.into_iter().filter_map(goal).map(rounded).collect()
}

/// The goals as a table for the terminal.
pub fn table(figures: &Figures) -> String {
    let line = |g: Goal| {
        let verdict = if g.met { "pass" } else { "MISS" };
        format!("{:<5} {:<62} {:>12} {:>12}  {verdict}\n", g.id, g.what, g.goal, g.found)
    };
    judged(figures).into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_of_other_work_is_no_part_of_a_goal() {
        let of = |who: &str, n, k| Round { who: who.into(), n, k, seconds: n as f64, ..Round::default() };
        let own = ["floor", "golive"].into_iter().flat_map(|who| [of(who, 100, 10), of(who, 1000, 10)]);
        let alone = Figures { rounds: own.collect(), ..Figures::default() };
        let mut beside = alone.clone();
        beside.rounds.extend([of("cert-manager", 100, 1), of("cert-manager", 1000, 1)]);
        assert!(table(&alone).contains("P13"));
        assert_eq!(table(&beside), table(&alone));
    }
}
