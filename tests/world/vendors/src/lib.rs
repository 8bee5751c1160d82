//! Loopback servers that behave as the vendors do, for tests and demonstrations without any account.
//!
//! In reading order: [`message`] (requests without sockets), [`gate`] (what every call passes), one module for each
//! vendor (`cloudflare`, `stripe`, `uptimerobot`, `sentry`: state machines without clock or sockets), [`dns`]
//! (answers from Cloudflare's zones), then [`net`] (sockets, the edge, event delivery, the control API).
//!
//! What holds everywhere: a vendor's `handle` depends on its state, the time given and the request alone; secrets
//! appear in the state file and in the one answer that shows them, never in a log or an inventory.

pub mod calls;
pub mod clock;
pub mod cloudflare;
pub mod config;
pub mod dns;
pub mod faults;
pub mod gate;
pub mod ids;
pub mod limits;
pub mod message;
pub mod net;
pub mod sentry;
pub mod settings;
pub mod stripe;
pub mod uptimerobot;

mod run;

pub use config::{Config, Ports, Seed};
pub use gate::Vendors;
pub use run::{Running, start};
pub use settings::Settings;
