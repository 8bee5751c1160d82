//! Sentry's API for projects and client keys: <https://docs.sentry.io/api/projects/>.

mod project;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::clock::Moment;
use crate::config::SentrySeed;
use crate::gate::{Headers, Vendor};
use crate::ids::Ids;
use crate::limits::{Limit, Windows};
use crate::message::{Request, Response};
pub use project::Project;

/// Sentry publishes no number, only the headers: <https://docs.sentry.io/api/ratelimits/>.
const RATE: Limit = Limit::per_second(40);

/// One organization with one team from the start.
#[derive(Clone, Serialize, Deserialize)]
pub struct State {
    ids: Ids,
    tokens: BTreeSet<String>,
    organization: String,
    team: String,
    /// Teams that were made later.
    #[serde(default)]
    more: Vec<String>,
    pub projects: Vec<Project>,
    #[serde(skip)]
    windows: Windows,
}

/// An answer that is no success: status and body.
type Problem = (u16, Value);
type Outcome = Result<Response, Problem>;
type Body = Map<String, Value>;

fn not_found() -> Problem {
    (404, json!({"detail": "The requested resource does not exist"}))
}

impl State {
    /// An organization without tokens.
    pub fn new(entropy: &str) -> Self {
        let ids = Ids::new(&format!("sentry/{entropy}"));
        let (organization, team) = ("acme".into(), "platform".into());
        let (more, projects) = (Vec::new(), Vec::new());
        Self { ids, tokens: BTreeSet::new(), organization, team, more, projects, windows: Windows::default() }
    }

    /// Adds the seed's tokens.
    pub fn sow(&mut self, seed: &SentrySeed) {
        self.tokens.extend(seed.tokens.clone());
        if !seed.organization.is_empty() {
            self.organization.clone_from(&seed.organization);
        }
        if !seed.team.is_empty() {
            self.team.clone_from(&seed.team);
        }
    }

    fn route(&mut self, now: Moment, request: &Request) -> Outcome {
        let segments = request.segments();
        let Some(["api", "0", kind, organization, rest @ ..]) = segments.get(..) else { return Err(not_found()) };
        if !request.path.ends_with('/') || *organization != self.organization {
            return Err(not_found());
        }
        match (request.method.as_str(), *kind, rest) {
            ("GET", "organizations", []) => Ok(Response::json(200, &self.shown_organization())),
            ("GET", "organizations", ["projects"]) => Ok(self.list(None)),
            ("GET", "organizations", ["project-keys"]) => Ok(self.list_keys(request.param("team"))),
            ("POST", "organizations", ["teams"]) => self.create_team(request),
            ("GET", "teams", [team, "projects"]) => self.team(team).map(|()| self.list(Some(team))),
            ("POST", "teams", [team, "projects"]) => self.team(team).and_then(|()| self.create(now, team, request)),
            (_, "projects", [slug, rest @ ..]) => self.project(now, (slug, rest), request),
            _ => Err(not_found()),
        }
    }

    fn team(&self, team: &str) -> Result<(), Problem> {
        if self.team == team || self.more.iter().any(|known| known == team) { Ok(()) } else { Err(not_found()) }
    }

    fn team_of<'a>(&'a self, project: &'a Project) -> &'a str {
        project.team.as_deref().unwrap_or(&self.team)
    }

    /// <https://docs.sentry.io/api/teams/create-a-new-team/>
    fn create_team(&mut self, request: &Request) -> Outcome {
        let slug = project::slug(&object(request)?)?.ok_or((400, json!({"slug": ["This field is required."]})))?;
        if self.team(&slug).is_ok() {
            return Err((409, json!({"detail": "A team with this slug already exists."})));
        }
        self.more.push(slug.clone());
        Ok(Response::json(201, &self.shown_team(&slug)))
    }

    fn list(&self, team: Option<&str>) -> Response {
        let projects = self.projects.iter().filter(|project| team.is_none_or(|team| self.team_of(project) == team));
        let rows: Vec<Value> = projects.map(|project| self.shown(project)).collect();
        Response::json(200, &json!(rows)).with("link", no_more_pages())
    }

    /// All keys of all projects, or of those of one team.
    fn list_keys(&self, team: Option<&str>) -> Response {
        let projects = self.projects.iter().filter(|project| team.is_none_or(|team| self.team_of(project) == team));
        let rows: Vec<Value> = projects.flat_map(Project::shown_keys).collect();
        Response::json(200, &json!(rows)).with("link", no_more_pages())
    }

    /// A slug is taken once for all teams.
    fn create(&mut self, now: Moment, team: &str, request: &Request) -> Outcome {
        let body = object(request)?;
        let name = project::name(&body, "name", 50)?.ok_or((400, json!({"name": ["This field is required."]})))?;
        let taken = |slug: &str| self.projects.iter().any(|project| project.slug == slug);
        let slug = match project::slug(&body)? {
            Some(slug) if taken(&slug) => {
                return Err((409, json!({"detail": "A project with this slug already exists."})));
            }
            Some(slug) => slug,
            None => project::free_slug(&name, taken),
        };
        let other = (team != self.team).then(|| team.to_owned());
        let mut project = Project::new(&mut self.ids, (other, name, slug), now);
        project.platform = body.get("platform").and_then(Value::as_str).map(String::from);
        let answer = Response::json(201, &self.shown(&project));
        self.projects.push(project);
        Ok(answer)
    }

