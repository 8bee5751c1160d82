use kube::api::DynamicObject;
use serde_json::Value;

use super::*;
use crate::kinds::Kind;

const CSVBOARD: &str = include_str!("../../examples/s0-csvboard.yaml");
const ACCOUNTS: &str = include_str!("../../examples/accounts.yaml");

#[test]
fn a_go_live_comes_to_rest_and_ends_live() {
    let told = render(CSVBOARD).unwrap();
    assert!(told.ends_with("live: every part is ready\n"), "{told}");
}

#[test]
fn accounts_of_the_file_are_taken_and_only_others_assumed() {
    let told = render(&format!("{ACCOUNTS}\n---\n{CSVBOARD}")).unwrap();
    assert!(
        !told.contains("ProviderAccount s3-eu (") && told.contains("zone example.com in ProviderAccount cloudflare")
    );
}

#[test]
fn a_domain_that_an_account_of_the_file_does_not_allow_holds_the_go_live() {
    let elsewhere = CSVBOARD.replace("app.example.com", "app.example.net");
    let told = render(&format!("{ACCOUNTS}\n---\n{elsewhere}")).unwrap();
    let end = told.split("not live").nth(1).unwrap_or_default();
    assert!(end.contains("DomainNotAllowed: `app.example.net` is not among"), "{told}");
}

#[test]
fn no_value_is_told() {
    for text in [CSVBOARD.to_owned(), format!("{ACCOUNTS}\n---\n{CSVBOARD}")] {
        let told = render(&text).unwrap();
        assert!(!told.contains("not known offline"), "{told}");
        let words = told.split(|c: char| !c.is_ascii_hexdigit());
        let long = words.filter(|word| word.len() > 16).collect::<Vec<_>>();
        assert!(long.is_empty(), "looks like a generated value: {long:?}");
    }
}

#[test]
fn a_stage_waits_for_the_one_before() {
    let told = render(CSVBOARD).unwrap();
    let at = |text: &str| told.find(text).unwrap_or_else(|| panic!("{text} in {told}"));
    let order = [
        "SECRET_KEY\n",
        "issued and kept",
        "Stripe webhook endpoint",
        "Job csvboard-test-",
        "Job csvboard-backup-",
        "Job csvboard-migrate-",
        "  Deployment csvboard",
        "Job csvboard-smoke-",
        "UptimeRobot monitor",
        "is proven",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{told}");
}

#[test]
fn no_file_breaks_the_plan() {
    let mut planned = 0;
    let minimal = include_str!("../../examples/minimal.yaml");
    crate::fuzz::texts(&[minimal], 40, |text| planned += usize::from(render(text).is_ok()));
    assert!(planned > 0);
}

/// An application with everything that has a time in the ledger, and the world in which it is live.
fn live() -> (SaasDeployment, crate::world::World) {
    let document = serde_saphyr::from_str(CSVBOARD).unwrap();
    let mut saas = of_kind::<SaasDeployment>(&[document], "SaasDeployment").unwrap().remove(0);
    saas.spec.payments.as_mut().unwrap().stripe.as_mut().unwrap().webhooks[0].rotate_after_days = Some(3650);
    saas.spec.secrets.as_mut().unwrap().generate[0].rotate_after_days = Some(3650);
    assumed::identify(&mut saas);
    let (mut world, _) = assumed::world(&saas, &Accounts::new());
    for _ in 0..30 {
        world = happen::carry_out(&saas, &world, &plan(&saas, &world)).0;
    }
    (saas, world)
}

/// Plans and reports a pass.
fn pass(saas: &SaasDeployment, world: &crate::world::World) {
    let planned = plan(saas, world);
    drop(crate::report::report(crate::plan::Ask { saas, world }, &planned, &Default::default()));
}

#[test]
fn times_at_the_end_of_the_calendar_do_not_end_the_operator() {
    let (saas, mut world) = live();
    for at in [jiff::Timestamp::MAX, jiff::Timestamp::MIN] {
        let ledger = &mut world.vault.as_mut().unwrap().ledger;
        ledger.generated.values_mut().for_each(|made| *made = at);
        ledger.webhooks.values_mut().filter_map(|webhook| webhook.current.as_mut()).for_each(|issued| issued.at = at);
        ledger.orders.iter_mut().for_each(|order| order.at = at);
        assert!(ledger.generated.len() + ledger.webhooks.len() + ledger.orders.len() >= 3);
        pass(&saas, &world);
    }
}

/// Tenants can write the ledger's annotation: whatever stands there, a pass over it must not end the operator.
#[test]
fn no_ledger_breaks_the_plan() {
    let (saas, world) = live();
    let written = serde_json::json!(world.vault.as_ref().unwrap().ledger);
    let mut read = 0;
    crate::fuzz::json(&written, 3_000, |ledger| {
        let Ok(ledger) = serde_json::from_value(ledger.clone()) else { return };
        let mut world = world.clone();
        world.vault.as_mut().unwrap().ledger = ledger;
        read += 1;
        pass(&saas, &world);
    });
    assert!(read > 100, "{read}");
}

/// Tenants can write the record of a revision, and no schema judges it again: its spec is planned as it is.
#[test]
fn no_spec_on_record_breaks_the_plan() {
    let (saas, world) = live();
    let mut read = 0;
    crate::fuzz::json(&serde_json::json!(saas.spec), 600, |spec| {
        let Ok(spec) = serde_json::from_value::<crate::api::SaasDeploymentSpec>(spec.clone()) else { return };
        read += 1;
        pass(&saas, &crate::world::World { former: Ok(Some(spec.clone())), ..world.clone() });
        pass(&SaasDeployment { spec, ..saas.clone() }, &world);
    });
    assert!(read > 30, "{read}");
}

/// What the cluster says of an object of each kind that plans look at.
fn shown() -> Vec<(Kind, Value)> {
    let conditions = serde_json::json!([
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1},
        {"type": "Programmed", "status": "False", "reason": "Pending", "message": "no address", "observedGeneration": 1},
        {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "late"},
    ]);
    let parents = serde_json::json!([{"parentRef": {"name": "csvboard"}, "conditions": conditions}]);
    let gateway = serde_json::json!({
        "addresses": [{"type": "IPAddress", "value": "192.0.2.1"}], "conditions": conditions,
        "listeners": [{"name": "https.app.example.com", "attachedRoutes": 1, "conditions": conditions}],
    });
    let counted = serde_json::json!({
        "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "conditions": conditions,
    });
    vec![
        (Kind::Gateway, gateway),
        (Kind::HttpRoute, serde_json::json!({"parents": parents})),
        (Kind::Ingress, serde_json::json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "lb"}]}})),
        (Kind::Job, serde_json::json!({"active": 1, "failed": 1, "ready": 1, "conditions": conditions})),
        (Kind::PersistentVolumeClaim, serde_json::json!({"phase": "Bound", "capacity": {"storage": "5Gi"}})),
        (Kind::Deployment, counted),
    ]
}

