//! One HTTP request to a known address, with the failures told apart.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const CONNECT: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("connection refused")]
    Refused,
    #[error("timed out")]
    TimedOut,
    #[error("TLS certificate not trusted")]
    Untrusted,
    #[error("TLS handshake failed")]
    Handshake,
    #[error("connection broken")]
    Broken,
    #[error("host not found")]
    NotFound,
}

/// Where to connect to, and for TLS as whom to expect and whom to trust.
pub struct Target {
    pub address: SocketAddr,
    pub tls: Option<(String, Arc<ClientConfig>)>,
}

/// Sends a request over a connection of its own.
pub async fn send<B>(target: Target, request: hyper::Request<B>) -> Result<hyper::Response<Incoming>, Failure>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = connect(target.address).await?;
    let Some((host, trust)) = target.tls else { return converse(stream, request).await };
    let host = ServerName::try_from(host).map_err(|_| Failure::Handshake)?;
    let handshake = TlsConnector::from(trust).connect(host, stream);
    let stream = tokio::time::timeout(CONNECT, handshake).await.map_err(|_| Failure::TimedOut)?;
    converse(stream.map_err(|error| tls_failure(&error))?, request).await
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let connecting = TcpStream::connect(address);
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(_)) => Err(Failure::Refused),
        Err(_) => Err(Failure::TimedOut),
    }
}

fn tls_failure(error: &std::io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => Failure::Untrusted,
        _ => Failure::Handshake,
    }
}

async fn converse<B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: hyper::Request<B>,
) -> Result<hyper::Response<Incoming>, Failure>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|_| Failure::Broken)?;
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|_| Failure::Broken)
}

/// Trusts the authorities in these PEM texts, and no others.
pub fn trust(pems: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for pem in pems {
        let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(Result::ok);
        roots.add_parsable_certificates(certificates);
    }
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// The authorities that origins are trusted by, as they are now; none if there is no such file.
pub fn origin_pem(path: Option<&Path>) -> String {
    path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
}
