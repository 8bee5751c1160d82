//! What the operator may do against what it did, by the API server's audit log of all scenarios before this one: every right
//! was used, and none was missing.

use std::collections::BTreeSet;

use world::audit::{self, Right};
use world::platform::NAMESPACE;

use crate::stage::{OPERATOR, Outcome, Stage};

/// Rights that these scenarios leave unused, and why each is granted.
const ALLOWED: [(&str, &str); 8] = [
    ("patch batch/jobs", "a Job is made once; somebody else's of its name is looked at"),
    (" monitoring.coreos.com/", "the cluster has no Prometheus operator: used where its kinds are served"),
    (" networking.k8s.io/ingress", "tests/routes.rs goes live by Ingress"),
    (" traefik.io/", "tests/routes.rs goes live by Traefik's Middlewares"),
    (" gateway.networking.k8s.io/gatewayclasses", "tests/routes.rs shares a Gateway, whose class is looked at"),
    ("delete gateway.networking.k8s.io/gateways", "tests/routes.rs changes from a Gateway to Ingress"),
    ("delete networking.k8s.io/networkpolicies", "tests/routes.rs solves http-01, whose solver goes afterwards"),
    (" gateway.networking.k8s.io/listenersets", "tests/routes.rs brings listeners to a shared Gateway"),
];

pub fn are_used(stage: &Stage) -> Outcome<()> {
    let roles =
        vec![stage.json(&["get", "clusterrole", "golive"])?, stage.json(&["get", "role", "golive", "-n", NAMESPACE])?];
    let log = std::fs::read_to_string(stage.world.audit_log())?;
    let (granted, calls) = (audit::granted(&roles), audit::calls(&log, OPERATOR));
    assert_eq!(words(&audit::wildcards(&granted)), Vec::<String>::new());
    assert_eq!(words(&audit::secrets_in_bulk(&granted)), Vec::<String>::new());
    assert_eq!(words(&audit::missing(&granted, &calls)), Vec::<String>::new(), "rights that were missing");
    let known = |right: &String| ALLOWED.iter().any(|(known, _)| right.contains(known));
    let left: Vec<String> = words(&audit::unused(&granted, &calls)).into_iter().filter(|right| !known(right)).collect();
    assert_eq!(left, Vec::<String>::new(), "rights that no call used");
    let used: BTreeSet<&str> = calls.iter().map(|call| call.right.resource.as_str()).collect();
    assert!(used.len() > 20, "the audit log shows only {used:?}");
    Ok(())
}

fn words(rights: &[Right]) -> Vec<String> {
    rights.iter().map(ToString::to_string).collect()
}
