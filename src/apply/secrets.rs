//! The Secrets that golive keeps: values, credentials, certificates and orders. Each is made where there was none, and
//! changed only as it was seen. An apply would write over what somebody else keeps under the name, or what another leader
//! has written since.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{former, is_of_former, is_owned};
use crate::api::SaasDeployment;
use crate::cluster::{change, delete, find, make};
use crate::fault::{Fault, Seen};
use crate::objects::{OWNER, taken};
use crate::plan::Ask;

/// What a write has to know of the Secret that it changes.
pub struct Stands<'a> {
    /// Its resource version: another one refuses the write.
    pub version: &'a str,
    /// Those of its keys that go where they are not written again.
    pub keys: Vec<&'a String>,
}

impl<'a> Stands<'a> {
    /// Of a Secret that was read.
    pub fn of(secret: &'a Secret) -> Self {
        Stands {
            version: secret.metadata.resource_version.as_deref().unwrap_or_default(),
            keys: secret.data.iter().flat_map(|data| data.keys()).collect(),
        }
    }

    /// The same, where what is not written again stays.
    pub fn beside(secret: &'a Secret) -> Self {
        Stands { keys: Vec::new(), ..Stands::of(secret) }
    }
}

/// Whether a Secret is one of the application's that golive keeps: somebody may have taken its labels off.
pub fn is_ours(saas: &SaasDeployment, secret: &Secret) -> bool {
    let named = || secret.labels().get(OWNER) == Some(&saas.name_any()) && !is_of_former(saas, secret);
    is_owned(saas, secret) || named()
}

/// Whether a Secret goes with a SaasDeployment that had the name before this one. What is newer than this one is of a later
/// one, unless it is going: a saved one that somebody put back goes, for its owner is no more.
pub fn is_earlier(saas: &SaasDeployment, secret: &Secret) -> bool {
    let is_older = secret.metadata.creation_timestamp <= saas.metadata.creation_timestamp;
    is_of_former(saas, secret) && (is_older || secret.metadata.deletion_timestamp.is_some())
}

/// The refusal of a Secret that is not.
pub fn not_ours(saas: &SaasDeployment, secret: &Secret) -> Fault {
    let what = format!("Secret {}", secret.name_any());
    if is_of_former(saas, secret) { former(&what) } else { taken(&what) }
}

/// The Secret of that name, if there is one.
///
/// # Errors
/// It is somebody else's, or cannot be read.
pub async fn seen(api: &Api<Secret>, ask: Ask<'_>, name: &str) -> Seen<Option<Secret>> {
    match find(api, name).await? {
        Some(secret) if !is_ours(ask.saas, &secret) => Err(not_ours(ask.saas, &secret)),
        found => Ok(found),
    }
}

/// The same, where what somebody else keeps under the name counts as none.
pub async fn own(api: &Api<Secret>, saas: &SaasDeployment, name: &str) -> Seen<Option<Secret>> {
    Ok(find(api, name).await?.filter(|secret| is_ours(saas, secret)))
}

/// Writes a Secret as a whole: a new one, or in place of the one that stands.
///
/// # Errors
/// Another made or changed it since, or it cannot be written.
pub async fn keep(api: &Api<Secret>, (name, mut secret): (&str, Value), stands: Option<Stands<'_>>) -> Seen<Secret> {
    let Some(stands) = stands else { return make(api, name, secret).await };
    secret["metadata"]["resourceVersion"] = json!(stands.version);
    for key in stands.keys {
        if secret["data"].get(key).is_none() {
            secret["data"][key] = Value::Null;
        }
    }
    change(api, name, secret).await
}

/// Removes a Secret that was seen, and no later one of its name.
pub async fn remove(api: &Api<Secret>, secret: &Secret) -> Seen<bool> {
    delete(api, ("Secret", &secret.name_any()), secret.metadata.uid.as_deref()).await
}