/// Whoever may write in the namespace, and every controller, decides on statuses and annotations.
#[test]
fn no_object_of_the_cluster_breaks_the_plan() {
    let (saas, world) = live();
    for (kind, status) in shown() {
        let names: Vec<String> = world.children.of_kind(kind).map(|child| child.name.to_string()).collect();
        let annotations = ["revision", "answers", "applied", "spec", "slot"]
            .map(|key| (format!("golive.dev/{key}"), "{\"a\": \"b\"}"));
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "K", "revision": 7,
            "metadata": {
                "name": "n", "uid": "u", "generation": 1, "resourceVersion": "9", "creationTimestamp": "2026-11-21T06:00:00Z",
                "annotations": annotations.into_iter().collect::<BTreeMap<_, _>>(),
            },
            "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"annotations": {"a": "b"}}}},
            "status": status,
        });
        let mut read = 0;
        crate::fuzz::json(&object, 150, |object| {
            let mut world = world.clone();
            for name in names.iter().map(String::as_str).chain(["csvboard"]) {
                let Ok(mut object) = serde_json::from_value::<DynamicObject>(object.clone()) else { return };
                object.metadata.name = Some(name.to_owned());
                world.children = std::mem::take(&mut world.children).with(kind, object);
            }
            read += 1;
            pass(&saas, &world);
        });
        assert!(read > 50, "{kind:?}: {read}");
    }
}

/// What the pods of failed Jobs told, whichever Jobs they were.
#[test]
fn no_evidence_of_a_job_breaks_the_plan() {
    let (saas, mut world) = live();
    let jobs: Vec<String> = world.children.of_kind(Kind::Job).map(|job| job.name.to_string()).collect();
    for job in jobs.iter().chain([&"csvboard-drill-1".to_owned()]) {
        let failed = serde_json::json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": job},
            "status": {"conditions": [{"type": "Failed", "status": "True"}]},
        });
        world.children = std::mem::take(&mut world.children).with(Kind::Job, serde_json::from_value(failed).unwrap());
    }
    let told = serde_json::json!({
        "ok": false, "reason": "SmokeFailed", "message": "1 of 1 checks failed", "time": "2026-11-21T06:00:00Z",
        "facts": {"snapshot": "5eed", "checks": [{"name": "a", "ok": false, "status": 500}], "seconds": 1},
    });
    crate::fuzz::json(&told, 300, |told| {
        let outcomes = jobs.iter().map(|job| (job.clone(), told.clone())).collect();
        pass(&saas, &crate::world::World { outcomes, ..world.clone() });
    });
}

/// What users keep in their Secrets and ConfigMaps; no value of theirs is told either.
#[test]
fn no_secret_of_a_user_breaks_the_plan() {
    let (saas, world) = live();
    let texts =
        ["sk_live_0123456789abcdef", "changeme", "postgres://u:p@host/db", "https://k@o1.ingest.sentry.io/1", "\u{0}"];
    crate::fuzz::texts(&texts, 300, |text| {
        let mut world = world.clone();
        for source in world.sources.values_mut().filter_map(|seen| seen.as_mut().ok()?.as_mut()) {
            source.insert(text.to_owned(), "canary".to_owned().into());
            source.values_mut().for_each(|value| *value = format!("canary{text}").into());
        }
        let planned = plan(&saas, &world);
        let report =
            crate::report::report(crate::plan::Ask { saas: &saas, world: &world }, &planned, &Default::default());
        assert!(!serde_json::json!(report.status).to_string().contains("canary"), "{text}");
    });
}
