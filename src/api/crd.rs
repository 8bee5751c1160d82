//! The CustomResourceDefinitions: what the derive makes, and then the rules that every leaf obeys.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::{ProviderAccount, SaasDeployment, SaasOperation};

/// All definitions as JSON.
pub fn crds() -> Vec<Value> {
    [SaasDeployment::crd(), ProviderAccount::crd(), SaasOperation::crd()].iter().map(finished).collect()
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
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    obey(schema);
    crd
}

fn obey(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        object.remove("nullable");
        object.remove("format");
        let typed = object.contains_key("type")
            || object.contains_key("enum")
            || object.contains_key("x-kubernetes-int-or-string");
        if !typed {
            object.insert("x-kubernetes-preserve-unknown-fields".into(), json!(true));
        }
        for key in ["items", "additionalProperties"] {
            object.get_mut(key).map(obey);
        }
        if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
            properties.values_mut().for_each(obey);
        }
    }
}
