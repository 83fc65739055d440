//! How long a body may take, whoever reads it: one that falls silent or trickles is given up (408). Who has shown no key is
//! given little time.

use std::{cell::Cell, future::ready, io, pin::Pin, rc::Rc, time::Duration};

use actix_web::{
    Error, HttpMessage, HttpRequest,
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

use super::{api::SOCKET, error::ApiError, listeners::Conversation, state::ApiState};
use crate::{
    config::Limits,
    error::{Error as CrateError, ErrorKind},
};

/// Whether a request's caller has shown a key or a token that is good.
#[derive(Clone, Default)]
pub(super) struct Known(Rc<Cell<bool>>);

impl Known {
    /// Notes that the caller of `request` has.
    pub(super) fn note(request: &HttpRequest) {
        if let Some(known) = request.extensions().get::<Self>() {
            known.0.set(true);
        }
    }
}

/// The middleware; see the module.
pub async fn patience(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let given_up = Rc::new(Cell::new(false));
    let is_socket = request.path() == SOCKET && request.method() == Method::GET;
    let limits = request.app_data::<Data<ApiState>>().map(|state| state.limits.clone());
    let conversation = request.conn_data::<Rc<Conversation>>().cloned();
    match (request.take_payload(), limits, conversation) {
        (Payload::None, ..) => {}
        (payload, Some(limits), Some(conversation)) => {
            let body = conversation.body(payload);
            let body: Pin<Box<dyn Stream<Item = _>>> = if is_socket {
                Box::pin(body)
            } else {
                let known = Known::default();
                request.extensions_mut().insert(known.clone());
                Box::pin(timed(body, Allowance::new(limits, known), Rc::clone(&given_up)))
            };
            request.set_payload(body.into());
        }
        (payload, ..) => request.set_payload(payload),
    }
    let answer = next.call(request).await?.map_into_boxed_body();
    if !given_up.get() {
        return Ok(answer);
    }
    // Who read it saw only a body that broke off.
    let error = CrateError::new(ErrorKind::Timeout, "the rest of the body did not come in time");
    Ok(ServiceResponse::from_err(ApiError(error), answer.into_parts().0))
}

/// What a body may take of time.
struct Allowance {
    limits: Limits,
    known: Known,
    begun: Instant,
    received_bytes: u64,
    /// How long it was waited for: what the server takes itself does not count.
    waited: Duration,
}

impl Allowance {
    fn new(limits: Limits, known: Known) -> Self {
        Self { limits, known, begun: Instant::now(), received_bytes: 0, waited: Duration::ZERO }
    }

    /// Until when the next bytes have to be there, for which has been waited since `since`.
    fn until(&self, since: Instant) -> Instant {
        let limits = &self.limits;
        let whole_seconds = if self.known.0.get() { limits.body_seconds } else { limits.head_seconds };
        let idle = Duration::from_secs(limits.body_idle_seconds);
        let behind = (idle + limits.time_for(self.received_bytes)).saturating_sub(self.waited);
        (self.begun + Duration::from_secs(whole_seconds)).min(since + idle.min(behind))
    }

    /// Notes bytes for which was waited since `since`.
    fn received(&mut self, bytes: usize, since: Instant) {
        self.received_bytes += bytes as u64;
        self.waited += since.elapsed();
    }
}

/// The body's bytes, until they take too long: then an error, and `given_up` is set.
fn timed(
    body: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    allowance: Allowance,
    given_up: Rc<Cell<bool>>,
) -> impl Stream<Item = Result<Bytes, PayloadError>> {
    // A client that sends frames without bytes is as silent as one that sends none.
    let chunks = body.try_filter(|chunk| ready(!chunk.is_empty()));
    stream::try_unfold((chunks, allowance, given_up), |(mut chunks, mut allowance, given_up)| async move {
        let since = Instant::now();
        let next = loop {
            let until = allowance.until(since);
            match timeout_at(until, chunks.try_next()).await {
                Ok(next) => break next?,
                // The caller has shown a key meanwhile.
                Err(_) if until < allowance.until(since) => {}
                Err(_) => {
                    given_up.set(true);
                    return Err(PayloadError::Io(io::ErrorKind::TimedOut.into()));
                }
            }
        };
        Ok(next.map(|chunk| {
            allowance.received(chunk.len(), since);
            (chunk, (chunks, allowance, given_up))
        }))
    })
}
