//! Jobs and the reports of their items. A report is written in the transaction of its item's effect, and counted there,
//! so no end of the process makes an item happen twice or get lost.

mod kept;
pub(super) mod older;

use jiff::Timestamp;

pub(super) use self::kept::KeptReport;

use super::{
    Store,
    access::tenants,
    codec::{Older, OlderBody},
    engine::{Read, View},
    keys::{self, Kind, Parsed},
    origin::current_request,
    transaction::Transaction,
};
use crate::{
    domain::{
        ItemReport, Job, JobId, JobState, PersonId, Pseudonym, Standing, Tenant, TenantId, TenantScope, jobs::Fault,
    },
    error::{Error, ErrorKind, Result},
};

impl Older for Job {
    fn from_older(_version: u8, body: OlderBody<'_>) -> Result<Self> {
        Ok(body.read::<older::Job1>()?.into())
    }
}

/// Reports removed in one transaction: others' writes wait for no more than this.
const REMOVED_AT_ONCE: usize = 512;

/// A page of reports ends once it has so many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// Some reports of a job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ItemPage {
    /// With the numbers of their items, in order.
    pub items: Vec<(u64, ItemReport)>,
    /// After which number to go on; none where these were the last by now.
    pub next: Option<u64>,
}

/// Which item of which job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemPlace {
    /// The job.
    pub job: JobId,
    /// The item's number, from 0.
    pub number: u64,
}

impl Store {
    /// Makes a job, of the current request. Errors: `Overloaded` `too_many_jobs` where the tenant has `max_open` that
    /// are not over.
    pub async fn create_job(&self, scope: &TenantScope, mut job: Job, max_open: usize) -> Result<()> {
        job.request_id = current_request().as_deref().map(str::to_owned);
        let tenant = scope.tenant().clone();
        self.write(scope.right(), move |transaction| {
            if open_jobs(transaction, &tenant)?.len() >= max_open {
                return Err(too_many_jobs(max_open));
            }
            transaction.put(keys::job(&tenant, job.id), &job)
        })
        .await
    }

    /// A job. Errors: `NotFound` `job_not_found`.
    pub async fn job(&self, scope: &TenantScope, job: JobId) -> Result<Job> {
        let tenant = scope.tenant().clone();
        self.read(move |view| load(view, &tenant, job)).await
    }

    /// At most `limit` jobs that were made after `after`, oldest first.
    pub async fn jobs(&self, scope: &TenantScope, after: Option<JobId>, limit: usize) -> Result<Vec<Job>> {
        let (prefix, after) = (keys::jobs(scope.tenant()), after.map(|job| keys::job(scope.tenant(), job)));
        self.read(move |view| view.scan(&prefix, after.as_deref()).take(limit).collect()).await
    }

    /// The tenant's jobs that are not over, oldest first; none while nothing may be done in it.
    pub async fn open_jobs(&self, scope: &TenantScope) -> Result<Vec<Job>> {
        let tenant = scope.tenant().clone();
        self.read(move |view| match tenants::standing(view, &keys::tenant(&tenant))? {
            Some(Standing::Active) => open_jobs(view, &tenant),
            _ => Ok(Vec::new()),
        })
        .await
    }

    /// All jobs on the server, with their tenants.
    pub async fn all_jobs(&self) -> Result<Vec<(TenantId, Job)>> {
        let tenants =
            |view: &View<'_>| view.scan::<Tenant>(&keys::tenants(), None).map(|tenant| Ok(tenant?.id)).collect();
        let tenants: Vec<TenantId> = self.read(tenants).await?;
        let mut all = Vec::new();
        for tenant in tenants {
            let jobs = self.jobs(&TenantScope::granted(tenant.clone()), None, usize::MAX).await?;
            all.extend(jobs.into_iter().map(|job| (tenant.clone(), job)));
        }
        Ok(all)
    }

    /// Takes a job up, for the first time or again. Errors: `NotFound` `job_not_found`, `Conflict` `job_over`.
    pub async fn begin_job(&self, scope: &TenantScope, job: JobId, now: Timestamp) -> Result<Job> {
        self.change_job(scope, job, move |job| {
            job.state = JobState::Running;
            job.started_at.get_or_insert(now);
            Ok(())
        })
        .await
    }

