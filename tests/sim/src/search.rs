//! The search for breaches: many runs, on all processors.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use golive::offline::judge;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::cluster::resource::SERVED;
use crate::flaw::Flaw;
use crate::law::{self, Portrait};
use crate::laws::Effort;
use crate::place::{SYSTEM, State};
use crate::portrait;
use crate::run::{Act, Ended, Run};
use crate::script;
use crate::trouble::{Freeze, Rule, Trouble, Troubles, View};
use crate::walk::{Chance, Vocabulary};
use crate::words;

/// There are more faults than crashes by far: of the plans that are left out, more are of these.
const FAULTS_PER_CRASH: usize = 3;

/// So long is looked at an application that cannot go live.
const BLOCKED: Duration = Duration::from_secs(600);

/// Within so many requests a recovery is over.
const MOMENTS: usize = 160;

/// A run that broke a law, and how to see it again.
#[derive(Clone, Debug)]
pub struct Breach {
    pub plan: String,
    pub what: Vec<String>,
}

/// What a search came to.
#[derive(Default)]
pub struct Tally {
    pub plans: usize,
    /// How many there were to try; where not all were begun, as many as those that were let expect.
    pub of: usize,
    /// Changes of specs in walks.
    pub steps: usize,
    /// Walks whose last spec goes live: all of the world where they end is compared.
    pub live: usize,
    pub breaches: Vec<Breach>,
}

impl Tally {
    /// One plan that was tried, and broke nothing.
    fn one() -> Tally {
        Tally { plans: 1, of: 1, ..Tally::default() }
    }

    /// Both together.
    pub fn and(mut self, other: Tally) -> Tally {
        self.plans += other.plans;
        self.of += other.of;
        self.steps += other.steps;
        self.live += other.live;
        self.breaches.extend(other.breaches);
        self
    }
}

/// Until when to search, and on how many threads.
#[derive(Clone, Copy)]
pub struct Budget {
    pub until: Instant,
    pub threads: usize,
}

impl Budget {
    /// A part of the time that is left.
    pub fn part(self, share: u32, of: u32) -> Budget {
        let left = self.until.saturating_duration_since(Instant::now());
        Budget { until: Instant::now() + left * share / of.max(1), ..self }
    }

    /// Gives each of a list an equal part of the time; what one leaves of its own is the others'.
    pub fn share<T>(self, list: &[T], job: impl Fn(&T, Budget) -> Tally) -> Tally {
        let rest = |at: usize| u32::try_from(list.len() - at).unwrap_or(1);
        list.iter().enumerate().map(|(at, item)| job(item, self.part(1, rest(at)))).fold(Tally::default(), Tally::and)
    }

    /// Works through a list; what comes after the time is left out.
    pub fn work<T: Sync>(self, list: &[T], job: impl Fn(&T) -> Tally + Sync) -> Tally {
        let (next, done, total) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Tally::default()));
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    while let Some(item) = list.get(next.fetch_add(1, Ordering::SeqCst)) {
                        if Instant::now() > self.until {
                            return;
                        }
                        let found = job(item);
                        done.fetch_add(1, Ordering::SeqCst);
                        if let Ok(mut total) = total.lock() {
                            *total = std::mem::take(&mut *total).and(found);
                        }
                    }
                });
            }
        });
        let (done, total) = (done.into_inner(), total.into_inner().unwrap_or_default());
        // What is left is as much, each, as what was done: a first crash is many with those that follow it.
        let left = (list.len() - done) * total.of.checked_div(done).unwrap_or(1);
        total.and(Tally { of: left, ..Tally::default() })
    }
}

/// A script with the place where it begins and how it should end.
pub struct Case {
    pub name: String,
    pub start: State,
    pub script: Vec<Act>,
    pub wanted: Portrait,
}

impl Case {
    /// Runs the script without troubles to learn how it should end.
    pub fn new(name: &str, start: State, script: Vec<Act>) -> (Case, Ended) {
        let ended = Run { keeps_states: true, ..Run::of(&script) }.from(start.clone());
        let mut wanted = Portrait::of(&ended);
        wanted.extra_orders = 1;
        (Case { name: name.into(), start, script, wanted }, ended)
    }

    /// The same case with so many ACME orders more than the plain run's.
    fn with_orders(&self, extra_orders: usize) -> Case {
        let mut wanted = self.wanted.clone();
        wanted.extra_orders = extra_orders;
        Case { name: self.name.clone(), start: self.start.clone(), script: self.script.clone(), wanted }
    }

    fn judge(&self, plan: String, ended: &Ended) -> Tally {
        let what = self.breaches(ended);
        let breach = Breach { plan: format!("{}: {plan}", self.name), what };
        let breaches = Some(breach).filter(|b| !b.what.is_empty()).into_iter().collect();
        Tally { breaches, ..Tally::one() }
    }

