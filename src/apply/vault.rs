//! Reading and writing the vault's Secret.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::owner_reference;
use crate::api::SaasDeployment;
use crate::cluster::{apply, find};
use crate::fault::{Fault, Seen};
use crate::objects::{MANAGED_BY, OWNER};
use crate::plan::names::joined;
use crate::vault::{LEDGER, Ledger, Note, Vault};

/// Reads the vault of an object; there is an empty one where there is no Secret yet.
///
/// # Errors
/// The Secret cannot be read, is somebody else's, or its ledger was damaged.
pub async fn read(client: &Client, saas: &SaasDeployment) -> Seen<Vault> {
    let name = joined(&saas.name_any(), "secrets");
    let api: Api<Secret> = Api::namespaced(client.clone(), &saas.namespace().unwrap_or_default());
    match find(&api, &name).await? {
        None => Ok(Vault::default()),
        Some(secret) => of(secret, saas),
    }
}

fn of(secret: Secret, saas: &SaasDeployment) -> Seen<Vault> {
    let name = secret.name_any();
    if secret.labels().get(OWNER) != Some(&saas.name_any()) {
        return Err(Fault::Rejected(format!(
            "Secret {name} exists and is not golive's: rename it, or the SaasDeployment"
        )));
    }
    let ledger = match secret.annotations().get(LEDGER) {
        None => Ledger::default(),
        Some(text) => serde_json::from_str(text).map_err(|e| {
            Fault::Rejected(format!("annotation {LEDGER} of Secret {name} is damaged ({e}): restore or remove it"))
        })?,
    };
    let version = secret.resource_version();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned().into();
    let values = secret.data.unwrap_or_default().into_iter().map(|(env, value)| (env, text(value.0))).collect();
    Ok(Vault { values, ledger, version })
}

/// The vault while a pass writes: every entry is durable before `enter` returns.
pub struct Writer<'a> {
    client: &'a Client,
    saas: &'a SaasDeployment,
    vault: Mutex<Vault>,
}

impl<'a> Writer<'a> {
    /// Writes on from what was observed.
    pub fn new(client: &'a Client, saas: &'a SaasDeployment, vault: Vault) -> Self {
        Writer { client, saas, vault: Mutex::new(vault) }
    }

    /// Enters notes; writes only if they change anything.
    ///
    /// # Errors
    /// The Secret could not be written, or another wrote it since: then nothing was entered.
    pub async fn enter(&self, notes: Vec<Note>) -> Seen<bool> {
        let mut vault = self.vault.lock().await;
        let mut next = vault.clone();
        let changes = notes.into_iter().filter(|note| next.enter(note.clone())).count();
        if changes == 0 {
            return Ok(false);
        }
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.saas.namespace().unwrap_or_default());
        let written = apply(&api, &joined(&self.saas.name_any(), "secrets"), &self.secret(&next)?).await?;
        next.version = written.resource_version();
        *vault = next;
        Ok(true)
    }

    /// The value under an env name, as it stands now.
    pub async fn value(&self, env: &str) -> Option<secrecy::SecretString> {
        self.vault.lock().await.values.get(env).cloned()
    }

    /// The state of a webhook slot, as it stands now.
    pub async fn webhook(&self, slot: &str) -> Option<crate::vault::Webhook> {
        self.vault.lock().await.ledger.webhooks.get(slot).cloned()
    }

    /// The Secret with a fence: it is refused if another wrote since we read.
    fn secret(&self, vault: &Vault) -> Seen<Value> {
        let ledger = serde_json::to_string(&vault.ledger)
            .map_err(|e| Fault::Rejected(format!("the ledger cannot be written: {e}")))?;
        let values: BTreeMap<&String, &str> =
            vault.values.iter().map(|(env, value)| (env, value.expose_secret())).collect();
        let mut secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": joined(&self.saas.name_any(), "secrets"),
                "labels": {MANAGED_BY: "golive", OWNER: self.saas.name_any()},
                "annotations": {LEDGER: ledger},
                "ownerReferences": [owner_reference(self.saas)],
            },
            "type": "Opaque",
            "data": encoded(values),
        });
        if let Some(version) = &vault.version {
            secret["metadata"]["resourceVersion"] = json!(version);
        }
        Ok(secret)
    }
}

/// Values in base64, as a Secret's `data` has them. `stringData` would leave removed keys in place.
pub fn encoded<'a>(values: impl IntoIterator<Item = (&'a String, &'a str)>) -> BTreeMap<String, String> {
    use base64::Engine;
    let encode = |value: &str| base64::engine::general_purpose::STANDARD.encode(value);
    values.into_iter().map(|(key, value)| (key.clone(), encode(value))).collect()
}
