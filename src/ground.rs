//! What the platform team laid for routes: classes and the shared Gateway, as the watches last saw them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::DynamicObject;
use kube::core::{ApiResource, GroupVersionKind, Selector, SelectorExt};
use kube::runtime::watcher::Event;
use serde_json::Value;

use crate::config::{Config, Shared};

/// One object of the platform team's that routes rest on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plot {
    /// The class of gateways, by name.
    GatewayClass(String),
    /// The shared Gateway, by namespace and name.
    Gateway(String, String),
    /// The class of Ingress objects, by name.
    IngressClass(String),
}

/// Where an object is found.
pub struct Site {
    /// Its kind.
    pub resource: ApiResource,
    /// Its namespace, where it has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// What is known of all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// What the class of gateways says that it supports; empty where it does not say:
    /// <https://gateway-api.sigs.k8s.io/api-types/gatewayclass/>.
    pub features: BTreeSet<String>,
    /// The shared Gateway, where there is one.
    pub shared: Option<SharedGateway>,
    /// The controller of the class of Ingress objects; `None` where there is no such class.
    pub controller: Option<String>,
}

/// A Gateway of the platform team.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SharedGateway {
    /// Where it is reached.
    pub addresses: Vec<String>,
    /// Its own listeners.
    pub listeners: Vec<Listener>,
    /// Why it does not serve.
    pub trouble: Option<String>,
    /// Its namespace.
    pub namespace: String,
    /// Who may add listeners: `spec.allowedListeners.namespaces`.
    pub admits: Value,
}

/// A listener of a Gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// The hosts that it takes: one, all below one (`*.`), or all.
    pub host: Option<String>,
    /// `HTTP`, `HTTPS` or another.
    pub protocol: String,
    /// Why it does not serve.
    pub trouble: Option<String>,
}

#[derive(Default)]
struct Inner {
    facts: Arc<Facts>,
    /// What has not been listed yet.
    open: BTreeSet<Plot>,
    /// What the list under way has brought.
    listed: BTreeSet<Plot>,
}

/// The cache of the watches.
#[derive(Default)]
pub struct Ground(RwLock<Inner>);

impl Plot {
    /// What a configuration makes routes rest on.
    pub fn all(config: &Config) -> Vec<Plot> {
        let mut plots = Vec::new();
        if let Some((class, Shared { name, namespace })) =
            config.gateway.as_ref().and_then(|gateway| Some((&gateway.class, gateway.shared.as_ref()?)))
        {
            plots.push(Plot::GatewayClass(class.clone()));
            plots.push(Plot::Gateway(namespace.clone(), name.clone()));
        }
        plots.extend(config.ingress.as_ref().map(|ingress| Plot::IngressClass(ingress.class.clone())));
        plots
    }

    /// Where it is found.
    pub fn site(&self) -> Site {
        let gateway = |kind| GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind);
        let site = |kind: GroupVersionKind, plural: &str, namespace: Option<&String>, name: &String| Site {
            resource: ApiResource::from_gvk_with_plural(&kind, plural),
            namespace: namespace.cloned(),
            name: name.clone(),
        };
        match self {
            Plot::GatewayClass(name) => site(gateway("GatewayClass"), "gatewayclasses", None, name),
            Plot::Gateway(namespace, name) => site(gateway("Gateway"), "gateways", Some(namespace), name),
            Plot::IngressClass(name) => {
                let kind = GroupVersionKind::gvk("networking.k8s.io", "v1", "IngressClass");
                site(kind, "ingressclasses", None, name)
            }
        }
    }
}

impl Ground {
    /// Nothing is known yet of what this configuration makes routes rest on.
    pub fn new(config: &Config) -> Ground {
        Ground(RwLock::new(Inner { open: Plot::all(config).into_iter().collect(), ..Inner::default() }))
    }

