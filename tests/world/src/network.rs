//! One network namespace per world, joined to the host by a veth pair, so that several worlds run side by side and
//! none of their iptables rules touch the host.

use crate::command::{run, succeeds};
use crate::error::{Error, Result};

/// Subnets are numbered; the default world prefers 0, and every other world takes the first free one from 1.
const NUMBERS: std::ops::Range<u8> = 0..60;

/// The addresses of a world, all derived from the number of its subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// N in 10.77.N.0/24.
    pub number: u8,
}

impl Network {
    fn address(self, last: u8) -> String {
        format!("10.77.{}.{last}", self.number)
    }

    /// The host's side of the veth pair.
    pub fn host(self) -> String {
        self.address(1)
    }

    /// The node: API server, gateway and kubelet.
    pub fn node(self) -> String {
        self.address(2)
    }

    /// The Cloudflare edge.
    pub fn edge(self) -> String {
        self.address(3)
    }

    /// The authoritative and recursive DNS server of the outer world.
    pub fn dns(self) -> String {
        self.address(4)
    }

    /// The DNS server of the cluster.
    pub fn cluster_dns(self) -> String {
        self.address(5)
    }

    /// The vendors' APIs, ACME and S3.
    pub fn vendors(self) -> String {
        self.address(6)
    }

    /// Where pods live.
    pub fn pods(self) -> String {
        format!("10.{}.0.0/16", 100 + self.number)
    }

    /// Where cluster IPs live.
    pub fn services(self) -> String {
        format!("10.{}.0.0/16", 160 + self.number)
    }

    /// The cluster IP of the API server: the first of the range.
    pub fn first_service(self) -> String {
        format!("10.{}.0.1", 160 + self.number)
    }

    /// The name of the host's side of the veth pair.
    pub fn link(self) -> String {
        format!("golive{}", self.number)
    }

    /// Takes `preferred`, or else the first free subnet, and joins the namespace to the host through it.
    pub fn claim(namespace: &str, preferred: u8) -> Result<Self> {
        if !exists(namespace) {
            run("ip", ["netns", "add", namespace])?;
        }
        let mut candidates = std::iter::once(preferred).chain(NUMBERS.skip(1)).map(|number| Network { number });
        // Adding a link whose name is taken fails, which makes it the lock between worlds that start at once.
        let free = candidates.find(|network| network.join(namespace));
        let network = free.ok_or_else(|| {
            Error::new("every subnet from 10.77.0.0 to 10.77.59.0 is taken by a world")
                .next("take one down: `world down --name NAME`; `ip netns` lists them as golive-NAME")
        })?;
        network.configure(namespace)?;
        Ok(network)
    }

    fn join(self, namespace: &str) -> bool {
        succeeds("ip", ["link", "add", &self.link(), "type", "veth", "peer", "name", "eth0", "netns", namespace])
    }

    fn configure(self, namespace: &str) -> Result<()> {
        let link = self.link();
        run("ip", ["addr", "add", &format!("{}/24", self.host()), "dev", &link])?;
        run("ip", ["link", "set", &link, "up"])?;
        for last in 2..=6 {
            let address = format!("{}/24", self.address(last));
            run("ip", ["-n", namespace, "addr", "add", &address, "dev", "eth0"])?;
        }
        run("ip", ["-n", namespace, "link", "set", "lo", "up"])?;
        run("ip", ["-n", namespace, "link", "set", "eth0", "up"])?;
        for range in [self.pods(), self.services()] {
            run("ip", ["route", "replace", &range, "via", &self.node(), "dev", &link])?;
        }
        self.forward(namespace)
    }

    /// Without the bridge setting a reply between two pods of one bridge goes past the translation of the Service's
    /// address (<https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/network-plugins/>).
    fn forward(self, namespace: &str) -> Result<()> {
        let settings = ["net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1"];
        for setting in settings {
            run("ip", ["netns", "exec", namespace, "sysctl", "-qw", setting])?;
        }
        Ok(())
    }
}

/// Whether the namespace exists.
pub fn exists(namespace: &str) -> bool {
    std::path::Path::new("/run/netns").join(namespace).exists()
}

/// Removes the namespace and the link into it; nothing to do is fine.
pub fn remove(namespace: &str, network: Option<Network>) {
    if let Some(network) = network {
        succeeds("ip", ["link", "del", &network.link()]);
    }
    succeeds("ip", ["netns", "del", namespace]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_worlds_share_an_address_or_a_range() {
        let all: Vec<String> = NUMBERS
            .map(|number| Network { number })
            .flat_map(|n| {
                [n.host(), n.node(), n.edge(), n.dns(), n.cluster_dns(), n.vendors(), n.pods(), n.services(), n.link()]
            })
            .collect();
        let distinct: BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(
            all.iter().all(|text| !text.starts_with("10.77.0.0/") && text.len() <= 15),
            "link names end at 15 bytes"
        );
    }

    #[test]
    fn every_part_of_an_address_is_a_byte() {
        let ranges = NUMBERS.map(|number| Network { number }).flat_map(|n| [n.pods(), n.services()]);
        for range in ranges {
            let address = range.trim_end_matches("/16");
            assert!(address.parse::<std::net::Ipv4Addr>().is_ok(), "{range}");
        }
    }
}
