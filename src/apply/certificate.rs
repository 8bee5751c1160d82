//! The steps of issuing a certificate. Each rests on what the step before stored: the key before the order, the order's
//! URL before it is finalized, the verified chain before the order is forgotten.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::owner_reference;
use super::secrets::{self, Stands};
use super::vault::encoded;
use crate::certificate::{new_key, verify};
use crate::cluster::{find, make};
use crate::fault::{Fault, Seen};
use crate::objects::{MANAGED_BY, OWNER};
use crate::observe::Observer;
use crate::plan::{AcmeStep, Ask};
use crate::vendors::acme::{self, AcmeAccess, Issuer};
use crate::world::Origin;

/// The annotations of a certificate's Secret that say where it came from.
const ACCOUNT: &str = "golive.dev/acme-account";
const DIRECTORY: &str = "golive.dev/acme-directory";

/// Where a certificate came from. Earlier versions did not note it.
pub fn origin(secret: &Secret) -> Option<Origin> {
    let note = |key: &str| secret.annotations().get(key).cloned();
    Some(Origin { account: note(ACCOUNT)?, directory: note(DIRECTORY)? })
}

fn noted(origin: &Origin) -> Value {
    json!({ACCOUNT: origin.account, DIRECTORY: origin.directory})
}

/// What is stored of a certificate under way.
pub struct Order {
    /// The names asked for, sorted.
    pub names: Vec<String>,
    /// The ACME account.
    pub account: String,
    /// When it was intended.
    pub at: Timestamp,
    /// The order's URL, once it is placed.
    pub url: Option<String>,
    key: SecretString,
}

impl Order {
    /// The Secret that holds it.
    pub fn secret_name(ask: Ask<'_>) -> String {
        ask.named("tls-order")
    }

    /// Reads it back; what does not have its form is started anew.
    pub fn of(secret: &Secret) -> Option<Order> {
        let text = |key: &str| crate::observe::text(secret, key);
        Some(Order {
            names: text("names")?.split(',').map(str::to_owned).collect(),
            account: text("account")?,
            at: text("at")?.parse().ok()?,
            url: text("url"),
            key: text("tls.key")?.into(),
        })
    }

    fn values(&self) -> Vec<(String, String)> {
        let mut values = vec![
            ("names".to_owned(), self.names.join(",")),
            ("account".to_owned(), self.account.clone()),
            ("at".to_owned(), self.at.to_string()),
            ("tls.key".to_owned(), self.key.expose_secret().to_owned()),
        ];
        values.extend(self.url.clone().map(|url| ("url".to_owned(), url)));
        values
    }
}

/// Opens an ACME account by a key that is stored before the CA hears of it, so that no crash leaves an orphan account.
///
/// # Errors
/// The key cannot be kept, or the CA refuses the account.
pub async fn issuer(observer: &Observer, access: &AcmeAccess) -> Seen<Issuer> {
    let api: Api<Secret> = Api::namespaced(observer.client.clone(), &observer.accounts.namespace);
    let name = format!("acme-{}-key", access.account);
    let key = match find(&api, &name).await? {
        Some(secret) => stored_key(&secret)?,
        None => make_key(&api, &name).await?,
    };
    Issuer::open(&observer.outside, access, &key).await
}

fn stored_key(secret: &Secret) -> Seen<SecretString> {
    let unreadable = || {
        let (name, namespace) = (secret.name_any(), secret.namespace().unwrap_or_default());
        let next = "restore it, or delete the Secret for a new account";
        Fault::Rejected(format!("Secret {name} in {namespace} has no key.pem that can be read: {next}"))
    };
    crate::observe::text(secret, "key.pem").map(SecretString::from).ok_or_else(unreadable)
}

