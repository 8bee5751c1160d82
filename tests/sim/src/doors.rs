//! The doors through which the operator reaches a place: the API server, vendors, the CA and DNS. Each request has a
//! number, and goes wrong where the run's troubles say so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use golive::fault::{Fault, Seen};
use golive::outside::{Answers, Broken, Outside, TIMEOUT, Terms};
use golive::rows::RecordType;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::authority;
use crate::cluster::answer::{Answer, Request, Selector};
use crate::cluster::resource::{SERVED, Target};
use crate::flaw::Flaw;
use crate::place::{self, Eyes, Shared, State};
use crate::trouble::{Rule, Trouble, Troubles, View};

/// The body of an answer of the API server.
pub type Stream = UnsyncBoxBody<Bytes, std::io::Error>;

/// One request that changes something, as it was made.
#[derive(Clone)]
pub struct Write {
    /// Its number among all requests.
    pub at: usize,
    pub what: String,
    /// When, since the run began.
    pub time: Duration,
    /// The state before and after, where the run keeps them.
    pub states: Option<(State, State)>,
}

/// What a run keeps of its requests.
#[derive(Default)]
pub struct Book {
    pub requests: usize,
    pub writes: Vec<Write>,
    /// Requests to each vendor's API, with their numbers.
    pub calls: Vec<(usize, String)>,
    troubles: Troubles,
    keeps_states: bool,
    last_write: Option<Instant>,
    /// Until when each vendor wants to be left alone.
    spared: BTreeMap<String, Instant>,
    /// Requests that came before a vendor wanted them.
    pub hasty: Vec<String>,
    /// Requests that a vendor refused as too many.
    pub refused: Vec<String>,
}

/// An operator that asks more than this runs in circles: nobody answers it any more.
pub const MOST: usize = 60_000;

/// A place with its doors.
pub struct Doors {
    pub shared: Shared,
    pub book: Mutex<Book>,
    /// Told when a trouble kills the operator.
    pub crashed: Notify,
    /// Told after each change, with the version that it led to.
    pub changed: watch::Sender<u64>,
    /// The same by kind, for watches: there are thirty, and most changes concern one.
    kinds: BTreeMap<&'static str, watch::Sender<()>>,
    started: Instant,
    /// How many requests the replica that is to freeze has made, and when it goes on.
    frozen: Mutex<(usize, Option<Instant>)>,
}

/// The doors as one replica uses them.
#[derive(Clone)]
pub struct Key {
    pub doors: Arc<Doors>,
    pub replica: usize,
}

impl Key {
    /// Makes a request; while this replica stands still the request does, and arrives afterwards even if nobody waits
    /// for its answer any more.
    async fn pass<T: Send + 'static>(&self, request: impl Future<Output = T> + Send + 'static) -> T {
        let Some(thaw) = self.thaws() else { return request.await };
        let late = async move {
            tokio::time::sleep_until(thaw).await;
            request.await
        };
        match tokio::spawn(late).await {
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        }
    }

    /// When this replica goes on, if it has been stopped.
    fn thaws(&self) -> Option<Instant> {
        let freeze = self.doors.book().troubles.freeze.filter(|_| self.replica == 0)?;
        let mut frozen = self.doors.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        frozen.0 += 1;
        (frozen.0 >= freeze.from).then(|| *frozen.1.get_or_insert_with(|| Instant::now() + freeze.lasts))
    }
}

impl Doors {
    /// Doors to a state.
    pub fn new(state: State, troubles: Troubles, keeps_states: bool) -> Arc<Doors> {
        let book = Book { troubles, keeps_states, ..Book::default() };
        let (changed, _) = watch::channel(state.cluster.version());
        let kinds = SERVED.iter().map(|resource| (resource.kind, watch::channel(()).0)).collect();
        let (shared, crashed, started) = (Shared::new(state), Notify::new(), Instant::now());
        Arc::new(Doors { shared, book: Mutex::new(book), crashed, changed, kinds, started, frozen: Mutex::default() })
    }

