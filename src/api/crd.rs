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

/// All definitions as JSON.
pub fn crds() -> Vec<Value> {
    let mut all: Vec<Value> =
        [SaasDeployment::crd(), ProviderAccount::crd(), SaasOperation::crd()].iter().map(finished).collect();
    let named = "self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')";
    schema(&mut all[0])["x-kubernetes-validations"] = json!([rule("", named, NAME)]);
    all
}

/// All definitions as YAML.
///
/// # Errors
/// They cannot be written as YAML.
pub fn crd_yaml() -> Result<String, String> {
    let documents: Result<Vec<String>, _> = crds().iter().map(serde_saphyr::to_string).collect();
    Ok(documents.map_err(|e| e.to_string())?.join("---\n"))
}

fn finished(crd: &CustomResourceDefinition) -> Value {
    let mut crd = json!(crd);
    let schema = schema(&mut crd);
    tidy(schema);
    schema["properties"]["status"]["default"] = unseen();
    crd
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
