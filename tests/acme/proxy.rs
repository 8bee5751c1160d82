//! A reverse proxy before the CA that answers in its stead, or loses the CA's answers.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::pebble::{Ca, Outcome, Pebble, reqwest_client};

/// What the proxy does to the next request whose path begins with `path`, once.
#[derive(Clone)]
pub struct Trick {
    pub path: &'static str,
    /// Whether the CA gets the request.
    pub forward: bool,
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// Whether the connection breaks in the middle of the answer.
    pub cut: bool,
}

impl Trick {
    /// The CA is not asked, and this is said.
    pub fn say(path: &'static str, status: u16, body: &str) -> Trick {
        Trick { path, forward: false, status, headers: Vec::new(), body: body.into(), cut: false }
    }

    /// The CA does it, and its answer is lost.
    pub fn lose(path: &'static str) -> Trick {
        Trick { forward: true, cut: true, ..Trick::say(path, 200, "") }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Trick {
        self.headers.push((name, value.into()));
        self
    }
}

/// A proxy before one CA.
pub struct Proxy {
    pub directory: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: Mutex<Upstream>,
    tricks: Mutex<Vec<Trick>>,
    log: Mutex<Vec<String>>,
}

#[derive(Clone)]
struct Upstream {
    url: String,
    http: reqwest::Client,
}

impl Upstream {
    fn of(pebble: &Pebble) -> Outcome<Upstream> {
        Ok(Upstream {
            url: pebble.directory.trim_end_matches("/dir").into(),
            http: reqwest_client(&pebble.ca.root_pem)?,
        })
    }
}

impl Proxy {
    pub async fn start(pebble: &Pebble) -> Outcome<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream: Mutex::new(Upstream::of(pebble)?),
            tricks: Mutex::default(),
            log: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let tls = Tls { listener, acceptor: acceptor(&pebble.ca)? };
        tokio::spawn(async move { axum::serve(tls, router).await });
        Ok(Proxy { directory: format!("https://{address}/dir"), shared })
    }

    /// From now on another CA stands behind the proxy.
    pub fn turn_to(&self, pebble: &Pebble) -> Outcome {
        *self.shared.upstream.lock().unwrap_or_else(|e| e.into_inner()) = Upstream::of(pebble)?;
        Ok(())
    }

    pub fn play(&self, trick: Trick) {
        self.shared.tricks.lock().unwrap_or_else(|e| e.into_inner()).push(trick);
    }

    /// Method and path of each request so far, with the user agent.
    pub fn seen(&self) -> Vec<String> {
        self.shared.log.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let agent = headers.get("user-agent").and_then(|v| v.to_str().ok()).unwrap_or_default();
    shared.log.lock().unwrap_or_else(|e| e.into_inner()).push(format!("{method} {} {agent}", uri.path()));
    match shared.trick(uri.path()) {
        None => shared
            .forward(method, &uri, headers, body)
            .await
            .unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response()),
        Some(trick) => {
            if trick.forward {
                let _ = shared.forward(method, &uri, headers, body).await;
            }
            trick.response()
        }
    }
}

impl Shared {
    fn trick(&self, path: &str) -> Option<Trick> {
        let mut tricks = self.tricks.lock().unwrap_or_else(|e| e.into_inner());
        let at = tricks.iter().position(|t| path.starts_with(t.path))?;
        Some(tricks.remove(at))
    }

    async fn forward(&self, method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Outcome<Response> {
        let upstream = self.upstream.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let url = format!("{}{}", upstream.url, uri.path());
        let sent = upstream.http.request(method, url).headers(headers).body(body).send().await?;
        let (status, headers) = (sent.status(), sent.headers().clone());
        let mut response = Response::new(Body::from(sent.bytes().await?));
        *response.status_mut() = status;
        response.headers_mut().extend(
            headers
                .into_iter()
                .filter(|(name, _)| name.as_ref().is_none_or(|n| n != "content-length" && n != "transfer-encoding")),
        );
        Ok(response)
    }
}

impl Trick {
    fn response(self) -> Response {
        let mut builder = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            builder = builder.header(*name, value);
        }
        let body = match self.cut {
            true => Body::from_stream(futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))])),
            false => Body::from(self.body),
        };
        builder.body(body).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
    }
}

fn acceptor(ca: &Ca) -> Outcome<TlsAcceptor> {
    let chain = CertificateDer::pem_slice_iter(ca.server_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(ca.server_key.as_bytes())?;
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// TLS connections for axum; one that fails its handshake is passed over.
struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            if let Ok(tls) = self.acceptor.accept(stream).await {
                return (tls, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
