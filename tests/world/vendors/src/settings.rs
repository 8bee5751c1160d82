//! What is not known of the real vendors, or differs between accounts: tests choose.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gate::Vendors;

/// Choices; those that are not named stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Settings {
    /// How long UptimeRobot's lists stay behind; 2000 at first.
    pub uptimerobot_lag_milliseconds: Option<u64>,
    /// Whether the replay of a create still shows the signing secret; true at first.
    pub stripe_replays_secret: Option<bool>,
    /// Endpoints of one mode; accounts report 16 (as at first) and 100.
    pub stripe_endpoints: Option<usize>,
}

impl Vendors {
    /// Makes choices.
    pub fn set(&mut self, settings: &Settings) {
        if let Some(milliseconds) = settings.uptimerobot_lag_milliseconds {
            self.uptimerobot.set_lag(Duration::from_millis(milliseconds));
        }
        if let Some(shows) = settings.stripe_replays_secret {
            self.stripe.set_replays_secret(shows);
        }
        if let Some(most) = settings.stripe_endpoints {
            self.stripe.set_endpoint_limit(most);
        }
    }
}
