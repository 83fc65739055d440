//! Work that outlives its request: many items, worked off one by one, each with a report of its own.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    access::{
        actor::Actor,
        roles::{Access, Permission},
    },
    attendance::{record::Mark, roster::DayOrMoment},
    ids::{GroupId, GroupSessionId, JobId, PersonId, PhotoId},
    people::enrolment::{FaceChoice, QualityGate},
    recognition::{face::FaceBox, liveness::LivenessPolicy},
};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for its turn.
    Queued,
    /// It is worked on, also where a stop of the server interrupts that.
    Running,
    /// Every item has a report.
    Done,
    /// It could not go on.
    Failed,
    /// Somebody called it off; what was done by then stands.
    Cancelled,
}

impl JobState {
    /// Whether there is still something to do.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum JobTask {
    /// Takes people from a CSV file, an item a row, with photos from a ZIP file.
    Import(ImportOptions),
    /// Recognises a group in photos, an item each.
    Recognise(RecogniseOptions),
}

impl JobTask {
    /// The kind in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Import(_) => "import",
            Self::Recognise(_) => "recognize",
        }
    }

    /// What it takes to start it, to see it, and for it to go on.
    pub const fn permission(&self) -> Permission {
        permission(self.group())
    }

    /// The group that it is about; none of a roster.
    pub const fn group(&self) -> Option<&GroupId> {
        match self {
            Self::Import(_) => None,
            Self::Recognise(options) => Some(&options.group),
        }
    }
}

/// What it takes to do anything with a job of this group, or with one of a roster where there is none.
pub const fn permission(group: Option<&GroupId>) -> Permission {
    if group.is_some() { Permission::RecogniseMany } else { Permission::ManagePeople }
}

/// Whether a job is one that the caller could have started: one of that group, or of a roster where there is none.
pub fn may_see(access: &Access, group: Option<&GroupId>) -> bool {
    access.require(permission(group), group).is_ok()
}

/// How a group is recognised in many photos.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecogniseOptions {
    /// Whom to look for.
    pub group: GroupId,
    /// Whether the people found are marked present.
    pub mark: bool,
    /// When all the photos were taken; each says it itself where this is missing.
    pub at: Option<Timestamp>,
    /// The session that they are all for; where this is missing, each is for the one of its time.
    pub session: Option<GroupSessionId>,
    /// What took the photos: a session may wait for it.
    pub source: Option<String>,
    /// The least similarity, raw cosine, if that is not the tenant's.
    pub threshold: Option<f32>,
    /// The least lead over the next person, if that is not the tenant's.
    pub margin: Option<f32>,
    /// Whether faces must be live to be marked, if that is stricter than the tenant's own rule.
    pub liveness: Option<LivenessPolicy>,
}

/// How a roster is taken in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportOptions {
    /// Whether everything is checked and nothing stored.
    pub dry_run: bool,
    /// Whether a person's samples of other photos than these go.
    pub replace: bool,
    /// What the photos must be like, if that is stricter than the tenant's own rule.
    pub quality: Option<QualityGate>,
    /// Which face of each photo is meant.
    pub faces: FaceChoice,
    /// Whether groups that the file names and that do not exist are made.
    pub create_groups: bool,
    /// What a row's groups are to the person.
    pub groups: RowGroups,
    /// What becomes of leavers.
    pub leavers: Leavers,
    /// In which groups they are looked for.
    pub leavers_in: LeaversIn,
    /// Since when people are on the rosters of the groups they join, where their row does not say it.
    pub on_roster_since: Option<DayOrMoment>,
}

/// What the groups of a roster's row are to the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowGroups {
    /// Groups to join; the person stays in the others.
    #[default]
    Join,
    /// All groups that the person is in from then on, where the row names any.
    Replace,
}

/// What becomes of leavers: people of a group who have no row in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Leavers {
    /// Nobody looks for them.
    #[default]
    Keep,
    /// The results name them, and the groups that they would leave.
    Report,
    /// They leave those groups; what is known of them stays. Where a row failed, nobody does: it may be theirs.
    Remove,
}

