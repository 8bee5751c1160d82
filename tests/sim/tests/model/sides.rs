//! The two that are asked, and their answers without what may differ.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use sim::cluster::Cluster;
use sim::cluster::answer::{Request, Selector};
use sim::cluster::resource::{Resource, Target};
use sim::cluster::write;
use world::World;

use super::Outcome;
use super::asks::{Ask, Verb, Version};

/// An answer without what may differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub code: u16,
    pub reason: String,
    /// Whether the object has another version than before.
    pub moved: bool,
    pub object: Value,
}

/// Somebody who answers requests.
pub trait Side {
    /// Sends a request: its status and body.
    async fn send(&mut self, request: Request) -> Outcome<(u16, Value)>;

    /// Does what an [`Ask`] says.
    async fn ask(&mut self, ask: &Ask) -> Outcome<Told> {
        let read = Request { method: "GET".into(), path: path(ask, true, ""), ..Request::default() };
        let (found, before) = self.send(read).await?;
        let before = if found == 200 { before } else { Value::Null };
        let (code, answer) = self.send(request(ask, &before)).await?;
        let is = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
        let status = is("kind") == "Status";
        // What goes with its last finalizer is shown as it was.
        let going = !answer["metadata"]["deletionTimestamp"].is_null() && answer["metadata"]["finalizers"].is_null();
        let moved = version(&before) != version(&answer) && !going;
        let reason = if status { is("reason") } else { String::new() };
        let object = if status { Value::Null } else { plain(ask, &answer) };
        Ok(Told { code, reason, moved: moved && !status && ask.verb != Verb::List, object })
    }
}

fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default()
}

/// The path of an object or, where it is not named, of its collection.
fn path(ask: &Ask, named: bool, subresource: &str) -> String {
    let Some(resource) = Resource::of_kind(ask.kind) else { return String::new() };
    let name = if named { ask.name.to_owned() } else { String::new() };
    Target { resource, namespace: ask.namespace.clone(), name, subresource: subresource.into() }.path()
}

/// The request as this side understands it: with the versions that it gave.
fn request(ask: &Ask, before: &Value) -> Request {
    let named = match ask.version {
        Version::Unnamed => Value::Null,
        Version::Newest => before["metadata"]["resourceVersion"].clone(),
        Version::Stale => json!("1"),
    };
    let with = |body: &Value| {
        let mut body = body.clone();
        if !named.is_null() {
            body["metadata"]["resourceVersion"] = named.clone();
        }
        body
    };
    let (method, media, body) = match &ask.verb {
        Verb::Get | Verb::List => ("GET", "", Value::Null),
        Verb::Create(object) => ("POST", "application/json", object.clone()),
        Verb::Apply { config, .. } => ("PATCH", "application/apply-patch+yaml", with(config)),
        Verb::Merge(patch) => ("PATCH", "application/merge-patch+json", with(patch)),
        Verb::Own => ("PATCH", "application/json-patch+json", owned(before)),
        Verb::Replace(patch) => ("PUT", "application/json", with(&write::patched(&whole(ask, before), patch))),
        Verb::Delete if named.is_null() => ("DELETE", "application/json", json!({})),
        Verb::Delete => ("DELETE", "application/json", json!({"preconditions": {"resourceVersion": named}})),
    };
    let mut query = Vec::new();
    if !matches!(ask.verb, Verb::Get | Verb::List | Verb::Delete) {
        query.push(("fieldManager".to_owned(), ask.manager.to_owned()));
    }
    if matches!(ask.verb, Verb::Apply { force: true, .. }) {
        query.push(("force".to_owned(), "true".to_owned()));
    }
    let path = path(ask, !matches!(ask.verb, Verb::Create(_) | Verb::List), ask.subresource);
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    Request { method: method.into(), path, query, media: media.into(), body }
}

