//! The CustomResourceDefinitions: what the derive makes of the types and their shapes, and what holds for all of them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::shape::rule;
use super::status::unseen;
use super::{ProviderAccount, SaasDeployment, SaasOperation};

/// Services are named after the object.
const NAME: &str =
    "`metadata.name` must be a DNS label of at most 52 characters that begins with a letter: rename the object";

/// Where the state of an object is told.
const READY: &str = r#".status.conditions[?(@.type=="Ready")].status"#;
const REASON: &str = r#".status.conditions[?(@.type=="Ready")].reason"#;
const MESSAGE: &str = r#".status.conditions[?(@.type=="Ready")].message"#;

/// A column of `kubectl get`: its title, its path, the type of its value, and whether it takes `-o wide`.
type Column = (&'static str, &'static str, &'static str, bool);

const AGE: Column = ("Age", ".metadata.creationTimestamp", "date", false);
const DEPLOYMENT_COLUMNS: &[Column] = &[
    ("Ready", READY, "string", false),
    ("Reason", REASON, "string", false),
    ("URL", ".status.url", "string", false),
    ("Release", ".status.release.revision", "string", false),
    AGE,
    ("Image", ".spec.image", "string", true),
    // A date in the future is shown as `<invalid>` where the type is `date`.
    ("Certificate expiry", ".status.certificate.notAfter", "string", true),
    ("Last backup", ".status.backups.lastTime", "date", true),
    ("Last drill", ".status.backups.lastProvenRestore", "date", true),
];
const ACCOUNT_COLUMNS: &[Column] = &[
    ("Ready", READY, "string", false),
    ("Reason", REASON, "string", false),
    ("Default", ".spec.default", "boolean", false),
    AGE,
    ("Message", MESSAGE, "string", true),
];
const OPERATION_COLUMNS: &[Column] = &[
    ("Deployment", ".spec.deployment", "string", false),
    ("Ready", READY, "string", false),
    ("Reason", REASON, "string", false),
    ("Completed", ".status.completionTime", "date", false),
    AGE,
    ("Message", MESSAGE, "string", true),
];

/// All definitions as JSON.
pub fn crds() -> Vec<Value> {
    let mut all = vec![
        finished(&SaasDeployment::crd(), DEPLOYMENT_COLUMNS, CONTROLLER),
        finished(&ProviderAccount::crd(), ACCOUNT_COLUMNS, CONTROLLER),
        finished(&SaasOperation::crd(), OPERATION_COLUMNS, "the SaasDeployment that `deployment` names"),
    ];
    let named = "self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')";
    schema(&mut all[0])["x-kubernetes-validations"] = json!([rule("", named, NAME)]);
    all
}

/// What reports on objects.
const CONTROLLER: &str = "the controller";

/// All definitions as YAML.
///
/// # Errors
/// They cannot be written as YAML.
pub fn crd_yaml() -> Result<String, String> {
    let documents: Result<Vec<String>, _> = crds().iter().map(serde_saphyr::to_string).collect();
    Ok(documents.map_err(|e| e.to_string())?.join("---\n"))
}

fn finished(crd: &CustomResourceDefinition, columns: &[Column], awaited: &str) -> Value {
    let mut crd = json!(crd);
    crd["spec"]["versions"][0]["additionalPrinterColumns"] = columns.iter().map(column).collect();
    let schema = schema(&mut crd);
    tidy(schema);
    schema["properties"]["status"]["default"] = unseen(awaited);
    crd
}

fn column((title, path, kind, wide): &Column) -> Value {
    json!({"name": title, "jsonPath": path, "type": kind, "priority": i32::from(*wide)})
}

fn schema(crd: &mut Value) -> &mut Value {
    &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// Takes out `nullable` and null choices, which an `Option` becomes: an absent field is the only way to say nothing. Writes the bounds of
/// integers as integers, which the definition's type holds as floats.
fn tidy(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    object.remove("nullable");
    if let Some(choices) = object.get_mut("enum").and_then(Value::as_array_mut) {
        choices.retain(|choice| !choice.is_null());
    }
    for bound in ["minimum", "maximum"] {
        if let Some(whole) = object.get(bound).and_then(whole) {
            object.insert(bound.into(), whole);
        }
    }
    for key in ["items", "additionalProperties"] {
        object.get_mut(key).map(tidy);
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(tidy);
    }
}

fn whole(bound: &Value) -> Option<Value> {
    format!("{}", bound.as_f64()?).parse::<i64>().ok().map(Value::from)
}
