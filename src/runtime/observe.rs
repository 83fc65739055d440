//! What each stage is doing, kept outside its actor so that it outlives it.
//!
//! Plain counters and gauges are read by [`snapshot`](StageState::snapshot) when somebody asks; durations, which
//! need histograms, are told to an [`Observer`] as they happen.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;

use super::{clock::Clock, lock::lock, restart::RestartCause};

/// Hears of durations and rare events as they happen. Called from any thread, on hot paths: keep it short.
pub trait Observer: Send + Sync {
    /// A sender waited for room in `stage`'s inbox for `waited`; never called when there was room at once.
    fn blocked(&self, stage: &'static str, waited: Duration) {
        let _ = (stage, waited);
    }

    /// A compute task of `stage` waited for a thread for `waited`.
    fn queued(&self, stage: &'static str, waited: Duration) {
        let _ = (stage, waited);
    }

    /// A compute task of `stage` ran for `took`.
    fn worked(&self, stage: &'static str, took: Duration) {
        let _ = (stage, took);
    }

    /// A compute task of `stage` panicked.
    fn panicked(&self, stage: &'static str) {
        let _ = stage;
    }

    /// `stage` died of `cause` and is being restarted.
    fn restarted(&self, stage: &'static str, cause: RestartCause) {
        let _ = (stage, cause);
    }
}

/// An observer that does not listen.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}

/// Where a stage is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StageStatus {
    /// Its first incarnation has not come up yet.
    Starting,
    /// Alive.
    Running,
    /// Dead, its successor is on the way.
    Restarting,
    /// Died too often; it will not come back.
    GivenUp,
    /// Ended with the service.
    Stopped,
}

/// The last thing that went wrong in a stage: a code or a source location, never a user's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// What.
    pub what: String,
    /// When.
    pub at: Timestamp,
}

/// One stage at one instant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageSnapshot {
    /// The stage.
    pub name: &'static str,
    /// Where it is in its life.
    pub status: StageStatus,
    /// The most messages that may be inside it.
    pub capacity: usize,
    /// Messages inside whose handling has not begun.
    pub queued: usize,
    /// Messages being handled.
    pub working: usize,
    /// Senders that wait for room at this moment: the stage, or one after it, is the bottleneck.
    pub senders_waiting: usize,
    /// Messages whose handling came to its end, failed ones included.
    pub handled: u64,
    /// Messages that failed, by reason.
    pub failed: BTreeMap<&'static str, u64>,
    /// Messages put aside because nobody waited for them any more.
    pub dropped: u64,
    /// Messages that died with an incarnation or were still inside at the end.
    pub lost: u64,
    /// How often a sender had to wait for room.
    pub blocked: u64,
    /// How long senders waited for room, in total, in seconds.
    pub blocked_seconds: f64,
    /// Restarts by cause; every cause is listed.
    pub restarts: BTreeMap<RestartCause, u64>,
    /// The last thing that went wrong.
    pub last_error: Option<LastError>,
    /// When a message last began or ended here: with `working` above 0, an old value is a stage that hangs.
    pub last_progress: Option<Timestamp>,
}

/// The living figures behind a [`StageSnapshot`].
#[derive(Debug)]
pub(super) struct StageState {
    name: &'static str,
    capacity: usize,
    clock: Arc<dyn Clock>,
    queued: AtomicUsize,
    working: AtomicUsize,
    senders_waiting: AtomicUsize,
    handled: AtomicU64,
    dropped: AtomicU64,
    lost: AtomicU64,
    blocked: AtomicU64,
    blocked_nanos: AtomicU64,
    /// Milliseconds since the epoch; 0 before the first message.
    last_progress: AtomicI64,
    rare: Mutex<Rare>,
}

/// What changes too seldom to deserve atomics.
#[derive(Debug)]
struct Rare {
    status: StageStatus,
    failed: BTreeMap<&'static str, u64>,
    restarts: BTreeMap<RestartCause, u64>,
    last_error: Option<LastError>,
}

