//! What a role grants, what the API server's audit log says was used of it, and what is left over on either side.

use std::collections::BTreeSet;

use serde_json::Value;

/// A right: a verb on a resource (`group/resource`, with its subresource), in every namespace or in one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// `group/resource` or `group/resource/subresource`; the core group is empty.
    pub resource: String,
    /// The verb.
    pub verb: String,
    /// The only namespace that it holds in; `None` for all, and for what has none.
    pub namespace: Option<String>,
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        write!(f, "{} {}{place}", self.verb, self.resource)
    }
}

/// The rights of roles: the documents of kinds ClusterRole and Role, as the API server holds them.
pub fn granted(roles: &[Value]) -> BTreeSet<Right> {
    let rights = roles.iter().flat_map(|role| {
        let own =
            (role["kind"] == "Role").then(|| role["metadata"]["namespace"].as_str().unwrap_or_default().to_owned());
        list(&role["rules"]).flat_map(move |rule| rights(rule, own.clone()))
    });
    rights.collect()
}

fn rights(rule: &Value, namespace: Option<String>) -> Vec<Right> {
    let words = |field: &str| list(&rule[field]).filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let (groups, resources, verbs) = (words("apiGroups"), words("resources"), words("verbs"));
    let named = groups.iter().flat_map(|group| resources.iter().map(move |resource| format!("{group}/{resource}")));
    let each = named.flat_map(|resource| verbs.iter().map(move |verb| (resource.clone(), verb.clone())));
    each.map(|(resource, verb)| Right { resource, verb, namespace: namespace.clone() }).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A call that an account made, and whether it was let through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// What it needed. Here the namespace is where the call went.
    pub right: Right,
    /// Whether the API server refused it for want of the right.
    pub forbidden: bool,
}

/// The calls of a user in an audit log of JSON lines, level Metadata. A patch that created an object (server-side apply,
/// answered 201) needed the verb `create` as well.
pub fn calls(log: &str, user: &str) -> BTreeSet<Call> {
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["user"]["username"] == user).flat_map(|event| call(&event)).collect()
}

fn call(event: &Value) -> Vec<Call> {
    let text = |field: &str| event["objectRef"][field].as_str();
    let Some(resource) = text("resource") else { return Vec::new() };
    let below = text("subresource").map(|below| format!("/{below}")).unwrap_or_default();
    let resource = format!("{}/{resource}{below}", text("apiGroup").unwrap_or_default());
    let namespace = text("namespace").map(str::to_owned);
    let code = event["responseStatus"]["code"].as_i64();
    let verb = event["verb"].as_str().unwrap_or_default();
    let verbs = [verb, "create"].into_iter().take(if (verb, code) == ("patch", Some(201)) { 2 } else { 1 });
    // A namespace that is going answers 403 as well, to calls that are within the rights:
    // https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#audit-annotations
    let forbidden = event["annotations"]["authorization.k8s.io/decision"] == "forbid";
    let right = |verb: &str| Right { resource: resource.clone(), verb: verb.to_owned(), namespace: namespace.clone() };
    verbs.map(|verb| Call { right: right(verb), forbidden }).collect()
}

fn covers(granted: &Right, needed: &Right) -> bool {
    let there = granted.namespace.is_none() || granted.namespace == needed.namespace;
    (&granted.resource, &granted.verb) == (&needed.resource, &needed.verb) && there
}

/// Rights that no call used. A call that a right for one namespace covers does not count for one for all.
pub fn unused(rights: &BTreeSet<Right>, calls: &BTreeSet<Call>) -> Vec<Right> {
    let narrowest = |call: &Call| {
        let mut fitting = rights.iter().filter(|right| covers(right, &call.right)).collect::<Vec<_>>();
        fitting.sort_by_key(|right| right.namespace.is_none());
        fitting.first().map(|right| (*right).clone())
    };
    let used: BTreeSet<Right> = calls.iter().filter(|call| !call.forbidden).filter_map(narrowest).collect();
    rights.difference(&used).cloned().collect()
}

/// Rights for want of which calls were refused, and which are not granted: one that a test took away for a while is.
pub fn missing(granted: &BTreeSet<Right>, calls: &BTreeSet<Call>) -> Vec<Right> {
    let refused = calls.iter().filter(|call| call.forbidden).map(|call| &call.right);
    refused.filter(|needed| !granted.iter().any(|right| covers(right, needed))).cloned().collect()
}

