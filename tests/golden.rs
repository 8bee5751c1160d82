//! A manifest in, the plan of its first pass out: whole, as text. `GOLDEN=write cargo test --test golden` writes anew.

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
    let write = option_env!("GOLDEN").is_some_and(|mode| mode == "write");
    for example in examples() {
        let plan = golive::offline::render(&fs::read_to_string(&example).unwrap()).unwrap();
        let name = format!("{}.txt", example.file_stem().unwrap().to_string_lossy());
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        if write {
            fs::write(&golden, &plan).unwrap();
        }
        assert_eq!(plan, fs::read_to_string(&golden).unwrap_or_default(), "{}", golden.display());
    }
}

#[test]
fn a_plan_is_the_same_whenever_it_is_asked_for() {
    for example in examples() {
        let text = fs::read_to_string(&example).unwrap();
        assert_eq!(golive::offline::render(&text), golive::offline::render(&text));
    }
}

#[test]
fn what_is_no_saas_deployment_is_refused_with_a_reason() {
    let cases = [
        ("a: [", "not YAML"),
        ("kind: Service", "no SaasDeployment"),
        ("kind: SaasDeployment\nspec: {image: 7}", "does not fit its schema"),
    ];
    for (text, expected) in cases {
        let why = golive::offline::render(text).unwrap_err();
        assert!(why.contains(expected), "{text}: {why}");
    }
}
