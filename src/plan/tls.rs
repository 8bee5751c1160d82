//! The certificate: ordered when it is missing, does not cover every host, or the CA wants it renewed; each step rests on
//! what the step before stored. One of another CA than the spec's is replaced too. The old certificate serves until the new one is verified.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::claims::Vendor;
use super::edge::Way;
use super::{AcmeStep, Action, Ask, Steps, Verdict};
use crate::certificate::ledger::{Attempt, DUPLICATE_LIMIT, Outcome, Terms, may_order};
use crate::certificate::{Certificate, renew_at};
use crate::fault::{Hold, Until};
use crate::vault::Note;
use crate::vendors::acme::{self, Challenge, ChallengeState, Progress, Status};
use crate::world::{Origin, Pending};
use jiff::Timestamp;

/// How often an order that is under way is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Plans the certificate for all hosts.
pub fn plan(ask: Ask<'_>) -> Option<Verdict> {
    if ask.hosts().is_empty() {
        return None;
    }
    let brought = ask.brings_certificate();
    let shared = ask.world.config.gateway.as_ref().is_some_and(|gateway| gateway.shared.is_some());
    Some(match ask.way() {
        Ok(Way::Shared(_)) => ask.shared(brought),
        // Who brings the certificate is not known before the platform's Gateway is.
        Err(hold) if shared => Err(hold),
        _ if brought => ask.brought(),
        _ => ask.issued(),
    })
}

