//! The making of an object. One of the same name that is somebody else's is left as it is, and never written to, not for a
//! moment: their traffic would go to golive's pods, and their object with the SaasDeployment.

use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;

use super::objects::api;
use super::{former, is_of_former, is_owned};
use crate::cluster::{self, MANAGER};
use crate::compare::Strays;
use crate::fault::{Fault, Seen};
use crate::objects::{MANAGED_BY, OWNER, taken};
use crate::observe::{Observer, owner};
use crate::plan::{Ask, Manifest};

/// Makes an object that golive does not know: by a request that only makes. An apply would merge with what is there.
///
/// # Errors
/// There is one, and it is not golive's; or it is golive's, and the next pass sees it.
pub async fn create(observer: &Observer, ask: Ask<'_>, (manifest, object): (&Manifest, &Value)) -> Seen<DynamicObject> {
    let (kind, name) = (manifest.kind, manifest.name.as_str());
    if let Some(other) = observer.cache.holder(kind, &owner(ask.saas), name) {
        return Err(Fault::Rejected(format!(
            "{manifest} is that of SaasDeployment {}: rename one of the two",
            other.name
        )));
    }
    if observer.cache.is_of_former(kind, &owner(ask.saas), (name, &ask.saas.uid().unwrap_or_default())) {
        return Err(former(&manifest.to_string()));
    }
    match cluster::make(&api(observer, ask, kind), name, object.clone()).await {
        Err(Fault::Outrun(why)) => meet(observer, ask, (manifest, object), why).await,
        result => result,
    }
}

/// Whose it is that was there already, unseen.
async fn meet(
    observer: &Observer,
    ask: Ask<'_>,
    (manifest, object): (&Manifest, &Value),
    why: String,
) -> Seen<DynamicObject> {
    let (kind, name) = (manifest.kind, manifest.name.as_str());
    let api = api(observer, ask, kind);
    // A quota that is counted by several at once conflicts too: then there is none.
    let found = cluster::look(&api, name).await.map_err(|_| Fault::Outrun(why.clone()))?;
    if is_of_former(ask.saas, &found) {
        return Err(former(&manifest.to_string()));
    }
    if is_followed(ask, &found) {
        observer.cache.written(kind, found, Strays::default());
        return Err(Fault::Outrun(why));
    }
    if is_owned(ask.saas, &found)
        || found.uid().as_deref().is_some_and(|uid| ask.world.children.lost(kind, name) == Some(uid))
    {
        cluster::take_over(&api, name, found.uid().as_deref()).await?;
        return cluster::apply(&api, name, object).await;
    }
    Err(taken(&manifest.to_string()))
}

/// Whether the watches bring it as this SaasDeployment's. Somebody may have taken golive's labels off what is.
fn is_followed(ask: Ask<'_>, found: &DynamicObject) -> bool {
    let labels = found.labels();
    labels.get(MANAGED_BY).is_some_and(|by| by == MANAGER)
        && labels.get(OWNER).is_some_and(|owner| *owner == ask.name())
}
