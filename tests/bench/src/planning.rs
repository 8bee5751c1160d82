//! Planning without a cluster: one application, all of which stands and runs.

use std::hint::black_box;

use golive::api::SaasDeployment;
use golive::apply::Done;
use golive::apply::wanted::Wanted;
use golive::kinds::Kind;
use golive::objects::Children;
use golive::plan::{Ask, Plan, plan};
use golive::report::report;
use golive::world::World;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::fleet;

/// Children of the application.
pub const CHILDREN: usize = 20;

/// What is measured of one plan, and of one pass.
pub fn measured<T>(measure: impl Fn(&dyn Fn()) -> T) -> Option<[T; 2]> {
    let (saas, world) = converged()?;
    let planned = measure(&|| drop(black_box(plan(&saas, &world))));
    let passed = measure(&|| pass(Ask { saas: &saas, world: &world }));
    Some([planned, passed])
}

/// What golive keeps of one application: the SaasDeployment with its status, and what it remembers of the
/// children once each was compared.
pub fn kept(weigh: impl Fn(&mut dyn FnMut()) -> f64) -> Option<[f64; 2]> {
    let (mut saas, mut world) = converged()?;
    let planned = plan(&saas, &world);
    saas.status = Some(report(Ask { saas: &saas, world: &world }, &planned, &Done::default()).status);
    let (text, mut object) = (json!(saas).to_string(), None);
    let saas_weighs = weigh(&mut || object = serde_json::from_str::<SaasDeployment>(&text).ok());
    let mut before = None;
    let children_weigh = weigh(&mut || {
        before = filled(&saas, &world).map(|anew| std::mem::replace(&mut world.children, anew));
        assert!(differing(Ask { saas: &saas, world: &world }, &planned).is_empty(), "all of it stands");
    });
    drop((object, before));
    Some([saas_weighs + size_of::<SaasDeployment>() as f64 / 1024.0, children_weigh])
}

/// What a pass does when nothing has changed, but for looking: plan, compare with every child, report.
fn pass(ask: Ask<'_>) {
    let planned = plan(ask.saas, ask.world);
    assert!(differing(ask, &planned).is_empty(), "a world that has converged calls for no write");
    drop(black_box(report(ask, &planned, &Done::default())));
}

fn differing(ask: Ask<'_>, planned: &Plan) -> Vec<String> {
    let steps = planned.parts.iter().filter_map(|(part, verdict)| Some((*part, verdict.as_ref().ok()?)));
    let manifests = steps.flat_map(|(part, steps)| steps.manifests.iter().map(move |manifest| (part, manifest)));
    let differs =
        manifests.filter(|(part, m)| !Wanted::new(ask, *part, m).agrees(ask.world.children.find(m.kind, &m.name)));
    differs.map(|(_, manifest)| manifest.to_string()).collect()
}

/// An application and a world in which all of it stands and runs.
fn converged() -> Option<(SaasDeployment, World)> {
    let mut saas = fleet::application(1, CHILDREN);
    saas.metadata.uid = Some("11111111-2222-3333-4444-555555555555".into());
    saas.metadata.generation = Some(1);
    let mut world = fleet::nothing();
    world.vault = Ok(fleet::vault());
    // What stands decides what else is declared, so the world is filled until nothing differs.
    for _ in 0..4 {
        world.children = filled(&saas, &world)?;
    }
    Some((saas, world))
}

fn filled(saas: &SaasDeployment, world: &World) -> Option<Children> {
    let ask = Ask { saas, world };
    let planned = plan(saas, world);
    let mut children = Children::default();
    for (part, verdict) in &planned.parts {
        for manifest in &verdict.as_ref().ok()?.manifests {
            children = children.with(manifest.kind, stands(manifest.kind, Wanted::new(ask, *part, manifest).object())?);
        }
    }
    Some(children)
}

/// An object as the API server would have it.
fn stands(kind: Kind, mut object: Value) -> Option<DynamicObject> {
    object["metadata"]["uid"] = json!("66666666-7777-8888-9999-000000000000");
    object["metadata"]["resourceVersion"] = json!("1");
    object["metadata"]["generation"] = json!(1);
    if kind == Kind::Deployment {
        let replicas = object["spec"]["replicas"].as_i64().unwrap_or(1);
        object["status"] = json!({
            "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas,
        });
    }
    serde_json::from_value(object).ok()
}
