//! Who works on which job, and when: one job a tenant at a time, oldest first, and no more than a few on the server.

use std::{
    collections::{BTreeSet, HashSet},
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use prometheus::{IntCounterVec, IntGauge};
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{Spool, import, recognise};
use crate::{
    config,
    domain::{Job, JobId, JobState, JobTask, TenantId, TenantScope},
    error::{Error, ErrorKind, Result},
    runtime::ShutdownSignal,
    service::Service,
    store::under_request,
};

/// Jobs that are worked on at once, of different tenants: each keeps the directory of its files in memory.
const JOBS_AT_ONCE: usize = 8;
/// How often jobs that were over long ago are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Between two tries of an item for which there is no room.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// The least time between two reports of how far a job has come.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// However long a quota says to wait, one looks again after so long: the operator may have lifted it.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What jobs go by.
#[derive(Debug, Clone)]
pub struct JobOptions {
    /// The most bytes of the files of one job.
    pub max_upload_bytes: u64,
    /// The most rows of a roster, and entries of a ZIP file.
    pub max_entries: u64,
    /// The most jobs of a tenant that are not over.
    pub max_open: usize,
    /// How long a job that is over is kept.
    pub keep: jiff::SignedDuration,
    /// The largest photo, in bytes.
    pub image_bytes: u64,
    /// Items of one job that are under way at once.
    pub items_at_once: usize,
}

impl JobOptions {
    /// As the settings say.
    pub fn new(settings: &config::Settings) -> Self {
        let jobs = &settings.jobs;
        Self {
            max_upload_bytes: jobs.max_upload_bytes,
            max_entries: jobs.max_entries,
            max_open: jobs.max_open,
            keep: jiff::SignedDuration::from_hours(24 * i64::from(jobs.keep_days)),
            image_bytes: settings.limits.image_bytes,
            // Enough that every thread has one while others wait for the disk.
            items_at_once: 4 * settings.pipeline.threads().get(),
        }
    }
}

/// Where jobs are handed in. Clones share it.
#[derive(Debug, Clone)]
pub struct JobDesk {
    /// The files of jobs.
    pub spool: Spool,
    /// What jobs go by.
    pub options: Arc<JobOptions>,
    calls: Arc<Calls>,
}

/// Tenants whose jobs are to be looked at.
#[derive(Debug, Default)]
struct Calls {
    tenants: Mutex<BTreeSet<TenantId>>,
    called: Notify,
}

impl JobDesk {
    /// A desk over a spool.
    pub fn new(spool: Spool, options: JobOptions) -> Self {
        Self { spool, options: options.into(), calls: Arc::default() }
    }

    /// Has the runner look at a tenant's jobs.
    pub fn call(&self, tenant: &TenantId) {
        self.calls.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone());
        self.calls.called.notify_one();
    }

    async fn called(&self) -> BTreeSet<TenantId> {
        self.calls.called.notified().await;
        std::mem::take(&mut *self.calls.tenants.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Works on jobs until it is told to stop.
pub struct Runner {
    service: Service,
    stop: ShutdownSignal,
    places: Arc<Semaphore>,
    /// Tenants of whom a job is worked on.
    busy: Arc<Mutex<HashSet<TenantId>>>,
    workers: JoinSet<()>,
}

impl Runner {
    /// Removes files that belong to no job. To be called before any comes in.
    pub async fn new(service: Service, stop: ShutdownSignal) -> Result<Self> {
        let jobs = service.store().all_jobs().await?;
        let open = jobs.iter().filter(|(_, job)| job.state.is_open());
        let (tenants, ids): (Vec<TenantId>, HashSet<JobId>) =
            open.map(|(tenant, job)| (tenant.clone(), job.id)).unzip();
        service.desk().spool.keep_only(ids).await?;
        for tenant in &tenants {
            service.desk().call(tenant);
        }
        let (places, busy) = (Arc::new(Semaphore::new(JOBS_AT_ONCE)), Arc::default());
        Ok(Self { service, stop, places, busy, workers: JoinSet::new() })
    }

    /// Works until the stop; returns when the last worker has laid its job down.
    pub async fn run(mut self) {
        let desk = self.service.desk().clone();
        let mut sweeps = interval(SWEEP_EVERY);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.stop.wait() => break,
                _ = sweeps.tick() => {
                    if let Err(error) = self.service.sweep_jobs().await {
                        tracing::error!(%error, "old jobs cannot be removed");
                    }
                }
                tenants = desk.called() => tenants.into_iter().for_each(|tenant| self.look_at(tenant)),
                Some(_) = self.workers.join_next() => {}
            }
        }
        while self.workers.join_next().await.is_some() {}
    }

    fn look_at(&mut self, tenant: TenantId) {
        if !self.busy.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone()) {
            return;
        }
        let (service, stop) = (self.service.clone(), self.stop.clone());
        let (places, busy) = (Arc::clone(&self.places), Arc::clone(&self.busy));
        self.workers.spawn(async move {
            let scope = TenantScope::granted(tenant.clone());
            let worked = work_on_next(&service, &scope, &stop, &places).await;
            busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&tenant);
            match worked {
                // There may be more, behind those of other tenants.
                Ok(true) => service.desk().call(&tenant),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "a job was laid down: the next start takes it up again"),
            }
        });
    }
}

