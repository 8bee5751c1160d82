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