/// The steps that make of somebody's writes an apply, where he has none yet; else steps that lead nowhere.
fn owned(before: &Value) -> Value {
    let entries = before["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let writes = |entry: &Value| entry["operation"] == "Update" && entry["subresource"].is_null();
    let applies = |by: &Value| entries.iter().any(|entry| entry["manager"] == *by && entry["operation"] == "Apply");
    let place = entries.iter().position(|entry| writes(entry) && !applies(&entry["manager"]));
    let field = format!("/metadata/managedFields/{}/operation", place.unwrap_or(entries.len()));
    json!([{"op": "test", "path": field, "value": "Update"}, {"op": "replace", "path": field, "value": "Apply"}])
}

/// What a request that replaces an object starts from, also where there is none.
fn whole(ask: &Ask, before: &Value) -> Value {
    let version = Resource::of_kind(ask.kind).map(Resource::api_version);
    match before {
        Value::Null => json!({"apiVersion": version, "kind": ask.kind, "metadata": {"name": ask.name}}),
        found => found.clone(),
    }
}

/// An object without what may differ between two servers: identifiers, versions, times; and of built-in kinds, defaults.
fn plain(ask: &Ask, object: &Value) -> Value {
    if ask.verb == Verb::List {
        let items = object["items"].as_array().into_iter().flatten();
        return items.map(|item| item["metadata"]["name"].clone()).collect();
    }
    let mut object = object.clone();
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return object };
    for field in ["uid", "resourceVersion", "creationTimestamp"] {
        metadata.remove(field);
    }
    if let Some(time) = metadata.get_mut("deletionTimestamp") {
        *time = json!("once");
        metadata.remove("deletionGracePeriodSeconds");
    }
    let owners = metadata.remove("managedFields");
    let owners = owners.iter().filter_map(Value::as_array).flatten().map(owner).collect::<BTreeMap<_, _>>();
    metadata.insert("owners".into(), json!(owners));
    match ask.kind {
        // Its defaults are many and not modelled: who owns what says what was written.
        "Deployment" | "Namespace" => json!({"owners": owners}),
        _ => object,
    }
}

fn owner(entry: &Value) -> (String, Value) {
    let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    (format!("{} {} {}", text("manager"), text("operation"), text("subresource")), entry["fieldsV1"].clone())
}

/// The model.
pub struct Model(pub Cluster);

impl Side for Model {
    async fn send(&mut self, request: Request) -> Outcome<(u16, Value)> {
        let answer = self.0.answer(&request, Timestamp::now());
        Ok((answer.status, serde_json::from_slice(&answer.body)?))
    }
}

impl Model {
    /// What a watch of all SaasDeployments tells from the beginning.
    pub async fn events(&self) -> Outcome<Vec<String>> {
        let of = |change: &&sim::cluster::Change| change.resource.kind == "SaasDeployment";
        let changes = self.0.since(0).unwrap_or_default().iter().filter(of);
        let lines = changes
            .filter_map(|change| change.event("", &Selector::default()))
            .map(|line| Ok(serde_json::from_slice(&line)?));
        Ok(lines.collect::<Outcome<Vec<Value>>>()?.iter().map(event).collect())
    }
}

/// An API server.
pub struct Real {
    client: kube::Client,
    /// Before everything.
    start: String,
}

impl Real {
    pub async fn of(world: &World) -> Outcome<Real> {
        let config = Kubeconfig::read_from(world.kubeconfig())?;
        let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        let mut real = Real { client: kube::Client::try_from(config)?, start: String::new() };
        let (_, list) = real.send(everywhere(Vec::new())).await?;
        real.start = version(&list).to_owned();
        Ok(real)
    }

    /// What a watch of all SaasDeployments tells from the beginning.
    pub async fn events(&mut self) -> Outcome<Vec<String>> {
        let query = [("watch", "true"), ("timeoutSeconds", "2"), ("resourceVersion", &self.start)];
        let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let text = self.text(everywhere(query)).await?.1;
        let lines = String::from_utf8(text.to_vec())?;
        let lines = lines.lines().map(|line| Ok(serde_json::from_str(line)?)).collect::<Outcome<Vec<Value>>>()?;
        Ok(lines.iter().map(event).collect())
    }

    async fn text(&self, request: Request) -> Outcome<(u16, Bytes)> {
        use http_body_util::BodyExt;
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&request.query).finish();
        let target = format!("{}?{query}", request.path);
        let mut builder = http::Request::builder().method(request.method.as_str()).uri(target);
        if !request.media.is_empty() {
            builder = builder.header("content-type", request.media);
        }
        let body = kube::client::Body::from(request.body.to_vec());
        let answer = self.client.send(builder.body(body)?).await?;
        Ok((answer.status().as_u16(), answer.into_body().collect().await?.to_bytes()))
    }
}

impl Side for Real {
    async fn send(&mut self, request: Request) -> Outcome<(u16, Value)> {
        let (status, text) = self.text(request).await?;
        Ok((status, serde_json::from_slice(&text)?))
    }
}

fn everywhere(query: Vec<(String, String)>) -> Request {
    let path = "/apis/golive.dev/v1alpha1/saasdeployments".into();
    Request { method: "GET".into(), path, query, ..Request::default() }
}

fn event(line: &Value) -> String {
    let metadata = &line["object"]["metadata"];
    format!("{} {} {} {}", line["type"], metadata["namespace"], metadata["name"], metadata["generation"])
}
