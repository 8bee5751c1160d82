//! The control plane: etcd, the API server and the controllers.

use crate::command::fetch;
use crate::daemon::Daemon;
use crate::error::Result;
use crate::place::{World, write};
use crate::step::step;
use serde_json::json;
use std::time::Duration;

/// A cold start on a busy machine of two cores takes a few seconds; this is far beyond that.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

impl World {
    /// Brings up etcd and the API server, which waits for etcd by itself.
    pub(crate) fn serve_api(&self) -> Result<()> {
        step("API server", || {
            write(&self.pki("audit.json"), audit_policy())?;
            self.start(&self.etcd()?)?;
            self.start(&self.api_server()?)?;
            let ready = format!("https://{}:6443/readyz", self.net()?.node());
            self.wait("kube-apiserver", PATIENCE, || fetch(&ready, &self.pki("ca.crt")).is_some())
        })
    }

    /// Starts what works on the objects of the API server.
    pub(crate) fn start_controllers(&self) -> Result<()> {
        step("controllers, scheduler, storage", || {
            self.start(&self.controller_manager()?)?;
            self.start(&self.scheduler()?)?;
            self.start(&self.storage()?)?;
            Ok(())
        })
    }

    /// Nobody needs this data after a power cut, and syncing it costs most of a write.
    fn etcd(&self) -> Result<Daemon> {
        Ok(Daemon::new("etcd", self.program("etcd")?)
            .flag("data-dir", self.dir.join("etcd"))
            .flag("listen-client-urls", "http://127.0.0.1:2379")
            .flag("advertise-client-urls", "http://127.0.0.1:2379")
            .flag("listen-peer-urls", "http://127.0.0.1:2380")
            .flag("log-level", "warn")
            .args(["--unsafe-no-fsync"]))
    }

    fn api_server(&self) -> Result<Daemon> {
        let network = self.net()?;
        let server = Daemon::new("kube-apiserver", self.program("kube-apiserver")?)
            .flag("etcd-servers", "http://127.0.0.1:2379")
            .flag("advertise-address", network.node())
            .flag("service-cluster-ip-range", network.services())
            .flag("authorization-mode", "Node,RBAC")
            .flag("enable-admission-plugins", "NodeRestriction")
            .flag("kubelet-preferred-address-types", "InternalIP")
            .flag("client-ca-file", self.pki("ca.crt"))
            .flag("tls-cert-file", self.pki("apiserver.crt"))
            .flag("tls-private-key-file", self.pki("apiserver.key"))
            .flag("kubelet-client-certificate", self.pki("kubelet-client.crt"))
            .flag("kubelet-client-key", self.pki("kubelet-client.key"))
            // Policies that change objects as they are admitted: on by default from 1.36.
            .flag("feature-gates", "MutatingAdmissionPolicy=true")
            .flag("runtime-config", "admissionregistration.k8s.io/v1beta1=true")
            .args(["--allow-privileged"]);
        Ok(self.with_audit(self.with_accounts(server)))
    }

    fn with_accounts(&self, server: Daemon) -> Daemon {
        server
            .flag("service-account-issuer", "https://kubernetes.default.svc.cluster.local")
            .flag("service-account-signing-key-file", self.pki("accounts.key"))
            .flag("service-account-key-file", self.pki("accounts.pub"))
    }

    /// The log must hold every request of a test, so it is neither rotated nor written later than the answer.
    fn with_audit(&self, server: Daemon) -> Daemon {
        server
            .flag("audit-policy-file", self.pki("audit.json"))
            .flag("audit-log-path", self.audit_log())
            .flag("audit-log-mode", "blocking")
            .flag("audit-log-maxsize", "100000")
    }

    fn controller_manager(&self) -> Result<Daemon> {
        Ok(Daemon::new("kube-controller-manager", self.program("kube-controller-manager")?)
            .flag("kubeconfig", self.kubeconfig_of("controller-manager"))
            .flag("root-ca-file", self.pki("ca.crt"))
            .flag("service-account-private-key-file", self.pki("accounts.key"))
            .flag("secure-port", "0")
            .flag("leader-elect", "false")
            .flag("kube-api-qps", "1000")
            .flag("kube-api-burst", "2000")
            .args(["--use-service-account-credentials"]))
    }

    fn scheduler(&self) -> Result<Daemon> {
        Ok(Daemon::new("kube-scheduler", self.program("kube-scheduler")?)
            .flag("kubeconfig", self.kubeconfig_of("scheduler"))
            .flag("secure-port", "0")
            .flag("leader-elect", "false")
            .flag("kube-api-qps", "1000")
            .flag("kube-api-burst", "2000"))
    }

    fn storage(&self) -> Result<Daemon> {
        Ok(Daemon::new("storage", self.program("storage")?)
            .flag("kubeconfig", self.kubeconfig_of("storage"))
            .flag("root", self.dir.join("volumes")))
    }
}

fn audit_policy() -> String {
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
        "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}],
    });
    policy.to_string()
}
