//! The one pool of threads that runs all CPU work; no stage owns a thread.
//!
//! Order: class of service, then one task of each key in turn, then the later stage (work drains before more is
//! admitted), then first come first served. A started task is never interrupted, so tasks should be short (about
//! 15 ms): a key's next one waits for at most one on each thread and one of each other key of its class.
//! With two threads or more, the first of them starts nothing but interactive work while some may come: while an
//! [`InteractiveGuard`] lives or one did a moment ago. And the last free thread is kept from a key that has one, for a
//! moment after each task of another that has none and whose guard lives.
//!
//! There is no batcher that merges the tasks of several callers: a batch is no faster an item than the items one by
//! one on the networks that this pool runs, and merging would make callers wait for each other. What pays is the
//! other direction, [`scatter`](ComputePool::scatter): one caller's many items over all threads.

mod cancel;
mod lane;
mod presence;
mod scatter;
mod shared;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use tracing::Span;

pub use cancel::{CancelOnDrop, CancelToken};
pub use lane::ComputeSnapshot;

use self::{
    lane::Lane,
    shared::{Job, Shared},
};
use super::{
    line::{ServiceClass, Ticket, Turn},
    lock::lock,
    observe::Observer,
    panics::{PanicSite, contain},
};
use error::{Error, ErrorKind, Result};

/// How the pool is built.
#[derive(Clone)]
pub struct ComputeOptions {
    /// How many threads, named `compute-0`, `compute-1` and so on.
    pub threads: NonZeroUsize,
    /// How long interactive work is waited for.
    pub lingers: Lingers,
    /// Hears of queue and work time and of panics.
    pub observer: Arc<dyn Observer>,
    /// What a thread does once no task has come to it for a while.
    pub rest: Rest,
}

/// How long a thread keeps itself free for interactive work that may follow at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lingers {
    /// The first thread, after the last request.
    pub request: Duration,
    /// The last free thread, after the last task of a key that has a request under way.
    pub step: Duration,
}

/// When and how a thread gives back what it keeps between tasks.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    /// How long after its last task.
    pub after: Duration,
    /// Called on the thread, outside of any lock; must be short and not panic.
    pub call: fn(),
}

impl Default for Rest {
    /// After ten seconds nothing.
    fn default() -> Self {
        Self { after: Duration::from_secs(10), call: || () }
    }
}

/// Says what a task is for.
#[derive(Debug, Clone)]
pub struct JobSpec {
    /// Who waits for it.
    pub turn: Turn,
    /// The stage that it belongs to: the label of its figures.
    pub stage: &'static str,
    /// The stage's position in the flow; the later goes first among the tasks of a key.
    pub stage_rank: u8,
    /// Asked just before the task starts.
    pub cancel: CancelToken,
}

/// A task's value and where its time went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timed<T> {
    /// What it returned.
    pub value: T,
    /// Time between [`run`](ComputePool::run) and its start.
    pub queued: Duration,
    /// Time on a thread; for [`scatter`](ComputePool::scatter) the sum over its chunks.
    pub worked: Duration,
}

/// Why a task has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    /// It panicked. The pool goes on; the object that it worked on may want rebuilding.
    #[error("a computation failed")]
    Panicked,
    /// It never started: nobody waited for it any more.
    #[error("the computation was cancelled")]
    Dropped,
    /// It never started: the service is stopping.
    #[error("the service is stopping")]
    ShuttingDown,
}

impl From<ComputeError> for Error {
    fn from(error: ComputeError) -> Self {
        let kind = match error {
            ComputeError::Panicked => ErrorKind::Internal,
            ComputeError::Dropped => ErrorKind::Cancelled,
            ComputeError::ShuttingDown => ErrorKind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}

/// The pool. Clones share it; its threads end when the last clone is dropped or after
/// [`shut_down`](Self::shut_down).
#[derive(Clone)]
pub struct ComputePool {
    crew: Arc<Crew>,
}

/// The threads, and the observer that they report to.
struct Crew {
    shared: Arc<Shared>,
    observer: Arc<dyn Observer>,
    num_threads: usize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Crew {
    fn drop(&mut self) {
        // Not joined: the last clone may be dropped by a task, on one of the threads.
        self.shared.close();
    }
}

impl fmt::Debug for ComputePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComputePool").field("threads", &self.crew.num_threads).finish()
    }
}

impl ComputePool {
    /// Starts the threads. Fails when the system gives none.
    pub fn new(options: ComputeOptions) -> Result<Self> {
        let num_threads = options.threads.get();
        let shared = Arc::new(Shared::new(num_threads, options.lingers, options.rest));
        let crew = Crew { shared, observer: options.observer, num_threads, threads: Mutex::default() };
        for index in 0..num_threads {
            let shared = Arc::clone(&crew.shared);
            let reserved = index == 0 && num_threads > 1;
            let thread = thread::Builder::new()
                .name(format!("compute-{index}"))
                .spawn(move || shared.work(reserved))
                .map_err(|error| Error::internal("cannot start a compute thread").with_source(error))?;
            lock(&crew.threads).push(thread);
        }
        Ok(Self { crew: Arc::new(crew) })
    }