    /// The book.
    pub fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, at the time of now.
    pub fn state(&self) -> std::sync::MutexGuard<'_, State> {
        let mut state = self.shared.lock();
        state.at = state.at.max(state.since + SignedDuration::try_from(self.started.elapsed()).unwrap_or_default());
        state
    }

    fn flaw(&self) -> Option<Flaw> {
        self.book().troubles.flaw
    }

    /// How long nothing was changed by the operator.
    pub fn quiet_for(&self) -> Duration {
        self.book().last_write.unwrap_or(self.started).elapsed()
    }

    /// Tells those who wait that something changed.
    pub fn tell(&self) {
        let state = self.shared.lock();
        let before = self.changed.send_replace(state.cluster.version());
        let changes = state.cluster.since(before).unwrap_or_default();
        let kinds: BTreeSet<&str> = changes.iter().map(|change| change.resource.kind).collect();
        kinds.iter().for_each(|kind| self.kinds[kind].send_replace(()));
    }

    /// Makes a request by `work`, with the trouble that is planned for it.
    async fn through<T>(&self, what: String, writes: bool, work: impl FnOnce(&mut State) -> T) -> Passage<T> {
        let (at, trouble) = self.number(&what, writes);
        if trouble == Some(Trouble::CrashBefore) {
            return self.die().await;
        }
        let done = match &trouble {
            Some(Trouble::Answer { .. }) | Some(Trouble::Hangup { done: false } | Trouble::Silence { done: false }) => {
                None
            }
            _ => Some(self.work(at, what, writes, work)),
        };
        match trouble {
            Some(Trouble::CrashAfter) => self.die().await,
            Some(Trouble::Silence { .. }) => std::future::pending().await,
            Some(Trouble::Late(pause)) => {
                tokio::time::sleep(pause).await;
                Passage { done, trouble: None }
            }
            trouble => Passage { done, trouble },
        }
    }

    fn number(&self, what: &str, writes: bool) -> (usize, Option<Trouble>) {
        let mut book = self.book();
        book.requests += 1;
        let at = book.requests;
        book.calls.push((at, what.to_owned()));
        let trouble = if at > MOST { Some(Trouble::Silence { done: false }) } else { book.troubles.meet(what) };
        // A world in trouble does not rest, even if nobody writes.
        if writes || trouble.is_some() {
            book.last_write = Some(Instant::now());
        }
        (at, trouble)
    }

    fn work<T>(&self, at: usize, what: String, writes: bool, work: impl FnOnce(&mut State) -> T) -> T {
        let keeps = writes && self.book().keeps_states;
        let mut state = self.state();
        let before = keeps.then(|| state.clone());
        let result = work(&mut state);
        let states = before.map(|before| (before, state.clone()));
        drop(state);
        if writes {
            let time = self.started.elapsed();
            self.book().writes.push(Write { at, what, time, states });
            self.tell();
        }
        result
    }

    async fn die<T>(&self) -> Passage<T> {
        self.crashed.notify_one();
        std::future::pending().await
    }
}

/// What came of a request: its result, where the work was done, and what is wrong with the answer.
struct Passage<T> {
    done: Option<T>,
    trouble: Option<Trouble>,
}

/// Requests by which the operator only shows that it lives: they are no changes of the world.
fn is_sign_of_life(path: &str) -> bool {
    path.contains("/leases") || path.contains("/events")
}

/// The API server's door.
pub async fn api(key: Key, request: http::Request<Body>) -> Result<http::Response<Stream>, std::io::Error> {
    key.pass(answer(key.doors.clone(), request)).await
}

