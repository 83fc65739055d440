//! What fuzzing asks of keys, records and backups.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "to panic is how it says no")]

use super::{
    codec::{self, Record, is_intact, sealed},
    keys::{self, Parsed, parse},
    operations::archive::{self, Reader, Writer},
    records::{self, EachType},
};
use crate::domain::FaceSample;

/// What a key says makes the same key again, byte by byte: no record has two keys.
pub fn keys(bytes: &[u8]) {
    let Some(parsed) = parse(bytes) else { return };
    assert_eq!(parsed.key(), bytes, "{parsed}");
    if let Parsed::Data(tenant, _) = &parsed {
        assert_eq!(keys::owner(bytes), Some(keys::tenant(tenant)));
    }
}

/// A backup that nobody made is refused, and the changes of a chunk come back out of one that is made of them. The input
/// is a file, and also the body of a chunk, whose checksum is none's to guess.
pub fn backup(bytes: &[u8]) {
    if let Ok(mut reader) = Reader::open(bytes) {
        while let Ok(Some(changes)) = reader.next_chunk() {
            assert!(changes.len() <= bytes.len());
        }
    }
    let Some(changes) = archive::parse(bytes) else { return };
    let (mut writer, header) = Writer::new(1);
    let pieces: Vec<_> = changes.iter().filter_map(|change| writer.push(change)).collect();
    let file = [&[header][..], &pieces, &[writer.finish()]].concat().concat();
    let mut reader = Reader::open(&file[..]).expect("a backup was written");
    let mut read = Vec::new();
    while let Some(more) = reader.next_chunk().expect("a backup was written") {
        read.extend(more);
    }
    assert!(read == changes && reader.entries() == changes.len() as u64);
}

/// A record that can be read is written so that the same is read again. The input is a record without its checksum,
/// which is none's to guess: version, kind, body.
pub fn records(bytes: &[u8]) {
    assert!(!is_intact(bytes) || bytes.len() >= 6);
    let Some((&[version, kind], body)) = bytes.split_first_chunk() else { return };
    let record = sealed(version, kind, body);
    assert!(is_intact(&record));
    records::each_type(&mut WrittenAsRead { kind, record: &record });
    if let Ok(in_place) = codec::decode_face(&record) {
        let whole = codec::decode::<FaceSample>(&record);
        if let Ok(whole) = whole {
            let mut vector = Vec::new();
            in_place.vector.copy_to(&mut vector);
            assert_eq!((in_place.id, in_place.person), (&whole.id.as_bytes()[..], whole.person.as_str()));
            assert!(vector.iter().map(|n| n.to_bits()).eq(whole.vector.iter().map(|n| n.to_bits())));
        }
    } else {
        assert!(codec::decode::<FaceSample>(&record).is_err() || version < FaceSample::VERSION, "not in place");
    }
}

/// What is read of a record as the type of its kind.
struct WrittenAsRead<'a> {
    kind: u8,
    record: &'a [u8],
}

impl EachType for WrittenAsRead<'_> {
    /// Bytes are compared, as numbers of a record may be none.
    fn see<R: Record>(&mut self, _name: &'static str) {
        if R::KIND != self.kind {
            return;
        }
        let Ok(record) = codec::decode::<R>(self.record) else { return };
        let once = codec::encode(&record).expect("what was short enough to be read is short enough to be written");
        let again = codec::decode::<R>(&once).expect("what was written is read");
        assert_eq!(codec::encode(&again).ok(), Some(once));
    }
}
