//! Jobs, as clients start, watch and call them off.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::{Service, fields::strict_bool};
use crate::{
    domain::{
        Actor, FaceChoice, ImportOptions, ItemReport, Job, JobId, JobState, JobTask, PersonId, QualityGate, RowOutcome,
        RowReport, TenantScope,
        job::{DoublePhoto, Fault, RefusedPhoto},
    },
    error::{Error, Result},
    jobs::{Checked, Incoming, JobDesk},
    store::too_many_jobs,
};

/// Reports read at once for a download.
const DOWNLOADED_AT_ONCE: usize = 500;

/// How a roster is taken in.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportParams {
    /// Whether everything is checked and nothing stored; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub dry_run: Option<bool>,
    /// Whether samples of other photos than these go from the people who have photos here; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub replace: Option<bool>,
    /// What the photos must be like, if that is stricter than the tenant's own rule.
    pub quality: Option<QualityGate>,
    /// Which face of each photo is meant.
    #[serde(default)]
    pub faces: FaceChoice,
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Takes a roster in.
    Import,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// Its identity, in time order.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Whether nothing is stored.
    pub dry_run: bool,
    /// Who started it.
    pub by: String,
    /// Where it stands.
    pub state: JobState,
    /// How many items it has: rows of a roster.
    pub total: u64,
    /// How many of them have a report.
    pub done: u64,
    /// What became of them, by name.
    pub counts: BTreeMap<String, u64>,
    /// Those that failed, by code.
    pub failed: BTreeMap<String, u64>,
    /// Why the job could not go on.
    pub error: Option<Fault>,
    /// When it was handed in.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was first worked on.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
}

/// A page of jobs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobPage {
    /// Oldest first.
    pub jobs: Vec<JobView>,
    /// Give it as `after` to get the next page; null on the last.
    pub next: Option<JobId>,
}

/// What became of a row of a roster, or in a dry run would become of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RowView {
    /// Its number among the rows, from 0.
    pub item: u64,
    /// The line of the file on which it begins, from 1.
    pub line: u64,
    /// The id as the row has it, shortened where it is none.
    pub id: String,
    /// What became of it.
    pub outcome: RowOutcome,
    /// Why it failed.
    pub error: Option<Fault>,
    /// Samples made of its photos.
    pub samples_added: u32,
    /// Photos that were not used.
    pub refused: Vec<RefusedPhoto>,
    /// Other people of the tenant who look the same.
    pub duplicates: Vec<DoublePhoto>,
}

/// A page of reports.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobResults {
    /// In the order of the items, as far as there are some; without those of people who were erased since.
    pub results: Vec<RowView>,
    /// Give it as `after` to get the next page; null where there are no more by now.
    pub next: Option<u64>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let (kind, dry_run) = match job.task {
            JobTask::Import(ImportOptions { dry_run, .. }) => (JobKind::Import, dry_run),
        };
        Self {
            id: job.id,
            kind,
            dry_run,
            by: job.by,
            state: job.state,
            total: job.total,
            done: job.done,
            counts: job.counts,
            failed: job.failed,
            error: job.error,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }
}

impl RowView {
    fn new(item: u64, report: RowReport) -> Self {
        let RowReport { line, id, person: _, outcome, error, samples_added, refused, duplicates } = report;
        Self { item, line, id, outcome, error, samples_added, refused, duplicates }
    }
}

impl From<ImportParams> for ImportOptions {
    fn from(params: ImportParams) -> Self {
        Self {
            dry_run: params.dry_run.unwrap_or(false),
            replace: params.replace.unwrap_or(false),
            quality: params.quality,
            faces: params.faces,
        }
    }
}

impl Service {
    /// Where jobs are handed in.
    pub fn desk(&self) -> &JobDesk {
        &self.desk
    }

    /// Makes room for the files of a job. Errors: `Overloaded` `too_many_jobs`.
    pub async fn begin_upload(&self, scope: &TenantScope) -> Result<Incoming> {
        let max_open = self.desk.options.max_open;
        let open = self.store.open_jobs(scope).await?.len();
        let incoming = self.desk.spool.begin(scope.tenant(), max_open.saturating_sub(open)).await?;
        incoming.ok_or_else(|| too_many_jobs(max_open))
    }

    /// Hands in a roster whose files are in the spool: [`ROSTER`](crate::jobs::ROSTER), and
    /// [`PHOTOS`](crate::jobs::PHOTOS) where there are some.
    ///
    /// # Errors
    /// As for [`Checked::new`]; `Overloaded` `too_many_jobs`.
    pub async fn start_import(&self, scope: &TenantScope, files: Incoming, params: ImportParams) -> Result<JobView> {
        let (folder, max_entries) = (files.path(""), self.desk.options.max_entries);
        let checked = spawn_blocking(move || Checked::new(&folder, max_entries))
            .await
            .map_err(|lost| Error::internal("a roster was not read").with_source(lost))??;
        let task = JobTask::Import(params.into());
        self.hand_in(scope, files, task, checked.rows).await
    }

    async fn hand_in(&self, scope: &TenantScope, files: Incoming, task: JobTask, total: u64) -> Result<JobView> {
        files.settle().await?;
        let job = Job::new(files.job(), task, by(scope.actor()), total, self.clock.now());
        self.store.create_job(scope, job.clone(), self.desk.options.max_open).await?;
        files.keep();
        self.desk.call(scope.tenant());
        Ok(job.into())
    }

