//! `golive plan`: the whole go-live that a manifest calls for, as text, without a cluster.
//!
//! It is no second planner: the plan of each pass is carried out on a World in which everything succeeds ([`happen`]), and
//! the next pass plans from there, until nothing is left to do.

mod assumed;
mod certificate;
mod happen;
pub mod judge;
mod rows;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::api::{ProviderAccount, SaasDeployment};
use crate::plan::plan;
use text::Transcript;

/// Passes after which a go-live that does not come to rest is told as it stands.
const MOST_PASSES: usize = 200;

/// Accounts by name.
type Accounts = BTreeMap<String, Arc<ProviderAccount>>;

/// Renders the go-live of each SaasDeployment of a YAML file: objects, rows at vendors, Jobs, and what waits for what.
/// ProviderAccounts of the file are used; others that it needs are assumed, as are its Secrets and zones.
///
/// # Errors
/// The file is no YAML, has no SaasDeployment in it, or has an object that the API server would refuse.
pub fn render(text: &str) -> Result<String, String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|e| format!("the manifest is not YAML: {e}"))?;
    let ours: Vec<Value> = documents
        .into_iter()
        .filter(|document| document["kind"].as_str().and_then(judge::schema_of).is_some())
        .collect();
    refuse(&ours)?;
    let accounts = of_kind::<ProviderAccount>(&ours, "ProviderAccount")?;
    let accounts: Accounts =
        accounts.into_iter().filter_map(|account| Some((account.metadata.name.clone()?, Arc::new(account)))).collect();
    let deployments = of_kind::<SaasDeployment>(&ours, "SaasDeployment")?;
    if deployments.is_empty() {
        return Err("the file has no SaasDeployment in it: nothing is planned".into());
    }
    let told: Vec<String> = deployments.into_iter().map(|saas| go_live(saas, &accounts)).collect();
    Ok(told.join("\n"))
}

/// Refuses what the API server would refuse, with everything that is wrong.
fn refuse(documents: &[Value]) -> Result<(), String> {
    let name = |document: &Value| document["metadata"]["name"].as_str().unwrap_or("without a name").to_owned();
    let faults: Vec<String> = documents
        .iter()
        .flat_map(|document| {
            let whose = format!("{} {}", document["kind"].as_str().unwrap_or_default(), name(document));
            judge::faults(document, None).into_iter().map(move |fault| format!("\n  {whose}: {fault}"))
        })
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(format!("the API server would refuse this file:{}", faults.concat())) }
}

fn of_kind<K: serde::de::DeserializeOwned>(documents: &[Value], kind: &str) -> Result<Vec<K>, String> {
    let ours = documents.iter().filter(|document| document["kind"] == kind);
    let read = ours.map(|document| serde_json::from_value(document.clone()));
    read.collect::<Result<_, _>>().map_err(|e| format!("the {kind} does not fit its schema: {e}"))
}

/// Plans pass after pass until one changes nothing.
fn go_live(mut saas: SaasDeployment, accounts: &Accounts) -> String {
    assumed::identify(&mut saas);
    let (mut world, assumptions) = assumed::world(&saas, accounts);
    let mut transcript = Transcript::new(&saas, &assumptions);
    for _ in 0..MOST_PASSES {
        let planned = plan(&saas, &world);
        let (next, happened) = happen::carry_out(&saas, &world, &planned);
        transcript.pass(&planned, &happened);
        if !happened.anything {
            return transcript.end(&planned);
        }
        world = next;
    }
    transcript.restless()
}

#[cfg(test)]
mod tests;