    /// Whether everything has been looked at.
    pub fn is_ready(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).open.is_empty()
    }

    /// What is known now.
    pub fn facts(&self) -> Arc<Facts> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).facts.clone()
    }

    /// Takes an event of a watch, `None` where the cluster lacks the kind, and returns whether a fact changed.
    pub fn take(&self, plot: &Plot, event: Option<Event<DynamicObject>>) -> bool {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Some(Event::Apply(object)) => inner.learn(plot, Some(&object)),
            Some(Event::InitApply(object)) => {
                inner.listed.insert(plot.clone());
                inner.learn(plot, Some(&object))
            }
            Some(Event::Init) => {
                inner.listed.remove(plot);
                false
            }
            Some(Event::InitDone) => {
                inner.open.remove(plot);
                !inner.listed.contains(plot) && inner.learn(plot, None)
            }
            Some(Event::Delete(_)) => inner.learn(plot, None),
            None => {
                inner.open.remove(plot);
                inner.learn(plot, None)
            }
        }
    }
}

impl Inner {
    fn learn(&mut self, plot: &Plot, object: Option<&DynamicObject>) -> bool {
        let mut facts = (*self.facts).clone();
        match plot {
            Plot::GatewayClass(_) => facts.features = object.map(features).unwrap_or_default(),
            Plot::Gateway(namespace, _) => facts.shared = object.map(|object| SharedGateway::read(namespace, object)),
            Plot::IngressClass(_) => facts.controller = object.and_then(|o| text(&o.data, "/spec/controller")),
        }
        let changed = facts != *self.facts;
        self.facts = Arc::new(facts);
        changed
    }
}

/// What a GatewayClass supports. Early versions listed names, not objects.
fn features(class: &DynamicObject) -> BTreeSet<String> {
    let named = |feature: &Value| feature.as_str().map(str::to_owned).or_else(|| text(feature, "/name"));
    list(&class.data, "/status/supportedFeatures").iter().filter_map(named).collect()
}

impl SharedGateway {
    fn read(namespace: &str, gateway: &DynamicObject) -> SharedGateway {
        let data = &gateway.data;
        let states = list(data, "/status/listeners");
        let listener = |listener: &Value| {
            let state = states.iter().find(|state| state["name"] == listener["name"]);
            Listener {
                name: text(listener, "/name").unwrap_or_default(),
                host: text(listener, "/hostname"),
                protocol: text(listener, "/protocol").unwrap_or_default(),
                trouble: state.and_then(trouble),
            }
        };
        SharedGateway {
            addresses: list(data, "/status/addresses").iter().filter_map(|a| text(a, "/value")).collect(),
            listeners: list(data, "/spec/listeners").iter().map(listener).collect(),
            trouble: data.get("status").and_then(trouble),
            namespace: namespace.to_owned(),
            admits: data.pointer("/spec/allowedListeners/namespaces").cloned().unwrap_or_default(),
        }
    }

    /// The listener of a protocol that takes a host: the most specific one.
    /// <https://gateway-api.sigs.k8s.io/reference/spec/#hostname>
    pub fn listener(&self, protocol: &str, host: &str) -> Option<&Listener> {
        let fits = |listener: &&Listener| listener.protocol == protocol && listener.takes(host);
        self.listeners.iter().filter(fits).max_by_key(|listener| listener.host.as_ref().map_or(0, String::len))
    }

    /// Whether a namespace may add listeners: <https://gateway-api.sigs.k8s.io/geps/gep-1713/>.
    pub fn admits(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        match self.admits["from"].as_str() {
            Some("All") => true,
            Some("Same") => namespace == self.namespace,
            Some("Selector") => {
                let selector: Option<LabelSelector> = serde_json::from_value(self.admits["selector"].clone()).ok();
                let selector = selector.and_then(|selector| Selector::try_from(selector).ok());
                selector.is_some_and(|selector| selector.matches(labels))
            }
            _ => false,
        }
    }
}

impl Listener {
    fn takes(&self, host: &str) -> bool {
        self.host.as_deref().is_none_or(|own| crate::plan::claims::covers(own, host))
    }
}

