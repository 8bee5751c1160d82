//! The same questions to a real API server: that of the world, or any that `KUBECONFIG` names.
//!
//! `eval "$(cargo run -p world -- env)"; cargo test --test api -- --ignored`

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::files;

/// The namespace of these questions; it goes when they are answered.
struct Namespace(String);

impl Namespace {
    fn make() -> Self {
        let namespace = Namespace(format!("golive-api-{}", std::process::id()));
        accepted(&kubectl(&["create", "namespace", &namespace.0], ""), "a namespace");
        namespace
    }

    /// Asks for something to be done with an object, here.
    fn ask(&self, what: &[&str], object: &Value) -> Output {
        let mut object = object.clone();
        if object["kind"] != "ProviderAccount" {
            object["metadata"]["namespace"] = json!(self.0);
        }
        kubectl(&[what, &["-f", "-"]].concat(), &object.to_string())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(kubectl(&["delete", "namespace", &self.0, "--wait=false"], ""));
    }
}

fn kubectl(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new("kubectl");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("kubectl is in PATH");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn accepted(output: &Output, what: &str) {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

fn install() {
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/golive.yaml");
    let output = kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &crds.display().to_string()], "");
    accepted(&output, "the definitions");
    accepted(&kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "-l", "!none"], ""), "waiting");
}

#[test]
#[ignore = "needs an API server: KUBECONFIG"]
fn the_server_judges_every_file_alike() {
    install();
    let namespace = Namespace::make();
    for file in files("examples") {
        for document in &file.documents {
            let output = namespace.ask(&["create", "--dry-run=server", "--validate=strict"], document);
            accepted(&output, &file.name);
        }
    }
    for file in files("tests/api/refused") {
        let said = refusal(&namespace, &file.documents);
        let expected = file.head.replace("# expect: ", "");
        assert!(said.contains(&expected), "{}: {said}", file.name);
    }
}

/// What the server says against the last document, as a change of the first where there are two.
fn refusal(namespace: &Namespace, documents: &[Value]) -> String {
    let output = match documents {
        [before, after] => {
            accepted(&namespace.ask(&["create"], before), "the object before");
            let output = namespace.ask(&["replace", "--dry-run=server", "--validate=strict"], after);
            accepted(&namespace.ask(&["delete"], before), "removal");
            output
        }
        [only] => namespace.ask(&["create", "--dry-run=server", "--validate=strict"], only),
        _ => panic!("one document, or one before and one after"),
    };
    assert!(!output.status.success(), "accepted");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