/// Rights by a wildcard.
pub fn wildcards(rights: &BTreeSet<Right>) -> Vec<Right> {
    rights.iter().filter(|right| right.resource.contains('*') || right.verb.contains('*')).cloned().collect()
}

/// Secrets that could be read in bulk: listed or watched in all namespaces.
pub fn secrets_in_bulk(rights: &BTreeSet<Right>) -> Vec<Right> {
    let bulk = |right: &&Right| {
        right.namespace.is_none()
            && right.resource == "/secrets"
            && ["list", "watch", "*"].contains(&right.verb.as_str())
    };
    rights.iter().filter(bulk).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const USER: &str = "system:serviceaccount:a:golive";

    fn roles() -> Vec<Value> {
        vec![
            json!({"kind": "ClusterRole", "rules": [
                {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "patch"]},
                {"apiGroups": ["golive.dev"], "resources": ["saasdeployments/status"], "verbs": ["patch"]},
            ]}),
            json!({"kind": "Role", "metadata": {"namespace": "a"}, "rules": [
                {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "get"]},
            ]}),
        ]
    }

    fn event(verb: &str, place: &str, code: i64) -> String {
        event_of(verb, json!({"resource": "secrets", "namespace": place, "apiVersion": "v1"}), code)
    }

    fn event_of(verb: &str, reference: Value, code: i64) -> String {
        let decision = if code == 403 { "forbid" } else { "allow" };
        let event = json!({
            "verb": verb, "user": {"username": USER}, "objectRef": reference, "responseStatus": {"code": code},
            "annotations": {"authorization.k8s.io/decision": decision},
        });
        format!("{event}\n")
    }

    fn words(rights: &[Right]) -> Vec<String> {
        rights.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_no_call_used_is_named() {
        let log = [event("patch", "t", 200), event("list", "a", 200), event("get", "t", 404)].concat();
        let left = unused(&granted(&roles()), &calls(&log, USER));
        assert_eq!(words(&left), ["create /secrets", "get /secrets in a", "patch golive.dev/saasdeployments/status"]);
    }

    #[test]
    fn an_apply_that_makes_an_object_uses_create() {
        let left = |code| words(&unused(&granted(&roles()), &calls(&event("patch", "t", code), USER)));
        assert!(left(200).contains(&"create /secrets".to_owned()));
        assert!(!left(201).contains(&"create /secrets".to_owned()));
    }

    #[test]
    fn a_call_that_the_narrower_right_covers_does_not_speak_for_the_wider() {
        let left = words(&unused(&granted(&roles()), &calls(&event("get", "a", 200), USER)));
        assert!(
            left.contains(&"get /secrets".to_owned()) && !left.contains(&"get /secrets in a".to_owned()),
            "{left:?}"
        );
    }

    #[test]
    fn calls_of_others_and_lines_that_are_none_do_not_count() {
        let other = event("list", "a", 200).replace(USER, "kubernetes-admin");
        assert!(calls(&format!("no json\n{other}{{}}\n"), USER).is_empty());
    }

    #[test]
    fn a_refused_call_is_a_missing_right_and_no_use() {
        let calls = calls(&event("list", "t", 403), USER);
        assert_eq!(words(&missing(&granted(&roles()), &calls)), ["list /secrets in t"]);
        assert!(unused(&granted(&roles()), &calls).iter().any(|right| right.verb == "list"));
    }

    #[test]
    fn a_right_that_was_taken_away_for_a_while_is_not_missing() {
        let calls = calls(&event("list", "a", 403), USER);
        assert_eq!(words(&missing(&granted(&roles()), &calls)), Vec::<String>::new());
    }

    #[test]
    fn a_call_into_a_namespace_that_is_going_is_a_use_and_no_missing_right() {
        let calls = calls(&event("get", "t", 403).replace("forbid", "allow"), USER);
        assert!(missing(&granted(&roles()), &calls).is_empty());
        assert!(!words(&unused(&granted(&roles()), &calls)).contains(&"get /secrets".to_owned()));
    }

    #[test]
    fn wide_rights_are_found() {
        let wide = granted(&[json!({"kind": "ClusterRole", "rules": [
            {"apiGroups": ["*"], "resources": ["pods"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["watch"]},
        ]})]);
        assert_eq!(words(&wildcards(&wide)), ["get */pods"]);
        assert_eq!(words(&secrets_in_bulk(&wide)), ["watch /secrets"]);
        assert!(secrets_in_bulk(&granted(&roles())).is_empty() && wildcards(&granted(&roles())).is_empty());
    }
}
