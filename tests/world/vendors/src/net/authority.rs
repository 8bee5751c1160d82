//! The vendors' own certificate authority: made once, kept in a directory.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Fallible;

/// Issues certificates that clients trust through `ca.crt`.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Reads `ca.crt` and `ca.key` of a directory, or makes them.
    pub fn open(dir: &Path) -> Fallible<Self> {
        let (certificate, key) = (dir.join("ca.crt"), dir.join("ca.key"));
        if !certificate.exists() || !key.exists() {
            make(dir)?;
        }
        let pem = std::fs::read_to_string(certificate)?;
        let issuer = Issuer::from_ca_cert_pem(&pem, KeyPair::from_pem(&std::fs::read_to_string(key)?)?)?;
        Ok(Self { issuer, pem })
    }

    /// The authority's certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes a leaf certificate (with the authority behind it) and its key as `PREFIX.crt` and `PREFIX.key`.
    pub fn write_leaf(&self, hosts: &[String], prefix: &Path) -> Fallible<()> {
        let (certificate, key) = self.leaf(hosts)?;
        std::fs::write(prefix.with_added_extension("crt"), format!("{}{}", certificate.pem(), self.pem))?;
        write_private(&prefix.with_added_extension("key"), &key.serialize_pem())
    }

    /// A TLS configuration for a server of these hosts.
    pub fn server(&self, hosts: &[String]) -> Fallible<Arc<ServerConfig>> {
        Ok(Arc::new(Badge::new(self, hosts)?).config())
    }

    fn leaf(&self, hosts: &[String]) -> Fallible<(rcgen::Certificate, KeyPair)> {
        let mut params = CertificateParams::new(hosts.to_vec())?;
        let common = hosts.first().map_or("vendors", String::as_str);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common.get(..64).unwrap_or(common));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        bound(&mut params, 397);
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }

    fn certified(&self, hosts: &[String]) -> Fallible<CertifiedKey> {
        let (certificate, key) = self.leaf(hosts)?;
        let chain: Vec<CertificateDer<'static>> = vec![certificate.into()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(CertifiedKey::from_der(chain, key, &ring::default_provider())?)
    }
}

fn make(dir: &Path) -> Fallible<()> {
    std::fs::create_dir_all(dir)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "golive world vendors");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    bound(&mut params, 3650);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    write_private(&dir.join("ca.key"), &key.serialize_pem())?;
    Ok(std::fs::write(dir.join("ca.crt"), certificate.pem())?)
}

/// From yesterday, so that clocks may differ, for so many days.
fn bound(params: &mut CertificateParams, days: i64) {
    let now = std::time::SystemTime::now();
    let day = std::time::Duration::from_secs(24 * 3600);
    params.not_before = (now - day).into();
    params.not_after = (now + day * u32::try_from(days).unwrap_or(1)).into();
}

/// Writes a file that only its owner can read.
pub fn write_private(path: &Path, text: &str) -> Fallible<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn config(resolver: Arc<dyn ResolvesServerCert>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A server's certificate, which can be replaced while it runs.
#[derive(Debug)]
pub struct Badge {
    shown: Mutex<Arc<CertifiedKey>>,
}

impl Badge {
    /// A certificate for these hosts.
    pub fn new(authority: &Authority, hosts: &[String]) -> Fallible<Self> {
        Ok(Self { shown: Mutex::new(Arc::new(authority.certified(hosts)?)) })
    }

    /// Shows a certificate for other hosts from now on.
    pub fn replace(&self, authority: &Authority, hosts: &[String]) -> Fallible<()> {
        let fresh = Arc::new(authority.certified(hosts)?);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// A TLS configuration that shows it.
    pub fn config(self: Arc<Self>) -> Arc<ServerConfig> {
        config(self)
    }
}

impl ResolvesServerCert for Badge {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Issues a certificate for each name that a client asks for, if the name is held.
struct ByName {
    authority: Arc<Authority>,
    held: Box<dyn Fn(&str) -> bool + Send + Sync>,
    issued: Mutex<BTreeMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for ByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByName")
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().filter(|name| (self.held)(name))?.to_string();
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = issued.get(&name) {
            return Some(known.clone());
        }
        let fresh = Arc::new(self.authority.certified(std::slice::from_ref(&name)).ok()?);
        issued.insert(name, fresh.clone());
        Some(fresh)
    }
}

/// A TLS configuration that issues certificates on the fly for the names that `held` accepts.
pub fn by_name(authority: Arc<Authority>, held: impl Fn(&str) -> bool + Send + Sync + 'static) -> Arc<ServerConfig> {
    config(Arc::new(ByName { authority, held: Box::new(held), issued: Mutex::default() }))
}
