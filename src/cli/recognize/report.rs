//! What a recognition prints: a table or a JSON line a photo as it comes, and everything together at the end.

use std::{collections::BTreeMap, path::Path};

use jiff::civil::Date;
use serde::Serialize;

use super::super::{files::table, say};
use crate::{
    domain::{Mark, PersonId},
    error::{Error, Result},
    service::{
        recognition::recognize::{NotSeen, Present, Recognition, RecognizedFace},
        view::ProblemView,
    },
};

/// What came back for one photo.
pub(super) type Recognised = Result<Recognition, ProblemView>;

/// Prints photos as they are added and remembers what the summary needs.
pub(super) struct Report {
    json: bool,
    photos: usize,
    failed: usize,
    faces: usize,
    unknown_faces: usize,
    present: BTreeMap<PersonId, Present>,
    /// The roster's people; those who are present are taken off at the end.
    roster: BTreeMap<PersonId, NotSeen>,
    date: Option<Date>,
}

/// The JSON line of a photo.
#[derive(Serialize)]
struct PhotoLine<'a> {
    what: &'static str,
    file: &'a Path,
    width: u32,
    height: u32,
    turned: Option<u16>,
    faces: &'a [RecognizedFace],
    advice: Option<&'a str>,
    annotated: Option<&'a Path>,
    error: Option<ProblemView>,
}

/// The last JSON line.
#[derive(Serialize)]
struct SummaryLine<'a> {
    what: &'static str,
    photos: usize,
    failed: usize,
    faces: usize,
    present: Vec<&'a Present>,
    not_seen: Vec<&'a NotSeen>,
    unknown_faces: usize,
    date: Option<Date>,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            photos: 0,
            failed: 0,
            faces: 0,
            unknown_faces: 0,
            present: BTreeMap::new(),
            roster: BTreeMap::new(),
            date: None,
        }
    }

    /// Prints a photo and adds it up.
    pub(super) fn add(&mut self, file: &Path, annotated: Option<&Path>, recognised: Recognised) -> Result<()> {
        self.photos += 1;
        let recognition;
        let mut line = PhotoLine {
            what: "photo",
            file,
            width: 0,
            height: 0,
            turned: None,
            faces: &[],
            advice: None,
            annotated,
            error: None,
        };
        match recognised {
            Ok(answer) => {
                recognition = answer;
                self.add_up(&recognition);
                if let Some(photo) = recognition.photos.first() {
                    (line.width, line.height, line.turned) = (photo.width, photo.height, photo.turned);
                    (line.faces, line.advice) = (&photo.faces, photo.advice.as_deref());
                }
            }
            Err(problem) => {
                self.failed += 1;
                line.error = Some(problem);
            }
        }
        if self.json { say_json(&line) } else { show_photo(&line) }
    }

    fn add_up(&mut self, recognition: &Recognition) {
        self.faces += recognition.photos.iter().map(|photo| photo.faces.len()).sum::<usize>();
        self.unknown_faces += recognition.unknown_faces;
        self.date = recognition.date.or(self.date);
        for not_seen in &recognition.not_seen {
            self.roster.entry(not_seen.person.clone()).or_insert_with(|| not_seen.clone());
        }
        for seen in &recognition.present {
            let best = self.present.entry(seen.person.clone()).or_insert_with(|| seen.clone());
            best.similarity = best.similarity.max(seen.similarity);
            best.attendance = best.attendance.max(seen.attendance);
        }
    }

    /// Prints everything together.
    ///
    /// # Errors
    /// `Invalid` if no photo could be used.
    pub(super) fn finish(&self) -> Result<()> {
        let absent = |(person, not_seen)| (!self.present.contains_key(person)).then_some(not_seen);
        let summary = SummaryLine {
            what: "summary",
            photos: self.photos,
            failed: self.failed,
            faces: self.faces,
            present: self.present.values().collect(),
            not_seen: self.roster.iter().filter_map(absent).collect(),
            unknown_faces: self.unknown_faces,
            date: self.date,
        };
        if self.json {
            say_json(&summary)?;
        } else {
            show_summary(&summary)?;
        }
        if self.failed == self.photos {
            return Err(Error::invalid("none of the photos could be used").with_code("no_usable_photo"));
        }
        Ok(())
    }
}

fn say_json(line: &impl Serialize) -> Result<()> {
    let unwritable = |error| Error::internal("the answer cannot be written as JSON").with_source(error);
    say(serde_json::to_string(line).map_err(unwritable)?)
}

fn show_photo(line: &PhotoLine<'_>) -> Result<()> {
    let file = line.file.display();
    if let Some(ProblemView { code, message }) = &line.error {
        return say(format_args!("{file}: {code}: {message}\n"));
    }
    let (width, height, faces) = (line.width, line.height, line.faces);
    let turned = line.turned.map(|degrees| format!(", turned by {degrees}°")).unwrap_or_default();
    let word = if faces.len() == 1 { "face" } else { "faces" };
    say(format_args!("{file}: {width}×{height}{turned}, {} {word}", faces.len()))?;
    if let Some(advice) = line.advice {
        say(advice)?;
    }
    if let Some(copy) = line.annotated {
        say(format_args!("annotated: {}", copy.display()))?;
    }
    if !faces.is_empty() {
        say(faces_table(faces))?;
    }
    say("")
}

