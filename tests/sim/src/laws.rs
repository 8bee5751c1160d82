//! The laws by their ids, each with the plans that try to break it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::place::State;
use crate::run::{Act, Ended};
use crate::saved;
use crate::script;
use crate::search::{Budget, Case, Tally, clock_plans, fault_plans, freeze_plans, strangers, view_plans, walk};
use crate::trouble::{Rule, Trouble};
use crate::words;

/// The manifests that go live in simulations.
const MANIFESTS: [&str; 5] = [
    include_str!("../manifests/shop.yaml"),
    include_str!("../../../examples/s0-csvboard.yaml"),
    include_str!("../manifests/hello.yaml"),
    include_str!("../manifests/mill.yaml"),
    include_str!("../manifests/desk.yaml"),
];

/// How much of everything is tried.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Every so many crash points and faults.
    pub stride: usize,
    /// Whether a crash is followed by a crash of its recovery.
    pub pairs: bool,
    /// Random walks from each manifest.
    pub walks: u64,
    /// Random troubles of each manifest.
    pub mixes: u64,
}

impl Effort {
    /// Fewer plans, where there are many of a kind.
    pub fn sparser(self, times: usize) -> Effort {
        Effort { stride: if self.stride == 1 { 1 } else { self.stride * times }, ..self }
    }
}

/// A law and what came of trying to break it.
pub struct Finding {
    pub id: &'static str,
    pub what: &'static str,
    pub tally: Tally,
}

/// A figure beside its goal, by the ids of the project's goals.
pub struct Figure {
    pub id: &'static str,
    pub what: &'static str,
    pub goal: String,
    pub figure: String,
    pub passes: bool,
}

impl Finding {
    /// Whether all that there is was tried, and nothing was broken.
    fn figure(&self) -> Figure {
        let Tally { plans, of, breaches, .. } = &self.tally;
        let figure = format!("{plans} of {of} tried, {} breaches", breaches.len());
        let passes = plans >= of && breaches.is_empty();
        Figure { id: self.id, what: self.what, goal: "all, 0 breaches".into(), figure, passes }
    }
}

/// Plans in ten minutes that are the goal, and steps of walks.
const PLANS: usize = 100_000;
const STEPS: usize = 10_000;
/// Changes of the spec in one walk.
const LENGTH: usize = 4;

/// All figures: of the laws, and of what holds in every plan of any law.
pub fn figures(findings: &[Finding], took: Duration) -> Vec<Figure> {
    let plans: usize = findings.iter().map(|finding| finding.tally.plans).sum();
    let breaches: usize = findings.iter().map(|finding| finding.tally.breaches.len()).sum();
    let walks: Vec<&Tally> = findings.iter().filter(|f| f.id == "T4").map(|f| &f.tally).collect();
    let of_walks = |count: fn(&Tally) -> usize| walks.iter().map(|tally| count(tally)).sum::<usize>();
    let (walked, live) = (of_walks(|tally| tally.plans), of_walks(|tally| tally.live));
    let counted = |id, what, (goal, count): (usize, usize)| Figure {
        id,
        what,
        goal: format!("{goal}, 0 breaches"),
        figure: format!("{count} in {} s, {breaches} breaches", took.as_secs()),
        passes: count >= goal && breaches == 0,
    };
    let always = |id, what, goal: &str| Figure {
        id,
        what,
        goal: goal.to_owned(),
        figure: format!("in all {plans} plans, {breaches} breaches"),
        passes: breaches == 0,
    };
    let mut figures = vec![
        counted("R1", "plans in ten minutes", (PLANS, plans)),
        counted("R4", "random steps over every field that golive acts on", (STEPS, of_walks(|tally| tally.steps))),
        Figure {
            id: "R4",
            what: "walks that end live: all of the world is compared",
            goal: "a third of all".into(),
            figure: format!("{live} of {walked}"),
            passes: 3 * live >= walked,
        },
        always("R6", "ACME orders beyond the plain run's", "at most 1 for each lost reply or crash"),
        always("R9", "writes at rest", "0 in five resyncs"),
    ];
    figures.extend(findings.iter().map(Finding::figure));
    figures.sort_by_key(|figure| figure.id);
    figures
}

/// The SaasDeployments that are simulated.
pub fn subjects() -> Vec<Value> {
    MANIFESTS.iter().flat_map(|text| script::documents(text)).collect()
}

/// A SaasDeployment that went live, and then went.
struct Subject {
    saas: Value,
    life: (Case, Ended),
    ends: Vec<(Case, Ended)>,
}

impl Subject {
    fn of(saas: Value) -> Subject {
        let life = go_live(&saas);
        let ends = farewells(&saas, &life.1.state);
        Subject { saas, life, ends }
    }
}

/// A law, and how it is tried.
struct Law {
    id: &'static str,
    what: &'static str,
    /// How much of the time it gets, in parts of a hundred.
    share: u32,
    attempt: fn(&Subject, Effort, Budget) -> Tally,
}

