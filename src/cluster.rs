//! Calls to the API server: each under a deadline, each error in words that say what to do.
//!
//! A silent API server must not hang a pass, so nothing here relies on the client's own time-outs or retries.

use std::fmt::Debug;
use std::time::Duration;

use kube::api::{
    DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
};
use kube::client::ClientBuilder;
use kube::core::Status;
use kube::{Api, Client, Config, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
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
/// How often what others outran is tried.
const TRIES: usize = 5;

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

/// Makes an object that must not be there yet.
///
/// # Errors
/// It is there, or could not be made.
pub async fn make<K>(api: &Api<K>, name: &str, object: Value) -> Seen<K>
where
    K: Clone + DeserializeOwned + Serialize + Debug,
{
    // Why it does not fit is not told: that would show of a Secret what it holds.
    let object = serde_json::from_value(object).map_err(|_| Fault::Rejected(format!("{name} cannot be written")))?;
    let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
    within(&format!("create {name}"), api.create(&params, &object)).await
}

/// Deletes an object, of this uid where one is named; gives whether there was one. Only "not found" says that there was
/// none: a refusal does not.
pub async fn delete<K>(api: &Api<K>, what: (&str, &str), uid: Option<&str>) -> Seen<bool>
where
    K: Clone + DeserializeOwned + Debug,
{
    let deleted = delete_by(api, what, (uid, PropagationPolicy::Background)).await?;
    Ok(!matches!(deleted, Deleted::Nothing))
}

/// What came of a deletion.
pub enum Deleted<K> {
    /// There was none.
    Nothing,
    /// It is gone, or goes by itself.
    Gone,
    /// It stays for a while, and is this.
    Going(K),
}

/// Deletes an object, and with it, before or after, what belongs to it.
pub async fn delete_by<K>(
    api: &Api<K>,
    (kind, name): (&str, &str),
    (uid, policy): (Option<&str>, PropagationPolicy),
) -> Seen<Deleted<K>>
where
    K: Clone + DeserializeOwned + Debug,
{
    let preconditions = uid.map(|uid| Preconditions { uid: Some(uid.to_owned()), ..Preconditions::default() });
    let propagation_policy = Some(policy);
    let params = DeleteParams { preconditions, propagation_policy, ..DeleteParams::default() };
    let deleted = async {
        let told = match api.delete(name, &params).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Deleted::Nothing),
            result => result?,
        };
        // A redirect is no success either.
        let ended = |status: Status| {
            if status.is_failure() { Err(kube::Error::Api(Box::new(status))) } else { Ok(Deleted::Gone) }
        };
        told.either(|object| Ok(Deleted::Going(object)), ended)
    };
    within(&format!("delete {kind} {name}"), deleted).await
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

/// Applies an object server-side as this manager of fields, unless somebody else owns one of them with another value.
pub async fn offer(api: &Api<DynamicObject>, (name, manager): (&str, &str), object: &Value) -> Seen<DynamicObject> {
    within(&format!("apply {name}"), api.patch(name, &PatchParams::apply(manager), &Patch::Apply(object))).await
}

/// The object of a name as it is. An empty patch asks for no change and shows it: reading it by name would need another
/// right. It is only tried, so that no admission webhook adds to what may be somebody else's.
pub async fn look(api: &Api<DynamicObject>, name: &str) -> Seen<DynamicObject> {
    let params = PatchParams { dry_run: true, ..as_manager() };
    within(&format!("look at {name}"), api.patch(name, &params, &Patch::Merge(json!({})))).await
}

/// Changes fields of an object that was seen, by a merge patch.
///
/// # Errors
/// It is gone, or could not be changed.
pub async fn change<K>(api: &Api<K>, name: &str, body: Value) -> Seen<K>
where
    K: Clone + DeserializeOwned + Debug,
{
    let changed = async {
        match merged(api, name, body).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            result => result.map(Some),
        }
    };
    let gone = || Fault::Outrun(format!("{name} is gone since it was read"));
    within(&format!("change {name}"), changed).await?.ok_or_else(gone)
}

/// The version of an object. Of one object they are comparable as numbers:
/// <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>.
pub fn version(object: &impl ResourceExt) -> Option<u64> {
    object.resource_version()?.parse().ok()
}

