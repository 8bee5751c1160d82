//! The nouns of the vendors: what golive keeps there, as rows of remote tables.
//!
//! A row carries the data that users declare; the [`Mark`] on it says whose it is.

use std::collections::BTreeSet;
use std::fmt;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// A vendor's own identifier of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id(pub String);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Ownership, written on the row itself: which cluster, which object (by uid), and its name for people.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The operator's cluster id: 8 lower-case hex digits.
    pub cluster: String,
    /// The first 12 hex digits of the object's uid.
    pub owner: String,
    /// `namespace/name`, for people only: never compared.
    pub label: String,
}

impl Mark {
    /// Whether both marks name the same object of the same cluster.
    pub fn same(&self, other: &Mark) -> bool {
        self.cluster == other.cluster && self.owner == other.owner
    }
}

/// `golive/<cluster>/<owner> <namespace>/<name>`: the form for vendors with one line of comment.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "golive/{}/{} {}", self.cluster, self.owner, self.label)
    }
}

impl std::str::FromStr for Mark {
    type Err = ();

    /// Reads a mark back; what does not have its form is somebody else's comment.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (token, label) = text.split_once(' ').unwrap_or((text, ""));
        let mut parts = token.split('/');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some("golive"), Some(cluster), Some(owner), None) if !cluster.is_empty() && !owner.is_empty() => {
                Ok(Mark { cluster: cluster.into(), owner: owner.into(), label: label.into() })
            }
            _ => Err(()),
        }
    }
}

/// A row as a vendor holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Held<T> {
    /// The vendor's id of the row.
    pub id: Id,
    /// Whose it is; `None` is a stranger's.
    pub mark: Option<Mark>,
    /// The data.
    pub row: T,
}

impl<T> Held<T> {
    /// Whether this row belongs to the object of `mark`.
    pub fn is_of(&self, mark: &Mark) -> bool {
        self.mark.as_ref().is_some_and(|m| m.same(mark))
    }
}

/// What a vendor says of a new row.
#[derive(Clone, Debug)]
pub struct Created {
    /// The vendor's id of the row.
    pub id: Id,
    /// A secret that the vendor shows this once.
    pub secret: Option<SecretString>,
}

/// One step that makes a remote table agree with what is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<T> {
    /// Make a new row.
    Create(T),
    /// Give this row this data (and our mark).
    Update(Id, T),
    /// Remove this row.
    Delete(Id),
}

/// Data of one remote table.
pub trait Row: Clone + PartialEq + fmt::Debug + Send + Sync {
    /// Rows of one key are alternatives: one of ours is changed into another rather than deleted and made anew.
    type Key: Ord + fmt::Display;

    /// The natural key.
    fn key(&self) -> Self::Key;

    /// Whether this row may not stand beside that one of a stranger.
    fn bars(&self, _stranger: &Self) -> bool {
        false
    }

    /// Whether that other row of ours stays as it is where a stranger's row bars this one.
    fn goes_with(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

/// A row to be made: whose it will be, and a key under which a repeated request has one effect
/// (where the vendor knows such keys).
#[derive(Debug)]
pub struct Draft<'a, T> {
    /// The data.
    pub row: &'a T,
    /// Whose it will be.
    pub mark: &'a Mark,
    /// The idempotency key, stored by the caller before the call.
    pub key: &'a str,
}

/// Drafts are references: they are copied whether or not their rows can be, which a derived `Copy` would ask for.
impl<T> Clone for Draft<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Draft<'_, T> {}

/// A remote table of rows, some of which are ours. Every call may be repeated.
#[allow(async_fn_in_trait)]
pub trait Provider<T: Row>: Send + Sync {
    /// All rows, ours and others', complete: a page that fails fails the whole.
    fn list(&self) -> impl Future<Output = Result<Vec<Held<T>>, Fault>> + Send;
    /// Makes a row.
    fn create(&self, draft: Draft<'_, T>) -> impl Future<Output = Result<Created, Fault>> + Send;
    /// Gives a row new data and our mark.
    fn update(&self, id: &Id, draft: Draft<'_, T>) -> impl Future<Output = Result<(), Fault>> + Send;
    /// Removes a row; `Ok` if it is gone already.
    fn delete(&self, id: &Id) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// A zone of DNS that an account holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The vendor's id.
    pub id: Id,
    /// The zone's name, lower case, without a dot at the end.
    pub name: String,
    /// The zone's own name servers: who is asked whether a record is out.
    pub name_servers: Vec<String>,
}

/// Whether a zone of this name has room for a host.
pub fn is_within(host: &str, zone: &str) -> bool {
    host == zone || host.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'))
}

/// The types of records that golive writes; others are read and kept as they are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Alias.
    Cname,
    /// Text.
    Txt,
    /// Any other type, by its name.
    Other(String),
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordType::A => "A",
            RecordType::Aaaa => "AAAA",
            RecordType::Cname => "CNAME",
            RecordType::Txt => "TXT",
            RecordType::Other(name) => name,
        })
    }
}

impl From<&str> for RecordType {
    fn from(name: &str) -> Self {
        match name {
            "A" => RecordType::A,
            "AAAA" => RecordType::Aaaa,
            "CNAME" => RecordType::Cname,
            "TXT" => RecordType::Txt,
            other => RecordType::Other(other.into()),
        }
    }
}

