//! What fuzzing asks of the files of jobs.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "to panic is how it says no")]

use std::{
    io::{Cursor, Write},
    path::Path,
};

use jiff::civil::DateTime;

use super::{
    archive::Archive,
    roster::{Roster, RosterRow, columns::is_known},
};

/// Small, so that short inputs cross them.
const MAX_ENTRIES: u64 = 20;
const MAX_PHOTO_BYTES: u64 = 4096;

/// A ZIP file has no more entries than may be, and none unpacks to more than may be, nor to anything but what it says.
pub fn archive(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("there is room for a small file");
    file.write_all(bytes).expect("there is room for a small file");
    let Ok(archive) = Archive::open(file.path(), MAX_ENTRIES) else { return };
    let entries = archive.entries();
    assert!(entries.len() as u64 <= MAX_ENTRIES);
    let is_apart = archive.require_apart().is_ok();
    let mut packed = 0;
    for entry in &entries {
        assert!(!entry.name.contains('\\') && !entry.name.ends_with('/'));
        let Ok(photo) = archive.unpack(entry.index, MAX_PHOTO_BYTES) else { continue };
        assert!(photo.len() as u64 <= MAX_PHOTO_BYTES);
        assert!(Path::new(&entry.name).components().all(|part| part != std::path::Component::ParentDir));
        assert_eq!(archive.unpack(entry.index, MAX_PHOTO_BYTES).ok().as_ref(), Some(&photo));
        // Each photo is at most a hundred times what lies in the file.
        packed += photo.len().div_ceil(100);
    }
    assert!(!is_apart || packed <= bytes.len(), "{packed} bytes of photos in {}", bytes.len());
}

/// A byte becomes no more than so many of UTF-8.
const MAX_DECODED_RATIO: usize = 3;

/// The rows of a roster come in the order of their lines, their fields are trimmed, and a file that is made of a row says
/// the same row again.
pub fn roster(bytes: &[u8]) {
    let Ok(mut roster) = Roster::open(Cursor::new(bytes)) else { return };
    let lines = 1 + bytes.iter().filter(|&&byte| byte == b'\n' || byte == b'\r').count() as u64;
    let (mut last, mut read) = (0, 0);
    while let Some(Ok(row)) = roster.next() {
        read += 1;
        assert!(last < row.line && row.line <= lines, "line {} after {last} of {lines}", row.line);
        last = row.line;
        let metadata = row.metadata.iter().flat_map(|(key, value)| [key, value]);
        let consent = &row.consent;
        let consent = [&consent.given_by, &consent.at, &consent.basis, &consent.expires_at, &consent.note];
        let fields = row.name.iter().chain(&row.email).chain(&row.groups).chain(&row.on_roster_since);
        let fields = fields.chain(consent.into_iter().flatten()).chain(metadata);
        assert!(fields.clone().all(|field| !field.is_empty() && field.trim() == field), "{row:?}");
        assert!(fields.map(String::len).sum::<usize>() + row.id.len() <= MAX_DECODED_RATIO * bytes.len());
        let is_blank = RosterRow { line: row.line, ..RosterRow::default() } == row;
        let is_plain = !row.metadata.iter().any(|(key, _)| is_known(key));
        if row.fault.is_none() && !is_blank && is_plain {
            let again = written(&row);
            let again: Vec<_> = Roster::open(Cursor::new(again.as_bytes())).expect("a header").collect();
            let [Ok(again)] = &again[..] else { panic!("{row:?} became {again:?}") };
            assert_eq!(RosterRow { line: row.line, ..again.clone() }, row);
        }
    }
    assert_eq!(roster.rows_read(), read);
}

/// A roster of one row.
fn written(row: &RosterRow) -> String {
    let groups = row.groups.join("|");
    let consent = &row.consent;
    let known = [
        ("id", Some(&row.id)),
        ("name", row.name.as_ref()),
        ("email", row.email.as_ref()),
        ("groups", Some(&groups)),
        ("on roster since", row.on_roster_since.as_ref()),
        ("consent given by", consent.given_by.as_ref()),
        ("consent at", consent.at.as_ref()),
        ("consent basis", consent.basis.as_ref()),
        ("consent expires at", consent.expires_at.as_ref()),
        ("consent note", consent.note.as_ref()),
    ];
    let known = known.into_iter().map(|(name, field)| (name, field.map_or("", String::as_str)));
    let further = row.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (names, fields): (Vec<_>, Vec<_>) = known.chain(further).unzip();
    // The blank at a field's end is none of it, and tells its last comma from one that parts fields.
    let quoted = |fields: Vec<&str>| {
        let fields = fields.into_iter().map(|field| format!("\"{} \"", field.replace('"', "\"\"")));
        fields.collect::<Vec<_>>().join(",")
    };
    format!("{}\n{}\n", quoted(names), quoted(fields))
}

/// A time that a camera gives is one that a calendar has, to the second, and no further from UTC than a day and an hour.
pub fn taken(bytes: &[u8]) {
    let Some((time, offset)) = crate::vision::taken(bytes) else { return };
    assert_eq!(time.subsec_nanosecond(), 0);
    assert_eq!(
        DateTime::strptime("%Y:%m:%d %H:%M:%S", time.strftime("%Y:%m:%d %H:%M:%S").to_string()).ok(),
        Some(time)
    );
    assert!(offset.is_none_or(|offset| offset.seconds() % 60 == 0 && offset.seconds().abs() < 26 * 3600));
}
