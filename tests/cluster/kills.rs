//! An operator that dies at any moment: its successor goes on, and nothing is made twice.

use std::time::Duration;

use serde_json::{Value, json};

use crate::apps::CSVBOARD;
use crate::csvboard::csvboard;
use crate::stage::{Outcome, Stage, until};

pub fn again_and_again(stage: &Stage) -> Outcome<()> {
    let _turn = csvboard(stage)?;
    let wanted = stage.inventory()?;
    stage.tenant("csvboard")?;
    stage.apply(CSVBOARD)?;
    for pause in [150, 700, 350, 1100, 500, 900, 250, 1300] {
        std::thread::sleep(Duration::from_millis(pause));
        stage.kubectl(&["delete", "pods", "--all", "-n", "golive-system", "--grace-period=0", "--force"])?;
        stage.kubectl(&["rollout", "status", "deployment/golive", "-n", "golive-system", "--timeout=60s"])?;
    }
    stage.live("csvboard", "csvboard")?;
    let same =
        until(Duration::from_secs(200), || Ok((shape(stage.inventory()?) == shape(wanted.clone())).then_some(())));
    same.map_err(|e| format!("{e}: {} and {}", shape(wanted), shape(stage.inventory().unwrap_or_default())).into())
}

/// An inventory without the marks, which name the object's uid.
fn shape(inventory: Value) -> Value {
    match inventory {
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, shape(value))).collect(),
        Value::Array(list) => list.into_iter().map(shape).collect(),
        Value::String(text) if text.starts_with("golive/") => json!("mark"),
        Value::String(text) if text.len() == 12 && text.chars().all(|c| c.is_ascii_hexdigit()) => json!("owner"),
        Value::String(text) if text.contains('-') && text.len() > 20 => json!("attempt"),
        other => other,
    }
}
