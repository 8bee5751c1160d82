//! What must hold of secrets at every moment of a run: they stand nowhere but in Secrets, and none that golive made is lost.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::{Change, Object};
use crate::place::{CANARY, State};

/// Shorter values may stand anywhere by chance.
const SHORTEST: usize = 12;
/// Keys of Secrets whose values are public by design.
const CERTIFICATES: [&str; 2] = ["tls.crt", "ca.crt"];
/// What the Secret of an order says beside its key: all of it the CA knows, and conditions and events may name it.
const OF_ORDERS: [&str; 4] = ["names", "account", "at", "url"];

/// Places where anybody can read a value that a Secret of this world holds, or held: every object but Secrets as it is and
/// as it was after version `since`, and what stands around the values of Secrets.
pub fn shown(state: &State, since: u64) -> Vec<String> {
    let values = values(state);
    // Each is searched with once: another kind would take longer to build than to search with.
    let kind = Some(AhoCorasickKind::ContiguousNFA);
    let Ok(search) = AhoCorasick::builder().kind(kind).build(&values) else {
        return vec!["secrets cannot be searched for".into()];
    };
    let changed = state.cluster.since(since).unwrap_or_default().iter().filter_map(|change| change.new.as_ref());
    let objects = state.cluster.every().map(|(_, object)| object).chain(changed);
    let told = objects.filter(|object| tells(object, &search));
    let places = told.map(|object| format!("{} {} shows a secret", text(&object.value["kind"]), object.meta("name")));
    places.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether one of the values stands in an object; in a Secret, beside its values.
fn tells(object: &Object, search: &AhoCorasick) -> bool {
    match object.value["kind"] == "Secret" {
        true => search.is_match(&object.value["metadata"].to_string()),
        false => search.is_match(&object.text()[..]),
    }
}

/// Every secret value, plain and as it stands in the data of a Secret; and what all credentials have in common.
fn values(state: &State) -> Vec<String> {
    let now = state.cluster.of_kind("Secret");
    let then = state.cluster.history().iter().filter(|change| change.resource.kind == "Secret");
    let secrets = now.chain(then.filter_map(|change| change.new.as_ref()));
    let mut found = BTreeSet::from([CANARY.to_owned()]);
    secrets.for_each(|secret| found.extend(secret.secrets().iter().cloned()));
    found.into_iter().collect()
}

/// The values of one Secret that may stand nowhere else.
pub fn of_secret(secret: &Value) -> Vec<String> {
    let is_order = text(&secret["metadata"]["name"]).ends_with("-tls-order");
    let is_public = |key: &str| CERTIFICATES.contains(&key) || (is_order && OF_ORDERS.contains(&key));
    let data = secret["data"].as_object().into_iter().flatten().filter(|(key, _)| !is_public(key));
    data.flat_map(|(_, value)| of_value(text(value))).filter(|value| value.len() >= SHORTEST).collect()
}

/// The end of a value in Base64 depends on what follows it. Of a private key each line is one.
fn of_value(encoded: &str) -> Vec<String> {
    let plain =
        BASE64_STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let lines = plain.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned);
    let whole = encoded.trim_end_matches('=');
    lines.chain([whole.get(..whole.len().saturating_sub(1)).unwrap_or_default().to_owned()]).collect()
}

/// Values that golive made and that went or became others after version `since`, though nobody asked for that.
pub fn lost(state: &State, since: u64) -> Vec<String> {
    let mut memory = Memory::default();
    state.cluster.of_kind("SaasDeployment").for_each(|saas| memory.wish(saas));
    for change in state.cluster.since(since).unwrap_or_default() {
        memory.follow(change);
    }
    memory.lost
}

/// A value and when it was made.
type Made = (Value, Option<Timestamp>);
/// Namespace, name of the SaasDeployment, env name.
type Slot = (String, String, String);

#[derive(Default)]
struct Memory {
    /// The values that each SaasDeployment wants made, with the days after which one is replaced.
    wanted: BTreeMap<Slot, Option<i64>>,
    made: BTreeMap<Slot, Made>,
    /// Replacements that somebody asked for.
    asked: BTreeSet<Slot>,
    lost: Vec<String>,
}

impl Memory {
    fn follow(&mut self, change: &Change) {
        match (change.resource.kind, &change.new) {
            ("SaasDeployment", Some(saas)) => self.wish(saas),
            ("SaasDeployment", None) => change.old.iter().for_each(|saas| self.forget(saas, &BTreeSet::new())),
            ("SaasOperation", Some(operation)) => self.ask(operation),
            ("Secret", new) => {
                change.old.iter().for_each(|old| self.learn(old));
                self.compare(change.old.as_deref(), new.as_deref());
            }
            _ => {}
        }
    }

    /// What one wants from now on; nothing where it is on its way out.
    fn wish(&mut self, saas: &Object) {
        let is_going = !saas.value["metadata"]["deletionTimestamp"].is_null();
        let list = saas.value["spec"]["secrets"]["generate"].as_array().filter(|_| !is_going);
        let list: Vec<&Value> = list.into_iter().flatten().collect();
        self.forget(saas, &list.iter().map(|generate| text(&generate["env"]).to_owned()).collect());
        for generate in list {
            self.wanted.insert(slot(saas, text(&generate["env"])), generate["rotateAfterDays"].as_i64());
        }
    }

