//! Leader election by a Lease: of several replicas one writes.
//!
//! Every call has a deadline well inside the lease, so that a leader which cannot renew stops before another starts. No
//! replica relies on the clock of another: each measures by its own for how long the lease has stayed as it is.
//! Protocol: <https://kubernetes.io/docs/concepts/architecture/leases/>.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::{info, warn};

use crate::outside::Outside;

const DURATION: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(5);
const RETRY_EVERY: Duration = Duration::from_secs(1);
const CALL: Duration = Duration::from_secs(4);
/// A leader that has not renewed for this long has lost, counted from before its last renewal.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// Our claim to lead.
pub struct Candidate {
    leases: Api<Lease>,
    outside: Arc<dyn Outside>,
    name: String,
    identity: String,
    /// The lease as we last wrote it: renewing needs no look at it first.
    held: Mutex<Option<Lease>>,
    /// The lease of another as it was last seen.
    watched: std::sync::Mutex<Option<Watched>>,
}

/// The lease of another replica.
struct Watched {
    version: Option<String>,
    /// When it is free, if it stays as it is until then.
    free: Instant,
}

impl Candidate {
    /// A candidate for the Lease `golive` in `namespace`, known to others as `identity` (the pod's name).
    pub fn new(client: Client, outside: Arc<dyn Outside>, namespace: &str, identity: &str) -> Self {
        let leases = Api::namespaced(client, namespace);
        Candidate {
            leases,
            outside,
            name: "golive".into(),
            identity: identity.into(),
            held: Mutex::new(None),
            watched: std::sync::Mutex::default(),
        }
    }

    /// Waits until this candidate leads; gives the moment from which [`keep`](Self::keep) counts.
    pub async fn lead(&self) -> Instant {
        loop {
            let began = Instant::now();
            match self.attempt().await {
                Ok(true) => {
                    info!(identity = self.identity, "leading");
                    return began;
                }
                Ok(false) => {}
                Err(e) => warn!("the lease {} cannot be taken: {e}; trying again", self.name),
            }
            sleep_until(self.next_look()).await;
        }
    }

    /// Renews until that fails for too long; returns when leadership is lost. It is held since `began`.
    pub async fn keep(&self, mut began: Instant) {
        while let Ok(renewed) = timeout_at(began + RENEW_DEADLINE, self.renew(began + RENEW_EVERY)).await {
            match renewed {
                Some(renewal) => began = renewal,
                None => return warn!("the lease {} was taken by another", self.name),
            }
        }
        warn!("the lease {} was not renewed in time", self.name);
    }

    /// Renews at this time, again and again until that succeeds. Gives when the last attempt began; nothing where another
    /// has the lease.
    async fn renew(&self, due: Instant) -> Option<Instant> {
        sleep_until(due).await;
        loop {
            let began = Instant::now();
            match self.attempt().await {
                Ok(true) => return Some(began),
                Ok(false) => return None,
                Err(e) => warn!("the lease {} cannot be renewed: {e}", self.name),
            }
            sleep(RETRY_EVERY).await;
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
            Some(found) if holder(&found) != Some(&self.identity) && !self.is_free(&found) => Ok(false),
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

    /// Whether nobody holds the lease any more: it was given up, or nobody has written to it for as long as it lasts, by
    /// this replica's own clock, since this replica first saw it as it is.
    fn is_free(&self, lease: &Lease) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let version = lease.resource_version();
        if watched.as_ref().is_none_or(|known| known.version != version) {
            *watched = Some(Watched { version, free: Instant::now() + lasts(lease) });
        }
        holder(lease).is_none_or(String::is_empty) || watched.as_ref().is_some_and(|known| known.free <= Instant::now())
    }

    /// When to look at the lease again: soon, and at once when it runs out.
    fn next_look(&self) -> Instant {
        let now = Instant::now();
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let free = watched.as_ref().map(|known| known.free).filter(|free| *free > now);
        free.map_or(now + RETRY_EVERY, |free| free.min(now + RETRY_EVERY))
    }
}

fn holder(lease: &Lease) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref()
}

/// How long a lease lasts, as its holder says.
fn lasts(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(DURATION, Duration::from_secs)
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
mod tests;
