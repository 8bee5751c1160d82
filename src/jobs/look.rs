//! `golive look`: looks for the proofs of http-01 challenges where the certificate authority will (RFC 8555, section 8.3), and
//! ends once it has seen them all. A check that fails at the authority counts against the account's limits.

use std::time::Duration;

use reqwest::Client;
use reqwest::redirect::Policy;

use super::budget::Budget;
use super::smoke::body;
use crate::evidence::{Evidence, Failure, LookFacts, LookTask};

/// How often a proof is looked for, and how long an answer may take.
const AGAIN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// Does the task: looks until every proof was seen.
pub async fn run(task: LookTask, budget: Budget) -> Evidence<LookFacts> {
    let budget = budget.within(Duration::from_secs(task.deadline_seconds));
    let client = match client() {
        Ok(client) => client,
        Err(error) => return Evidence::failed(Failure::new("RuntimeFailed", error.to_string()), None),
    };
    for (place, (url, proof)) in task.proofs.iter().enumerate() {
        while let Err(why) = see(&client, url, proof).await {
            tracing::info!(url, why, "not seen yet");
            if budget.pause(AGAIN).await.is_err() {
                let text = format!("{url} does not lead to the solver: {why}; point the host to the gateway");
                return Evidence::failed(Failure::new("NotSeen", text), Some(LookFacts { seen: place }));
            }
        }
        tracing::info!(url, "seen");
    }
    Evidence::success(LookFacts { seen: task.proofs.len() })
}

/// As a CA does, it follows redirects and validates no certificate on the way: <https://letsencrypt.org/docs/challenge-types/>.
/// What it reads is compared with what it knows, and nothing else.
fn client() -> reqwest::Result<Client> {
    let _already_chosen = rustls::crypto::ring::default_provider().install_default();
    let agent = concat!("golive-look/", env!("CARGO_PKG_VERSION"));
    let builder = Client::builder().redirect(Policy::limited(10)).danger_accept_invalid_certs(true);
    builder.user_agent(agent).timeout(PATIENCE).build()
}

async fn see(client: &Client, url: &str, proof: &str) -> Result<(), String> {
    let answer = client.get(url).send().await.map_err(|e| e.without_url().to_string())?;
    let status = answer.status();
    let text = body(answer).await.map_err(|e| e.without_url().to_string())?;
    if text.trim_end() == proof { Ok(()) } else { Err(format!("something else answered with {status}")) }
}
