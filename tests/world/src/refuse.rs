//! Ports of the outside that refuse connections for a while, as a service does that is down.

use crate::command::run;
use crate::error::Result;
use crate::place::World;

/// The CA's port.
pub const ACME: u16 = 14000;

impl World {
    /// Resets what comes to a port, until [`World::admit`].
    pub fn refuse(&self, port: u16) -> Result<()> {
        self.rule("-I", port)
    }

    /// Lets connections to the port in again.
    pub fn admit(&self, port: u16) -> Result<()> {
        self.rule("-D", port)
    }

    fn rule(&self, verb: &str, port: u16) -> Result<()> {
        let (namespace, port) = (self.namespace(), port.to_string());
        let to = ["netns", "exec", &namespace, "iptables", "-w", verb, "INPUT", "-p", "tcp", "--dport", &port];
        run("ip", to.into_iter().chain(["-j", "REJECT", "--reject-with", "tcp-reset"])).map(drop)
    }
}