impl Ask<'_> {
    /// A certificate that the user brings.
    fn brought(self) -> Verdict {
        let mut steps = Steps::default();
        self.abandon(&mut steps);
        if let Some(certificate) = steps.or_wait(self.world.certificate(&self.hosts())) {
            steps.evidence = format!("brought by the user, valid until {}", certificate.not_after);
        }
        Ok(steps)
    }

    /// The certificate of the platform's Gateway: it is of another namespace, and golive neither reads nor writes it.
    fn shared(self, brought: bool) -> Verdict {
        let mut steps = Steps::default();
        if brought {
            let message = format!(
                "{} brings its own certificate and takes no listeners from here, so `spec.tls.secretName` cannot be used: remove it, or ask the platform team to set `allowedListeners`",
                self.shared_name()
            );
            steps.wait(Hold::person("NotSupported", message));
        }
        self.abandon(&mut steps);
        steps.or_wait(self.is_secured());
        steps.evidence = format!(
            "{} brings its own certificate for {}: golive orders none, renews none and cannot see when it ends; the platform team keeps it",
            self.shared_name(),
            self.hosts().join(", ")
        );
        Ok(steps)
    }

    /// Forgets an order that is under way.
    fn abandon(self, steps: &mut Steps) {
        if let Ok(Some(pending)) = &self.world.order {
            steps.act(Action::Acme(AcmeStep::Abandon { names: pending.names.clone() }));
        }
    }

    /// The names of the certificate, sorted.
    fn certificate_names(self) -> Vec<String> {
        let mut names = self.hosts();
        names.sort();
        names.dedup();
        names
    }

    /// The names to order for, sorted. A certificate that is to be renewed, or has run out, is renewed for the hosts that it
    /// has before others join it: one of those that cannot be proven would hold up them all.
    fn ordered_names(self) -> Vec<String> {
        let names = self.certificate_names();
        let Ok(Some(held)) = &self.world.certificate else { return names };
        let served: Vec<String> = names.iter().filter(|name| held.covers(name)).cloned().collect();
        match self.world.now >= self.renewal(held) && !served.is_empty() {
            true => served,
            false => names,
        }
    }

    fn issued(self) -> Verdict {
        let mut steps = Steps::default();
        let held = self.world.certificate.as_ref().map_err(Hold::from)?.as_ref();
        let names = self.certificate_names();
        let due = held.is_none_or(|certificate| self.is_due(certificate, &names));
        let pending = match &self.world.order {
            Ok(pending) => pending.as_ref(),
            // It matters once something is to be ordered.
            Err(fault) if due => return Err(fault.into()),
            Err(_) => None,
        };
        match pending {
            _ if due => {
                self.drive(&self.ordered_names(), pending, &mut steps).or_else(|hold| self.bears(hold, &mut steps))?
            }
            Some(_) => self.abandon(&mut steps),
            None => self.note_origin(&mut steps),
        }
        match held.filter(|c| names.iter().all(|name| c.covers(name)) && c.not_after > self.world.now) {
            Some(certificate) => self.serves(certificate, &mut steps),
            None => steps.wait(Hold::after("Issuing", LOOK, self.stands_at(pending))),
        }
        Ok(steps)
    }

    /// A renewal that the CA exempts from its limits, and that is not ordered yet because there were too many, is no trouble
    /// while a certificate serves.
    fn bears(self, hold: Hold, steps: &mut Steps) -> Result<(), Hold> {
        let serves = self.world.certificate(&self.certificate_names()).is_ok();
        if hold.reason != DUPLICATE_LIMIT || !self.is_exempt() || !serves {
            return Err(hold);
        }
        steps.again = None;
        Ok(())
    }

    /// A valid certificate is there: a renewal under way is no reason not to be ready.
    fn serves(self, certificate: &Certificate, steps: &mut Steps) {
        steps.evidence = format!("valid until {}, renewed from {}", certificate.not_after, self.renewal(certificate));
        // Why an order failed is known in this one pass only.
        steps.waits.take_if(|hold| hold.reason != "OrderFailed");
        steps.upkeep = true;
    }

    /// When the certificate is to be renewed.
    pub fn renewal(self, certificate: &Certificate) -> Timestamp {
        renew_at(certificate, self.world.window.as_ref(), &self.world.mark.owner)
    }

    fn is_due(self, certificate: &Certificate, names: &[String]) -> bool {
        self.comes_from_elsewhere()
            || self.world.now >= self.renewal(certificate)
            || !names.iter().all(|name| certificate.covers(name))
    }

    /// Where the spec wants the certificate from.
    fn source(self) -> Option<Origin> {
        let (name, account) = self.account(Vendor::Acme, self.named_ca()).ok()?;
        Some(Origin { account: name.to_owned(), directory: account.object.spec.acme.as_ref()?.directory.clone() })
    }

    fn named_ca(&self) -> Option<&str> {
        self.saas.spec.tls.as_ref().and_then(|tls| tls.account.as_deref())
    }

    /// Whether the certificate came from another CA than that of the spec's account, or from another account than the
    /// spec names. A default that moves between accounts at one CA is no reason to order everything anew.
    pub fn comes_from_elsewhere(self) -> bool {
        let (Some(noted), Some(wanted)) = (&self.world.origin, self.source()) else { return false };
        noted.directory != wanted.directory || (self.named_ca().is_some() && noted.account != wanted.account)
    }

    /// Earlier versions did not note where a certificate came from: it is taken for what the spec wants.
    fn note_origin(self, steps: &mut Steps) {
        let origin = self.source().filter(|_| self.world.origin.is_none());
        origin.into_iter().for_each(|origin| steps.act(Action::Acme(AcmeStep::Note(origin))));
    }

    /// The next step of an order.
    fn drive(self, names: &[String], pending: Option<&Pending>, steps: &mut Steps) -> Result<(), Hold> {
        let (account, _) = self.account(Vendor::Acme, self.named_ca())?;
        names.iter().try_for_each(|name| self.may_use(name, account))?;
        if self.saas.spec.dns.is_some() {
            self.dns_account()?;
        }
        steps.again = Some(LOOK);
        let step = match pending {
            None => {
                self.may_prove(names)?;
                self.within_limits(names)?;
                AcmeStep::Intend { account: account.to_owned(), names: names.to_vec() }
            }
            Some(p) if p.names != names || p.account != account => AcmeStep::Abandon { names: p.names.clone() },
            Some(p) => match (&p.url, &p.progress) {
                (Some(url), Some(Ok(progress))) => return self.advance(p, url, progress, steps),
                (Some(_), Some(Err(fault))) => return Err(fault.into()),
                _ => {
                    steps.note(Note::Order(self.entry(p, Outcome::Open)));
                    AcmeStep::Order { account: account.to_owned(), names: names.to_vec(), replaces: self.is_renewal() }
                }
            },
        };
        steps.act(Action::Acme(step));
        Ok(())
    }

    /// Whether the proofs of an order could be shown where golive holds the zone: else none is placed.
    fn may_prove(self, names: &[String]) -> Result<(), Hold> {
        let zones = names.iter().filter_map(|name| Some((name, self.world.zones.get(name)?.as_ref().ok()?.as_ref()?)));
        zones.into_iter().try_for_each(|(name, hosted)| self.may_write(name, hosted))
    }

    /// The order's line in the ledger.
    pub fn entry(self, pending: &Pending, outcome: Outcome) -> Attempt {
        Attempt { at: pending.at, names: pending.names.iter().cloned().collect(), outcome, replaces: self.is_exempt() }
    }

    /// What of the order is known to the CA's limits: the lifetime of what is renewed says how often that has to be.
    fn terms(self) -> Terms {
        let held = self.world.certificate.as_ref().ok().and_then(Option::as_ref).filter(|_| self.is_renewal());
        Terms { exempt: self.is_exempt(), lifetime: held.map(|held| held.not_before.duration_until(held.not_after)) }
    }

    /// Renewals that name the certificate which they replace do not count against the CA's limits.
    fn is_exempt(self) -> bool {
        self.is_renewal() && self.world.window.is_some()
    }

    /// A CA takes an order for a renewal from the account that has the certificate which is replaced, and no other:
    /// <https://www.rfc-editor.org/rfc/rfc9773.html#section-5>.
    fn is_renewal(self) -> bool {
        !self.comes_from_elsewhere()
            && matches!(&self.world.certificate, Ok(Some(c)) if self.ordered_names().iter().all(|n| c.covers(n)))
    }

    fn within_limits(self, names: &[String]) -> Result<(), Hold> {
        let orders = &self.world.vault()?.ledger.orders;
        let names: BTreeSet<String> = names.iter().cloned().collect();
        may_order(orders, &names, self.terms(), self.world.now).map_err(|wait| {
            let seconds = self.world.now.duration_until(wait.until).as_secs().max(1).unsigned_abs();
            let message = format!("{}; the next order is placed after {}", wait.message, wait.until);
            Hold::after(wait.reason, Duration::from_secs(seconds), message)
        })
    }

    fn advance(self, pending: &Pending, url: &str, progress: &Progress, steps: &mut Steps) -> Result<(), Hold> {
        let (account, url, names) = (pending.account.clone(), url.to_owned(), pending.names.clone());
        match progress.status {
            Status::Pending => return self.challenge(pending, &url, progress, steps),
            Status::Ready => steps.act(Action::Acme(AcmeStep::Finalize { account, url, names })),
            Status::Processing => {}
            Status::Valid => steps.act(Action::Acme(AcmeStep::Take { account, url, names })),
            Status::Invalid => {
                steps.note(Note::Order(self.entry(pending, Outcome::Failed)));
                steps.act(Action::Acme(AcmeStep::Abandon { names }));
                steps.wait(Hold::after("OrderFailed", LOOK, format!("the CA refused the order: {}", told(progress))));
            }
        }
        Ok(())
    }

    /// Proofs must be out before the CA is asked to look: a failed check counts against the account's limits.
    fn challenge(self, pending: &Pending, url: &str, progress: &Progress, steps: &mut Steps) -> Result<(), Hold> {
        let chosen: Vec<&Challenge> = self.chosen(progress)?;
        self.can_be_proven(progress, &chosen)?;
        let over_http = |c: &&Challenge| c.kind == acme::Kind::Http01 && is_under_way(c);
        let over_http: Vec<&Challenge> = chosen.iter().copied().filter(over_http).collect();
        if !over_http.is_empty() {
            self.solver(&over_http, steps);
        }
        let open: Vec<&Challenge> = chosen.into_iter().filter(|c| c.status == ChallengeState::Pending).collect();
        for challenge in &open {
            // What was declared above stays declared: the solver has to run for its proof to be seen.
            if let Err(hold) = self.is_out(challenge) {
                steps.again = match hold.until {
                    Until::After(wait) => Some(wait),
                    Until::Event | Until::Person => None,
                };
                steps.wait(hold);
                return Ok(());
            }
        }
        let names = open.iter().map(|c| (c.name.clone(), c.kind == acme::Kind::Dns01)).collect::<BTreeMap<_, _>>();
        if !names.is_empty() {
            let account = pending.account.clone();
            steps.act(Action::Acme(AcmeStep::Ready { account, url: url.to_owned(), names }));
        }
        Ok(())
    }

    /// The challenges that are answered: over DNS where we hold the zone, else over HTTP. A zone that cannot be seen
    /// may be ours.
    fn chosen(self, progress: &Progress) -> Result<Vec<&Challenge>, Hold> {
        let mut chosen = Vec::new();
        for challenge in &progress.challenges {
            let kind = match self.world.zones.get(&challenge.name) {
                Some(Err(fault)) => return Err(fault.into()),
                Some(Ok(Some(_))) => acme::Kind::Dns01,
                Some(Ok(None)) | None => acme::Kind::Http01,
            };
            if challenge.kind == kind {
                chosen.push(challenge);
            }
        }
        Ok(chosen)
    }

    /// Whether the CA takes a proof of each name that golive can give.
    fn can_be_proven(self, progress: &Progress, chosen: &[&Challenge]) -> Result<(), Hold> {
        let proven = |c: &Challenge| c.status == ChallengeState::Valid;
        let is_closed = |offered: &&Challenge| {
            let of_it = |c: &Challenge| c.name == offered.name;
            !chosen.iter().any(|c| of_it(c)) && !progress.challenges.iter().any(|c| of_it(c) && proven(c))
        };
        let Some(Challenge { name, .. }) = progress.challenges.iter().find(is_closed) else { return Ok(()) };
        let message = format!(
            "the CA offers no way to prove {name} that golive can go: over DNS it can where a Cloudflare ProviderAccount holds the zone, over HTTP (http-01) everywhere else"
        );
        Err(Hold::person("NoChallenge", message))
    }

    fn is_out(self, challenge: &Challenge) -> Result<(), Hold> {
        if challenge.kind == acme::Kind::Http01 {
            return self.is_seen(challenge);
        }
        match self.world.published.get(&challenge.name) {
            Some(Ok(values)) if values.contains(&challenge.proof) => Ok(()),
            Some(Err(fault)) => Err(fault.into()),
            _ => Err(Hold::after(
                "ProofPending",
                LOOK,
                format!("the name servers of {} do not all show the proof yet", challenge.name),
            )),
        }
    }

    /// The proofs that DNS has to show: by host.
    pub fn proofs(self) -> Vec<(String, String)> {
        let Ok(Some(Pending { progress: Some(Ok(progress)), .. })) = &self.world.order else { return Vec::new() };
        if progress.status != Status::Pending {
            return Vec::new();
        }
        let chosen = self.chosen(progress).unwrap_or_default();
        chosen.into_iter().filter(|c| c.kind == acme::Kind::Dns01).map(|c| (c.name.clone(), c.proof.clone())).collect()
    }

    fn stands_at(self, pending: Option<&Pending>) -> String {
        let names = self.certificate_names().join(", ");
        match pending.and_then(|p| p.progress.as_ref()) {
            Some(Ok(progress)) => {
                format!("the order for {names} is {:?} at the CA{}", progress.status, separated(&told(progress)))
            }
            Some(Err(fault)) => format!("the order for {names}: {fault}"),
            None => format!("an order for {names} is being placed"),
        }
    }
}

/// Whether the CA may still look.
fn is_under_way(challenge: &Challenge) -> bool {
    matches!(challenge.status, ChallengeState::Pending | ChallengeState::Processing)
}

fn told(progress: &Progress) -> String {
    let challenges = progress.challenges.iter().filter_map(|c| c.error.as_ref().map(|e| format!("{}: {e}", c.name)));
    progress.error.iter().cloned().chain(challenges).collect::<Vec<_>>().join("; ")
}

fn separated(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

#[cfg(test)]
mod tests;
