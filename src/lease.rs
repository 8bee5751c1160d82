//! Leader election by a Lease: of several replicas one writes.
//!
//! Every call has a deadline well inside the lease, so that a leader which cannot renew stops before another starts.
//! Protocol: <https://kubernetes.io/docs/concepts/architecture/leases/>.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::outside::Outside;

const DURATION: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(5);
const RETRY_EVERY: Duration = Duration::from_secs(1);
const CALL: Duration = Duration::from_secs(4);
/// A leader that has not renewed for this long has lost: shorter than `DURATION` by more than one call.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// Our claim to lead.
pub struct Candidate {
    leases: Api<Lease>,
    outside: Arc<dyn Outside>,
    name: String,
    identity: String,
    /// The lease as we last wrote it: renewing needs no look at it first.
    held: Mutex<Option<Lease>>,
}

impl Candidate {
    /// A candidate for the Lease `golive` in `namespace`, known to others as `identity` (the pod's name).
    pub fn new(client: Client, outside: Arc<dyn Outside>, namespace: &str, identity: &str) -> Self {
        let leases = Api::namespaced(client, namespace);
        Candidate { leases, outside, name: "golive".into(), identity: identity.into(), held: Mutex::new(None) }
    }

    /// Waits until this candidate leads.
    pub async fn lead(&self) {
        loop {
            match self.attempt().await {
                Ok(true) => return info!(identity = self.identity, "leading"),
                Ok(false) => {}
                Err(e) => warn!("the lease {} cannot be taken: {e}; trying again", self.name),
            }
            sleep(RETRY_EVERY).await;
        }
    }

    /// Renews until that fails for too long; returns when leadership is lost.
    pub async fn keep(&self) {
        let mut renewed = tokio::time::Instant::now();
        while renewed.elapsed() < RENEW_DEADLINE {
            sleep(if renewed.elapsed() < RENEW_EVERY { RENEW_EVERY } else { RETRY_EVERY }).await;
            match self.attempt().await {
                Ok(true) => renewed = tokio::time::Instant::now(),
                Ok(false) => return warn!("the lease {} was taken by another", self.name),
                Err(e) => warn!("the lease {} cannot be renewed: {e}", self.name),
            }
        }
    }

    /// Gives the lease up, so that a standby takes over at once.
    pub async fn release(&self) {
        let released = async {
            let Some(mut lease) = self.leases.get_opt(&self.name).await? else { return Ok(()) };
            if holder(&lease) != Some(&self.identity) {
                return Ok(());
            }
            lease.spec.get_or_insert_default().holder_identity = Some(String::new());
            self.leases.replace(&self.name, &PostParams::default(), &lease).await.map(|_| ())
        };
        match timeout(Duration::from_secs(2), released).await {
            Ok(Err(e)) => warn!("the lease {} was not released: {e}; it runs out by itself", self.name),
            Err(_) => warn!("the lease {} was not released in time; it runs out by itself", self.name),
            Ok(Ok(())) => info!("lease released"),
        }
    }

    /// One attempt to take or renew; the API server's resource version decides between rivals.
    async fn attempt(&self) -> Result<bool, String> {
        match timeout(CALL, self.renew_or_take()).await {
            Ok(Err(kube::Error::Api(status))) if status.is_conflict() || status.is_already_exists() => Ok(false),
            Ok(result) => result.map_err(|e: kube::Error| e.to_string()),
            Err(_) => Err(format!("no answer within {} s", CALL.as_secs())),
        }
    }

    async fn renew_or_take(&self) -> kube::Result<bool> {
        let held = self.held.lock().await.take();
        if let Some(lease) = held {
            match self.claim(Some(lease)).await {
                // Somebody else wrote to it: a look at it tells who.
                Err(kube::Error::Api(status)) if status.is_conflict() || status.code == 404 => {}
                result => return result,
            }
        }
        match self.leases.get_opt(&self.name).await? {
            Some(found) if holder(&found) != Some(&self.identity) && !is_free(&found, self.outside.now()) => Ok(false),
            found => self.claim(found).await,
        }
    }

    async fn claim(&self, found: Option<Lease>) -> kube::Result<bool> {
        let exists = found.is_some();
        let lease = claim(found, &self.identity, &self.name, self.outside.now());
        let written = match exists {
            true => self.leases.replace(&self.name, &PostParams::default(), &lease).await?,
            false => self.leases.create(&PostParams::default(), &lease).await?,
        };
        *self.held.lock().await = Some(written);
        Ok(true)
    }
}

fn holder(lease: &Lease) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref()
}

/// Whether nobody holds the lease any more at `now`.
fn is_free(lease: &Lease, now: Timestamp) -> bool {
    let Some(spec) = &lease.spec else { return true };
    let unheld = spec.holder_identity.as_deref().is_none_or(str::is_empty);
    let seconds = spec.lease_duration_seconds.unwrap_or(15);
    let expired =
        spec.renew_time.as_ref().is_none_or(|t| now.duration_since(t.0) > SignedDuration::from_secs(seconds.into()));
    unheld || expired
}

/// The lease as it stands once `identity` holds it.
fn claim(found: Option<Lease>, identity: &str, name: &str, now: Timestamp) -> Lease {
    let ours = found.as_ref().and_then(holder).is_some_and(|h| h == identity);
    let metadata = match &found {
        Some(lease) => lease.metadata.clone(),
        None => ObjectMeta { name: Some(name.into()), ..Default::default() },
    };
    let old = found.and_then(|lease| lease.spec).unwrap_or_default();
    let acquired = if ours { old.acquire_time } else { Some(MicroTime(now)) };
    let changes = old.lease_transitions.unwrap_or(0) + i32::from(!ours);
    let spec = LeaseSpec {
        holder_identity: Some(identity.into()),
        lease_duration_seconds: Some(DURATION.as_secs() as i32),
        acquire_time: acquired,
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(changes),
        ..Default::default()
    };
    Lease { metadata, spec: Some(spec) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_lease_is_free_when_released_or_run_out_and_not_before() {
        let held = claim(None, "a", "golive", at(0));
        assert!(!is_free(&held, at(15)));
        assert!(is_free(&held, at(16)));
        let mut released = held;
        released.spec.as_mut().unwrap().holder_identity = Some(String::new());
        assert!(is_free(&released, at(1)));
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

    #[test]
    fn a_leader_stops_before_another_may_start() {
        assert!(RENEW_DEADLINE + CALL < DURATION);
    }
}
