//! HTTP/1.1 over TCP or TLS: one handler per server.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;

use super::door::Visit;
use crate::message::Response;

/// The body of any answer.
pub type AnyBody = BoxBody<Bytes, hyper::Error>;
/// Any answer.
pub type Answer = hyper::Response<AnyBody>;

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends without an answer")]
pub struct Hangup;

/// The connection that a request came by.
pub struct Line {
    pub peer: SocketAddr,
    pub tls: bool,
    socket: Option<Socket>,
}

impl Line {
    /// Makes the end of the connection a reset instead of an orderly close.
    pub fn reset(&self) {
        if let Some(socket) = &self.socket {
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The answer, or none at all.
    fn answer(
        self: Arc<Self>,
        line: Arc<Line>,
        request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Result<Answer, Hangup>> + Send;
}

/// A handler behind TCP, or behind TLS.
pub struct Server<H> {
    pub handler: Arc<H>,
    pub tls: Option<Arc<ServerConfig>>,
}

impl<H: Handler> Visit for Server<H> {
    async fn visit(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        let socket = SockRef::from(&stream).try_clone().ok();
        let line = Arc::new(Line { peer, tls: self.tls.is_some(), socket });
        match &self.tls {
            None => converse(stream, self.handler.clone(), line).await,
            Some(tls) => {
                if let Ok(stream) = TlsAcceptor::from(tls.clone()).accept(stream).await {
                    converse(stream, self.handler.clone(), line).await;
                }
            }
        }
    }
}

async fn converse<H: Handler>(stream: impl AsyncRead + AsyncWrite + Unpin + Send, handler: Arc<H>, line: Arc<Line>) {
    let service = service_fn(move |request| handler.clone().answer(line.clone(), request));
    let mut server = hyper::server::conn::http1::Builder::new();
    let _ = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// A complete answer as hyper wants it.
pub fn whole(answer: Response) -> Answer {
    let body = Full::new(answer.body.clone()).map_err(never).boxed();
    headed(&answer, body)
}

/// An answer whose body comes a byte at a time.
pub fn trickling(answer: Response, pause: Duration) -> Answer {
    let body = Trickle { left: answer.body.clone(), pause, sleep: Box::pin(tokio::time::sleep(pause)) };
    headed(&answer, body.map_err(never).boxed())
}

fn never(error: Infallible) -> hyper::Error {
    match error {}
}

fn headed(answer: &Response, body: AnyBody) -> Answer {
    let mut made = hyper::Response::new(body);
    *made.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse::<http::HeaderValue>()) {
            made.headers_mut().append(name, value);
        }
    }
    made
}

struct Trickle {
    left: Bytes,
    pause: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Body for Trickle {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        if self.sleep.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        let next = tokio::time::Instant::now() + self.pause;
        self.sleep.as_mut().reset(next);
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(1)))))
    }
}

/// Reads a request to its end, up to ten megabytes.
pub async fn read(request: hyper::Request<Incoming>) -> Result<crate::message::Request, Hangup> {
    let (head, body) = request.into_parts();
    let body = http_body_util::Limited::new(body, 10 << 20).collect().await.map_err(|_| Hangup)?.to_bytes();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut read = crate::message::Request::new(head.method.as_str(), target).body(body);
    read.headers = head.headers;
    Ok(read)
}