/// Makes golive the owner of every field that anybody declared, so that the next apply takes out what golive does not
/// declare: what somebody added, and later what golive itself gives up. What the control plane wrote stays its own, and so
/// does all that is written through subresources. A controller that writes the object's status meanwhile is outrun.
///
/// # Errors
/// The object has another uid than this, or cannot be written.
pub async fn take_over(api: &Api<DynamicObject>, name: &str, uid: Option<&str>) -> Seen<DynamicObject> {
    for _ in 1..TRIES {
        match try_to_take_over(api, name, uid).await {
            Err(Fault::Outrun(_)) => {}
            result => return result,
        }
    }
    try_to_take_over(api, name, uid).await
}

/// Makes of the entry by which golive made an object one of its applies. Else the next apply would leave in place what
/// golive gives up, as it would after a client-side apply:
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#migration-from-client-side-apply>.
///
/// # Errors
/// It is refused: the entry is not at that place any more, the object has another uid, or admission forbids it.
pub async fn own_by_apply(api: &Api<DynamicObject>, name: &str, (uid, entry): (&str, usize)) -> Seen<DynamicObject> {
    let field = |name: &str| format!("/metadata/managedFields/{entry}/{name}");
    let steps = json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "test", "path": field("manager"), "value": MANAGER},
        {"op": "test", "path": field("operation"), "value": "Update"},
        {"op": "replace", "path": field("operation"), "value": "Apply"},
    ]);
    let steps = serde_json::from_value(steps).map_err(|e| Fault::Rejected(format!("{name}: {e}")))?;
    within(&format!("apply {name}"), api.patch(name, &as_manager(), &Patch::Json::<()>(steps))).await
}

async fn try_to_take_over(api: &Api<DynamicObject>, name: &str, uid: Option<&str>) -> Seen<DynamicObject> {
    let found = look(api, name).await?;
    if uid.is_some() && found.uid().as_deref() != uid {
        return Err(Fault::Outrun(format!("{name} is another object by now")));
    }
    let entries = json!(found.metadata.managed_fields.unwrap_or_default());
    let owners = claimed(entries.as_array().map(Vec::as_slice).unwrap_or_default());
    let body = json!({"metadata": {"managedFields": owners, "resourceVersion": found.metadata.resource_version}});
    within(&format!("take over {name}"), merged(api, name, body)).await
}

async fn merged<K>(api: &Api<K>, name: &str, body: Value) -> kube::Result<K>
where
    K: Clone + DeserializeOwned + Debug,
{
    api.patch(name, &as_manager(), &Patch::Merge(body)).await
}

/// The parameters of a patch that is no apply.
pub fn as_manager() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() }
}

/// Managed fields after a take-over: one entry of golive's with what all declared, and the others' that stay.
/// The same is done where client-side apply ends:
/// <https://kubernetes.io/docs/reference/using-api/server-side-apply/#migration-from-client-side-apply>.
fn claimed(entries: &[Value]) -> Vec<Value> {
    let version = entries.first().map(|entry| entry["apiVersion"].clone()).unwrap_or_default();
    let stays = |entry: &&Value| {
        let manager = entry["manager"].as_str().unwrap_or_default();
        !entry["subresource"].is_null() || manager.starts_with("kube-") || entry["apiVersion"] != version
    };
    let (theirs, ours): (Vec<&Value>, Vec<&Value>) = entries.iter().partition(stays);
    let fields = ours.into_iter().map(|entry| entry["fieldsV1"].clone()).reduce(|all, more| union(all, &more));
    let own = json!({
        "manager": MANAGER, "operation": "Apply", "apiVersion": version, "fieldsType": "FieldsV1", "fieldsV1": fields,
    });
    std::iter::once(own).chain(theirs.into_iter().cloned()).collect()
}