/// Works on the tenant's oldest job; whether there was one and it is over.
async fn work_on_next(
    service: &Service,
    scope: &TenantScope,
    stop: &ShutdownSignal,
    places: &Semaphore,
) -> Result<bool> {
    let place = tokio::select! {
        place = places.acquire() => place,
        () = stop.wait() => return Ok(false),
    };
    let _place = place.map_err(|closed| Error::internal("no job is taken up any more").with_source(closed))?;
    let metrics = &service.pipeline().tools().metrics;
    let Some(Job { id, task, by, request_id, .. }) = service.store().open_jobs(scope).await?.into_iter().next() else {
        return Ok(false);
    };
    let work = Work {
        service: service.clone(),
        scope: scope.clone().by(by),
        job: id,
        items_done: metrics.job_items.clone(),
        kind: task.name(),
        folder: service.desk().spool.folder(id),
        options: Arc::clone(&service.desk().options),
        stop: stop.clone(),
    };
    let running = metrics.jobs_running.with_label_values(&[task.name()]);
    running.inc();
    let _running = Running(running);
    match under_request(request_id.map(Into::into), work.run(task)).await {
        Err(error) if error.code() == "job_over" => {}
        // The stop, or the tenant was suspended or removed: it is called again where it goes on.
        Err(error) if work.is_laid_down(&error) => return Ok(false),
        Err(error) if error.kind() == ErrorKind::Storage => return Err(error),
        Err(error) => {
            tracing::warn!(job = %id, %error, "a job failed");
            work.end(JobState::Failed, Some(&error)).await?;
        }
        Ok(()) => work.end(JobState::Done, None).await?,
    }
    service.desk().spool.remove(id).await?;
    Ok(true)
}

/// A job is worked on, and counted as such, until this is dropped.
struct Running(IntGauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A job that is worked on.
pub(super) struct Work {
    pub(super) service: Service,
    pub(super) scope: TenantScope,
    pub(super) job: JobId,
    pub(super) folder: PathBuf,
    pub(super) options: Arc<JobOptions>,
    /// Of which kind it is, in metrics.
    kind: &'static str,
    items_done: IntCounterVec,
    stop: ShutdownSignal,
}

impl Work {
    async fn run(&self, task: JobTask) -> Result<()> {
        let begun = self.service.store().begin_job(&self.scope, self.job, self.service.now()).await?;
        self.service.tell_progress(&self.scope, begun.progress());
        match task {
            JobTask::Import(options) => import::run(self, options).await,
            JobTask::Recognise(options) => recognise::run(self, &options).await,
        }
    }

    async fn end(&self, state: JobState, error: Option<&Error>) -> Result<()> {
        let ended =
            self.service.store().end_job(&self.scope, self.job, state, error.map(Into::into), self.service.now());
        match ended.await {
            // Called off at the last moment.
            Err(error) if error.code() == "job_over" => Ok(()),
            ended => {
                self.service.tell_progress(&self.scope, ended?.progress());
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
        Ok(self.service.store().done_items(&self.scope, self.job).await?.into_iter().collect())
    }

    /// Counts something that is no item's.
    pub(super) async fn count(&self, name: &'static str, number: u64) -> Result<()> {
        self.service.store().set_job_count(&self.scope, self.job, name, number).await.map(drop)
    }

    /// Does items, several at once, until all are done, one fails or the server stops.
    pub(super) async fn drive<F: Future<Output = Result<()>>>(&self, items: impl Iterator<Item = F>) -> Result<()> {
        let mut items = pin!(stream::iter(items).buffer_unordered(self.options.items_at_once));
        let mut told_at = Instant::now();
        loop {
            self.require_going_on()?;
            let done = tokio::select! {
                done = items.next() => done,
                () = self.stop.wait() => continue,
            };
            match done {
                Some(done) => done?,
                None => return Ok(()),
            }
            if told_at.elapsed() >= TELL_EVERY {
                let job = self.service.store().job(&self.scope, self.job).await?;
                self.service.tell_progress(&self.scope, job.progress());
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
        error.code() == "job_over" || error.kind() == ErrorKind::Storage || self.is_laid_down(error)
    }

    fn is_laid_down(&self, error: &Error) -> bool {
        let is_closed = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Cancelled);
        is_closed || error.code() == "tenant_not_found" || self.stop.requested()
    }

    /// Does an item, again and again while there is no room for it. A day's quota is waited for as well.
    pub(super) async fn patiently<T, F: Future<Output = Result<T>>>(&self, attempt: impl Fn() -> F) -> Result<T> {
        loop {
            self.require_going_on()?;
            let error = match attempt().await {
                Err(error) if matches!(error.kind(), ErrorKind::Overloaded | ErrorKind::Full) => error,
                answer => return answer,
            };
            let told = error.retry_after_s().map(|seconds| Duration::from_secs(seconds.get().into()));
            let until = Instant::now() + told.unwrap_or(RETRY_AFTER).min(LONGEST_WAIT);
            let left = until.saturating_duration_since(Instant::now());
            if timeout(left, self.stop.wait()).await.is_ok() {
                return self.require_going_on().and(Err(error));
            }
            self.require_open().await?;
        }
    }

    /// Errors: `Conflict` `job_over` where it was called off.
    async fn require_open(&self) -> Result<()> {
        let job = self.service.store().job(&self.scope, self.job).await?;
        if job.state.is_open() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Conflict, "this job is over").with_code("job_over"))
    }
}
