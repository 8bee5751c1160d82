//! `golive smoke`: asks the public URL what a customer would ask, and compares the answers.

use std::error::Error as _;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode, Url};

use super::budget::{Budget, LATE};
use crate::evidence::{Check, CheckFacts, Evidence, Failure, SmokeFacts, SmokeTask};

/// As much of an answer is read, in bytes.
const BODY: usize = 1 << 20;

/// The longest pause between two tries: a fresh certificate or record may need seconds.
const PAUSE: Duration = Duration::from_secs(5);

/// The system's own authorities, which `SSL_CERT_FILE` would otherwise replace.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Two clients: redirects are followed only where no redirect is expected.
struct Clients {
    base: String,
    following: Client,
    staying: Client,
}

/// Does the task.
pub async fn run(task: SmokeTask, budget: Budget) -> Evidence<SmokeFacts> {
    let started = Instant::now();
    let clients = match Clients::new(&task.base_url) {
        Ok(clients) => clients,
        Err(failure) => return Evidence::failed(failure, None),
    };
    let deadline = budget.within(Duration::from_secs(task.deadline_seconds));
    let mut checks = vec![];
    for check in &task.checks {
        checks.push(clients.insist(check, &deadline, &budget).await);
    }
    judge(SmokeFacts { checks, seconds: started.elapsed().as_secs(), time: Timestamp::now() })
}

fn judge(facts: SmokeFacts) -> Evidence<SmokeFacts> {
    let failed: Vec<_> = facts.checks.iter().filter(|check| !check.ok).collect();
    let Some(first) = failed.first() else { return Evidence::success(facts) };
    let text = format!("{} of {} checks failed; {}: {}", failed.len(), facts.checks.len(), first.name, first.message);
    Evidence::failed(Failure::new("SmokeFailed", text), Some(facts))
}