/// In which groups leavers are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaversIn {
    /// In those that the file names.
    #[default]
    File,
    /// In all of the tenant: the file has everybody, and who is not in it is in no group any more.
    All,
}

/// A column of a roster, and what it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RosterColumn {
    /// As the file has it, up to 64 characters.
    pub heading: String,
    /// `id`, `name`, `given_name`, `family_name`, `email`, `groups`, `on_roster_since`, `consent.…` or
    /// `metadata`.
    pub meaning: String,
}

/// A job of a tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its identity, in time order.
    pub id: JobId,
    /// What it does.
    pub task: JobTask,
    /// Who started it, and does what it does.
    pub by: Actor,
    /// The request that it came with.
    pub request_id: Option<String>,
    /// Where it stands.
    pub state: JobState,
    /// How many items it has.
    pub total: u64,
    /// How many of them have a report.
    pub done: u64,
    /// What became of the items, and of what they hold, by name.
    pub counts: BTreeMap<String, u64>,
    /// The items that failed, by code.
    pub failed: BTreeMap<String, u64>,
    /// Why it could not go on.
    pub error: Option<Fault>,
    /// Of a roster: what its columns were taken for.
    pub columns: Vec<RosterColumn>,
    /// Of a roster: how its file is encoded.
    pub encoding: Option<String>,
    /// When it was started by a request.
    pub created_at: Timestamp,
    /// When it was first worked on.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl Job {
    /// A job that nobody has worked on yet.
    pub fn new(id: JobId, task: JobTask, by: Actor, total: u64, created_at: Timestamp) -> Self {
        Self {
            id,
            task,
            by,
            request_id: None,
            state: JobState::Queued,
            total,
            done: 0,
            counts: BTreeMap::new(),
            failed: BTreeMap::new(),
            error: None,
            columns: Vec::new(),
            encoding: None,
            created_at,
            started_at: None,
            finished_at: None,
        }
    }

    /// How far it has come.
    pub fn progress(&self) -> JobProgress {
        let Self { id, state, done, total, .. } = *self;
        JobProgress { job: id, group: self.task.group().cloned(), state, done, total }
    }

    /// Counts an item that has its report now.
    pub fn note(&mut self, report: &ItemReport) {
        self.done += 1;
        for (name, number) in report.counts() {
            if number > 0 {
                *self.counts.entry(name.to_owned()).or_default() += number;
            }
        }
        if let Some(fault) = report.error() {
            *self.failed.entry(fault.code.clone()).or_default() += 1;
        }
    }
}

/// What is wrong with an item or a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// For machines.
    pub code: String,
    /// For people.
    pub message: String,
}

impl From<&error::Error> for Fault {
    fn from(error: &error::Error) -> Self {
        Self { code: error.code().to_owned(), message: error.message().to_owned() }
    }
}

/// What became of one item. Nothing in it is called by a name that somebody gave to a row, a file or a person: items and
/// their photos have numbers, and what those are called leaves with the upload.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemReport {
    /// Of a roster.
    Row(RowReport),
    /// Of many photos.
    Photo(PhotoReport),
    /// Somebody of whom it spoke was erased: only that the item is done is left.
    Erased,
}

impl ItemReport {
    /// Why it failed.
    pub fn error(&self) -> Option<&Fault> {
        match self {
            Self::Row(row) => row.error.as_ref(),
            Self::Photo(photo) => photo.error.as_ref(),
            Self::Erased => None,
        }
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        match self {
            Self::Erased => Vec::new(),
            Self::Photo(photo) => {
                let number = |is_meant: &dyn Fn(&SeenFace) -> bool| {
                    photo.faces.iter().filter(|face| is_meant(face)).count() as u64
                };
                vec![
                    (photo.outcome(), 1),
                    ("faces", photo.faces.len() as u64),
                    ("named", number(&|face| face.person.is_some())),
                    ("marked", number(&|face| face.attendance == Mark::Marked)),
                ]
            }
            Self::Row(row) => vec![
                (row.outcome.name(), 1),
                ("samples_added", row.samples_added.into()),
                ("photos_refused", row.refused.len() as u64),
                ("duplicates", row.duplicates.len() as u64),
                ("groups_left", row.left.len() as u64),
            ],
        }
    }
}

