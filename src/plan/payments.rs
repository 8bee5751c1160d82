//! Payments: a webhook endpoint at Stripe for each path, whose signing secret reaches the application and is never lost.
//!
//! Stripe shows a secret once, when the endpoint is made. So the intent is noted before the call, the secret stored right
//! after it, and an endpoint of ours whose secret is not known is replaced: create, store, then delete the orphan.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use super::claims::Vendor;
use super::names::hash_of;
use super::secrets::derived;
use super::{Action, Ask, Part, Steps, Verdict};
use crate::api::{Environment, EventPreset, Stripe, StripeMode, StripeWebhook};
use crate::fault::Hold;
use crate::rows::{Change, Endpoint, Held};
use crate::vault::{Issued, Note, Remembered, Webhook};
use crate::world::{Account, Table};

/// How long both endpoints of a rotation deliver, after the pods know the new secret.
const OVERLAP: SignedDuration = SignedDuration::from_secs(60);

/// How long until a trial is looked at again: the other parts' conditions are known only after a pass.
const TRIAL: std::time::Duration = std::time::Duration::from_secs(10);

/// What `preset: Subscriptions` stands for: <https://docs.stripe.com/billing/subscriptions/webhooks>.
const SUBSCRIPTIONS: [&str; 6] = [
    "checkout.session.completed",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "invoice.payment_succeeded",
    "invoice.payment_failed",
];

/// Plans the endpoints.
pub fn plan(ask: Ask<'_>) -> Option<Verdict> {
    let spoken = ask.saas.spec.payments.is_some();
    let left = ask.left_accounts(None);
    (spoken || !left.is_empty()).then(|| ask.payments())
}

/// Removes all endpoints when the object goes, at every account that the spec or the ledger leads to. It waits for a ledger
/// that cannot be read.
pub fn farewell(ask: Ask<'_>) -> Option<Verdict> {
    let mut steps = Steps::default();
    ask.paying_accounts().iter().for_each(|account| ask.clear_account(account, &mut steps));
    steps.or_wait(ask.world.vault());
    Some(Ok(steps))
}

