//! Counts every byte of a body as it passes, against the body's limit and the memory budget, whoever reads it.

use std::{cell::RefCell, rc::Rc};

use actix_web::{
    dev::Payload,
    error::PayloadError,
    http::header::{CONTENT_LENGTH, HeaderMap},
};
use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};

use super::super::ApiState;
use crate::{
    domain::TenantScope,
    error::{Error, ErrorKind, Result},
    pipeline::full,
    runtime::Reservation,
};

/// How much is reserved at a time while a body of unknown length comes in.
const CHUNKED_STEP_BYTES: u64 = 1 << 20;

/// The account of one body. Clones share it: one goes with the stream.
#[derive(Clone)]
pub(super) struct Meter(Rc<RefCell<Account>>);

struct Account {
    limit_bytes: u64,
    held: Reservation,
    received_bytes: u64,
    /// Received, and not yet handed out by [`Meter::claim`].
    loose_bytes: u64,
    refusal: Option<Error>,
}

impl Meter {
    /// Reserves the announced length, or the first step of a body of unknown length.
    ///
    /// # Errors
    /// `TooLarge` for a body that announces more than the limit, `Overloaded` where there is no memory for it.
    pub(super) fn admit(headers: &HeaderMap, state: &ApiState, scope: &TenantScope) -> Result<Self> {
        let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let limit_bytes = state.limits.body_bytes;
        if announced.is_some_and(|bytes| bytes > limit_bytes) {
            return Err(too_large(limit_bytes));
        }
        let budget = &state.service.pipeline().tools().budget;
        let held =
            budget.try_reserve(scope.tenant().as_str(), announced.unwrap_or(CHUNKED_STEP_BYTES)).map_err(full)?;
        let account = Account { limit_bytes, held, received_bytes: 0, loose_bytes: 0, refusal: None };
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

    /// Moves all memory out of the account.
    pub(super) fn claim_all(&self) -> Reservation {
        self.0.borrow_mut().held.split(u64::MAX)
    }

    /// How many bytes are reserved.
    pub(super) fn held_bytes(&self) -> u64 {
        self.0.borrow().held.bytes()
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
            let missing = self.loose_bytes - self.held.bytes();
            self.held.grow(missing.max(CHUNKED_STEP_BYTES)).map_err(full)?;
        }
        Ok(())
    }
}

fn too_large(limit_bytes: u64) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the body is at most {limit_bytes} bytes")).with_code("body_too_large")
}