/// A DNS record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The full name, lower case, without a dot at the end.
    pub name: String,
    /// Its type.
    pub kind: RecordType,
    /// Address, alias or text (without quotes).
    pub content: String,
    /// Whether the vendor's edge stands before the origin.
    pub proxied: bool,
    /// Seconds; 1 means automatic.
    pub ttl: u32,
}

impl Row for Record {
    type Key = String;

    fn key(&self) -> String {
        format!("{} {}", self.name, self.kind)
    }

    /// An alias stands alone at its name; a stranger's address of the same type would share our traffic.
    fn bars(&self, stranger: &Self) -> bool {
        let routes = |kind: &RecordType| matches!(kind, RecordType::A | RecordType::Aaaa | RecordType::Cname);
        let alias = self.kind == RecordType::Cname || stranger.kind == RecordType::Cname;
        self.name == stranger.name
            && routes(&self.kind)
            && routes(&stranger.kind)
            && (alias || self.kind == stranger.kind)
    }

    /// Half of a name's rows would lead half of its visitors elsewhere.
    fn goes_with(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxied = if self.proxied { " (proxied)" } else { "" };
        write!(f, "{} {} {}{proxied}", self.name, self.kind, self.content)
    }
}

/// A Stripe webhook endpoint (v1, snapshot events).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Which of the object's webhooks this is: its `secretEnv`.
    pub slot: String,
    /// Where events are delivered.
    pub url: String,
    /// The event names.
    pub events: BTreeSet<String>,
    /// The version of the API that events follow; immutable. `None`: the account's default.
    pub api_version: Option<String>,
    /// Whether events are delivered.
    pub enabled: bool,
    /// The idempotency key under which it was made, kept as metadata: a create whose answer was lost is found by it.
    pub attempt: String,
}

impl Row for Endpoint {
    type Key = String;

    fn key(&self) -> String {
        format!("{} {}", self.slot, self.attempt)
    }
}

/// An uptime monitor over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// The name that people see.
    pub name: String,
    /// The address that is asked.
    pub url: String,
    /// Seconds between two checks.
    pub every_seconds: u32,
    /// Seconds of failure before contacts are told.
    pub alert_after_seconds: u32,
}

/// An object has one monitor in an account: whatever changes, it keeps its history.
impl Row for Monitor {
    type Key = &'static str;

    fn key(&self) -> &'static str {
        "monitor"
    }
}

impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} every {} s", self.url, self.every_seconds)
    }
}

/// A Sentry project with the client key that is ours in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// The project's slug: unique in its organization.
    pub slug: String,
    /// The public DSN of our key; `None` until it is made.
    pub dsn: Option<String>,
}

impl Row for Project {
    type Key = String;

    fn key(&self) -> String {
        self.slug.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_a_mark_only_where_it_names_a_cluster_and_an_owner() {
        let mark = Mark { cluster: "c".into(), owner: "o".into(), label: "n/app".into() };
        assert_eq!(mark.to_string().parse(), Ok(mark));
        for text in
            ["golive//o n/app", "golive/c/ n/app", "golive// n/app", "golive/c n/app", "golive/c/o/x", "made/c/o"]
        {
            assert_eq!(text.parse::<Mark>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_strangers_address_bars_ours_of_its_type_and_an_alias_all_at_its_name() {
        let record = |kind: &str| Record {
            name: "app.example.org".into(),
            kind: kind.into(),
            content: String::new(),
            proxied: false,
            ttl: 1,
        };
        for (ours, theirs) in [("A", "A"), ("AAAA", "AAAA"), ("A", "CNAME"), ("CNAME", "AAAA"), ("CNAME", "CNAME")] {
            assert!(record(ours).bars(&record(theirs)), "{ours} {theirs}");
        }
        for (ours, theirs) in [("A", "AAAA"), ("AAAA", "A"), ("A", "TXT"), ("TXT", "TXT"), ("CNAME", "MX")] {
            assert!(!record(ours).bars(&record(theirs)), "{ours} {theirs}");
        }
    }

    #[test]
    fn a_webhook_is_changed_into_no_other_and_into_none_that_follows_it() {
        let endpoint = |slot: &str, attempt: &str| Endpoint {
            slot: slot.into(),
            url: String::new(),
            events: BTreeSet::new(),
            api_version: None,
            enabled: true,
            attempt: attempt.into(),
        };
        let moved = Endpoint { url: "https://app.example.org".into(), ..endpoint("HOOK", "1") };
        assert_eq!(endpoint("HOOK", "1").key(), moved.key());
        assert_ne!(endpoint("HOOK", "1").key(), endpoint("HOOK", "2").key());
        assert_ne!(endpoint("HOOK", "1").key(), endpoint("OTHER", "1").key());
    }

    #[test]
    fn a_project_that_is_named_otherwise_is_another_one() {
        let project = |slug: &str, dsn: Option<&str>| Project { slug: slug.into(), dsn: dsn.map(str::to_owned) };
        assert_eq!(project("app", None).key(), project("app", Some("https://k@sentry.example.com/1")).key());
        assert_ne!(project("app", None).key(), project("other", None).key());
    }
}
