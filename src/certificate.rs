//! Certificates: what a chain says, whether it may be served, and when it is renewed.
//!
//! All of it is pure, with the time as an argument, but for [`new_key`], which stands apart at the end.

pub mod ledger;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::PublicKeyData;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// A chain is a few kilobytes; what is larger is no chain (cert-manager GHSA-r4pg-vg54-wxx4).
const MAX_PEM_BYTES: usize = 64 * 1024;
/// Public chains have two to four certificates.
const MAX_CERTIFICATES: usize = 10;

/// What the first certificate of a chain, the leaf, says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The subject alternative names: host names (lower case) and addresses.
    pub names: BTreeSet<String>,
    /// The start of its validity.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// The distinguished name of its issuer.
    pub issuer: String,
    /// The serial number, in hex.
    pub serial: String,
    /// SHA-256 of the public key (SubjectPublicKeyInfo), in hex.
    pub key_id: String,
}

/// When the CA wishes a certificate to be renewed (ARI, <https://www.rfc-editor.org/rfc/rfc9773.html#section-4.2>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The earliest time.
    pub start: Timestamp,
    /// The latest time.
    pub end: Timestamp,
    /// How long the answer holds.
    pub ask_again: Duration,
}

impl Certificate {
    /// Reads the leaf of a chain in PEM.
    pub fn read(chain_pem: &str) -> Result<Certificate, String> {
        let chain = ders(chain_pem)?;
        leaf(&parse(&chain[0])?)
    }

    /// Whether a host name, wildcard or address is covered.
    pub fn covers(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let wildcard = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        self.names.contains(&name) || wildcard.is_some_and(|w| self.names.contains(&w))
    }
}

/// Reads a chain and checks that it may be served with this key for these names now.
pub fn verify(
    chain_pem: &str,
    key_pem: &SecretString,
    names: &BTreeSet<String>,
    now: Timestamp,
) -> Result<Certificate, String> {
    let ders = ders(chain_pem)?;
    let chain = ders.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let found = leaf(&chain[0])?;
    fits_key(&chain[0], key_pem)?;
    if let Some(missing) = names.iter().find(|name| !found.covers(name)) {
        return Err(format!("the certificate does not cover {missing}"));
    }
    chain.iter().try_for_each(|certificate| is_valid_at(certificate, now))?;
    chain.windows(2).try_for_each(|pair| is_issued_by(&pair[0], &pair[1]))?;
    Ok(found)
}

/// When to renew: a point of the CA's window that the seed picks, so that many certificates spread over it;
/// without a window, at two thirds of the lifetime, or up to a twentieth of it later.
///
/// A window that is empty or ends after the certificate is no guidance
/// (<https://www.rfc-editor.org/rfc/rfc9773.html#section-4.2>: such a response is as good as none).
pub fn renew_at(certificate: &Certificate, window: Option<&Window>, seed: &str) -> Timestamp {
    match window {
        Some(w) if w.start < w.end && w.end <= certificate.not_after => between(w.start, w.end, fraction(seed)),
        _ => between(certificate.not_before, certificate.not_after, u64::MAX / 3 * 2 + fraction(seed) / 20),
    }
}

/// The point `part / 2^64` of the way.
fn between(start: Timestamp, end: Timestamp, part: u64) -> Timestamp {
    let seconds = u128::try_from(end.as_second() - start.as_second()).unwrap_or(0);
    let offset = i64::try_from((seconds * u128::from(part)) >> 64).unwrap_or(0);
    start.checked_add(SignedDuration::from_secs(offset)).unwrap_or(end)
}

/// A number that the seed alone decides, spread evenly.
fn fraction(seed: &str) -> u64 {
    Sha256::digest(seed.as_bytes()).iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn ders(chain_pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    if chain_pem.len() > MAX_PEM_BYTES {
        return Err(format!("the chain has {} bytes, more than {MAX_PEM_BYTES}", chain_pem.len()));
    }
    let ders = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .take(MAX_CERTIFICATES + 1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| format!("the chain is not PEM: {e}"))?;
    match ders.len() {
        0 => Err("the chain has no certificate".into()),
        n if n > MAX_CERTIFICATES => Err(format!("the chain has more than {MAX_CERTIFICATES} certificates")),
        _ => Ok(ders),
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    match X509Certificate::from_der(der.as_ref()) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err("a certificate of the chain has bytes behind its end".into()),
        Err(e) => Err(format!("a certificate of the chain cannot be read: {e}")),
    }
}

fn leaf(certificate: &X509Certificate<'_>) -> Result<Certificate, String> {
    Ok(Certificate {
        names: names(certificate)?,
        not_before: timestamp(certificate.validity().not_before)?,
        not_after: timestamp(certificate.validity().not_after)?,
        issuer: certificate.issuer().to_string(),
        serial: hex(certificate.raw_serial()),
        key_id: hex(&Sha256::digest(certificate.public_key().raw)),
    })
}

/// The names; a subject without them has not been honoured by browsers for years, so it is not read.
fn names(certificate: &X509Certificate<'_>) -> Result<BTreeSet<String>, String> {
    let extension = certificate.subject_alternative_name().map_err(|e| format!("the names cannot be read: {e}"))?;
    let general = extension.map(|e| e.value.general_names.as_slice()).unwrap_or_default();
    Ok(general.iter().filter_map(name).collect())
}

fn name(general: &GeneralName<'_>) -> Option<String> {
    match general {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(|b| std::net::IpAddr::from(b).to_string());
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(|b| std::net::IpAddr::from(b).to_string()))
}

fn timestamp(time: ASN1Time) -> Result<Timestamp, String> {
    Timestamp::from_second(time.timestamp()).map_err(|_| "a time of the certificate is out of range".to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The message names no part of the key.
fn fits_key(leaf: &X509Certificate<'_>, key_pem: &SecretString) -> Result<(), String> {
    let key = rcgen::KeyPair::from_pem(key_pem.expose_secret()).map_err(|_| "the private key cannot be read")?;
    match key.subject_public_key_info() == leaf.public_key().raw {
        true => Ok(()),
        false => Err("the certificate belongs to another private key".into()),
    }
}

/// The message tells no time of now: it would be another with each pass, and each a write.
fn is_valid_at(certificate: &X509Certificate<'_>, now: Timestamp) -> Result<(), String> {
    let (start, end) = (timestamp(certificate.validity().not_before)?, timestamp(certificate.validity().not_after)?);
    let wrong = match (now < start, now > end) {
        (true, _) => "which is yet to come by golive's clock: check the clock of its node",
        (_, true) => "which is over by golive's clock",
        _ => return Ok(()),
    };
    Err(format!("\"{}\" is valid from {start} to {end}, {wrong}", certificate.subject()))
}

fn is_issued_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Result<(), String> {
    let by = issuer.subject();
    if certificate.issuer().as_raw() != by.as_raw() {
        return Err(format!(
            "the chain is out of order: after what \"{}\" issued comes \"{by}\"",
            certificate.issuer()
        ));
    }
    if !issuer.is_ca() {
        return Err(format!("\"{by}\" in the chain is not a CA"));
    }
    certificate
        .verify_signature(Some(issuer.public_key()))
        .map_err(|e| format!("\"{by}\" did not sign what it should: {e}"))
}

/// A new private key (P-256, PKCS#8 in PEM), for an account or a certificate. The only impure function here.
#[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "a key is fresh randomness"))]
pub fn new_key() -> Result<SecretString, String> {
    let key = rcgen::KeyPair::generate().map_err(|e| format!("no key could be made: {e}"))?;
    Ok(key.serialize_pem().into())
}
