//! An answer on its way out.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tracing::Span;

use super::Answering;
use crate::runtime::Reservation;

/// How much of a body is handed on at a time, in bytes. actix-http copies whatever it is given behind what waits to be
/// written already: given a whole answer, it would hold it twice.
const PIECE_BYTES: usize = 16 * 1024;

/// An answer's body in pieces, the note that it is being answered, and its memory.
pub(in crate::http) struct Answer {
    body: BoxBody,
    /// Given by the body and not handed on yet.
    rest: Bytes,
    /// The request's: what comes later is made for it too.
    span: Span,
    _answering: Option<Answering>,
    _held: Option<Reservation>,
}

impl Answer {
    /// To be called in the request's span. `answering` and `held` are dropped with the body: when its last piece has been
    /// handed on, or there is nobody to take it.
    pub(in crate::http) fn new(body: BoxBody, answering: Option<Answering>, held: Option<Reservation>) -> Self {
        Self { body, rest: Bytes::new(), span: Span::current(), _answering: answering, _held: held }
    }
}

impl MessageBody for Answer {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            match ready!(this.span.in_scope(|| Pin::new(&mut this.body).poll_next(cx))) {
                Some(Ok(bytes)) => this.rest = bytes,
                end => return Poll::Ready(end),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE_BYTES));
        Poll::Ready(Some(Ok(piece)))
    }
}
