//! Who works on which job, and when: one job a tenant at a time, oldest first, and no more than a few on the server, which
//! take turns where there are more. A job is laid aside after its turn, and taken up again where it was.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus::IntGauge;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{Instrument, Span};

use super::{
    places::{Place, Places},
    work::{LAID_ASIDE, Work},
};
use crate::{
    domain::{Job, JobId, JobState, Right, TenantId, TenantScope},
    error::{Error, ErrorKind, Result},
    runtime::ShutdownSignal,
    service::jobs::Service,
    store::{Matter, under_request},
    telemetry::spans::job_span,
};

/// Jobs that are worked on at once, of different tenants: each keeps the directory of its files in memory.
const JOBS_AT_ONCE: usize = 8;
/// How long one of them goes on while others wait. To begin again, the directory of its files is read again.
const TURN: Duration = Duration::from_secs(5);
/// How often jobs that were over long ago are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// Works on jobs until it is told to stop.
pub struct Runner {
    service: Service,
    stop: ShutdownSignal,
    places: Arc<Places>,
    /// Tenants of whom a job is worked on, and whether they were called again meanwhile.
    busy: Arc<Mutex<HashMap<TenantId, bool>>>,
    workers: JoinSet<()>,
}

impl Runner {
    /// Removes files that belong to no job. To be called before any comes in.
    pub async fn new(service: Service, stop: ShutdownSignal) -> Result<Self> {
        let jobs = service.store.all_jobs().await?;
        let open = jobs.into_iter().filter(|(_, job)| job.state.is_open());
        let open: HashMap<JobId, TenantId> = open.map(|(tenant, job)| (job.id, tenant)).collect();
        for tenant in open.values() {
            service.desk.call(tenant);
        }
        service.desk.spool.keep_only(open).await?;
        let (places, busy) = (Places::new(JOBS_AT_ONCE, TURN), Arc::default());
        Ok(Self { service, stop, places, busy, workers: JoinSet::new() })
    }

    /// Works until the stop; returns when the last worker has laid its job down.
    pub async fn run(mut self) {
        let desk = self.service.desk.clone();
        // Where a tenant was suspended, its jobs were laid down.
        let mut calls = self.service.store.calls(|matter| matter == Matter::Tenant);
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
                called = calls.next() => called.into_iter().for_each(|(tenant, _)| self.look_at(tenant)),
                Some(_) = self.workers.join_next() => {}
            }
        }
        while self.workers.join_next().await.is_some() {}
    }

    fn look_at(&mut self, tenant: TenantId) {
        match self.busy.lock().unwrap_or_else(PoisonError::into_inner).entry(tenant.clone()) {
            Entry::Occupied(mut busy) => {
                busy.insert(true);
                return;
            }
            Entry::Vacant(free) => free.insert(false),
        };
        let (service, stop) = (self.service.clone(), self.stop.clone());
        let (places, busy) = (Arc::clone(&self.places), Arc::clone(&self.busy));
        self.workers.spawn(async move {
            let scope = TenantScope::granted(tenant.clone());
            let mut span = Span::none();
            let worked = work_on_next(&service, &scope, &stop, &places, &mut span).await;
            let is_called = busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&tenant).unwrap_or_default();
            match worked {
                // There may be more, behind those of other tenants.
                Ok(true) => service.desk.call(&tenant),
                // Laid down while it was called: it may have been opened again just now.
                Ok(false) if is_called => service.desk.call(&tenant),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(parent: &span, %error, "a job was laid down: the next start takes it up again");
                }
            }
        });
    }
}

