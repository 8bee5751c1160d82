//! The figures as a page for people.

use std::time::Duration;

use crate::laws::Figure;

/// The page: what was tried and found, then how.
pub fn page(figures: &[Figure], took: Duration) -> String {
    let rows: String = figures.iter().map(row).collect();
    format!(
        "# Laws\n\nWritten by `make laws`, in {} s on {} cores. Any crash, any fault, any order: the world ends the same.\n\n\
         | id | what | goal | figure | |\n|---|---|---|---|---|\n{rows}{}",
        took.as_secs(),
        std::thread::available_parallelism().map_or(1, usize::from),
        include_str!("method.md"),
    )
}

fn row(figure: &Figure) -> String {
    let verdict = if figure.passes { "pass" } else { "**miss**" };
    format!("| {} | {} | {} | {} | {verdict} |\n", figure.id, figure.what, figure.goal, figure.figure)
}
