//! What cargo-deny asks of deny.toml without a network: licences, banned crates, sources and wildcards, of every crate that
//! is built on Linux. Known vulnerabilities and yanked versions need the advisory database: `make deny` where it is reachable.

use std::process::Command;

use serde_json::Value;

const PLATFORMS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// Every package of the lock file that a platform builds.
fn packages(platform: &str) -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", platform]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// The quoted words of a list in deny.toml, from `key = [` to the `]` that ends it.
fn listed(key: &str) -> Vec<&'static str> {
    let text = include_str!("../deny.toml");
    let (_, rest) = text.split_once(&format!("\n{key} = [")).unwrap_or_else(|| panic!("{key} is in deny.toml"));
    let (list, _) = rest.split_once(']').unwrap();
    list.split('"').skip(1).step_by(2).collect()
}

/// Whether an SPDX expression is met by the allowed licences: `AND` binds stronger than `OR`, brackets before both
/// (<https://spdx.github.io/spdx-spec/v3.0.1/annexes/spdx-license-expressions/>).
fn is_met(expression: &str, allowed: &[&str]) -> bool {
    let whole = expression.trim();
    let outer = |words: &str| top_level(whole, words);
    if let Some((left, right)) = outer(" OR ") {
        return is_met(left, allowed) || is_met(right, allowed);
    }
    if let Some((left, right)) = outer(" AND ") {
        return is_met(left, allowed) && is_met(right, allowed);
    }
    match whole.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => is_met(inner, allowed),
        None => allowed.contains(&whole),
    }
}

/// Splits at the first operator outside of brackets.
fn top_level<'a>(text: &'a str, operator: &str) -> Option<(&'a str, &'a str)> {
    let depth = |at: usize| text[..at].matches('(').count() - text[..at].matches(')').count();
    let at = text.match_indices(operator).map(|(at, _)| at).find(|at| depth(*at) == 0)?;
    Some((&text[..at], &text[at + operator.len()..]))
}

fn is_refused(package: &Value, allowed: &[&str], banned: &[&str]) -> Option<String> {
    let text = |field: &str| package[field].as_str().unwrap_or_default();
    let name = format!("{} {}", text("name"), text("version"));
    let licence = text("license").replace(" / ", " OR ").replace('/', " OR ");
    if banned.contains(&text("name")) {
        return Some(format!("{name} is banned"));
    }
    if !is_met(&licence, allowed) {
        return Some(format!("{name} is under `{licence}`"));
    }
    let ours = package["source"].is_null();
    if !ours && text("source") != "registry+https://github.com/rust-lang/crates.io-index" {
        return Some(format!("{name} comes from {}", text("source")));
    }
    let needs = package["dependencies"].as_array().into_iter().flatten();
    let any = needs.into_iter().find(|need| need["req"] == "*" && need["path"].is_null() && ours);
    any.map(|need| format!("{name} takes any version of {}", need["name"]))
}

#[test]
fn every_crate_is_one_that_may_be_built() {
    let (allowed, banned) = (listed("allow"), listed("deny"));
    assert!(allowed.contains(&"MIT") && banned.contains(&"openssl"), "{allowed:?} {banned:?}");
    for platform in PLATFORMS {
        let packages = packages(platform);
        assert!(packages.len() > 100, "{}", packages.len());
        let refused: Vec<String> = packages.iter().filter_map(|p| is_refused(p, &allowed, &banned)).collect();
        assert_eq!(refused, Vec::<String>::new(), "{platform}");
    }
}

#[test]
fn every_allowed_licence_is_in_use() {
    let packages = packages(PLATFORMS[0]);
    let licences: Vec<&str> = packages.iter().filter_map(|package| package["license"].as_str()).collect();
    let unused: Vec<&str> =
        listed("allow").into_iter().filter(|allowed| !licences.iter().any(|text| text.contains(allowed))).collect();
    assert_eq!(unused, Vec::<&str>::new(), "take it out of deny.toml");
}

#[test]
fn expressions_are_read_as_spdx_has_them() {
    let allowed = ["MIT", "ISC"];
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only AND MIT", false),
        ("(GPL-3.0-only OR MIT) AND ISC", true),
        ("MIT OR GPL-3.0-only AND GPL-2.0-only", true),
        ("(MIT OR GPL-3.0-only) AND GPL-2.0-only", false),
        ("", false),
    ] {
        assert_eq!(is_met(expression, &allowed), expected, "{expression}");
    }
}

#[test]
fn what_may_not_be_built_is_named() {
    let package = |name: &str, license: &str, source: &str| serde_json::json!({"name": name, "version": "1.0.0", "license": license, "source": source, "dependencies": []});
    let registry = "registry+https://github.com/rust-lang/crates.io-index";
    let judged = |package: Value| is_refused(&package, &["MIT"], &["openssl"]);
    assert_eq!(judged(package("a", "MIT", registry)), None);
    assert_eq!(judged(package("openssl", "MIT", registry)).unwrap(), "openssl 1.0.0 is banned");
    assert_eq!(judged(package("a", "GPL-3.0", registry)).unwrap(), "a 1.0.0 is under `GPL-3.0`");
    assert!(judged(package("a", "MIT", "git+https://example.com/a")).unwrap().contains("comes from git"));
}
