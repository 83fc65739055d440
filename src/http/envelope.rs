//! Around every request: its id, its log line, its metrics, the envelope of its error, its connection's note that it is
//! being answered, and its end with the server's.

use std::{
    future::{Ready, ready},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use actix_web::{
    Error, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    error::InternalError,
    http::{
        ConnectionType, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    web::Data,
};
use futures_util::future::LocalBoxFuture;
use tracing::Instrument;
use uuid::Uuid;

use super::{
    api::{THAT_ONLY_TELL, openapi},
    authority,
    error::ApiError,
    hardening::{harden, harden_headers},
    leaving::Leaving,
    listeners::{Answer, Conversation},
    shares,
    state::ApiState,
};
use crate::{
    error::{Error as CrateError, ErrorKind},
    pipeline::full,
    runtime::Reservation,
    store::under_request,
    telemetry::{Metrics, spans::request_span},
};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id taken from a client.
const MAX_REQUEST_ID_BYTES: usize = 64;

/// The longest answer that takes of nobody's share, in bytes: as long as what a connection has of its own.
const SHORT_BYTES: u64 = 64 << 10;

/// The middleware; see the module.
#[derive(Clone)]
pub struct Envelope {
    /// Where requests are counted.
    pub metrics: Metrics,
    /// The end of the server.
    pub leaving: Leaving,
    /// Whether requests come over TLS.
    pub secure: bool,
}

/// The running middleware.
pub struct Enveloped<S> {
    service: Rc<S>,
    metrics: Metrics,
    leaving: Leaving,
    secure: bool,
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
        let (metrics, leaving, secure) = (self.metrics.clone(), self.leaving.clone(), self.secure);
        ready(Ok(Enveloped { service: Rc::new(service), metrics, leaving, secure }))
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
        let (service, metrics, leaving) = (Rc::clone(&self.service), self.metrics.clone(), self.leaving.clone());
        let started = Instant::now();
        leaving.note_request();
        let conversation = request.conn_data::<Rc<Conversation>>();
        let in_clear = conversation.is_some_and(|conversation| conversation.wants_tls());
        let secure = self.secure && !in_clear;
        let answering = conversation.map(Conversation::answer);
        let id: Arc<str> = request_id(&request).into();
        let span = request_span(&id);
        let answered = async move {
            // Handlers' errors are responses by now. No copy of the request may be kept: routing wants it alone.
            let answer = async {
                // Before anything else looks at it: a key that was sent in clear opens nothing here.
                if in_clear && request.path() != authority::PATH {
                    return Ok(request.error_response(ApiError(https_wanted())));
                }
                service.call(request).await.map(ServiceResponse::map_into_boxed_body)
            };
            let answered = leaving.answered(under_request(Some(Arc::clone(&id)), answer)).await;
            let response = answered.map_err(|error| cut_off(error, &id, secure))??;
            let (response, held) = held_until_written(response);
            // Taken before the envelope replaces the answer: the client is told a code, the log the cause.
            let cause = response.response().error().map(ToString::to_string);
            let mut response = enveloped(response, &id);
            if let Ok(value) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(REQUEST_ID, value);
            }
            harden(&mut response, secure);
            if in_clear || leaving.has_begun() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
            }
            note(&metrics, &response, cause.as_deref(), started);
            Ok(response.map_body(|_, body| BoxBody::new(Answer::new(body, answering, held))))
        };
        Box::pin(answered.instrument(span))
    }
}

fn https_wanted() -> CrateError {
    let message = "this port speaks https alone: put https:// in the place of http:// in the address";
    CrateError::invalid(message).with_code("https_wanted")
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

/// A long answer with its memory, of the caller's share, for as long as it is being written. Where there is none an answer
/// that only tells something is refused; one to what was done is given all the same.
fn held_until_written(response: ServiceResponse<BoxBody>) -> (ServiceResponse<BoxBody>, Option<Reservation>) {
    let bytes = match response.response().body().size() {
        BodySize::Sized(bytes) if bytes > SHORT_BYTES => bytes,
        _ => return (response, None),
    };
    let request = response.request();
    let state = request.app_data::<Data<ApiState>>();
    let Some((turn, state)) = shares::of_caller(request).zip(state) else { return (response, None) };
    let only_tells = request.method().is_safe()
        || request.match_pattern().is_some_and(|route| THAT_ONLY_TELL.contains(&route.as_str()));
    match state.services.pipeline().tools().budget.reserve_past_line(&turn, bytes) {
        Ok(held) => (response, Some(held)),
        Err(exhausted) if only_tells => (response.error_response(ApiError(full(exhausted))), None),
        Err(_) => (response, None),
    }
}

/// The answer where the server's end comes first. The request has gone with who worked on it.
fn cut_off(error: CrateError, id: &str, secure: bool) -> Error {
    tracing::warn!("a request was cut off by the stop");
    let error = ApiError(error);
    let mut answer: HttpResponse = error.answer(id);
    if let Ok(value) = HeaderValue::from_str(id) {
        answer.headers_mut().insert(REQUEST_ID, value);
    }
    harden_headers(answer.headers_mut(), false, secure);
    answer.head_mut().set_connection_type(ConnectionType::Close);
    InternalError::from_response(error, answer).into()
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
fn note(metrics: &Metrics, response: &ServiceResponse<BoxBody>, cause: Option<&str>, started: Instant) {
    let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let (method, status) = (response.request().method(), response.status());
    let seconds = started.elapsed().as_secs_f64();
    metrics.requests.with_label_values(&[route.as_str(), method_label(method.as_str()), status.as_str()]).inc();
    metrics.request_seconds.with_label_values(&[route.as_str()]).observe(seconds);
    if status.is_server_error() {
        tracing::error!(%method, route, status = status.as_u16(), seconds, cause, "request failed");
    } else {
        tracing::debug!(%method, route, status = status.as_u16(), seconds, "request");
    }
}

/// A method as a label: a client may invent any number of others.
fn method_label(method: &str) -> &str {
    match method {
        "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS" => method,
        _ => "other",
    }
}
