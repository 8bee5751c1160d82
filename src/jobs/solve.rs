//! `golive solve`: answers a certificate authority's http-01 challenges (RFC 8555, section 8.3) while an order is open.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use super::budget::Budget;
use crate::evidence::{Evidence, Failure, SolveFacts, SolveTask};

/// How long open connections may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// What is answered, and how often it was.
struct Answers {
    proofs: BTreeMap<String, String>,
    answered: AtomicU64,
}

/// Does the task: serves until it is stopped.
pub async fn run(task: SolveTask, budget: Budget) -> Evidence<SolveFacts> {
    let budget = budget.within(Duration::from_secs(task.deadline_seconds));
    let answers = Arc::new(Answers { proofs: task.answers, answered: AtomicU64::new(0) });
    match serve(task.port, answers.clone(), &budget).await {
        Ok(()) => Evidence::success(SolveFacts { answered: answers.answered.load(Ordering::Relaxed) }),
        Err(error) => {
            let text = format!("port {} cannot be served ({error}); leave it to the solver", task.port);
            Evidence::failed(Failure::new("PortUnavailable", text), None)
        }
    }
}

async fn serve(port: u16, answers: Arc<Answers>, budget: &Budget) -> std::io::Result<()> {
    let listener = listen(port).await?;
    tracing::info!(address = %listener.local_addr()?, challenges = answers.proofs.len(), "serving");
    let routes = routes(answers);
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

fn routes(answers: Arc<Answers>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/.well-known/acme-challenge/{token}", get(prove))
        .with_state(answers)
}

/// All addresses of both families; one family where the node has no other.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await,
    }
}

async fn prove(State(answers): State<Arc<Answers>>, Path(token): Path<String>) -> Result<String, StatusCode> {
    let proof = answers.proofs.get(&token).cloned().ok_or(StatusCode::NOT_FOUND)?;
    answers.answered.fetch_add(1, Ordering::Relaxed);
    tracing::info!("a challenge was answered");
    Ok(proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_breaks_the_solver() {
        use tower::ServiceExt;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let proofs = [("token".to_owned(), "proof".to_owned())].into();
        let routes = routes(Arc::new(Answers { proofs, answered: AtomicU64::new(0) }));
        let ask = |path: &str| {
            let request = axum::http::Request::get(path).body(axum::body::Body::empty()).ok()?;
            Some(runtime.block_on(routes.clone().oneshot(request)).unwrap().status().as_u16())
        };
        let known = "/.well-known/acme-challenge/token";
        assert_eq!(ask(known), Some(200));
        crate::fuzz::texts(&[known, "/healthz"], 2_000, |path| {
            assert!(ask(path).is_none_or(|status| [200, 400, 404].contains(&status)), "{path}");
        });
    }
}
