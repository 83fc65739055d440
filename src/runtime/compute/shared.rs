//! What the pool's handles and threads share: the queue, and which thread may take what from it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Rest,
    cancel::CancelToken,
    lane::{ComputeSnapshot, Lane},
};
use crate::{
    line::{Line, ServiceClass, Ticket, Turn},
    lock::lock,
    panics::contain,
};

/// A task that waits for a thread. `run` is told how long it waited.
pub(super) struct Job {
    pub(super) lane: Arc<Lane>,
    pub(super) cancel: CancelToken,
    pub(super) queued_at: Instant,
    pub(super) run: Box<dyn FnOnce(Duration) + Send>,
}

/// See the module.
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    interactive_linger: Duration,
    rest: Rest,
}

/// What a thread does next.
enum Next {
    Run(Job),
    Rest,
    End,
}

#[derive(Default)]
struct State {
    queue: Line<Job>,
    lanes: BTreeMap<&'static str, Arc<Lane>>,
    /// Living [`InteractiveGuard`](super::InteractiveGuard)s.
    interactive_guards: usize,
    /// Until when more interactive work is likely, after the last guard went.
    interactive_until: Option<Instant>,
    closing: bool,
}

/// How long the reserved thread keeps itself for interactive work.
enum Reservation {
    None,
    For(Duration),
    WhileExpected,
}

impl State {
    fn reservation(&self, now: Instant) -> Reservation {
        if self.interactive_guards > 0 {
            return Reservation::WhileExpected;
        }
        match self.interactive_until.map(|until| until.saturating_duration_since(now)) {
            Some(left) if !left.is_zero() => Reservation::For(left),
            _ => Reservation::None,
        }
    }
}

impl Shared {
    pub(super) fn new(interactive_linger: Duration, rest: Rest) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), interactive_linger, rest }
    }

    pub(super) fn lane(&self, stage: &'static str) -> Arc<Lane> {
        Arc::clone(lock(&self.state).lanes.entry(stage).or_default())
    }

    pub(super) fn snapshot(&self) -> Vec<ComputeSnapshot> {
        lock(&self.state).lanes.iter().map(|(stage, lane)| lane.snapshot(stage)).collect()
    }

    /// Queues a task; `None` when the pool is closing.
    pub(super) fn push(&self, turn: &Turn, stage_rank: u8, job: Job) -> Option<Ticket> {
        let mut state = lock(&self.state);
        if state.closing {
            return None;
        }
        job.lane.queued();
        let ticket = state.queue.push(turn, stage_rank, job);
        drop(state);
        // All: the one that a single call would wake may be the reserved thread, which must not take it.
        self.changed.notify_all();
        Some(ticket)
    }

    /// Takes a task back that has not started; the caller drops it, outside the lock.
    pub(super) fn take_back(&self, ticket: &Ticket) -> Option<Job> {
        lock(&self.state).queue.remove(ticket)
    }

    pub(super) fn expect_interactive(&self) {
        lock(&self.state).interactive_guards += 1;
    }

    pub(super) fn interactive_ended(&self) {
        let mut state = lock(&self.state);
        state.interactive_guards -= 1;
        state.interactive_until = Some(Instant::now() + self.interactive_linger);
        drop(state);
        self.changed.notify_all();
    }

    /// Lets the threads finish what they have begun and drops the rest.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closing = true;
        let abandoned = std::mem::take(&mut state.queue);
        drop(state);
        self.changed.notify_all();
        drop(abandoned);
    }

    /// A thread's life. `reserved` is the one that keeps itself for interactive work while some may come.
    pub(super) fn work(&self, reserved: bool) {
        let mut rests_at = None;
        loop {
            match self.next(reserved, rests_at) {
                Next::Run(job) => {
                    // Tasks contain their own panics; this one is for what is dropped with them.
                    let _ = contain(|| run(job));
                    rests_at = Some(Instant::now() + self.rest.after);
                }
                Next::Rest => {
                    (self.rest.call)();
                    rests_at = None;
                }
                Next::End => return,
            }
        }
    }

    /// `rests_at` is when the thread wants to rest, unless it has since its last task.
    fn next(&self, reserved: bool, rests_at: Option<Instant>) -> Next {
        let mut state = lock(&self.state);
        loop {
            if state.closing {
                return Next::End;
            }
            let now = Instant::now();
            let reservation = if reserved { state.reservation(now) } else { Reservation::None };
            let is_free = matches!(reservation, Reservation::None);
            let may_take = is_free || state.queue.next_class() == Some(ServiceClass::Interactive);
            if let Some(job) = may_take.then(|| state.queue.pop()).flatten() {
                return Next::Run(job);
            }
            let until_rest = rests_at.map(|rests_at| rests_at.saturating_duration_since(now));
            if until_rest.is_some_and(|left| left.is_zero()) {
                return Next::Rest;
            }
            let until_free = match reservation {
                Reservation::For(left) if !state.queue.is_empty() => Some(left),
                _ => None,
            };
            state = match until_free.into_iter().chain(until_rest).min() {
                Some(left) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

fn run(job: Job) {
    if job.cancel.is_cancelled() {
        job.lane.dropped();
        return;
    }
    job.lane.started();
    (job.run)(job.queued_at.elapsed());
}