impl Ask<'_> {
    /// The webhooks of the spec that lead to the pods; those of workers are not made yet.
    pub fn webhooks(&self) -> Vec<&StripeWebhook> {
        self.stripe().into_iter().flat_map(|stripe| &stripe.webhooks).filter(|w| w.worker.is_none()).collect()
    }

    fn stripe(&self) -> Option<&Stripe> {
        self.saas.spec.payments.as_ref()?.stripe.as_ref()
    }

    /// The env names that webhooks fill.
    pub fn webhook_env(&self) -> Vec<String> {
        self.webhooks()
            .iter()
            .flat_map(|w| [Some(w.secret_env.clone()), w.previous_secret_env.clone()])
            .flatten()
            .collect()
    }

    fn payments(self) -> Verdict {
        self.world.vault()?;
        let mut steps = Steps::default();
        self.unbuilt_payments(&mut steps);
        let account = self.stripe_account(&mut steps);
        if let Some(account) = &account {
            self.remember(account, &mut steps);
            self.webhooks().iter().for_each(|webhook| self.webhook_steps(webhook, account, &mut steps));
            self.tell_of_trial(account, &mut steps);
        }
        if self.may_retire(account.as_deref()) {
            account.iter().for_each(|account| self.drop_slots(account, &mut steps));
            self.left_accounts(account.as_deref()).iter().for_each(|left| self.clear_account(left, &mut steps));
        }
        let names: Vec<&str> = self.webhooks().iter().filter_map(|w| w.path.as_deref()).collect();
        steps.upkeep = steps.actions.iter().all(|action| self.is_upkeep(action));
        steps.evidence = format!("Stripe delivers to {}", names.join(", "));
        Ok(steps)
    }

    /// Whether endpoints that the spec no longer names may go: once those that it names stand and every pod knows their
    /// secrets. An account that cannot be told is no reason to remove anything.
    fn may_retire(self, account: Option<&str>) -> bool {
        match (self.stripe(), account) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(account)) => self.delivers_by(account),
        }
    }

    /// Whether every webhook's endpoint stands in an account, and every pod knows its secret.
    fn delivers_by(self, account: &str) -> bool {
        let stands = |webhook: &&StripeWebhook| {
            let slot = self.world.webhook(&webhook.secret_env);
            slot.is_some_and(|slot| slot.current.is_some() && slot.account == account)
        };
        self.webhooks().iter().all(stands) && self.is_environment_rolled()
    }

    fn unbuilt_payments(self, steps: &mut Steps) {
        let Some(payments) = &self.saas.spec.payments else { return };
        let stripe = payments.stripe.as_ref();
        let of_workers = stripe.is_some_and(|stripe| stripe.webhooks.iter().any(|w| w.worker.is_some()));
        let fields = [
            ("payments.razorpay", payments.razorpay.is_some()),
            ("payments.stripe.products", stripe.is_some_and(|s| !s.products.is_empty())),
            ("payments.stripe.webhooks.worker", of_workers),
        ];
        fields.into_iter().filter(|(_, used)| *used).for_each(|(field, _)| steps.wait(super::unsupported::hold(field)));
    }

    /// The account in use, if it may be used here: the spec's, or for a trial that of test mode.
    fn stripe_account(self, steps: &mut Steps) -> Option<String> {
        let stripe = self.stripe()?;
        let (name, account) = steps.or_wait(self.account(Vendor::Stripe, stripe.account.as_deref()))?;
        if is_live(account) && self.saas.spec.environment != Environment::Production {
            steps.wait(Hold::person(
                "LiveKeyOutsideProduction",
                format!(
                    "ProviderAccount `{name}` is in live mode, and `environment` is {:?}: name a test account",
                    self.saas.spec.environment
                ),
            ));
            return None;
        }
        match stripe.trial().filter(|trial| *trial != name && !self.webhooks().is_empty()) {
            Some(trial) if !steps.or_wait(self.is_past_trial(name, trial))? => self.trial_account(trial, steps),
            _ => Some(name.to_owned()),
        }
    }

    /// The account of a trial.
    fn trial_account(self, named: &str, steps: &mut Steps) -> Option<String> {
        let (name, account) = steps.or_wait(self.account(Vendor::Stripe, Some(named)))?;
        if !is_live(account) {
            return Some(name.to_owned());
        }
        let message = format!(
            "ProviderAccount `{name}` is in live mode, and `payments.stripe.startInTestMode` names it: name a test account"
        );
        steps.wait(Hold::person("LiveKeyInTrial", message));
        None
    }

    /// Whether a trial has succeeded, or comes too late: what has been live stays so, even if golive's own memory of it was
    /// lost.
    fn is_past_trial(self, account: &str, trial: &str) -> Result<bool, Hold> {
        let live = |left: &String| self.world.accounts.get(left).is_none_or(is_live);
        let was_live = self.left_accounts(Some(trial)).iter().any(live) || !self.ours(account)?.is_empty();
        Ok(was_live || (self.delivers_by(trial) && self.is_else_ready()))
    }

    /// Whether every condition of this generation but that of payments is True.
    fn is_else_ready(self) -> bool {
        let own = ["Ready", "Reconciling", "Stalled", Part::Payments.condition()];
        let told = self.saas.status.iter().flat_map(|status| &status.conditions);
        let mut others = told.filter(|c| !own.contains(&c.type_.as_str())).peekable();
        others.peek().is_some()
            && others.all(|c| c.status == "True" && c.observed_generation == self.saas.metadata.generation)
    }

    /// A trial is not live: it says so until it has succeeded.
    fn tell_of_trial(self, account: &str, steps: &mut Steps) {
        if self.stripe().and_then(Stripe::trial) == Some(account) {
            let text = format!(
                "on trial with ProviderAccount `{account}` in test mode: live endpoints follow once every other condition is True"
            );
            steps.wait(Hold::after("InTestMode", TRIAL, text));
        }
    }

    fn remember(self, account: &str, steps: &mut Steps) {
        let remembered = payments_at(account);
        let known = self.world.vault.as_ref().is_ok_and(|v| v.ledger.accounts.contains(&remembered));
        if !known && !self.webhooks().is_empty() {
            steps.note(Note::Account(remembered));
        }
    }

    /// Every account where endpoints of ours may stand.
    pub fn paying_accounts(self) -> BTreeSet<String> {
        self.left_accounts(None).into_iter().chain(self.world.endpoints.keys().cloned()).collect()
    }

    /// Accounts where endpoints of ours may stand, but for the one in use.
    fn left_accounts(self, used: Option<&str>) -> Vec<String> {
        let accounts = self.world.vault.as_ref().map(|v| v.ledger.accounts.clone()).unwrap_or_default();
        accounts
            .into_iter()
            .filter(|r| r.part == "payments" && Some(r.account.as_str()) != used)
            .map(|r| r.account)
            .collect()
    }

    fn endpoint_table(&self, account: &str) -> Result<&Table<Endpoint>, Hold> {
        match self.world.endpoints.get(account) {
            Some(seen) => seen.as_ref().map_err(Hold::from),
            None => Err(Hold::event(
                "AccountMissing",
                format!("ProviderAccount `{account}` is gone: what golive made there cannot be seen"),
            )),
        }
    }

    fn ours<'a>(&'a self, account: &str) -> Result<Vec<&'a Held<Endpoint>>, Hold> {
        Ok(self.endpoint_table(account)?.iter().filter(|held| held.is_of(&self.world.mark)).collect())
    }

    /// Removes all of ours from an account, then forgets it.
    fn clear_account(self, account: &str, steps: &mut Steps) {
        let Some(ours) = steps.or_wait(self.ours(account)) else { return };
        if ours.is_empty() {
            self.slots_at(account).into_iter().for_each(|slot| steps.note(Note::Webhook(slot, None)));
            return steps.note(Note::Forget(payments_at(account)));
        }
        for held in ours {
            steps.act(Action::Endpoint { account: account.to_owned(), change: Change::Delete(held.id.clone()) });
        }
    }

    /// The slots whose endpoints an account holds.
    fn slots_at(self, account: &str) -> Vec<String> {
        let Ok(vault) = &self.world.vault else { return Vec::new() };
        let slots = vault.ledger.webhooks.iter().filter(|(_, webhook)| webhook.account == account);
        slots.map(|(slot, _)| slot.clone()).collect()
    }

    /// Slots that the spec no longer names.
    fn drop_slots(self, account: &str, steps: &mut Steps) {
        let named = |slot: &str| self.webhooks().iter().any(|w| w.secret_env == slot);
        let Ok(ours) = self.ours(account) else { return };
        for held in ours.into_iter().filter(|held| !named(&held.row.slot)) {
            steps.act(Action::Endpoint { account: account.to_owned(), change: Change::Delete(held.id.clone()) });
        }
        let known: Vec<String> =
            self.world.vault.as_ref().map(|v| v.ledger.webhooks.keys().cloned().collect()).unwrap_or_default();
        known.into_iter().filter(|slot| !named(slot)).for_each(|slot| steps.note(Note::Webhook(slot, None)));
    }

    /// One slot: make its endpoint, correct it, rotate it, remove what is left over.
    fn webhook_steps(self, webhook: &StripeWebhook, account: &str, steps: &mut Steps) {
        let Some(wanted) = steps.or_wait(self.endpoint(webhook)) else { return };
        let Some(slot) = steps.or_wait(self.slot(webhook, account)) else { return };
        let current =
            slot.state.as_ref().and_then(|s| s.current.clone()).filter(|issued| self.is_usable(&slot, issued));
        let Some(current) = current else { return self.make(slot, wanted, steps) };
        let Some(held) = slot.ours.iter().find(|held| held.id == current.id) else { return };
        if self.is_replacement_due(webhook, &current, &held.row, &wanted) {
            return self.make(slot, wanted, steps);
        }
        self.correct(held, wanted, account, steps);
        self.retire(slot, steps);
    }

    fn slot<'a>(&'a self, webhook: &'a StripeWebhook, account: &'a str) -> Result<Slot<'a>, Hold> {
        self.may_use(&self.saas.spec.domains[0], account)?;
        let state = self.world.webhook(&webhook.secret_env).filter(|w| w.account == account).cloned();
        let ours = self.ours(account)?.into_iter().filter(|held| held.row.slot == webhook.secret_env).collect();
        Ok(Slot { webhook, account, state, ours })
    }

    /// The endpoint that a webhook wants, without its attempt.
    fn endpoint(&self, webhook: &StripeWebhook) -> Result<Endpoint, Hold> {
        let missing = || Hold::person("NoDomain", "a webhook needs a public address: add `domains`");
        let url = format!("{}{}", self.url().ok_or_else(missing)?, webhook.path.as_deref().unwrap_or("/"));
        let events = match webhook.preset {
            Some(EventPreset::Subscriptions) => SUBSCRIPTIONS.iter().map(|event| (*event).to_owned()).collect(),
            None => webhook.events.iter().cloned().collect(),
        };
        let slot = webhook.secret_env.clone();
        Ok(Endpoint {
            slot,
            url,
            events,
            api_version: webhook.api_version.clone(),
            enabled: true,
            attempt: String::new(),
        })
    }

    /// Whether Stripe still lists the current endpoint of a slot.
    pub fn is_listed(self, webhook: &Webhook) -> bool {
        let current = webhook.current.as_ref().map(|issued| &issued.id);
        self.ours(&webhook.account).is_ok_and(|ours| ours.iter().any(|held| Some(&held.id) == current))
    }

    /// An endpoint is of use while Stripe lists it and its secret is stored.
    fn is_usable(self, slot: &Slot<'_>, issued: &Issued) -> bool {
        let stored = self.world.vault.as_ref().is_ok_and(|v| v.value(&slot.webhook.secret_env).is_some());
        stored && slot.ours.iter().any(|held| held.id == issued.id)
    }

    fn is_replacement_due(self, webhook: &StripeWebhook, current: &Issued, have: &Endpoint, want: &Endpoint) -> bool {
        let days = webhook.rotate_after_days.map(|days| SignedDuration::from_hours(24 * i64::from(days)));
        let old = days.is_some_and(|days| self.world.now.duration_since(current.at) >= days);
        let fixed = want.api_version.is_some() && want.api_version != have.api_version;
        old || fixed || self.is_rotation_asked_since(&webhook.secret_env, current.at)
    }

    /// Notes the intent, then makes a new endpoint beside what is there.
    fn make(self, slot: Slot<'_>, wanted: Endpoint, steps: &mut Steps) {
        let Slot { webhook, account, state, ours } = slot;
        if let Err(hold) = self.is_secured() {
            return steps.wait(hold);
        }
        let params = hash_of(&(&wanted.url, &wanted.events, &wanted.api_version, account), 8);
        let noted = state.as_ref().and_then(|s| s.attempt.clone());
        let usable = |key: &String| key.starts_with(&params) && !ours.iter().any(|held| held.row.attempt == *key);
        let attempt = noted
            .clone()
            .filter(usable)
            .unwrap_or_else(|| format!("{params}-{}", derived(&self.world.entropy, &webhook.secret_env, 12)));
        if noted.as_ref() != Some(&attempt) {
            let (current, previous) = state.map(|s| (s.current, s.previous)).unwrap_or_default();
            let intent = Webhook { account: account.to_owned(), current, previous, attempt: Some(attempt.clone()) };
            steps.note(Note::Webhook(webhook.secret_env.clone(), Some(intent)));
        }
        steps.act(Action::CreateEndpoint {
            account: account.to_owned(),
            endpoint: Endpoint { attempt, ..wanted },
            env: webhook.secret_env.clone(),
            previous_env: webhook.previous_secret_env.clone(),
        });
    }

    fn correct(self, held: &Held<Endpoint>, wanted: Endpoint, account: &str, steps: &mut Steps) {
        let row = Endpoint { attempt: held.row.attempt.clone(), api_version: held.row.api_version.clone(), ..wanted };
        if row != held.row {
            steps.act(Action::Endpoint { account: account.to_owned(), change: Change::Update(held.id.clone(), row) });
        }
    }

    /// Deletes endpoints of the slot that are neither current nor, while pods may still know it, previous.
    fn retire(self, slot: Slot<'_>, steps: &mut Steps) {
        let Slot { webhook, account, state: Some(state), ours } = slot else { return };
        let Some(current) = &state.current else { return };
        let over = self.world.now.duration_since(current.at) >= OVERLAP && self.is_environment_rolled();
        let previous = state.previous.clone().filter(|_| !over);
        if previous.is_some() {
            steps.again = Some(std::time::Duration::from_secs(15));
        }
        let kept =
            |held: &&&Held<Endpoint>| held.id == current.id || previous.as_ref().is_some_and(|p| p.id == held.id);
        for held in ours.iter().filter(|held| !kept(held)) {
            steps.act(Action::Endpoint { account: account.to_owned(), change: Change::Delete(held.id.clone()) });
        }
        let settled = Webhook { account: account.to_owned(), current: Some(current.clone()), previous, attempt: None };
        if settled != state {
            steps.note(Note::Webhook(webhook.secret_env.clone(), Some(settled)));
        }
    }
}

/// A webhook of the spec with what is known of it and what stands for it at Stripe.
struct Slot<'a> {
    webhook: &'a StripeWebhook,
    account: &'a str,
    state: Option<Webhook>,
    ours: Vec<&'a Held<Endpoint>>,
}

fn is_live(account: &Account) -> bool {
    account.object.spec.stripe.as_ref().is_some_and(|stripe| stripe.mode == StripeMode::Live)
}

fn payments_at(account: &str) -> Remembered {
    Remembered { part: "payments".into(), account: account.to_owned(), zone: None }
}

#[cfg(test)]
mod tests;