async fn answer(doors: Arc<Doors>, request: http::Request<Body>) -> Result<http::Response<Stream>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let media = parts.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let mut request =
        Request { method: parts.method.to_string(), path: parts.uri.path().to_owned(), query, media, body };
    if request.param("watch") == "true" {
        return Ok(observe(&doors, &request));
    }
    let flaw = doors.flaw();
    flaw.inspect(|flaw| flaw.spoil(&mut request));
    let invented = flaw.and_then(|flaw| flaw.answer(&request, &doors.state().cluster));
    let writes =
        request.method != "GET" && !request.is_trial() && !is_sign_of_life(&request.path) && invented.is_none();
    let what = named(&request);
    let passage = doors.through(what, writes, |state| {
        let now = state.now();
        invented.unwrap_or_else(|| state.cluster.answer(&request, now))
    });
    let passage = passage.await;
    let answer = match (passage.trouble, passage.done) {
        (Some(Trouble::Answer { status, .. } | Trouble::AnswerAfter { status, .. }), _) => {
            Answer::refusal(status, "simulated")
        }
        (Some(Trouble::Cut), Some(done)) => Answer { status: 200, body: done.body.slice(..done.body.len() / 2) },
        (Some(Trouble::Garbage), _) => Answer { status: 200, body: Bytes::from_static(b"<html>") },
        (Some(Trouble::Hollow), _) => Answer { status: 200, body: Bytes::from_static(b"{}") },
        (None, Some(done)) => done,
        _ => return Err(std::io::Error::other("the connection was reset")),
    };
    let body = Full::new(answer.body).map_err(|never| match never {}).boxed_unsync();
    http::Response::builder()
        .status(answer.status)
        .header("content-type", "application/json")
        .body(body)
        .map_err(std::io::Error::other)
}

/// A request in words; one that makes an object says which.
fn named(request: &Request) -> String {
    let line = format!("{} {}", request.method, request.path);
    if request.method != "POST" || is_sign_of_life(&request.path) {
        return line;
    }
    let object: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    object["metadata"]["name"].as_str().map_or(line.clone(), |name| format!("{line}/{name}"))
}

/// A watch: changes since a version, then as they come, until the server ends it.
fn observe(doors: &Arc<Doors>, request: &Request) -> http::Response<Stream> {
    let refused = |code: u16, why: &str| {
        let answer = Answer::refusal(code, why);
        let mut response = http::Response::new(Full::new(answer.body).map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
        response
    };
    let served = |target: &Target| doors.shared.lock().cluster.serves(target.resource);
    let Some(target) = Target::of(&request.path).filter(served) else {
        return refused(404, "the server could not find the requested resource");
    };
    let from: u64 = request.param("resourceVersion").parse().unwrap_or(0);
    if doors.shared.lock().cluster.since(from).is_none() {
        return refused(410, "too old resource version");
    }
    let seconds = request.param("timeoutSeconds").parse().unwrap_or(290);
    let flaw = doors.flaw();
    let blind = matches!(flaw, Some(Flaw::Blind(plural)) if plural == target.resource.plural);
    let view = doors.book().troubles.view(&request.path);
    let (doors, selector, told) = (doors.clone(), request.selector(), doors.kinds[target.resource.kind].subscribe());
    let lines = stream::unfold((Some(from), told), move |(seen, mut told)| {
        let (doors, selector, target) = (doors.clone(), selector.clone(), target.clone());
        async move {
            let mut seen = seen?;
            loop {
                let (mut events, version) = events(&doors, seen, &target, &selector);
                if events.is_empty() || blind {
                    // What was of no interest needs no second look.
                    seen = version;
                    told.changed().await.ok()?;
                    continue;
                }
                match view {
                    Some(View::Late(pause)) => tokio::time::sleep(pause).await,
                    Some(View::Torn) => return Some((stream::iter(events), (None, told))),
                    Some(View::Expired) => {
                        events.push(expired());
                        return Some((stream::iter(events), (None, told)));
                    }
                    None => {}
                }
                return Some((stream::iter(events), (Some(version), told)));
            }
        }
    });
    let frames = lines.flatten().map(|line| Ok(http_body::Frame::data(line)));
    let until = tokio::time::sleep(Duration::from_secs(seconds));
    http::Response::new(StreamBody::new(frames.take_until(until)).boxed_unsync())
}

/// The events of a watch after a version, and the version that they lead to.
fn events(doors: &Doors, seen: u64, target: &Target, selector: &Selector) -> (Vec<Bytes>, u64) {
    let state = doors.shared.lock();
    let Some(changes) = state.cluster.since(seen) else { return (vec![expired()], u64::MAX) };
    let of = changes.iter().filter(|change| change.resource == target.resource);
    (of.filter_map(|change| change.event(&target.namespace, selector)).collect(), state.cluster.version())
}

fn expired() -> Bytes {
    let status = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}"#;
    format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n").into()
}