/// Makes an account's key, where there is none: another in its place would be another account, which has none of the
/// orders.
async fn make_key(api: &Api<Secret>, name: &str) -> Seen<SecretString> {
    let key = new_key().map_err(Fault::Rejected)?;
    let pem = ("key.pem".to_owned(), key.expose_secret().to_owned());
    make(api, name, secret(name, "Opaque", [pem], json!({MANAGED_BY: "golive"}))).await.map(|_| key)
}

/// Takes one step; returns whether a new certificate serves.
///
/// # Errors
/// The CA, the API server or the verification of the chain refused.
pub async fn step(observer: &Observer, ask: Ask<'_>, step: &AcmeStep) -> Seen<bool> {
    let api: Api<Secret> = Api::namespaced(observer.client.clone(), &ask.saas.namespace().unwrap_or_default());
    let steps = Steps { observer, ask, api };
    match step {
        AcmeStep::Intend { account, names } => steps.intend(account, names).await?,
        AcmeStep::Order { account, names, replaces } => steps.order(account, names, *replaces).await?,
        AcmeStep::Ready { account, url, names } => {
            let over_dns = |name: &str| names.get(name).copied().unwrap_or(true);
            let kind = |name: &str| if over_dns(name) { acme::Kind::Dns01 } else { acme::Kind::Http01 };
            observer.issuer(account).await?.ready(url, kind).await?;
        }
        AcmeStep::Finalize { account, url, names } => {
            let (order, _) = steps.stored().await?;
            observer.issuer(account).await?.finalize(url, &order.key, &set(names)).await?;
        }
        AcmeStep::Take { account, url, names } => return steps.take(account, url, names).await.map(|()| true),
        AcmeStep::Abandon { .. } => steps.abandon().await?,
        AcmeStep::Note(origin) => steps.note(origin).await?,
    }
    Ok(false)
}

struct Steps<'a> {
    observer: &'a Observer,
    ask: Ask<'a>,
    api: Api<Secret>,
}

