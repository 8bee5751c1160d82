//! The fleet that is measured: N applications of k children each, and the children as golive itself renders them.

use std::sync::Arc;

use golive::api::{Cron, Generate, Process, SaasDeployment, SaasDeploymentSpec, Secrets};
use golive::apply::owner_reference;
use golive::apply::wanted::Wanted;
use golive::config::{Config, Gateway};
use golive::kinds::Kind;
use golive::objects::{MANAGED_BY, OWNER};
use golive::plan::{Ask, plan};
use golive::rows::Mark;
use golive::vault::Vault;
use golive::world::World;
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};

/// Namespaces that the applications are spread over.
pub const NAMESPACES: usize = 10;
/// The value that golive generates for each application.
const KEY: &str = "SESSION_KEY";

/// How many applications, of how many children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Applications.
    pub n: usize,
    /// Children of each: a Secret, a ServiceAccount, a NetworkPolicy, a disruption budget, Services, Deployments, CronJobs.
    pub k: usize,
}

/// A child: its kind, where there is one that golive watches, its name, and itself.
pub struct Child {
    /// The kind; a Secret has none, for golive does not watch Secrets.
    pub kind: Option<Kind>,
    /// The name.
    pub name: String,
    /// The object as it is sent.
    pub object: Value,
}

/// The namespace of the application of that number.
pub fn namespace(number: usize) -> String {
    format!("bench-{}", number % NAMESPACES)
}

/// The application of that number with `k` children.
pub fn application(number: usize, k: usize) -> SaasDeployment {
    let mut saas = SaasDeployment::new(&format!("app-{number:05}"), spec(k));
    saas.metadata.namespace = Some(namespace(number));
    saas
}

/// Six children are always there; what remains is processes of two children each, and for a quarter of it CronJobs.
fn spec(k: usize) -> SaasDeploymentSpec {
    let more = k.saturating_sub(6);
    let processes = more * 3 / 8;
    SaasDeploymentSpec {
        image: "registry.example.com/shop:1.0.0".into(),
        port: 8000,
        replicas: Some(2),
        env: [("LOG_LEVEL", "info"), ("REGION", "eu-central-1"), ("FEATURES", "cart,checkout")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        secrets: Some(Secrets { generate: vec![generated()], require: Vec::new() }),
        processes: (0..processes).map(process).collect(),
        cron: (0..more - 2 * processes).map(cron).collect(),
        ..SaasDeploymentSpec::default()
    }
}

fn generated() -> Generate {
    Generate { env: KEY.into(), bytes: 32, ..Generate::default() }
}

fn process(number: usize) -> Process {
    Process {
        name: format!("part-{number}"),
        command: vec!["/bin/part".into(), number.to_string()],
        port: Some(9000),
        ..Process::default()
    }
}

fn cron(number: usize) -> Cron {
    Cron {
        name: format!("cron-{number}"),
        schedule: "17 3 * * *".into(),
        command: vec!["/bin/cron".into(), number.to_string()],
    }
}

/// A world in which nothing has happened yet.
pub fn nothing() -> World {
    let gateway = Gateway { class: "gateway-class".into(), shared: None, namespace: None };
    let config = Config { gateway: Some(gateway), ..Config::default() };
    let mark = Mark { cluster: "00000000".into(), owner: "000000000000".into(), label: String::new() };
    let mut world = World::new(Timestamp::UNIX_EPOCH, [0; 32], Arc::new(config), mark);
    world.served = Kind::ALL.into();
    world
}

/// The children of an application, byte for byte what golive declares once its generated value is stored.
pub fn children(saas: &SaasDeployment) -> Vec<Child> {
    let mut world = nothing();
    world.vault = Ok(vault());
    let ask = Ask { saas, world: &world };
    let planned = plan(saas, &world);
    let steps = planned.parts.iter().filter_map(|(part, verdict)| Some((*part, verdict.as_ref().ok()?)));
    let declared = steps.flat_map(|(part, steps)| {
        steps.manifests.iter().map(move |m| Child {
            kind: Some(m.kind),
            name: m.name.clone(),
            object: Wanted::new(ask, part, m).object(),
        })
    });
    std::iter::once(secret(saas)).chain(declared).collect()
}

/// How many Deployments an application of `k` children has.
pub fn deployments(k: usize) -> usize {
    1 + spec(k).processes.len()
}

/// A vault with the value that golive would have generated.
pub fn vault() -> Vault {
    Vault { values: [(KEY.to_owned(), value().into())].into(), version: Some("1".into()), ..Vault::default() }
}

fn value() -> String {
    "measured-measured-measured-measured-measured".into()
}

fn secret(saas: &SaasDeployment) -> Child {
    let name = format!("{}-secrets", saas.name_any());
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": name,
            "labels": {MANAGED_BY: "golive", OWNER: saas.name_any()},
            "ownerReferences": [owner_reference(saas)],
        },
        "stringData": {KEY: value()},
    });
    Child { kind: None, name, object }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_has_as_many_children_as_asked() {
        for k in [6, 10, 20] {
            assert_eq!(children(&application(7, k)).len(), k, "k = {k}");
        }
    }

    #[test]
    fn children_carry_the_label_that_golive_watches() {
        let all = children(&application(1, 10));
        assert!(all.iter().all(|child| child.object["metadata"]["labels"][MANAGED_BY] == "golive"));
    }
}
