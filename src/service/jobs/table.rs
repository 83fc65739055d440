//! Reports as CSV: a line a row of a roster, or a face of a photo.

use bytes::Bytes;

use super::{ItemView, RecognisedPhotoView, RowView};
use crate::{
    domain::{
        JobTask, Mark,
        job::{DoublePhoto, Fault, RefusedPhoto},
    },
    error::{Error, Result},
};

const ROW_HEADER: [&str; 8] = ["line", "id", "outcome", "error", "message", "samples_added", "refused", "duplicates"];
const FACE_HEADER: [&str; 8] = ["photo", "at", "date", "person", "similarity", "attendance", "reason", "error"];

/// The first line.
pub(super) fn header(task: &JobTask) -> Result<Bytes> {
    let header = match task {
        JobTask::Import(_) => ROW_HEADER,
        JobTask::Recognise(_) => FACE_HEADER,
    };
    written([header.map(str::to_owned)])
}

/// The lines of some items.
pub(super) fn lines(items: Vec<ItemView>) -> Result<Bytes> {
    written(items.into_iter().flat_map(|item| match item {
        ItemView::Row(row) => vec![row_line(row)],
        ItemView::Photo(photo) => face_lines(photo),
    }))
}

fn row_line(row: RowView) -> [String; 8] {
    let Fault { code, message } = row.error.unwrap_or(Fault { code: String::new(), message: String::new() });
    let refused = row.refused.into_iter().map(|RefusedPhoto { photo, reason, .. }| format!("{photo}: {reason}"));
    let double = |DoublePhoto { photo, person, similarity }| format!("{photo}: {person} ({similarity:.2})");
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

/// One for each face; a photo without any has one, too.
fn face_lines(photo: RecognisedPhotoView) -> Vec<[String; 8]> {
    let text = |value: Option<&dyn ToString>| value.map(ToString::to_string).unwrap_or_default();
    let at = text(photo.at.as_ref().map(|at| at as &dyn ToString));
    let date = text(photo.date.as_ref().map(|date| date as &dyn ToString));
    let error = photo.error.map(|fault| fault.code).unwrap_or_default();
    let line = |person: String, similarity: String, attendance: &str, reason: String| {
        [
            photo.photo.clone(),
            at.clone(),
            date.clone(),
            person,
            similarity,
            attendance.to_owned(),
            reason,
            error.clone(),
        ]
    };
    if photo.faces.is_empty() {
        return vec![line(String::new(), String::new(), "", String::new())];
    }
    let face_line = |face: super::SeenFaceView| {
        let attendance = match face.attendance {
            Mark::NotMarked => "not_marked",
            Mark::ToConfirm => "to_confirm",
            Mark::AlreadyMarked => "already_marked",
            Mark::Marked => "marked",
        };
        let similarity = face.similarity.map(|similarity| format!("{similarity:.3}")).unwrap_or_default();
        let person = face.person.map(|person| person.to_string()).unwrap_or_default();
        line(person, similarity, attendance, face.reason.unwrap_or_default())
    };
    photo.faces.into_iter().map(face_line).collect()
}

fn written(lines: impl IntoIterator<Item = [String; 8]>) -> Result<Bytes> {
    let failed = |error: csv::Error| Error::internal("a table cannot be written").with_source(error);
    let mut table = csv::Writer::from_writer(Vec::new());
    for line in lines {
        table.write_record(line.map(plain)).map_err(failed)?;
    }
    let bytes = table.into_inner();
    let bytes = bytes.map_err(|error| Error::internal("a table cannot be written").with_source(error.to_string()))?;
    Ok(bytes.into())
}

/// A field that no program for tables takes for a formula.
fn plain(field: String) -> String {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{field}") } else { field }
}
