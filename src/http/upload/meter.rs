//! Counts every byte of a body as it passes, against the body's limit and the memory budget, whoever reads it.

use std::{cell::RefCell, rc::Rc};

use actix_web::{
    dev::Payload,
    error::PayloadError,
    http::header::{CONTENT_LENGTH, HeaderMap},
};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};

use crate::{
    error::{Error, ErrorKind, Result},
    pipeline::full,
    runtime::{ByteBudget, Reservation, Turn},
};

/// How much is reserved ahead of what has come: what is announced is reserved as it comes, so that who sends a head and
/// nothing more holds next to nothing.
const AHEAD_BYTES: u64 = 64 << 10;

/// The account of one body. Clones share it: one goes with the stream.
#[derive(Clone)]
pub(super) struct Meter(Rc<RefCell<Account>>);

struct Account {
    limit_bytes: u64,
    announced_bytes: Option<u64>,
    held: Reservation,
    received_bytes: u64,
    /// Received, and not yet handed out by [`Meter::claim`].
    loose_bytes: u64,
    refusal: Option<Error>,
}

impl Meter {
    /// Begins the account of a body of at most `limit_bytes` in `budget`, in the shares of `turn`. A body for which
    /// there is no room at the moment is refused by its head.
    ///
    /// # Errors
    /// `TooLarge` for a body that announces more than the limit, `Overloaded` where there is no memory for it.
    pub(super) fn admit(headers: &HeaderMap, budget: &ByteBudget, turn: &Turn, limit_bytes: u64) -> Result<Self> {
        let announced_bytes = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced_bytes.is_some_and(|bytes| bytes > limit_bytes) {
            return Err(too_large(limit_bytes));
        }
        let mut held =
            budget.try_reserve(turn, announced_bytes.unwrap_or(AHEAD_BYTES.min(limit_bytes))).map_err(full)?;
        held.shrink_to(AHEAD_BYTES);
        let account = Account { limit_bytes, announced_bytes, held, received_bytes: 0, loose_bytes: 0, refusal: None };
        Ok(Self(Rc::new(RefCell::new(account))))
    }

    /// The body's bytes, counted. Where the account refuses, the stream ends with an error and [`Self::refusal`]
    /// says why.
    pub(super) fn stream(&self, payload: Payload) -> impl Stream<Item = Result<Bytes, PayloadError>> + use<> {
        stream::try_unfold((payload, self.clone()), move |(mut payload, meter)| async move {
            let Some(chunk) = payload.try_next().await? else { return Ok(None) };
            let received = meter.0.borrow_mut().receive(chunk.len() as u64);
            received.map_err(|error| meter.refuse(error))?;
            Ok(Some((chunk, (payload, meter))))
        })
    }

    /// Moves the memory of `bytes` received bytes out of the account, to who keeps them.
    pub(super) fn claim(&self, bytes: usize) -> Reservation {
        let mut account = self.0.borrow_mut();
        account.loose_bytes = account.loose_bytes.saturating_sub(bytes as u64);
        account.held.split(bytes as u64)
    }

    /// How many bytes may still come, as far as is known.
    pub(super) fn to_come(&self) -> u64 {
        let account = self.0.borrow();
        account.announced_bytes.unwrap_or(account.limit_bytes).saturating_sub(account.received_bytes)
    }

    /// Why the account stopped the stream, if it did; told once.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.0.borrow_mut().refusal.take()
    }

    fn refuse(&self, error: Error) -> PayloadError {
        self.0.borrow_mut().refusal = Some(error);
        PayloadError::Overflow
    }
}

impl Account {
    fn receive(&mut self, bytes: u64) -> Result<()> {
        self.received_bytes += bytes;
        self.loose_bytes += bytes;
        if self.received_bytes > self.limit_bytes {
            return Err(too_large(self.limit_bytes));
        }
        if self.loose_bytes > self.held.bytes() {
            let ahead = (self.loose_bytes + AHEAD_BYTES).min(self.most_loose_bytes());
            self.hold(ahead)?;
        }
        Ok(())
    }

    /// What may be loose in the end, as far as is known.
    fn most_loose_bytes(&self) -> u64 {
        let handed_out = self.received_bytes - self.loose_bytes;
        let whole = self.announced_bytes.unwrap_or(self.limit_bytes);
        whole.saturating_sub(handed_out).max(self.loose_bytes)
    }

    /// Reserves until `bytes` are held.
    fn hold(&mut self, bytes: u64) -> Result<()> {
        self.held.grow(bytes.saturating_sub(self.held.bytes())).map_err(full)
    }
}

fn too_large(limit_bytes: u64) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the body is at most {limit_bytes} bytes")).with_code("body_too_large")
}
