//! What Prometheus can ask of the operator itself.

use std::time::Duration;

use kube::ResourceExt;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::api::{SaasDeployment, SaasDeploymentStatus};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Object {
    namespace: String,
    name: String,
}

impl Object {
    fn of(saas: &SaasDeployment) -> Self {
        Object { namespace: saas.namespace().unwrap_or_default(), name: saas.name_any() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Counters of passes and the health of each SaasDeployment.
pub struct Metrics {
    passes: Family<Outcome, Counter>,
    seconds: Histogram,
    ready: Family<Object, Gauge>,
}

impl Metrics {
    /// Registers all of them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Metrics {
            passes: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.001, 4.0, 9)),
            ready: Family::default(),
        };
        registry.register("golive_passes", "Passes over SaasDeployments", metrics.passes.clone());
        registry.register_with_unit("golive_pass_duration", "Time of one pass", Unit::Seconds, metrics.seconds.clone());
        registry.register(
            "golive_deployment_ready",
            "Whether a SaasDeployment is Ready: 1 or 0",
            metrics.ready.clone(),
        );
        metrics
    }

    /// Counts a pass.
    pub fn passed(&self, took: Duration, ok: bool) {
        self.passes.get_or_create(&Outcome { outcome: if ok { "ok" } else { "fault" } }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// Notes whether an object is ready.
    pub fn ready(&self, saas: &SaasDeployment, status: &SaasDeploymentStatus) {
        let ready = status.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
        self.ready.get_or_create(&Object::of(saas)).set(i64::from(ready));
    }

    /// Forgets an object that is gone: a gauge that stays would be an alert without end.
    pub fn gone(&self, saas: &SaasDeployment) {
        self.ready.remove(&Object::of(saas));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_is_gone_leaves_no_gauge() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let saas = SaasDeployment::new("shop", Default::default());
        let told = |registry: &Registry| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
            text.contains("name=\"shop\"")
        };
        metrics.ready(&saas, &SaasDeploymentStatus::default());
        assert!(told(&registry));
        metrics.gone(&saas);
        assert!(!told(&registry));
    }
}
