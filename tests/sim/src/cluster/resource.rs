//! The resources that the simulated API server knows, and what it makes of a request's path.

use std::cmp::Ordering;

/// One resource of the API: an entry of [`SERVED`], and compared by its place there.
#[derive(Debug)]
pub struct Resource {
    pub group: &'static str,
    pub version: &'static str,
    pub plural: &'static str,
    pub kind: &'static str,
    pub namespaced: bool,
    /// Whether its status is written through a subresource only.
    pub status: bool,
}

const fn of(group: &'static str, version: &'static str, plural: &'static str, kind: &'static str) -> Resource {
    Resource { group, version, plural, kind, namespaced: true, status: true }
}

const fn plain(group: &'static str, version: &'static str, plural: &'static str, kind: &'static str) -> Resource {
    Resource { status: false, ..of(group, version, plural, kind) }
}

const fn global(group: &'static str, version: &'static str, plural: &'static str, kind: &'static str) -> Resource {
    Resource { namespaced: false, ..of(group, version, plural, kind) }
}

const GATEWAY: &str = "gateway.networking.k8s.io";
const NET: &str = "networking.k8s.io";

/// Every resource served.
pub static SERVED: [Resource; 23] = [
    global("", "v1", "namespaces", "Namespace"),
    plain("", "v1", "secrets", "Secret"),
    plain("", "v1", "configmaps", "ConfigMap"),
    plain("", "v1", "serviceaccounts", "ServiceAccount"),
    of("", "v1", "services", "Service"),
    of("", "v1", "pods", "Pod"),
    of("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    plain("events.k8s.io", "v1", "events", "Event"),
    plain("coordination.k8s.io", "v1", "leases", "Lease"),
    plain("apps", "v1", "controllerrevisions", "ControllerRevision"),
    of("apps", "v1", "deployments", "Deployment"),
    of("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    of("batch", "v1", "jobs", "Job"),
    of("batch", "v1", "cronjobs", "CronJob"),
    of("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    plain(NET, "v1", "networkpolicies", "NetworkPolicy"),
    of(NET, "v1", "ingresses", "Ingress"),
    of(GATEWAY, "v1", "gateways", "Gateway"),
    of(GATEWAY, "v1", "httproutes", "HTTPRoute"),
    global("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"),
    of("golive.dev", "v1alpha1", "saasdeployments", "SaasDeployment"),
    of("golive.dev", "v1alpha1", "saasoperations", "SaasOperation"),
    global("golive.dev", "v1alpha1", "provideraccounts", "ProviderAccount"),
];

/// Built-in kinds whose objects have no generation.
const UNCOUNTED: [&str; 10] = [
    "Namespace",
    "Secret",
    "ConfigMap",
    "ServiceAccount",
    "Service",
    "PersistentVolumeClaim",
    "Event",
    "Lease",
    "ControllerRevision",
    "HorizontalPodAutoscaler",
];

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Resource {}

impl Ord for Resource {
    fn cmp(&self, other: &Self) -> Ordering {
        std::ptr::from_ref(self).cmp(&std::ptr::from_ref(other))
    }
}

impl PartialOrd for Resource {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Resource {
    /// Whether changes of the spec are counted in the metadata.
    pub fn counts(&self) -> bool {
        !UNCOUNTED.contains(&self.kind)
    }

    /// `group/version`, or `version` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.into() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The resource of a kind.
    pub fn of_kind(kind: &str) -> Option<&'static Resource> {
        SERVED.iter().find(|resource| resource.kind == kind)
    }
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub resource: &'static Resource,
    /// Empty: all namespaces, or a resource without.
    pub namespace: String,
    /// Empty: the collection.
    pub name: String,
    pub subresource: String,
}

impl Target {
    /// The path that names it.
    pub fn path(&self) -> String {
        let root = if self.resource.group.is_empty() { "api" } else { "apis" };
        let room = if self.namespace.is_empty() { String::new() } else { format!("/namespaces/{}", self.namespace) };
        let rest = [&self.name, &self.subresource].into_iter().filter(|part| !part.is_empty());
        let rest: String = rest.map(|part| format!("/{part}")).collect();
        format!("/{root}/{}{room}/{}{rest}", self.resource.api_version(), self.resource.plural)
    }

    /// Reads a path; `None` where nothing is served.
    pub fn of(path: &str) -> Option<Target> {
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version) = match *parts.first()? {
            "api" => ("", *parts.get(1)?),
            "apis" => (*parts.get(1)?, *parts.get(2)?),
            _ => return None,
        };
        parts.drain(..if group.is_empty() { 2 } else { 3 });
        let namespace = match parts.as_slice() {
            ["namespaces", namespace, _, ..] => (*namespace).to_owned(),
            _ => String::new(),
        };
        if !namespace.is_empty() {
            parts.drain(..2);
        }
        let found = |r: &&Resource| r.group == group && r.version == version && r.plural == parts[0];
        let resource = SERVED.iter().find(|r| !parts.is_empty() && found(r))?;
        let text = |at: usize| parts.get(at).copied().unwrap_or_default().to_owned();
        Some(Target { resource, namespace, name: text(1), subresource: text(2) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_resource_its_namespace_and_its_part() {
        let target = Target::of("/apis/golive.dev/v1alpha1/namespaces/shop/saasdeployments/hello/status").unwrap();
        assert_eq!(target.path(), "/apis/golive.dev/v1alpha1/namespaces/shop/saasdeployments/hello/status");
        let Target { resource, namespace, name, subresource } = target;
        assert_eq!((resource.kind, namespace.as_str()), ("SaasDeployment", "shop"));
        assert_eq!((name.as_str(), subresource.as_str()), ("hello", "status"));
        assert_eq!(Target::of("/api/v1/namespaces/shop").unwrap().resource.kind, "Namespace");
        assert_eq!(Target::of("/api/v1/secrets").unwrap().name, "");
        assert!(Target::of("/apis/monitoring.coreos.com/v1/servicemonitors").is_none());
    }
}
