//! The file of a backup: a header, chunks of changes, an end.
//!
//! ```text
//! header  16 bytes  "rollcall backup\n"
//!         u32       version of this layout
//!         u32       version of the store's keys and records
//!         u32       crc32c of all before
//! chunk   u32       bytes of its body, over 0
//!         u32       crc32c of the body
//!         …         body: entries
//! entry   u32       bytes of the key
//!         u32       bytes of the value and 1, or 0 where the key was removed
//!         …         key, value
//! end     u32       0
//!         u64       entries in all chunks
//!         32 bytes  SHA-256 of all before
//! ```
//!
//! Numbers are little-endian. Entries are changes in the order they are to be applied: a later one of a key takes the
//! place of an earlier one. Chunks are small, so neither side holds more than a moment's worth in memory. A chunk's
//! checksum finds damage before anything of it is used; the end finds what is missing, doubled or swapped.

use std::io::{self, Read};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    store::{codec, engine::Change},
};

const MAGIC: &[u8; 16] = b"rollcall backup\n";
const LAYOUT_VERSION: u32 = 1;
/// A chunk is cut once it is this large.
const CHUNK_BYTES: usize = 256 << 10;
/// The largest chunk that is read: a cut one and the largest record beyond it.
const MAX_CHUNK_BYTES: usize = CHUNK_BYTES + 2 * codec::MAX_RECORD_BYTES;

/// Makes an archive, piece by piece.
pub(in crate::store) struct Writer {
    body: Vec<u8>,
    entries: u64,
    digest: Sha256,
}

impl Writer {
    /// A new archive of a store of this version, and its first piece.
    pub(in crate::store) fn new(store_version: u32) -> (Self, Bytes) {
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&LAYOUT_VERSION.to_le_bytes());
        header.extend_from_slice(&store_version.to_le_bytes());
        header.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
        let mut writer = Self { body: Vec::new(), entries: 0, digest: Sha256::new() };
        let piece = writer.piece(header);
        (writer, piece)
    }

    /// Adds a change, whose key and value are far below 4 GiB; returns a piece once there is enough for one.
    pub(in crate::store) fn push(&mut self, (key, value): &Change) -> Option<Bytes> {
        let value_length = value.as_ref().map_or(0, |value| value.len() as u32 + 1);
        self.body.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.body.extend_from_slice(&value_length.to_le_bytes());
        self.body.extend_from_slice(key);
        self.body.extend_from_slice(value.as_deref().unwrap_or_default());
        self.entries += 1;
        (self.body.len() >= CHUNK_BYTES).then(|| self.cut())
    }

    /// The last piece.
    pub(in crate::store) fn finish(mut self) -> Bytes {
        let mut last = if self.body.is_empty() { Vec::new() } else { self.cut().to_vec() };
        let mut end = 0_u32.to_le_bytes().to_vec();
        end.extend_from_slice(&self.entries.to_le_bytes());
        self.digest.update(&end);
        last.extend_from_slice(&end);
        last.extend_from_slice(&self.digest.finalize());
        last.into()
    }

    fn cut(&mut self) -> Bytes {
        let mut chunk = Vec::with_capacity(8 + self.body.len());
        chunk.extend_from_slice(&(self.body.len() as u32).to_le_bytes());
        chunk.extend_from_slice(&crc32c::crc32c(&self.body).to_le_bytes());
        chunk.append(&mut self.body);
        self.piece(chunk)
    }

    fn piece(&mut self, bytes: Vec<u8>) -> Bytes {
        self.digest.update(&bytes);
        bytes.into()
    }
}

/// Reads an archive and believes nothing of it.
pub(in crate::store) struct Reader<R> {
    source: R,
    digest: Sha256,
    entries: u64,
    store_version: u32,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// Errors: `Invalid` `not_a_backup`, `newer_backup`, or as for [`Self::next_chunk`].
    pub(in crate::store) fn open(source: R) -> Result<Self> {
        let mut reader = Self { source, digest: Sha256::new(), entries: 0, store_version: 0 };
        let magic: [u8; 16] = reader.array().map_err(|error| if is_cut(&error) { not_a_backup() } else { error })?;
        if &magic != MAGIC {
            return Err(not_a_backup());
        }
        let (layout, store): ([u8; 4], [u8; 4]) = (reader.array()?, reader.array()?);
        let expected = crc32c::crc32c(&[&magic[..], &layout, &store].concat());
        if reader.number()? != expected {
            return Err(damaged());
        }
        if u32::from_le_bytes(layout) != LAYOUT_VERSION {
            return Err(Error::invalid("the backup was made by a newer version of this program: upgrade it")
                .with_code("newer_backup"));
        }
        reader.store_version = u32::from_le_bytes(store);
        Ok(reader)
    }

    /// The version of the store that it was made of.
    pub(in crate::store) fn store_version(&self) -> u32 {
        self.store_version
    }

    /// Entries read so far.
    pub(in crate::store) fn entries(&self) -> u64 {
        self.entries
    }

