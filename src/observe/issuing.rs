//! The certificate that serves, the order under way, and what the CA and the zones' name servers say of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};

use super::Observer;
use crate::api::SaasDeployment;
use crate::apply::certificate::{Order, issuer, origin};
use crate::apply::secrets;
use crate::certificate::{Certificate, Window};
use crate::cluster::find;
use crate::fault::{Fault, Seen};
use crate::plan::Ask;
use crate::plan::claims::Vendor;
use crate::rows::RecordType;
use crate::vendors::acme::{Issuer, proof_name};
use crate::world::{Pending, World};

/// A certificate of golive's own, or one that the user brings by name: any other Secret of that name is somebody else's,
/// who renews it too.
fn fits(ask: Ask<'_>, secret: Option<Secret>) -> Seen<Option<Secret>> {
    let is_strange = |secret: &Secret| !ask.brings_certificate() && !secrets::is_ours(ask.saas, secret);
    match secret {
        Some(secret) if is_strange(&secret) => Err(Fault::Rejected(format!(
            "Secret {} exists and is not golive's: name it in `tls.secretName` to use it, or rename it, or the SaasDeployment",
            secret.name_any()
        ))),
        secret => Ok(secret),
    }
}

impl Observer {
    /// Fills in everything about the certificate.
    pub(super) async fn certificates(&self, saas: &SaasDeployment, world: &mut World) {
        let ask = Ask { saas, world };
        if ask.hosts().is_empty() || saas.metadata.deletion_timestamp.is_some() {
            return;
        }
        let namespace = saas.namespace().unwrap_or_default();
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
        let (tls, order) = (ask.tls_name(), Order::secret_name(ask));
        let (held, pending) = tokio::join!(find(&api, &tls), secrets::seen(&api, ask, &order));
        let held = held.and_then(|secret| fits(ask, secret));
        let noted = held.as_ref().ok().and_then(Option::as_ref).and_then(origin);
        let chain = held.map(|secret| secret.and_then(|s| text(&s, "tls.crt")));
        world.certificate = chain.clone().map(|chain| chain.and_then(|chain| Certificate::read(&chain).ok()));
        world.origin = noted;
        world.order = match pending {
            Ok(Some(secret)) => Ok(self.pending(&secret).await),
            Ok(None) => Ok(None),
            Err(fault) => Err(fault),
        };
        if let (Ok(Some(chain)), Ok(Some(certificate))) = (chain, &world.certificate) {
            let key = certificate.key_id.clone();
            world.window = self.window(Ask { saas, world }, &chain, key).await;
        }
        world.published = self.published(Ask { saas, world }).await;
    }

    /// The order under way, as the CA sees it.
    async fn pending(&self, secret: &Secret) -> Option<Pending> {
        let order = Order::of(secret)?;
        let progress = match &order.url {
            None => None,
            Some(url) => Some(match self.issuer(&order.account).await {
                Ok(issuer) => self.known(&order.account, issuer.look(url).await).await,
                Err(fault) => Err(fault),
            }),
        };
        Some(Pending { names: order.names, account: order.account, at: order.at, url: order.url, progress })
    }

    /// The ACME account of that name, opened once. A CA that does not answer holds up one pass.
    pub async fn issuer(&self, account: &str) -> Seen<Arc<Issuer>> {
        let access = self.accounts.acme(account)?;
        self.issuers.read(&access.fingerprint(), || issuer(self, &access)).await
    }

    /// Passes an answer of the CA on. One that refuses the account makes the next pass open it anew.
    pub async fn known<T>(&self, account: &str, answer: Seen<T>) -> Seen<T> {
        if let (Err(Fault::Denied(_)), Ok(access)) = (&answer, self.accounts.acme(account)) {
            self.issuers.forget(&access.fingerprint());
        }
        answer
    }

    /// When the CA wants the certificate renewed; asked as seldom as the CA wishes. No CA knows those of another.
    async fn window(&self, ask: Ask<'_>, chain: &str, key: String) -> Option<Window> {
        if ask.comes_from_elsewhere() {
            return None;
        }
        let now = ask.world.now;
        let known = self.windows.lock().await.get(&key).copied();
        if let Some((window, until)) = known
            && until > now
        {
            return window;
        }
        let named = ask.saas.spec.tls.as_ref().and_then(|tls| tls.account.clone());
        let account = ask.account(Vendor::Acme, named.as_deref()).ok()?.0.to_owned();
        let asked = match self.issuer(&account).await {
            Ok(issuer) => issuer.window(chain).await,
            Err(fault) => Err(fault),
        };
        let (window, wait) = match asked {
            Ok(window) => (window, window.map_or(Duration::from_secs(21_600), |w| w.ask_again)),
            // A CA that does not answer has not changed its wish.
            Err(_) => (known.and_then(|(window, _)| window), Duration::from_secs(600)),
        };
        self.windows.lock().await.insert(key, (window, later(now, wait)));
        window
    }

    /// What all name servers of each zone answer for the challenges under way.
    async fn published(&self, ask: Ask<'_>) -> BTreeMap<String, Seen<BTreeSet<String>>> {
        let mut published = BTreeMap::new();
        for (host, _) in ask.proofs() {
            let Some(Ok(Some(hosted))) = ask.world.zones.get(&host) else { continue };
            let name = proof_name(&host);
            let answers = self.outside.ask(&hosted.zone.name_servers, &name, RecordType::Txt).await;
            published.insert(host, answers.map(common));
        }
        published
    }
}

/// The values that every server gave.
fn common(answers: BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let sets = answers.into_values().map(|values| values.into_iter().collect::<BTreeSet<_>>());
    sets.reduce(|all, next| all.intersection(&next).cloned().collect()).unwrap_or_default()
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}

/// A key of a Secret, as text.
pub fn text(secret: &Secret, key: &str) -> Option<String> {
    let value = secret.data.as_ref()?.get(key)?;
    String::from_utf8(value.0.clone()).ok()
}