    /// Ends a job. Errors as for [`Self::begin_job`].
    pub async fn end_job(
        &self,
        scope: &TenantScope,
        job: JobId,
        state: JobState,
        error: Option<Fault>,
        now: Timestamp,
    ) -> Result<Job> {
        self.change_job(scope, job, move |job| {
            (job.state, job.error, job.finished_at) = (state, error.clone(), Some(now));
            Ok(())
        })
        .await
    }

    /// Calls a job off; one that is over stays as it is. Errors: `NotFound` `job_not_found`.
    pub async fn cancel_job(&self, scope: &TenantScope, job: JobId, now: Timestamp) -> Result<Job> {
        match self.end_job(scope, job, JobState::Cancelled, None, now).await {
            Err(error) if error.code() == "job_over" => self.job(scope, job).await,
            ended => ended,
        }
    }

    /// Counts something that is no item's, such as photos that belong to no row; the same again changes nothing.
    /// Errors as for [`Self::begin_job`].
    pub async fn set_job_count(&self, scope: &TenantScope, job: JobId, name: &'static str, number: u64) -> Result<Job> {
        self.change_job(scope, job, move |job| {
            job.counts.insert(name.to_owned(), number);
            Ok(())
        })
        .await
    }

    /// Says how many items the job has, where more came to be known of. Errors as for [`Self::begin_job`].
    pub async fn set_job_total(&self, scope: &TenantScope, job: JobId, total: u64) -> Result<Job> {
        self.change_job(scope, job, move |job| {
            job.total = total;
            Ok(())
        })
        .await
    }

    async fn change_job(
        &self,
        scope: &TenantScope,
        id: JobId,
        change: impl Fn(&mut Job) -> Result<()> + Send + 'static,
    ) -> Result<Job> {
        let tenant = scope.tenant().clone();
        self.write(scope.right(), move |transaction| {
            let mut job = load(transaction, &tenant, id)?;
            require_open(&job)?;
            change(&mut job)?;
            transaction.put(keys::job(&tenant, id), &job)?;
            Ok(job)
        })
        .await
    }

    /// Writes the report of an item that changed nothing else. Errors as for [`Self::begin_job`].
    pub async fn note_item(&self, scope: &TenantScope, place: ItemPlace, report: ItemReport) -> Result<()> {
        let tenant = scope.tenant().clone();
        self.write(scope.right(), move |transaction| note(transaction, &tenant, place, report.clone())).await
    }

    /// The numbers of the items that have a report, in order.
    pub async fn done_items(&self, scope: &TenantScope, job: JobId) -> Result<Vec<u64>> {
        let prefix = keys::items_of(scope.tenant(), job);
        self.read(move |view| {
            let numbers = view.scan_keys(&prefix).map(|key| Ok(key?.last_chunk().map(|n| u64::from_be_bytes(*n))));
            numbers.filter_map(Result::transpose).collect()
        })
        .await
    }

    /// Up to `limit` reports after the item `after`, fewer where they are large. Errors: `NotFound` `job_not_found`.
    pub async fn items(&self, scope: &TenantScope, job: JobId, after: Option<u64>, limit: usize) -> Result<ItemPage> {
        let tenant = scope.tenant().clone();
        self.read(move |view| {
            load(view, &tenant, job)?;
            let (prefix, after) = (keys::items_of(&tenant, job), after.map(|number| keys::item(&tenant, job, number)));
            let (mut page, mut bytes_read) = (ItemPage::default(), 0);
            for entry in view.scan_bytes(&prefix, after.as_deref()) {
                let (key, bytes) = entry?;
                if page.items.len() == limit || bytes_read > PAGE_BYTES {
                    page.next = page.items.last().map(|(number, _)| *number);
                    break;
                }
                bytes_read += bytes.len();
                let number = key.last_chunk().map_or(0, |number| u64::from_be_bytes(*number));
                let report: KeptReport = super::codec::decode(&bytes)?;
                page.items.push((number, report.shown(view, &tenant)?));
            }
            Ok(page)
        })
        .await
    }

    /// Removes a job that is over, with the reports of its items.
    pub async fn remove_job(&self, scope: &TenantScope, job: JobId) -> Result<()> {
        loop {
            let tenant = scope.tenant().clone();
            let is_gone = self.write(scope.right(), move |transaction| {
                let prefix = keys::items_of(&tenant, job);
                let entries = transaction.scan_keys(&prefix).take(REMOVED_AT_ONCE).collect::<Result<Vec<_>>>()?;
                let is_last = entries.len() < REMOVED_AT_ONCE;
                for key in entries {
                    forget_mentions(transaction, &tenant, &key)?;
                    transaction.remove(key);
                }
                if is_last {
                    transaction.remove(keys::job(&tenant, job));
                }
                Ok(is_last)
            });
            if is_gone.await? {
                return Ok(());
            }
        }
    }
}

