//! Every field of csvboard's manifest added, changed and removed: the world follows, and nothing is left over.
//!
//! Fields that do not touch each other are changed in one pass. They are removed in two, every second one first, so
//! that each goes while its neighbours stay.

#[path = "fields/table.rs"]
mod table;

use std::time::Duration;

use serde_json::{Value, json};
use world::platform::secret;

use crate::apps::{hello, rows};
use crate::stage::{Outcome, Stage, conditions, until};
use table::{Field, Shown, fields};

const NAME: &str = "fields";
const HOST: &str = "fields.example.com";

/// Which of its three states a field is in.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Added,
    Changed,
    Absent,
}

pub fn added_changed_and_removed(stage: &Stage) -> Outcome<()> {
    stage.tenant(NAME)?;
    for name in ["one", "two"] {
        stage.apply(&secret(NAME, name, &[("GREETING", name)]).to_string())?;
    }
    let fields = fields();
    apply(stage, &fields, |_| State::Absent)?;
    let objects = objects(stage)?;
    apply(stage, &fields, |_| State::Added)?;
    let volume = || Shown::Object("pvc/fields-data", "/spec/resources/requests/storage").look(stage);
    assert_eq!(volume()?, "1Gi");
    apply(stage, &fields, |_| State::Changed)?;
    apply(stage, &fields, |place| if place % 2 == 0 { State::Absent } else { State::Changed })?;
    apply(stage, &fields, |_| State::Absent)?;
    until(Duration::from_secs(60), || Ok((self::objects(stage)? == objects).then_some(())))
        .map_err(|e| format!("{e}: {objects:?} became {:?}", self::objects(stage)))?;
    assert_eq!(volume()?, "1Gi", "a database outlives its block");
    stage.kubectl(&["delete", "saas", NAME, "-n", NAME, "--timeout=120s"])?;
    assert_eq!(rows(stage, "fields/fields")?, Vec::<Value>::new());
    stage.kubectl(&["delete", "namespace", NAME, "--wait=false"]).map(drop)
}

/// Applies the fields in their states, and waits until the world shows each.
fn apply(stage: &Stage, fields: &[Field], state: impl Fn(usize) -> State) -> Outcome<()> {
    let states: Vec<State> = (0..fields.len()).map(|place| state(fields[place].group)).collect();
    let mut spec = json!({});
    for (field, state) in fields.iter().zip(&states) {
        field.put(&mut spec, *state);
    }
    stage.apply(&hello(NAME, NAME, spec))?;
    stage.live(NAME, NAME)?;
    for (field, state) in fields.iter().zip(&states) {
        field.is_shown(stage, *state)?;
    }
    Ok(())
}

impl Field {
    /// Writes the field into a spec, at its path.
    fn put(&self, spec: &mut Value, state: State) {
        let value = match state {
            State::Added => &self.values[0],
            State::Changed => &self.values[1],
            State::Absent => return,
        };
        let mut place = spec;
        for step in self.path.split('.') {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[step];
        }
        *place = value.clone();
    }

    fn is_shown(&self, stage: &Stage, state: State) -> Outcome<()> {
        let expected = &self.shown[state as usize];
        let mut seen = Value::Null;
        let found = until(Duration::from_secs(45), || {
            seen = self.at.look(stage)?;
            Ok((seen == *expected).then_some(()))
        });
        found.map_err(|e| format!("spec.{}: the world shows {seen}, not {expected}: {e}", self.path).into())
    }
}

