//! One request to the API server and its answer.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::resource::Target;
use super::write::{self, Refused, Writer};
use super::{Cluster, Object};

/// A request, read to its end.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub media: String,
    pub body: Bytes,
}

/// An answer: status and JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

type Outcome = Result<Answer, Answer>;

impl Answer {
    /// A refusal as the API server words it.
    pub fn refusal(code: u16, message: &str) -> Answer {
        let reason = match code {
            403 => "Forbidden",
            404 => "NotFound",
            409 if message.contains("already exists") => "AlreadyExists",
            409 => "Conflict",
            410 => "Expired",
            422 => "Invalid",
            429 => "TooManyRequests",
            500 => "InternalError",
            _ => "BadRequest",
        };
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code,
        });
        Answer { status: code, body: body.to_string().into() }
    }

    fn of(status: u16, object: &Object) -> Answer {
        Answer { status, body: object.text() }
    }
}

/// Which objects of a kind somebody asks for: those with these labels, and of this name where it gives one.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    labels: Vec<(String, String)>,
    name: Option<String>,
}

impl Selector {
    /// Whether an object is one of them.
    pub fn takes(&self, object: &Object) -> bool {
        let has = |(name, value): &(String, String)| object.value["metadata"]["labels"][name] == value.as_str();
        self.labels.iter().all(has) && self.name.as_ref().is_none_or(|name| object.meta("name") == name)
    }
}

impl Request {
    /// A parameter of the query; empty where it is not there.
    pub fn param(&self, name: &str) -> &str {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Whether it is to show what would come of it, and to leave everything as it is.
    pub fn is_trial(&self) -> bool {
        self.param("dryRun") == "All"
    }

    /// Which objects a list or watch asks for.
    pub fn selector(&self) -> Selector {
        let pairs = self.param("labelSelector").split(',').filter_map(|pair| pair.split_once('='));
        let labels = pairs.map(|(name, value)| (name.to_owned(), value.trim_start_matches('=').to_owned())).collect();
        Selector { labels, name: self.param("fieldSelector").strip_prefix("metadata.name=").map(str::to_owned) }
    }

    fn json(&self) -> Result<Value, Answer> {
        serde_json::from_slice(&self.body).map_err(|e| Answer::refusal(400, &format!("the body is no JSON: {e}")))
    }

    fn writer<'a>(&'a self, target: &'a Target) -> Writer<'a> {
        let manager = match self.param("fieldManager") {
            "" => "unknown",
            named => named,
        };
        Writer { manager, subresource: &target.subresource, force: self.param("force") == "true" }
    }
}

impl Cluster {
    /// Answers anything but a watch.
    pub fn answer(&mut self, request: &Request, now: Timestamp) -> Answer {
        if request.is_trial() {
            return self.clone().answer(&Request { query: Vec::new(), ..request.clone() }, now);
        }
        let Some(target) = Target::of(&request.path).filter(|target| self.serves(target.resource)) else {
            return Answer::refusal(404, "the server could not find the requested resource");
        };
        let answer = match (request.method.as_str(), target.name.is_empty()) {
            ("GET", true) => Ok(self.list(request, &target)),
            ("GET", false) => self.existing(&target).map(|object| Answer::of(200, &object)),
            ("POST", true) => self.create(request, target, now),
            ("PUT", false) => self.update(request, &target, now),
            ("PATCH", false) if request.media.contains("apply-patch") => self.apply(request, &target, now),
            ("PATCH", false) => self.patch(request, &target, now),
            ("DELETE", false) => self.remove(request, &target, now),
            _ => Err(Answer::refusal(405, "the server does not allow this method on the requested resource")),
        };
        answer.unwrap_or_else(|refusal| refusal)
    }

    fn existing(&self, target: &Target) -> Result<Arc<Object>, Answer> {
        let found = self.find(target.resource, &target.namespace, &target.name).cloned();
        found.ok_or_else(|| Answer::refusal(404, &format!("{} \"{}\" not found", target.resource.plural, target.name)))
    }

    fn list(&self, request: &Request, target: &Target) -> Answer {
        let selector = request.selector();
        let found = self.all(target.resource, &target.namespace).filter(|object| selector.takes(object));
        let texts: Vec<String> = found.map(|object| String::from_utf8_lossy(&object.text()).into_owned()).collect();
        let (kind, group) = (target.resource.kind, target.resource.api_version());
        let body = format!(
            r#"{{"kind":"{kind}List","apiVersion":"{group}","metadata":{{"resourceVersion":"{}"}},"items":[{}]}}"#,
            self.version(),
            texts.join(",")
        );
        Answer { status: 200, body: body.into() }
    }

    fn create(&mut self, request: &Request, mut target: Target, now: Timestamp) -> Outcome {
        let mut object = request.json()?;
        target.name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.admits(&target).map_err(|(code, why)| Answer::refusal(code, &why))?;
        object["metadata"]["namespace"] = json!(target.namespace);
        let object = write::replace(target.resource, &Value::Null, &object, request.writer(&target));
        let object = self.admitted(&target, object);
        write::valid(target.resource, None, &object).map_err(|refused| refusal(&refused))?;
        if self.existing(&target).is_ok() {
            let why = format!("{} \"{}\" already exists", target.resource.plural, target.name);
            return Err(Answer::refusal(409, &why));
        }
        Ok(Answer::of(201, &self.store(target.resource, object, now)))
    }

