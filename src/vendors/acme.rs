//! Certificates from a CA that speaks ACME (RFC 8555), in small steps that can each be repeated.
//!
//! Nothing is kept between two steps but what the caller stored: the account's key before [`Issuer::open`], the
//! order's URL after [`Issuer::order`], the certificate's key before [`Issuer::finalize`]. A reply to `order` that
//! is lost leaves an order that the CA counts and that expires by itself.

mod account;
mod problem;
mod progress;
mod transport;
mod waiting;

pub use progress::{Challenge, ChallengeState, Kind, Progress, Status, is_proof, proof_name};

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use instant_acme::{Account, CertificateIdentifier, Error, Identifier, NewOrder, Order, OrderStatus};
use jiff::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use reqwest::Url;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::certificate::Window;
use crate::fault::Fault;
use crate::outside::Outside;
use account::{Directory, Registrar};
use problem::{Refusal, is_bad_nonce, refusal};
use transport::Transport;
use waiting::Waiting;

/// A nonce may be refused at any time; the client library asks three times, and a step this often.
const NONCE_ROUNDS: usize = 5;
/// How often a renewal window is asked for (<https://www.rfc-editor.org/rfc/rfc9773.html#section-4.3.2>).
const ASK_AGAIN: Duration = Duration::from_secs(6 * 3600);
const ASK_AGAIN_RANGE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));

/// How an account reaches its CA.
#[derive(Clone, Debug)]
pub struct AcmeAccess {
    /// The account's name in golive, for messages.
    pub account: String,
    /// The URL of the CA's directory.
    pub directory: String,
    /// Whom the CA may write to.
    pub email: Option<String>,
    /// Roots (PEM) to trust for the CA's own HTTPS, besides the system's.
    pub roots: Option<String>,
    /// The account at the CA's business that this one belongs to.
    pub eab: Option<ExternalBinding>,
    /// The certificate profile to ask for.
    pub profile: Option<String>,
}

/// An external account (<https://www.rfc-editor.org/rfc/rfc8555#section-7.3.4>).
#[derive(Clone, Debug)]
pub struct ExternalBinding {
    /// The key's identifier.
    pub id: String,
    /// The key, in base64url.
    pub key: SecretString,
}

impl AcmeAccess {
    /// Tells two accesses apart, whatever differs: an issuer may be kept for as long as this stays. Shows no secret.
    pub fn fingerprint(&self) -> String {
        let eab = self.eab.as_ref().map(|eab| (&eab.id, eab.key.expose_secret()));
        let all = (&self.account, &self.directory, &self.email, &self.roots, eab, &self.profile);
        let digest = Sha256::digest(format!("{all:?}"));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn contact(&self) -> Vec<String> {
        self.email.iter().map(|email| format!("mailto:{email}")).collect()
    }
}

/// An account at a CA, ready to order; all steps may run side by side. May be kept until [`AcmeAccess::fingerprint`]
/// changes or a step is [`Fault::Denied`]: the CA may have forgotten the account, and opening it again makes it anew.
pub struct Issuer {
    account: Account,
    directory: Directory,
    transport: Transport,
    /// The account's name in golive.
    name: String,
    profile: Option<String>,
    waiting: Waiting,
}

/// The account's key is inside: only names are shown.
impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).field("account", &self.account.id()).finish_non_exhaustive()
    }
}

impl Issuer {
    /// The account of a key that is stored already; made at the CA if it is new there.
    pub async fn open(
        outside: &Arc<dyn Outside>,
        access: &AcmeAccess,
        key_pem: &SecretString,
    ) -> Result<Issuer, Fault> {
        let transport = Transport::new(outside.clone(), &access.account, access.roots.as_deref());
        Issuer::register(transport, access, key_pem).await.map_err(Refusal::of_read)
    }

    async fn register(transport: Transport, access: &AcmeAccess, key_pem: &SecretString) -> Result<Issuer, Refusal> {
        let name = access.account.clone();
        let key = PrivatePkcs8KeyDer::from_pem_slice(key_pem.expose_secret().as_bytes()).map_err(|_| bad_key(&name))?;
        let answer = transport.get(&access.directory).await?;
        let directory: Directory = serde_json::from_slice(answer.body()).map_err(|_| no_directory(access))?;
        let found = Registrar::new(access, &transport, &directory, key.secret_pkcs8_der())?.register().await?;
        let builder = Account::builder_with_http(Box::new(transport.clone()));
        let account =
            builder.from_parts(found.url, key, access.directory.clone()).await.map_err(|e| refusal(&name, e))?;
        let (profile, waiting) = (access.profile.clone(), Waiting::default());
        let issuer = Issuer { account, directory, transport, name, profile, waiting };
        issuer.tell_contact(&access.contact(), &found.contact).await?;
        Ok(issuer)
    }

