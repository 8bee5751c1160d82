//! The floor: a bare client that server-side applies the same children with the same concurrency, and nothing else. What
//! any operator has to write for an application: k children, its finalizer and its status.

use std::path::Path;

use futures::{StreamExt, TryStreamExt, stream};
use golive::api::SaasDeployment;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::Result;
use crate::fleet::{Child, Size, application, children};
use crate::stage::client;

/// Applies the fleet, so many applications at once.
pub async fn run(kubeconfig: &Path, size: Size, at_once: usize) -> Result<()> {
    let client = client(kubeconfig).await?;
    let applied = stream::iter(0..size.n).map(|number| whole(&client, application(number, size.k)));
    applied.buffer_unordered(at_once).try_collect::<()>().await
}

async fn whole(client: &Client, saas: SaasDeployment) -> Result<()> {
    let (name, space) = (saas.name_any(), saas.namespace().unwrap_or_default());
    let api: Api<SaasDeployment> = Api::namespaced(client.clone(), &space);
    let saas = api.create(&Default::default(), &saas).await?;
    let finalizers = json!({"metadata": {"finalizers": ["golive.dev/floor"]}});
    api.patch(&name, &PatchParams::default(), &Patch::Merge(finalizers)).await?;
    for child in children(&saas) {
        apply(client, &space, child).await?;
    }
    let params = PatchParams::apply("floor").force();
    api.patch_status(&name, &params, &Patch::Apply(status(&name))).await?;
    Ok(())
}

async fn apply(client: &Client, space: &str, child: Child) -> Result<()> {
    let secret = || ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Secret"), "secrets");
    let kind = child.kind.map_or_else(secret, |kind| kind.resource());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), space, &kind);
    api.patch(&child.name, &PatchParams::apply("floor").force(), &Patch::Apply(child.object)).await?;
    Ok(())
}

/// A status of the length of golive's own.
fn status(name: &str) -> Value {
    let condition = |kind: &str| {
        json!({
            "type": kind, "status": "True", "reason": "Live", "message": "all parts are ready",
            "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1,
        })
    };
    let conditions = ["Ready", "Reconciling", "Stalled", "SecretsReady", "EdgeReady", "AppReady"].map(condition);
    json!({
        "apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment", "metadata": {"name": name},
        "status": {"conditions": conditions, "observedGeneration": 1},
    })
}
