//! Objects and worlds to plan with, for tests.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::pod::merge;
use crate::api::{ProviderAccount, SaasDeployment};
use crate::config::Config;
use crate::rows::Mark;
use crate::world::{Account, World};

/// The application `app` with this spec.
pub fn saas(mut spec: Value) -> SaasDeployment {
    merge(&mut spec, json!({"image": "i"}));
    serde_json::from_value(json!({
        "apiVersion": "golive.dev/v1alpha1", "kind": "SaasDeployment",
        "metadata": {"name": "app", "namespace": "n"}, "spec": spec,
    }))
    .unwrap()
}

/// A world with accounts of these specs, all of them granted.
pub fn world(accounts: &[(&str, Value)]) -> World {
    let mark = Mark { cluster: "c".into(), owner: "o".into(), label: String::new() };
    let mut world = World::new(Timestamp::UNIX_EPOCH, [0; 32], Arc::new(Config::default()), mark);
    for (name, spec) in accounts {
        let object = ProviderAccount::new(name, serde_json::from_value(spec.clone()).unwrap());
        let account = Account { object: Arc::new(object), allowed: true, credentials: Ok([].into()) };
        world.accounts.insert((*name).to_owned(), account);
    }
    world
}

/// A default account at a CA.
pub fn acme() -> Value {
    json!({"default": true, "acme": {
        "directory": "https://ca.example.com", "email": "ops@example.com", "termsOfServiceAgreed": true,
    }})
}
