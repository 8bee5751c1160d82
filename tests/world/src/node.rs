//! The one node: container runtime, kubelet and kube-proxy.

use crate::daemon::Daemon;
use crate::error::{Error, Result};
use crate::place::{World, write};
use crate::step::step;
use crate::{cgroup, control::PATIENCE};
use serde_json::{Value, json};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The image that holds a pod's namespaces.
pub(crate) const PAUSE: &str = "golive.test/pause:1";

/// A socket's path ends at 107 bytes (unix(7)); the kubelet's longest is this much longer than its folder.
const KUBELET_SOCKET: usize = "/device-plugins/kubelet.sock".len();

impl World {
    /// Brings up the container runtime, with the image every pod needs.
    pub(crate) fn run_containers(&self) -> Result<()> {
        step("container runtime", || {
            write(&self.file("containerd.toml"), self.containerd_config())?;
            write(&self.file("cni/10-bridge.conflist"), self.cni_config()?.to_string())?;
            let containerd = Daemon::new("containerd", PathBuf::from("containerd")).args(["--config"]);
            self.start(&containerd.args([self.file("containerd.toml").display().to_string()]))?;
            self.wait("containerd", PATIENCE, || UnixStream::connect(self.containerd()).is_ok())?;
            self.import_image(&self.pause_image()?)
        })
    }

    /// Brings up the kubelet and kube-proxy, and waits until the node is ready for pods.
    pub(crate) fn join_node(&self) -> Result<()> {
        step("node", || {
            self.check_socket_length()?;
            cgroup::create(&self.namespace())?;
            write(&self.file("resolv.conf"), format!("nameserver {}\n", self.net()?.dns()))?;
            write(&self.file("kubelet.json"), self.kubelet_config()?.to_string())?;
            self.start(&self.kubelet()?)?;
            self.start(&self.proxy()?)?;
            self.wait("kubelet", PATIENCE, || self.node_is_ready())
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn kubelet_root(&self) -> PathBuf {
        self.file("kubelet")
    }

    fn check_socket_length(&self) -> Result<()> {
        let root = self.kubelet_root();
        if root.as_os_str().len() + KUBELET_SOCKET <= 107 {
            return Ok(());
        }
        Err(Error::new(format!("{} is too long a path for the kubelet's sockets", root.display()))
            .next("give the world a shorter name, or set CARGO_TARGET_DIR to a shorter folder"))
    }

    fn node_is_ready(&self) -> bool {
        let status = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        self.kubectl(&["get", "node", "node", "-o", status]).is_ok_and(|status| status == "True")
    }

    /// The sandbox is refused where the runtime may not lower its oom score, hence `restrict_oom_score_adj`; everything
    /// else keeps this runtime's files, sockets and network namespaces apart from another's.
    fn containerd_config(&self) -> String {
        let cri = "plugins.\"io.containerd.grpc.v1.cri\"";
        let lines = [
            "version = 2".into(),
            format!("root = {:?}", self.file("containerd")),
            format!("state = {:?}", self.run.join("containerd")),
            "disabled_plugins = [\"io.containerd.internal.v1.opt\"]".into(),
            format!("[grpc]\naddress = {:?}", self.containerd()),
            format!("[{cri}]\nsandbox_image = {PAUSE:?}"),
            "restrict_oom_score_adj = true\ndisable_apparmor = true\nnetns_mounts_under_state_dir = true".into(),
            format!("[{cri}.cni]\nbin_dir = \"/usr/lib/cni\"\nconf_dir = {:?}", self.file("cni")),
            format!("[{cri}.containerd]\ndefault_runtime_name = \"runc\"\nsnapshotter = \"overlayfs\""),
            format!("[{cri}.containerd.runtimes.runc]\nruntime_type = \"io.containerd.runc.v2\""),
            format!("[{cri}.containerd.runtimes.runc.options]\nSystemdCgroup = false"),
            format!("Root = {:?}\n", self.run.join("runc")),
        ];
        lines.join("\n")
    }

    fn cni_config(&self) -> Result<Value> {
        let ipam = json!({
            "type": "host-local", "dataDir": self.file("cni-addresses"),
            "ranges": [[{"subnet": self.net()?.pods()}]], "routes": [{"dst": "0.0.0.0/0"}],
        });
        let bridge = json!({"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipam": ipam});
        let ports = json!({"type": "portmap", "capabilities": {"portMappings": true}});
        Ok(json!({"cniVersion": "1.0.0", "name": self.namespace(), "plugins": [bridge, ports]}))
    }

    /// What is missing of a machine of one's own is turned off: eviction by disk, image collection, swap refusal.
    /// <https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/>
    fn kubelet_config(&self) -> Result<Value> {
        let mut config = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "cgroupDriver": "cgroupfs", "failCgroupV1": false, "failSwapOn": false, "enforceNodeAllocatable": [],
            "localStorageCapacityIsolation": false, "evictionHard": {}, "imageGCHighThresholdPercent": 100,
            "cgroupRoot": format!("/{}", self.namespace()),
            "clusterDNS": [self.net()?.cluster_dns()], "clusterDomain": "cluster.local",
            "syncFrequency": "10s", "nodeStatusUpdateFrequency": "10s", "registryPullQPS": 0, "eventRecordQPS": 0,
        });
        let authentication = json!({"anonymous": {"enabled": false}, "x509": {"clientCAFile": self.pki("ca.crt")}});
        config["authentication"] = authentication;
        for (key, path) in self.kubelet_paths() {
            config[key] = json!(path);
        }
        config["containerRuntimeEndpoint"] = json!(format!("unix://{}", self.containerd().display()));
        Ok(config)
    }

    fn kubelet_paths(&self) -> [(&'static str, PathBuf); 5] {
        [
            ("podLogsDir", self.file("pods")),
            ("resolvConf", self.file("resolv.conf")),
            ("volumePluginDir", self.file("volume-plugins")),
            ("tlsCertFile", self.pki("kubelet-server.crt")),
            ("tlsPrivateKeyFile", self.pki("kubelet-server.key")),
        ]
    }

    fn kubelet(&self) -> Result<Daemon> {
        Ok(Daemon::new("kubelet", self.program("kubelet")?)
            .flag("config", self.file("kubelet.json"))
            .flag("kubeconfig", self.kubeconfig_of("kubelet"))
            .flag("root-dir", self.kubelet_root())
            .flag("cert-dir", self.file("pki"))
            .flag("hostname-override", "node")
            .flag("node-ip", self.net()?.node()))
    }

    /// The zeros leave the machine's connection tracking limits as they are: they are not this namespace's to set.
    fn proxy(&self) -> Result<Daemon> {
        Ok(Daemon::new("kube-proxy", self.program("kube-proxy")?)
            .flag("kubeconfig", self.kubeconfig_of("proxy"))
            .flag("hostname-override", "node")
            .flag("proxy-mode", "iptables")
            .flag("cluster-cidr", self.net()?.pods())
            .flag("conntrack-max-per-core", "0")
            .flag("conntrack-tcp-timeout-established", "0")
            .flag("conntrack-tcp-timeout-close-wait", "0"))
    }
}

/// The folders where the node's programs keep notes under fixed paths, whatever they are told.
pub(crate) fn fixed_paths() -> [&'static Path; 2] {
    [Path::new("/var/log/containers"), Path::new("/var/lib/cni/results")]
}
