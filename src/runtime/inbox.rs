//! A stage's bounded inbox, which outlives the actors that empty it.
//!
//! actix bounds a mailbox only for some ways of sending, so the mailbox is left unbounded and every message carries
//! a permit of the *receiving* stage: taken before it is sent, given back when its handling ends or it is dropped,
//! wherever that happens. Senders hold the inbox, not an actor's address, so they never notice a restart.

use std::{fmt, sync::Arc};

use actix::{Recipient, prelude::SendError};
use tokio::{sync::watch, time::Instant};
use tracing::Span;

use super::{
    line::Turn,
    observe::{Observer, StageState},
    turnstile::{NoPlace, Permit, Turnstile},
};

/// The message comes back: its stage was given up, or the service has stopped.
#[derive(PartialEq, Eq, thiserror::Error)]
#[error("the stage is closed")]
pub struct SendFailed<M>(pub M);

/// The message comes back, with the reason.
#[derive(PartialEq, Eq, thiserror::Error)]
pub enum TrySendFailed<M> {
    /// Every place in the inbox that such a message may have is taken, or the stage is just being restarted.
    #[error("the stage has no room")]
    Full(M),
    /// The stage was given up, or the service has stopped.
    #[error("the stage is closed")]
    Closed(M),
}

// By hand: messages need not be `Debug`, and must not be printed.
impl<M> fmt::Debug for SendFailed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendFailed")
    }
}

impl<M> fmt::Debug for TrySendFailed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "TrySendFailed::Full",
            Self::Closed(_) => "TrySendFailed::Closed",
        })
    }
}

/// Sends messages to a stage: the only way to do so. Clones share the stage.
pub struct StageSender<M: Send + 'static> {
    inbox: Arc<Inbox<M>>,
}

impl<M: Send + 'static> Clone for StageSender<M> {
    fn clone(&self) -> Self {
        Self { inbox: Arc::clone(&self.inbox) }
    }
}

impl<M: Send + 'static> fmt::Debug for StageSender<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StageSender").field(&self.inbox.state.name()).finish()
    }
}

impl<M: Send + 'static> StageSender<M> {
    pub(super) fn new(inbox: Arc<Inbox<M>>) -> Self {
        Self { inbox }
    }

    /// Waits for a place in the inbox until its `turn` comes, and for the stage to be alive; then hands the
    /// message over. Only time spent waiting for a place counts as blocked. Dropping the future drops the message.
    ///
    /// Fails when the stage was given up or the service has stopped.
    pub async fn send(&self, message: M, turn: &Turn) -> Result<(), SendFailed<M>> {
        let entered = match self.inbox.places.try_enter(turn) {
            Err(NoPlace::Taken) => self.wait_for_place(turn).await,
            entered => entered,
        };
        let Ok(permit) = entered else { return Err(SendFailed(message)) };
        let envelope = Envelope::new(message, permit, &self.inbox.state);
        match self.inbox.offer(envelope) {
            Ok(()) => Ok(()),
            Err(Undelivered::Closed(envelope)) => Err(SendFailed(envelope.take_back())),
            Err(Undelivered::Down(envelope)) => self.wait_for_successor(envelope).await,
        }
    }

    /// Hands the message over at once or gives it back.
    pub fn try_send(&self, message: M, turn: &Turn) -> Result<(), TrySendFailed<M>> {
        let permit = match self.inbox.places.try_enter(turn) {
            Ok(permit) => permit,
            Err(NoPlace::Taken) => return Err(TrySendFailed::Full(message)),
            Err(NoPlace::Closed) => return Err(TrySendFailed::Closed(message)),
        };
        self.inbox.offer(Envelope::new(message, permit, &self.inbox.state)).map_err(|undelivered| match undelivered {
            Undelivered::Down(envelope) => TrySendFailed::Full(envelope.take_back()),
            Undelivered::Closed(envelope) => TrySendFailed::Closed(envelope.take_back()),
        })
    }

    /// The stage's name.
    pub fn stage(&self) -> &'static str {
        self.inbox.state.name()
    }

    /// Messages inside whose handling has not begun.
    pub fn queue_depth(&self) -> usize {
        self.inbox.state.queued()
    }

    /// Messages inside: queued and being handled. Never more than [`capacity`](Self::capacity).
    pub fn in_flight(&self) -> usize {
        self.inbox.state.in_flight()
    }

    /// The most messages that may be inside.
    pub fn capacity(&self) -> usize {
        self.inbox.capacity
    }

    /// Whether the stage was given up or the service has stopped.
    pub fn is_closed(&self) -> bool {
        self.inbox.is_closed()
    }

    async fn wait_for_place(&self, turn: &Turn) -> Result<Permit, NoPlace> {
        let _blocked = Blocked::begin(&self.inbox);
        self.inbox.places.enter(turn, usize::MAX).await
    }

    async fn wait_for_successor(&self, envelope: Envelope<M>) -> Result<(), SendFailed<M>> {
        let mut changes = self.inbox.address.subscribe();
        let mut waiting = envelope;
        loop {
            match self.inbox.offer(waiting) {
                Ok(()) => return Ok(()),
                Err(Undelivered::Closed(envelope)) => return Err(SendFailed(envelope.take_back())),
                Err(Undelivered::Down(envelope)) => waiting = envelope,
            }
            // Cannot fail: the watched value lives in the inbox that `self` holds.
            let _ = changes.changed().await;
        }
    }
}