/// Works on the tenant's oldest job, in as many turns as it takes; whether there was one and it is over. `span` becomes
/// that of the job.
async fn work_on_next(
    service: &Service,
    scope: &TenantScope,
    stop: &ShutdownSignal,
    places: &Arc<Places>,
    span: &mut Span,
) -> Result<bool> {
    let mut laid_aside: Option<(JobId, Duration)> = None;
    loop {
        if let Some((job, wait)) = laid_aside.take() {
            if timeout(wait, stop.wait()).await.is_ok() {
                return Ok(false);
            }
            match service.store.job(scope, job).await {
                Ok(job) if job.state.is_open() => {}
                // Called off meanwhile: nobody else knows that its files are not needed.
                Ok(_) => service.desk.spool.remove(job).await?,
                // Gone with its tenant.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        let place = tokio::select! {
            place = places.enter() => place?,
            () = stop.wait() => return Ok(false),
        };
        match take_turn(service, scope, stop, place, span).await? {
            TurnEnd::NoJob | TurnEnd::LaidDown => return Ok(false),
            TurnEnd::Over => return Ok(true),
            TurnEnd::LaidAside(job, wait) => laid_aside = Some((job, wait)),
        }
    }
}

/// What became of the tenant's oldest job in one turn.
enum TurnEnd {
    /// There is none.
    NoJob,
    /// It is over.
    Over,
    /// The server stops, or the tenant was suspended or removed: it is called again where it goes on.
    LaidDown,
    /// Others have their turn; it goes on after so long.
    LaidAside(JobId, Duration),
}

async fn take_turn(
    service: &Service,
    scope: &TenantScope,
    stop: &ShutdownSignal,
    place: Place,
    span: &mut Span,
) -> Result<TurnEnd> {
    let Some(job) = service.store.open_jobs(scope).await?.into_iter().next() else {
        return Ok(TurnEnd::NoJob);
    };
    *span = job_span(job.id, job.request_id.as_deref());
    go_on_with(job, service, scope, stop, place).instrument(span.clone()).await
}

/// One turn of a job, in its span.
async fn go_on_with(
    job: Job,
    service: &Service,
    scope: &TenantScope,
    stop: &ShutdownSignal,
    place: Place,
) -> Result<TurnEnd> {
    let Job { id, task, by, request_id, created_at, .. } = job;
    let metrics = &service.recognition.pipeline.tools().metrics;
    let group = task.group().cloned();
    let right = Right::of_work(by, scope.tenant().clone(), task.permission(), group, created_at);
    let work = Work {
        service: service.clone(),
        scope: scope.clone().by(right),
        job: id,
        items_done: metrics.job_items.clone(),
        kind: task.name(),
        folder: service.desk.spool.folder(id),
        options: Arc::clone(&service.desk.options),
        stop: stop.clone(),
        place,
    };
    let running = metrics.jobs_running.with_label_values(&[task.name()]);
    running.inc();
    let _running = Running(running);
    match under_request(request_id.map(Into::into), work.run(task)).await {
        Err(error) if error.code() == "job_over" => {}
        Err(error) if error.code() == LAID_ASIDE => {
            let wait = error.retry_after_s().map_or(0, |seconds| seconds.get().into());
            return Ok(TurnEnd::LaidAside(id, Duration::from_secs(wait)));
        }
        Err(error) if work.is_laid_down(&error) => return Ok(TurnEnd::LaidDown),
        Err(error) if error.kind() == ErrorKind::Storage => return Err(error),
        Err(error) if is_refusal(&error) => work.end(JobState::Failed, Some(&rights_ended(error))).await?,
        Err(error) => {
            tracing::warn!(%error, "a job failed");
            work.end(JobState::Failed, Some(&error)).await?;
        }
        Ok(()) => work.end(JobState::Done, None).await?,
    }
    service.desk.spool.remove(id).await?;
    Ok(TurnEnd::Over)
}

/// Whether an error says that whoever started a job may not do it any more.
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::Forbidden)
}

/// The same, as the job says it.
fn rights_ended(refusal: Error) -> Error {
    let message =
        "whoever started this job was removed or may not do it any more: somebody who may has to start it again";
    Error::new(ErrorKind::Forbidden, message).with_code("rights_ended").with_source(refusal)
}

/// A job is worked on, and counted as such, until this is dropped.
struct Running(IntGauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}
