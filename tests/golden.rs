//! A manifest in, its whole go-live out, as text. `GOLDEN=write cargo test --test golden` writes anew.

use std::fs;
use std::path::{Path, PathBuf};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|e| e == "yaml") && !path.ends_with("accounts.yaml"));
    found.sort();
    found
}

#[test]
fn each_example_plans_as_written_down() {
    for example in examples() {
        let name = example.file_stem().unwrap().to_string_lossy().into_owned();
        agrees(&name, &fs::read_to_string(&example).unwrap());
    }
}

#[test]
fn an_example_beside_the_accounts_of_its_platform_plans_as_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let [accounts, csvboard] = ["accounts.yaml", "s0-csvboard.yaml"].map(|name| folder.join(name));
    let text = format!("{}\n---\n{}", fs::read_to_string(accounts).unwrap(), fs::read_to_string(csvboard).unwrap());
    agrees("s0-csvboard-with-accounts", &text);
}

fn agrees(name: &str, manifest: &str) {
    let plan = golive::offline::render(manifest).unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if option_env!("GOLDEN").is_some_and(|mode| mode == "write") {
        fs::write(&golden, &plan).unwrap();
    }
    assert_eq!(plan, fs::read_to_string(&golden).unwrap_or_default(), "{}", golden.display());
}

#[test]
fn a_plan_is_the_same_whenever_it_is_asked_for() {
    for example in examples() {
        let text = fs::read_to_string(&example).unwrap();
        assert_eq!(golive::offline::render(&text), golive::offline::render(&text));
    }
}

#[test]
fn what_the_api_server_would_refuse_is_refused_with_field_and_advice() {
    let saas = |spec: &str| {
        format!("apiVersion: golive.dev/v1alpha1\nkind: SaasDeployment\nmetadata: {{name: a}}\nspec: {spec}")
    };
    let cases = [
        ("a: [".to_owned(), "not YAML"),
        ("kind: Service".to_owned(), "no SaasDeployment"),
        (saas("{image: 7}"), "SaasDeployment a: spec.image in body must be of type string"),
        (saas("{image: a, replcas: 2}"), "unknown field \"spec.replcas\": did you mean `replicas`?"),
        (
            saas("{image: a, redirectFrom: [b.example.com]}"),
            "`redirectFrom` needs `domains` to redirect to: add at least one domain",
        ),
        (
            saas("{image: a, port: 0}"),
            "spec.port in body should be greater than or equal to 1 (port is where the application listens.)",
        ),
    ];
    for (text, expected) in cases {
        let why = golive::offline::render(&text).unwrap_err();
        assert!(why.contains(expected), "{text}: {why}");
    }
}