    /// A page of jobs after the id `after`.
    pub async fn jobs(&self, scope: &TenantScope, after: Option<JobId>, limit: usize) -> Result<JobPage> {
        let mut jobs = self.store.jobs(scope, after, limit + 1).await?;
        let more = jobs.len() > limit;
        jobs.truncate(limit);
        let next = jobs.last().filter(|_| more).map(|job| job.id);
        Ok(JobPage { jobs: jobs.into_iter().map(Into::into).collect(), next })
    }

    /// A job. Errors: `NotFound` `job_not_found`.
    pub async fn job(&self, scope: &TenantScope, job: JobId) -> Result<JobView> {
        Ok(self.store.job(scope, job).await?.into())
    }

    /// Calls a job off: nothing more of it is done from here on, and what was done stands. One that is over stays as it
    /// is. Errors: `NotFound` `job_not_found`.
    pub async fn cancel_job(&self, scope: &TenantScope, job: JobId) -> Result<JobView> {
        let cancelled = self.store.cancel_job(scope, job, self.clock.now()).await?;
        // Whoever works on it removes its files; where nobody does, they go here.
        if cancelled.started_at.is_none() {
            self.desk.spool.remove(job).await?;
        }
        Ok(cancelled.into())
    }

    /// A page of reports after the item `after`. Errors: `NotFound` `job_not_found`.
    pub async fn job_results(
        &self,
        scope: &TenantScope,
        job: JobId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<JobResults> {
        let mut items = self.store.items(scope, job, after, limit + 1).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|(item, _)| *item);
        Ok(JobResults { results: items.into_iter().filter_map(row).collect(), next })
    }

    /// All reports that there are by now, as CSV. Errors: `NotFound` `job_not_found`.
    pub async fn download_results(
        &self,
        scope: &TenantScope,
        job: JobId,
    ) -> Result<impl Stream<Item = Result<Bytes>> + use<>> {
        self.store.job(scope, job).await?;
        let header = csv_lines([HEADER.map(str::to_owned)]);
        let (service, scope) = (self.clone(), scope.clone());
        let pages = stream::try_unfold(Some(None), move |after: Option<Option<u64>>| {
            let (service, scope) = (service.clone(), scope.clone());
            async move {
                let Some(after) = after else { return Ok(None) };
                let page = service.job_results(&scope, job, after, DOWNLOADED_AT_ONCE).await?;
                let lines = csv_lines(page.results.into_iter().map(line))?;
                Ok(Some((lines, page.next.map(Some))))
            }
        });
        Ok(stream::iter([header]).chain(pages))
    }

    /// Removes the jobs that were over long enough ago, with their reports.
    pub async fn sweep_jobs(&self) -> Result<()> {
        let end = self.clock.now().saturating_sub(self.desk.options.keep).unwrap_or(Timestamp::MIN);
        for (tenant, job) in self.store.all_jobs().await? {
            if job.finished_at.is_some_and(|finished| finished < end) {
                let scope = TenantScope::granted(tenant);
                match self.store.remove_job(&scope, job.id).await {
                    // Removed with its tenant meanwhile.
                    Err(error) if error.code() == "tenant_not_found" => {}
                    removed => removed?,
                }
            }
        }
        Ok(())
    }
}

fn by(actor: &Actor) -> String {
    match actor {
        Actor::User(user) => format!("user {user}"),
        Actor::Key(key) => format!("key {key}"),
        Actor::Machine => "machine".to_owned(),
    }
}

fn row((item, report): (u64, ItemReport)) -> Option<RowView> {
    match report {
        ItemReport::Row(report) => Some(RowView::new(item, report)),
        ItemReport::Erased => None,
    }
}

const HEADER: [&str; 8] = ["line", "id", "outcome", "error", "message", "samples_added", "refused", "duplicates"];

fn line(row: RowView) -> [String; 8] {
    let (code, message) = row.error.map(|fault| (fault.code, fault.message)).unwrap_or_default();
    let refused = row.refused.into_iter().map(|RefusedPhoto { photo, reason, .. }| format!("{photo}: {reason}"));
    let double = |DoublePhoto { photo, person, similarity }: DoublePhoto| double(&photo, &person, similarity);
    let duplicates = row.duplicates.into_iter().map(double);
    [
        row.line.to_string(),
        row.id,
        row.outcome.name().to_owned(),
        code,
        message,
        row.samples_added.to_string(),
        refused.collect::<Vec<_>>().join("; "),
        duplicates.collect::<Vec<_>>().join("; "),
    ]
}

fn double(photo: &str, person: &PersonId, similarity: f32) -> String {
    format!("{photo}: {person} ({similarity:.2})")
}

fn csv_lines(lines: impl IntoIterator<Item = [String; 8]>) -> Result<Bytes> {
    let failed = |error: csv::Error| Error::internal("a table cannot be written").with_source(error);
    let mut table = csv::Writer::from_writer(Vec::new());
    for line in lines {
        table.write_record(line.map(plain)).map_err(failed)?;
    }
    let bytes = table
        .into_inner()
        .map_err(|error| Error::internal("a table cannot be written").with_source(error.to_string()))?;
    Ok(bytes.into())
}

/// A field that no program for tables takes for a formula.
fn plain(field: String) -> String {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{field}") } else { field }
}
