//! A job that is worked on: its items, several at once, and when they end.

use std::{
    collections::HashSet,
    iter,
    path::PathBuf,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use prometheus::IntCounterVec;
use tokio::time::{Instant, sleep};

use super::{JobOptions, import_rows, places::Place, recognize_photos, runner::is_refusal};
use crate::{
    domain::{JobId, JobState, JobTask, TenantScope},
    error::{Error, ErrorKind, Result},
    runtime::ShutdownSignal,
    service::jobs::Service,
};

/// Between two tries of an item that is to be tried again: there was no room, or rules have changed.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// The least time between two reports of how far a job has come.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// However long a quota says to wait, one looks again after so long: the operator may have lifted it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The code of the error with which a job is laid aside.
pub(super) const LAID_ASIDE: &str = "job_laid_aside";

/// A job that is worked on.
pub(super) struct Work {
    pub(super) service: Service,
    pub(super) scope: TenantScope,
    pub(super) job: JobId,
    pub(super) folder: PathBuf,
    pub(super) options: Arc<JobOptions>,
    /// Of which kind it is, in metrics.
    pub(super) kind: &'static str,
    pub(super) items_done: IntCounterVec,
    pub(super) stop: ShutdownSignal,
    pub(super) place: Place,
}

impl Work {
    /// Works off what is left of it.
    pub(super) async fn run(&self, task: JobTask) -> Result<()> {
        let begun = self.service.store.begin_job(&self.scope, self.job, self.service.clock.now()).await?;
        self.service.events.tell_progress(&self.scope, begun.progress());
        match task {
            JobTask::Import(options) => import_rows::run(self, options).await,
            JobTask::Recognise(options) => recognize_photos::run(self, &options).await,
        }
    }

    /// It is over. By the machine: it ends as well where whoever started it may do nothing any more.
    pub(super) async fn end(&self, state: JobState, error: Option<&Error>) -> Result<()> {
        let scope = TenantScope::granted(self.scope.tenant().clone());
        let ended =
            self.service.store.end_job(&scope, self.job, state, error.map(Into::into), self.service.clock.now());
        match ended.await {
            // Called off at the last moment, or gone with its tenant.
            Err(error) if ["job_over", "job_not_found", "tenant_not_found"].contains(&error.code()) => Ok(()),
            ended => {
                self.service.events.tell_progress(&self.scope, ended?.progress());
                Ok(())
            }
        }
    }

    /// Counts an item that has its report.
    pub(super) fn count_item(&self, outcome: &str) {
        self.items_done.with_label_values(&[self.kind, outcome]).inc();
    }

    /// The numbers of the items that have a report.
    pub(super) async fn done(&self) -> Result<HashSet<u64>> {
        Ok(self.service.store.done_items(&self.scope, self.job).await?.into_iter().collect())
    }

    /// Counts something that is no item's.
    pub(super) async fn count(&self, name: &'static str, number: u64) -> Result<()> {
        self.service.store.set_job_count(&self.scope, self.job, name, number).await.map(drop)
    }

    /// Does items, several at once, until all are done, one fails, the turn is over or the server stops.
    pub(super) async fn drive<F: Future<Output = Result<()>>>(&self, mut items: impl Iterator<Item = F>) -> Result<()> {
        let (is_over, mut laid_aside) = (AtomicBool::new(false), None);
        let begun = iter::from_fn(|| {
            is_over.fetch_or(self.place.is_over(), Relaxed);
            if is_over.load(Relaxed) { None } else { items.next() }
        });
        let mut under_way = pin!(stream::iter(begun).buffer_unordered(self.options.items_at_once));
        let mut told_at = Instant::now();
        loop {
            self.require_going_on()?;
            let done = tokio::select! {
                done = under_way.next() => done,
                () = self.stop.wait() => continue,
            };
            match done {
                // What was begun comes to its end: it would be done twice.
                Some(Err(error)) if error.code() == LAID_ASIDE => {
                    is_over.store(true, Relaxed);
                    laid_aside = Some(error);
                }
                Some(done) => done?,
                None if is_over.load(Relaxed) => return Err(laid_aside.unwrap_or_else(|| aside(Duration::ZERO))),
                None => return Ok(()),
            }
            if told_at.elapsed() >= TELL_EVERY {
                let job = self.service.store.job(&self.scope, self.job).await?;
                self.service.events.tell_progress(&self.scope, job.progress());
                told_at = Instant::now();
            }
        }
    }

    /// Errors once the server stops: `Unavailable`.
    fn require_going_on(&self) -> Result<()> {
        if self.stop.requested() {
            return Err(Error::new(ErrorKind::Unavailable, "the server is stopping"));
        }
        Ok(())
    }

    /// Whether an item's error is the whole job's.
    pub(super) fn ends_with(&self, error: &Error) -> bool {
        error.code() == "job_over"
            || error.kind() == ErrorKind::Storage
            || is_refusal(error)
            || self.is_laid_down(error)
    }

    /// Whether an error says that it goes on later.
    pub(super) fn is_laid_down(&self, error: &Error) -> bool {
        let is_closed = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Cancelled);
        is_closed || ["tenant_not_found", "tenant_suspended"].contains(&error.code()) || self.stop.requested()
    }

    /// Does an item, again and again while there is no room for it, or it went by rules that were changed meanwhile. A day's quota is waited for as well, elsewhere as soon
    /// as somebody wants the place.
    pub(super) async fn patiently<T, F: Future<Output = Result<T>>>(&self, attempt: impl Fn() -> F) -> Result<T> {
        loop {
            self.require_going_on()?;
            let error = match attempt().await {
                Err(error) if matches!(error.kind(), ErrorKind::Overloaded | ErrorKind::Full) => error,
                answer => return answer,
            };
            let told = error.retry_after_s().map(|seconds| Duration::from_secs(seconds.get().into()));
            let wait = told.unwrap_or(RETRY_AFTER).min(LONGEST_WAIT);
            tokio::select! {
                () = sleep(wait) => {}
                () = self.stop.wait() => return self.require_going_on().and(Err(error)),
                () = self.place.is_wanted(), if told.is_some() => return Err(aside(wait)),
            }
            self.require_open().await?;
        }
    }

    /// Errors: `Conflict` `job_over` where it was called off.
    async fn require_open(&self) -> Result<()> {
        let job = self.service.store.job(&self.scope, self.job).await?;
        if job.state.is_open() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Conflict, "this job is over").with_code("job_over"))
    }
}

/// The error with which a job is laid aside for so long: of a kind that lays jobs down.
fn aside(wait: Duration) -> Error {
    Error::new(ErrorKind::Unavailable, "other jobs have their turn").with_code(LAID_ASIDE).with_retry_after(wait)
}