impl Shown {
    /// What the world shows now; null where there is nothing.
    fn look(&self, stage: &Stage) -> Outcome<Value> {
        let at = |value: &Value, pointer: &str| value.pointer(pointer).cloned().unwrap_or_default();
        Ok(match self {
            Shown::Object(object, pointer) => {
                let found = stage.kubectl(&["get", object, "-n", NAME, "--ignore-not-found", "-o", "json"])?;
                at(&serde_json::from_str(&found).unwrap_or_default(), pointer)
            }
            Shown::Env(name) => {
                let found = stage.json(&["get", "deployment", NAME, "-n", NAME])?;
                let env = found.pointer("/spec/template/spec/containers/0/env").and_then(Value::as_array).cloned();
                let one = env.unwrap_or_default().into_iter().find(|env| env["name"] == *name);
                one.map(|env| env.get("value").cloned().unwrap_or(json!("kept"))).unwrap_or_default()
            }
            Shown::Task(cron, pointer) => {
                let job = "/spec/jobTemplate/spec/template/spec/containers/0/env/0/value";
                let found = Shown::Object(cron, job).look(stage)?;
                at(&serde_json::from_str(found.as_str().unwrap_or("null"))?, pointer)
            }
            Shown::Jobs(stage_name) => {
                let found = stage.json(&["get", "jobs", "-n", NAME])?;
                let name = format!("{NAME}-{stage_name}-");
                let jobs = found["items"].as_array().into_iter().flatten();
                json!(jobs.filter(|job| job["metadata"]["name"].as_str().is_some_and(|n| n.starts_with(&name))).count())
            }
            Shown::Says(part, words) => {
                let saas = stage.saas(NAME, NAME)?;
                let said = conditions(&saas)
                    .find(|c| c["type"] == *part)
                    .map(|c| c["message"].to_string())
                    .unwrap_or_default();
                json!(words.iter().find(|word| said.contains(**word)))
            }
            Shown::Keys => {
                let found = stage.kubectl(&[
                    "get",
                    "secret",
                    "fields-secrets",
                    "-n",
                    NAME,
                    "--ignore-not-found",
                    "-o",
                    "json",
                ])?;
                let found: Value = serde_json::from_str(&found).unwrap_or_default();
                let ledger = found["metadata"]["annotations"]["golive.dev/ledger"].as_str().unwrap_or("null");
                // What no field names any more is kept for a while, and noted as such.
                let unnamed = serde_json::from_str::<Value>(ledger)?["unnamed"].clone();
                let keys = found["data"].as_object().into_iter().flatten().map(|(key, _)| key);
                json!(keys.filter(|key| key.ends_with("_KEY") && unnamed[*key].is_null()).collect::<Vec<_>>())
            }
            Shown::Record(name, pointer) => {
                at(&row(&stage.inventory()?["cloudflare"]["zones"]["example.com"], "name", name), pointer)
            }
            Shown::Endpoint(mode, pointer) => {
                let url = format!("https://{HOST}/");
                at(&row(&stage.inventory()?["stripe"][mode]["webhookEndpoints"], "url", &url), pointer)
            }
            Shown::Monitor(pointer) => {
                at(&row(&stage.inventory()?["uptimerobot"]["monitors"], "url", &format!("https://{HOST}/")), pointer)
            }
            Shown::Project(pointer) => at(&row(&stage.inventory()?["sentry"]["projects"], "slug", NAME), pointer),
            Shown::Answer(url, words) => {
                let answer = stage.through_gateway(url, &[]).unwrap_or_default().to_lowercase();
                json!(words.iter().find(|word| answer.contains(**word)))
            }
        })
    }
}

/// The row of a table whose field begins with a text.
fn row(table: &Value, field: &str, text: &str) -> Value {
    let fits = |row: &&Value| row[field].as_str().is_some_and(|found| found.starts_with(text));
    table.as_array().and_then(|rows| rows.iter().find(fits)).cloned().unwrap_or_default()
}

/// What golive made in the namespace, by kind and name; the volume outlives its application on purpose.
fn objects(stage: &Stage) -> Outcome<Vec<String>> {
    let kinds = "serviceaccounts,configmaps,networkpolicies,services,poddisruptionbudgets,controllerrevisions,deployments,\
                 horizontalpodautoscalers,jobs,cronjobs,gateways,httproutes,ingresses,secrets";
    let found = stage.json(&["get", kinds, "-n", NAME, "-l", "app.kubernetes.io/managed-by=golive"])?;
    let named =
        found["items"].as_array().into_iter().flatten().map(|o| format!("{}/{}", o["kind"], o["metadata"]["name"]));
    let mut named: Vec<String> = named.filter(|name| !name.contains("ControllerRevision")).collect();
    named.sort();
    Ok(named)
}