    /// No wish leaves the CA's list alone.
    async fn tell_contact(&self, wanted: &[String], known: &[String]) -> Result<(), Refusal> {
        if wanted.is_empty() || wanted == known {
            return Ok(());
        }
        let wanted: Vec<_> = wanted.iter().map(String::as_str).collect();
        self.step(|| self.account.update_contacts(&wanted)).await
    }

    /// The account's URL at the CA.
    pub fn account_url(&self) -> &str {
        self.account.id()
    }

    /// Places an order and returns its URL, which the caller stores at once.
    ///
    /// With the chain that is to be replaced, the order is a renewal, which CAs with ARI exempt from their limits.
    pub async fn order(&self, names: &BTreeSet<String>, replaces: Option<&str>) -> Result<String, Fault> {
        let replaced = replaces.filter(|_| self.directory.renewal_info.is_some()).and_then(|c| identify(c).ok());
        if let Some(replaced) = replaced {
            match self.place(names, Some(replaced)).await {
                // The CA does not know the old certificate, or an order whose reply was lost replaces it already.
                Err(refusal) if replaces_refused(&refusal) => {}
                placed => return placed.map_err(|r| r.fault),
            }
        }
        self.place(names, None).await.map_err(|r| r.fault)
    }

    async fn place(
        &self,
        names: &BTreeSet<String>,
        replaced: Option<CertificateIdentifier<'static>>,
    ) -> Result<String, Refusal> {
        let identifiers: Vec<_> = names.iter().map(|name| identifier(name)).collect();
        self.step(|| {
            let mut order = NewOrder::new(&identifiers);
            if let Some(profile) = &self.profile {
                order = order.profile(profile);
            }
            if let Some(replaced) = replaced.clone() {
                order = order.replaces(replaced);
            }
            async move { Ok(self.account.new_order(&order).await?.url().to_string()) }
        })
        .await
    }

    /// What the CA says of an order. One that it does not show to this account is [`Status::Invalid`]. Of one that waits for
    /// [`Self::ready`] it is asked once a minute: a record may take that long until it is seen everywhere.
    pub async fn look(&self, url: &str) -> Result<Progress, Fault> {
        if let Some(known) = self.waiting.known(url) {
            return Ok(known);
        }
        let progress = match self.step(|| self.read(url)).await {
            Err(refusal) if refusal.is_gone() => Progress::gone(refusal.fault.to_string()),
            seen => seen.map_err(Refusal::of_read)?,
        };
        self.waiting.saw(url, &progress);
        Ok(progress)
    }

    /// Takes an order up again. Its URL was kept in the application's namespace, where others may have changed it: one
    /// that does not lead to this CA is not asked, for the operator reaches more than they do.
    async fn resume(&self, url: &str) -> Result<Order, Error> {
        if !is_of_ca(&self.directory.new_account, url) {
            let message = format!("ACME account {}: the stored order is not at this CA", self.name);
            let refusal = Refusal { status: Some(StatusCode::NOT_FOUND), ..Refusal::silent(Fault::Rejected(message)) };
            return Err(refusal.into());
        }
        self.account.order(url.into()).await
    }

    async fn read(&self, url: &str) -> Result<Progress, Error> {
        let mut order = self.resume(url).await?;
        let (status, error) = (order.state().status.into(), order.state().error.as_ref().map(problem::text));
        let mut progress = Progress { status, names: BTreeSet::new(), challenges: Vec::new(), error };
        let mut authorizations = order.authorizations();
        while let Some(next) = authorizations.next().await {
            let authorization = match next {
                Err(e) if is_gone(&e) => continue,
                other => other?,
            };
            progress.names.insert(authorization.identifier().to_string());
            progress.challenges.extend(progress::challenges(&authorization, self.account.key_thumbprint()));
        }
        progress.challenges.sort();
        Ok(progress)
    }

