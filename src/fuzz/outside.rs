//! An outside in which everybody answers whatever a test makes of the request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderValue, Request, Response};
use jiff::Timestamp;
use serde_json::Value;

use crate::fault::Seen;
use crate::outside::{Answers, Broken, Outside, Terms};
use crate::rows::RecordType;

type Answering = Box<dyn FnMut(&Request<Bytes>) -> Response<Bytes> + Send>;

/// Answers at once.
pub struct Babble(Mutex<Answering>);

impl Babble {
    /// Everybody answers this.
    pub fn of(answer: impl FnMut(&Request<Bytes>) -> Response<Bytes> + Send + 'static) -> Arc<dyn Outside> {
        Arc::new(Babble(Mutex::new(Box::new(answer))))
    }
}

impl Outside for Babble {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn entropy(&self) -> [u8; 32] {
        [7; 32]
    }

    fn exchange<'a>(
        &'a self,
        request: Request<Bytes>,
        _terms: Terms<'a>,
    ) -> BoxFuture<'a, Result<Response<Bytes>, Broken>> {
        let mut answering = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answering(&request);
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn ask<'a>(&'a self, _: &'a [String], _: &'a str, _: RecordType) -> BoxFuture<'a, Seen<Answers>> {
        Box::pin(std::future::ready(Ok(BTreeMap::new())))
    }
}

/// An answer as a value tells it: `{"status": 200, "headers": {…}, "body": …}`. What is no header is left out.
pub fn answer(told: &Value) -> Response<Bytes> {
    let status = told["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    let status = status.and_then(|status| http::StatusCode::from_u16(status).ok()).unwrap_or_default();
    let body = told["body"].as_str().map_or_else(|| told["body"].to_string(), str::to_owned);
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    for (name, value) in told["headers"].as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let name = http::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(text.as_bytes())) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