fn faces_table(faces: &[RecognizedFace]) -> comfy_table::Table {
    let assessed = faces.iter().any(|face| face.liveness.is_some());
    let mut header = vec!["face", "person", "name", "similarity", "margin", "width", "reason", "attendance"];
    if assessed {
        header.push("liveness");
    }
    let mut rows = table(&header);
    for face in faces {
        let person = face.person.as_ref().map_or("unknown", PersonId::as_str);
        let mut row = vec![
            face.number.to_string(),
            person.to_owned(),
            face.name.clone().unwrap_or_default(),
            decimals(face.similarity, 3),
            decimals(face.margin, 3),
            decimals(Some(face.face.width_px), 0),
            face.reason.map(word).unwrap_or_default(),
            word(face.attendance),
        ];
        if assessed {
            let liveness = face.liveness.map(|live| format!("{} {}", word(live.verdict), decimals(live.score, 2)));
            row.push(liveness.unwrap_or_default());
        }
        rows.add_row(row);
    }
    rows
}

fn show_summary(summary: &SummaryLine<'_>) -> Result<()> {
    let SummaryLine { photos, failed, faces, present, not_seen, unknown_faces, date, .. } = summary;
    let marked = present.iter().filter(|present| present.attendance > Mark::ToConfirm).count();
    let session = date.map(|date| format!(" ({marked} marked for {date})")).unwrap_or_default();
    say(format_args!("photos: {photos}, of which {failed} could not be used; faces: {faces}"))?;
    let who = |person: &PersonId, name: &Option<String>| match name {
        Some(name) if name != person.as_str() => format!("{name} [{person}]"),
        _ => person.to_string(),
    };
    say(format_args!("present: {}{session}", present.len()))?;
    for seen in present {
        let name = who(&seen.person, &seen.name);
        say(format_args!("  {name}  {:.3}  {}", seen.similarity, word(seen.attendance)))?;
    }
    say(format_args!("not seen: {}", not_seen.len()))?;
    for missed in not_seen {
        say(format_args!("  {}", who(&missed.person, &missed.name)))?;
    }
    say(format_args!("unknown faces: {unknown_faces}"))
}

fn decimals(number: Option<f32>, places: usize) -> String {
    number.map(|number| format!("{number:.places$}")).unwrap_or_default()
}

/// A unit variant's name as the API spells it.
fn word(variant: impl Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{recognition::recognize::Reason, view::TimingsView};

    fn recognition(present: &[(&str, f32, Mark)], not_seen: &[&str]) -> Recognition {
        let id = |text: &str| text.parse::<PersonId>().unwrap();
        let present = present.iter().map(|&(person, similarity, attendance)| Present {
            person: id(person),
            name: None,
            similarity,
            attendance,
        });
        Recognition {
            photos: Vec::new(),
            present: present.collect(),
            not_seen: not_seen.iter().map(|person| NotSeen { person: id(person), name: None }).collect(),
            unknown_faces: 1,
            session: None,
            date: None,
            timings_ms: TimingsView::default(),
        }
    }

    #[test]
    fn a_person_of_any_photo_is_present_with_their_best() {
        let mut report = Report::new(true);
        report.add_up(&recognition(&[("a", 0.5, Mark::Marked)], &["b", "c"]));
        report.add_up(&recognition(&[("a", 0.7, Mark::AlreadyMarked), ("b", 0.6, Mark::Marked)], &["c"]));
        let a = &report.present[&"a".parse().unwrap()];
        assert_eq!((a.similarity, a.attendance), (0.7, Mark::Marked));
        assert_eq!((report.present.len(), report.unknown_faces), (2, 2));
        let absent: Vec<_> = report.roster.keys().filter(|person| !report.present.contains_key(person)).collect();
        assert_eq!(absent, [&"c".parse::<PersonId>().unwrap()]);
    }

    #[test]
    fn a_run_of_bad_photos_alone_is_an_error() {
        let mut report = Report::new(true);
        let problem = ProblemView { code: "not_an_image".into(), message: "no".into() };
        report.add(Path::new("x"), None, Err(problem)).unwrap();
        assert_eq!(report.finish().unwrap_err().code(), "no_usable_photo");
        report.add(Path::new("y"), None, Ok(recognition(&[], &[]))).unwrap();
        report.finish().unwrap();
    }

    #[test]
    fn words_are_those_of_the_api() {
        assert_eq!(word(Reason::BelowThreshold), "below_threshold");
        assert_eq!(word(Mark::AlreadyMarked), "already_marked");
    }
}
