//! What is stored stays what it is: the bytes of every kind of key, of every type of record, and of every older layout
//! that is still read.
//!
//! The bytes stand in `layouts/keys.txt`, a key a line, and in `layouts/records.jsonl`, a record a line with the fields
//! that it has: so fields that change places are noticed although they are read. Lines are added there, never changed.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;

use crate::store::{
    codec::{self, Record},
    operations::open::FORMAT_VERSION,
    records::{self, EachType},
};

/// A line of `records.jsonl`.
#[derive(Deserialize)]
struct Sample {
    r#type: String,
    version: u8,
    /// As hex.
    bytes: String,
    /// What is read, or the code of the error.
    record: Value,
}

/// Compares what the types of the table read and write with the samples.
struct Compared {
    samples: Vec<Sample>,
    /// What is wrong, a line each.
    wrong: String,
}

impl EachType for Compared {
    fn see<R: Record>(&mut self, name: &'static str) {
        let (samples, others) = self.samples.drain(..).partition::<Vec<_>, _>(|sample| sample.r#type == name);
        self.samples = others;
        for version in 1..=R::VERSION {
            if !samples.iter().any(|sample| sample.version == version) {
                self.note(&format!("{name} has no sample of version {version}: add a line to records.jsonl"));
            }
        }
        for sample in samples {
            if let Err(problem) = compare::<R>(&sample) {
                self.note(&format!("{name} version {}: {problem}", sample.version));
            }
        }
    }
}

impl Compared {
    fn note(&mut self, problem: &str) {
        writeln!(self.wrong, "{problem}").unwrap();
    }
}

fn compare<R: Record>(sample: &Sample) -> Result<(), String> {
    let bytes = hex::decode(&sample.bytes).map_err(|error| error.to_string())?;
    let as_json = |record: R| serde_json::to_value(record).unwrap();
    if sample.version == R::VERSION {
        let record: R = serde_json::from_value(sample.record.clone())
            .map_err(|error| format!("{error}. Whoever renames a field renames it in the samples"))?;
        let written = codec::encode(&record).unwrap();
        if written != bytes {
            return Err(format!(
                "the bytes have changed, so what is stored cannot be read any more. Raise the VERSION in \
                 store/records.rs, read the older layout as Older beside the type, and add a sample of the new one. \
                 {} is now {}",
                sample.record,
                hex::encode(written)
            ));
        }
    }
    let read = codec::decode::<R>(&bytes).map_or_else(|error| error.code().into(), as_json);
    let expected = serde_json::from_value(sample.record.clone()).map_or_else(|_| sample.record.clone(), as_json);
    if read == expected {
        return Ok(());
    }
    Err(format!(
        "what was {expected} is read as {read}. A type that an older layout is read by has changed: read it by a copy of \
         that type as it was"
    ))
}

#[test]
fn records_are_written_and_read_as_they_were() {
    let samples = include_str!("layouts/records.jsonl").lines().map(|line| serde_json::from_str(line).unwrap());
    let mut compared = Compared { samples: samples.collect(), wrong: String::new() };
    records::each_type(&mut compared);
    for sample in std::mem::take(&mut compared.samples) {
        compared.note(&format!("{} is no type of record", sample.r#type));
    }
    assert!(compared.wrong.is_empty(), "\n{}", compared.wrong);
}

#[test]
fn keys_are_made_as_they_were() {
    let pinned: Vec<_> = include_str!("layouts/keys.txt").lines().collect();
    let made: Vec<_> = records::samples(1).iter().map(|key| format!("{key}: {}", hex::encode(key.key()))).collect();
    let lost: Vec<_> = pinned.iter().filter(|line| !made.iter().any(|made| made == *line)).collect();
    assert!(lost.is_empty(), "records under these keys are not found any more, see store::migrations: {lost:#?}");
    let new: Vec<_> = made.iter().filter(|line| !pinned.contains(&line.as_str())).collect();
    assert!(new.is_empty(), "kinds of record without a sample: add to keys.txt {new:#?}");
}

/// Number and version of each type's layout.
struct Layouts(Vec<(u8, u8)>);

impl EachType for Layouts {
    fn see<R: Record>(&mut self, _name: &'static str) {
        self.0.push((R::KIND, R::VERSION));
    }
}

/// Whoever changes one of these raises [`FORMAT_VERSION`] and writes a step in `store::migrations`: an older program
/// then refuses the store at its start, and not at the first record that it cannot read.
#[test]
fn a_record_of_another_layout_is_another_version_of_the_store() {
    let mut layouts = Layouts(Vec::new());
    records::each_type(&mut layouts);
    layouts.0.sort_unstable();
    #[rustfmt::skip]
    let of_version_7 = [
        (0, 1), (1, 2), (2, 3), (3, 1), (5, 1), (6, 2), (7, 1), (8, 2), (9, 1), (10, 3), (11, 1), (12, 1), (13, 1),
        (20, 1), (21, 1), (30, 1), (31, 1), (32, 1), (33, 1), (34, 1), (40, 1), (41, 1), (42, 1), (50, 1), (51, 1),
        (52, 2), (60, 1), (61, 1), (62, 1), (70, 1), (71, 1), (72, 1), (73, 1), (74, 1), (75, 1), (76, 2), (77, 3),
        (80, 2), (81, 2), (82, 1), (83, 1), (84, 1), (85, 2), (90, 1),
    ];
    assert_eq!((FORMAT_VERSION, layouts.0), (7, of_version_7.to_vec()));
}