/// When golive gives up a question to name servers: their address, a datagram and a stream take three seconds each.
const NAMES: Duration = Duration::from_secs(9);

/// The outside of a place.
pub struct Beyond(pub Key);

impl Outside for Beyond {
    fn now(&self) -> Timestamp {
        let ahead = self.0.doors.book().troubles.ahead_of(self.0.replica);
        self.0.doors.state().now() + ahead
    }

    fn entropy(&self) -> [u8; 32] {
        let mut state = self.0.doors.state();
        state.chance += 1;
        sha2::Digest::finalize(sha2::Digest::chain_update(
            <sha2::Sha256 as sha2::Digest>::new(),
            state.chance.to_be_bytes(),
        ))
        .into()
    }

    fn exchange<'a>(
        &'a self,
        request: http::Request<Bytes>,
        _terms: Terms<'a>,
    ) -> BoxFuture<'a, Result<http::Response<Bytes>, Broken>> {
        async move {
            match tokio::time::timeout(TIMEOUT, self.0.pass(reach(self.0.doors.clone(), request))).await {
                Ok(result) => result,
                Err(_) => Err(Broken::Cut("no answer in 20 s".into())),
            }
        }
        .boxed()
    }

    fn ask<'a>(&'a self, servers: &'a [String], name: &'a str, _kind: RecordType) -> BoxFuture<'a, Seen<Answers>> {
        async move {
            let asks =
                self.0.doors.through(format!("DNS {name}"), false, |state| place::view(&state.vendors).texts(name));
            let passage = tokio::time::timeout(NAMES, asks).await.ok();
            let values = passage.filter(|passage| passage.trouble.is_none()).and_then(|passage| passage.done);
            let values = values.ok_or_else(|| Fault::Unreachable(format!("no name server answers for {name}")))?;
            Ok(servers.iter().map(|server| (server.clone(), values.clone())).collect())
        }
        .boxed()
    }
}

