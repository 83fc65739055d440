//! Jobs, as clients start, watch and call them off.

mod table;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use super::{RuleChanges, Service, fields::strict_bool, recognise::require_window};
use crate::{
    domain::{
        Access, FaceBox, FaceChoice, GroupId, GroupSessionId, ImportOptions, ItemReport, Job, JobId, JobState, JobTask,
        Mark, Permission, PersonId, PhotoId, PhotoReport, QualityGate, RecogniseOptions, RowOutcome, RowReport,
        TenantScope,
        attendance::LivenessPolicy,
        job::{DoublePhoto, Fault, RefusedPhoto, SeenFace, TimeSource},
        session::Step,
    },
    error::{Error, Result},
    jobs::{Checked, CheckedPhotos, Incoming, JobDesk, ROSTER},
    store::{ItemPage, job_not_found, too_many_jobs},
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

/// How a group is recognised in many photos.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecogniseJobParams {
    /// Whether the people found are marked present; true if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub mark: Option<bool>,
    /// When all the photos were taken. If missing, each says it itself: by its EXIF data, else by the time of its file in
    /// the ZIP, by the group's clock where they name no zone; else it is the start of `session`, else now. Not in the
    /// future.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// The session that all the photos are for; if missing, each is for the one of its time.
    pub session: Option<GroupSessionId>,
    /// What took the photos: a session may wait for it.
    pub source: Option<String>,
    /// The least similarity, raw cosine.
    pub threshold: Option<f32>,
    /// The least lead over the next person.
    pub margin: Option<f32>,
    /// Whether faces must be live to be marked; never laxer than the tenant's, which it is if missing.
    pub liveness: Option<LivenessPolicy>,
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Takes a roster in.
    Import,
    /// Recognises a group in many photos.
    Recognize,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// Its identity, in time order.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Whether nothing is stored.
    pub dry_run: bool,
    /// The group that is recognised; null for a roster.
    pub group: Option<GroupId>,
    /// The session that the photos are for, if the job names one.
    pub session: Option<GroupSessionId>,
    /// Who started it: `user:ID`, `key:ID` or `machine`.
    pub by: String,
    /// Where it stands.
    pub state: JobState,
    /// How many items it has: rows of a roster, or photos.
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

/// What became of a photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecognisedPhotoView {
    /// Its number among the photos, from 0: those of the ZIP file, then those sent as such.
    pub item: u64,
    /// The file's name in the ZIP, without its folders; else its number in the request.
    pub photo: String,
    /// The photo's id, where marks were asked: the evidence in the session's records names it.
    pub photo_id: Option<PhotoId>,
    /// When it was taken.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// What says so.
    pub time_from: Option<TimeSource>,
    /// The session's local date, where marks were asked.
    #[schema(value_type = Option<String>, format = Date)]
    pub date: Option<Date>,
    /// Width of the upright photo in pixels; 0 if it could not be read.
    pub width: u32,
    /// Height of the upright photo in pixels; 0 if it could not be read.
    pub height: u32,
    /// Its faces, best detection first.
    pub faces: Vec<SeenFaceView>,
    /// Why the photo could not be used.
    pub error: Option<Fault>,
}

/// A face and who it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeenFaceView {
    /// In pixels of the upright photo.
    #[serde(rename = "box")]
    pub bbox: FaceBox,
    /// The detector's confidence, 0..=1.
    pub score: f32,
    /// Who it is; null if nobody was named, or who was is erased.
    pub person: Option<PersonId>,
    /// Their name.
    pub name: Option<String>,
    /// Raw cosine to the person, or to the best candidate.
    pub similarity: Option<f32>,
    /// Lead over the next person.
    pub margin: Option<f32>,
    /// Why nobody was named, or why a named face was not marked.
    pub reason: Option<String>,
    /// What became of it.
    pub attendance: Mark,
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ItemView {
    /// Of a roster.
    Row(RowView),
    /// Of many photos.
    Photo(RecognisedPhotoView),
}

