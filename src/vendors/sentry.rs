//! Sentry: projects and their client keys. <https://docs.sentry.io/api/projects/>
//!
//! A project has no field for a mark, so ours is the name of our client key in it; and the name of a project that golive
//! made, from its first moment on (people see projects by their slug). Only such a project is ever removed whole.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::transport::{Access, Call, Limit, Reply, Scheme, Transport};
use crate::fault::{Fault, Seen};
use crate::rows::{Created, Draft, Held, Id, Mark, Project, Provider};

const BASE: &str = "https://sentry.io";
/// Sentry publishes its limits per answer only; this stays below all that were seen.
const LIMIT: Limit = Limit { per_second: 5.0, burst: 20.0 };
/// The longest name of a project, and of a key.
const NAMES: (usize, usize) = (50, 64);

impl Access {
    /// Sentry, by auth token; its organization and team are to be added.
    pub fn sentry(account: &str, endpoint: Option<&str>, token: SecretString, roots: Option<String>) -> Self {
        Access {
            vendor: "Sentry",
            account: account.to_owned(),
            base: format!("{}/api/0", endpoint.unwrap_or(BASE).trim_end_matches('/').trim_end_matches("/api/0")),
            credential: token,
            scheme: Scheme::Bearer,
            roots,
            limit: LIMIT,
            told: |_| None,
            explain: |body| {
                body["detail"].as_str().map(str::to_owned).or_else(|| body.as_object().map(|_| body.to_string()))
            },
            is_quota: |_| false,
            scope: Vec::new(),
        }
    }

    /// Of all that the token can see the projects of this organization's team.
    pub fn of_team(mut self, organization: &str, team: &str) -> Self {
        self.scope = vec![organization.to_owned(), team.to_owned()];
        self
    }
}

#[derive(Deserialize)]
struct WireProject {
    slug: String,
    #[serde(default)]
    id: Value,
    #[serde(default)]
    name: Option<String>,
}

impl WireProject {
    /// For whom golive made it; `None`: somebody else did.
    fn mark(&self) -> Option<Mark> {
        self.name.as_deref()?.parse().ok()
    }

    fn is_of(&self, mark: &Mark) -> bool {
        self.mark().is_some_and(|made| made.same(mark))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireKey {
    id: String,
    #[serde(default)]
    project_id: Value,
    name: String,
    dsn: WireDsn,
}

#[derive(Deserialize)]
struct WireDsn {
    public: String,
}

fn is_of(name: &str, mark: &Mark) -> bool {
    name.parse::<Mark>().is_ok_and(|m| m.same(mark))
}

fn cut(mark: &Mark, most: usize) -> String {
    mark.to_string().chars().take(most).collect()
}

/// The projects of one team.
pub struct Projects<'a> {
    /// How requests are made.
    pub transport: &'a Transport,
    /// The account.
    pub access: &'a Access,
}

impl Projects<'_> {
    fn place(&self) -> (&str, &str) {
        let part = |at: usize| self.access.scope.get(at).map(String::as_str).unwrap_or_default();
        (part(0), part(1))
    }

    async fn send(&self, method: Method, path: String, body: Option<Value>) -> Seen<Reply> {
        let call = Call::new(method, path);
        self.transport.send(self.access, body.into_iter().fold(call, Call::json)).await
    }

    fn team_path(&self) -> String {
        let (organization, team) = self.place();
        format!("/teams/{organization}/{team}/projects/")
    }

    fn project_path(&self, slug: &str) -> String {
        format!("/projects/{}/{slug}/", self.place().0)
    }

    fn keys_path(&self, slug: &str) -> String {
        format!("{}keys/", self.project_path(slug))
    }

    /// All pages of a list: <https://docs.sentry.io/api/pagination/>. `None`: there is no such list.
    async fn pages_if_any<T: DeserializeOwned>(&self, path: &str) -> Seen<Option<Vec<T>>> {
        let (mut rows, mut page, mut seen) = (Vec::new(), path.to_owned(), BTreeSet::new());
        let join = if path.contains('?') { '&' } else { '?' };
        loop {
            if !seen.insert(page.clone()) {
                return Err(Fault::Unreachable(format!("{} lists the same page again and again", self.access.name())));
            }
            let reply = self.send(Method::GET, page, None).await?;
            if reply.is_gone() {
                return Ok(None);
            }
            let reply = reply.good(self.access)?;
            rows.append(&mut reply.json::<Vec<T>>(self.access)?);
            match reply.header("link").map_or(Next::None, next) {
                Next::Cursor(cursor) => page = format!("{path}{join}cursor={cursor}"),
                Next::None => return Ok(Some(rows)),
                Next::Unknown => {
                    let name = self.access.name();
                    return Err(Fault::Unreachable(format!("{name} names a next page that cannot be asked for")));
                }
            }
        }
    }

