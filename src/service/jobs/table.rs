//! Reports as CSV: a line a row of a roster, or a face of a photo.

use bytes::Bytes;

use super::{DoublePhotoView, ItemView, RecognisedPhotoView, RefusedPhotoView, RowView};
use crate::{
    domain::{GroupId, JobTask, Mark, jobs::Fault},
    error::Result,
    reports::{csv::Csv, lines::Value},
};

const ROW_HEADER: &[&str] = &[
    "line",
    "id",
    "outcome",
    "error",
    "message",
    "samples_added",
    "refused",
    "duplicates",
    "name",
    "groups_made",
    "left",
];
const FACE_HEADER: &[&str] = &["item", "photo", "at", "date", "person", "similarity", "attendance", "reason", "error"];

/// The first line.
pub(super) fn header(task: &JobTask) -> Result<Bytes> {
    let header = match task {
        JobTask::Import(_) => ROW_HEADER,
        JobTask::Recognise(_) => FACE_HEADER,
    };
    let mut csv = Csv::new();
    csv.line(header.iter().map(|name| Value::Text((*name).into())))?;
    csv.finish().map(Into::into)
}

/// The lines of some items.
pub(super) fn lines(items: &[ItemView]) -> Result<Bytes> {
    let mut csv = Csv::new();
    for item in items {
        match item {
            ItemView::Row(row) => csv.line(row_line(row))?,
            ItemView::Photo(photo) => face_lines(photo).into_iter().try_for_each(|line| csv.line(line))?,
        }
    }
    csv.finish().map(Into::into)
}

fn row_line(row: &RowView) -> Vec<Value<'_>> {
    let refused = row.refused.iter().map(|RefusedPhotoView { number, photo, reason, .. }| {
        format!("{}: {reason}", called(*number, photo.as_deref()))
    });
    let duplicates = row.duplicates.iter().map(|DoublePhotoView { number, photo, person, similarity }| {
        format!("{}: {person} ({similarity:.2})", called(*number, photo.as_deref()))
    });
    let error = row.error.as_ref();
    vec![
        Value::Count(row.line),
        maybe(row.id.as_deref()),
        text(row.outcome.name()),
        maybe(error.map(|fault| fault.code.as_str())),
        maybe(error.map(|fault| fault.message.as_str())),
        Value::Count(row.samples_added.into()),
        Value::Text(refused.collect::<Vec<_>>().join("; ").into()),
        Value::Text(duplicates.collect::<Vec<_>>().join("; ").into()),
        maybe(row.name.as_deref()),
        groups(&row.groups_made),
        groups(&row.left),
    ]
}

fn groups(groups: &[GroupId]) -> Value<'_> {
    Value::Text(groups.iter().map(GroupId::as_str).collect::<Vec<_>>().join("; ").into())
}

/// A photo by its file's name, or by its number where that is not known.
fn called(number: u32, name: Option<&str>) -> String {
    name.map_or_else(|| number.to_string(), str::to_owned)
}

/// One for each face; a photo without any has one, too.
fn face_lines(photo: &RecognisedPhotoView) -> Vec<Vec<Value<'_>>> {
    let shown = |value: Option<String>| value.map_or(Value::Nothing, |value| Value::Text(value.into()));
    let of_photo = || {
        vec![
            Value::Count(photo.item),
            maybe(photo.photo.as_deref()),
            shown(photo.at.map(|at| at.to_string())),
            photo.date.map_or(Value::Nothing, Value::Day),
        ]
    };
    let error = || maybe(photo.error.as_ref().map(|Fault { code, .. }| code.as_str()));
    let line = |of_face: [Value<'static>; 4]| of_photo().into_iter().chain(of_face).chain([error()]).collect();
    if photo.faces.is_empty() {
        return vec![line([const { Value::Nothing }; 4])];
    }
    let face_line = |face: &super::SeenFaceView| {
        let attendance = match face.attendance {
            Mark::NotMarked => "not_marked",
            Mark::ToConfirm => "to_confirm",
            Mark::AlreadyMarked => "already_marked",
            Mark::Marked => "marked",
        };
        line([
            shown(face.person.as_ref().map(ToString::to_string)),
            face.similarity.map_or(Value::Nothing, Value::Similarity),
            text(attendance),
            shown(face.reason.clone()),
        ])
    };
    photo.faces.iter().map(face_line).collect()
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

fn maybe(given: Option<&str>) -> Value<'_> {
    given.map_or(Value::Nothing, text)
}
