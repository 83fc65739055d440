//! The stream under a connection's HTTP: read no further than HTTP has got, written to only as long as the client reads,
//! and neither for longer than that is worth.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{Closed, Conversation, Deadlines, places::Place};

/// See the module.
///
/// A client that keeps silent for too long reads an end and is closed in good order. One that takes no answers is dropped,
/// and with it what waits to be written: no more is read from it meanwhile, so that this is one answer.
pub(super) struct BoundedStream<L> {
    line: L,
    conversation: Rc<Conversation>,
    /// Since when something waits to be written.
    stall: Option<Stall>,
    /// Read from the line, and not given to HTTP yet.
    left: BytesMut,
    /// Whether everything has been read that will be: nothing has to come any more.
    is_read: bool,
    timer: Pin<Box<Sleep>>,
    deadlines: Arc<Deadlines>,
    place: Place,
}

/// A time in which the system took less than HTTP had to write.
struct Stall {
    begun: Instant,
    /// When it took something last.
    moved: Instant,
    written_bytes: u64,
}

impl Stall {
    fn begin() -> Self {
        let now = Instant::now();
        Self { begun: now, moved: now, written_bytes: 0 }
    }

    /// Until when the system must take something again, for the client to be one that reads.
    fn until(&self, deadlines: &Deadlines) -> Instant {
        let idle = deadlines.answer_idle();
        let earned: Duration = deadlines.limits.time_for(self.written_bytes);
        (self.moved + idle).min(self.begun + idle + earned)
    }
}

impl<L> BoundedStream<L> {
    pub(super) fn new(line: L, place: Place, deadlines: Arc<Deadlines>) -> Self {
        let conversation = Conversation::new(Arc::clone(&deadlines));
        let timer = Box::pin(sleep_until(Instant::now() + deadlines.head()));
        Self { line, conversation, stall: None, left: BytesMut::new(), is_read: false, timer, deadlines, place }
    }

    /// What HTTP tells it by.
    pub(super) fn conversation(&self) -> Rc<Conversation> {
        Rc::clone(&self.conversation)
    }

    /// Until when something has to happen.
    fn until(&self) -> Option<Instant> {
        match &self.stall {
            Some(stall) => Some(stall.until(&self.deadlines)),
            None if self.is_read => None,
            None => self.conversation.until(),
        }
    }

    fn is_late(&self) -> bool {
        self.until().is_some_and(|until| until <= Instant::now())
    }

    /// Fails where the client has not taken an answer for too long.
    fn require_reader(&self) -> io::Result<()> {
        if self.stall.is_some() && self.is_late() {
            self.place.note(Closed::Answer);
            return Err(ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// Wakes the connection at its deadline.
    fn arm(&mut self, cx: &mut Context<'_>) {
        let Some(until) = self.until() else { return };
        if self.timer.deadline() != until {
            self.timer.as_mut().reset(until);
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn stalled<T>(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        self.stall.get_or_insert_with(Stall::begin);
        self.arm(cx);
        Poll::Pending
    }
}

impl<L: AsyncRead + Unpin> AsyncRead for BoundedStream<L> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.require_reader()?;
        if this.is_late() {
            this.is_read = true;
            if this.conversation.has_begun() {
                this.place.note(Closed::Head);
            }
            return Poll::Ready(Ok(()));
        }
        let room = this.conversation.room_bytes().min(buffer.remaining());
        if this.stall.is_some() || room == 0 {
            match this.stall {
                Some(_) => this.conversation.wake_when_written(cx.waker()),
                None => this.conversation.wake_with_room(cx.waker()),
            }
            this.arm(cx);
            return Poll::Pending;
        }
        let begin = buffer.filled().len();
        if this.left.is_empty() {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
            let Poll::Ready(read) = Pin::new(&mut this.line).poll_read(cx, &mut part) else {
                this.arm(cx);
                return Poll::Pending;
            };
            read?;
            let bytes = part.filled().len();
            buffer.advance(bytes);
            this.is_read = bytes == 0;
        } else {
            buffer.put_slice(&this.left.split_to(room.min(this.left.len())));
        }
        let come = &buffer.filled()[begin..];
        let given = this.conversation.give(come);
        if given < come.len() {
            let left = std::mem::replace(&mut this.left, BytesMut::from(&come[given..]));
            this.left.extend_from_slice(&left);
            buffer.set_filled(begin + given);
        }
        Poll::Ready(Ok(()))
    }
}

impl<L: AsyncWrite + Unpin> AsyncWrite for BoundedStream<L> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.require_reader()?;
        let Poll::Ready(written) = Pin::new(&mut this.line).poll_write(cx, bytes) else { return this.stalled(cx) };
        let written = written?;
        if let Some(stall) = &mut this.stall {
            stall.moved = Instant::now();
            stall.written_bytes += written as u64;
        }
        Poll::Ready(Ok(written))
    }

    /// Asked for by HTTP at the end of each of its turns, when everything has been written.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.require_reader()?;
        let Poll::Ready(flushed) = Pin::new(&mut this.line).poll_flush(cx) else { return this.stalled(cx) };
        flushed?;
        let waited = this.stall.take().is_some();
        this.conversation.written(waited);
        this.arm(cx);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.require_reader()?;
        this.is_read = true;
        let Poll::Ready(shut) = Pin::new(&mut this.line).poll_shutdown(cx) else { return this.stalled(cx) };
        Poll::Ready(shut)
    }
}
