//! Jobs as clients ask for them and see them.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{
        FaceBox, FaceChoice, GroupId, GroupSessionId, ImportOptions, Job, JobId, JobState, JobTask, Mark, PersonId,
        PhotoId, PhotoReport, QualityGate, RecogniseOptions, RowOutcome, RowReport,
        attendance::roster::DayOrMoment,
        jobs::{DoublePhoto, Fault, Leavers, LeaversIn, RefusedPhoto, RosterColumn, RowGroups, SeenFace, TimeSource},
        recognition::liveness::LivenessPolicy,
    },
    intake::RowNames,
    service::{fields::strict_bool, recognition::recognize::advice},
};

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
    /// Whether groups that the file names and that do not exist are made, in the tenant's time zone; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub create_groups: Option<bool>,
    /// What the groups of a row are to the person.
    #[serde(default)]
    pub groups: RowGroups,
    /// What becomes of people of the groups who have no row in the file.
    #[serde(default)]
    pub leavers: Leavers,
    /// In which groups those are looked for.
    #[serde(default)]
    pub leavers_in: LeaversIn,
    /// Since when people are on the rosters of the groups they join, where their row does not say it: a day where the group is
    /// (`2026-09-01`), or a moment. The beginning of the present day if missing.
    #[schema(value_type = Option<String>)]
    pub on_roster_since: Option<DayOrMoment>,
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
    /// What took the photos: a session may wait for it. Its photos are taken to hang upright.
    pub source: Option<String>,
    /// The least similarity, raw cosine; where people are marked, never less than the tenant's.
    pub threshold: Option<f32>,
    /// The least lead over the next person; where people are marked, never less than the tenant's.
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
    /// How many items it has: rows of a roster and then its leavers, or photos.
    pub total: u64,
    /// How many of them have a report.
    pub done: u64,
    /// What became of them, by name.
    pub counts: BTreeMap<String, u64>,
    /// Those that failed, by code.
    pub failed: BTreeMap<String, u64>,
    /// Why the job could not go on.
    pub error: Option<Fault>,
    /// Of a roster: what its columns were taken for, in their order.
    pub columns: Vec<RosterColumn>,
    /// Of a roster: how its file is encoded, such as `UTF-8` or `windows-1252`.
    pub encoding: Option<String>,
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
    /// Its number among the rows, from 0; leavers come behind them.
    pub item: u64,
    /// The line of the file on which it begins, from 1; 0 of a leaver.
    pub line: u64,
    /// The id as the row has it, shortened where it is none; null once the job is over, unless there is such a person.
    pub id: Option<String>,
    /// The name of that person, as long as they are there.
    pub name: Option<String>,
    /// What became of it.
    pub outcome: RowOutcome,
    /// Why it failed.
    pub error: Option<Fault>,
    /// Samples made of its photos.
    pub samples_added: u32,
    /// Photos that were not used.
    pub refused: Vec<RefusedPhotoView>,
    /// Other people of the tenant who look the same.
    pub duplicates: Vec<DoublePhotoView>,
    /// Groups that were made for it.
    pub groups_made: Vec<GroupId>,
    /// Groups that the person left; of a leaver who is only reported, those that they are in.
    pub left: Vec<GroupId>,
}

/// A photo of a row that was not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedPhotoView {
    /// Its number among the row's photos in the order of their names, from 0.
    pub number: u32,
    /// The file's name, without its folders; null once the job is over.
    pub photo: Option<String>,
    /// As in `rejected` of an enrolment, or what was wrong with the file.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// A photo of a row that shows somebody else as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DoublePhotoView {
    /// Its number among the row's photos in the order of their names, from 0.
    pub number: u32,
    /// The file's name, without its folders; null once the job is over.
    pub photo: Option<String>,
    /// The other.
    pub person: PersonId,
    /// Raw cosine to the nearest of their samples.
    pub similarity: f32,
}

/// What became of a photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecognisedPhotoView {
    /// Its number among the photos, from 0: those of the ZIP file, then those sent as such.
    pub item: u64,
    /// The file's name in the ZIP, without its folders; null where it was sent by itself, and once the job is over.
    pub photo: Option<String>,
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
    /// By how many degrees it was turned clockwise to find its faces upright: 90, 180 or 270; null where they are so as it
    /// came.
    pub turned: Option<u16>,
    /// Its faces, best detection first.
    pub faces: Vec<SeenFaceView>,
    /// What to do for a photo in which people can be named, in one sentence; null unless all its faces are too small.
    pub advice: Option<String>,
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
            columns: job.columns,
            encoding: job.encoding,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }
}

impl RowView {
    /// The view of the report of the row of that number.
    pub fn new(item: u64, report: RowReport) -> Self {
        let RowReport { line, person, outcome, error, samples_added, refused, duplicates, groups_made, left } = report;
        let id = person.map(|person| person.to_string());
        let refused = refused.into_iter().map(|RefusedPhoto { photo, reason, message }| RefusedPhotoView {
            number: photo,
            photo: None,
            reason,
            message,
        });
        let duplicates = duplicates.into_iter().map(|DoublePhoto { photo, person, similarity }| DoublePhotoView {
            number: photo,
            photo: None,
            person,
            similarity,
        });
        let (refused, duplicates) = (refused.collect(), duplicates.collect());
        let name = None;
        Self { item, line, id, name, outcome, error, samples_added, refused, duplicates, groups_made, left }
    }

    /// The same with what the row and its photos are called.
    #[must_use]
    pub fn named(mut self, names: &RowNames) -> Self {
        let photo = |number: u32| names.photos.get(number as usize).cloned();
        self.id = Some(names.id.clone());
        self.refused.iter_mut().for_each(|refused| refused.photo = photo(refused.number));
        self.duplicates.iter_mut().for_each(|double| double.photo = photo(double.number));
        self
    }
}

impl RecognisedPhotoView {
    pub(super) fn new(
        item: u64,
        report: PhotoReport,
        names: &BTreeMap<PersonId, String>,
        photo: Option<String>,
    ) -> Self {
        let PhotoReport { photo_id, at, time_from, date, width, height, turned, faces, error } = report;
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
        let faces: Vec<SeenFaceView> = faces.into_iter().map(face).collect();
        let advice = advice(faces.iter().map(|face| face.reason.as_deref()));
        Self { item, photo, photo_id, at, time_from, date, width, height, turned, faces, advice, error }
    }
}

impl From<ImportParams> for ImportOptions {
    fn from(params: ImportParams) -> Self {
        Self {
            dry_run: params.dry_run.unwrap_or(false),
            replace: params.replace.unwrap_or(false),
            quality: params.quality,
            faces: params.faces,
            create_groups: params.create_groups.unwrap_or(false),
            groups: params.groups,
            leavers: params.leavers,
            leavers_in: params.leavers_in,
            on_roster_since: params.on_roster_since,
        }
    }
}
