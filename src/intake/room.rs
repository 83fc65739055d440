//! How much of the disk the files of jobs may hold: all but a reserve, so that they are refused before the store or kept
//! photos are, and of that no more than a share for one tenant.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    config,
    domain::{JobId, TenantId},
    error::{Error, ErrorKind, Result},
    runtime::disk,
};

/// What is left to others.
#[derive(Debug, Clone, Copy)]
pub struct RoomRules {
    /// Bytes of the disk that files of jobs leave free.
    pub reserve_bytes: u64,
    /// The share that one tenant's may have of what all of them may.
    pub tenant_share: f64,
}

impl RoomRules {
    /// As the settings say.
    pub fn of(jobs: &config::Jobs) -> Self {
        Self { reserve_bytes: jobs.disk_reserve_bytes, tenant_share: jobs.tenant_share }
    }
}

/// See the module. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    folder: Arc<Path>,
    rules: RoomRules,
    held: Arc<Mutex<HashMap<JobId, Held>>>,
}

/// What the files of a job hold, until the last of them is gone.
#[derive(Debug)]
struct Held {
    tenant: TenantId,
    bytes: u64,
}

impl Room {
    /// The room on the disk of `folder`, of which nothing is held.
    pub(crate) fn new(folder: Arc<Path>, rules: RoomRules) -> Self {
        Self { folder, rules, held: Arc::default() }
    }

    /// Errors: as for [`Self::take`] where that would fail for so many bytes at this moment.
    pub(crate) fn require(&self, tenant: &TenantId, bytes: u64) -> Result<()> {
        self.check(&self.held(), tenant, bytes)
    }

    /// Takes room for bytes that are about to be written.
    ///
    /// # Errors
    /// `Full` `disk_full`, or `job_files_full` where the tenant holds its share; `Storage` `store_gone`.
    pub(crate) fn take(&self, job: JobId, tenant: &TenantId, bytes: u64) -> Result<()> {
        let mut held = self.held();
        self.check(&held, tenant, bytes)?;
        held.entry(job).or_insert_with(|| Held { tenant: tenant.clone(), bytes: 0 }).bytes += bytes;
        Ok(())
    }

    /// Notes the files of a job that were there before.
    pub(crate) fn note(&self, job: JobId, tenant: TenantId, bytes: u64) {
        self.held().insert(job, Held { tenant, bytes });
    }

    /// The files of a job are gone.
    pub(crate) fn give_back(&self, job: JobId) {
        self.held().remove(&job);
    }

    /// The jobs of a tenant that have files.
    pub(crate) fn jobs_of(&self, tenant: &TenantId) -> Vec<JobId> {
        self.held().iter().filter(|(_, held)| held.tenant == *tenant).map(|(&job, _)| job).collect()
    }

    fn check(&self, held: &HashMap<JobId, Held>, tenant: &TenantId, bytes: u64) -> Result<()> {
        let RoomRules { reserve_bytes, tenant_share } = self.rules;
        disk::require_room(&self.folder, reserve_bytes.saturating_add(bytes))?;
        // What cannot be asked is left to the write itself.
        let Ok(free) = disk::free_bytes(&self.folder) else { return Ok(()) };
        let all: u64 = held.values().map(|held| held.bytes).sum();
        let own: u64 = held.values().filter(|held| held.tenant == *tenant).map(|held| held.bytes).sum();
        let share = (all.saturating_add(free).saturating_sub(reserve_bytes) as f64 * tenant_share) as u64;
        if own.saturating_add(bytes) > share {
            let message = format!(
                "the files of your tenant's jobs may hold {share} bytes of the disk at this moment and hold {own}: wait until a job is over or cancel one, or send less at once"
            );
            return Err(Error::new(ErrorKind::Full, message).with_code("job_files_full"));
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, HashMap<JobId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(taken: Result<()>) -> &'static str {
        taken.map_or_else(|error| error.code(), |()| "taken")
    }

    #[test]
    fn a_tenant_holds_its_share_and_the_reserve_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let free = disk::free_bytes(folder.path()).unwrap();
        let (one, other): (TenantId, TenantId) = ("one".parse().unwrap(), "other".parse().unwrap());
        let with = |reserve_bytes| {
            let rules = RoomRules { reserve_bytes, tenant_share: 0.5 };
            Room::new(folder.path().into(), rules)
        };
        assert_eq!(code(with(free * 2).take(JobId::generate(), &one, 1)), "disk_full");

        // Half of a disk on which others write at the same time.
        let (room, job) = (with(free / 2), JobId::generate());
        assert_eq!(code(room.require(&one, free / 3)), "job_files_full");
        assert_eq!(code(room.take(job, &one, free / 5)), "taken");
        assert_eq!(code(room.take(JobId::generate(), &one, free / 5)), "job_files_full");
        assert_eq!(code(room.take(JobId::generate(), &other, free / 5)), "taken", "another has a share as well");
        assert_eq!(room.jobs_of(&one), [job]);
        room.give_back(job);
        assert_eq!(code(room.require(&one, free / 5)), "taken");
    }
}