    /// The changes of the next chunk; `None` once the end was reached and found right.
    ///
    /// Errors: `Invalid` `truncated_backup` or `damaged_backup`; `Storage` where the file cannot be read.
    pub(in crate::store) fn next_chunk(&mut self) -> Result<Option<Vec<Change>>> {
        let length = self.number()? as usize;
        if length == 0 {
            return self.check_end().map(|()| None);
        }
        let checksum = self.number()?;
        if length > MAX_CHUNK_BYTES {
            return Err(damaged());
        }
        let mut body = vec![0; length];
        self.fill(&mut body)?;
        if crc32c::crc32c(&body) != checksum {
            return Err(damaged());
        }
        let changes = parse(&body).ok_or_else(damaged)?;
        self.entries += changes.len() as u64;
        Ok(Some(changes))
    }

    fn check_end(&mut self) -> Result<()> {
        let entries: [u8; 8] = self.array()?;
        let expected = self.digest.clone().finalize();
        let digest: [u8; 32] = self.array()?;
        let beyond = self.source.read(&mut [0]).map_err(unreadable)?;
        if u64::from_le_bytes(entries) != self.entries || digest[..] != expected[..] || beyond > 0 {
            return Err(damaged());
        }
        Ok(())
    }

    fn number(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.source.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Error::invalid("the backup is cut short: take another one").with_code("truncated_backup")
            }
            _ => unreadable(error),
        })?;
        self.digest.update(bytes);
        Ok(())
    }
}

/// The changes of a chunk's body.
pub(in crate::store) fn parse(mut body: &[u8]) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    while !body.is_empty() {
        let (key_length, rest) = body.split_first_chunk()?;
        let (value_length, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_length) as usize)?;
        let value_length = u32::from_le_bytes(*value_length) as usize;
        let (value, rest) = rest.split_at_checked(value_length.saturating_sub(1))?;
        changes.push((key.to_vec(), (value_length > 0).then(|| value.to_vec())));
        body = rest;
    }
    Some(changes)
}

fn is_cut(error: &Error) -> bool {
    error.code() == "truncated_backup"
}

fn not_a_backup() -> Error {
    Error::invalid("this file is no backup of this program").with_code("not_a_backup")
}

fn damaged() -> Error {
    Error::invalid("the backup is damaged: take another one").with_code("damaged_backup")
}

fn unreadable(error: io::Error) -> Error {
    Error::storage("the backup cannot be read").with_code("store_io").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Vec<Change> {
        let mut changes: Vec<Change> =
            (0..700_u32).map(|n| (n.to_be_bytes().to_vec(), Some(vec![n as u8; n as usize]))).collect();
        changes.push((b"gone".to_vec(), None));
        changes.push((b"empty".to_vec(), Some(Vec::new())));
        changes
    }

    fn archive(changes: &[Change]) -> Vec<u8> {
        let (mut writer, header) = Writer::new(7);
        let mut bytes = header.to_vec();
        for change in changes {
            bytes.extend(writer.push(change).unwrap_or_default());
        }
        bytes.extend(writer.finish());
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<Change>> {
        let mut reader = Reader::open(bytes)?;
        let mut changes = Vec::new();
        while let Some(chunk) = reader.next_chunk()? {
            changes.extend(chunk);
        }
        assert_eq!((reader.store_version(), reader.entries()), (7, changes.len() as u64));
        Ok(changes)
    }

    #[test]
    fn changes_come_back_in_their_order() {
        let bytes = archive(&changes());
        assert_eq!(read(&bytes).unwrap(), changes());
        assert_eq!(read(&archive(&[])).unwrap(), []);
        let record = vec![(b"k".to_vec(), Some(vec![5; codec::MAX_RECORD_BYTES]))];
        assert_eq!(read(&archive(&record)).unwrap(), record);
    }

    #[test]
    fn every_cut_and_every_flip_is_noticed() {
        let bytes = archive(&changes()[..100]);
        for length in 0..bytes.len() {
            let code = read(&bytes[..length]).unwrap_err().code();
            let expected = if length < MAGIC.len() { "not_a_backup" } else { "truncated_backup" };
            assert_eq!(code, expected, "cut at {length}");
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x20;
            let code = read(&flipped).unwrap_err().code();
            assert!(["damaged_backup", "truncated_backup", "not_a_backup"].contains(&code), "flip at {at}: {code}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert_eq!(read(&longer).unwrap_err().code(), "damaged_backup");
    }

    #[test]
    fn a_later_layout_is_told_from_damage() {
        let mut bytes = archive(&[]);
        bytes[16..20].copy_from_slice(&(LAYOUT_VERSION + 1).to_le_bytes());
        assert_eq!(read(&bytes).unwrap_err().code(), "damaged_backup");
        let checksum = crc32c::crc32c(&bytes[..24]);
        bytes[24..28].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(read(&bytes).unwrap_err().code(), "newer_backup");
    }

    #[test]
    fn chunks_that_change_places_are_noticed() {
        let bytes = archive(&changes());
        let header = 28;
        let first = 8 + u32::from_le_bytes(bytes[header..header + 4].try_into().unwrap()) as usize;
        let mut doubled = bytes[..header + first].to_vec();
        doubled.extend_from_slice(&bytes[header..]);
        assert_eq!(read(&doubled).unwrap_err().code(), "damaged_backup");
        let without = [&bytes[..header], &bytes[header + first..]].concat();
        assert_eq!(read(&without).unwrap_err().code(), "damaged_backup");
    }
}
