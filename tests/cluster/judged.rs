//! The API server judges every example and every refused file as the tests of the API expect without one.

use std::path::Path;

use serde_json::{Value, json};

use crate::stage::{Outcome, Stage};

/// A file of YAML: its first line, which may say what is expected, and its documents.
struct File {
    name: String,
    head: String,
    documents: Vec<Value>,
}

/// The namespace of these questions.
const NAMESPACE: &str = "judged";

pub fn every_file(stage: &Stage) -> Outcome<()> {
    stage.tenant(NAMESPACE)?;
    let examples = files("examples")?;
    assert!(examples.len() >= 7);
    for file in examples {
        for document in &file.documents {
            ask(stage, &DRY, document).map_err(|e| format!("{}: {e}", file.name))?;
        }
    }
    let refused = files("tests/api/refused")?;
    assert!(refused.len() >= 25);
    for file in refused {
        let expected = file.head.strip_prefix("# expect: ").ok_or_else(|| format!("{} expects nothing", file.name))?;
        let said = refusal(stage, &file)?;
        assert!(said.contains(expected), "{}: {said}", file.name);
    }
    stage.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]).map(drop)
}

const DRY: [&str; 3] = ["create", "--dry-run=server", "--validate=strict"];

fn files(folder: &str) -> Outcome<Vec<File>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
    paths.sort();
    paths.iter().map(|path| file(path)).collect()
}

fn file(path: &Path) -> Outcome<File> {
    let text = std::fs::read_to_string(path)?;
    let name = path.display().to_string();
    let documents = serde_saphyr::from_multiple(&text).map_err(|e| format!("{name}: {e}"))?;
    Ok(File { name, head: text.lines().next().unwrap_or_default().to_owned(), documents })
}

/// Asks for something to be done with an object, here; accounts have no namespace, and get a name that nobody uses.
fn ask(stage: &Stage, what: &[&str], object: &Value) -> Outcome<String> {
    let mut object = object.clone();
    match object["kind"] == "ProviderAccount" {
        true => {
            object["metadata"]["name"] =
                json!(format!("{NAMESPACE}-{}", object["metadata"]["name"].as_str().unwrap_or_default()))
        }
        false => object["metadata"]["namespace"] = json!(NAMESPACE),
    }
    stage.kubectl_with(&[what, &["-f", "-"]].concat(), &object.to_string())
}

/// What the server says against the last document, as a change of the first where there are two.
fn refusal(stage: &Stage, file: &File) -> Outcome<String> {
    let said = match file.documents.as_slice() {
        [only] => ask(stage, &DRY, only),
        [before, after] => {
            ask(stage, &["create"], before)?;
            let said = ask(stage, &["replace", "--dry-run=server", "--validate=strict"], after);
            ask(stage, &["delete", "--wait=false"], before)?;
            said
        }
        _ => return Err(format!("{}: one document, or one before and one after", file.name).into()),
    };
    said.err().map(|e| e.to_string()).ok_or_else(|| format!("{} was accepted", file.name).into())
}