    fn update(&mut self, request: &Request, target: &Target, now: Timestamp) -> Outcome {
        let (live, new) = (self.existing(target)?, request.json()?);
        self.replace(request, target, (&live, &new), now)
    }

    fn patch(&mut self, request: &Request, target: &Target, now: Timestamp) -> Outcome {
        let (live, patch) = (self.existing(target)?, request.json()?);
        let new = match request.media.contains("json-patch") {
            true => write::stepped(&live.value, patch).map_err(|refused| refusal(&refused))?,
            false => write::patched(&live.value, &patch),
        };
        self.replace(request, target, (&live, &new), now)
    }

    fn replace(
        &mut self,
        request: &Request,
        target: &Target,
        (live, new): (&Object, &Value),
        now: Timestamp,
    ) -> Outcome {
        same_version(target, live, new)?;
        let object = write::replace(target.resource, &live.value, new, request.writer(target));
        self.checked(target, live, object, now)
    }

    /// An object as admission leaves it; who owns which field stays.
    fn admitted(&self, target: &Target, object: Value) -> Value {
        let rule = self.rules.get(target.resource.kind).filter(|_| target.subresource.is_empty());
        rule.map(|patch| write::patched(&object, patch)).unwrap_or(object)
    }

    fn checked(&mut self, target: &Target, live: &Object, object: Value, now: Timestamp) -> Outcome {
        let object = self.admitted(target, object);
        write::immutable(target.resource, &live.value, &object).map_err(|refused| refusal(&refused))?;
        write::valid(target.resource, Some(&live.value), &object).map_err(|refused| refusal(&refused))?;
        Ok(Answer::of(200, &self.store(target.resource, object, now)))
    }

    fn apply(&mut self, request: &Request, target: &Target, now: Timestamp) -> Outcome {
        let mut config = request.json()?;
        if config["metadata"]["name"].as_str().is_some_and(|name| name != target.name) {
            return Err(Answer::refusal(400, "name must match the URL"));
        }
        config["metadata"]["namespace"] =
            if target.namespace.is_empty() { Value::Null } else { json!(target.namespace) };
        let writer = request.writer(target);
        match self.existing(target) {
            Ok(live) => {
                same_version(target, &live, &config)?;
                let object = write::apply(target.resource, &live.value, &config, writer);
                self.checked(target, &live, object.map_err(|refused| refusal(&refused))?, now)
            }
            Err(missing) if !target.subresource.is_empty() => Err(missing),
            Err(_) if config["metadata"]["uid"].is_string() => {
                Err(Answer::refusal(409, "uid mismatch: no existing object was found"))
            }
            Err(_) => {
                self.admits(target).map_err(|(code, why)| Answer::refusal(code, &why))?;
                let object = write::apply(target.resource, &Value::Null, &config, writer);
                let object = self.admitted(target, object.map_err(|refused| refusal(&refused))?);
                write::valid(target.resource, None, &object).map_err(|refused| refusal(&refused))?;
                Ok(Answer::of(201, &self.store(target.resource, object, now)))
            }
        }
    }

    fn remove(&mut self, request: &Request, target: &Target, now: Timestamp) -> Outcome {
        let live = self.existing(target)?;
        let options: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        for field in ["uid", "resourceVersion"] {
            let wanted = options["preconditions"][field].as_str();
            if wanted.is_some_and(|wanted| wanted != live.meta(field)) {
                return Err(Answer::refusal(409, &format!("the {field} in the precondition does not match")));
            }
        }
        let key = (target.resource, target.namespace.clone(), target.name.clone());
        let left = match options["propagationPolicy"] == "Foreground" {
            true => self.delete_last(&key, now),
            false => self.delete(&key, now),
        };
        match left.filter(|object| self.find(key.0, &key.1, &key.2).is_some_and(|found| Arc::ptr_eq(found, object))) {
            Some(held) => Ok(Answer::of(200, &held)),
            None => Ok(Answer {
                status: 200,
                body: r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}"#.into(),
            }),
        }
    }
}

/// A write that names a version is refused where the object has another.
fn same_version(target: &Target, live: &Object, new: &Value) -> Result<(), Answer> {
    let named = new["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty());
    let other_uid = new["metadata"]["uid"].as_str().is_some_and(|uid| uid != live.meta("uid"));
    match named.is_none_or(|version| version == live.meta("resourceVersion")) && !other_uid {
        true => Ok(()),
        false => Err(Answer::refusal(
            409,
            &format!(
                "Operation cannot be fulfilled on {} \"{}\": the object has been modified",
                target.resource.plural, target.name
            ),
        )),
    }
}

fn refusal(refused: &Refused) -> Answer {
    match refused {
        Refused::Conflict(why) => Answer::refusal(409, why),
        Refused::Invalid(why) => Answer::refusal(422, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::State;

    #[test]
    fn a_list_of_one_name_holds_no_other_object() {
        let mut state = State::new();
        let now = state.now();
        let mut names = |name: &str| {
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions".to_owned();
            let query = vec![("fieldSelector".to_owned(), format!("metadata.name={name}"))];
            let answer =
                state.cluster.answer(&Request { method: "GET".into(), path, query, ..Request::default() }, now);
            let list: Value = serde_json::from_slice(&answer.body).unwrap();
            list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(names("gateways.gateway.networking.k8s.io"), ["gateways.gateway.networking.k8s.io"]);
        assert_eq!(names("middlewares.traefik.io"), Vec::<Value>::new());
    }
}
