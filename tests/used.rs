//! What the operator may do against what it did, by the API server's audit log: after the scenarios of `tests/cluster.rs`,
//! on their world, every right must have been used and none been missing.
//!
//! `WORLD_NAME=… cargo test --test audit -- --ignored`

use std::collections::BTreeSet;
use std::error::Error;

use serde_json::Value;
use world::World;
use world::audit::{self, Right};
use world::platform::NAMESPACE;

const USER: &str = "system:serviceaccount:golive-system:golive";

/// Rights that a run of the scenarios leaves unused, and why each is granted.
const ALLOWED: [(&str, &str); 1] = [(
    " monitoring.coreos.com/",
    "the suite's cluster has no Prometheus operator: these are used where its kinds are served",
)];

fn roles(world: &World) -> Result<Vec<Value>, Box<dyn Error>> {
    let read = |args: &[&str]| -> Result<Value, Box<dyn Error>> { Ok(serde_json::from_str(&world.kubectl(args)?)?) };
    Ok(vec![
        read(&["get", "clusterrole", "golive", "-o", "json"])?,
        read(&["get", "role", "golive", "-n", NAMESPACE, "-o", "json"])?,
    ])
}

fn words(rights: &[Right]) -> Vec<String> {
    rights.iter().map(ToString::to_string).collect()
}

#[test]
#[ignore = "needs the world that the scenarios of tests/cluster.rs have run in"]
fn every_right_was_used_and_none_was_missing() -> Result<(), Box<dyn Error>> {
    let world = World::named(&std::env::var("WORLD_NAME").unwrap_or_else(|_| "cluster".into()))?;
    let log = std::fs::read_to_string(std::env::var_os("AUDIT_LOG").map_or_else(|| world.audit_log(), Into::into))?;
    let (granted, calls) = (audit::granted(&roles(&world)?), audit::calls(&log, USER));
    assert_eq!(words(&audit::wildcards(&granted)), Vec::<String>::new());
    assert_eq!(words(&audit::secrets_in_bulk(&granted)), Vec::<String>::new());
    assert_eq!(words(&audit::forbidden(&calls)), Vec::<String>::new(), "rights that were missing");
    let unused = audit::unused(&granted, &calls);
    let is_known = |right: &String| ALLOWED.iter().any(|(known, _)| right.contains(known));
    let left: Vec<String> = words(&unused).into_iter().filter(|right| !is_known(right)).collect();
    let used: BTreeSet<&str> = calls.iter().map(|call| call.right.resource.as_str()).collect();
    println!("{} rights granted, {} unused, {} resources called", granted.len(), unused.len(), used.len());
    assert_eq!(left, Vec::<String>::new(), "rights that no call used");
    Ok(())
}
