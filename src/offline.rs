//! `golive plan`: what a manifest calls for, as text, without a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::SaasDeployment;
use crate::config::{Config, Gateway};
use crate::kinds::Kind;
use crate::objects::Children;
use crate::plan::{Part, Steps, plan};
use crate::rows::Mark;
use crate::vault::Vault;
use crate::world::World;

/// Renders each SaasDeployment of a YAML file: its parts, their objects, and what each waits for.
///
/// # Errors
/// The file is no YAML, or has no SaasDeployment in it.
pub fn render(text: &str) -> Result<String, String> {
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple(text).map_err(|e| format!("the manifest is not YAML: {e}"))?;
    let ours = documents.into_iter().filter(|document| document["kind"] == "SaasDeployment");
    let mut out = String::new();
    for document in ours {
        let saas: SaasDeployment =
            serde_json::from_value(document).map_err(|e| format!("the SaasDeployment does not fit its schema: {e}"))?;
        describe(&mut out, &saas);
    }
    if out.is_empty() { Err("the file has no SaasDeployment in it".into()) } else { Ok(out) }
}

fn describe(out: &mut String, saas: &SaasDeployment) {
    let plan = plan(saas, &nothing());
    out.push_str(&format!("SaasDeployment {}\n", saas.metadata.name.as_deref().unwrap_or_default()));
    for (part, verdict) in &plan.parts {
        match verdict {
            Ok(steps) => part_text(out, *part, steps),
            Err(hold) => out.push_str(&format!("  {}\n    waits: {}: {}\n", part.word(), hold.reason, hold.message)),
        }
    }
}

fn part_text(out: &mut String, part: Part, steps: &Steps) {
    out.push_str(&format!("  {}\n", part.word()));
    for manifest in &steps.manifests {
        out.push_str(&format!("    {manifest}\n"));
    }
    if let Some(hold) = &steps.waits {
        out.push_str(&format!("    waits: {}: {}\n", hold.reason, hold.message));
    }
}

/// A world in which nothing has happened yet.
pub fn nothing() -> World {
    let gateway = Gateway { class: "gateway-class".into(), shared: None, namespace: None };
    World {
        now: Timestamp::UNIX_EPOCH,
        entropy: [0; 32],
        config: Arc::new(Config { gateway: Some(gateway), ..Config::default() }),
        mark: Mark { cluster: "00000000".into(), owner: "000000000000".into(), label: String::new() },
        children: Children::default(),
        served: BTreeSet::from(Kind::ALL),
        ground: Arc::default(),
        vault: Ok(Vault::default()),
        sources: BTreeMap::new(),
        accounts: BTreeMap::new(),
        rivals: BTreeMap::new(),
        zones: BTreeMap::new(),
        records: BTreeMap::new(),
        endpoints: BTreeMap::new(),
        monitors: BTreeMap::new(),
        projects: BTreeMap::new(),
        certificate: Ok(None),
        order: Ok(None),
        window: None,
        published: BTreeMap::new(),
        copies: BTreeMap::new(),
        outcomes: BTreeMap::new(),
        troubles: BTreeMap::new(),
        operations: Vec::new(),
        namespace_labels: BTreeMap::new(),
        trust: None,
    }
}
