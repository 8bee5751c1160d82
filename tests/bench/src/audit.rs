//! Who asked the API server for what, by its audit log.
//! <https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/>

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Result;

/// Verbs that change nothing.
const READS: [&str; 3] = ["get", "list", "watch"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    user: User,
    verb: String,
    #[serde(default)]
    object_ref: Option<Object>,
    #[serde(default)]
    response_status: Option<Status>,
    #[serde(rename = "requestURI", default)]
    uri: String,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    resource: String,
    #[serde(default)]
    subresource: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

/// A place in the log: what follows it belongs to what is measured now.
pub struct Audit {
    file: PathBuf,
    from: u64,
}

/// Requests of one user, by verb and resource.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// How many, by `verb resource`.
    pub by: BTreeMap<String, usize>,
    /// Answers 409 and 429.
    pub refused: usize,
}

impl Requests {
    /// All of them but watches, which last.
    pub fn all(&self) -> usize {
        self.reads() + self.writes()
    }

    /// Those that read; a lease is looked at and renewed whatever the fleet does.
    pub fn reads(&self) -> usize {
        self.of(|verb| READS.contains(&verb) && verb != "watch")
    }

    /// Those that write.
    pub fn writes(&self) -> usize {
        self.of(|verb| !READS.contains(&verb))
    }

    fn of(&self, wanted: impl Fn(&str) -> bool) -> usize {
        let verb = |key: &str| key.split(' ').next().unwrap_or_default().to_owned();
        let counted = self.by.iter().filter(|(key, _)| !key.ends_with(" leases") && wanted(&verb(key)));
        counted.map(|(_, count)| count).sum()
    }
}

impl Audit {
    /// Counts from now on.
    pub fn begin(file: &Path) -> Result<Self> {
        Ok(Audit { file: file.to_owned(), from: std::fs::metadata(file)?.len() })
    }

    /// What a user asked since.
    pub fn of(&self, user: &str) -> Result<Requests> {
        let mut log = File::open(&self.file)?;
        log.seek(SeekFrom::Start(self.from))?;
        let wanted = format!("system:serviceaccount:golive-system:{user}");
        let mut requests = Requests::default();
        for line in BufReader::new(log).lines() {
            let line = line?;
            if line.contains(&wanted) {
                requests.take(&serde_json::from_str(&line)?, &wanted);
            }
        }
        Ok(requests)
    }
}

impl Requests {
    fn take(&mut self, entry: &Entry, wanted: &str) {
        if entry.user.username != wanted {
            return;
        }
        let object = entry.object_ref.as_ref();
        let resource = object.map(|o| o.resource.as_str()).unwrap_or("none");
        let sub = object.map(|o| o.subresource.as_str()).filter(|sub| !sub.is_empty());
        // A list of one name is a look at one object.
        let names = entry.verb == "list" && entry.uri.contains("fieldSelector=metadata.name%3D");
        let verb = if names { "get" } else { entry.verb.as_str() };
        let key = match sub {
            Some(sub) => format!("{verb} {resource}/{sub}"),
            None => format!("{verb} {resource}"),
        };
        *self.by.entry(key).or_default() += 1;
        let code = entry.response_status.as_ref().map_or(0, |status| status.code);
        self.refused += usize::from(code == 409 || code == 429);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_asked_users_requests_since_the_mark_are_counted() {
        let file = std::env::temp_dir().join(format!("audit-{}", std::process::id()));
        let line = |user: &str, verb: &str, resource: &str| {
            format!(
                r#"{{"user":{{"username":"system:serviceaccount:golive-system:{user}"}},"verb":"{verb}","objectRef":{{"resource":"{resource}"}},"responseStatus":{{"code":200}}}}"#
            ) + "\n"
        };
        std::fs::write(&file, line("golive", "get", "pods")).unwrap();
        let audit = Audit::begin(&file).unwrap();
        let named = line("golive", "list", "pods")
            .replace("{\"user\"", "{\"requestURI\":\"/api/v1/pods?fieldSelector=metadata.name%3Dp\",\"user\"");
        let later = [
            named,
            line("golive", "patch", "services"),
            line("floor", "patch", "services"),
            line("golive", "update", "leases"),
        ];
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &later.concat()).unwrap();
        let requests = audit.of("golive").unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((requests.writes(), requests.reads()), (1, 1));
        assert_eq!(requests.by["get pods"], 1, "{:?}", requests.by);
    }
}