impl Steps<'_> {
    async fn seen(&self) -> Seen<Option<Secret>> {
        secrets::seen(&self.api, self.ask, &Order::secret_name(self.ask)).await
    }

    /// The order that was planned on, as it is stored.
    async fn stored(&self) -> Seen<(Order, Secret)> {
        let name = Order::secret_name(self.ask);
        let lost = || Fault::Lost(format!("Secret {name} is gone or damaged: the order starts anew"));
        let found = self.seen().await?;
        let (order, secret) = found.and_then(|secret| Some((Order::of(&secret)?, secret))).ok_or_else(lost)?;
        if self.is_planned(&order) { Ok((order, secret)) } else { Err(self.outrun()) }
    }

    /// Whether it is the one that this pass saw, and none that another leader intended since.
    fn is_planned(&self, order: &Order) -> bool {
        matches!(&self.ask.world.order, Ok(Some(planned)) if planned.at == order.at)
    }

    async fn store(&self, order: &Order, stands: Option<&Secret>) -> Seen<()> {
        let name = Order::secret_name(self.ask);
        let mut object = secret(&name, "Opaque", order.values(), json!({MANAGED_BY: "golive", OWNER: self.ask.name()}));
        object["metadata"]["ownerReferences"] = json!([owner_reference(self.ask.saas)]);
        secrets::keep(&self.api, (&name, object), stands.map(Stands::of)).await.map(drop)
    }

    /// In place of what cannot be read; never of an order that another placed meanwhile.
    async fn intend(&self, account: &str, names: &[String]) -> Seen<()> {
        let stands = self.seen().await?;
        if stands.as_ref().and_then(Order::of).is_some() {
            return Err(self.outrun());
        }
        let key = new_key().map_err(Fault::Rejected)?;
        let order =
            Order { names: names.to_vec(), account: account.to_owned(), at: self.ask.world.now, url: None, key };
        self.store(&order, stands.as_ref()).await
    }

    /// Places the order and stores its address. Where that fails, the same order is stored by the next pass: a CA that
    /// was asked again might count another.
    async fn order(&self, account: &str, names: &[String], replaces: bool) -> Seen<()> {
        let (mut order, secret) = self.stored().await?;
        if order.url.is_some() {
            return Err(self.outrun());
        }
        let placed = self.observer.placed.lock().await.get(&self.uid()).filter(|(at, _)| *at == order.at).cloned();
        let url = match placed {
            Some((_, url)) => url,
            None => self.place(account, names, replaces).await?,
        };
        order.url = Some(url.clone());
        self.observer.placed.lock().await.insert(self.uid(), (order.at, url));
        self.store(&order, Some(&secret)).await?;
        self.observer.placed.lock().await.remove(&self.uid());
        Ok(())
    }

    fn outrun(&self) -> Fault {
        Fault::Outrun(format!(
            "Secret {} holds another order than the one that was looked at",
            Order::secret_name(self.ask)
        ))
    }

    async fn place(&self, account: &str, names: &[String], replaces: bool) -> Seen<String> {
        let old = match replaces {
            true => find(&self.api, &self.ask.tls_name()).await?.and_then(|s| crate::observe::text(&s, "tls.crt")),
            false => None,
        };
        let issuer = self.observer.issuer(account).await?;
        self.observer.known(account, issuer.order(&set(names), old.as_deref()).await).await
    }

    fn uid(&self) -> String {
        self.ask.saas.uid().unwrap_or_default()
    }

    /// Fetches the chain and lets it serve only if it fits the key, the names and the time.
    async fn take(&self, account: &str, url: &str, names: &[String]) -> Seen<()> {
        let (order, held) = self.stored().await?;
        let chain = self.observer.issuer(account).await?.chain(url).await?;
        verify(&chain, &order.key, &set(names), self.ask.world.now)
            .map_err(|why| Fault::Rejected(format!("the CA's certificate is not fit to serve: {why}")))?;
        self.serve(chain, &order).await?;
        secrets::remove(&self.api, &held).await.map(drop)
    }

    async fn serve(&self, chain: String, order: &Order) -> Seen<()> {
        let name = self.ask.tls_name();
        let values = [("tls.crt".to_owned(), chain), ("tls.key".to_owned(), order.key.expose_secret().to_owned())];
        let labels = json!({MANAGED_BY: "golive", OWNER: self.ask.name()});
        let mut object = secret(&name, "kubernetes.io/tls", values, labels);
        let directory = self.observer.accounts.acme(&order.account)?.directory;
        object["metadata"]["annotations"] = noted(&Origin { account: order.account.clone(), directory });
        let found = secrets::seen(&self.api, self.ask, &name).await?;
        // What others keep beside the two, a key store say, stays.
        secrets::keep(&self.api, (&name, object), found.as_ref().map(Stands::beside)).await.map(drop)
    }

    /// Notes on the certificate that stands where it came from.
    async fn note(&self, origin: &Origin) -> Seen<()> {
        let name = self.ask.tls_name();
        let Some(found) = secrets::seen(&self.api, self.ask, &name).await? else { return Ok(()) };
        let object = json!({"metadata": {"annotations": noted(origin)}});
        secrets::keep(&self.api, (&name, object), Some(Stands::beside(&found))).await.map(drop)
    }

    /// Forgets the order that was planned on, or what cannot be read.
    async fn abandon(&self) -> Seen<()> {
        let Some(secret) = self.seen().await? else { return Ok(()) };
        if Order::of(&secret).is_some_and(|order| !self.is_planned(&order)) {
            return Err(self.outrun());
        }
        secrets::remove(&self.api, &secret).await.map(drop)
    }
}

fn set(names: &[String]) -> BTreeSet<String> {
    names.iter().cloned().collect()
}

fn secret(name: &str, kind: &str, values: impl IntoIterator<Item = (String, String)>, labels: Value) -> Value {
    let values: Vec<(String, String)> = values.into_iter().collect();
    let data = encoded(values.iter().map(|(key, value)| (key, value.as_str())));
    json!({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name, "labels": labels}, "data": data})
}
