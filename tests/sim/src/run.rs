//! The operator in a place, until nothing changes any more.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use golive::cluster;
use golive::config::{Config, Gateway};
use golive::operator::Operator;
use kube::Client;
use prometheus_client::registry::Registry;
use serde_json::Value;

use crate::doors::{Beyond, Doors, Key, MOST, Write, api};
use crate::nature;
use crate::place::{SYSTEM, State};
use crate::trouble::{Rule, Troubles};

/// Nothing was written for so long: five resyncs of a minute, and longer than golive ever waits after a refusal.
pub const SETTLED: Duration = Duration::from_secs(310);
/// How long the operator has for a cluster without any application before somebody applies one.
const GROUNDED: Duration = Duration::from_secs(30);
/// A world that has not come to rest by then never will.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);
/// How long a look of nature takes. Few looks take no whole second, as the operator's waits do: of two things at one moment
/// chance would choose the first.
const LOOK: Duration = Duration::from_millis(190);
/// How long it takes until a pod that died is followed by another.
const RESTART: Duration = Duration::from_secs(1);

/// What users do.
#[derive(Clone, Debug)]
pub enum Act {
    Apply(Value),
    /// A deletion: kind, namespace and name, whether it is done in the foreground.
    Delete(&'static str, [String; 2], bool),
    /// A call of a vendor's API by somebody who has our credential: vendor, method and path, body.
    Call(&'static str, String, Value),
    /// A change by hand, as `kubectl edit` makes it: kind, namespace and name, merge patch.
    Edit(&'static str, [String; 2], Value),
    /// From now on admission changes objects of this kind.
    Admit(&'static str, Value),
    /// Several at one moment.
    AtOnce(Vec<Act>),
    /// What has to be there before anybody applies an application: nothing in it is golive's to act on.
    Ground(Vec<Act>),
    /// Somebody deletes the row at a vendor that shows this text.
    Lose(&'static str, String),
    /// From now on requests go wrong in this way, beside the others.
    Fail(Rule),
    /// Nothing goes wrong any more.
    Mend,
    /// So much time passes in which the operator stands still, as on a machine that sleeps.
    Pass(Duration),
    /// The operator dies.
    Crash,
}

impl Act {
    fn done(&self, state: &mut State) {
        match self {
            Act::Apply(object) => state.apply(object, "kubectl"),
            Act::Delete(kind, place, foreground) => state.delete(kind, place, *foreground),
            Act::Call(vendor, line, body) => drop(state.call(vendor, line, body)),
            Act::Edit(kind, place, patch) => state.edit(kind, place, patch),
            Act::Admit(kind, patch) => drop(state.cluster.rules.insert(kind, patch.clone())),
            Act::AtOnce(acts) | Act::Ground(acts) => acts.iter().for_each(|act| act.done(state)),
            Act::Lose(vendor, text) => state.lose(vendor, text),
            Act::Fail(_) | Act::Mend | Act::Pass(_) | Act::Crash => {}
        }
    }

    /// How long nothing is to be written before the next act comes.
    fn settled(&self) -> Duration {
        if matches!(self, Act::Ground(_)) { GROUNDED } else { SETTLED }
    }

    /// What befalls the operator, and not the state.
    async fn befalls(&self, doors: &Doors) {
        match self {
            Act::Fail(rule) => doors.book().fail(rule.clone()),
            Act::Mend => doors.book().mend(),
            Act::Pass(time) => tokio::time::advance(*time).await,
            Act::Crash => doors.crashed.notify_one(),
            _ => {}
        }
    }
}

/// What a run came to.
pub struct Ended {
    pub state: State,
    /// The cluster's version when it began.
    pub began: u64,
    pub writes: Vec<Write>,
    pub requests: usize,
    pub calls: Vec<(usize, String)>,
    /// Whether it came to rest.
    pub rests: bool,
    /// Requests that came before a vendor wanted them.
    pub hasty: Vec<String>,
    /// Requests that a vendor refused as too many.
    pub refused: Vec<String>,
}

/// What to run.
pub struct Run<'a> {
    pub script: &'a [Act],
    pub troubles: Troubles,
    /// Whether the state before and after each write is kept.
    pub keeps_states: bool,
    pub config: Config,
    /// How many operators there are.
    pub replicas: usize,
    /// How long an act may take until the next comes although the world does not rest; `None`: none comes then.
    pub pace: Option<Duration>,
}

impl<'a> Run<'a> {
    /// A script without troubles.
    pub fn of(script: &'a [Act]) -> Run<'a> {
        Run { script, troubles: Troubles::default(), keeps_states: false, config: config(), replicas: 1, pace: None }
    }

    /// Runs from a state until everything rests.
    pub fn from(self, state: State) -> Ended {
        let mut state = state;
        state.since = state.at;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(self.go(state))
    }

    async fn go(self, state: State) -> Ended {
        let began = state.cluster.version();
        let doors = Doors::new(state, self.troubles.clone(), self.keeps_states);
        let nature = tokio::spawn(live(doors.clone()));
        let rests = tokio::select! {
            biased;
            () = self.operate_all(&doors) => false,
            rests = self.play(&doors) => rests,
        };
        nature.abort();
        let state = doors.state().clone();
        let mut book = doors.book();
        Ended {
            state,
            began,
            writes: std::mem::take(&mut book.writes),
            requests: book.requests,
            calls: std::mem::take(&mut book.calls),
            rests: rests && book.requests <= MOST,
            hasty: std::mem::take(&mut book.hasty),
            refused: std::mem::take(&mut book.refused),
        }
    }

    /// Acts one after the other, each when the one before has come to rest.
    async fn play(&self, doors: &Arc<Doors>) -> bool {
        loop {
            let step = doors.shared.lock().step;
            let Some(act) = self.script.get(step) else { return self.rest(doors, SETTLED).await };
            {
                let mut state = doors.state();
                state.step += 1;
                act.done(&mut state);
            }
            act.befalls(doors).await;
            doors.tell();
            if step + 1 < self.script.len() && !self.rest(doors, act.settled()).await && self.pace.is_none() {
                return false;
            }
        }
    }

    /// Waits until nothing was written for long enough.
    async fn rest(&self, doors: &Doors, settled: Duration) -> bool {
        let started = tokio::time::Instant::now();
        while started.elapsed() < self.pace.unwrap_or(PATIENCE) {
            let quiet = doors.quiet_for().min(started.elapsed());
            if quiet >= settled {
                return true;
            }
            tokio::time::sleep(settled - quiet).await;
        }
        false
    }

    async fn operate_all(&self, doors: &Arc<Doors>) {
        let key = |replica| Key { doors: doors.clone(), replica };
        join_all((0..self.replicas).map(|replica| self.operate(key(replica)))).await;
    }

    /// One operator after the other: each lives until a trouble kills it.
    async fn operate(&self, key: Key) {
        for life in 0.. {
            let operator = self.operator(&key, life).assemble(&mut Registry::default());
            tokio::select! {
                biased;
                _ = operator.lead(std::future::pending()) => {}
                () = key.doors.crashed.notified() => {}
            }
            tokio::time::sleep(RESTART).await;
        }
    }

    fn operator(&self, key: &Key, life: u32) -> Operator {
        let door = key.clone();
        let service = tower::service_fn(move |request| api(door.clone(), request));
        Operator {
            client: Client::new(cluster::patient(service), "default"),
            outside: Arc::new(Beyond(key.clone())),
            config: Arc::new(self.config.clone()),
            cluster: "c1057e12".into(),
            namespace: SYSTEM.into(),
            identity: format!("golive-{}-{life}-{}", key.replica, key.doors.shared.lock().at.as_secs()),
        }
    }
}

/// The operator's configuration.
pub fn config() -> Config {
    let gateway = Gateway { class: "sim".into(), shared: None, namespace: None };
    Config { gateway: Some(gateway), ..Config::default() }
}

/// Nature looks whenever something changed.
async fn live(doors: Arc<Doors>) {
    let mut told = doors.changed.subscribe();
    loop {
        tokio::time::sleep(LOOK).await;
        told.mark_unchanged();
        let moved = {
            let mut state = doors.state();
            let now = state.now();
            nature::step(&mut state.cluster, now)
        };
        match moved {
            true => doors.tell(),
            false => drop(told.changed().await),
        }
    }
}
