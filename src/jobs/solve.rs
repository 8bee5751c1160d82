//! `golive solve`: answers a certificate authority's http-01 challenges (RFC 8555, section 8.3) while an order is open.
//!
//! It is ready once it has seen its own proofs where the authority will look for them: a check that fails there counts
//! against the account's limits, and the operator itself never fetches a host that a user names.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::net::TcpListener;

use super::budget::Budget;
use super::smoke::body;
use crate::evidence::{Evidence, Failure, SolveFacts, SolveTask};

/// How long open connections may take to end.
const GRACE: Duration = Duration::from_secs(2);
/// How often it looks for its own proofs, and how long it waits for one.
const LOOK: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);
/// What it calls itself when it looks, so that its own visits are not counted.
const AGENT: &str = concat!("golive-solver/", env!("CARGO_PKG_VERSION"));

/// What is answered, how often it was, and whether the world sees it.
struct Answers {
    proofs: BTreeMap<String, String>,
    answered: AtomicU64,
    seen: AtomicBool,
}

/// Does the task: serves until it is stopped.
pub async fn run(task: SolveTask, budget: Budget) -> Evidence<SolveFacts> {
    let budget = budget.within(Duration::from_secs(task.deadline_seconds));
    let answers = Arc::new(Answers {
        proofs: task.answers.clone(),
        answered: AtomicU64::new(0),
        seen: AtomicBool::new(task.seen_at.is_empty()),
    });
    let looking = tokio::spawn(look(task.clone(), answers.clone()));
    let evidence = answer(&task, answers, &budget).await;
    looking.abort();
    evidence
}

async fn answer(task: &SolveTask, answers: Arc<Answers>, budget: &Budget) -> Evidence<SolveFacts> {
    match serve(task.port, answers.clone(), budget).await {
        Ok(()) => Evidence::success(SolveFacts { answered: answers.answered.load(Ordering::Relaxed) }),
        Err(error) => {
            let text = format!("port {} cannot be served ({error}); leave it to the solver", task.port);
            Evidence::failed(Failure::new("PortUnavailable", text), None)
        }
    }
}

/// Looks for every proof at its public address until all have been seen.
async fn look(task: SolveTask, answers: Arc<Answers>) {
    let _already_chosen = rustls::crypto::ring::default_provider().install_default();
    // A CA follows redirects and validates no certificate on the way: <https://letsencrypt.org/docs/challenge-types/>.
    let builder = Client::builder().redirect(Policy::limited(10)).danger_accept_invalid_certs(true);
    let Ok(client) = builder.user_agent(AGENT).timeout(PATIENCE).build() else { return };
    for (token, url) in &task.seen_at {
        let Some(proof) = task.answers.get(token) else { return };
        while let Err(why) = see(&client, url, proof).await {
            tracing::info!(url, why, "the proof is not seen yet");
            tokio::time::sleep(LOOK).await;
        }
        tracing::info!(url, "the proof is seen");
    }
    answers.seen.store(true, Ordering::Relaxed);
}

async fn see(client: &Client, url: &str, proof: &str) -> Result<(), String> {
    let answer = client.get(url).send().await.map_err(|e| e.without_url().to_string())?;
    let status = answer.status();
    let text = body(answer).await.map_err(|e| e.without_url().to_string())?;
    if text.trim_end() == proof { Ok(()) } else { Err(format!("something else answered with {status}")) }
}

async fn serve(port: u16, answers: Arc<Answers>, budget: &Budget) -> std::io::Result<()> {
    let listener = listen(port).await?;
    tracing::info!(address = %listener.local_addr()?, challenges = answers.proofs.len(), "serving");
    let routes = Router::new()
        .route("/healthz", get(health))
        .route("/.well-known/acme-challenge/{token}", get(prove))
        .with_state(answers);
    let (ended, stop) = (budget.clone(), budget.clone());
    let graceful = axum::serve(listener, routes).with_graceful_shutdown(async move { drop(stop.spent().await) });
    let late = async move {
        ended.spent().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = graceful => served,
        () = late => Ok(()),
    }
}

/// All addresses of both families; one family where the node has no other.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await,
    }
}

async fn health(State(answers): State<Arc<Answers>>) -> (StatusCode, &'static str) {
    match answers.seen.load(Ordering::Relaxed) {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the proofs are not seen at their public addresses yet\n"),
    }
}

async fn prove(
    State(answers): State<Arc<Answers>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<String, StatusCode> {
    let proof = answers.proofs.get(&token).cloned().ok_or(StatusCode::NOT_FOUND)?;
    if headers.get(USER_AGENT).is_none_or(|agent| agent != AGENT) {
        answers.answered.fetch_add(1, Ordering::Relaxed);
        tracing::info!("a challenge was answered");
    }
    Ok(proof)
}
