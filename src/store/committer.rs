//! Group commit: one thread applies operations in the order they came, another flushes for all that wait.
//!
//! ```text
//! callers ─▶ (256) ─▶ apply thread ─▶ (4096) ─▶ flush thread ─▶ every caller of the group
//! ```
//!
//! The operations that wait are applied as one [`Group`]. While one flush runs, those that arrive are applied and
//! gather for the next: many callers share one fsync, and none waits for more than two. An operation that wrote nothing is acknowledged after what was applied
//! before it, for what it read may not have been durable yet. An operation once sent happens, whether or not its
//! caller still waits.
//!
//! A thread that dies, which only what is called from outside can bring about, fails the store: nothing is acknowledged
//! any more, and what was under way is answered as unknown, never as not written.
//!
//! What is done [`Committer::alone`] comes between two groups: nothing is applied meanwhile. That is when the database
//! is replaced by its copy. What was applied to the old one before is in the copy, durably; so it may be acknowledged
//! after a flush of either.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use super::{
    db::Db,
    transaction::{Group, Transaction},
};
use crate::{
    error::{Error, ErrorKind, Result},
    runtime::contain,
};

/// Operations waiting to be applied.
const APPLY_CAPACITY: usize = 256;
/// Operations waiting for a flush: the most that share one.
const FLUSH_CAPACITY: usize = 4096;

/// Told of every flush how long it took.
pub type FlushObserver = Arc<dyn Fn(Duration) + Send + Sync>;

/// Bytes over which a group of operations takes no more.
const GROUP_BYTES: usize = 1 << 20;

/// Joins a group.
type Operation = Box<dyn FnOnce(&mut Group<'_>) -> Applied + Send>;

/// What the apply thread is sent.
enum Work {
    Operation(Operation),
    Alone(Box<dyn FnOnce() + Send>),
}

/// Answers an operation's caller; takes the flush's failure, if it failed.
type Acknowledge = Box<dyn FnOnce(Option<&Error>) + Send>;

/// An operation whose caller waits for the flush.
struct Applied {
    wrote: bool,
    acknowledge: Acknowledge,
}

/// The two threads. Dropping it flushes what was sent and waits for both.
pub(super) struct Committer {
    work: Option<mpsc::Sender<Work>>,
    live: Arc<ArcSwap<Db>>,
    threads: Vec<JoinHandle<()>>,
}

impl Committer {
    /// Starts the threads.
    pub(super) fn start(live: &Arc<ArcSwap<Db>>, observer: Option<FlushObserver>) -> Result<Self> {
        let (work, to_apply) = mpsc::channel(APPLY_CAPACITY);
        let (applied, to_flush) = mpsc::channel(FLUSH_CAPACITY);
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new()
                .name(name.into())
                .spawn(work)
                .map_err(|error| Error::internal("cannot start a thread of the store").with_source(error))
        };
        let (apply_db, flush_db) = (Arc::clone(live), Arc::clone(live));
        let threads = vec![
            spawn("store-apply", Box::new(move || apply_all(&Alarm(apply_db), to_apply, &applied)))?,
            spawn("store-flush", Box::new(move || flush_all(&Alarm(flush_db), to_flush, observer.as_ref())))?,
        ];
        Ok(Self { work: Some(work), live: Arc::clone(live), threads })
    }

    /// Runs `operation` alone, all of it or nothing, and returns once it is durable. Then `once_durable` was called,
    /// on the flush thread, whether or not the caller still waits.
    pub(super) async fn commit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Transaction<'_>) -> Result<T> + Send + 'static,
        once_durable: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let boxed: Operation = Box::new(move |group| {
            let (outcome, wrote) = match run(group, operation) {
                Ok((value, wrote)) => (Ok(value), wrote),
                Err(error) => (Err(error), false),
            };
            let acknowledge = Box::new(move |failure: Option<&Error>| {
                let answer = match (failure, outcome) {
                    (Some(failure), Ok(_)) => Err(for_each_caller(failure)),
                    // What it read may never have become durable, but its own failed write says more.
                    (Some(failure), Err(error)) if error.kind() != ErrorKind::Storage => Err(for_each_caller(failure)),
                    (_, outcome) => outcome.inspect(once_durable),
                };
                // The caller may have gone; the operation stands all the same.
                let _ = reply.send(answer);
            });
            Applied { wrote, acknowledge }
        });
        self.send(Work::Operation(boxed)).await?;
        answer.await.map_err(|_| self.died())?
    }

    /// Runs `work` while nothing is applied: every write waits for it.
    pub(super) async fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let boxed = Box::new(move || {
            let outcome = contain(work).unwrap_or_else(|site| {
                tracing::error!(%site, "work between writes was cut short");
                Err(Error::internal("work between writes was cut short"))
            });
            let _ = reply.send(outcome);
        });
        self.send(Work::Alone(boxed)).await?;
        answer.await.map_err(|_| self.died())?
    }

    /// The error for an operation that was sent and got no answer. Whoever learns of it first fails the store.
    fn died(&self) -> Error {
        self.live.load().fail();
        Error::storage("the store stopped while this was being written: look up whether it was, after a restart")
            .with_code("store_failed")
    }

    async fn send(&self, work: Work) -> Result<()> {
        let sent = self.work.as_ref().ok_or_else(stopped)?.send(work).await;
        sent.map_err(|_| self.live.load().refuse_if_failed().err().unwrap_or_else(stopped))
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.work = None;
        for thread in self.threads.drain(..) {
            // One that has panicked has failed the store.
            let _ = thread.join();
        }
    }
}

