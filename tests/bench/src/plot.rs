//! Time and memory over N as one SVG, both axes logarithmic.

use crate::figures::{Figures, Round};

const PANEL: (f64, f64) = (330.0, 250.0);
const MARGIN: (f64, f64) = (62.0, 34.0);
const COLOURS: [&str; 8] = ["#0b6e4f", "#7fb685", "#333333", "#999999", "#c8553d", "#3d5a80", "#8e44ad", "#d4a017"];

/// A line: its name, and its points.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Draws both panels.
pub fn svg(figures: &Figures) -> String {
    let (width, height) = (2.0 * (PANEL.0 + MARGIN.0) + 150.0, PANEL.1 + 2.0 * MARGIN.1 + 16.0);
    let time = panel("seconds until the fleet stands", &lines(figures, |r| r.seconds), 0.0);
    let memory = panel("resident memory, MiB", &lines(figures, |r| r.peak_mib.max(r.rss_mib)), PANEL.0 + MARGIN.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{time}{memory}{}</svg>\n",
        legend(&lines(figures, |r| r.seconds))
    )
}

fn lines(figures: &Figures, figure: fn(&Round) -> f64) -> Vec<Line> {
    let mut lines = Vec::new();
    for who in figures.clients() {
        for k in figures.children_of(&who) {
            let points = figures.sizes(&who, k).into_iter();
            let points = points.filter_map(|n| Some((n as f64, figures.median(&who, (n, k), figure)?))).collect();
            lines.push(Line { name: format!("{who}, k = {k}"), points });
        }
    }
    lines
}

fn panel(title: &str, lines: &[Line], left: f64) -> String {
    let all: Vec<(f64, f64)> = lines.iter().flat_map(|line| line.points.iter().copied()).collect();
    let (xs, ys) = (decades(all.iter().map(|p| p.0)), decades(all.iter().map(|p| p.1)));
    let place = |(x, y): (f64, f64)| {
        let (across, up) = (share(x, xs), share(y, ys));
        (left + MARGIN.0 + across * PANEL.0, MARGIN.1 + (1.0 - up) * PANEL.1)
    };
    let mut out = format!("<text x=\"{:.0}\" y=\"20\" font-weight=\"bold\">{title}</text>\n", left + MARGIN.0);
    for power in xs.0..=xs.1 {
        let ((x, bottom), (_, top)) = (place((10f64.powi(power), 10f64.powi(ys.0))), place((1.0, 10f64.powi(ys.1))));
        out += &rule((x, bottom), (x, top));
        out += &format!(
            "<text x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>\n",
            bottom + 15.0,
            10i64.pow(power.max(0) as u32)
        );
    }
    for power in ys.0..=ys.1 {
        let ((start, y), (end, _)) = (place((10f64.powi(xs.0), 10f64.powi(power))), place((10f64.powi(xs.1), 1.0)));
        out += &rule((start, y), (end, y));
        out += &format!(
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\n",
            start - 6.0,
            y + 4.0,
            10f64.powi(power)
        );
    }
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        out += &drawn(&line.points.iter().map(|p| place(*p)).collect::<Vec<_>>(), colour);
    }
    out
}

fn rule(from: (f64, f64), to: (f64, f64)) -> String {
    format!(
        "<line x1=\"{:.0}\" y1=\"{:.0}\" x2=\"{:.0}\" y2=\"{:.0}\" stroke=\"#dddddd\"/>\n",
        from.0, from.1, to.0, to.1
    )
}

fn drawn(points: &[(f64, f64)], colour: &str) -> String {
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let dots = points.iter().map(|(x, y)| format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>\n"));
    format!("<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n", path.join(" "))
        + &dots.collect::<String>()
}

fn legend(lines: &[Line]) -> String {
    let left = 2.0 * (PANEL.0 + MARGIN.0) + 14.0;
    let entry = |(at, (line, colour)): (usize, (&Line, &&str))| {
        let y = MARGIN.1 + 10.0 + 18.0 * at as f64;
        format!(
            "<circle cx=\"{left:.0}\" cy=\"{:.0}\" r=\"4\" fill=\"{colour}\"/><text x=\"{:.0}\" y=\"{y:.0}\">{}</text>\n",
            y - 4.0,
            left + 9.0,
            line.name
        )
    };
    lines.iter().zip(COLOURS.iter().cycle()).enumerate().map(entry).collect()
}

/// The powers of ten around some figures.
fn decades(figures: impl Iterator<Item = f64>) -> (i32, i32) {
    let logs: Vec<f64> = figures.filter(|f| *f > 0.0).map(f64::log10).collect();
    let low = logs.iter().copied().fold(f64::INFINITY, f64::min);
    let high = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match logs.is_empty() {
        true => (0, 1),
        false => (low.floor() as i32, (high.ceil() as i32).max(low.floor() as i32 + 1)),
    }
}

fn share(figure: f64, (low, high): (i32, i32)) -> f64 {
    (figure.max(1e-9).log10() - f64::from(low)) / f64::from(high - low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_lies_between_its_decades() {
        assert_eq!(decades([30.0, 2000.0].into_iter()), (1, 4));
        assert!((share(100.0, (1, 3)) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn every_client_has_a_line_and_an_entry() {
        let round = |who: &str, n| Round { who: who.into(), n, k: 10, seconds: 2.0, rss_mib: 30.0, ..Round::default() };
        let rounds = vec![round("golive", 100), round("golive", 1000), round("floor", 100), round("floor", 1000)];
        let drawn = svg(&Figures { rounds, ..Figures::default() });
        assert_eq!(drawn.matches("<polyline").count(), 4);
        assert!(drawn.contains("golive, k = 10") && drawn.contains("floor, k = 10"));
    }

    #[test]
    fn no_two_lines_of_a_whole_run_have_the_same_colour() {
        let of = |who: &str, k| Round { who: who.into(), n: 100, k, seconds: 2.0, rss_mib: 30.0, ..Round::default() };
        let twice = ["floor", "kubectl", "golive"].into_iter().flat_map(|who| [of(who, 10), of(who, 20)]);
        let rounds: Vec<Round> = twice.chain([of("cert-manager", 1)]).collect();
        let entries = legend(&lines(&Figures { rounds, ..Figures::default() }, |r| r.seconds));
        let colours = entries.split("fill=\"").skip(1).filter_map(|rest| rest.split('"').next());
        assert_eq!(colours.collect::<std::collections::HashSet<_>>().len(), 7, "{entries}");
    }
}
