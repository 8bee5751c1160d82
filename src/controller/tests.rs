use std::sync::Mutex;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;

use super::*;

/// A cluster that answers nothing, and what is asked of it first.
fn silent() -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let book = asked.clone();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        book.lock().unwrap().push(request.uri().to_string());
        std::future::pending::<Result<http::Response<kube::client::Body>, tower::BoxError>>()
    });
    (Client::new(service, "default"), asked)
}

#[tokio::test(start_paused = true)]
async fn lists_come_in_pages_that_fit_into_memory() {
    let (client, asked) = silent();
    let children = children(client.clone(), Arc::new(Cache::default()), Kind::ConfigMap);
    let (_store, namespaces) = follow::<Namespace>(Api::all(client));
    let (mut children, mut namespaces) = (std::pin::pin!(children), std::pin::pin!(namespaces));
    let both = futures::future::join(children.next(), namespaces.next());
    assert!(tokio::time::timeout(Duration::from_secs(1), both).await.is_err(), "nobody answers");
    let asked = asked.lock().unwrap();
    assert!(asked.len() == 2 && asked.iter().all(|asked| asked.contains(&format!("limit={PAGE}"))), "{asked:?}");
}
