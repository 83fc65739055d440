//! What HTTP and the stream under it know of each other. The stream sees bytes and no requests; actix-http sees requests
//! and cares neither how long they take nor how many it reads ahead.

use std::{
    cell::Cell,
    rc::Rc,
    sync::Arc,
    task::{Poll, Waker},
};

use actix_web::{dev::Payload, error::PayloadError};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::time::Instant;

use super::{Deadlines, head_end::HeadEnd};

/// How many bytes HTTP is given beyond those that it has dealt with, and of several heads no more than one: short requests
/// in a row take a hundred times their bytes once they are parsed, and actix-http parses all that it has.
const MAX_AHEAD_BYTES: usize = 8 * 1024;

/// How many of them are left while a request is being answered, so that it is heard when its client hangs up.
const TO_HEAR_THE_END: usize = 1;

/// One connection's, on the thread that serves it.
pub(in crate::http) struct Conversation {
    deadlines: Arc<Deadlines>,
    phase: Cell<Phase>,
    /// Bytes that HTTP was given and has not dealt with yet.
    ahead_bytes: Cell<usize>,
    /// Who is to be woken when it has.
    reader: Cell<Option<Waker>>,
    /// How far the head has come that is next.
    head_end: Cell<HeadEnd>,
    /// Whether the client has begun with a request where TLS is spoken.
    wants_tls: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Everything is answered; the next request has to begin in time.
    Quiet { until: Instant },
    /// A request has begun, and its head has to be whole in time. So has the rest of a body that nobody wanted.
    Head { until: Instant },
    /// A request is being answered. Its body's time is the middleware's concern, which knows whose it is.
    Answering,
}

/// A request is being answered, until this is dropped.
pub(in crate::http) struct Answering(Rc<Conversation>);

impl Conversation {
    /// Of a new connection, whose first request begins now.
    pub(super) fn new(deadlines: Arc<Deadlines>) -> Rc<Self> {
        let phase = Cell::new(Phase::Head { until: Instant::now() + deadlines.head() });
        Rc::new(Self {
            deadlines,
            phase,
            ahead_bytes: Cell::default(),
            reader: Cell::default(),
            head_end: Cell::default(),
            wants_tls: Cell::default(),
        })
    }

    /// Notes that the client speaks in clear where TLS is spoken: it is told so and nothing else.
    pub(super) fn want_tls(&self) {
        self.wants_tls.set(true);
    }

    /// Whether the client is to be told that TLS is spoken here.
    pub(in crate::http) fn wants_tls(&self) -> bool {
        self.wants_tls.get()
    }

    /// Notes that a request's head is whole.
    pub(in crate::http) fn answer(self: &Rc<Self>) -> Answering {
        self.phase.set(Phase::Answering);
        self.make_room(TO_HEAR_THE_END);
        Answering(Rc::clone(self))
    }

    /// The bytes of a request's body. When all that has come has been taken, more is read.
    pub(in crate::http) fn body(
        self: &Rc<Self>,
        mut payload: Payload,
    ) -> impl Stream<Item = Result<Bytes, PayloadError>> + Unpin + use<> {
        let conversation = Rc::clone(self);
        stream::poll_fn(move |cx| {
            let next = payload.poll_next_unpin(cx);
            match next {
                Poll::Pending => conversation.make_room(MAX_AHEAD_BYTES),
                Poll::Ready(None) => conversation.make_room(TO_HEAR_THE_END),
                Poll::Ready(Some(_)) => {}
            }
            next
        })
    }

    /// Until when something has to come.
    pub(super) fn until(&self) -> Option<Instant> {
        match self.phase.get() {
            Phase::Quiet { until } | Phase::Head { until } => Some(until),
            Phase::Answering => None,
        }
    }

    /// Whether something of a request has come, or was to come from the start.
    pub(super) fn has_begun(&self) -> bool {
        matches!(self.phase.get(), Phase::Head { .. })
    }

    /// How many bytes HTTP may be given now.
    pub(super) fn room_bytes(&self) -> usize {
        MAX_AHEAD_BYTES.saturating_sub(self.ahead_bytes.get())
    }

    /// How many of the bytes that have come HTTP is given now. They end with a head: what is behind it has to wait until HTTP
    /// has had its turn. A body's empty line ends them too, since where a body ends is not known here: a turn more for it.
    pub(super) fn give(&self, come: &[u8]) -> usize {
        let mut head_end = self.head_end.get();
        let (bytes, is_end) = head_end.pass(come);
        self.head_end.set(head_end);
        self.given(if is_end { MAX_AHEAD_BYTES } else { bytes });
        bytes
    }

    /// Notes that HTTP was given so many, or as good as that.
    fn given(&self, bytes: usize) {
        self.ahead_bytes.set(self.ahead_bytes.get().saturating_add(bytes));
        if matches!(self.phase.get(), Phase::Quiet { .. }) {
            self.phase.set(Phase::Head { until: Instant::now() + self.deadlines.head() });
        }
    }

    /// Wakes `reader` when everything has been written and HTTP may be given more.
    pub(super) fn wake_when_written(&self, reader: &Waker) {
        self.reader.set(Some(reader.clone()));
    }

    /// Wakes `reader` when HTTP, which has been given all that it may, has dealt with some of it. Unless a request is being
    /// answered, that is at the end of its turn.
    pub(super) fn wake_with_room(&self, reader: &Waker) {
        match self.phase.get() {
            Phase::Answering => self.reader.set(Some(reader.clone())),
            Phase::Quiet { .. } | Phase::Head { .. } => reader.wake_by_ref(),
        }
    }

    /// Notes that everything written has been handed to the system, `waited` saying whether that took a while. HTTP has had
    /// its turn then: unless a request is being answered, what it was given before is parsed.
    pub(super) fn written(&self, waited: bool) {
        if waited && matches!(self.phase.get(), Phase::Quiet { .. }) {
            self.rest();
        }
        self.make_room(if self.phase.get() == Phase::Answering { 0 } else { MAX_AHEAD_BYTES });
    }

    /// Lets HTTP have at least so many bytes more.
    fn make_room(&self, bytes: usize) {
        self.ahead_bytes.set(self.ahead_bytes.get().min(MAX_AHEAD_BYTES - bytes));
        if self.room_bytes() > 0
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
    }

    fn rest(&self) {
        self.phase.set(Phase::Quiet { until: Instant::now() + self.deadlines.keep_alive });
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.rest();
    }
}
