//! The cluster that all are measured on: an API server with nobody else at work.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use golive::api::SaasDeployment;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind, NamespaceResourceScope};
use kube::{Client, Config, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::sleep;
use world::World;

use crate::fleet::{NAMESPACES, namespace};
use crate::{Result, deadline};

/// Where the identities of all that are measured live.
const SYSTEM: &str = "golive-system";

/// A kind of objects in namespaces, as the harness creates and watches them.
pub trait Kept:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
}

impl Kept for SaasDeployment {}

/// The cluster, and the harness's own way into it.
pub struct Stage {
    /// Its files, logs and programs.
    pub world: World,
    /// The harness's client.
    pub client: Client,
}

impl Stage {
    /// Brings up an empty cluster with golive's kinds.
    pub async fn set(name: &str) -> Result<Self> {
        world::down(name)?;
        let world = world::control_plane(name)?;
        world.apply(&golive::api::crd_yaml()?)?;
        world.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])?;
        let spaces = (0..NAMESPACES).map(namespace).chain([SYSTEM.to_owned()]);
        let spaces = spaces.map(|name| world::platform::namespace(&name, &[])).collect::<Vec<_>>();
        world.apply(&world::platform::list(&spaces))?;
        let mut stage = Stage { client: client(&world.kubeconfig()).await?, world };
        stage.client = client(&stage.user("harness")?).await?;
        Ok(stage)
    }

    /// A kubeconfig of a user of its own, so that the audit log tells who asked what.
    pub fn user(&self, name: &str) -> Result<PathBuf> {
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": SYSTEM}});
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": format!("bench-{name}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": SYSTEM}],
        });
        self.world.apply(&world::platform::list(&[account, binding]))?;
        let token = self.world.kubectl(&["create", "token", name, "--namespace", SYSTEM, "--duration=24h"])?;
        let mut config: Value = serde_json::from_slice(&std::fs::read(self.world.kubeconfig())?)?;
        config["users"][0]["user"] = json!({"token": token.trim()});
        let file = self.world.dir.join(format!("{name}.kubeconfig"));
        world::place::write(&file, config.to_string())?;
        Ok(file)
    }

    /// Creates objects, so many at once.
    pub async fn create<K: Kept>(&self, objects: &[K], at_once: usize) -> Result<()> {
        use futures::{StreamExt, TryStreamExt, stream};
        let created = stream::iter(objects).map(|object| async {
            let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
            api.create(&Default::default(), object).await.map(drop)
        });
        created.buffer_unordered(at_once).try_collect::<()>().await?;
        Ok(())
    }

    /// Removes every application and every child; there is no garbage collector here.
    pub async fn sweep(&self) -> Result<()> {
        for space in (0..NAMESPACES).map(namespace) {
            let applications = resource("golive.dev", "SaasDeployment", "saasdeployments");
            self.unhold(&space, &applications).await?;
            self.clear(&space, &applications, "").await?;
            for kind in golive::kinds::Kind::ALL {
                self.clear(&space, &kind.resource(), "app.kubernetes.io/managed-by=golive").await?;
            }
            self.clear(&space, &resource("", "Secret", "secrets"), "").await?;
            self.clear(&space, &resource("events.k8s.io", "Event", "events"), "").await?;
        }
        Ok(())
    }

    /// Takes finalizers off: nobody is there to do it.
    async fn unhold(&self, space: &str, kind: &ApiResource) -> Result<()> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), space, kind);
        for object in api.list_metadata(&ListParams::default()).await? {
            let (name, held) = (object.metadata.name.unwrap_or_default(), object.metadata.finalizers.is_some());
            if held {
                let none = json!({"metadata": {"finalizers": null}});
                api.patch(&name, &PatchParams::default(), &Patch::Merge(none)).await?;
            }
        }
        Ok(())
    }

    async fn clear(&self, space: &str, kind: &ApiResource, labels: &str) -> Result<()> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), space, kind);
        let cleared = async {
            loop {
                match api.delete_collection(&DeleteParams::background(), &ListParams::default().labels(labels)).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                    // The first request for a kind fills the API server's cache of it.
                    Err(kube::Error::Api(status)) if status.code == 429 => sleep(Duration::from_secs(1)).await,
                    result => return Ok(result.map(drop)?),
                }
            }
        };
        deadline(&format!("{} of {space} are gone", kind.plural), cleared).await?
    }
}

/// A client that does not retry by itself: what it sends is what is counted.
pub async fn client(kubeconfig: &std::path::Path) -> Result<Client> {
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig)?, &options).await?;
    config.default_retry = false;
    config.read_timeout = Some(Duration::from_secs(300));
    Ok(Client::try_from(config)?)
}

fn resource(group: &str, kind: &str, plural: &str) -> ApiResource {
    let version = match group {
        "golive.dev" => "v1alpha1",
        _ => "v1",
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}
