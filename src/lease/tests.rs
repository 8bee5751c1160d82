use std::sync::Mutex as Held;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use http_body_util::BodyExt;
use jiff::SignedDuration;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::fault::Seen;
use crate::outside::{Answers, Broken, Terms};
use crate::rows::RecordType;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// A clock that is so far ahead of everybody else's.
struct Clock {
    began: Instant,
    ahead: i64,
}

impl Outside for Clock {
    fn now(&self) -> Timestamp {
        at(self.ahead) + SignedDuration::try_from(self.began.elapsed()).unwrap()
    }

    fn entropy(&self) -> [u8; 32] {
        [0; 32]
    }

    fn exchange<'a>(
        &'a self,
        _: http::Request<Bytes>,
        _: Terms<'a>,
    ) -> BoxFuture<'a, Result<http::Response<Bytes>, Broken>> {
        pending().boxed()
    }

    fn ask<'a>(&'a self, _: &'a [String], _: &'a str, _: RecordType) -> BoxFuture<'a, Seen<Answers>> {
        pending().boxed()
    }
}

/// An API server with one Lease.
#[derive(Default)]
struct Server {
    lease: Option<Value>,
    version: u64,
    /// When the lease was last written.
    written: Option<Instant>,
    silent: bool,
}

impl Server {
    fn answer(&mut self, method: &http::Method, mut object: Value) -> (u16, Value) {
        let stands = self.lease.as_ref().map(|lease| lease["metadata"]["resourceVersion"].clone());
        let seen = object["metadata"].get("resourceVersion").cloned();
        match (method.as_str(), stands) {
            ("GET", None) => return refusal(404),
            ("GET", Some(_)) => return (200, self.lease.clone().unwrap()),
            (_, stands) if stands != seen => return refusal(409),
            _ => {}
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        (self.lease, self.written) = (Some(object.clone()), Some(Instant::now()));
        (200, object)
    }
}

fn refusal(code: u16) -> (u16, Value) {
    let reason = if code == 404 { "NotFound" } else { "Conflict" };
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": ""}),
    )
}

type Shared = Arc<Held<Server>>;

/// A replica whose clock is so many seconds ahead.
fn replica(server: &Shared, identity: &str, ahead: i64) -> Candidate {
    let server = server.clone();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let server = server.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            if server.lock().unwrap().silent {
                pending::<()>().await;
            }
            let object = serde_json::from_slice(&body).unwrap_or_default();
            let (code, answer) = server.lock().unwrap().answer(&parts.method, object);
            let body = Body::from(answer.to_string().into_bytes());
            Ok::<_, tower::BoxError>(http::Response::builder().status(code).body(body).unwrap())
        }
    });
    let clock = Arc::new(Clock { began: Instant::now(), ahead });
    Candidate::new(Client::new(service, "default"), clock, "golive-system", identity)
}

/// Leads for so many seconds, and then dies.
async fn lead_for(seconds: u64, candidate: &Candidate) {
    let began = candidate.lead().await;
    assert!(timeout(Duration::from_secs(seconds), candidate.keep(began)).await.is_err(), "it lost the lease");
}

#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_when_the_lease_has_run_out_whatever_the_clocks_say() {
    for ahead in [-600, -16, 0, 16, 600] {
        let server = Shared::default();
        let (leader, standby) = (replica(&server, "a", 0), replica(&server, "b", ahead));
        tokio::select! {
            biased;
            () = lead_for(61, &leader) => {}
            _ = standby.lead() => panic!("{ahead} s: it takes the lease of a leader that lives"),
        }
        let (killed, renewed) = (Instant::now(), server.lock().unwrap().written.unwrap());
        standby.lead().await;
        assert!(renewed.elapsed() >= DURATION, "{ahead} s: {:?} after the last renewal", renewed.elapsed());
        assert!(killed.elapsed() <= DURATION, "{ahead} s: {:?} after the kill", killed.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_has_not_watched_waits_for_as_long_as_the_lease_lasts() {
    let server = Shared::default();
    lead_for(1, &replica(&server, "a", 0)).await;
    tokio::time::advance(Duration::from_secs(3600)).await;
    let (began, other) = (Instant::now(), replica(&server, "b", 0));
    other.lead().await;
    assert_eq!(began.elapsed().as_secs(), DURATION.as_secs());
}

#[tokio::test(start_paused = true)]
async fn one_s_own_lease_is_taken_again_at_once_and_so_is_one_that_was_given_up() {
    let server = Shared::default();
    lead_for(1, &replica(&server, "a", 0)).await;
    let began = Instant::now();
    let again = replica(&server, "a", -600);
    again.lead().await;
    again.release().await;
    replica(&server, "b", -600).lead().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_another_may_start() {
    for milliseconds in (0..7000).step_by(500) {
        let server = Shared::default();
        let leader = replica(&server, "a", 0);
        let began = leader.lead().await;
        let cut = async {
            sleep(Duration::from_millis(milliseconds)).await;
            server.lock().unwrap().silent = true;
            pending::<()>().await;
        };
        tokio::select! {
            () = leader.keep(began) => {}
            () = cut => {}
        }
        let renewed = server.lock().unwrap().written.unwrap();
        assert!(renewed.elapsed() <= RENEW_DEADLINE && RENEW_DEADLINE < DURATION, "{:?}", renewed.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stood_still_for_too_long_leads_no_more() {
    let server = Shared::default();
    let leader = replica(&server, "a", 0);
    let began = leader.lead().await;
    tokio::time::advance(RENEW_DEADLINE).await;
    server.lock().unwrap().silent = true;
    let woken = Instant::now();
    leader.keep(began).await;
    assert_eq!(woken.elapsed(), Duration::ZERO);
}

#[test]
fn renewing_keeps_the_time_of_acquisition_and_a_new_holder_counts_as_a_transition() {
    let first = claim(None, "a", "golive", at(0));
    let renewed = claim(Some(first.clone()), "a", "golive", at(5)).spec.unwrap();
    assert_eq!(renewed.acquire_time, first.spec.as_ref().unwrap().acquire_time);
    assert_eq!(renewed.lease_transitions, Some(1));
    let taken = claim(Some(first), "b", "golive", at(30)).spec.unwrap();
    assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("b"), Some(2)));
    assert_eq!(taken.acquire_time, Some(MicroTime(at(30))));
}
