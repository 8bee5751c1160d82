//! The figures as files: JSON under `target/bench`, and the page with its plot in `docs`.

use std::fs;
use std::path::PathBuf;

use crate::Result;
use crate::figures::{Figures, Round};
use crate::goals::{judged, short};
use crate::plot::svg;

fn folder() -> PathBuf {
    world::place::target().join("bench")
}

/// Stores the figures, so that a run that is cut short loses nothing.
pub fn store(figures: &Figures) -> Result<()> {
    fs::create_dir_all(folder())?;
    fs::write(folder().join("figures.json"), serde_json::to_string_pretty(figures)?)?;
    fs::write(folder().join("goals.txt"), crate::goals::table(figures))?;
    Ok(())
}

/// The figures of the last run.
pub fn read() -> Result<Figures> {
    Ok(serde_json::from_slice(&fs::read(folder().join("figures.json"))?)?)
}

/// Writes the page and its plot.
pub fn publish(figures: &Figures) -> Result<()> {
    let docs = world::place::root().join("docs");
    fs::write(docs.join("performance.svg"), svg(figures))?;
    fs::write(docs.join("performance.md"), page(figures))?;
    Ok(())
}

fn page(figures: &Figures) -> String {
    let machine = &figures.machine;
    let mut out = format!(
        "# Performance\n\n\
         Written by `make bench` on {} ({} cores, {}; load {} when it began: others may have worked on it too). A real API\n\
         server and etcd run on the same cores as all clients, so only ratios within one run mean much.\n\n\
         ![Time and memory over the number of applications](performance.svg)\n\n\
         ## Goals\n\n| id | what | goal | found | |\n|---|---|---|---|---|\n",
        machine.at,
        machine.cores,
        machine.processor,
        short(machine.load)
    );
    for goal in judged(figures) {
        let verdict = if goal.met { "pass" } else { "**miss**" };
        out += &format!("| {} | {} | {} | {} | {verdict} |\n", goal.id, goal.what, goal.goal, goal.found);
    }
    out +=
        "\n## Fleets\n\nMedians over the turns; requests are those of the audit log, without watches and leases.\n\n";
    out += &fleets(figures);
    out + include_str!("method.md")
}

/// A line for each client and size.
fn fleets(figures: &Figures) -> String {
    let mut out =
        "| client | N | k | seconds | writes each | reads each | CPU, ms each | API server CPU, ms each | peak MiB |\n\
                   |---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for who in figures.clients() {
        for k in figures.children_of(&who) {
            for n in figures.sizes(&who, k) {
                let of = |figure: fn(&Round) -> f64| figures.median(&who, (n, k), figure).unwrap_or(f64::NAN);
                let each = |figure: fn(&Round) -> f64| short(of(figure) / n as f64);
                out += &format!(
                    "| {who} | {n} | {k} | {} | {} | {} | {} | {} | {} |\n",
                    short(of(|r| r.seconds)),
                    each(|r| r.writes as f64),
                    each(|r| r.reads as f64),
                    each(|r| r.cpu_seconds * 1e3),
                    each(|r| r.server_cpu_seconds * 1e3),
                    short(of(|r| r.peak_mib)),
                );
            }
        }
    }
    out
}
