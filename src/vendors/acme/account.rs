//! Registration of an account under a key that is stored already, so that a crash leaves no orphan.
//!
//! The client library binds an external account only to a key that it makes itself; such a binding may be used
//! up by the first try, and a crash before the key is stored would lose it. So this one request is made here.

use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine};
use bytes::Bytes;
use http::header::LOCATION;
use http::{Method, Response, StatusCode};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::problem::Refusal;
use super::transport::Transport;
use super::{AcmeAccess, ExternalBinding, NONCE_ROUNDS};
use crate::fault::Fault;

/// What the CA's directory says (<https://www.rfc-editor.org/rfc/rfc8555#section-7.1.1>).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Directory {
    pub new_nonce: String,
    pub new_account: String,
    /// Where the CA tells when to renew (RFC 9773), if it does.
    pub renewal_info: Option<String>,
}

/// An account as the CA holds it.
#[derive(Debug)]
pub(super) struct Registered {
    pub url: String,
    /// What it lists as contacts; a new account has those that were asked for.
    pub contact: Vec<String>,
}

/// Makes, or finds, the account of a key.
pub(super) struct Registrar<'a> {
    pub access: &'a AcmeAccess,
    pub transport: &'a Transport,
    pub directory: &'a Directory,
    key: EcdsaKeyPair,
}

impl<'a> Registrar<'a> {
    #[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "ECDSA signs with randomness"))]
    pub fn new(
        access: &'a AcmeAccess,
        transport: &'a Transport,
        directory: &'a Directory,
        pkcs8: &[u8],
    ) -> Result<Self, Refusal> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new());
        match key {
            Ok(key) => Ok(Registrar { access, transport, directory, key }),
            Err(_) => Err(super::bad_key(&access.account)),
        }
    }

    /// The key decides: the CA returns the same account for it each time
    /// (<https://www.rfc-editor.org/rfc/rfc8555#section-7.3.1>).
    pub async fn register(&self) -> Result<Registered, Refusal> {
        let Some(binding) = &self.access.eab else {
            return self.post(self.wish()).await;
        };
        match self.post(json!({ "onlyReturnExisting": true })).await {
            Err(refusal) if refusal.kind == "accountDoesNotExist" => {
                let mut wish = self.wish();
                wish["externalAccountBinding"] = self.bind(binding)?;
                self.post(wish).await
            }
            found => found,
        }
    }

    fn wish(&self) -> Value {
        json!({ "termsOfServiceAgreed": true, "contact": self.access.contact() })
    }

    async fn post(&self, payload: Value) -> Result<Registered, Refusal> {
        for _ in 1..NONCE_ROUNDS {
            let response = self.attempt(&payload).await?;
            if response.status().is_success() {
                return self.registered(&response);
            }
        }
        self.registered(&self.attempt(&payload).await?)
    }

    #[cfg_attr(not(test), expect(clippy::disallowed_methods, reason = "ECDSA signs with randomness"))]
    async fn attempt(&self, payload: &Value) -> Result<Response<Bytes>, Refusal> {
        let request = self.transport.request(Method::HEAD, &self.directory.new_nonce, None)?;
        let response = self.transport.send(request).await?;
        let nonce = response.headers().get("replay-nonce").and_then(|n| n.to_str().ok()).unwrap_or_default();
        let url = &self.directory.new_account;
        let protected = json!({ "alg": "ES256", "jwk": self.jwk(), "nonce": nonce, "url": url });
        let body = jws(&protected, payload, |data| {
            let signature = self.key.sign(&SystemRandom::new(), data);
            signature.map(|s| s.as_ref().to_vec()).map_err(|_| super::bad_key(&self.access.account))
        })?;
        self.transport.send(self.transport.request(Method::POST, url, Some(body.to_string().into()))?).await
    }

    fn registered(&self, response: &Response<Bytes>) -> Result<Registered, Refusal> {
        #[derive(Deserialize)]
        struct Body {
            status: Option<String>,
            #[serde(default)]
            contact: Vec<String>,
        }
        let account = &self.access.account;
        let body: Option<Body> = serde_json::from_slice(response.body()).ok();
        let url = response.headers().get(LOCATION).and_then(|l| l.to_str().ok());
        let (Some(body), Some(url)) = (body, url) else {
            let message = format!("ACME account {account}: the server names no account in its answer");
            return Err(Refusal::silent(Fault::Unreachable(message)));
        };
        if let Some(status) = body.status.filter(|status| status != "valid") {
            return Err(Refusal::silent(Fault::Denied(format!("ACME account {account} is {status} at the CA"))));
        }
        let is_new = response.status() == StatusCode::CREATED;
        Ok(Registered { url: url.into(), contact: if is_new { self.access.contact() } else { body.contact } })
    }

    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.3.4>
    fn bind(&self, binding: &ExternalBinding) -> Result<Value, Refusal> {
        let text = binding.key.expose_secret().trim().trim_end_matches('=');
        let secret = BASE64_URL_SAFE_NO_PAD.decode(text).or_else(|_| BASE64_STANDARD_NO_PAD.decode(text));
        let Ok(secret) = secret else {
            let message =
                format!("ACME account {}: the key of the external account is not base64", self.access.account);
            return Err(Refusal::silent(Fault::Denied(message)));
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let protected = json!({ "alg": "HS256", "kid": binding.id, "url": self.directory.new_account });
        jws(&protected, &self.jwk(), |data| Ok(hmac::sign(&key, data).as_ref().to_vec()))
    }

    fn jwk(&self) -> Value {
        // An uncompressed point: 4, then x and y of 32 bytes each.
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        let (x, y) = (BASE64_URL_SAFE_NO_PAD.encode(x), BASE64_URL_SAFE_NO_PAD.encode(y));
        json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y })
    }
}

/// A flattened JSON Web Signature.
fn jws(
    protected: &Value,
    payload: &Value,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, Refusal>,
) -> Result<Value, Refusal> {
    let protected = BASE64_URL_SAFE_NO_PAD.encode(protected.to_string());
    let payload = BASE64_URL_SAFE_NO_PAD.encode(payload.to_string());
    let signature = sign(format!("{protected}.{payload}").as_bytes())?;
    Ok(json!({ "protected": protected, "payload": payload, "signature": BASE64_URL_SAFE_NO_PAD.encode(signature) }))
}
