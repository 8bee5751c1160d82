//! The budgets that keep the house livable, and the purity of what decides.

use std::fs;
use std::path::{Path, PathBuf};

/// What plans and reports may not use: clients, clocks, randomness, the environment.
const IMPURE: [&str; 12] = [
    "kube::Client",
    "kube::Api",
    "reqwest",
    "Timestamp::now",
    "Instant::now",
    "SystemTime",
    "rand::",
    "std::env",
    "tokio::",
    "std::fs",
    "std::net::Tcp",
    "async fn",
];
const LONGEST_FILE: usize = 500;
const LONGEST_FUNCTION: usize = 60;

fn files(under: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(under);
    if path.is_file() {
        return vec![path];
    }
    let entries = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let below = entries.filter(|path| path.is_dir() || path.extension().is_some_and(|e| e == "rs"));
    let relative =
        |path: PathBuf| path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_string_lossy().into_owned();
    below.flat_map(|path| files(&relative(path))).collect()
}

/// A file's text without its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned()
}

#[test]
fn what_decides_is_pure() {
    let pure = [
        "src/plan",
        "src/world.rs",
        "src/rows.rs",
        "src/report.rs",
        "src/fault.rs",
        "src/vault.rs",
        "src/kinds.rs",
        "src/offline.rs",
        "src/offline",
        "src/api",
    ];
    for path in pure.iter().flat_map(|under| files(under)) {
        let text = code(&path);
        let found: Vec<&&str> = IMPURE.iter().filter(|word| text.contains(**word)).collect();
        assert!(found.is_empty(), "{} uses {found:?}", path.display());
    }
}

#[test]
fn files_and_functions_are_short() {
    for path in files("src") {
        let text = code(&path);
        assert!(text.lines().count() <= LONGEST_FILE, "{} has {} lines", path.display(), text.lines().count());
        for (name, lines) in functions(&text) {
            assert!(lines <= LONGEST_FUNCTION, "{}: {name} has {lines} lines", path.display());
        }
    }
}

/// Each function's first line and length: from its `fn` to the brace that closes at its own depth.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let starts = (0..lines.len()).filter(|at| {
        lines[*at].trim_start().split(' ').take(4).any(|word| word == "fn")
            && !lines[*at].trim_start().starts_with("//")
    });
    let length = |at: usize| {
        let indent = lines[at].len() - lines[at].trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        lines[at..].iter().position(|line| line.starts_with(&closing)).map_or(1, |end| end + 1)
    };
    starts.map(|at| (lines[at].trim().to_owned(), length(at))).collect()
}

#[test]
fn nothing_outside_tests_gives_up_by_panic() {
    for path in files("src").into_iter().filter(|path| !path.ends_with("tests.rs")) {
        for (at, line) in code(&path).lines().enumerate() {
            let panics = [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!("]
                .iter()
                .any(|word| line.contains(word));
            assert!(!panics || line.trim_start().starts_with("//"), "{}:{}: {line}", path.display(), at + 1);
        }
    }
}

/// Where a clock, randomness, the environment or a client of its own may be used, against clippy.toml.
const EXCEPTED: [&str; 4] = ["src/certificate.rs", "src/lib.rs", "src/outside.rs", "src/vendors/acme/account.rs"];

#[test]
fn exceptions_from_purity_are_where_they_are_known() {
    let excepted = |path: &PathBuf| code(path).contains("clippy::disallowed") && !path.ends_with("src/main.rs");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = files("src").into_iter().filter(excepted);
    let unknown = |path: &PathBuf| !EXCEPTED.iter().any(|known| *path == root.join(known));
    assert_eq!(found.filter(unknown).collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

/// The words that conditions and the logs of Jobs give as their reason.
fn reasons(text: &str) -> Vec<&str> {
    let after = |start: &'static str| text.split(start).skip(1);
    let places = ["Hold::person(", "Hold::event(", "Hold::after(", "Failure::new(", "reason: "].into_iter();
    let words = places.flat_map(after).filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    words.filter(|word| word.starts_with(char::is_uppercase) && word.chars().all(char::is_alphabetic)).collect()
}

#[test]
fn every_reason_is_explained_to_those_who_operate() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let texts: Vec<String> = files("src").iter().map(|path| code(path)).collect();
    let told: Vec<&str> = texts.iter().flat_map(|text| reasons(text)).collect();
    assert!(told.len() > 40, "{told:?}");
    let explained = |word: &str| word == "InSync" || word.ends_with("Pending") || page.contains(&format!("`{word}`"));
    let missing: Vec<_> = told.into_iter().filter(|word| !explained(word)).collect();
    assert!(missing.is_empty(), "docs/operations.md does not explain {missing:?}");
}