    /// Every breach by a run that should have ended as this case does.
    pub fn breaches(&self, ended: &Ended) -> Vec<String> {
        law::breaches(&self.wanted, ended)
    }

    /// T1: the operator dies before and after each write; then (with pairs) again at each write of its recovery.
    pub fn crashes(&self, ended: &Ended, effort: Effort, budget: Budget) -> Tally {
        let points: Vec<_> = points(ended).into_iter().step_by(effort.stride).collect();
        let once = budget.work(&points, |(name, state)| {
            self.judge(format!("crash {name}"), &Run::of(&self.script).from((*state).clone()))
        });
        if effort.pairs { once.and(self.crashes_twice(&points, budget)) } else { once }
    }

    fn crashes_twice(&self, points: &[(String, &State)], budget: Budget) -> Tally {
        // Each crash may lose the address of one order.
        let twice = self.with_orders(self.wanted.extra_orders + 1);
        budget.work(points, |(name, state)| {
            let first = Run { keeps_states: true, ..Run::of(&self.script) }.from((*state).clone());
            let mut tally = Tally::default();
            for (second, state) in self::points(&first) {
                if Instant::now() > budget.until {
                    tally.of += 1;
                    continue;
                }
                let again = Run::of(&self.script).from(state.clone());
                tally = tally.and(twice.judge(format!("crash {name}, then crash {second}"), &again));
            }
            tally
        })
    }

    /// T9: the operator of now takes on states that earlier ones left, and dies over it.
    pub fn inherits(&self, states: &[(String, State)], effort: Effort, budget: Budget) -> Tally {
        let mut heir = self.with_orders(self.wanted.extra_orders);
        heir.wanted.inherits = true;
        budget.share(states, |(name, state), budget| {
            let ended = Run { keeps_states: true, ..Run::of(&self.script) }.from(state.clone());
            heir.judge(format!("state {name}"), &ended).and(heir.crashes(&ended, effort, budget))
        })
    }

    /// T2, T5, T6: the whole run under a trouble of its own.
    pub fn under(&self, troubles: &[(String, Troubles)], effort: Effort, budget: Budget) -> Tally {
        let plans: Vec<_> = troubles.iter().step_by(effort.stride.div_ceil(4)).collect();
        budget.work(&plans, |(name, troubles)| {
            let run = Run { troubles: troubles.clone(), replicas: troubles.replicas(), ..Run::of(&self.script) };
            self.judge(name.clone(), &run.from(self.start.clone()))
        })
    }

    /// The operator dies at some write, and its recovery meets several troubles at once: all by chance.
    pub fn mixed(&self, ended: &Ended, seeds: std::ops::Range<u64>, budget: Budget) -> Tally {
        let (points, seeds) = (points(ended), seeds.collect::<Vec<_>>());
        budget.work(&seeds, |seed| {
            let Some((plan, troubles, state)) = mix(&points, *seed) else { return Tally::default() };
            let lost: usize = troubles.rules.iter().map(Rule::lost_orders).sum();
            let case = self.with_orders(self.wanted.extra_orders + lost);
            case.judge(plan, &Run { troubles, ..Run::of(&self.script) }.from(state.clone()))
        })
    }

    /// S4: at a name that golive takes for an object stands one of somebody else's, the same in all that could conflict.
    pub fn beside(&self, strangers: &[Value], flaw: Option<Flaw>, budget: Budget) -> Tally {
        budget.work(strangers, |stranger| {
            let mut script = self.script.clone();
            script.insert(1, Act::Apply(stranger.clone()));
            let troubles = Troubles { flaw, ..Troubles::default() };
            let run = Run { troubles, keeps_states: true, pace: Some(BLOCKED), ..Run::of(&script) };
            let what = law::trespasses(stranger, &run.from(self.start.clone()));
            let plan = format!("{}: beside {} {}", self.name, stranger["kind"], stranger["metadata"]["name"]);
            let breaches = Some(Breach { plan, what }).filter(|b| !b.what.is_empty()).into_iter().collect();
            Tally { breaches, ..Tally::one() }
        })
    }

    /// T3: requests go wrong as these plans say.
    pub fn faults(&self, plans: &[Rule], effort: Effort, budget: Budget) -> Tally {
        let plans: Vec<&Rule> = plans.iter().step_by(effort.sparser(FAULTS_PER_CRASH).stride).collect();
        budget.work(&plans, |rule| {
            let run = Run { troubles: Troubles::of((*rule).clone()), ..Run::of(&self.script) };
            let case = self.with_orders(self.wanted.extra_orders.max(rule.lost_orders()));
            case.judge(format!("{rule:?}"), &run.from(self.start.clone()))
        })
    }
}

