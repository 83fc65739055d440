//! Jobs and reports as earlier versions of their layouts had them.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::kept::{KeptReport, KeptRow, Whose};
use crate::domain::{
    Actor, FaceChoice, ImportOptions, Job, JobId, JobState, JobTask, PhotoId, PhotoReport, QualityGate,
    RecogniseOptions, RowOutcome,
    jobs::{DoublePhoto, Fault, RefusedPhoto, SeenFace, TimeSource},
};

/// A [`Job`] before rosters told what their columns are.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct Job1 {
    pub(in crate::store) id: JobId,
    pub(in crate::store) task: Task1,
    pub(in crate::store) by: Actor,
    pub(in crate::store) request_id: Option<String>,
    pub(in crate::store) state: JobState,
    pub(in crate::store) total: u64,
    pub(in crate::store) done: u64,
    pub(in crate::store) counts: BTreeMap<String, u64>,
    pub(in crate::store) failed: BTreeMap<String, u64>,
    pub(in crate::store) error: Option<Fault>,
    pub(in crate::store) created_at: Timestamp,
    pub(in crate::store) started_at: Option<Timestamp>,
    pub(in crate::store) finished_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) enum Task1 {
    Import(Options1),
    Recognise(RecogniseOptions),
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct Options1 {
    pub(in crate::store) dry_run: bool,
    pub(in crate::store) replace: bool,
    pub(in crate::store) quality: Option<QualityGate>,
    pub(in crate::store) faces: FaceChoice,
}

impl From<Job1> for Job {
    fn from(old: Job1) -> Self {
        let task = match old.task {
            Task1::Import(Options1 { dry_run, replace, quality, faces }) => {
                JobTask::Import(ImportOptions { dry_run, replace, quality, faces, ..ImportOptions::default() })
            }
            Task1::Recognise(options) => JobTask::Recognise(options),
        };
        Self {
            id: old.id,
            task,
            by: old.by,
            request_id: old.request_id,
            state: old.state,
            total: old.total,
            done: old.done,
            counts: old.counts,
            failed: old.failed,
            error: old.error,
            columns: Vec::new(),
            encoding: None,
            created_at: old.created_at,
            started_at: old.started_at,
            finished_at: old.finished_at,
        }
    }
}

/// A [`KeptReport`] before rows told which groups came and went, and photos how they were turned.
#[derive(Serialize, Deserialize)]
pub(in crate::store) enum Report2 {
    Row(Row2),
    Photo(Photo2),
    Erased,
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct Row2 {
    line: u64,
    whose: Option<Whose>,
    outcome: RowOutcome,
    error: Option<Fault>,
    samples_added: u32,
    refused: Vec<RefusedPhoto>,
    duplicates: Vec<DoublePhoto>,
}

#[derive(Serialize, Deserialize)]
pub(in crate::store) struct Photo2 {
    photo_id: Option<PhotoId>,
    at: Option<Timestamp>,
    time_from: Option<TimeSource>,
    date: Option<Date>,
    width: u32,
    height: u32,
    faces: Vec<SeenFace>,
    error: Option<Fault>,
}

impl From<Report2> for KeptReport {
    fn from(old: Report2) -> Self {
        match old {
            Report2::Row(Row2 { line, whose, outcome, error, samples_added, refused, duplicates }) => {
                let (groups_made, left) = (Vec::new(), Vec::new());
                let row =
                    KeptRow { line, whose, outcome, error, samples_added, refused, duplicates, groups_made, left };
                Self::Row(row)
            }
            Report2::Photo(Photo2 { photo_id, at, time_from, date, width, height, faces, error }) => {
                Self::Photo(PhotoReport { photo_id, at, time_from, date, width, height, turned: None, faces, error })
            }
            Report2::Erased => Self::Erased,
        }
    }
}

#[cfg(test)]
impl Row2 {
    /// A row that was taken in, of nobody.
    pub(in crate::store) fn created(line: u64) -> Self {
        let (refused, duplicates) = (Vec::new(), Vec::new());
        Self { line, whose: None, outcome: RowOutcome::Created, error: None, samples_added: 1, refused, duplicates }
    }
}

#[cfg(test)]
impl Photo2 {
    /// A photo of this size in which nobody was found.
    pub(in crate::store) fn without_faces(width: u32, height: u32) -> Self {
        Self { photo_id: None, at: None, time_from: None, date: None, width, height, faces: Vec::new(), error: None }
    }
}
