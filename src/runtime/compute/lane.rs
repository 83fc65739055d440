//! What the pool knows of one stage's tasks.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use serde::Serialize;

use crate::lock::lock;

/// A stage's tasks at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComputeSnapshot {
    /// The stage.
    pub stage: &'static str,
    /// Tasks that wait for a thread.
    pub queued: usize,
    /// Tasks on a thread.
    pub running: usize,
    /// Tasks that came to their end.
    pub done: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks that never started because nobody waited for them any more.
    pub dropped: u64,
}

/// Called on the compute thread after a task panicked.
pub(super) type PanicCallback = Arc<dyn Fn() + Send + Sync>;

/// The living figures behind a [`ComputeSnapshot`].
#[derive(Default)]
pub(super) struct Lane {
    queued: AtomicUsize,
    running: AtomicUsize,
    done: AtomicU64,
    panicked: AtomicU64,
    dropped: AtomicU64,
    on_panic: Mutex<Vec<PanicCallback>>,
}

impl Lane {
    pub(super) fn queued(&self) {
        self.queued.fetch_add(1, Relaxed);
    }

    pub(super) fn started(&self) {
        self.running.fetch_add(1, Relaxed);
        self.queued.fetch_sub(1, Relaxed);
    }

    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Relaxed);
        self.queued.fetch_sub(1, Relaxed);
    }

    pub(super) fn ended(&self, panicked: bool) {
        let counter = if panicked { &self.panicked } else { &self.done };
        counter.fetch_add(1, Relaxed);
        self.running.fetch_sub(1, Relaxed);
    }

    pub(super) fn on_panic(&self, callback: PanicCallback) {
        lock(&self.on_panic).push(callback);
    }

    pub(super) fn panic_callbacks(&self) -> Vec<PanicCallback> {
        lock(&self.on_panic).clone()
    }

    pub(super) fn snapshot(&self, stage: &'static str) -> ComputeSnapshot {
        ComputeSnapshot {
            stage,
            queued: self.queued.load(Relaxed),
            running: self.running.load(Relaxed),
            done: self.done.load(Relaxed),
            panicked: self.panicked.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
        }
    }
}