/// Fails the store when the thread that has it panics.
struct Alarm(Arc<ArcSwap<Db>>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.load().fail();
        }
    }
}

/// The error for an operation that was not sent.
fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "the store is closing")
}

fn run<T>(group: &mut Group<'_>, operation: impl FnOnce(&mut Transaction<'_>) -> Result<T>) -> Result<(T, bool)> {
    group.db().refuse_if_failed()?;
    group.db().refuse_if_full()?;
    contain(|| group.run(operation)).unwrap_or_else(|site| {
        tracing::error!(%site, "an operation of the store gave up");
        Err(super::failures::damaged("the embedded database gave up during a read"))
    })
}

fn apply_all(Alarm(live): &Alarm, mut work: mpsc::Receiver<Work>, applied: &mpsc::Sender<Applied>) {
    let mut alone = None;
    while let Some(first) = work.blocking_recv() {
        let first = match first {
            Work::Operation(first) => first,
            Work::Alone(work) => {
                work();
                continue;
            }
        };
        let db = live.load_full();
        let mut group = Group::new(&db);
        let mut members = vec![first(&mut group)];
        while group.bytes() < GROUP_BYTES && alone.is_none() {
            match work.try_recv() {
                Ok(Work::Operation(next)) => members.push(next(&mut group)),
                Ok(Work::Alone(next)) => alone = Some(next),
                Err(_) => break,
            }
        }
        let outcome = group.apply();
        for member in members {
            if let Err(failure) = &outcome {
                (member.acknowledge)(Some(failure));
            } else if applied.blocking_send(member).is_err() {
                return;
            }
        }
        drop(db);
        if let Some(work) = alone.take() {
            work();
        }
    }
}

fn flush_all(Alarm(live): &Alarm, mut applied: mpsc::Receiver<Applied>, observer: Option<&FlushObserver>) {
    let mut group = Vec::new();
    while applied.blocking_recv_many(&mut group, FLUSH_CAPACITY) > 0 {
        // Asked for only now: what these have written is in this one, whichever they were applied to.
        let db = live.load_full();
        let outcome = if group.iter().any(|one| one.wrote) { flush(&db, observer) } else { db.refuse_if_failed() };
        for one in group.drain(..) {
            (one.acknowledge)(outcome.as_ref().err());
        }
    }
}

fn flush(db: &Db, observer: Option<&FlushObserver>) -> Result<()> {
    db.refuse_if_failed()?;
    let started = Instant::now();
    let outcome = db.flush();
    if let Some(observer) = observer {
        observer(started.elapsed());
    }
    if let Err(error) = &outcome {
        tracing::error!(%error, "the store cannot flush and takes no more writes");
    }
    outcome
}

/// One failed flush is an error to every caller that waited for it.
fn for_each_caller(failure: &Error) -> Error {
    Error::storage(failure.message().to_owned()).with_code(failure.code())
}