/// What a status says against its object: the first condition that is `False` and should not be.
fn trouble(status: &Value) -> Option<String> {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut against = conditions.filter(|c| {
        ["Accepted", "Programmed", "ResolvedRefs"].iter().any(|kind| c["type"] == *kind) && c["status"] == "False"
    });
    let told = |c: &Value| {
        format!("{} ({})", c["message"].as_str().unwrap_or_default(), c["reason"].as_str().unwrap_or_default())
    };
    against.next().map(told)
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> DynamicObject {
        let mut object = json!({"apiVersion": "v1", "kind": "K", "metadata": {"name": "public"}});
        crate::plan::pod::merge(&mut object, value);
        serde_json::from_value(object).unwrap()
    }

    fn config() -> Config {
        Config::read("gateway: {class: c, shared: {name: public, namespace: infra}}").unwrap()
    }

    #[test]
    fn only_what_routes_rest_on_is_news() {
        let (ground, plot) = (Ground::new(&config()), Plot::Gateway("infra".into(), "public".into()));
        let seen = |attached: i64, address: &str| {
            let listener = json!({"name": "web", "protocol": "HTTP", "port": 80});
            let status =
                json!({"addresses": [{"value": address}], "listeners": [{"name": "web", "attachedRoutes": attached}]});
            ground.take(&plot, Some(Event::Apply(object(json!({"spec": {"listeners": [listener]}, "status": status})))))
        };
        assert!(seen(0, "192.0.2.1"));
        assert!(!seen(7, "192.0.2.1"), "a route of somebody's was attached");
        assert!(seen(7, "192.0.2.2"));
    }

    #[test]
    fn what_is_not_listed_and_what_is_absent_is_not_there() {
        let ground = Ground::new(&config());
        let plots = Plot::all(&config());
        let class = object(json!({"status": {"supportedFeatures": [{"name": "ListenerSet"}, "HTTPRoute"]}}));
        assert!(ground.take(&plots[0], Some(Event::InitApply(class))));
        assert_eq!(ground.facts().features, BTreeSet::from(["HTTPRoute".to_owned(), "ListenerSet".to_owned()]));
        ground.take(&plots[0], Some(Event::InitDone));
        assert!(!ground.is_ready(), "the Gateway is not listed yet");
        ground.take(&plots[1], None);
        assert!(ground.is_ready());
        ground.take(&plots[0], Some(Event::Init));
        assert!(ground.take(&plots[0], Some(Event::InitDone)));
        assert_eq!(*ground.facts(), Facts::default());
    }

    #[test]
    fn the_most_specific_listener_takes_a_host() {
        let listener = |name: &str, host: Option<&str>, protocol: &str| Listener {
            name: name.into(),
            host: host.map(str::to_owned),
            protocol: protocol.into(),
            trouble: None,
        };
        let gateway = SharedGateway {
            listeners: vec![
                listener("all", None, "HTTPS"),
                listener("wild", Some("*.example.com"), "HTTPS"),
                listener("one", Some("app.example.com"), "HTTPS"),
                listener("plain", None, "HTTP"),
            ],
            ..SharedGateway::default()
        };
        let of = |protocol, host| gateway.listener(protocol, host).map(|listener| listener.name.as_str());
        assert_eq!(of("HTTPS", "app.example.com"), Some("one"));
        assert_eq!(of("HTTPS", "b.example.com"), Some("wild"));
        assert_eq!(of("HTTPS", "example.org"), Some("all"));
        assert_eq!(of("HTTP", "example.org"), Some("plain"));
        assert_eq!(of("TLS", "example.org"), None);
    }

    #[test]
    fn listeners_are_admitted_as_the_gateway_says() {
        let admits = |admits: Value, namespace: &str| {
            let gateway = SharedGateway { admits, namespace: "infra".into(), ..SharedGateway::default() };
            gateway.admits(namespace, &BTreeMap::from([("tenant".to_owned(), "yes".to_owned())]))
        };
        let selector = |value: &str| json!({"from": "Selector", "selector": {"matchLabels": {"tenant": value}}});
        assert!(admits(json!({"from": "All"}), "n") && admits(selector("yes"), "n"));
        assert!(admits(json!({"from": "Same"}), "infra") && !admits(json!({"from": "Same"}), "n"));
        for refused in [Value::Null, json!({"from": "None"}), selector("no"), json!({"from": "Selector"})] {
            assert!(!admits(refused.clone(), "n"), "{refused}");
        }
    }
}