/// The plan of a seed in words, with its troubles and the state that a crash leaves.
pub fn mix<'a>(points: &[(String, &'a State)], seed: u64) -> Option<(String, Troubles, &'a State)> {
    let mut chance = Chance(seed);
    let (name, state) = chance.of(points)?;
    let troubles = together(&mut chance);
    Some((format!("seed {seed}: crash {name}, then {:?} {:?}", troubles.rules, troubles.views), troubles, state))
}

/// Troubles that come together: up to three requests go wrong or kill the operator, and one kind may be seen late.
fn together(chance: &mut Chance) -> Troubles {
    let ways = [ways(), vec![Trouble::CrashBefore, Trouble::CrashAfter]].concat();
    let rules = (0..=chance.below(3)).filter_map(|_| {
        let trouble = chance.of(&ways)?.clone();
        Some(Rule { what: String::new(), after: chance.below(MOMENTS), times: 1 + 4 * (chance.below(4) / 3), trouble })
    });
    let rules = rules.collect();
    let views = view_plans();
    let view = (chance.below(4) == 0).then(|| chance.of(&views)).flatten();
    Troubles {
        rules,
        views: view.map(|(_, troubles)| troubles.views.clone()).unwrap_or_default(),
        ..Troubles::default()
    }
}

/// T4: a walk over specs ends where the last spec alone leads. One that does not is told by the fewest steps that show it.
pub fn walk(words: &Vocabulary, saas: &Value, seed: u64, length: usize) -> Tally {
    let specs = words.walk(saas, seed, length);
    let (what, is_live) = strays(&specs);
    let tally = Tally { steps: specs.len() - 1, live: usize::from(is_live), ..Tally::one() };
    if what.is_empty() {
        return tally;
    }
    let (specs, what) = shrunk(specs, what);
    let plan = format!("walk with seed {seed} from {}, shrunk to:{}", saas["metadata"]["name"], told(&specs));
    Tally { breaches: vec![Breach { plan, what }], ..tally }
}

/// Where a walk ends elsewhere than its last spec alone, and whether that goes live. Both have the ground of the whole
/// walk: only the way differs.
fn strays(specs: &[Value]) -> (Vec<String>, bool) {
    let room = specs.first().map(script::namespace).unwrap_or_default();
    let ground = || specs.iter().flat_map(script::ground).chain(words::ground(room)).collect();
    let walked = script::applied(ground(), specs);
    let straight = script::applied(ground(), specs.last().map_or(&[], std::slice::from_ref));
    let direct = Run::of(&straight).from(State::new());
    (law::strays(&direct, &Run::of(&walked).from(State::new())), law::is_live(&direct.state))
}

/// The same stray with as few steps as can be: each is left out in turn, for as long as that helps.
fn shrunk(mut specs: Vec<Value>, mut what: Vec<String>) -> (Vec<Value>, Vec<String>) {
    let mut at = 0;
    while at + 1 < specs.len() {
        let mut fewer = specs.clone();
        fewer.remove(at);
        let valid = fewer.windows(2).all(|pair| judge::faults(&pair[1], Some(&pair[0])).is_empty());
        let found = if valid { strays(&fewer).0 } else { Vec::new() };
        match found.is_empty() {
            true => at += 1,
            false => (specs, what) = (fewer, found),
        }
    }
    (specs, what)
}

/// A walk in words: the first spec, and what each step changes.
fn told(specs: &[Value]) -> String {
    let first = specs.first().map(|saas| saas["spec"].to_string()).unwrap_or_default();
    let steps = specs.windows(2).map(|pair| portrait::differences(&pair[0]["spec"], &pair[1]["spec"]).join(", "));
    std::iter::once(first).chain(steps).map(|line| format!("\n      {line}")).collect()
}

/// The moments at which a crash makes a difference: before and after each write.
pub fn points(ended: &Ended) -> Vec<(String, &State)> {
    let mut points = Vec::new();
    for write in &ended.writes {
        if let Some((before, after)) = &write.states {
            points.push((format!("before {} {}", write.at, write.what), before));
            points.push((format!("after {} {}", write.at, write.what), after));
        }
    }
    points
}