    /// How many threads there are.
    pub fn num_threads(&self) -> usize {
        self.crew.num_threads
    }

    /// Runs `work` on a thread of the pool when its turn comes. Dropping the future takes the work out of the queue
    /// and counts it as dropped; once started it runs to its end.
    ///
    /// It runs in the span of the caller. A panic in `work` is contained; `work` must leave what it shares usable when
    /// it unwinds, or have it rebuilt through [`on_panic`](Self::on_panic).
    pub async fn run<T: Send + 'static>(
        &self,
        job: JobSpec,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Timed<T>, ComputeError> {
        let _expected = (job.turn.class == ServiceClass::Interactive).then(|| self.expect_interactive(&job.turn.key));
        let lane = self.crew.shared.lane(job.stage);
        let (reply, answer) = oneshot::channel();
        let report = Report { stage: job.stage, lane: Arc::clone(&lane), observer: Arc::clone(&self.crew.observer) };
        let (cancel, span) = (job.cancel.clone(), Span::current());
        let queued = Job {
            turn: job.turn,
            lane,
            cancel: job.cancel,
            queued_at: Instant::now(),
            run: Box::new(move |queued| {
                let outcome = span.in_scope(|| report.measure(queued, work));
                // Fails only where nobody waits any more.
                let _ = reply.send(outcome);
            }),
        };
        let ticket = self.crew.shared.push(job.stage_rank, queued).ok_or(ComputeError::ShuttingDown)?;
        let _queued = Queued { shared: &self.crew.shared, ticket };
        let unanswered = |_| if cancel.is_cancelled() { ComputeError::Dropped } else { ComputeError::ShuttingDown };
        answer.await.map_err(unanswered)?
    }

    /// Says that interactive work of `key` is on its way or may follow, as long as the guard lives and a moment longer.
    pub fn expect_interactive(&self, key: &Arc<str>) -> InteractiveGuard {
        self.crew.shared.expect_interactive(key);
        InteractiveGuard { shared: Arc::clone(&self.crew.shared), key: Arc::clone(key) }
    }

    /// Calls `callback`, on the compute thread, after each panic of a task of `stage` and before its caller hears
    /// of it: the place to have a damaged object rebuilt.
    pub fn on_panic(&self, stage: &'static str, callback: impl Fn() + Send + Sync + 'static) {
        self.crew.shared.lane(stage).on_panic(Arc::new(callback));
    }

    /// The figures of every stage that ever ran a task, by name.
    pub fn snapshot(&self) -> Vec<ComputeSnapshot> {
        self.crew.shared.snapshot()
    }

    /// Ends the pool: running tasks finish, waiting ones fail with [`ComputeError::ShuttingDown`]. Blocks until the
    /// threads have ended; not to be called from one of them.
    pub fn shut_down(&self) {
        self.crew.shared.close();
        let threads = std::mem::take(&mut *lock(&self.crew.threads));
        for thread in threads {
            // Threads contain every panic, so there is no outcome to look at.
            let _ = thread.join();
        }
    }
}

/// See [`ComputePool::expect_interactive`].
#[must_use = "interactive work is expected only while the guard lives"]
pub struct InteractiveGuard {
    shared: Arc<Shared>,
    key: Arc<str>,
}

impl fmt::Debug for InteractiveGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InteractiveGuard")
    }
}

impl Drop for InteractiveGuard {
    fn drop(&mut self) {
        self.shared.interactive_ended(&self.key);
    }
}

/// The caller's interest in a queued task; without it the task leaves the queue.
struct Queued<'a> {
    shared: &'a Shared,
    ticket: Ticket,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if let Some(job) = self.shared.take_back(&self.ticket) {
            job.lane.dropped();
        }
    }
}

/// Whom a task's fate is told to.
struct Report {
    stage: &'static str,
    lane: Arc<Lane>,
    observer: Arc<dyn Observer>,
}

impl Report {
    /// Runs `work` on the present thread and tells everybody but the caller how it went.
    fn measure<T>(&self, queued: Duration, work: impl FnOnce() -> T) -> Result<Timed<T>, ComputeError> {
        let started = Instant::now();
        let outcome = contain(work);
        let worked = started.elapsed();
        self.lane.ended(outcome.is_err());
        self.observer.queued(self.stage, queued);
        self.observer.worked(self.stage, worked);
        match outcome {
            Ok(value) => Ok(Timed { value, queued, worked }),
            Err(site) => {
                self.tell_of_panic(&site);
                Err(ComputeError::Panicked)
            }
        }
    }

    fn tell_of_panic(&self, site: &PanicSite) {
        tracing::error!(stage = self.stage, %site, "a compute task panicked");
        self.observer.panicked(self.stage);
        for callback in self.lane.panic_callbacks() {
            if let Err(site) = contain(|| callback()) {
                tracing::error!(stage = self.stage, %site, "rebuilding after a panic panicked");
            }
        }
    }
}