    /// Tells the CA that the proofs are in place: for each name (without `*.`) of the kind that is said.
    /// Names that the CA has seen to already are left alone.
    pub async fn ready(&self, url: &str, kind: impl Fn(&str) -> Kind + Sync) -> Result<(), Fault> {
        self.waiting.end(url);
        match self.step(|| self.tell_ready(url, &kind)).await.map_err(|r| r.fault)? {
            None => Ok(()),
            Some((name, kind)) => {
                Err(Fault::Rejected(format!("ACME account {}: the CA takes no {kind} for {name}", self.name)))
            }
        }
    }

    /// The first name for which the CA does not offer the kind, if there is one.
    async fn tell_ready(
        &self,
        url: &str,
        kind: &(impl Fn(&str) -> Kind + Sync),
    ) -> Result<Option<(String, Kind)>, Error> {
        let mut order = self.resume(url).await?;
        let mut authorizations = order.authorizations();
        while let Some(next) = authorizations.next().await {
            let mut authorization = next?;
            if !progress::is_untouched(&authorization) {
                continue;
            }
            let name = authorization.identifier().to_string();
            let kind = kind(name.trim_start_matches("*."));
            match authorization.challenge(kind.wire()) {
                Some(mut challenge) => challenge.set_ready().await?,
                None => return Ok(Some((name, kind))),
            }
        }
        Ok(None)
    }

    /// Asks for the certificate of a key that is stored already. An order that is further along is left alone.
    pub async fn finalize(&self, url: &str, key_pem: &SecretString, names: &BTreeSet<String>) -> Result<(), Fault> {
        let csr =
            request(key_pem, names).map_err(|why| Fault::Rejected(format!("ACME account {}: {why}", self.name)))?;
        let status = self.step(|| self.submit(url, &csr)).await.map_err(|r| r.fault)?;
        match status {
            OrderStatus::Processing | OrderStatus::Valid => Ok(()),
            _ => Err(self.unripe(status)),
        }
    }

    async fn submit(&self, url: &str, csr: &[u8]) -> Result<OrderStatus, Error> {
        let mut order = self.resume(url).await?;
        if order.state().status == OrderStatus::Ready {
            order.finalize_csr(csr).await?;
        }
        Ok(order.state().status)
    }

    /// The chain of an order that is [`Status::Valid`], in PEM, as the CA sent it:
    /// [`crate::certificate::verify`] says whether it may be served.
    pub async fn chain(&self, url: &str) -> Result<String, Fault> {
        self.step(|| self.fetch(url)).await.map_err(Refusal::of_read)?.map_err(|status| self.unripe(status))
    }

    async fn fetch(&self, url: &str) -> Result<Result<String, OrderStatus>, Error> {
        let mut order = self.resume(url).await?;
        let status = order.state().status;
        if status != OrderStatus::Valid {
            return Ok(Err(status));
        }
        Ok(order.certificate().await?.ok_or(status))
    }

    fn unripe(&self, status: OrderStatus) -> Fault {
        Fault::Lost(format!("ACME account {}: the order is {:?} now", self.name, Status::from(status)))
    }

    /// When the CA wishes this chain's leaf to be renewed; `None` where the CA has no wish.
    ///
    /// Asked by hand: the client library refuses an answer without Retry-After, which is optional
    /// (<https://www.rfc-editor.org/rfc/rfc9773.html#section-4.3>).
    pub async fn window(&self, chain_pem: &str) -> Result<Option<Window>, Fault> {
        let (Some(base), Ok(certificate)) = (&self.directory.renewal_info, identify(chain_pem)) else {
            return Ok(None);
        };
        match self.transport.get(&format!("{base}/{certificate}")).await {
            // Not a certificate of this CA: 404 at Let's Encrypt, 400 elsewhere.
            Err(refusal) if matches!(refusal.fault, Fault::Rejected(_)) => Ok(None),
            Err(refusal) => Err(refusal.of_read()),
            Ok(answer) => self.window_in(answer.body(), self.transport.retry_after(answer.headers())).map(Some),
        }
    }