/// A page of reports.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobResults {
    /// In the order of the items, as far as there are some; without rows that speak of people who were erased since.
    pub results: Vec<ItemView>,
    /// Give it as `after` to get the next page; null where there are no more by now.
    pub next: Option<u64>,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let (kind, dry_run, group, session) = match job.task {
            JobTask::Import(ImportOptions { dry_run, .. }) => (JobKind::Import, dry_run, None, None),
            JobTask::Recognise(RecogniseOptions { group, session, .. }) => {
                (JobKind::Recognize, false, Some(group), session)
            }
        };
        Self {
            id: job.id,
            kind,
            dry_run,
            group,
            session,
            by: job.by.to_string(),
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
    /// The view of the report of the row of that number.
    pub fn new(item: u64, report: RowReport) -> Self {
        let RowReport { line, id, person: _, outcome, error, samples_added, refused, duplicates } = report;
        Self { item, line, id, outcome, error, samples_added, refused, duplicates }
    }
}

impl RecognisedPhotoView {
    fn new(item: u64, report: PhotoReport, names: &BTreeMap<PersonId, String>) -> Self {
        let PhotoReport { photo, photo_id, at, time_from, date, width, height, faces, error } = report;
        let face = |SeenFace { bbox, score, person, similarity, margin, reason, attendance }| SeenFaceView {
            name: person.as_ref().and_then(|person| names.get(person).cloned()),
            bbox,
            score,
            person,
            similarity,
            margin,
            reason,
            attendance,
        };
        let faces = faces.into_iter().map(face).collect();
        Self { item, photo, photo_id, at, time_from, date, width, height, faces, error }
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
        if !files.path(ROSTER).exists() {
            return Err(Error::invalid("send the roster in the field csv").with_code("no_roster"));
        }
        let (folder, max_entries) = (files.path(""), self.desk.options.max_entries);
        let checked = spawn_blocking(move || Checked::new(&folder, max_entries))
            .await
            .map_err(|lost| Error::internal("a roster was not read").with_source(lost))??;
        let task = JobTask::Import(params.into());
        self.hand_in(scope, files, task, checked.rows).await
    }

    /// Hands in photos in which a group is recognised: [`PHOTOS`](crate::jobs::PHOTOS) in the spool, or files named by
    /// [`image`](crate::jobs::image), or both.
    ///
    /// # Errors
    /// `NotFound` `group_not_found` or `session_not_found`; `Invalid` `invalid_at`, `outside_session`,
    /// `invalid_threshold`, `invalid_margin`; `Conflict` for a session that takes no marks; as for
    /// [`CheckedPhotos::new`]; `Overloaded` `too_many_jobs`.
    pub async fn start_recognition(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        files: Incoming,
        params: RecogniseJobParams,
    ) -> Result<JobView> {
        let RecogniseJobParams { mark, at, session, source, threshold, margin, liveness } = params;
        let (group, mark) = (self.store.group(scope, group).await?, mark.unwrap_or(true));
        RuleChanges { threshold, margin }.check()?;
        if at.is_some_and(|at| at > self.clock.now()) {
            return Err(Error::invalid("at lies in the future").with_code("invalid_at"));
        }
        if let Some(session) = session {
            let session = self.session_of(scope, &group.id, session).await?;
            if mark {
                at.map_or(Ok(()), |at| require_window(&group, &session, at))?;
                // Says at once what each mark would say.
                session.after(Step::Open, self.clock.now())?;
            }
        }
        let (folder, max_entries) = (files.path(""), self.desk.options.max_entries);
        let checked = spawn_blocking(move || CheckedPhotos::new(&folder, max_entries))
            .await
            .map_err(|lost| Error::internal("photos were not looked at").with_source(lost))??;
        let options = RecogniseOptions { group: group.id, mark, at, session, source, threshold, margin, liveness };
        self.hand_in(scope, files, JobTask::Recognise(options), checked.photos).await
    }

    async fn hand_in(&self, scope: &TenantScope, files: Incoming, task: JobTask, total: u64) -> Result<JobView> {
        files.settle().await?;
        let job = Job::new(files.job(), task, scope.actor().clone(), total, self.clock.now());
        self.store.create_job(scope, job.clone(), self.desk.options.max_open).await?;
        files.keep();
        self.desk.call(scope.tenant());
        Ok(job.into())
    }