/// The union of two sets of fields; `{}` is a field itself, and `.` beside others says the same.
fn union(a: Value, b: &Value) -> Value {
    let (Value::Object(mut all), Some(more)) = (a, b.as_object()) else { return b.clone() };
    let whole = all.is_empty() != more.is_empty();
    for (name, inner) in more {
        let mine = all.remove(name);
        all.insert(name.clone(), mine.map_or_else(|| inner.clone(), |mine| union(mine, inner)));
    }
    if whole {
        all.insert(".".into(), json!({}));
    }
    Value::Object(all)
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
        401 => Fault::Denied(text),
        403 => Fault::Forbidden(text),
        409 => Fault::Outrun(text),
        429 => Fault::Throttled { message: text, after: Duration::from_secs(5) },
        400..500 => Fault::Rejected(text),
        _ => Fault::Unreachable(text),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn of(code: u16) -> Fault {
        fault("apply x", kube::Error::Api(Box::new(Status { code, message: "why".into(), ..Status::failure("", "") })))
    }

    #[test]
    fn a_take_over_claims_what_people_declared_and_leaves_the_control_plane_its_own() {
        let entry = |manager: &str, operation: &str, subresource: Value, fields: Value| {
            json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1",
                "fieldsV1": fields, "subresource": subresource})
        };
        let golive = entry("golive", "Apply", Value::Null, json!({"f:spec": {"f:replicas": {}, "f:selector": {}}}));
        let editor = entry(
            "kubectl-edit",
            "Update",
            Value::Null,
            json!({"f:spec": {"f:selector": {"f:a": {}}, "f:paused": {}}}),
        );
        let binder = entry("kube-controller-manager", "Update", Value::Null, json!({"f:spec": {"f:volumeName": {}}}));
        let status = entry("kubectl", "Update", json!("status"), json!({"f:status": {}}));
        let claimed = claimed(&[golive, editor, binder.clone(), status.clone()]);
        let all = json!({"f:spec": {"f:replicas": {}, "f:selector": {".": {}, "f:a": {}}, "f:paused": {}}});
        assert_eq!((&claimed[0]["manager"], &claimed[0]["fieldsV1"]), (&json!("golive"), &all));
        assert_eq!(claimed[1..], [binder, status]);
    }

    #[test]
    fn an_answer_says_when_to_try_again() {
        assert!(matches!(of(401), Fault::Denied(_)));
        assert!(matches!(of(403), Fault::Forbidden(_)));
        assert!(matches!(of(409), Fault::Outrun(_)));
        assert!(matches!(of(422), Fault::Rejected(_)));
        assert!(matches!(of(429), Fault::Throttled { .. }));
        assert!(matches!(of(503), Fault::Unreachable(_)));
    }

    /// An API server with a Deployment whose version moves on after the first look.
    fn moving(patches: Arc<Mutex<Vec<Value>>>) -> Client {
        let answer = move |request: http::Request<kube::client::Body>| {
            let patches = patches.clone();
            async move {
                let body: Value = serde_json::from_slice(&request.into_body().collect_bytes().await?)?;
                let version = if patches.lock().unwrap().is_empty() { "1" } else { "2" };
                let asked = body.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or("2");
                let status = if asked == "2" { 200 } else { 409 };
                patches.lock().unwrap().push(body.clone());
                let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "code": status,
                    "metadata": {"name": "web", "resourceVersion": version}});
                let answer = http::Response::builder().status(status);
                Ok::<_, tower::BoxError>(answer.body(kube::client::Body::from(object.to_string().into_bytes()))?)
            }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    #[tokio::test]
    async fn a_take_over_that_is_outrun_looks_again() {
        let patches = Arc::new(Mutex::new(Vec::new()));
        let api = objects(&moving(patches.clone()), "default", Kind::Deployment);
        take_over(&api, "web", None).await.unwrap();
        let seen = patches.lock().unwrap().iter().map(|p| p["metadata"]["resourceVersion"].clone()).collect::<Vec<_>>();
        assert_eq!(seen, [Value::Null, json!("1"), Value::Null, json!("2")]);
    }

    /// An API server that answers everything alike.
    fn answering(code: u16) -> Api<DynamicObject> {
        let answer = move |_: http::Request<kube::client::Body>| {
            let status = if code < 300 { "Success" } else { "Failure" };
            let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": status, "code": code});
            let answer = http::Response::builder().status(code);
            std::future::ready(answer.body(kube::client::Body::from(body.to_string().into_bytes())))
        };
        objects(&Client::new(tower::service_fn(answer), "default"), "default", Kind::Service)
    }

    #[tokio::test]
    async fn a_refused_deletion_is_none() {
        let deleted = async |code| delete(&answering(code), ("Service", "web"), Some("uid")).await;
        assert_eq!((deleted(200).await, deleted(404).await), (Ok(true), Ok(false)));
        assert!(matches!(deleted(409).await, Err(Fault::Outrun(_))));
        assert!(matches!(deleted(422).await, Err(Fault::Rejected(_))));
        assert!(deleted(302).await.is_err());
    }

    #[tokio::test]
    async fn what_is_gone_since_it_was_read_is_read_again() {
        let changed = async |code| change(&answering(code), "web", json!({})).await.map(drop);
        assert!(matches!(changed(404).await, Err(Fault::Outrun(_))));
        assert!(matches!(changed(422).await, Err(Fault::Rejected(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_given_up() {
        let silent = std::future::pending::<kube::Result<()>>();
        assert!(matches!(within("get x", silent).await, Err(Fault::Unreachable(_))));
    }
}
