//! The first apply of an object. One of the same name that is somebody else's is left as it is: their traffic would go to
//! golive's pods, and their object with the SaasDeployment.

use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};

use super::is_owned;
use super::objects::api;
use crate::cluster::{self, MANAGER};
use crate::compare::Strays;
use crate::fault::{Fault, Seen};
use crate::objects::{MANAGED_BY, OWNER, taken};
use crate::observe::{Observer, owner};
use crate::plan::{Ask, Manifest};

/// Applies an object that golive does not know.
///
/// # Errors
/// There is one, and it is not golive's.
pub async fn create(observer: &Observer, ask: Ask<'_>, (manifest, object): (&Manifest, &Value)) -> Seen<DynamicObject> {
    let (kind, name) = (manifest.kind, manifest.name.as_str());
    let api = api(observer, ask, kind);
    if let Some(other) = observer.cache.holder(kind, &owner(ask.saas), name) {
        return Err(Fault::Rejected(format!(
            "{manifest} is that of SaasDeployment {}: rename one of the two",
            other.name
        )));
    }
    let strange = |found: &DynamicObject| {
        observer.cache.strange(kind, &owner(ask.saas), found);
        taken(&manifest.to_string())
    };
    if let Some(uid) = observer.cache.stranger(kind, &owner(ask.saas), name) {
        // It may be gone by now: then there is nothing to see.
        if let Ok(found) = cluster::look(&api, name).await
            && found.uid().as_deref() == Some(&*uid)
        {
            return Err(strange(&found));
        }
    }
    match cluster::offer(&api, (name, MANAGER), object).await {
        // Whoever took golive's labels off an object did not make it.
        Ok(made) if is_alone(&made) || made.uid().as_deref() == ask.world.children.lost(kind, name) => Ok(made),
        Ok(made) => {
            let refusal = strange(&made);
            give_back(&api, manifest).await?;
            Err(refusal)
        }
        Err(Fault::Outrun(why)) => match cluster::look(&api, name).await {
            Ok(found) if is_owned(ask.saas, &found) => cluster::apply(&api, name, object).await,
            Ok(found) => Err(strange(&found)),
            // A quota that is counted by several at once conflicts too.
            Err(_) => Err(Fault::Outrun(why)),
        },
        Err(Fault::Rejected(why)) => match cluster::look(&api, name).await {
            // It was there, unseen: fields of it that cannot change are not those of now.
            Ok(found) if is_owned(ask.saas, &found) && is_followed(&found) => {
                observer.cache.written(kind, found, Strays::default());
                Err(Fault::Outrun(why))
            }
            _ => Err(Fault::Rejected(why)),
        },
        Err(fault) => Err(fault),
    }
}

/// Whether nobody but golive and the control plane declared anything of it.
fn is_alone(object: &DynamicObject) -> bool {
    let is_own = |manager: &str| manager == MANAGER || manager.starts_with("kube-");
    object
        .managed_fields()
        .iter()
        .all(|entry| entry.subresource.is_some() || entry.manager.as_deref().is_none_or(is_own))
}

/// Whether the watches bring it, and the cache knows whose it is.
fn is_followed(found: &DynamicObject) -> bool {
    found.labels().get(MANAGED_BY).is_some_and(|by| by == MANAGER) && found.labels().contains_key(OWNER)
}

/// Takes out again all that golive put into an object.
async fn give_back(api: &Api<DynamicObject>, manifest: &Manifest) -> Seen<()> {
    let nothing = json!({
        "apiVersion": manifest.kind.api_version(), "kind": manifest.kind.name(), "metadata": {"name": manifest.name},
    });
    cluster::apply(api, &manifest.name, &nothing).await.map(drop)
}
