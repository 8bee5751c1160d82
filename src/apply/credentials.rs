//! Copies of an account's credentials for pods that need them, in the application's namespace.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::owner_reference;
use super::vault::encoded;
use crate::cluster::{apply, delete};
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
    apply(&api(observer, ask), name, &object).await.map(|_| true)
}

/// Removes a copy; one that is gone is fine.
pub async fn remove(observer: &Observer, ask: Ask<'_>, name: &str) -> Seen<bool> {
    delete(&api(observer, ask), ("Secret", name), None).await
}

fn api(observer: &Observer, ask: Ask<'_>) -> Api<Secret> {
    Api::namespaced(observer.client.clone(), &ask.saas.namespace().unwrap_or_default())
}
