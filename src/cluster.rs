//! Calls to the API server: each under a deadline, each error in words that say what to do.
//!
//! A silent API server must not hang a pass, so nothing here relies on the client's own time-outs or retries.

use std::fmt::Debug;
use std::time::Duration;

use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::client::ClientBuilder;
use kube::{Api, Client, Config};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;
use tower::layer::layer_fn;
use tower::timeout::Timeout;
use tower_http::timeout::ResponseBodyTimeout;

use crate::fault::{Fault, Seen};
use crate::kinds::Kind;

/// The field manager of all writes.
pub const MANAGER: &str = "golive";
/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long the API server may take to begin an answer, that of a watch too.
const ANSWER: Duration = Duration::from_secs(30);
/// How long an answer may pause. A watch is ended by the server before that (kube asks it to, after 290 s), and one
/// that is silent for longer is a connection that nobody holds any more.
const SILENCE: Duration = Duration::from_secs(300);

/// A connection to the API server that is given up when it is silent: else a watch would wait for ever.
pub fn patient<S>(service: S) -> Timeout<ResponseBodyTimeout<S>> {
    Timeout::new(ResponseBodyTimeout::new(service, SILENCE), ANSWER)
}

/// A client for the cluster that the environment names: in a pod its own, else the kubeconfig's.
///
/// # Errors
/// There is no configuration, or it cannot be used.
pub async fn connect() -> Result<Client, String> {
    let mut config =
        Config::infer().await.map_err(|e| format!("no cluster to work with: {e}; set KUBECONFIG or run in a pod"))?;
    config.default_retry = false;
    let builder = ClientBuilder::try_from(config).map_err(|e| format!("the kubeconfig cannot be used: {e}"))?;
    Ok(builder.with_layer(&layer_fn(patient)).build())
}

/// Awaits a call to the API server, but not for ever.
///
/// # Errors
/// The call failed, or took too long.
pub async fn within<T>(what: &str, call: impl Future<Output = kube::Result<T>>) -> Seen<T> {
    match timeout(DEADLINE, call).await {
        Ok(result) => result.map_err(|e| fault(what, e)),
        Err(_) => {
            Err(Fault::Unreachable(format!("the API server did not answer within {} s: {what}", DEADLINE.as_secs())))
        }
    }
}

/// The object of that name, if there is one.
pub async fn find<K>(api: &Api<K>, name: &str) -> Seen<Option<K>>
where
    K: Clone + DeserializeOwned + Debug,
{
    within(&format!("get {name}"), api.get_opt(name)).await
}

/// All objects with these labels.
pub async fn list<K>(api: &Api<K>, labels: &str) -> Seen<Vec<K>>
where
    K: Clone + DeserializeOwned + Debug,
{
    let params = ListParams::default().labels(labels);
    Ok(within(&format!("list {labels}"), api.list(&params)).await?.items)
}

/// Applies an object server-side, taking over fields that others changed.
pub async fn apply<K>(api: &Api<K>, name: &str, object: &impl Serialize) -> Seen<K>
where
    K: Clone + DeserializeOwned + Debug,
{
    let object =
        serde_json::to_value(object).map_err(|e| Fault::Rejected(format!("{name} cannot be written as JSON: {e}")))?;
    let params = PatchParams::apply(MANAGER).force();
    within(&format!("apply {name}"), api.patch(name, &params, &Patch::Apply(object))).await
}

/// Replaces the lists of an object and takes it away from all other managers, so that the next apply owns it alone.
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#clearing-managedfields>
pub async fn overwrite(api: &Api<DynamicObject>, name: &str, object: &Value) -> Seen<()> {
    let mut body = object.clone();
    body["metadata"]["managedFields"] = serde_json::json!([{}]);
    let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
    within(&format!("overwrite {name}"), api.patch(name, &params, &Patch::Merge(body))).await.map(|_| ())
}

/// The API of one kind in a namespace.
pub fn objects(client: &Client, namespace: &str, kind: Kind) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kind.resource())
}

/// What an error of the API server means for us.
fn fault(what: &str, error: kube::Error) -> Fault {
    let kube::Error::Api(status) = error else {
        return Fault::Unreachable(format!("the API server: {what}: {error}"));
    };
    let text = format!("the API server refused: {what}: {}", status.message);
    match status.code {
        401 | 403 => Fault::Denied(text),
        409 => Fault::Lost(text),
        429 => Fault::Throttled { message: text, after: Duration::from_secs(5) },
        400..500 => Fault::Rejected(text),
        _ => Fault::Unreachable(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn of(code: u16) -> Fault {
        fault("apply x", kube::Error::Api(Box::new(Status { code, message: "why".into(), ..Status::failure("", "") })))
    }

    #[test]
    fn an_answer_says_when_to_try_again() {
        assert!(matches!(of(403), Fault::Denied(_)));
        assert!(matches!(of(409), Fault::Lost(_)));
        assert!(matches!(of(422), Fault::Rejected(_)));
        assert!(matches!(of(429), Fault::Throttled { .. }));
        assert!(matches!(of(503), Fault::Unreachable(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_given_up() {
        let silent = std::future::pending::<kube::Result<()>>();
        assert!(matches!(within("get x", silent).await, Err(Fault::Unreachable(_))));
    }
}
