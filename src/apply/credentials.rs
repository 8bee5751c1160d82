//! Copies of an account's credentials for pods that need them, in the application's namespace.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::owner_reference;
use super::secrets::{self, Stands};
use super::vault::encoded;
use crate::fault::Seen;
use crate::objects::{MANAGED_BY, OWNER};
use crate::observe::Observer;
use crate::plan::Ask;

/// Writes a copy.
pub async fn write(
    observer: &Observer,
    ask: Ask<'_>,
    name: &str,
    values: &BTreeMap<String, SecretString>,
) -> Seen<bool> {
    let data = encoded(values.iter().map(|(key, value)| (key, value.expose_secret())));
    let metadata = json!({
        "name": name,
        "labels": {MANAGED_BY: "golive", OWNER: ask.name()},
        "ownerReferences": [owner_reference(ask.saas)],
    });
    let object = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data});
    let api = api(observer, ask);
    let stands = secrets::seen(&api, ask, name).await?;
    secrets::keep(&api, (name, object), stands.as_ref().map(Stands::of)).await.map(|_| true)
}

/// Removes a copy; one that is gone is fine, and a Secret that is somebody else's is none.
pub async fn remove(observer: &Observer, ask: Ask<'_>, name: &str) -> Seen<bool> {
    let api = api(observer, ask);
    match secrets::own(&api, ask.saas, name).await? {
        Some(secret) => secrets::remove(&api, &secret).await,
        None => Ok(false),
    }
}

fn api(observer: &Observer, ask: Ask<'_>) -> Api<Secret> {
    Api::namespaced(observer.client.clone(), &ask.saas.namespace().unwrap_or_default())
}
