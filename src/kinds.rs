//! The kinds of Kubernetes objects that golive writes, in the order in which they are applied.

use kube::core::{ApiResource, GroupVersionKind};

/// A kind that golive owns objects of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    ServiceAccount,
    ConfigMap,
    PersistentVolumeClaim,
    NetworkPolicy,
    Service,
    PodDisruptionBudget,
    ControllerRevision,
    Deployment,
    HorizontalPodAutoscaler,
    Job,
    CronJob,
    Gateway,
    ListenerSet,
    HttpRoute,
    Middleware,
    Ingress,
    ServiceMonitor,
    PrometheusRule,
}

/// Group, version, kind and plural of a kind.
struct Coordinates(&'static str, &'static str, &'static str, &'static str);

impl Kind {
    /// All kinds, in the order of application.
    pub const ALL: [Kind; 18] = [
        Kind::ServiceAccount,
        Kind::ConfigMap,
        Kind::PersistentVolumeClaim,
        Kind::NetworkPolicy,
        Kind::Service,
        Kind::PodDisruptionBudget,
        Kind::ControllerRevision,
        Kind::Deployment,
        Kind::HorizontalPodAutoscaler,
        Kind::Job,
        Kind::CronJob,
        Kind::Gateway,
        Kind::ListenerSet,
        Kind::HttpRoute,
        Kind::Middleware,
        Kind::Ingress,
        Kind::ServiceMonitor,
        Kind::PrometheusRule,
    ];

    fn coordinates(self) -> Coordinates {
        match self {
            Kind::ServiceAccount => Coordinates("", "v1", "ServiceAccount", "serviceaccounts"),
            Kind::ConfigMap => Coordinates("", "v1", "ConfigMap", "configmaps"),
            Kind::PersistentVolumeClaim => Coordinates("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Kind::NetworkPolicy => Coordinates("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Kind::Service => Coordinates("", "v1", "Service", "services"),
            Kind::PodDisruptionBudget => Coordinates("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Kind::ControllerRevision => Coordinates("apps", "v1", "ControllerRevision", "controllerrevisions"),
            Kind::Deployment => Coordinates("apps", "v1", "Deployment", "deployments"),
            Kind::HorizontalPodAutoscaler => {
                Coordinates("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
            }
            Kind::Job => Coordinates("batch", "v1", "Job", "jobs"),
            Kind::CronJob => Coordinates("batch", "v1", "CronJob", "cronjobs"),
            Kind::Gateway => Coordinates("gateway.networking.k8s.io", "v1", "Gateway", "gateways"),
            Kind::ListenerSet => Coordinates("gateway.networking.k8s.io", "v1", "ListenerSet", "listenersets"),
            Kind::HttpRoute => Coordinates("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
            Kind::Middleware => Coordinates("traefik.io", "v1alpha1", "Middleware", "middlewares"),
            Kind::Ingress => Coordinates("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Kind::ServiceMonitor => Coordinates("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
            Kind::PrometheusRule => Coordinates("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"),
        }
    }

    /// The kind as the API machinery names it.
    pub fn resource(self) -> ApiResource {
        let Coordinates(group, version, kind, plural) = self.coordinates();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// The kind's name, as in a manifest.
    pub fn name(self) -> &'static str {
        self.coordinates().2
    }

    /// `group/version`, or `version` for the core group.
    pub fn api_version(self) -> String {
        self.resource().api_version
    }

    /// Kinds of APIs that a cluster may lack: their absence is a condition, not an error.
    pub fn is_optional(self) -> bool {
        use Kind::{Gateway, HttpRoute, ListenerSet, Middleware, PrometheusRule, ServiceMonitor};
        matches!(self, Gateway | ListenerSet | HttpRoute | Middleware | ServiceMonitor | PrometheusRule)
    }

    /// The kind of that name, if golive writes it.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
