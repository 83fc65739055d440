//! What every answer tells a browser not to do, and whom other origins' pages may be.

use actix_cors::Cors;
use actix_web::{
    dev::ServiceResponse,
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Condition,
};

use super::{api::LAST_EVENT_ID, envelope::REQUEST_ID, idempotency};

/// Answers are data: nothing in them is to be run or shown in a frame.
const DATA_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// The page to try the API is made of our own files, but sets styles from its script and has icons in its style sheet.
const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// How long a browser may keep a preflight's answer, in seconds.
const PREFLIGHT_SECONDS: usize = 3600;

/// Sets the headers of an answer, which may have come over TLS.
pub(super) fn harden<B>(answer: &mut ServiceResponse<B>, secure: bool) {
    let path = answer.request().path();
    let docs = path == "/docs" || path.starts_with("/docs/");
    harden_headers(answer.headers_mut(), docs, secure);
}

/// The same where the request has gone.
pub(super) fn harden_headers(headers: &mut HeaderMap, docs: bool, secure: bool) {
    let mut set = |name: HeaderName, value: HeaderValue| drop(headers.insert(name, value));
    set(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    set(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    set(header::CONTENT_SECURITY_POLICY, if docs { DOCS_POLICY } else { DATA_POLICY });
    if !docs {
        set(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    // Sent in clear it would be ignored, and a proxy's own rule is the proxy's.
    if secure {
        set(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

/// Lets pages of `origins` call the API; with none, nobody's: browsers then keep to pages of the server itself. Keys
/// travel in a header that a page must be given, so cookies are never allowed.
pub fn cors(origins: &[String]) -> Condition<Cors> {
    let headers = [header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static("x-api-key")];
    let rules = origins.iter().fold(Cors::default(), |rules, origin| rules.allowed_origin(origin));
    let rules = rules
        .allowed_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allowed_headers(headers.into_iter().chain([REQUEST_ID, idempotency::KEY, LAST_EVENT_ID]))
        .expose_headers([REQUEST_ID, idempotency::REPLAYED, header::RETRY_AFTER])
        .block_on_origin_mismatch(false)
        .max_age(PREFLIGHT_SECONDS);
    Condition::new(!origins.is_empty(), rules)
}
