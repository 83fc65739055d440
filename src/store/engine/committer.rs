//! Group commit: threads that apply operations in the order they came, and another that flushes for all that wait.
//!
//! ```text
//! callers ─▶ lane (256) ─▶ apply thread ─▶ groups (256) ─▶ flush thread ─▶ every caller of the groups
//! ```
//!
//! An engine on which commits go on side by side has a lane for each. Operations by the rights of one realm all take the
//! same one, in the order they came.
//!
//! The operations that wait in a lane are applied as one [`Group`], and run again, all of them, where the engine asks for
//! it; one flush is for all of it. While that runs, those that arrive are applied and gather for the next: many callers
//! share one fsync, and none waits for more than two while no more groups wait than there is room for. An operation that
//! wrote nothing is acknowledged after what was applied before it, for what it read may not have been durable yet. An
//! operation once sent happens, whether or not its caller still waits.
//!
//! A thread that dies, which only what is called from outside can bring about, fails the store: nothing is acknowledged
//! any more, and what was under way is answered as unknown, never as not written.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use super::{Engine, Outcome};
use crate::{
    error::{Error, ErrorKind, Result},
    runtime::contain,
    store::{
        failures::damaged,
        transaction::{Group, Transaction},
    },
};

/// Operations of a lane waiting to be applied.
const APPLY_CAPACITY: usize = 256;
/// Groups waiting for a flush: the most that share one.
const FLUSH_CAPACITY: usize = 256;
/// Bytes over which a group of operations takes no more.
const GROUP_BYTES: usize = 1 << 20;
/// How often a group is run before its callers are told to come again.
const MAX_RUNS: usize = 100;

/// Told of every flush how long it took.
pub type FlushObserver = Arc<dyn Fn(Duration) + Send + Sync>;

/// An operation on its way, and its caller.
trait Member: Send {
    /// Runs the operation; what an earlier run came to no longer counts.
    fn run(&mut self, engine: &dyn Engine, group: &mut Group<'_>);

    /// Whether it has written anything.
    fn has_written(&self) -> bool;

    /// Answers the caller; takes the failure of what the operation was a part of.
    fn acknowledge(self: Box<Self>, failure: Option<&Error>);
}

/// See [`Committer::commit`].
struct Waiting<T, O, D> {
    operation: O,
    /// Its caller's.
    span: Span,
    once_durable: D,
    reply: oneshot::Sender<Result<T>>,
    /// What it came to, and whether it wrote.
    outcome: Result<(T, bool)>,
}

impl<T, O, D> Member for Waiting<T, O, D>
where
    T: Send,
    O: Fn(&mut Transaction<'_>) -> Result<T> + Send,
    D: FnOnce(&T) + Send,
{
    fn run(&mut self, engine: &dyn Engine, group: &mut Group<'_>) {
        self.outcome = self.span.in_scope(|| run(engine, group, &self.operation));
    }

    fn has_written(&self) -> bool {
        matches!(self.outcome, Ok((_, true)))
    }

    fn acknowledge(self: Box<Self>, failure: Option<&Error>) {
        let Self { operation, once_durable, reply, outcome, .. } = *self;
        // What it holds is free when the caller goes on.
        drop(operation);
        let answer = match (failure, outcome) {
            (Some(failure), Ok(_)) => Err(for_each_caller(failure)),
            // What it read may never have become durable, but its own failed write says more.
            (Some(failure), Err(error)) if error.kind() != ErrorKind::Storage => Err(for_each_caller(failure)),
            (_, outcome) => outcome.map(|(value, _)| value).inspect(once_durable),
        };
        // The caller may have gone; the operation stands all the same.
        let _ = reply.send(answer);
    }
}

/// The threads. Dropping it flushes what was sent and waits for them.
pub(in crate::store) struct Committer {
    lanes: Vec<mpsc::Sender<Box<dyn Member>>>,
    engine: Arc<dyn Engine>,
    threads: Vec<JoinHandle<()>>,
}

impl Committer {
    /// Starts the threads.
    pub(in crate::store) fn start(engine: &Arc<dyn Engine>, observer: Option<FlushObserver>) -> Result<Self> {
        let (applied, to_flush) = mpsc::channel(FLUSH_CAPACITY);
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new()
                .name(name.into())
                .spawn(work)
                .map_err(|error| Error::internal("cannot start a thread of the store").with_source(error))
        };
        let alarm = || Alarm(Arc::clone(engine));
        let (mut lanes, mut threads) = (Vec::new(), Vec::new());
        for _ in 0..engine.lanes() {
            let (lane, to_apply) = mpsc::channel(APPLY_CAPACITY);
            let (alarm, applied) = (alarm(), applied.clone());
            threads.push(spawn("store-apply", Box::new(move || apply_all(&alarm, to_apply, &applied)))?);
            lanes.push(lane);
        }
        let alarm = alarm();
        threads.push(spawn("store-flush", Box::new(move || flush_all(&alarm, to_flush, observer.as_ref())))?);
        Ok(Self { lanes, engine: Arc::clone(engine), threads })
    }

    /// Runs `operation`, which may be run several times, as if alone, all of it or nothing, and returns once it is
    /// durable. Then `once_durable` was called, on the flush thread, whether or not the caller still waits. Of operations
    /// with the same `of` the one that came first is applied first.
    pub(in crate::store) async fn commit<T: Send + 'static>(
        &self,
        of: &impl Hash,
        operation: impl Fn(&mut Transaction<'_>) -> Result<T> + Send + 'static,
        once_durable: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let sent = self
            .lane(of)?
            .send(Box::new(Waiting { operation, span: Span::current(), once_durable, reply, outcome: Err(stopped()) }))
            .await;
        sent.map_err(|_| self.engine.refuse_if_failed().err().unwrap_or_else(stopped))?;
        answer.await.map_err(|_| self.died())?
    }

    fn lane(&self, of: &impl Hash) -> Result<&mpsc::Sender<Box<dyn Member>>> {
        let mut hasher = DefaultHasher::new();
        of.hash(&mut hasher);
        let place = hasher.finish().checked_rem(self.lanes.len() as u64).ok_or_else(stopped)?;
        self.lanes.get(place as usize).ok_or_else(stopped)
    }

    /// The error for an operation that was sent and got no answer. Whoever learns of it first fails the store.
    fn died(&self) -> Error {
        self.engine.fail();
        Error::storage("the store stopped while this was being written: look up whether it was, after a restart")
            .with_code("store_failed")
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.lanes.clear();
        for thread in self.threads.drain(..) {
            // One that has panicked has failed the store.
            let _ = thread.join();
        }
    }
}

/// Fails the store when the thread that has it panics.
struct Alarm(Arc<dyn Engine>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail();
        }
    }
}

