use super::*;

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