    fn window_in(&self, body: &[u8], wait: Option<Duration>) -> Result<Window, Fault> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(rename = "suggestedWindow")]
            window: Span,
        }
        #[derive(Deserialize)]
        struct Span {
            start: Timestamp,
            end: Timestamp,
        }
        let (least, most) = ASK_AGAIN_RANGE;
        let ask_again = wait.unwrap_or(ASK_AGAIN).clamp(least, most);
        let Body { window } = serde_json::from_slice(body).map_err(|_| {
            Fault::Unreachable(format!("ACME account {}: the renewal window cannot be read", self.name))
        })?;
        Ok(Window { start: window.start, end: window.end, ask_again })
    }

    /// Runs a step; where only nonces were refused, nothing was done, and it is run again.
    async fn step<T, F: Future<Output = Result<T, Error>>>(&self, run: impl Fn() -> F) -> Result<T, Refusal> {
        for _ in 1..NONCE_ROUNDS {
            match run().await {
                Err(e) if is_bad_nonce(&e) => continue,
                done => return done.map_err(|e| refusal(&self.name, e)),
            }
        }
        run().await.map_err(|e| refusal(&self.name, e))
    }
}

/// The message names no part of the key.
fn bad_key(account: &str) -> Refusal {
    refusal(account, Error::KeyRejected)
}

fn no_directory(access: &AcmeAccess) -> Refusal {
    let message = format!("ACME account {}: {} is no ACME directory", access.account, access.directory);
    Refusal::silent(Fault::Unreachable(message))
}

fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Other(inner) if inner.downcast_ref::<Refusal>().is_some_and(Refusal::is_gone))
}

/// Refusals that an order without `replaces` may not meet
/// (<https://www.rfc-editor.org/rfc/rfc9773.html#section-5>). A CA that does not repeat the field, which the client
/// library takes for an error, would be asked for a new order in each pass.
fn replaces_refused(refusal: &Refusal) -> bool {
    matches!(refusal.kind.as_str(), "alreadyReplaced" | "malformed" | "unauthorized" | problem::BY_CLIENT)
}

/// Whether a URL is where the known one of the CA is: the same scheme, host and port, and no user before the host.
fn is_of_ca(known: &str, url: &str) -> bool {
    let read = |url: &str| Url::parse(url).ok().filter(|url| url.username().is_empty() && url.password().is_none());
    matches!((read(known), read(url)), (Some(ca), Some(url)) if ca.origin() == url.origin())
}

fn identifier(name: &str) -> Identifier {
    name.parse::<IpAddr>().map_or_else(|_| Identifier::Dns(name.into()), Identifier::Ip)
}

/// The leaf's name in ARI: its authority key identifier and serial number.
fn identify(chain_pem: &str) -> Result<CertificateIdentifier<'static>, String> {
    let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes()).map_err(|e| e.to_string())?;
    CertificateIdentifier::try_from(&leaf).map(CertificateIdentifier::into_owned)
}

/// A signing request without a common name: names stand in the extension, and a common name holds 64 characters only.
fn request(key_pem: &SecretString, names: &BTreeSet<String>) -> Result<Vec<u8>, String> {
    let key = KeyPair::from_pem(key_pem.expose_secret()).map_err(|_| "the certificate's key cannot be read")?;
    let names: Vec<_> = names.iter().cloned().collect();
    let mut params = CertificateParams::new(names).map_err(|e| format!("a name cannot stand in a certificate: {e}"))?;
    params.distinguished_name = DistinguishedName::new();
    let csr = params.serialize_request(&key).map_err(|e| format!("no signing request: {e}"))?;
    Ok(csr.der().to_vec())
}

#[cfg(test)]
mod tests {
    use super::is_of_ca;

    const CA: &str = "https://acme-v02.api.letsencrypt.org/acme/new-acct";

    #[test]
    fn an_order_of_the_ca_is_asked_for() {
        for url in ["https://acme-v02.api.letsencrypt.org/acme/order/1/2", "https://acme-v02.api.letsencrypt.org:443/o"]
        {
            assert!(is_of_ca(CA, url), "{url}");
        }
    }

    #[test]
    fn no_other_address_is() {
        let corpus = include_str!("../../tests/ssrf/urls.txt");
        let urls: Vec<&str> = corpus.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert!(urls.len() > 40);
        let asked: Vec<&&str> = urls.iter().filter(|url| is_of_ca(CA, url)).collect();
        assert!(asked.is_empty(), "{asked:?}");
    }
}
