//! The sockets: TLS, HTTP, DNS, the edge, the control API and the delivery of events.

pub mod authority;
pub mod check;
pub mod client;
pub mod control;
pub mod deliver;
pub mod dns;
pub mod door;
pub mod edge;
pub mod http;
pub mod hub;
pub mod vendor;
pub mod visit;

/// What goes wrong around the sockets.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