impl StageState {
    pub(super) fn new(name: &'static str, capacity: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            name,
            capacity,
            clock,
            queued: AtomicUsize::new(0),
            working: AtomicUsize::new(0),
            senders_waiting: AtomicUsize::new(0),
            handled: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            blocked_nanos: AtomicU64::new(0),
            last_progress: AtomicI64::new(0),
            rare: Mutex::new(Rare {
                status: StageStatus::Starting,
                failed: BTreeMap::new(),
                restarts: RestartCause::ALL.into_iter().map(|cause| (cause, 0)).collect(),
                last_error: None,
            }),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn queued(&self) -> usize {
        self.queued.load(Relaxed)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.queued.load(Relaxed) + self.working.load(Relaxed)
    }

    pub(super) fn message_arrived(&self) {
        self.queued.fetch_add(1, Relaxed);
    }

    pub(super) fn message_begun(&self) {
        self.working.fetch_add(1, Relaxed);
        self.queued.fetch_sub(1, Relaxed);
        self.progressed();
    }

    /// A message left: `begun` tells whether its handling had begun, `finished` whether it came to its end.
    pub(super) fn message_left(&self, begun: bool, finished: bool) {
        let counter = if finished { &self.handled } else { &self.lost };
        counter.fetch_add(1, Relaxed);
        let gauge = if begun { &self.working } else { &self.queued };
        gauge.fetch_sub(1, Relaxed);
        self.progressed();
    }

    /// A message went back to its sender: it never was here.
    pub(super) fn message_returned(&self) {
        self.queued.fetch_sub(1, Relaxed);
    }

    pub(super) fn sender_waits(&self) {
        self.senders_waiting.fetch_add(1, Relaxed);
        self.blocked.fetch_add(1, Relaxed);
    }

    pub(super) fn sender_waited(&self, waited: Duration) {
        self.senders_waiting.fetch_sub(1, Relaxed);
        self.blocked_nanos.fetch_add(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn count_failure(&self, reason: &'static str) {
        let mut rare = lock(&self.rare);
        *rare.failed.entry(reason).or_default() += 1;
        rare.last_error = Some(LastError { what: reason.to_owned(), at: self.clock.now() });
    }

    pub(super) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
    }

    pub(super) fn set_status(&self, status: StageStatus) {
        lock(&self.rare).status = status;
    }

    /// The stage ended with the service, unless it had ended before.
    pub(super) fn set_stopped(&self) {
        let mut rare = lock(&self.rare);
        if rare.status != StageStatus::GivenUp {
            rare.status = StageStatus::Stopped;
        }
    }

    pub(super) fn count_restart(&self, cause: RestartCause) {
        *lock(&self.rare).restarts.entry(cause).or_default() += 1;
    }

    pub(super) fn set_last_error(&self, what: String) {
        lock(&self.rare).last_error = Some(LastError { what, at: self.clock.now() });
    }

    fn progressed(&self) {
        self.last_progress.store(self.clock.now().as_millisecond(), Relaxed);
    }

    pub(super) fn snapshot(&self) -> StageSnapshot {
        let rare = lock(&self.rare);
        let last_progress = match self.last_progress.load(Relaxed) {
            0 => None,
            millisecond => Timestamp::from_millisecond(millisecond).ok(),
        };
        StageSnapshot {
            name: self.name,
            status: rare.status,
            capacity: self.capacity,
            queued: self.queued.load(Relaxed),
            working: self.working.load(Relaxed),
            senders_waiting: self.senders_waiting.load(Relaxed),
            handled: self.handled.load(Relaxed),
            failed: rare.failed.clone(),
            dropped: self.dropped.load(Relaxed),
            lost: self.lost.load(Relaxed),
            blocked: self.blocked.load(Relaxed),
            blocked_seconds: Duration::from_nanos(self.blocked_nanos.load(Relaxed)).as_secs_f64(),
            restarts: rare.restarts.clone(),
            last_error: rare.last_error.clone(),
            last_progress,
        }
    }
}