/// Counts the time of a blocked sender, also when its future is dropped before there was room.
struct Blocked<'a, M: Send + 'static> {
    inbox: &'a Inbox<M>,
    since: Instant,
}

impl<'a, M: Send + 'static> Blocked<'a, M> {
    fn begin(inbox: &'a Inbox<M>) -> Self {
        inbox.state.sender_waits();
        Self { inbox, since: Instant::now() }
    }
}

impl<M: Send + 'static> Drop for Blocked<'_, M> {
    fn drop(&mut self) {
        let waited = self.since.elapsed();
        self.inbox.state.sender_waited(waited);
        self.inbox.observer.blocked(self.inbox.state.name(), waited);
    }
}

/// Where the inbox's messages go at the moment.
enum Address<M: Send + 'static> {
    /// To nobody: the next incarnation is on its way.
    Down,
    /// To the living incarnation.
    Up(Recipient<Envelope<M>>),
    /// Nowhere, for good.
    Closed,
}

/// What became of a message that could not be handed over.
enum Undelivered<M: Send + 'static> {
    Down(Envelope<M>),
    Closed(Envelope<M>),
}

/// The shared part of a stage that its incarnations come and go behind.
pub(super) struct Inbox<M: Send + 'static> {
    capacity: usize,
    places: Arc<Turnstile>,
    address: watch::Sender<Address<M>>,
    pub(super) state: Arc<StageState>,
    observer: Arc<dyn Observer>,
}

impl<M: Send + 'static> Inbox<M> {
    pub(super) fn new(capacity: usize, state: Arc<StageState>, observer: Arc<dyn Observer>) -> Self {
        Self { capacity, places: Turnstile::new(capacity), address: watch::Sender::new(Address::Down), state, observer }
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that sends: the message holds its permit")]
    fn offer(&self, envelope: Envelope<M>) -> Result<(), Undelivered<M>> {
        match &*self.address.borrow() {
            Address::Up(recipient) => recipient.try_send(envelope).map_err(|refused| match refused {
                // A closed mailbox whose end has not been noted yet.
                SendError::Full(envelope) | SendError::Closed(envelope) => Undelivered::Down(envelope),
            }),
            Address::Down => Err(Undelivered::Down(envelope)),
            Address::Closed => Err(Undelivered::Closed(envelope)),
        }
    }

    /// Directs messages to a new incarnation. False when the inbox was closed meanwhile.
    pub(super) fn open(&self, recipient: Recipient<Envelope<M>>) -> bool {
        self.redirect(Address::Up(recipient))
    }

    /// Keeps messages waiting for the next incarnation.
    pub(super) fn hold(&self) {
        self.redirect(Address::Down);
    }

    /// Refuses messages for good, those of waiting senders too.
    pub(super) fn close(&self) {
        self.redirect(Address::Closed);
        self.places.close();
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.address.borrow(), Address::Closed)
    }

    fn redirect(&self, to: Address<M>) -> bool {
        let mut previous = to;
        self.address.send_if_modified(|address| {
            if matches!(address, Address::Closed) {
                return false;
            }
            // The old address is dropped outside the watch's lock: its mailbox may hold messages.
            std::mem::swap(address, &mut previous);
            true
        })
    }
}

/// A message on its way, with its place in the receiving stage's inbox.
pub(super) struct Envelope<M: Send + 'static> {
    message: M,
    place: Place,
    /// The sender's, in which it is handled too.
    span: Span,
}

impl<M: Send + 'static> actix::Message for Envelope<M> {
    type Result = ();
}

impl<M: Send + 'static> Envelope<M> {
    fn new(message: M, permit: Permit, state: &Arc<StageState>) -> Self {
        state.message_arrived();
        let place = Place { _permit: permit, state: Arc::clone(state), end: PlaceEnd::LostQueued };
        Self { message, place, span: Span::current() }
    }

    /// Begins the handling.
    pub(super) fn open(mut self) -> (M, Place, Span) {
        self.place.state.message_begun();
        self.place.end = PlaceEnd::LostInWork;
        (self.message, self.place, self.span)
    }

    fn take_back(mut self) -> M {
        self.place.end = PlaceEnd::Returned;
        self.message
    }
}

/// A taken place in an inbox; dropping it makes room for the next message.
pub(super) struct Place {
    _permit: Permit,
    state: Arc<StageState>,
    end: PlaceEnd,
}

/// How a dropped place is to be counted.
#[derive(Clone, Copy)]
enum PlaceEnd {
    Returned,
    LostQueued,
    LostInWork,
    Finished,
}

impl Place {
    /// The handling came to its end.
    pub(super) fn finish(mut self) {
        self.end = PlaceEnd::Finished;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.end {
            PlaceEnd::Returned => self.state.message_returned(),
            PlaceEnd::LostQueued => self.state.message_left(false, false),
            PlaceEnd::LostInWork => self.state.message_left(true, false),
            PlaceEnd::Finished => self.state.message_left(true, true),
        }
    }
}
