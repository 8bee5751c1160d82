//! What the CA says of an order, in our words.

use std::collections::BTreeSet;
use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use instant_acme::{AuthorizationState, AuthorizationStatus, ChallengeStatus, ChallengeType, OrderStatus};
use sha2::{Digest, Sha256};

use super::problem;

/// The first label of a proof for the CA: <https://www.rfc-editor.org/rfc/rfc8555#section-8.4>.
const PROOF: &str = "_acme-challenge.";

/// The name of the TXT record where the CA looks for a host's proof.
pub fn proof_name(host: &str) -> String {
    format!("{PROOF}{host}")
}

/// Whether a record of this name is such a proof.
pub fn is_proof(name: &str) -> bool {
    name.starts_with(PROOF)
}

/// An order as the CA holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How far it is.
    pub status: Status,
    /// The names whose authorizations the CA still shows.
    pub names: BTreeSet<String>,
    /// One per name and kind of proof.
    pub challenges: Vec<Challenge>,
    /// What went wrong, in the CA's words.
    pub error: Option<String>,
}

/// How far an order is (<https://www.rfc-editor.org/rfc/rfc8555#section-7.1.6>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Challenges are open.
    Pending,
    /// All names are proven: [`super::Issuer::finalize`] is next.
    Ready,
    /// The CA issues.
    Processing,
    /// The chain can be fetched.
    Valid,
    /// It failed, expired, or is not known to the CA (any more): only a new order helps.
    Invalid,
}

/// How a name is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A TXT record.
    Dns01,
    /// A document under `/.well-known/acme-challenge/`.
    Http01,
}

/// How far a challenge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChallengeState {
    /// The CA waits for [`super::Issuer::ready`].
    Pending,
    /// The CA looks.
    Processing,
    /// The name is proven, by this challenge or another.
    Valid,
    /// The proof failed.
    Invalid,
}

/// One way to prove one name. A CA lists them in any order; an order's list is sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Challenge {
    /// The name, without `*.`.
    pub name: String,
    /// Whether it is asked for `*.name`.
    pub wildcard: bool,
    /// The kind of proof.
    pub kind: Kind,
    /// The CA's token: the last part of the document's path.
    pub token: String,
    /// The TXT record's value, or the document's text. Public by nature.
    pub proof: String,
    /// How far it is.
    pub status: ChallengeState,
    /// What went wrong, in the CA's words.
    pub error: Option<String>,
}

impl Challenge {
    /// Where the proof is looked for: the TXT record's name, or the document's URL.
    pub fn place(&self) -> String {
        match self.kind {
            Kind::Dns01 => proof_name(&self.name),
            Kind::Http01 => format!("http://{}/.well-known/acme-challenge/{}", self.name, self.token),
        }
    }
}

impl Progress {
    /// An order that the CA does not show to us.
    pub(super) fn gone(why: String) -> Self {
        Progress { status: Status::Invalid, names: BTreeSet::new(), challenges: Vec::new(), error: Some(why) }
    }
}

/// As RFC 8555 names it.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Dns01 => "dns-01",
            Kind::Http01 => "http-01",
        })
    }
}

impl Kind {
    pub(super) fn wire(self) -> ChallengeType {
        match self {
            Kind::Dns01 => ChallengeType::Dns01,
            Kind::Http01 => ChallengeType::Http01,
        }
    }

    fn read(kind: &ChallengeType) -> Option<Kind> {
        [Kind::Dns01, Kind::Http01].into_iter().find(|k| k.wire() == *kind)
    }

    fn proof(self, key_authorization: &str) -> String {
        match self {
            Kind::Dns01 => BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(key_authorization)),
            Kind::Http01 => key_authorization.into(),
        }
    }
}

impl From<OrderStatus> for Status {
    fn from(status: OrderStatus) -> Self {
        match status {
            OrderStatus::Pending => Status::Pending,
            OrderStatus::Ready => Status::Ready,
            OrderStatus::Processing => Status::Processing,
            OrderStatus::Valid => Status::Valid,
            OrderStatus::Invalid => Status::Invalid,
        }
    }
}

/// The challenges of an authorization that we can meet, with their proofs
/// (<https://www.rfc-editor.org/rfc/rfc8555#section-8.1>).
pub(super) fn challenges(authorization: &AuthorizationState, thumbprint: &str) -> Vec<Challenge> {
    let name = authorization.identifier().identifier.authorized(false).to_string();
    let known = authorization.challenges.iter().filter_map(|c| Some((Kind::read(&c.r#type)?, c)));
    let challenge = |(kind, c): (Kind, &instant_acme::Challenge)| Challenge {
        name: name.clone(),
        wildcard: authorization.wildcard,
        kind,
        token: c.token.clone(),
        proof: kind.proof(&format!("{}.{thumbprint}", c.token)),
        status: state(authorization.status, c.status),
        error: c.error.as_ref().map(problem::text),
    };
    known.map(challenge).collect()
}

/// Whether the CA waits for a proof and has not been told of one.
pub(super) fn is_untouched(authorization: &AuthorizationState) -> bool {
    let mut challenges = authorization.challenges.iter();
    authorization.status == AuthorizationStatus::Pending && challenges.all(|c| c.status == ChallengeStatus::Pending)
}

/// The authorization has the last word: once it is decided, its other challenges stay as they were.
fn state(authorized: AuthorizationStatus, challenge: ChallengeStatus) -> ChallengeState {
    match (authorized, challenge) {
        (AuthorizationStatus::Valid, _) => ChallengeState::Valid,
        (AuthorizationStatus::Pending, ChallengeStatus::Pending) => ChallengeState::Pending,
        (AuthorizationStatus::Pending, ChallengeStatus::Processing) => ChallengeState::Processing,
        (AuthorizationStatus::Pending, ChallengeStatus::Valid) => ChallengeState::Valid,
        _ => ChallengeState::Invalid,
    }
}
