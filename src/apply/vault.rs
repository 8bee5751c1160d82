//! Reading and writing the vault's Secret.

use std::collections::{BTreeMap, HashMap};
use std::sync::{MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::owner_reference;
use super::secrets::{Stands, is_earlier, is_ours, keep, not_ours, own};
use crate::api::SaasDeployment;
use crate::cluster::{change, find};
use crate::fault::{Fault, Seen};
use crate::objects::{FINALIZER, MANAGED_BY, OWNER};
use crate::observe::Observer;
use crate::plan::names::joined;
use crate::vault::{LEDGER, Ledger, Note, Vault};

/// For how many seconds at least a vault is taken for what it was.
const LEAST_SECONDS: usize = 10;

/// Vaults as they were last read or written by this process, which is the only one that writes them. They are read again
/// after a while, for somebody may have changed or removed one: a watch would need the right to list every Secret of the
/// cluster.
#[derive(Default)]
pub struct Vaults(std::sync::Mutex<HashMap<String, Known>>);

struct Known {
    vault: Vault,
    read: Timestamp,
}

impl Vaults {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a vault that was read not long ago: each is read every ten seconds where it is looked at, and all
    /// of them together once a second.
    fn fresh(&self, saas: &SaasDeployment, now: Timestamp) -> Option<Vault> {
        let known = self.map();
        let seconds = known.len().max(LEAST_SECONDS);
        let limit = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        let found = known.get(&saas.uid()?)?;
        (now.duration_since(found.read) < limit).then(|| found.vault.clone())
    }

    /// Takes it that an object which golive has never held has no vault yet. If there is one after all, it cannot be made,
    /// and is read then.
    pub fn begin(&self, saas: &SaasDeployment, now: Timestamp) {
        self.keep(saas, Vault::default(), now);
    }

    fn keep(&self, saas: &SaasDeployment, vault: Vault, read: Timestamp) {
        self.map().insert(saas.uid().unwrap_or_default(), Known { vault, read });
    }

    /// What a write left; the time of reading stays, for a write shows nothing of what others removed before it.
    fn wrote(&self, saas: &SaasDeployment, vault: Vault, now: Timestamp) {
        let mut known = self.map();
        let entry = known.entry(saas.uid().unwrap_or_default());
        entry.and_modify(|known| known.vault = vault.clone()).or_insert(Known { vault, read: now });
    }

    /// Forgets a vault: it is read again before it is relied on.
    pub fn forget(&self, saas: &SaasDeployment) {
        self.map().remove(&saas.uid().unwrap_or_default());
    }

    /// Whether there is one, as far as this process knows.
    pub fn knows(&self, saas: &SaasDeployment) -> bool {
        self.map().get(&saas.uid().unwrap_or_default()).is_some_and(|known| known.vault.version.is_some())
    }
}

impl Observer {
    /// The vault of an object; there is an empty one where there is no Secret yet.
    ///
    /// # Errors
    /// The Secret cannot be read, is somebody else's, or its ledger was damaged.
    pub async fn vault(&self, saas: &SaasDeployment) -> Seen<Vault> {
        let now = self.outside.now();
        let going = saas.metadata.deletion_timestamp.is_some();
        if let Some(known) = self.vaults.fresh(saas, now).filter(|_| !going) {
            return Ok(known);
        }
        let (api, name) = self.place(saas);
        // What somebody else keeps under the name is no reason to hold up the end.
        let found = if going { own(&api, saas, &name).await } else { find(&api, &name).await };
        let vault = found?.map_or_else(|| Ok(Vault::default()), |secret| of(secret, saas))?;
        // A write fences itself by the version that was seen; where there was none, it is looked for again each time.
        if vault.version.is_some() {
            self.vaults.keep(saas, vault.clone(), now);
        } else if !going {
            self.vaults.forget(saas);
        }
        Ok(vault)
    }

    /// Where a vault is.
    fn place(&self, saas: &SaasDeployment) -> (Api<Secret>, String) {
        let api = Api::namespaced(self.client.clone(), &saas.namespace().unwrap_or_default());
        (api, joined(&saas.name_any(), "secrets"))
    }

    /// Lets the vault go, or that of one which had the name before: at the end of a SaasDeployment nobody else would. Gives
    /// whether there is one.
    ///
    /// # Errors
    /// It cannot be read or written, or another wrote it in the same moment.
    pub async fn let_vault_go(&self, saas: &SaasDeployment) -> Seen<bool> {
        self.let_go(saas, |secret| is_ours(saas, secret) || is_earlier(saas, secret)).await
    }

    /// Lets the vault go of one that had the name before, where its end passed golive by.
    ///
    /// # Errors
    /// It cannot be read or written, or another wrote it in the same moment.
    pub async fn let_earlier_vault_go(&self, saas: &SaasDeployment) -> Seen<bool> {
        self.let_go(saas, |secret| is_earlier(saas, secret)).await
    }

    async fn let_go(&self, saas: &SaasDeployment, may_go: impl Fn(&Secret) -> bool) -> Seen<bool> {
        let (api, name) = self.place(saas);
        let Some(secret) = find(&api, &name).await?.filter(may_go) else { return Ok(false) };
        let others: Vec<&String> = secret.finalizers().iter().filter(|held| *held != FINALIZER).collect();
        if others.len() < secret.finalizers().len() {
            let body = json!({"metadata": {"finalizers": others, "resourceVersion": secret.resource_version()}});
            change(&api, &name, body).await.map(|_: Secret| ())?;
        }
        Ok(true)
    }
}

fn of(secret: Secret, saas: &SaasDeployment) -> Seen<Vault> {
    let name = secret.name_any();
    if !is_ours(saas, &secret) {
        return Err(not_ours(saas, &secret));
    }
    let ledger = match secret.annotations().get(LEDGER) {
        None => Ledger::default(),
        Some(text) => serde_json::from_str(text).map_err(|e| {
            Fault::Rejected(format!("annotation {LEDGER} of Secret {name} is damaged ({e}): restore or remove it"))
        })?,
    };
    let (version, going) = (secret.resource_version(), secret.metadata.deletion_timestamp.is_some());
    let finalizers = secret.finalizers().to_vec();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned().into();
    let values = secret.data.unwrap_or_default().into_iter().map(|(env, value)| (env, text(value.0))).collect();
    Ok(Vault { values, ledger, version, finalizers, going })
}

/// The vault while a pass writes: every entry is durable before `enter` returns.
pub struct Writer<'a> {
    observer: &'a Observer,
    saas: &'a SaasDeployment,
    vault: Mutex<Vault>,
}

