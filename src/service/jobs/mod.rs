//! Jobs, as clients start, watch and call them off.

mod desk;
mod import_rows;
pub mod photo;
mod places;
mod recognize_photos;
mod runner;
mod table;
mod views;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use jiff::Timestamp;
use serde_json::json;

pub use self::{
    desk::{JobDesk, JobOptions},
    runner::Runner,
    views::{
        DoublePhotoView, ImportParams, ItemView, JobKind, JobPage, JobResults, JobView, RecogniseJobParams,
        RecognisedPhotoView, RefusedPhotoView, RowView, SeenFaceView,
    },
};
use super::{
    events, people,
    recognition::{self, RuleChanges, recognize::require_window},
};
use crate::{
    domain::{
        Access, GroupId, ItemReport, Job, JobId, JobTask, PersonId, RecogniseOptions, TenantScope,
        attendance::session::Step, jobs::may_see, moment::checked_at,
    },
    error::{Error, Result},
    intake::{Checked, CheckedPhotos, Incoming, ItemNames, ROSTER},
    runtime::Clock,
    store::{About, ItemPage, Store, job_not_found, too_many_jobs},
};

/// Reports read at once for a download.
const DOWNLOADED_AT_ONCE: usize = 500;

/// Jobs; cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) desk: JobDesk,
    pub(super) people: people::Service,
    pub(super) recognition: recognition::Service,
    pub(super) events: events::Service,
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

    /// Hands in a roster whose files are in the spool: [`ROSTER`](crate::intake::ROSTER), and
    /// [`PHOTOS`](crate::intake::PHOTOS) where there are some.
    ///
    /// # Errors
    /// As for [`Checked::new`]; `Overloaded` `too_many_jobs`.
    pub async fn start_import(&self, scope: &TenantScope, files: Incoming, params: ImportParams) -> Result<JobView> {
        if !files.path(ROSTER).exists() {
            return Err(Error::invalid("send the roster in the field csv").with_code("no_roster"));
        }
        let (folder, max_entries) = (files.path(""), self.desk.options.max_entries);
        let check = move || Checked::new(&folder, max_entries);
        let Checked { rows, columns, encoding } = self.desk.readers.read(scope.tenant(), check).await?;
        let job = Job::new(files.job(), JobTask::Import(params.into()), scope.actor().clone(), rows, self.clock.now());
        self.hand_in(scope, files, Job { columns, encoding: Some(encoding.to_owned()), ..job }).await
    }

    /// Hands in photos in which a group is recognised: [`PHOTOS`](crate::intake::PHOTOS) in the spool, or files named by
    /// [`image`](crate::intake::image), or both.
    ///
    /// # Errors
    /// `NotFound` `group_not_found` or `session_not_found`; `Invalid` `invalid_at`, `outside_session`,
    /// `invalid_threshold`, `invalid_margin`, `laxer_than_tenant`; `Conflict` for a session that takes no marks; as for
    /// [`CheckedPhotos::new`]; `Overloaded` `too_many_jobs`.
    pub async fn start_recognition(
        &self,
        scope: &TenantScope,
        group: &GroupId,
        files: Incoming,
        params: RecogniseJobParams,
    ) -> Result<JobView> {
        let RecogniseJobParams { mark, at, session, source, threshold, margin, liveness } = params;
        let (group, meeting) = self.store.group_with_session(scope, group, session).await?;
        let mark = mark.unwrap_or(true);
        // Says at once what each photo would say.
        let apply = if mark { RuleChanges::tighten } else { RuleChanges::apply };
        apply(RuleChanges { threshold, margin }, self.recognition.naming(scope).await?.roster)?;
        at.map(|at| checked_at(at, self.clock.now())).transpose()?;
        if let Some(meeting) = meeting.transpose()?.filter(|_| mark) {
            at.map_or(Ok(()), |at| require_window(&group, &meeting, at))?;
            // Says at once what each mark would say.
            meeting.after(Step::Open, self.clock.now())?;
        }
        let (folder, max_entries) = (files.path(""), self.desk.options.max_entries);
        let check = move || CheckedPhotos::new(&folder, max_entries);
        let checked = self.desk.readers.read(scope.tenant(), check).await?;
        let options = RecogniseOptions { group: group.id, mark, at, session, source, threshold, margin, liveness };
        let (task, photos) = (JobTask::Recognise(options), checked.photos);
        let job = Job::new(files.job(), task, scope.actor().clone(), photos, self.clock.now());
        self.hand_in(scope, files, job).await
    }

    async fn hand_in(&self, scope: &TenantScope, files: Incoming, job: Job) -> Result<JobView> {
        files.settle().await?;
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
        let job = self.store.job(&access.tenant_scope()?, job).await?;
        let group = job.task.group().cloned();
        let access = access.clone().permitted(job.task.permission(), group).map_err(|_| job_not_found())?;
        Ok((access.tenant_scope()?, job))
    }

    /// Calls a job off: nothing more of it is done from here on, and what was done stands. One that is over stays as it
    /// is. Errors as for [`Self::job`].
    pub async fn cancel_job(&self, access: &Access, job: JobId) -> Result<JobView> {
        let (scope, before) = self.visible_job(access, job).await?;
        let cancelled = self.store.cancel_job(&scope, job, self.clock.now()).await?;
        if before.state.is_open() {
            self.events.tell_progress(&scope, cancelled.progress());
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
        let (scope, job) = self.visible_job(access, job).await?;
        let ItemPage { items, next } = self.store.items(&scope, job.id, after, limit).await?;
        let people: BTreeSet<PersonId> = items.iter().flat_map(|(_, report)| spoken_of(report)).cloned().collect();
        let people: Vec<PersonId> = people.into_iter().collect();
        let names = self.store.names(&scope, people.clone()).await?;
        let people = people.into_iter().zip(names).filter_map(|(person, name)| Some((person, name?))).collect();
        let names = Names { people, items: self.item_names(&scope, &job, &items).await? };
        Ok(JobResults { results: items.into_iter().filter_map(|item| names.view(item)).collect(), next })
    }

    /// What the items of a job are called, while its files are there: they go when it is over. Errors as
    /// [`Readers::read`](crate::intake::Readers::read)'s own.
    async fn item_names(&self, scope: &TenantScope, job: &Job, items: &[(u64, ItemReport)]) -> Result<ItemNames> {
        let (Some((first, _)), Some((last, _)), true) = (items.first(), items.last(), job.state.is_open()) else {
            return Ok(ItemNames::default());
        };
        let has_photos = |report: &ItemReport| matches!(report, ItemReport::Row(row) if !(row.refused.is_empty() && row.duplicates.is_empty()));
        let (wanted, with_photos) = (*first..=*last, items.iter().any(|(_, report)| has_photos(report)));
        let (folder, task, max_entries) =
            (self.desk.spool.folder(job.id), job.task.clone(), self.desk.options.max_entries);
        // What cannot be read has gone just now.
        let read = move || Ok(ItemNames::read(&folder, &task, wanted, with_photos, max_entries).unwrap_or_default());
        self.desk.readers.read(scope.tenant(), read).await
    }

    /// All reports that there are by now, as CSV. Errors as for [`Self::job`].
    pub async fn download_results(
        &self,
        access: &Access,
        job: JobId,
    ) -> Result<impl Stream<Item = Result<Bytes>> + use<>> {
        let (scope, Job { task, .. }) = self.visible_job(access, job).await?;
        let header = table::header(&task);
        let asked = json!({ "report": "job", "job": job.to_string(), "format": "csv" });
        self.store.note_act(&scope.author(), "report.export", About::Report(asked)).await?;
        let (service, access) = (self.clone(), access.clone());
        let pages = stream::try_unfold(Some(None), move |after: Option<Option<u64>>| {
            let (service, access) = (service.clone(), access.clone());
            async move {
                let Some(after) = after else { return Ok(None) };
                let page = service.job_results(&access, job, after, DOWNLOADED_AT_ONCE).await?;
                let lines = table::lines(&page.results)?;
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

/// Those whose names are shown with a report.
fn spoken_of(report: &ItemReport) -> impl Iterator<Item = &PersonId> {
    let (row, photo) = match report {
        ItemReport::Row(row) => (Some(row), None),
        ItemReport::Photo(photo) => (None, Some(photo)),
        ItemReport::Erased => (None, None),
    };
    let faces = photo.into_iter().flat_map(|photo| &photo.faces).filter_map(|face| face.person.as_ref());
    faces.chain(row.and_then(|row| row.person.as_ref()))
}

/// What reports do not hold.
struct Names {
    people: BTreeMap<PersonId, String>,
    items: ItemNames,
}

impl Names {
    fn view(&self, (item, report): (u64, ItemReport)) -> Option<ItemView> {
        match report {
            ItemReport::Row(report) => {
                let name = report.person.as_ref().and_then(|person| self.people.get(person).cloned());
                let row = RowView { name, ..RowView::new(item, report) };
                Some(ItemView::Row(match self.items.rows.get(&item) {
                    Some(names) => row.named(names),
                    None => row,
                }))
            }
            ItemReport::Photo(report) => {
                let photo = self.items.photos.get(&item).cloned();
                Some(ItemView::Photo(RecognisedPhotoView::new(item, report, &self.people, photo)))
            }
            ItemReport::Erased => None,
        }
    }
}