/// What became of a roster's row, or would become of it in a dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowOutcome {
    /// A new person.
    Created,
    /// A person who was there has more, or something else.
    Updated,
    /// A person who was there is as before.
    Unchanged,
    /// Nothing was stored.
    Failed,
}

impl RowOutcome {
    /// Its name in counts and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

/// The report of a roster's row.
#[derive(Debug, Clone, PartialEq)]
pub struct RowReport {
    /// The line of the file on which the row begins, from 1; 0 of a leaver, who has none.
    pub line: u64,
    /// Whose row it is, where it has an id; as it is read from the store, where there is such a person.
    pub person: Option<PersonId>,
    /// What became of the row.
    pub outcome: RowOutcome,
    /// Why it failed.
    pub error: Option<Fault>,
    /// Samples made of its photos.
    pub samples_added: u32,
    /// Photos that were not used.
    pub refused: Vec<RefusedPhoto>,
    /// Others who look the same.
    pub duplicates: Vec<DoublePhoto>,
    /// Groups that were made for it.
    pub groups_made: Vec<GroupId>,
    /// Groups that the person left, or would leave.
    pub left: Vec<GroupId>,
}

/// A photo of a row that was not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedPhoto {
    /// Its number among the row's photos in the order of their names, from 0.
    pub photo: u32,
    /// As in `rejected` of an enrolment, or what was wrong with the file.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// A photo of a row that shows somebody else as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoublePhoto {
    /// Its number, as in [`RefusedPhoto`].
    pub photo: u32,
    /// The other.
    pub person: PersonId,
    /// Raw cosine to the nearest of their samples.
    pub similarity: f32,
}

/// The report of a photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhotoReport {
    /// Which photo it is, where marks were asked.
    pub photo_id: Option<PhotoId>,
    /// When it was taken, as far as that is known.
    pub at: Option<Timestamp>,
    /// What says so.
    pub time_from: Option<TimeSource>,
    /// The local date of the session that it is for, where marks were asked.
    pub date: Option<Date>,
    /// Width of the upright photo in pixels.
    pub width: u32,
    /// Height of the upright photo in pixels.
    pub height: u32,
    /// By how many degrees it was turned clockwise to find its faces upright, where it was.
    pub turned: Option<u16>,
    /// Its faces, best detection first.
    pub faces: Vec<SeenFace>,
    /// Why it could not be used.
    pub error: Option<Fault>,
}

impl PhotoReport {
    /// What became of it, in counts and metrics.
    pub const fn outcome(&self) -> &'static str {
        if self.error.is_some() { "failed" } else { "recognised" }
    }
}

/// What says when a photo was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// The request.
    Given,
    /// The camera, in the photo itself.
    Exif,
    /// The ZIP file: when the file was changed last.
    File,
    /// The session that the job names: its start is taken.
    Session,
    /// Nothing: the moment at which the job was handed in is taken.
    Upload,
}

/// A face in a photo of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenFace {
    /// In pixels of the upright photo.
    pub bbox: FaceBox,
    /// The detector's confidence, 0..=1.
    pub score: f32,
    /// Who it is, if somebody was named.
    pub person: Option<PersonId>,
    /// Raw cosine to the person, or to the best candidate.
    pub similarity: Option<f32>,
    /// Lead over the next person.
    pub margin: Option<f32>,
    /// Why nobody was named, or why a named face was not marked.
    pub reason: Option<String>,
    /// What became of it.
    pub attendance: Mark,
}

/// How far a job has come. Told to whoever listens at that moment, and not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobProgress {
    /// Which job.
    pub job: JobId,
    /// The group that it recognises; none of a roster.
    pub group: Option<GroupId>,
    /// Where it stands.
    pub state: JobState,
    /// Items done.
    pub done: u64,
    /// Items in all.
    pub total: u64,
}