/// The error for an operation that was not sent.
fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "the store is closing")
}

fn run<T>(
    engine: &dyn Engine,
    group: &mut Group<'_>,
    operation: impl Fn(&mut Transaction<'_>) -> Result<T>,
) -> Result<(T, bool)> {
    engine.refuse_if_failed()?;
    engine.refuse_if_full()?;
    contain(|| group.run(operation)).unwrap_or_else(|site| {
        tracing::error!(%site, "an operation of the store gave up");
        Err(damaged("the embedded database gave up during a read"))
    })
}

fn apply_all(
    Alarm(engine): &Alarm,
    mut work: mpsc::Receiver<Box<dyn Member>>,
    applied: &mpsc::Sender<Vec<Box<dyn Member>>>,
) {
    while let Some(first) = work.blocking_recv() {
        let mut members = vec![first];
        if let Err(failure) = apply(&**engine, &mut members, || work.try_recv().ok()) {
            for member in members {
                member.acknowledge(Some(&failure));
            }
        } else if applied.blocking_send(members).is_err() {
            return;
        }
    }
}

/// Applies the operations of `members` as one, with those that `next` gives meanwhile.
fn apply(
    engine: &dyn Engine,
    members: &mut Vec<Box<dyn Member>>,
    mut next: impl FnMut() -> Option<Box<dyn Member>>,
) -> Result<()> {
    for run in 0..MAX_RUNS {
        let mut group = Group::new(engine.begin()?);
        for member in &mut *members {
            member.run(engine, &mut group);
        }
        while run == 0 && !group.is_lost() && group.bytes() < GROUP_BYTES {
            let Some(mut member) = next() else { break };
            member.run(engine, &mut group);
            members.push(member);
        }
        if group.apply()? == Outcome::Done {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Overloaded, "too many write to the same at once: try again").with_code("store_busy"))
}

fn flush_all(
    Alarm(engine): &Alarm,
    mut applied: mpsc::Receiver<Vec<Box<dyn Member>>>,
    observer: Option<&FlushObserver>,
) {
    let mut groups = Vec::new();
    while applied.blocking_recv_many(&mut groups, FLUSH_CAPACITY) > 0 {
        // What one has only read may have been written in another lane.
        let has_written = engine.lanes() > 1 || groups.iter().flatten().any(|member| member.has_written());
        let outcome = if has_written { flush(&**engine, observer) } else { engine.refuse_if_failed() };
        for member in groups.drain(..).flatten() {
            member.acknowledge(outcome.as_ref().err());
        }
    }
}

fn flush(engine: &dyn Engine, observer: Option<&FlushObserver>) -> Result<()> {
    engine.refuse_if_failed()?;
    let started = Instant::now();
    let outcome = engine.flush();
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
    Error::new(failure.kind(), failure.message().to_owned()).with_code(failure.code())
}