async fn reach(doors: Arc<Doors>, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, Broken> {
    let host = request.uri().host().unwrap_or_default().to_owned();
    let vendor = host.trim_end_matches(".test").to_owned();
    let what = format!("{} {vendor} {}", request.method(), request.uri().path());
    let writes = request.method() != http::Method::GET && request.method() != http::Method::HEAD;
    // ACME reads by POST, so nearly all of it counts as writing.
    let passage = match format!("https://{host}") == authority::BASE {
        true => doors.through(what, writes && is_step(request.uri().path()), |state| certify(state, &request)).await,
        false => {
            let flaw = doors.flaw();
            if let Some(invented) = flaw.and_then(|flaw| flaw.reply(&what)) {
                return Ok(http::Response::new(invented));
            }
            doors.book().expects(&vendor, &what);
            let noted = what.clone();
            let more = if writes { 1 } else { flaw.map_or(1, Flaw::times) };
            let ask = |state: &mut State| {
                (1..more).for_each(|_| drop(serve(state, &vendor, &request)));
                serve(state, &vendor, &request)
            };
            let passage = doors.through(what, writes, ask).await;
            doors.book().heeds((&vendor, &noted), &passage);
            return spoiled(passage).map(|answer| hurried(answer, flaw));
        }
    };
    spoiled(passage)
}

/// An answer as somebody reads it who does not see that he is to wait.
fn hurried(mut answer: http::Response<Bytes>, flaw: Option<Flaw>) -> http::Response<Bytes> {
    if flaw == Some(Flaw::Hasty) {
        answer.headers_mut().remove("retry-after");
    }
    answer
}

impl Book {
    /// From now on requests go wrong as a rule says, too.
    pub fn fail(&mut self, rule: Rule) {
        self.troubles.rules.push(rule);
    }

    /// Nothing goes wrong any more.
    pub fn mend(&mut self) {
        self.troubles.rules.clear();
    }

    /// Notes a request to a vendor that wants to be left alone.
    fn expects(&mut self, vendor: &str, what: &str) {
        let left = self.spared.get(vendor).map(|until| until.saturating_duration_since(Instant::now()));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            self.hasty.push(format!("{what} came {} ms before {vendor} wanted to be asked again", left.as_millis()));
        }
    }

    /// Notes how long a vendor wants to be left alone, and what it refused by itself.
    fn heeds(&mut self, (vendor, what): (&str, &str), passage: &Passage<http::Response<Bytes>>) {
        if passage.done.as_ref().is_some_and(|answer| answer.status() == 429) {
            self.refused.push(what.to_owned());
        }
        if let Some(Trouble::Answer { status: 429, retry_after: Some(seconds), .. }) = passage.trouble {
            self.spared.insert(vendor.to_owned(), Instant::now() + Duration::from_secs(seconds));
        }
    }
}

/// ACME requests that change something at the CA.
fn is_step(path: &str) -> bool {
    ["/account", "/order", "/finalize", "/challenge"].iter().any(|room| path.starts_with(room))
        && !path.trim_start_matches("/order").starts_with('/')
}

fn certify(state: &mut State, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    let now = state.now();
    let eyes = Eyes { cluster: &state.cluster, vendors: &state.vendors };
    state.authority.answer(request, &eyes, now)
}

fn serve(state: &mut State, vendor: &str, request: &http::Request<Bytes>) -> http::Response<Bytes> {
    let target = request.uri().path_and_query().map(|p| p.as_str()).unwrap_or("/");
    let mut asked = vendors::message::Request::new(request.method().as_str(), target);
    (asked.headers, asked.body) = (request.headers().clone(), request.body().clone());
    let moment = state.moment();
    let reply = state.vendors.serve(vendor, moment, &asked);
    state.vendors.calls.clear();
    let builder = http::Response::builder().status(reply.answer.status);
    let builder = reply.answer.headers.iter().fold(builder, |b, (name, value)| b.header(name, value));
    builder.body(reply.answer.body).unwrap_or_default()
}

/// An answer with what is wrong with it.
fn spoiled(passage: Passage<http::Response<Bytes>>) -> Result<http::Response<Bytes>, Broken> {
    let worded = |status: u16, body: &'static str, wait: Option<u64>| {
        let builder =
            wait.into_iter().fold(http::Response::builder().status(status), |b, s| b.header("retry-after", s));
        builder.body(Bytes::from_static(body.as_bytes())).map_err(|e| Broken::Cut(e.to_string()))
    };
    match (passage.trouble, passage.done) {
        (None, Some(answer)) => Ok(answer),
        (Some(Trouble::Answer { status, body, retry_after }), _) => worded(status, body, retry_after),
        (Some(Trouble::AnswerAfter { status, body }), _) => worded(status, body, None),
        (Some(Trouble::Cut), Some(answer)) => {
            let half = answer.body().len() / 2;
            Ok(answer.map(|body| body.slice(..half)))
        }
        (Some(Trouble::Garbage), Some(answer)) => Ok(answer.map(|_| Bytes::from_static(b"<html>"))),
        (Some(Trouble::Hollow), Some(answer)) => Ok(answer.map(|_| Bytes::from_static(b"{}"))),
        _ => Err(Broken::Hung("connection reset".into())),
    }
}