impl<'a> Writer<'a> {
    /// Writes on from what was observed.
    pub fn new(observer: &'a Observer, saas: &'a SaasDeployment, vault: Vault) -> Self {
        Writer { observer, saas, vault: Mutex::new(vault) }
    }

    /// Enters notes; writes only if they change anything, or to hold a Secret that nobody holds: one of an earlier version, or
    /// one whose finalizer somebody took off. Once it is deleted, that is too late.
    ///
    /// # Errors
    /// The Secret could not be written, or another wrote it since: then nothing was entered.
    pub async fn enter(&self, notes: Vec<Note>) -> Seen<bool> {
        let mut vault = self.vault.lock().await;
        let mut next = vault.clone();
        let changes = notes.into_iter().filter(|note| next.enter(note.clone())).count();
        if changes == 0 && (vault.version.is_none() || !vault.is_loose()) {
            return Ok(false);
        }
        if next.is_loose() {
            next.finalizers.push(FINALIZER.to_owned());
        }
        let written = self.write(&vault, &next).await.inspect_err(|_| self.observer.vaults.forget(self.saas))?;
        next.version = written.resource_version();
        self.observer.vaults.wrote(self.saas, next.clone(), self.observer.outside.now());
        *vault = next;
        Ok(changes > 0)
    }

    /// Writes the Secret, fenced by what was read.
    async fn write(&self, seen: &Vault, next: &Vault) -> Seen<Secret> {
        let ((api, name), secret) = (self.observer.place(self.saas), self.secret(next)?);
        let stands = seen.version.as_ref().map(|version| Stands { version, keys: seen.values.keys().collect() });
        keep(&api, (&name, secret), stands).await
    }

    /// The value under an env name, as it stands now.
    pub async fn value(&self, env: &str) -> Option<secrecy::SecretString> {
        self.vault.lock().await.values.get(env).cloned()
    }

    /// The state of a webhook slot, as it stands now.
    pub async fn webhook(&self, slot: &str) -> Option<crate::vault::Webhook> {
        self.vault.lock().await.ledger.webhooks.get(slot).cloned()
    }

    /// The whole Secret.
    fn secret(&self, vault: &Vault) -> Seen<Value> {
        let ledger = serde_json::to_string(&vault.ledger)
            .map_err(|e| Fault::Rejected(format!("the ledger cannot be written: {e}")))?;
        let values: BTreeMap<&String, &str> =
            vault.values.iter().map(|(env, value)| (env, value.expose_secret())).collect();
        Ok(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": joined(&self.saas.name_any(), "secrets"),
                "labels": {MANAGED_BY: "golive", OWNER: self.saas.name_any()},
                "annotations": {LEDGER: ledger},
                "finalizers": vault.finalizers,
                "ownerReferences": [owner_reference(self.saas)],
            },
            "type": "Opaque",
            "data": encoded(values),
        }))
    }
}

/// Values in base64, as a Secret's `data` has them. `stringData` would leave removed keys in place.
pub fn encoded<'a>(values: impl IntoIterator<Item = (&'a String, &'a str)>) -> BTreeMap<String, String> {
    use base64::Engine;
    let encode = |value: &str| base64::engine::general_purpose::STANDARD.encode(value);
    values.into_iter().map(|(key, value)| (key.clone(), encode(value))).collect()
}