impl Clients {
    fn new(base_url: &str) -> Result<Self, Failure> {
        let base = base_url.trim_end_matches('/').to_owned();
        let refused = |what: &str| Failure::new("TaskInvalid", format!("the URL {base} cannot be asked: {what}"));
        let url = Url::parse(&base).map_err(|error| refused(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(refused("it needs http or https, and a host"));
        }
        // Only the first choice counts; the same one made elsewhere in the process is as good.
        let _already_chosen = rustls::crypto::ring::default_provider().install_default();
        let build = |policy| client(policy).map_err(|error| refused(&chain(&error)));
        Ok(Clients { following: build(Policy::custom(same_host))?, staying: build(Policy::none())?, base })
    }

    /// Tries until the expected answer comes or the deadline is over; once in any case, unless the job is stopped.
    async fn insist(&self, check: &Check, deadline: &Budget, budget: &Budget) -> CheckFacts {
        let mut pause = Duration::from_millis(250);
        for attempts in 1.. {
            let facts = self.attempt(check, attempts, budget).await;
            tracing::info!(
                check = check.name,
                ok = facts.ok,
                status = facts.status,
                attempts,
                message = facts.message,
                "asked"
            );
            if facts.ok || !repeatable(check, &facts) || deadline.pause(pause).await.is_err() {
                return facts;
            }
            pause = (pause * 2).min(PAUSE);
        }
        CheckFacts::none(check, "never asked")
    }

    async fn attempt(&self, check: &Check, attempts: u32, budget: &Budget) -> CheckFacts {
        let started = Instant::now();
        let limit = budget.within(Duration::from_secs(check.timeout_seconds));
        let answer = tokio::select! {
            answer = self.ask(check) => answer,
            spent = limit.spent() => Err((None, give_up(check, &spent))),
        };
        let (status, message) = match answer {
            Ok(status) => (Some(status.as_u16()), String::new()),
            Err((status, message)) => (status.map(|status| status.as_u16()), message),
        };
        let (name, ok) = (check.name.clone(), message.is_empty());
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        CheckFacts { name, ok, status, millis, attempts, message }
    }

    async fn ask(&self, check: &Check) -> Result<StatusCode, (Option<StatusCode>, String)> {
        let request = self.request(check).map_err(|message| (None, message))?;
        let answer = request.send().await.map_err(|error| (None, chain(&error.without_url())))?;
        let status = answer.status();
        let told = verdict(check, answer).await;
        told.map(|()| status).map_err(|message| (Some(status), message))
    }

    fn request(&self, check: &Check) -> Result<RequestBuilder, String> {
        let method: Method = check.method.parse().map_err(|_| format!("{} is no HTTP method", check.method))?;
        if !check.path.starts_with('/') {
            return Err(format!("the path {} must start with /", check.path));
        }
        let redirect = check.status.is_some_and(|status| (300..400).contains(&status));
        let client = if redirect { &self.staying } else { &self.following };
        let request = client.request(method, format!("{}{}", self.base, check.path));
        Ok(match &check.json {
            Some(body) => request.json(body),
            None => request,
        })
    }
}

impl CheckFacts {
    fn none(check: &Check, message: &str) -> Self {
        let (name, message) = (check.name.clone(), message.to_owned());
        CheckFacts { name, ok: false, status: None, millis: 0, attempts: 0, message }
    }
}

fn client(policy: Policy) -> reqwest::Result<Client> {
    let agent = concat!("golive-smoke/", env!("CARGO_PKG_VERSION"));
    let mut builder = Client::builder().redirect(policy).user_agent(agent).connect_timeout(Duration::from_secs(5));
    // A missing or odd file leaves the roots that reqwest finds itself.
    for root in
        std::fs::read(SYSTEM_ROOTS).ok().and_then(|pem| Certificate::from_pem_bundle(&pem).ok()).unwrap_or_default()
    {
        builder = builder.add_root_certificate(root);
    }
    builder.build()
}

/// Follows at most five redirects, on the same host, and never from https to http. One that leads elsewhere is the answer;
/// one after the other without an end is none.
fn same_host(attempt: Attempt) -> reqwest::redirect::Action {
    let (from, to) = (attempt.previous().last(), attempt.url());
    let same =
        from.is_some_and(|from| from.host() == to.host() && !(from.scheme() == "https" && to.scheme() == "http"));
    match (same, attempt.previous().len()) {
        (true, ..=5) => attempt.follow(),
        (true, _) => attempt.error("more than five redirects"),
        (false, _) => attempt.stop(),
    }
}

/// Whether the answer is the expected one; else what is wrong with it.
async fn verdict(check: &Check, answer: Response) -> Result<(), String> {
    let status = answer.status();
    if !check.status.map_or(status.as_u16() < 400, |wanted| status.as_u16() == wanted) {
        let wanted = check.status.map_or_else(|| "one below 400".to_owned(), |wanted| wanted.to_string());
        let target = answer.headers().get("location").and_then(|value| value.to_str().ok());
        let hint = target.map(|target| format!(" (to {target}, which is not followed)")).unwrap_or_default();
        return Err(format!("{} {} answered {status}{hint} instead of {wanted}", check.method, check.path));
    }
    let Some(wanted) = &check.contains else { return Ok(()) };
    let body = body(answer).await.map_err(|error| chain(&error.without_url()))?;
    if body.contains(wanted.as_str()) {
        return Ok(());
    }
    Err(format!("{} {} answered {status} without the text {wanted:?}", check.method, check.path))
}

/// The first part of the body.
pub(super) async fn body(mut answer: Response) -> reqwest::Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk[..chunk.len().min(BODY - bytes.len())]);
        if bytes.len() == BODY {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether asking again can help and cannot harm: a POST that the application answered is not sent twice.
fn repeatable(check: &Check, facts: &CheckFacts) -> bool {
    let safe = matches!(check.method.as_str(), "GET" | "HEAD" | "OPTIONS");
    safe || matches!(facts.status, Some(404 | 421 | 502 | 503 | 504)) || (facts.status.is_none() && facts.millis < 5000)
}

fn give_up(check: &Check, spent: &Failure) -> String {
    match spent.reason.as_str() {
        LATE => format!("{} {}: no answer within {} s", check.method, check.path, check.timeout_seconds),
        _ => spent.message.clone(),
    }
}

/// An error with its causes: reqwest alone says only that sending failed.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str) -> Check {
        serde_json::from_value(serde_json::json!({"name": "a", "path": path, "contains": "ok"})).unwrap()
    }

    #[test]
    fn no_url_and_no_answer_breaks_a_check() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut asked, mut clients) = (0, 0);
        crate::fuzz::texts(&["https://app.example.com", "http://[::1]:80/"], 40, |url| {
            clients += usize::from(Clients::new(url).is_ok());
        });
        let plain = Clients::new("https://app.example.com").unwrap();
        crate::fuzz::texts(&["/orders?a=b#c", "//host/%2e%2e/", "/\\..\\"], 1_000, |path| {
            if let Ok(request) = plain.request(&check(path)).map(RequestBuilder::build) {
                asked += usize::from(request.is_ok_and(|request| request.url().host_str() == Some("app.example.com")));
            }
        });
        crate::fuzz::bytes(&[b"HTTP ok", "naïve".as_bytes()], 1_000, |text| {
            let answer = http::Response::builder()
                .status(302)
                .header("location", http::HeaderValue::from_bytes(text).unwrap_or(http::HeaderValue::from_static("x")));
            let answer = Response::from(answer.body(text.to_vec()).unwrap());
            let told = runtime.block_on(verdict(&check("/"), answer));
            assert_eq!(told.is_ok(), String::from_utf8_lossy(text).contains("ok"));
        });
        assert!(clients > 2 && asked > 300, "{clients} {asked}");
    }
}