    async fn projects(&self) -> Seen<Vec<WireProject>> {
        let (organization, team) = self.place();
        let none = || format!("{} has no team `{team}` in organization `{organization}`", self.access.name());
        self.pages_if_any(&self.team_path()).await?.ok_or_else(|| Fault::Rejected(none()))
    }

    async fn keys(&self, slug: &str) -> Seen<Vec<WireKey>> {
        let lost =
            || Fault::Lost(format!("{} no longer has {slug}: its projects are listed again", self.access.name()));
        self.pages_if_any(&self.keys_path(slug)).await?.ok_or_else(lost)
    }

    /// The keys of all projects of the team in one list, so that reads do not grow with projects. Older servers have no
    /// such list, and a token may reach projects only: then each project is asked.
    async fn keys_of(&self, projects: &[WireProject]) -> Seen<Vec<WireKey>> {
        let (organization, team) = self.place();
        let path = format!("/organizations/{organization}/project-keys/?team={team}");
        match self.pages_if_any(&path).await {
            Ok(Some(keys)) => return Ok(keys),
            Ok(None) | Err(Fault::Denied(_)) => {}
            Err(fault) => return Err(fault),
        }
        let mut all = Vec::new();
        for project in projects {
            let keys = self.keys(&project.slug).await?;
            all.extend(keys.into_iter().map(|key| WireKey { project_id: project.id.clone(), ..key }));
        }
        Ok(all)
    }

    /// Whether the project of that slug was made by golive for this mark. `None`: there is no such project.
    async fn is_ours(&self, slug: &str, mark: &Mark) -> Seen<Option<bool>> {
        let reply = self.send(Method::GET, self.project_path(slug), None).await?;
        if reply.is_gone() {
            return Ok(None);
        }
        let project: WireProject = reply.good(self.access)?.json(self.access)?;
        Ok(Some(project.is_of(mark)))
    }

    /// Whether the project of that slug in the team was made by golive for this mark. `None`: the team has none.
    async fn is_ours_in_team(&self, slug: &str, mark: &Mark) -> Seen<Option<bool>> {
        let projects = self.projects().await?;
        Ok(projects.iter().find(|project| project.slug == slug).map(|project| project.is_of(mark)))
    }

    /// Makes the project; says whether it is ours. One of that slug may be there: ours from before a crash or a lost
    /// answer, or a stranger's. A slug is unique in the organization, and lists show the team's projects alone: in one
    /// that another team has a key of ours would be neither found again nor removed, so that it is left alone.
    async fn make(&self, slug: &str, mark: &Mark) -> Seen<bool> {
        let body = json!({"name": cut(mark, NAMES.0), "slug": slug, "platform": "other"});
        let reply = self.send(Method::POST, self.team_path(), Some(body)).await;
        let is_taken = reply.as_ref().is_ok_and(|reply| reply.status == 409);
        match reply.and_then(|reply| reply.good(self.access)) {
            Ok(_) => Ok(true),
            Err(lost @ Fault::Lost(_)) => match self.is_ours_in_team(slug, mark).await {
                Ok(Some(ours)) => Ok(ours),
                Ok(None) if is_taken => Err(self.taken(slug)),
                _ => Err(lost),
            },
            Err(fault) => Err(fault),
        }
    }

    fn taken(&self, slug: &str) -> Fault {
        let (name, (organization, team)) = (self.access.name(), self.place());
        Fault::Rejected(format!(
            "{name} has a project `{slug}` in organization `{organization}` that is not one of team `{team}`, and golive \
             leaves it alone: give it to this team as well, or change its slug"
        ))
    }

    /// Marks a key of a project as ours: in a project that we made its default key, in somebody's a further one.
    async fn mark_key(&self, slug: &str, mark: &Mark, made: bool) -> Seen<WireKey> {
        let keys = self.keys(slug).await?;
        let (ours, free): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| is_of(&key.name, mark));
        if let Some(key) = ours.into_iter().next() {
            return Ok(key);
        }
        let name = json!({"name": cut(mark, NAMES.1)});
        let free = free.into_iter().find(|key| made && key.name.parse::<Mark>().is_err());
        let reply = match free {
            Some(key) => self.send(Method::PUT, format!("{}{}/", self.keys_path(slug), key.id), Some(name)).await?,
            None => self.send(Method::POST, self.keys_path(slug), Some(name)).await?,
        };
        reply.good(self.access)?.json(self.access)
    }

    async fn remove(&self, path: String) -> Seen<()> {
        super::deleted(self.access, self.send(Method::DELETE, path, None).await?)
    }
}

