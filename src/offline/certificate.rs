//! How a certificate is issued by a CA that accepts every proof.

use std::collections::{BTreeMap, BTreeSet};

use super::assumed;
use super::happen::{Happened, enter};
use crate::certificate::ledger::Outcome;
use crate::fault::Seen;
use crate::plan::{AcmeStep, Ask, Part};
use crate::vault::Note;
use crate::vendors::acme::{Challenge, ChallengeState, Kind, Progress, Status, proof_name};
use crate::world::{Origin, Pending, World};

/// Takes one step of an order.
pub fn step(ask: Ask<'_>, step: &AcmeStep, next: &mut World, happened: &mut Happened) {
    let (names, order) = after(ask, step, next);
    if let (AcmeStep::Take { .. }, Ok(Some(pending))) = (step, &ask.world.order) {
        enter(next, Note::Order(ask.entry(pending, Outcome::Issued)));
        next.certificate = Ok(Some(assumed::certificate(names.iter().cloned().collect(), next.now)));
        next.origin = Some(Origin { account: pending.account.clone(), directory: directory(ask, &pending.account) });
    }
    next.order = Ok(order);
    let kept = if let AcmeStep::Take { .. } = step {
        format!(" and kept in Secret {}", ask.tls_name())
    } else {
        String::new()
    };
    happened.tell(Part::Tls, format!("certificate for {}: {}{kept}", names.join(", "), step.word()));
}

fn directory(ask: Ask<'_>, account: &str) -> String {
    let acme = ask.world.accounts.get(account).and_then(|account| account.object.spec.acme.as_ref());
    acme.map(|acme| acme.directory.clone()).unwrap_or_default()
}

/// The names of a step, and the order after it.
fn after(ask: Ask<'_>, step: &AcmeStep, next: &World) -> (Vec<String>, Option<Pending>) {
    let at = |status| advanced(ask, status);
    match step {
        AcmeStep::Intend { account, names } => {
            let intent =
                Pending { names: names.clone(), account: account.clone(), at: next.now, url: None, progress: None };
            (names.clone(), Some(intent))
        }
        AcmeStep::Order { names, .. } => (names.clone(), at(Status::Pending)),
        AcmeStep::Ready { names, .. } => (names.keys().cloned().collect(), at(Status::Ready)),
        AcmeStep::Finalize { names, .. } => (names.clone(), at(Status::Valid)),
        AcmeStep::Take { names, .. } | AcmeStep::Abandon { names } => (names.clone(), None),
        AcmeStep::Note(_) => (Vec::new(), None),
    }
}

/// The order as the CA shows it at a status.
fn advanced(ask: Ask<'_>, status: Status) -> Option<Pending> {
    let pending = ask.world.order.as_ref().ok()?.clone()?;
    let state = if status == Status::Pending { ChallengeState::Pending } else { ChallengeState::Valid };
    let both = |name: &String| [Kind::Dns01, Kind::Http01].map(|kind| challenge(name, kind, state));
    let challenges = pending.names.iter().flat_map(both).collect();
    let names = pending.names.iter().cloned().collect();
    let progress = Progress { status, names, challenges, error: None };
    Some(Pending { url: Some("https://acme.invalid/order".into()), progress: Some(Ok(progress)), ..pending })
}

fn challenge(name: &str, kind: Kind, status: ChallengeState) -> Challenge {
    let (token, proof) = ("token".into(), "the CA's proof".into());
    Challenge { name: name.to_owned(), wildcard: false, kind, token, proof, status, error: None }
}

/// What the zones' name servers show: every record at once.
pub fn published(ask: Ask<'_>) -> BTreeMap<String, Seen<BTreeSet<String>>> {
    let records = || ask.world.records.values().flatten().flat_map(|table| table.iter());
    let values = |host: &str| {
        let name = proof_name(host);
        records().filter(|held| held.row.name == name).map(|held| held.row.content.clone()).collect()
    };
    ask.proofs().into_iter().map(|(host, _)| (host.clone(), Ok(values(&host)))).collect()
}
