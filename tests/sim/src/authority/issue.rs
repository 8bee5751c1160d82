//! Signing certificates.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair, SerialNumber,
    date_time_ymd,
};

use super::LIFETIME;

/// A certificate that was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    pub chain: String,
    pub at: Timestamp,
    serial: Vec<u8>,
}

impl Issued {
    /// Whether it is the certificate of this serial number.
    pub fn is(&self, serial: &[u8]) -> bool {
        let plain = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
        plain(serial) == plain(&self.serial)
    }
}

/// The root: its key and its certificate in PEM, made once.
fn root() -> Option<&'static (Issuer<'static, KeyPair>, String)> {
    static ROOT: OnceLock<Option<(Issuer<'static, KeyPair>, String)>> = OnceLock::new();
    ROOT.get_or_init(|| {
        let key = KeyPair::generate().ok()?;
        let mut params = CertificateParams::new(Vec::<String>::new()).ok()?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Simulated Root");
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2200, 1, 1));
        let pem = params.self_signed(&key).ok()?.pem();
        Some((Issuer::new(params, key), pem))
    })
    .as_ref()
}

/// Signs a request, valid from an hour before `now`.
pub fn sign(csr: &[u8], number: u64, now: Timestamp) -> Option<Issued> {
    let (issuer, root) = root()?;
    let mut request = CertificateSigningRequestParams::from_der(&csr.to_vec().into()).ok()?;
    let at = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).ok()?;
        Some(date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds))
    };
    let start = now - jiff::SignedDuration::from_hours(1);
    (request.params.not_before, request.params.not_after) = (at(start)?, at(start + LIFETIME)?);
    let serial = (0x1000_0000 + number).to_be_bytes().to_vec();
    request.params.serial_number = Some(SerialNumber::from_slice(&serial));
    request.params.use_authority_key_identifier_extension = true;
    let leaf = request.signed_by(issuer).ok()?.pem();
    Some(Issued { chain: format!("{leaf}{root}"), at: start, serial })
}
