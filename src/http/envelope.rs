//! Around every request: its id, its log line, its metrics, and the envelope of its error.

use std::{
    future::{Ready, ready},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use actix_web::{
    Error,
    body::{BoxBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use futures_util::future::LocalBoxFuture;
use uuid::Uuid;

use super::{error::ApiError, hardening::harden, openapi};
use crate::{
    error::{Error as CrateError, ErrorKind},
    store::under_request,
    telemetry::Metrics,
};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id taken from a client.
const MAX_REQUEST_ID_BYTES: usize = 64;

/// The middleware; see the module.
pub struct Envelope {
    /// Where requests are counted.
    pub metrics: Metrics,
}

/// The running middleware.
pub struct Enveloped<S> {
    service: Rc<S>,
    metrics: Metrics,
}

impl<S, B> Transform<S, ServiceRequest> for Envelope
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = Enveloped<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Enveloped { service: Rc::new(service), metrics: self.metrics.clone() }))
    }
}

impl<S, B> Service<ServiceRequest> for Enveloped<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Error>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        let (service, metrics) = (Rc::clone(&self.service), self.metrics.clone());
        let started = Instant::now();
        let id: Arc<str> = request_id(&request).into();
        Box::pin(async move {
            // Handlers' errors are responses by now. No copy of the request may be kept: routing wants it alone.
            let response = under_request(Some(Arc::clone(&id)), service.call(request)).await?.map_into_boxed_body();
            // Taken before the envelope replaces the answer: the client is told a code, the log the cause.
            let cause = response.response().error().map(ToString::to_string);
            let mut response = enveloped(response, &id);
            if let Ok(value) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(REQUEST_ID, value);
            }
            harden(&mut response);
            note(&metrics, &response, cause.as_deref(), started, &id);
            Ok(response)
        })
    }
}

/// The client's id if it is short and harmless, else a new one.
fn request_id(request: &ServiceRequest) -> String {
    let harmless = |text: &&str| {
        (1..=MAX_REQUEST_ID_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(harmless);
    given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Puts an error into the common envelope, whoever raised it.
fn enveloped(response: ServiceResponse<BoxBody>, id: &str) -> ServiceResponse<BoxBody> {
    let Some(error) = response.response().error() else { return response };
    let answer = match error.as_error::<ApiError>() {
        Some(error) => error.answer(id),
        None => ApiError(foreign(&response)).answer(id),
    };
    let origins = [header::ACCESS_CONTROL_ALLOW_ORIGIN, header::ACCESS_CONTROL_EXPOSE_HEADERS, header::VARY];
    let kept = origins.map(|name| (response.headers().get(&name).cloned(), name));
    let mut response = response.into_response(answer);
    for (value, name) in kept {
        // A page that may call the API may read why it was refused.
        if let Some(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        let methods = openapi::allowed(&response.request().match_pattern().unwrap_or_default());
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

/// An error that actix itself raised, in our terms.
fn foreign(response: &ServiceResponse<BoxBody>) -> CrateError {
    let kind = match response.status().as_u16() {
        404 => ErrorKind::NotFound,
        405 => ErrorKind::MethodNotAllowed,
        408 => ErrorKind::Timeout,
        413 => ErrorKind::TooLarge,
        415 => ErrorKind::Unsupported,
        status if status < 500 => ErrorKind::Invalid,
        _ => ErrorKind::Internal,
    };
    CrateError::new(kind, "the request cannot be served")
}

/// One log line and the metrics of a request. The route's pattern stands for its path, which may hold ids.
fn note(metrics: &Metrics, response: &ServiceResponse<BoxBody>, cause: Option<&str>, started: Instant, id: &str) {
    let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let (method, status) = (response.request().method(), response.status());
    let seconds = started.elapsed().as_secs_f64();
    metrics.requests.with_label_values(&[route.as_str(), method_label(method.as_str()), status.as_str()]).inc();
    metrics.request_seconds.with_label_values(&[route.as_str()]).observe(seconds);
    if status.is_server_error() {
        tracing::error!(request_id = id, %method, route, status = status.as_u16(), seconds, cause, "request failed");
    } else {
        tracing::debug!(request_id = id, %method, route, status = status.as_u16(), seconds, "request");
    }
}

/// A method as a label: a client may invent any number of others.
fn method_label(method: &str) -> &str {
    match method {
        "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS" => method,
        _ => "other",
    }
}
