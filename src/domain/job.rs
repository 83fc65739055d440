//! Work that outlives its request: many items, worked off one by one, each with a report of its own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    enrolment::{FaceChoice, QualityGate},
    ids::{JobId, PersonId},
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobTask {
    /// Takes people from a CSV file, an item a row, with photos from a ZIP file.
    Import(ImportOptions),
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
}

/// A job of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its identity, in time order.
    pub id: JobId,
    /// What it does.
    pub task: JobTask,
    /// Who started it: a user, a key, or the machine.
    pub by: String,
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
    /// When it was started by a request.
    pub created_at: Timestamp,
    /// When it was first worked on.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl Job {
    /// A job that nobody has worked on yet.
    pub fn new(id: JobId, task: JobTask, by: String, total: u64, created_at: Timestamp) -> Self {
        Self {
            id,
            task,
            by,
            state: JobState::Queued,
            total,
            done: 0,
            counts: BTreeMap::new(),
            failed: BTreeMap::new(),
            error: None,
            created_at,
            started_at: None,
            finished_at: None,
        }
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

impl From<&crate::error::Error> for Fault {
    fn from(error: &crate::error::Error) -> Self {
        Self { code: error.code().to_owned(), message: error.message().to_owned() }
    }
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ItemReport {
    /// Of a roster.
    Row(RowReport),
    /// Somebody of whom it spoke was erased: only that the item is done is left.
    Erased,
}

impl ItemReport {
    /// The people whom it speaks of: it goes with each of them.
    pub fn people(&self) -> Vec<&PersonId> {
        match self {
            Self::Row(row) => row.person.iter().chain(row.duplicates.iter().map(|double| &double.person)).collect(),
            Self::Erased => Vec::new(),
        }
    }

    /// Why it failed.
    pub fn error(&self) -> Option<&Fault> {
        match self {
            Self::Row(row) => row.error.as_ref(),
            Self::Erased => None,
        }
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        match self {
            Self::Erased => Vec::new(),
            Self::Row(row) => vec![
                (row.outcome.name(), 1),
                ("samples_added", row.samples_added.into()),
                ("photos_refused", row.refused.len() as u64),
                ("duplicates", row.duplicates.len() as u64),
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

/// The report of a roster's row. It holds no name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RowReport {
    /// The line of the file on which the row begins, from 1.
    pub line: u64,
    /// The id as the row has it, shortened where it is none.
    pub id: String,
    /// The person, where there is one.
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
}

/// A photo of a row that was not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedPhoto {
    /// The file's name, without its folders.
    pub photo: String,
    /// As in `rejected` of an enrolment, or what was wrong with the file.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// A photo of a row that shows somebody else as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DoublePhoto {
    /// The file's name, without its folders.
    pub photo: String,
    /// The other.
    pub person: PersonId,
    /// Raw cosine to the nearest of their samples.
    pub similarity: f32,
}
