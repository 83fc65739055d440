//! Where jobs are handed in.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    config,
    domain::TenantId,
    intake::{Readers, RoomRules, Spool},
};

/// What jobs go by.
#[derive(Debug, Clone)]
pub struct JobOptions {
    /// The most bytes of the files of one job.
    pub max_upload_bytes: u64,
    /// How much of the disk the files of all jobs may hold.
    pub room: RoomRules,
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
            room: RoomRules::of(jobs),
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
    /// Who looks into the files.
    pub readers: Readers,
    handed_in: Arc<HandedIn>,
}

/// Tenants of which jobs were handed in, or are to be gone on with.
#[derive(Debug, Default)]
struct HandedIn {
    tenants: Mutex<BTreeSet<TenantId>>,
    called: Notify,
}

impl JobDesk {
    /// A desk over a spool.
    pub fn new(spool: Spool, options: JobOptions) -> Self {
        Self { spool, options: options.into(), readers: Readers::default(), handed_in: Arc::default() }
    }

    /// Has the runner look at a tenant's jobs.
    pub fn call(&self, tenant: &TenantId) {
        self.handed_in.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone());
        self.handed_in.called.notify_one();
    }

    /// Waits for calls.
    pub(super) async fn called(&self) -> BTreeSet<TenantId> {
        self.handed_in.called.notified().await;
        std::mem::take(&mut *self.handed_in.tenants.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
