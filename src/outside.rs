//! The outside of the process but for the API server: time, chance, HTTP and DNS.
//!
//! One seam, so that the same operator runs in the real world and in a simulated one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use jiff::Timestamp;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

use crate::dns;
use crate::fault::Seen;
use crate::rows::RecordType;

/// How long an answer may take, from the connection to its last byte.
pub const TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(5);
/// Shorter than vendors keep idle connections, so that a write does not go into one that they are closing.
const IDLE: Duration = Duration::from_secs(30);

/// By what each of a zone's name servers answers: values by server.
pub type Answers = BTreeMap<String, Vec<String>>;

/// What passes need of the outside.
pub trait Outside: Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// Fresh randomness that nobody can guess.
    fn entropy(&self) -> [u8; 32];

    /// Makes one HTTP request: no redirect is followed, nothing is repeated.
    fn exchange<'a>(
        &'a self,
        request: Request<Bytes>,
        terms: Terms<'a>,
    ) -> BoxFuture<'a, Result<Response<Bytes>, Broken>>;

    /// What each of these name servers says of a name now; see [`dns::seen_by`].
    fn ask<'a>(&'a self, servers: &'a [String], name: &'a str, kind: RecordType) -> BoxFuture<'a, Seen<Answers>>;
}

/// What an HTTP request is made under.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Roots that are trusted beside the system's, in PEM.
    pub roots: Option<&'a String>,
    /// The longest body that is an answer, in bytes.
    pub longest: usize,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Broken {
    /// What we were given to call with cannot be used.
    Unusable(String),
    /// There was no connection: nothing was sent.
    Unsent(String),
    /// The connection ended before there was an answer.
    Hung(String),
    /// There is no answer in time, or none that can be read.
    Cut(String),
}

impl Broken {
    /// `waits` is true until the answer begins.
    fn of(error: reqwest::Error, waits: bool) -> Self {
        let (connects, late) = (error.is_connect(), error.is_timeout());
        let (builds, text) = (error.is_builder(), plain(error));
        match (builds, connects) {
            (true, _) => Broken::Unusable("its credential or address has characters that HTTP does not take".into()),
            (_, true) => Broken::Unsent(text),
            _ if waits && !late => Broken::Hung(text),
            _ => Broken::Cut(text),
        }
    }

    /// Why, in words.
    pub fn text(&self) -> &str {
        let (Broken::Unusable(why) | Broken::Unsent(why) | Broken::Hung(why) | Broken::Cut(why)) = self;
        why
    }

    /// Whether a read is worth a second try at once: not after a wait that used up the patience.
    pub fn is_brief(&self) -> bool {
        matches!(self, Broken::Unsent(_) | Broken::Hung(_))
    }

    /// Whether nothing can have reached the other side.
    pub fn is_unsent(&self) -> bool {
        matches!(self, Broken::Unusable(_) | Broken::Unsent(_))
    }
}

/// The text of an error without the URL, which may hold what was asked for.
fn plain(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() && !error.is_connect() {
        return format!("no answer in {} s", TIMEOUT.as_secs());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// The real world.
#[derive(Default)]
pub struct Real {
    clients: Mutex<HashMap<Option<String>, Client>>,
}

impl Real {
    /// One client for each set of roots: they keep their connections.
    #[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "the one client"))]
    fn client(&self, roots: Option<&String>) -> Result<Client, Broken> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&roots.cloned()) {
            return Ok(client.clone());
        }
        // The first to install a TLS provider wins, and all of golive installs this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let agent = concat!("golive/", env!("CARGO_PKG_VERSION"));
        let builder = Client::builder().user_agent(agent).redirect(Policy::none()).pool_idle_timeout(IDLE);
        let mut builder = builder.timeout(TIMEOUT).connect_timeout(CONNECT);
        if let Some(pem) = roots {
            let bundle = Certificate::from_pem_bundle(pem.as_bytes());
            let bundle = bundle.map_err(|e| Broken::Unusable(format!("its caBundle is no PEM: {}", plain(e))))?;
            if bundle.is_empty() {
                return Err(Broken::Unusable("its caBundle holds no certificate".into()));
            }
            builder = bundle.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        let client =
            builder.build().map_err(|e| Broken::Unusable(format!("its roots cannot be used: {}", plain(e))))?;
        clients.insert(roots.cloned(), client.clone());
        Ok(client)
    }

    async fn send(&self, request: Request<Bytes>, terms: Terms<'_>) -> Result<Response<Bytes>, Broken> {
        let client = self.client(terms.roots)?;
        let request = reqwest::Request::try_from(request).map_err(|e| Broken::of(e, true))?;
        let response = client.execute(request).await.map_err(|e| Broken::of(e, true))?;
        whole(response, terms.longest).await
    }
}

/// Reads an answer whole, but not without end.
async fn whole(mut response: reqwest::Response, longest: usize) -> Result<Response<Bytes>, Broken> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| Broken::of(e, false))? {
        if body.len() + chunk.len() > longest {
            return Err(Broken::Cut(format!("its answer is longer than {longest} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    Ok(answer)
}

#[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "the one clock and the one randomness"))]
impl Outside for Real {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn entropy(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        // A generator that fails leaves zeros; values made of zeros would be guessable, so such a pass must not happen.
        match ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes) {
            Ok(()) => bytes,
            Err(_) => std::process::abort(),
        }
    }

    fn exchange<'a>(
        &'a self,
        request: Request<Bytes>,
        terms: Terms<'a>,
    ) -> BoxFuture<'a, Result<Response<Bytes>, Broken>> {
        Box::pin(self.send(request, terms))
    }

    fn ask<'a>(&'a self, servers: &'a [String], name: &'a str, kind: RecordType) -> BoxFuture<'a, Seen<Answers>> {
        Box::pin(async move { dns::seen_by(servers, name, &kind).await })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers the first request with these bytes, and then again and again with those.
    async fn server(head: &'static str, more: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_buf(&mut Vec::with_capacity(4096)).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            while !more.is_empty() && stream.write_all(more).await.is_ok() {}
        });
        format!("http://{address}/")
    }

    async fn asked(url: &str) -> Result<Response<Bytes>, Broken> {
        let request = Request::get(url).body(Bytes::new()).unwrap();
        Real::default().exchange(request, Terms { roots: None, longest: 1000 }).await
    }

    #[tokio::test]
    async fn an_answer_without_end_is_given_up() {
        for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"] {
            let broken = asked(&server(head, &[b'x'; 4096]).await).await.unwrap_err();
            assert!(matches!(broken, Broken::Cut(_)) && broken.text().contains("longer than 1000 bytes"), "{broken:?}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_not_followed() {
        let url = server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", b"").await;
        assert_eq!(asked(&url).await.unwrap().status(), 302);
    }

    #[tokio::test]
    async fn an_answer_that_is_no_http_is_told_without_the_address() {
        let url = server("\u{0}\u{1}garbage\r\n\r\n", b"").await;
        let broken = asked(&format!("{url}?key=canary")).await.unwrap_err();
        assert!(!broken.text().contains("canary") && !broken.text().contains("127.0.0.1"), "{broken:?}");
    }
}
