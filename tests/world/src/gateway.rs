//! What the cluster offers its pods and the outside: cluster DNS, the gateway and the classes.

use crate::control::PATIENCE;
use crate::daemon::Daemon;
use crate::error::Result;
use crate::place::{World, write};
use crate::step::step;
use serde_json::{Value, json};
use std::net::TcpStream;

impl World {
    /// Brings up the DNS server of the cluster.
    pub(crate) fn serve_cluster_dns(&self) -> Result<()> {
        step("cluster DNS", || {
            let file = self.dir.join("Corefile");
            write(&file, self.corefile()?)?;
            self.start(&Daemon::new("coredns", self.program("coredns")?).args(["-conf", &file.display().to_string()]))?;
            let address = format!("{}:53", self.net()?.cluster_dns());
            self.wait("coredns", PATIENCE, || TcpStream::connect(&address).is_ok())
        })
    }

    /// Nothing is cached: a test that changes a record wants to see it.
    fn corefile(&self) -> Result<String> {
        let network = self.net()?;
        let kubernetes = format!(
            "kubernetes cluster.local in-addr.arpa {{\n kubeconfig {}\n pods insecure\n }}",
            self.kubeconfig_of("dns").display()
        );
        let (own, outer) = (network.cluster_dns(), network.dns());
        Ok(format!(".:53 {{\n bind {own}\n errors\n {kubernetes}\n forward . {outer}\n}}\n"))
    }

    /// Defines the gateway's kinds and the classes applications ask for.
    pub(crate) fn define_classes(&self) -> Result<()> {
        step("gateway kinds, classes", || {
            let kinds = self.bin.join("gateway-api").display().to_string();
            self.kubectl(&["apply", "--server-side", "--field-manager=world", "-f", &kinds])?;
            self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"])?;
            self.apply(&classes().to_string()).map(drop)
        })
    }

    /// Brings up the gateway, and waits until it has taken its class.
    pub(crate) fn serve_gateway(&self) -> Result<()> {
        step("gateway", || {
            self.start(&self.traefik()?)?;
            self.wait("traefik", PATIENCE, || self.class_is_accepted())
        })
    }

    fn class_is_accepted(&self) -> bool {
        let status = "jsonpath={.status.conditions[?(@.type=='Accepted')].status}";
        self.kubectl(&["get", "gatewayclass", "traefik", "-o", status]).is_ok_and(|status| status == "True")
    }

    /// Traefik finds the cluster by KUBECONFIG when it runs outside of one.
    fn traefik(&self) -> Result<Daemon> {
        let address = self.net()?.node();
        Ok(Daemon::new("traefik", self.program("traefik")?)
            .env("KUBECONFIG", self.kubeconfig_of("gateway"))
            .flag("entrypoints.web.address", format!("{address}:80"))
            .flag("entrypoints.websecure.address", format!("{address}:443"))
            .flag("providers.kubernetesgateway.statusaddress.ip", &address)
            .flag("providers.kubernetesingress.ingressendpoint.ip", &address)
            .flag("providers.kubernetescrd", "true")
            .flag("global.checknewversion", "false")
            .flag("global.sendanonymoususage", "false"))
    }
}

fn classes() -> Value {
    let default = |key: &str| json!({ key: "true" });
    let storage = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": default("storageclass.kubernetes.io/is-default-class")},
        "provisioner": "golive.dev/local", "volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Delete",
    });
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
        "metadata": {"name": "traefik"}, "spec": {"controllerName": "traefik.io/gateway-controller"},
    });
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": {"name": "traefik", "annotations": default("ingressclass.kubernetes.io/is-default-class")},
        "spec": {"controller": "traefik.io/ingress-controller"},
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [storage, gateway, ingress]})
}
