//! Bugs of every known class, planted between the operator and the world: the laws have to notice each.
//!
//! The classes are those of Sieve (<https://www.usenix.org/conference/osdi22/presentation/sun>): intermediate states,
//! stale states and unobserved states; and five of our own: a lost reply taken for a success, a secret that is told, a
//! vendor that is not waited for, one that is asked too often, and an object of somebody else's that is written to.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::cluster::answer::{Answer, Request};
use crate::cluster::resource::Target;
use crate::place::CANARY;

/// What the operator does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Makes rows before its finalizer holds the object.
    Unheld,
    /// Reads the vault from a cache that stands still, and writes it without saying which version it has read.
    Stale,
    /// Does not watch this resource.
    Blind(&'static str),
    /// Takes a create for done that nobody has carried out.
    Invents,
    /// Writes a secret into the status.
    Tells,
    /// Does not wait as long as it is told to.
    Hasty,
    /// Has no throttle: asks a vendor a hundred times in the place of once.
    Presses,
    /// Applies what it does not know, in the hope that it is not there.
    Merges,
}

impl Flaw {
    /// The request as the operator makes it with this bug.
    pub fn spoil(self, request: &mut Request) {
        let mut body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if self == Flaw::Merges && request.method == "POST" {
            request.path = format!("{}/{}", request.path, body["metadata"]["name"].as_str().unwrap_or_default());
            (request.method, request.media) = ("PATCH".into(), "application/apply-patch+yaml".into());
        }
        match self {
            Flaw::Tells if request.path.ends_with("/status") => body["status"]["url"] = json!(CANARY),
            Flaw::Stale if is_vault(&request.path) && request.method == "PATCH" => {
                body["metadata"].as_object_mut().map(|metadata| metadata.remove("resourceVersion"));
            }
            _ => return,
        }
        request.body = body.to_string().into();
    }

    /// The answer that the operator gets without asking, or as if it had asked.
    pub fn answer(self, request: &Request, cluster: &Cluster) -> Option<Answer> {
        let target = Target::of(&request.path)?;
        let live = || cluster.find(target.resource, &target.namespace, &target.name);
        match self {
            Flaw::Unheld if target.resource.kind == "SaasDeployment" && request.media.contains("merge-patch") => {
                Some(Answer { status: 200, body: live()?.text() })
            }
            Flaw::Stale if is_vault(&request.path) && request.method == "GET" => {
                let first = cluster.first(target.resource, &target.namespace, &target.name)?;
                Some(Answer { status: 200, body: first.text() })
            }
            _ => None,
        }
    }

    /// How often a vendor is asked at each request.
    pub fn times(self) -> usize {
        if self == Flaw::Presses { 100 } else { 1 }
    }

    /// What the operator believes a vendor to have answered.
    pub fn reply(self, what: &str) -> Option<Bytes> {
        let creates = self == Flaw::Invents && what.starts_with("POST stripe") && what.ends_with("/webhook_endpoints");
        creates.then(|| r#"{"id":"we_invented","object":"webhook_endpoint","secret":"whsec_invented"}"#.into())
    }
}

/// The Secret with the ledger of an application.
fn is_vault(path: &str) -> bool {
    path.contains("/secrets/") && path.ends_with("-secrets")
}
