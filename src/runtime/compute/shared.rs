//! What the pool's handles and threads share: the queue, and which thread may take what from it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Lingers, Rest,
    cancel::CancelToken,
    lane::{ComputeSnapshot, Lane},
    presence::Presence,
};
use crate::{
    line::{Line, ServiceClass, Ticket, Turn},
    lock::lock,
    panics::contain,
};

/// A task that waits for a thread. `run` is told how long it waited.
pub(super) struct Job {
    pub(super) turn: Turn,
    pub(super) lane: Arc<Lane>,
    pub(super) cancel: CancelToken,
    pub(super) queued_at: Instant,
    pub(super) run: Box<dyn FnOnce(Duration) + Send>,
}

/// See the module.
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    num_threads: usize,
    lingers: Lingers,
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
    people: Presence,
    /// Threads with a task of any class.
    num_busy: usize,
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
        if self.people.is_expected() {
            return Reservation::WhileExpected;
        }
        match self.interactive_until.map(|until| until.saturating_duration_since(now)) {
            Some(left) if !left.is_zero() => Reservation::For(left),
            _ => Reservation::None,
        }
    }

    /// How long the last free thread of `num_threads` is kept from a key that has one, while another may come back that
    /// has none: whoever returns for the next step of a photo would find all of them taken by a flood, again and again.
    fn kept_for(&self, num_threads: usize, linger: Duration, now: Instant) -> Option<Duration> {
        let is_last = self.num_busy + 1 == num_threads;
        is_last.then(|| self.people.awaited_for(now, linger)).flatten()
    }

    /// The next task for a thread that `is_kept`, or that `takes_jobs` as it does not keep itself for interactive work.
    fn take(&mut self, is_kept: bool, takes_jobs: bool, now: Instant) -> Option<Job> {
        let Self { queue, people, .. } = self;
        let mut people_wait = false;
        let job = queue.pop_if(|Job { turn, .. }| {
            if is_person(turn) {
                people_wait = true;
                return !(is_kept && people.has_thread(&turn.key));
            }
            takes_jobs && !people_wait
        })?;
        self.num_busy += 1;
        if is_person(&job.turn) {
            self.people.begin(&job.turn.key, now);
        }
        Some(job)
    }

    /// A thread is done with a task of this turn.
    fn ended(&mut self, turn: &Turn) {
        self.num_busy -= 1;
        if is_person(turn) {
            self.people.end(&turn.key, Instant::now());
        }
    }
}

fn is_person(turn: &Turn) -> bool {
    turn.class == ServiceClass::Interactive
}

impl Shared {
    pub(super) fn new(num_threads: usize, lingers: Lingers, rest: Rest) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), num_threads, lingers, rest }
    }

    pub(super) fn lane(&self, stage: &'static str) -> Arc<Lane> {
        Arc::clone(lock(&self.state).lanes.entry(stage).or_default())
    }

    pub(super) fn snapshot(&self) -> Vec<ComputeSnapshot> {
        lock(&self.state).lanes.iter().map(|(stage, lane)| lane.snapshot(stage)).collect()
    }

    /// Queues a task; `None` when the pool is closing.
    pub(super) fn push(&self, stage_rank: u8, job: Job) -> Option<Ticket> {
        let mut state = lock(&self.state);
        if state.closing {
            return None;
        }
        job.lane.queued();
        let turn = job.turn.clone();
        let ticket = state.queue.push(&turn, stage_rank, job);
        drop(state);
        // All: the one that a single call would wake may be the reserved thread, which must not take it.
        self.changed.notify_all();
        Some(ticket)
    }

    /// Takes a task back that has not started; the caller drops it, outside the lock.
    pub(super) fn take_back(&self, ticket: &Ticket) -> Option<Job> {
        lock(&self.state).queue.remove(ticket)
    }

    pub(super) fn expect_interactive(&self, key: &Arc<str>) {
        lock(&self.state).people.expect(key, Instant::now());
    }

    pub(super) fn interactive_ended(&self, key: &Arc<str>) {
        let mut state = lock(&self.state);
        state.people.unexpect(key);
        state.interactive_until = Some(Instant::now() + self.lingers.request);
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
                    let turn = job.turn.clone();
                    // Tasks contain their own panics; this one is for what is dropped with them.
                    let _ = contain(|| run(job));
                    lock(&self.state).ended(&turn);
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
            let kept_for = state.kept_for(self.num_threads, self.lingers.step, now);
            if let Some(job) = state.take(kept_for.is_some(), matches!(reservation, Reservation::None), now) {
                return Next::Run(job);
            }
            let until_rest = rests_at.map(|rests_at| rests_at.saturating_duration_since(now));
            if until_rest.is_some_and(|left| left.is_zero()) {
                return Next::Rest;
            }
            let until_free = match reservation {
                Reservation::For(left) => Some(left),
                _ => None,
            };
            let until_free = until_free.into_iter().chain(kept_for).filter(|_| !state.queue.is_empty());
            state = match until_free.chain(until_rest).min() {
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
