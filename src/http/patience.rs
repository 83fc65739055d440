//! How long a body may take, whoever reads it: one that falls silent or trickles is given up (408).

use std::{cell::Cell, future::ready, io, pin::Pin, rc::Rc, time::Duration};

use actix_web::{
    Error, HttpMessage,
    body::{BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::Method,
    middleware::Next,
    web::Data,
};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use tokio::time::{Instant, timeout_at};

use super::{ApiState, error::ApiError, events};
use crate::{
    config::Limits,
    error::{Error as CrateError, ErrorKind},
};

/// The middleware; see the module.
pub async fn patience(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let given_up = Rc::new(Cell::new(false));
    let is_socket = request.path() == events::SOCKET && request.method() == Method::GET;
    let limits = request.app_data::<Data<ApiState>>().map(|state| state.limits.clone());
    match (request.take_payload(), limits) {
        (Payload::None, _) | (_, None) => {}
        (payload, _) if is_socket => request.set_payload(payload),
        (payload, Some(limits)) => {
            let timed: Pin<Box<dyn Stream<Item = _>>> = Box::pin(timed(payload, &limits, Rc::clone(&given_up)));
            request.set_payload(timed.into());
        }
    }
    let answer = next.call(request).await?.map_into_boxed_body();
    if !given_up.get() {
        return Ok(answer);
    }
    // Who read it saw only a body that broke off.
    let error = CrateError::new(ErrorKind::Timeout, "the rest of the body did not come in time");
    Ok(ServiceResponse::from_err(ApiError(error), answer.into_parts().0))
}

/// The body's bytes, until they take too long: then an error, and `given_up` is set.
fn timed(
    payload: Payload,
    limits: &Limits,
    given_up: Rc<Cell<bool>>,
) -> impl Stream<Item = Result<Bytes, PayloadError>> + use<> {
    let idle = Duration::from_secs(limits.body_idle_seconds);
    let end = Instant::now() + Duration::from_secs(limits.body_seconds);
    // A client that sends frames without bytes is as silent as one that sends none.
    let chunks = payload.try_filter(|chunk| ready(!chunk.is_empty()));
    stream::try_unfold((chunks, given_up), move |(mut chunks, given_up)| async move {
        let Ok(next) = timeout_at(end.min(Instant::now() + idle), chunks.try_next()).await else {
            given_up.set(true);
            return Err(PayloadError::Io(io::ErrorKind::TimedOut.into()));
        };
        Ok(next?.map(|chunk| (chunk, (chunks, given_up))))
    })
}