/// Those with few plans come first: what they leave of their time is the others'.
const LAWS: [Law; 10] = [
    Law {
        id: "T6",
        what: "the operator's clock is wrong",
        share: 2,
        // They are few: all are tried.
        attempt: |s, effort, budget| s.life.0.under(&clock_plans(), Effort { stride: 1, ..effort }, budget),
    },
    Law {
        id: "S4",
        what: "what is somebody else's is never written to, not for a moment",
        share: 2,
        attempt: |s, _, budget| s.life.0.beside(&strangers(&s.life.1), None, budget),
    },
    Law {
        id: "T9",
        what: "states that earlier versions left are taken on",
        share: 5,
        attempt: |s, effort, budget| {
            let name = s.saas["metadata"]["name"].as_str().unwrap_or_default();
            s.life.0.inherits(&saved::of(name, s.life.0.script.len()), effort, budget)
        },
    },
    Law {
        id: "T2",
        what: "watches are late, torn off or forgotten",
        share: 3,
        attempt: |s, effort, budget| s.life.0.under(&view_plans(), effort, budget),
    },
    Law {
        id: "T5",
        what: "a leader stands still at each request, another takes over",
        share: 8,
        attempt: |s, effort, budget| s.life.0.under(&freeze_plans(&s.life.1), effort.sparser(8), budget),
    },
    Law { id: "T4", what: "random walks over specs end as their last step alone", share: 15, attempt: walks },
    Law {
        id: "R5",
        what: "deletion of each kind, with crashes and faults: nothing is left anywhere",
        share: 15,
        attempt: ends,
    },
    Law {
        id: "T3",
        what: "each request goes wrong in each way",
        share: 30,
        attempt: |s, effort, budget| s.life.0.faults(&fault_plans(&s.life.1), effort, budget),
    },
    Law {
        id: "T1",
        what: "crash before and after each write, and of the recovery",
        share: 10,
        attempt: |s, effort, budget| s.life.0.crashes(&s.life.1, effort, budget),
    },
    Law {
        id: "T1-T3",
        what: "several crashes, faults and late watches in one run, by chance",
        share: 10,
        attempt: |s, effort, budget| s.life.0.mixed(&s.life.1, 0..effort.mixes, budget),
    },
];

/// The ids of all laws.
pub fn ids() -> Vec<&'static str> {
    LAWS.iter().map(|law| law.id).collect()
}

/// Tries to break every law, within the budget.
pub fn all(effort: Effort, budget: Budget) -> Vec<Finding> {
    of(&|_| true, effort, budget)
}

/// Tries to break the laws of these ids, within the budget.
pub fn of(wanted: &dyn Fn(&str) -> bool, effort: Effort, budget: Budget) -> Vec<Finding> {
    let subjects: Vec<Subject> = subjects().into_iter().map(Subject::of).collect();
    let laws: Vec<&Law> = LAWS.iter().filter(|law| wanted(law.id)).collect();
    let mut left: u32 = laws.iter().map(|law| law.share).sum();
    let mut findings = Vec::new();
    for law in laws {
        let mine = budget.part(law.share, left);
        left -= law.share;
        let tally = mine.share(&subjects, |subject, budget| (law.attempt)(subject, effort, budget));
        findings.push(Finding { id: law.id, what: law.what, tally });
    }
    findings.sort_by_key(|finding| finding.id);
    findings
}

/// From nothing to live.
pub fn go_live(saas: &Value) -> (Case, Ended) {
    let name = saas["metadata"]["name"].as_str().unwrap_or_default();
    Case::new(name, State::new(), script::go_live(saas))
}

/// From live to nothing.
pub fn farewell(saas: &Value, live: State) -> (Case, Ended) {
    parting(saas, "deleted", live, vec![script::delete(saas, false)])
}

/// From live to nothing in each way. In the foreground, and with the namespace, the vault is deleted before its
/// SaasDeployment; and it alone knows of what stands at vendors, for the spec names nothing of that any more. All is to end
/// as it does when the SaasDeployment is deleted alone.
pub fn farewells(saas: &Value, live: &State) -> Vec<(Case, Ended)> {
    let (plain, empty) = farewell(saas, live.clone());
    let gone =
        parting(saas, "", empty.state.clone(), vec![script::delete(saas, false), script::delete_namespace(saas)]).0;
    let beside = |name, last, wanted| {
        let (case, ended) = parting(saas, name, live.clone(), vec![Act::AtOnce(vec![script::bare(saas), last])]);
        (Case { wanted, ..case }, ended)
    };
    let last = beside("deleted in the foreground", script::delete(saas, true), plain.wanted.clone());
    let whole = beside("deleted with its namespace", script::delete_namespace(saas), gone.wanted);
    vec![(plain, empty), last, whole]
}

/// What follows a go-live.
fn parting(saas: &Value, how: &str, live: State, acts: Vec<Act>) -> (Case, Ended) {
    let name = format!("{} {how}", saas["metadata"]["name"].as_str().unwrap_or_default());
    Case::new(&name, live, [script::go_live(saas), acts].concat())
}

fn ends(subject: &Subject, effort: Effort, budget: Budget) -> Tally {
    let mut tally = Tally::default();
    for (at, (case, ended)) in subject.ends.iter().enumerate() {
        let mine = budget.part(1, u32::try_from(subject.ends.len() - at).unwrap_or(1));
        let faults: Vec<Rule> = fault_plans(ended).into_iter().filter(|rule| at == 0 || !denies_vault(rule)).collect();
        tally = tally.and(case.crashes(ended, effort, mine.part(1, 2))).and(case.faults(&faults, effort, mine));
    }
    tally
}

/// Whether the API server says of a vault that there is none: it is believed, and nobody else knows what the vault knew.
fn denies_vault(rule: &Rule) -> bool {
    let denies = matches!(rule.trouble, Trouble::Answer { status: 404, .. });
    denies && rule.what.starts_with("GET ") && rule.what.ends_with("-secrets")
}

fn walks(subject: &Subject, effort: Effort, budget: Budget) -> Tally {
    let words = words::all();
    let seeds: Vec<u64> = (0..effort.walks).collect();
    budget.work(&seeds, |seed| walk(&words, &subject.saas, *seed, LENGTH))
}

/// The figures as JSON, for reports.
pub fn report(figures: &[Figure]) -> Value {
    let line = |f: &Figure| json!({"id": f.id, "what": f.what, "goal": f.goal, "figure": f.figure, "passes": f.passes});
    json!(figures.iter().map(line).collect::<Vec<_>>())
}
