//! The operator's own HTTP port: `/healthz`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

/// What the port tells.
pub struct Told {
    /// All metrics.
    pub registry: Registry,
    /// Whether the operator can do its work: a standby can, as soon as its watches are filled.
    pub ready: Box<dyn Fn() -> bool + Send + Sync>,
}

/// Serves until the process ends; an error is that of the listening socket.
pub async fn serve(address: SocketAddr, told: Told) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, routes(told)).await
}

fn routes(told: Told) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(told))
}

async fn ready(State(told): State<Arc<Told>>) -> impl IntoResponse {
    match (told.ready)() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the first lists of the watches are not complete yet\n"),
    }
}

async fn metrics(State(told): State<Arc<Told>>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &told.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, [(CONTENT_TYPE, kind)], text)
        }
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], e.to_string()),
    }
}
