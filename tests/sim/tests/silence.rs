//! A vendor that takes requests and never answers: it may hold up what needs it, and nothing else.

use std::time::Duration;

use serde_json::{Value, json};
use sim::law::is_live;
use sim::place::State;
use sim::run::{Act, Ended, Run};
use sim::script;
use sim::trouble::{Rule, Trouble, Troubles};

/// More than there are passes at once.
const APPLICATIONS: usize = 20;
/// Until the Deployment is written: the operator comes back, its lease runs out, and each vendor may be silent once.
const SOON: Duration = Duration::from_secs(60);
/// Whose image changes: those before it have used up the passes.
const LAST: usize = APPLICATIONS - 1;

/// As many endpoints as Stripe lets an account have.
const ENDPOINTS: usize = 16;

fn application(number: usize, image: &str) -> Value {
    let name = format!("app-{number:03}");
    let mut saas = json!({
        "apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment",
        "metadata": {"name": name, "namespace": "storm"},
        "spec": {
            "environment": "Production", "image": format!("registry.example.com/hello:{image}"),
            "domains": [format!("{name}.example.com")],
        },
    });
    if number < ENDPOINTS {
        let hook = json!({"path": "/hook", "events": ["invoice.payment_failed"], "secretEnv": "HOOK_SECRET"});
        saas["spec"]["payments"] = json!({"stripe": {"webhooks": [hook]}});
    }
    saas
}

/// All applications, live.
fn live() -> (Vec<Act>, Ended) {
    let manifests = (0..APPLICATIONS).map(|number| application(number, "1.0.0"));
    let ground = script::ground(&application(0, "1.0.0"));
    let acts = vec![Act::AtOnce(ground.into_iter().chain(manifests.map(Act::Apply)).collect())];
    let ended = Run::of(&acts).from(State::new());
    assert!(ended.rests && is_live(&ended.state));
    (acts, ended)
}

/// How long it takes until the Deployment of the last application is written, when the operator begins anew while nobody
/// answers requests of this kind.
fn written_after(silent: &str, (live, state): (&[Act], &State)) -> Duration {
    let acts = [live, &[Act::Apply(application(LAST, "2.0.0"))]].concat();
    let rule = Rule { what: silent.into(), after: 0, times: usize::MAX, trouble: Trouble::Silence { done: false } };
    let run = Run { troubles: Troubles::of(rule), pace: Some(Duration::from_secs(600)), ..Run::of(&acts) };
    let ended = run.from(state.clone());
    assert!(ended.calls.iter().any(|(_, what)| what.contains(silent)), "nobody is asked");
    let name = format!("/deployments/app-{LAST:03}");
    let write = ended.writes.iter().find(|write| write.what.ends_with(&name));
    write.map_or(Duration::MAX, |write| write.time)
}

#[test]
fn a_vendor_that_is_silent_holds_up_no_application() {
    let (acts, live) = live();
    for silent in [" ca ", " cloudflare ", " stripe "] {
        let took = written_after(silent, (&acts, &live.state));
        assert!(took < SOON, "{silent}: {took:?}");
    }
}