/// An object of somebody else's for each that golive made in a run: declared alike, so that no field conflicts.
pub fn strangers(ended: &Ended) -> Vec<Value> {
    let changes = ended.state.cluster.since(0).unwrap_or_default().iter();
    let made = changes.filter(|change| change.old.is_none()).filter_map(|change| change.new.as_ref());
    let ours = made.filter(|object| object.value["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "golive");
    let direct = ours.filter(|object| {
        object.meta("namespace") != SYSTEM && object.value["metadata"]["ownerReferences"][0]["kind"] != "CronJob"
    });
    let all =
        direct.map(|object| (format!("{} {}", object.value["kind"], object.meta("name")), stranger(&object.value)));
    all.collect::<BTreeMap<_, _>>().into_values().collect()
}

fn stranger(ours: &Value) -> Value {
    let mut theirs = ours.clone();
    let (namespace, name) = (&ours["metadata"]["namespace"], &ours["metadata"]["name"]);
    theirs["metadata"] = json!({"namespace": namespace, "name": name, "labels": {"theirs": "yes"}});
    theirs.as_object_mut().map(|fields| fields.remove("status"));
    theirs
}

/// Every way of going wrong that an answer has.
fn ways() -> Vec<Trouble> {
    let answer = |status, body, retry_after| Trouble::Answer { status, body, retry_after };
    vec![
        answer(400, "{}", None),
        answer(401, "{}", None),
        answer(403, "{}", None),
        answer(404, "{}", None),
        answer(409, "{}", None),
        answer(429, "{}", None),
        answer(429, "{}", Some(7)),
        answer(500, "{}", None),
        answer(502, "<html>", None),
        answer(503, "{}", Some(3)),
        answer(302, "", None),
        Trouble::AnswerAfter { status: 500, body: "{}" },
        Trouble::AnswerAfter { status: 504, body: "<html>" },
        Trouble::Hangup { done: false },
        Trouble::Hangup { done: true },
        Trouble::Silence { done: false },
        Trouble::Silence { done: true },
        Trouble::Late(Duration::from_secs(12)),
        Trouble::Cut,
        Trouble::Garbage,
        Trouble::Hollow,
    ]
}

/// Every kind that is watched, seen late, torn off and forgotten.
pub fn view_plans() -> Vec<(String, Troubles)> {
    let views = [View::Late(Duration::from_secs(3)), View::Late(Duration::from_secs(70)), View::Torn, View::Expired];
    let kinds = SERVED.iter().map(|resource| format!("/{}", resource.plural)).chain([String::new()]);
    let plan = |(kind, view): (String, View)| {
        (format!("watches of {kind:?} {view:?}"), Troubles { views: vec![(kind, view)], ..Troubles::default() })
    };
    kinds.flat_map(|kind| views.map(|view| (kind.clone(), view))).map(plan).collect()
}

/// A leader that stands still at each of its requests, for less and for more than its lease lasts.
pub fn freeze_plans(ended: &Ended) -> Vec<(String, Troubles)> {
    let lasts = [10, 45, 400].map(Duration::from_secs);
    let freezes = (1..=ended.requests.min(400)).flat_map(|from| lasts.map(|lasts| Freeze { from, lasts }));
    let plan = |freeze| (format!("{freeze:?}"), Troubles { freeze: Some(freeze), ..Troubles::default() });
    freezes.map(plan).collect()
}

/// Clocks that are ahead of everybody else's, or behind: that of one replica alone, and that of one of two.
pub fn clock_plans() -> Vec<(String, Troubles)> {
    let alone = [-300, -30, 30, 300, 86_400].map(|ahead| (ahead, None));
    let beside =
        [(0, -600), (0, -30), (0, 30), (0, 600), (-600, 0), (30, 0)].map(|(ahead, other)| (ahead, Some(other)));
    let plan = |(ahead, other): (i64, Option<i64>)| {
        let (ahead, standby) = (SignedDuration::from_secs(ahead), other.map(SignedDuration::from_secs));
        let beside = standby.map(|standby| format!(", that of a standby {standby:#}")).unwrap_or_default();
        let troubles = Troubles { ahead, standby, ..Troubles::default() };
        (format!("the operator's clock is {ahead:#} ahead{beside}"), troubles)
    };
    alone.into_iter().chain(beside).map(plan).collect()
}

/// Each request of a run, with each way of going wrong: once, and five times in a row.
pub fn fault_plans(ended: &Ended) -> Vec<Rule> {
    let mut seen = BTreeMap::<&str, usize>::new();
    let mut plans = Vec::new();
    for (_, what) in ended.calls.iter().filter(|(_, what)| !what.contains("/leases") && !what.contains("/events")) {
        let after = *seen.entry(what).and_modify(|n| *n += 1).or_insert(0);
        // A request that comes again and again at rest is one call site.
        if after < 4 {
            for trouble in ways() {
                for times in [1, 5] {
                    plans.push(Rule { what: what.clone(), after, times, trouble: trouble.clone() });
                }
            }
        }
    }
    plans
}
