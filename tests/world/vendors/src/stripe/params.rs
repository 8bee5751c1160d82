//! Reading parameters of a call, with the errors they may earn.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::problem::Problem;

type Body = Map<String, Value>;

/// All event names that an endpoint may ask for; written by `referees/generate_stripe_names.py` from the official SDK.
pub const EVENT_NAMES: &str = include_str!("event_names.txt");
/// All API versions; written likewise.
pub const API_VERSIONS: &str = include_str!("api_versions.txt");

/// Refuses parameters that the call does not know.
pub fn only(body: &Body, known: &[&str]) -> Result<(), Problem> {
    body.keys().find(|name| !known.contains(&name.as_str())).map_or(Ok(()), |name| Err(Problem::unknown(name)))
}

/// A parameter's text.
pub fn text<'a>(body: &'a Body, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str)
}

/// A parameter's text, which must be there.
pub fn required<'a>(body: &'a Body, name: &str) -> Result<&'a str, Problem> {
    text(body, name).filter(|text| !text.is_empty()).ok_or_else(|| Problem::missing(name))
}

/// `true` or `false`.
pub fn boolean(body: &Body, name: &str) -> Result<Option<bool>, Problem> {
    match text(body, name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err(Problem::invalid(400, format!("Invalid boolean: {other}")).param(name)),
    }
}

/// A whole number within bounds.
pub fn number(body: &Body, name: &str, usual: usize) -> Result<usize, Problem> {
    let Some(text) = text(body, name) else { return Ok(usual) };
    let invalid = |message: String| Problem::invalid(400, message).code("parameter_invalid_integer").param(name);
    match text.parse() {
        Ok(number) if (1..=100).contains(&number) => Ok(number),
        Ok(_) => Err(invalid(format!("This value must be between 1 and 100 (it currently is '{text}')."))),
        Err(_) => Err(invalid(format!("Invalid integer: {text}"))),
    }
}

/// An absolute URL; live endpoints must be reached over TLS: <https://docs.stripe.com/webhooks>.
pub fn url(text: &str, live: bool) -> Result<String, Problem> {
    let invalid = |message: &str| Problem::invalid(400, message).code("url_invalid").param("url");
    let parsed: Option<http::Uri> = text.parse().ok().filter(|uri: &http::Uri| uri.host().is_some());
    let scheme = parsed.as_ref().and_then(http::Uri::scheme_str);
    match scheme {
        Some("https") => Ok(text.into()),
        Some("http") if !live => Ok(text.into()),
        Some("http") => Err(invalid("Invalid URL: URL must be an HTTPS URL in live mode.")),
        _ => Err(invalid("Invalid URL: An explicit scheme (such as https) must be provided.")),
    }
}

/// A version of the API.
pub fn api_version(text: &str) -> Result<String, Problem> {
    if API_VERSIONS.lines().any(|known| known == text) {
        return Ok(text.into());
    }
    Err(Problem::invalid(400, format!("Invalid Stripe API version: {text}")).param("api_version"))
}

/// Merges metadata: an empty value removes its key, an empty parameter all; <https://docs.stripe.com/api/metadata>.
pub fn metadata(old: &BTreeMap<String, String>, given: Option<&Value>) -> Result<BTreeMap<String, String>, Problem> {
    let mut merged = old.clone();
    match given {
        None => {}
        Some(Value::Object(pairs)) => pairs.iter().try_for_each(|(key, value)| put(&mut merged, key, value))?,
        Some(Value::String(text)) if text.is_empty() => merged.clear(),
        Some(_) => return Err(Problem::invalid(400, "Invalid object").param("metadata")),
    }
    if merged.len() > 50 {
        return Err(Problem::invalid(400, "Metadata can have at most 50 keys.").param("metadata"));
    }
    Ok(merged)
}

fn put(merged: &mut BTreeMap<String, String>, key: &str, value: &Value) -> Result<(), Problem> {
    let param = format!("metadata[{key}]");
    let value = value.as_str().ok_or_else(|| Problem::invalid(400, "Metadata values must be strings").param(&param))?;
    if key.chars().count() > 40 {
        let message = format!(
            "Metadata keys can have up to 40 characters, but you passed in a key that is {} characters.",
            key.len()
        );
        return Err(Problem::invalid(400, message).param(param));
    }
    if value.chars().count() > 500 {
        let message = format!(
            "Metadata values can have up to 500 characters, but you passed in a value that is {} characters.",
            value.len()
        );
        return Err(Problem::invalid(400, message).param(param));
    }
    if value.is_empty() {
        merged.remove(key)
    } else {
        merged.insert(key.into(), value.into())
    };
    Ok(())
}