/// Writes an item's report in the transaction of its effect, and counts it in its job.
///
/// Errors: `Conflict` `job_over` where the job was called off, `Unavailable` where its tenant is suspended: then the
/// effect is not to be either.
pub(super) fn note(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    place: ItemPlace,
    report: ItemReport,
) -> Result<()> {
    let ItemPlace { job: id, number } = place;
    let mut job = load(transaction, tenant, id)?;
    require_open(&job)?;
    if tenants::standing(transaction, &keys::tenant(tenant))? != Some(Standing::Active) {
        return Err(Error::new(ErrorKind::Unavailable, "nothing may be done in this tenant at the moment"));
    }
    let key = keys::item(tenant, id, number);
    if !transaction.has(&key)? {
        job.note(&report);
        transaction.put(keys::job(tenant, id), &job)?;
    }
    let kept = KeptReport::of(transaction, tenant, report)?;
    mention(transaction, tenant, id, number, &kept)?;
    transaction.put(key, &kept)
}

/// Takes a person out of the reports that speak of them. An item whose report is blank then is not done again.
pub(super) fn forget_person(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    who: Pseudonym,
    person: &PersonId,
) -> Result<()> {
    let mentions = transaction.scan_keys(&keys::mentions_of(tenant, who)).collect::<Result<Vec<_>>>()?;
    for mention in mentions {
        if let Some(Parsed::Data(_, Kind::Mention(_, job, number))) = keys::parse(&mention) {
            let key = keys::item(tenant, job, number);
            if let Some(report) = transaction.get::<KeptReport>(&key)? {
                forget_mentions(transaction, tenant, &key)?;
                let left = report.without(person);
                self::mention(transaction, tenant, job, number, &left)?;
                transaction.put(key, &left)?;
            }
        }
        transaction.remove(mention);
    }
    Ok(())
}

/// Notes whom a report speaks of.
fn mention(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    job: JobId,
    number: u64,
    report: &KeptReport,
) -> Result<()> {
    for who in report.people(transaction, tenant)?.into_iter().flatten() {
        transaction.put(keys::mention(tenant, who, job, number), &who)?;
    }
    Ok(())
}

/// Whether that was done.
pub(super) fn is_mentioned(
    read: &impl Read,
    tenant: &TenantId,
    job: JobId,
    number: u64,
    report: &KeptReport,
) -> Result<bool> {
    for who in report.people(read, tenant)? {
        if !who.map_or(Ok(false), |who| read.has(&keys::mention(tenant, who, job, number)))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes what leads from people to the report under `key`.
fn forget_mentions(transaction: &mut Transaction<'_>, tenant: &TenantId, key: &[u8]) -> Result<()> {
    if let Some(Parsed::Data(_, Kind::Item(job, number))) = keys::parse(key)
        && let Some(report) = transaction.get::<KeptReport>(key)?
    {
        for who in report.people(transaction, tenant)?.into_iter().flatten() {
            transaction.remove(keys::mention(tenant, who, job, number));
        }
    }
    Ok(())
}

fn load(read: &impl Read, tenant: &TenantId, job: JobId) -> Result<Job> {
    read.get(&keys::job(tenant, job))?.ok_or_else(job_not_found)
}

/// The error for a job that is not there, or not for the caller.
pub fn job_not_found() -> Error {
    Error::not_found("there is no such job").with_code("job_not_found")
}

fn open_jobs(read: &impl Read, tenant: &TenantId) -> Result<Vec<Job>> {
    let is_open = |job: &Result<Job>| job.as_ref().map_or(true, |job| job.state.is_open());
    read.scan(&keys::jobs(tenant), None).filter(is_open).collect()
}

fn require_open(job: &Job) -> Result<()> {
    if job.state.is_open() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, "this job is over").with_code("job_over"))
}

/// The error for one job too many.
pub fn too_many_jobs(max_open: usize) -> Error {
    let message = format!("the tenant may have {max_open} jobs that are not over: wait for one to end, or cancel one");
    Error::new(ErrorKind::Overloaded, message).with_code("too_many_jobs")
}
