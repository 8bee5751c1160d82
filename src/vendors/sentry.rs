//! Sentry: projects and their client keys. <https://docs.sentry.io/api/projects/>
//!
//! A project has no field for a mark, so ownership is the name of its client key.

use reqwest::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::transport::{Access, Call, Limit, Scheme, Transport};
use crate::fault::{Fault, Seen};
use crate::rows::{Created, Draft, Held, Id, Mark, Project, Provider};

const BASE: &str = "https://sentry.io";
/// Sentry publishes its limits per answer only; this stays below all that were seen.
const LIMIT: Limit = Limit { per_second: 5.0, burst: 20.0 };
/// Projects on one page.
const PAGE: usize = 100;

impl Access {
    /// A Sentry organization and team, by auth token.
    pub fn sentry(
        account: &str,
        endpoint: Option<&str>,
        token: SecretString,
        place: (&str, &str),
        roots: Option<String>,
    ) -> Self {
        Access {
            vendor: "Sentry",
            account: account.to_owned(),
            base: format!("{}/api/0", endpoint.unwrap_or(BASE).trim_end_matches('/').trim_end_matches("/api/0")),
            credential: token,
            scheme: Scheme::Bearer,
            roots,
            limit: LIMIT,
            explain: |body| {
                body["detail"].as_str().map(str::to_owned).or_else(|| body.as_object().map(|_| body.to_string()))
            },
            scope: vec![place.0.to_owned(), place.1.to_owned()],
        }
    }
}

#[derive(Deserialize)]
struct WireProject {
    slug: String,
}

#[derive(Deserialize)]
struct WireKey {
    id: String,
    name: String,
    dsn: WireDsn,
}

#[derive(Deserialize)]
struct WireDsn {
    public: String,
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

    async fn call(&self, method: Method, path: String, body: Option<Value>) -> Seen<super::transport::Reply> {
        let call = Call::new(method, path);
        self.transport.call(self.access, body.into_iter().fold(call, Call::json)).await
    }

    fn keys_path(&self, slug: &str) -> String {
        format!("/projects/{}/{slug}/keys/", self.place().0)
    }

    async fn keys(&self, slug: &str) -> Seen<Vec<WireKey>> {
        self.call(Method::GET, self.keys_path(slug), None).await?.json(self.access)
    }

    async fn slugs(&self) -> Seen<Vec<String>> {
        let (organization, team) = self.place();
        let mut slugs: Vec<String> = Vec::new();
        loop {
            let path = format!("/teams/{organization}/{team}/projects/?per_page={PAGE}&cursor=0:{}:0", slugs.len());
            let page: Vec<WireProject> = self.call(Method::GET, path, None).await?.json(self.access)?;
            let (got, before) = (page.len(), slugs.len());
            slugs.extend(page.into_iter().map(|project| project.slug));
            slugs.dedup();
            if got < PAGE || slugs.len() == before {
                return Ok(slugs);
            }
        }
    }

    /// Marks a key of a project as ours: in a project that we made its default key, in somebody's a further one.
    async fn mark_key(&self, slug: &str, mark: &Mark, made: bool) -> Seen<()> {
        let keys = self.keys(slug).await?;
        if keys.iter().any(|key| key.name.parse::<Mark>().is_ok_and(|m| m.same(mark))) {
            return Ok(());
        }
        let name = json!({"name": mark.to_string().chars().take(64).collect::<String>()});
        match keys.first().filter(|_| made) {
            Some(key) => self.call(Method::PUT, format!("{}{}/", self.keys_path(slug), key.id), Some(name)).await,
            None => self.call(Method::POST, self.keys_path(slug), Some(name)).await,
        }
        .map(|_| ())
    }
}

impl Provider<Project> for Projects<'_> {
    async fn list(&self) -> Seen<Vec<Held<Project>>> {
        let mut rows = Vec::new();
        for slug in self.slugs().await? {
            let keys = self.keys(&slug).await?;
            let ours = keys.iter().find_map(|key| Some((key.name.parse::<Mark>().ok()?, key.dsn.public.clone())));
            let (mark, dsn) = ours.map_or((None, None), |(mark, dsn)| (Some(mark), Some(dsn)));
            rows.push(Held { id: Id(slug.clone()), mark, row: Project { slug, dsn } });
        }
        Ok(rows)
    }

    async fn create(&self, draft: Draft<'_, Project>) -> Seen<Created> {
        let (organization, team) = self.place();
        let slug = &draft.row.slug;
        let body = json!({"name": slug, "slug": slug, "platform": "other"});
        let made = match self.call(Method::POST, format!("/teams/{organization}/{team}/projects/"), Some(body)).await {
            Ok(_) => true,
            // 409: a project of that slug is there already. It may be ours from before a crash, or a stranger's.
            Err(Fault::Lost(_)) => self.keys(slug).await?.len() == 1,
            Err(fault) => return Err(fault),
        };
        self.mark_key(slug, draft.mark, made).await?;
        Ok(Created { id: Id(slug.clone()), secret: None })
    }

    async fn update(&self, id: &Id, draft: Draft<'_, Project>) -> Seen<()> {
        self.mark_key(&id.0, draft.mark, false).await
    }

    /// Removes a project that holds nothing but our key; from somebody's project only our key.
    async fn delete(&self, id: &Id) -> Seen<()> {
        let keys = match self.keys(&id.0).await {
            Err(Fault::Rejected(_)) => return Ok(()),
            keys => keys?,
        };
        let (ours, others): (Vec<_>, Vec<_>) = keys.iter().partition(|key| key.name.parse::<Mark>().is_ok());
        if others.is_empty() {
            let path = format!("/projects/{}/{id}/", self.place().0);
            return super::gone_is_fine(self.call(Method::DELETE, path, None).await);
        }
        for key in ours {
            super::gone_is_fine(
                self.call(Method::DELETE, format!("{}{}/", self.keys_path(&id.0), key.id), None).await,
            )?;
        }
        Ok(())
    }
}