    fn project(&mut self, now: Moment, (slug, rest): (&str, &[&str]), request: &Request) -> Outcome {
        let place = self.projects.iter().position(|project| project.slug == slug || project.id.to_string() == slug);
        let place = place.ok_or_else(not_found)?;
        match (request.method.as_str(), rest) {
            ("GET", []) => Ok(Response::json(200, &self.shown(&self.projects[place]))),
            ("PUT", []) => {
                self.projects[place].change(&object(request)?)?;
                Ok(Response::json(200, &self.shown(&self.projects[place])))
            }
            ("DELETE", []) => {
                self.projects.remove(place);
                Ok(Response::empty(204))
            }
            (_, ["keys", rest @ ..]) => {
                let (ids, project) = (&mut self.ids, &mut self.projects[place]);
                keys((ids, now), project, rest, request)
            }
            _ => Err(not_found()),
        }
    }

    fn shown(&self, project: &Project) -> Value {
        let team = self.shown_team(self.team_of(project));
        let mut shown = project.shown();
        shown["team"] = team.clone();
        shown["teams"] = json!([team]);
        shown["organization"] = self.shown_organization();
        shown
    }

    fn shown_team(&self, team: &str) -> Value {
        let place = self.more.iter().position(|known| known == team).map_or(1, |place| place + 2);
        json!({"id": place.to_string(), "slug": team, "name": team})
    }

    fn shown_organization(&self) -> Value {
        json!({
            "id": "1", "slug": self.organization, "name": self.organization, "status": {"id": "active", "name": "active"},
            "dateCreated": "2026-01-02T03:04:05.000000Z", "features": [], "access": ["project:admin", "project:write"],
        })
    }
}

fn keys((ids, now): (&mut Ids, Moment), project: &mut Project, rest: &[&str], request: &Request) -> Outcome {
    match (request.method.as_str(), rest) {
        ("GET", []) => Ok(Response::json(200, &json!(project.shown_keys())).with("link", no_more_pages())),
        ("POST", []) => project.add_key(ids, now, &object(request)?).map(|key| Response::json(201, &key)),
        ("GET", [id]) => Ok(Response::json(200, &project.shown_key(id).ok_or_else(not_found)?)),
        ("PUT", [id]) => {
            project.change_key(id, &object(request)?)?.map(|key| Response::json(200, &key)).ok_or_else(not_found)
        }
        ("DELETE", [id]) => project.delete_key(id).then(|| Response::empty(204)).ok_or_else(not_found),
        _ => Err(not_found()),
    }
}

fn object(request: &Request) -> Result<Body, Problem> {
    match request.json() {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err((400, json!({"detail": "JSON parse error"}))),
    }
}

/// <https://docs.sentry.io/api/pagination/>
fn no_more_pages() -> &'static str {
    "<https://sentry.io/api/0/?&cursor=0:0:1>; rel=\"previous\"; results=\"false\"; cursor=\"0:0:1\", <https://sentry.io/api/0/?&cursor=0:100:0>; rel=\"next\"; results=\"false\"; cursor=\"0:100:0\""
}

impl Vendor for State {
    fn handle(&mut self, now: Moment, request: &Request) -> Response {
        let Some(token) = request.credential() else {
            return Response::json(401, &json!({"detail": "Authentication credentials were not provided."}));
        };
        if !self.tokens.contains(&token) {
            return self.refuse(request);
        }
        self.route(now, request).unwrap_or_else(|(status, body)| Response::json(status, &body))
    }

    fn refuse(&mut self, _request: &Request) -> Response {
        Response::json(401, &json!({"detail": "Invalid token"}))
    }

    fn throttle(&mut self, now: Moment, request: &Request) -> Result<Headers, Response> {
        let taken = self.windows.take(&request.credential().unwrap_or_default(), RATE, now);
        let headers: Headers = vec![
            ("x-sentry-rate-limit-limit".into(), RATE.requests.to_string()),
            ("x-sentry-rate-limit-remaining".into(), taken.remaining.to_string()),
            ("x-sentry-rate-limit-reset".into(), now.plus(taken.reset).seconds().to_string()),
        ];
        if taken.admitted {
            return Ok(headers);
        }
        let body = json!({"detail": "You are attempting to use this endpoint too frequently. Limit is 40 requests in 1 seconds"});
        Err(headers.iter().fold(Response::json(429, &body), |answer, (name, value)| answer.with(name, value)))
    }

    fn inventory(&self, stable: bool) -> Value {
        let mut rows: Vec<Value> = self.projects.iter().map(|project| project.row(stable)).collect();
        rows.sort_by_key(Value::to_string);
        json!({"projects": rows})
    }
}
