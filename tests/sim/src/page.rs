//! The findings as a page for people.

use std::time::Duration;

use crate::laws::Finding;

/// The page: what was tried and found, then how.
pub fn page(findings: &[Finding], took: Duration) -> String {
    let plans: usize = findings.iter().map(|finding| finding.tally.plans).sum();
    let rows: String = findings.iter().map(row).collect();
    format!(
        "# Laws\n\nWritten by `make laws`: {plans} plans in {} s on {} cores. Any crash, any fault, any order: the world ends the \
         same.\n\n| id | what | plans | breaches | |\n|---|---|---|---|---|\n{rows}{}",
        took.as_secs(),
        std::thread::available_parallelism().map_or(1, usize::from),
        include_str!("method.md"),
    )
}

fn row(finding: &Finding) -> String {
    let (tally, breaches) = (&finding.tally, finding.tally.breaches.len());
    let verdict = if breaches == 0 { "pass" } else { "**miss**" };
    format!("| {} | {} | {} | {breaches} | {verdict} |\n", finding.id, finding.what, tally.plans)
}