    fn forget(&mut self, saas: &Object, but: &BTreeSet<String>) {
        let stays = |(namespace, name, env): &Slot| {
            namespace != saas.meta("namespace") || name != saas.meta("name") || but.contains(env)
        };
        self.wanted.retain(|slot, _| stays(slot));
        self.made.retain(|slot, _| stays(slot));
    }

    fn ask(&mut self, operation: &Object) {
        let spec = &operation.value["spec"];
        let envs = spec["rotate"]["env"].as_array().into_iter().flatten().map(text);
        let name = text(&spec["deployment"]).to_owned();
        self.asked.extend(envs.map(|env| (operation.meta("namespace").to_owned(), name.clone(), env.to_owned())));
    }

    /// The values that a vault holds and that are wanted: what is known of them stays.
    fn learn(&mut self, vault: &Object) {
        for (slot, made) in held(vault).into_iter().filter(|(slot, _)| self.wanted.contains_key(slot)) {
            self.made.entry(slot).or_insert(made);
        }
    }

    fn compare(&mut self, old: Option<&Object>, new: Option<&Object>) {
        let now: BTreeMap<Slot, Made> = new.map(held).unwrap_or_default();
        for (slot, _) in old.map(held).unwrap_or_default() {
            let Some(before) = self.made.remove(&slot) else { continue };
            let after = now.get(&slot);
            let is_kept = after.is_some_and(|after| after.0 == before.0);
            if !is_kept && !self.asked.remove(&slot) && !self.is_due(&slot, &before, after) {
                self.lost.push(format!("the value {} of {}/{} is lost", slot.2, slot.0, slot.1));
            }
        }
        new.into_iter().for_each(|vault| self.learn(vault));
    }

    /// Whether a value was as old as it may become when it was made anew.
    fn is_due(&self, slot: &Slot, before: &Made, after: Option<&Made>) -> bool {
        let days = self.wanted.get(slot).copied().flatten();
        let (then, now) = (before.1, after.and_then(|after| after.1));
        days.zip(then.zip(now)).is_some_and(|(days, (then, now))| now.duration_since(then).as_hours() >= 24 * days)
    }
}

/// The values that golive made in a vault, with the time in its ledger.
fn held(vault: &Object) -> BTreeMap<Slot, Made> {
    let Some(name) = vault.meta("name").strip_suffix("-secrets") else { return BTreeMap::new() };
    let ledger = ledger(vault);
    let made = ledger["generated"].as_object().into_iter().flatten();
    let stored = made.filter_map(|(env, at)| {
        let value = vault.value["data"].get(env)?.clone();
        Some(((vault.meta("namespace").to_owned(), name.to_owned(), env.clone()), (value, text(at).parse().ok())))
    });
    stored.collect()
}

/// What a vault remembers; nothing in any other Secret.
pub fn ledger(vault: &Object) -> Value {
    serde_json::from_str(text(&vault.value["metadata"]["annotations"]["golive.dev/ledger"])).unwrap_or_default()
}

fn slot(saas: &Object, env: &str) -> Slot {
    (saas.meta("namespace").to_owned(), saas.meta("name").to_owned(), env.to_owned())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::laws::{go_live, subjects};

    /// The mill at rest, the version before, and its vault changed as told.
    fn changed(patch: &Value) -> (State, u64) {
        let mut state = go_live(&subjects()[3]).1.state;
        let since = state.cluster.version();
        state.edit("Secret", &["mill", "mill-secrets"].map(str::to_owned), patch);
        (state, since)
    }

    #[test]
    fn a_value_that_is_made_anew_or_goes_is_lost_unless_its_time_was_over() {
        let became = |value: Value, at: &str| {
            let ledger = json!({"generated": {"SESSION_KEY": at}}).to_string();
            let annotations = json!({"golive.dev/ledger": ledger});
            let (state, since) =
                changed(&json!({"data": {"SESSION_KEY": value}, "metadata": {"annotations": annotations}}));
            lost(&state, since).len()
        };
        let another = json!(BASE64_STANDARD.encode("another value"));
        assert_eq!(became(another.clone(), "2027-01-20T00:00:00Z"), 1);
        assert_eq!(became(Value::Null, "2027-01-20T00:00:00Z"), 1);
        assert_eq!(became(another, "2027-03-20T00:00:00Z"), 0);
    }

    #[test]
    fn a_value_that_ever_stood_in_a_secret_may_stand_nowhere_else() {
        let plain = "only-for-the-vault";
        let (mut state, since) = changed(&json!({"data": {"SESSION_KEY": BASE64_STANDARD.encode(plain)}}));
        assert_eq!(shown(&state, since), Vec::<String>::new());
        let place = ["mill", "mill"].map(str::to_owned);
        for told in [plain.to_owned(), BASE64_STANDARD.encode(plain)] {
            state.edit("Deployment", &place, &json!({"metadata": {"annotations": {"note": told}}}));
            assert_eq!(shown(&state, since), ["Deployment mill shows a secret"]);
        }
        state.edit("Deployment", &place, &json!({"metadata": {"annotations": {"note": null}}}));
        assert_eq!(shown(&state, since), ["Deployment mill shows a secret"], "it stood there once");
        let name = ["mill", "mill-secrets"].map(str::to_owned);
        state.edit("Secret", &name, &json!({"metadata": {"annotations": {"note": plain}}}));
        assert_eq!(shown(&state, state.cluster.version()), ["Secret mill-secrets shows a secret"]);
    }
}