    /// A page of those jobs after the id `after` that the caller may see.
    pub async fn jobs(&self, access: &Access, mut after: Option<JobId>, limit: usize) -> Result<JobPage> {
        let scope = access.tenant_scope()?;
        let mut jobs: Vec<Job> = Vec::new();
        while jobs.len() <= limit {
            let some = self.store.jobs(&scope, after, limit + 1).await?;
            let Some(last) = some.last() else { break };
            after = Some(last.id);
            jobs.extend(some.into_iter().filter(|job| may_see(access, job.task.group())));
        }
        let more = jobs.len() > limit;
        jobs.truncate(limit);
        let next = jobs.last().filter(|_| more).map(|job| job.id);
        Ok(JobPage { jobs: jobs.into_iter().map(Into::into).collect(), next })
    }

    /// A job. Errors: `NotFound` `job_not_found`, also for one that the caller may not see.
    pub async fn job(&self, access: &Access, job: JobId) -> Result<JobView> {
        Ok(self.visible_job(access, job).await?.1.into())
    }

    async fn visible_job(&self, access: &Access, job: JobId) -> Result<(TenantScope, Job)> {
        let scope = access.tenant_scope()?;
        let job = self.store.job(&scope, job).await?;
        if may_see(access, job.task.group()) { Ok((scope, job)) } else { Err(job_not_found()) }
    }

    /// Calls a job off: nothing more of it is done from here on, and what was done stands. One that is over stays as it
    /// is. Errors as for [`Self::job`].
    pub async fn cancel_job(&self, access: &Access, job: JobId) -> Result<JobView> {
        let (scope, before) = self.visible_job(access, job).await?;
        let cancelled = self.store.cancel_job(&scope, job, self.clock.now()).await?;
        if before.state.is_open() {
            self.tell_progress(&scope, cancelled.progress());
        }
        // Whoever works on it removes its files; where nobody does, they go here.
        if cancelled.started_at.is_none() {
            self.desk.spool.remove(job).await?;
        }
        Ok(cancelled.into())
    }

    /// A page of reports after the item `after`. Errors as for [`Self::job`].
    pub async fn job_results(
        &self,
        access: &Access,
        job: JobId,
        after: Option<u64>,
        limit: usize,
    ) -> Result<JobResults> {
        let (scope, _) = self.visible_job(access, job).await?;
        let ItemPage { items, next } = self.store.items(&scope, job, after, limit).await?;
        let people: BTreeSet<PersonId> = items.iter().flat_map(|(_, report)| named(report)).cloned().collect();
        let people: Vec<PersonId> = people.into_iter().collect();
        let names = self.store.names(&scope, people.clone()).await?;
        let names = people.into_iter().zip(names).filter_map(|(person, name)| Some((person, name?))).collect();
        Ok(JobResults { results: items.into_iter().filter_map(|item| view(item, &names)).collect(), next })
    }

    /// All reports that there are by now, as CSV. Errors as for [`Self::job`].
    pub async fn download_results(
        &self,
        access: &Access,
        job: JobId,
    ) -> Result<impl Stream<Item = Result<Bytes>> + use<>> {
        let (_, Job { task, .. }) = self.visible_job(access, job).await?;
        let header = table::header(&task);
        let (service, access) = (self.clone(), access.clone());
        let pages = stream::try_unfold(Some(None), move |after: Option<Option<u64>>| {
            let (service, access) = (service.clone(), access.clone());
            async move {
                let Some(after) = after else { return Ok(None) };
                let page = service.job_results(&access, job, after, DOWNLOADED_AT_ONCE).await?;
                let lines = table::lines(page.results)?;
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

/// Whether a job is one that the caller could have started: one of that group, or of a roster where there is none.
pub(super) fn may_see(access: &Access, group: Option<&GroupId>) -> bool {
    let permission = if group.is_some() { Permission::RecogniseMany } else { Permission::ManagePeople };
    access.require(permission, group).is_ok()
}

/// Those whose names are shown with a report.
fn named(report: &ItemReport) -> Vec<&PersonId> {
    match report {
        ItemReport::Photo(_) => report.people(),
        ItemReport::Row(_) | ItemReport::Erased => Vec::new(),
    }
}

fn view((item, report): (u64, ItemReport), names: &BTreeMap<PersonId, String>) -> Option<ItemView> {
    match report {
        ItemReport::Row(report) => Some(ItemView::Row(RowView::new(item, report))),
        ItemReport::Photo(report) => Some(ItemView::Photo(RecognisedPhotoView::new(item, report, names))),
        ItemReport::Erased => None,
    }
}
