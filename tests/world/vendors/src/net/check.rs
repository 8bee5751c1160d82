//! Does what UptimeRobot's monitors say: visits their URLs in their intervals.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;

use super::client::{Failure, send};
use super::hub::Hub;
use super::visit::target;
use crate::uptimerobot::Check;

/// Visits what is due, for ever.
pub async fn keep(hub: Arc<Hub>) {
    loop {
        let due = hub.with(|vendors| vendors.uptimerobot.due(hub.clock.now()));
        let visitor = hub.clone();
        tokio::spawn(async move { all(&visitor, due).await });
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Visits these URLs at once, and returns when the outcome of each is known.
pub async fn all(hub: &Arc<Hub>, checks: Vec<Check>) {
    let mut visits = tokio::task::JoinSet::new();
    for check in checks {
        let hub = hub.clone();
        visits.spawn(async move {
            let visit = tokio::time::timeout(check.timeout, visit(&hub, &check)).await;
            let outcome = visit.unwrap_or(Err(Failure::TimedOut)).map_err(|failure| failure.to_string());
            hub.with(|vendors| vendors.uptimerobot.checked(hub.clock.now(), check.id, outcome));
        });
    }
    while visits.join_next().await.is_some() {}
}

async fn visit(hub: &Arc<Hub>, check: &Check) -> Result<u16, Failure> {
    let url: http::Uri = check.url.parse().map_err(|_| Failure::NotFound)?;
    let authority = url.authority().ok_or(Failure::NotFound)?;
    let request = hyper::Request::builder()
        .method(check.method.as_str())
        .uri(url.path_and_query().map_or("/", |target| target.as_str()))
        .header("host", authority.as_str())
        .header("user-agent", "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)")
        .body(Empty::<Bytes>::new())
        .map_err(|_| Failure::NotFound)?;
    Ok(send(target(hub, &url)?, request).await?.status().as_u16())
}