/// What follows a page of a list.
#[derive(Debug, PartialEq)]
enum Next<'a> {
    /// Nothing: the list is whole.
    None,
    /// A page with results.
    Cursor(&'a str),
    /// A page with results, of which the header does not say how to ask for it: the list is not whole.
    Unknown,
}

/// The next page, if the header says that there are results on it.
fn next(link: &str) -> Next<'_> {
    let is_next = |part: &&str| part.contains("rel=\"next\"") && part.contains("results=\"true\"");
    let Some(next) = link.split(',').find(is_next) else { return Next::None };
    let cursor = next.split_once("cursor=\"").and_then(|(_, rest)| rest.split('"').next());
    let is_plain = |cursor: &&str| cursor.chars().all(|c| c.is_ascii_alphanumeric() || ":-_.".contains(c));
    cursor.filter(|cursor| !cursor.is_empty()).filter(is_plain).map_or(Next::Unknown, Next::Cursor)
}

/// Projects are numbered in text, and their keys name them in figures.
fn number(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

/// A row for each marked key of a project; one without a DSN if there is none. Such a project is ours where golive made
/// it and did not come to naming its key, or where somebody took the key away: it is to be completed, or removed whole.
fn held(project: &WireProject, keys: &[WireKey]) -> Vec<Held<Project>> {
    let row = |id: String, mark, dsn| Held { id: Id(id), row: Project { slug: project.slug.clone(), dsn }, mark };
    let named = |key: &WireKey| format!("{}/{}", project.slug, key.id);
    let marked = keys.iter().filter_map(|key| Some((key, key.name.parse::<Mark>().ok()?)));
    let marked: Vec<_> = marked.map(|(key, mark)| row(named(key), Some(mark), Some(key.dsn.public.clone()))).collect();
    if !marked.is_empty() {
        return marked;
    }
    vec![row(keys.first().map_or_else(|| project.slug.clone(), named), project.mark(), None)]
}

/// A row's id: the project's slug and the key's id.
fn parts(id: &Id) -> (&str, &str) {
    id.0.split_once('/').unwrap_or((&id.0, ""))
}

impl Provider<Project> for Projects<'_> {
    async fn list(&self) -> Seen<Vec<Held<Project>>> {
        let projects = self.projects().await?;
        let mut keys: BTreeMap<String, Vec<WireKey>> = BTreeMap::new();
        for key in self.keys_of(&projects).await? {
            keys.entry(number(&key.project_id)).or_default().push(key);
        }
        let none = Vec::new();
        Ok(projects.iter().flat_map(|project| held(project, keys.get(&number(&project.id)).unwrap_or(&none))).collect())
    }

    async fn create(&self, draft: Draft<'_, Project>) -> Seen<Created> {
        let slug = &draft.row.slug;
        let made = self.make(slug, draft.mark).await?;
        let key = self.mark_key(slug, draft.mark, made).await?;
        Ok(Created { id: Id(format!("{slug}/{}", key.id)), secret: None })
    }

    async fn update(&self, id: &Id, draft: Draft<'_, Project>) -> Seen<()> {
        let slug = parts(id).0;
        let lost =
            || Fault::Lost(format!("{} no longer has {slug}: its projects are listed again", self.access.name()));
        let made = self.is_ours(slug, draft.mark).await?.ok_or_else(lost)?;
        self.mark_key(slug, draft.mark, made).await.map(|_| ())
    }

    /// Removes a project that golive made and that holds nothing but this key; from any other only this key.
    async fn delete(&self, id: &Id) -> Seen<()> {
        let (slug, key) = parts(id);
        let reply = self.send(Method::GET, self.project_path(slug), None).await?;
        if reply.is_gone() {
            return Ok(());
        }
        let project: WireProject = reply.good(self.access)?.json(self.access)?;
        let alone = self.keys(slug).await?.iter().all(|k| k.id == key);
        let whole = alone && project.mark().is_some();
        self.remove(if whole { self.project_path(slug) } else { format!("{}{key}/", self.keys_path(slug)) }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_the_one_with_results() {
        let link = |results: &str| {
            format!(
                "<https://x/?&cursor=100:-1:1>; rel=\"previous\"; results=\"false\"; cursor=\"100:-1:1\", \
                <https://x/?&cursor=100:1:0>; rel=\"next\"; results=\"{results}\"; cursor=\"100:1:0\""
            )
        };
        assert_eq!(next(&link("true")), Next::Cursor("100:1:0"));
        assert_eq!(next(&link("false")), Next::None);
        assert_eq!(next("<x>; rel=\"next\"; results=\"true\"; cursor=\"1&evil=1\""), Next::Unknown);
        assert_eq!(next("<x>; rel=\"next\"; results=\"true\""), Next::Unknown);
    }
}
