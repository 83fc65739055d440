//! sled's log, read past whatever in it cannot be read: sled itself stops at the first such place.
//!
//! The file `db` is a row of segments. A segment has a header and then messages, each about one page of sled's tree:
//! the page as a whole, or one change of it. A message carries a checksum and the number of its segment, which grows
//! with time; so messages in the order of their segments' numbers tell what happened, and in which order. A message that
//! does not fit its checksum is passed over until another one fits.
//!
//! ```text
//! segment  u32 checksum  i64 its place in the log  i64 up to where that was flushed  messages
//! message  u32 checksum  u8 kind  len  segment's number  page's number  len bytes      (numbers as in `numbers`)
//! ```

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{
    numbers::Bytes,
    page::{Change, Leaf},
};
use crate::{
    error::Result,
    store::{
        engine::sled::{
            db::FLUSHES,
            files::{BLOBS, DATA_FILE},
        },
        failures::io_error,
    },
};

/// What sled is opened with, and what it has always been.
pub(super) const SEGMENT_BYTES: usize = 512 << 10;
const SEGMENT_HEADER: usize = 20;
/// sled puts no message so near a segment's end.
const MIN_MESSAGE: usize = 8;

const CAP: u8 = 2;
const BATCH_END: u8 = 3;
const NODE: u8 = 8;
const NODE_OUTSIDE: u8 = 9;
const LINK: u8 = 10;
const LINK_OUTSIDE: u8 = 11;
const LAST_KIND: u8 = 11;

/// What a message says.
pub(super) enum Message {
    /// What the page is.
    Page(Vec<u8>),
    /// A change of the page.
    Change(Vec<u8>),
    /// Up to which place in the log the changes from here on happened together or not at all.
    BatchUpTo(i64),
}

/// A message and where it stands in the log.
pub(super) struct Entry {
    pub(super) at: i64,
    pub(super) page: u64,
    pub(super) message: Message,
}

/// What could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Segments of which nothing could be read.
    pub(super) segments: u64,
    /// Places in other segments where something could not be.
    pub(super) places: u64,
    /// Files in `blobs/` that are missing or damaged.
    pub(super) outside: u64,
}

/// Where a segment begins in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Segment {
    number: u64,
    begin: u64,
    /// Whether its header can be read: without it sled does not see the segment.
    has_header: bool,
}

/// The log of the database in `folder`.
pub(super) struct Log {
    file: File,
    outside: PathBuf,
    /// By number.
    segments: Vec<Segment>,
    /// From this number on none may be missing; of those before, sled may have used some again.
    stable: u64,
    pub(super) unreadable: Unreadable,
}

impl Log {
    /// Looks through the segments' headers. Errors: `Storage` `store_io`.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let file = File::open(folder.join(DATA_FILE)).map_err(io_error)?;
        let bytes = file.metadata().map_err(io_error)?.len();
        let mut log = Self {
            file,
            outside: folder.join(BLOBS),
            segments: Vec::new(),
            stable: 0,
            unreadable: Unreadable::default(),
        };
        for begin in (0..bytes).step_by(SEGMENT_BYTES) {
            if let Some((number, stable)) = by_header(&log.read(begin, SEGMENT_HEADER)?) {
                log.stable = stable.max(log.stable);
                log.segments.push(Segment { number, begin, has_header: true });
                continue;
            }
            let segment = log.segment(begin)?;
            match number_by_messages(&segment) {
                Some(number) => log.segments.push(Segment { number, begin, has_header: false }),
                None if segment.iter().all(|&byte| byte == 0) => {}
                None => log.unreadable.segments += 1,
            }
        }
        // Where sled was cut short while it overwrote a segment, what is left of it has a number that was given again.
        let taken: HashSet<u64> = log.segments.iter().filter(|one| one.has_header).map(|one| one.number).collect();
        log.segments.retain(|segment| segment.has_header || !taken.contains(&segment.number));
        log.segments.sort_unstable();
        Ok(log)
    }

    /// The last byte of the last message that can be read.
    pub(super) fn end(&mut self) -> Result<i64> {
        let Some(&Segment { number, begin, .. }) = self.segments.last() else { return Ok(0) };
        let segment = self.segment(begin)?;
        let ends = messages(&segment, number).filter_map(|(_, found)| found.map(|found| found.end));
        Ok(place(number, ends.last().unwrap_or(SEGMENT_HEADER)) - 1)
    }

    /// Shows all messages in their order.
    pub(super) fn each(&mut self, mut show: impl FnMut(Entry) -> Result<()>) -> Result<()> {
        for segment in self.segments.clone() {
            self.show(segment, &mut |entry| entry.map_or(Ok(()), &mut show))?;
        }
        Ok(())
    }

    /// Shows the messages of the segment `first` and those after it in their order, as far as sled sees the segments, and
    /// `None` for each place that cannot be read and each segment that is missing.
    pub(super) fn each_from(&mut self, first: u64, mut show: impl FnMut(Option<Entry>) -> Result<()>) -> Result<()> {
        let mut next = first.max(self.stable);
        for segment in self.segments.clone() {
            if segment.number < first || !segment.has_header {
                continue;
            }
            if segment.number > next {
                show(None)?;
            }
            next = next.max(segment.number + 1);
            self.show(segment, &mut show)?;
        }
        Ok(())
    }

    fn show(
        &mut self,
        Segment { number, begin, .. }: Segment,
        show: &mut impl FnMut(Option<Entry>) -> Result<()>,
    ) -> Result<()> {
        let segment = self.segment(begin)?;
        for (offset, found) in messages(&segment, number) {
            let Some(Found { kind, page, body, .. }) = found else {
                self.unreadable.places += 1;
                show(None)?;
                continue;
            };
            let message = match kind {
                NODE => Some(Message::Page(body.to_vec())),
                LINK => Some(Message::Change(body.to_vec())),
                NODE_OUTSIDE => self.outside(body, kind).map(Message::Page),
                LINK_OUTSIDE => self.outside(body, kind).map(Message::Change),
                BATCH_END => body.try_into().ok().map(|end| Message::BatchUpTo(i64::from_le_bytes(end))),
                _ => None,
            };
            if let Some(message) = message {
                show(Some(Entry { at: place(number, offset), page, message }))?;
            }
        }
        Ok(())
    }

    fn segment(&mut self, begin: u64) -> Result<Vec<u8>> {
        self.read(begin, SEGMENT_BYTES)
    }

    fn read(&mut self, begin: u64, count: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(begin)).map_err(io_error)?;
        Read::by_ref(&mut self.file).take(count as u64).read_to_end(&mut bytes).map_err(io_error)?;
        Ok(bytes)
    }

    /// What lies in a file of its own, named by the place in the log where it belonged first.
    fn outside(&mut self, name: &[u8], kind: u8) -> Option<Vec<u8>> {
        let name = i64::from_le_bytes(name.try_into().ok()?);
        let whole = fs::read(self.outside.join(name.to_string())).ok();
        let body = whole.as_deref().and_then(|whole| {
            let (checksum, rest) = whole.split_first_chunk()?;
            (u32::from_le_bytes(*checksum) == crc32fast::hash(rest) && rest.first() == Some(&kind))
                .then(|| rest[1..].to_vec())
        });
        self.unreadable.outside += u64::from(body.is_none());
        body
    }
}

fn place(number: u64, offset: usize) -> i64 {
    number as i64 * SEGMENT_BYTES as i64 + offset as i64
}

/// The segment's number by its header, and the number of the one up to which the log was flushed when it was begun.
fn by_header(header: &[u8]) -> Option<(u64, u64)> {
    let header = header.get(..SEGMENT_HEADER)?;
    if u32::from_le_bytes(header[..4].try_into().ok()?) ^ u32::MAX != crc32fast::hash(&header[4..]) {
        return None;
    }
    let place = |at: usize| Some(i64::from_le_bytes(header[at..at + 8].try_into().ok()?) ^ i64::MAX);
    let number = u64::try_from(place(4)?).ok()? / SEGMENT_BYTES as u64;
    Some((number, u64::try_from(place(12)?).unwrap_or(0) / SEGMENT_BYTES as u64))
}

/// The segment's number by the first message that can be read.
fn number_by_messages(segment: &[u8]) -> Option<u64> {
    (SEGMENT_HEADER..segment.len()).find_map(|offset| {
        let found = message_at(segment, offset)?;
        // An empty body says little: what looks like one may be chance.
        (!found.body.is_empty()).then_some(found.number)
    })
}

/// The number of a flush, where a message tells of one.
pub(super) fn flush_in(message: &Message) -> Option<u64> {
    let number = match message {
        Message::Page(body) => {
            let leaf = Leaf::read(body)?;
            leaf.stored.into_iter().find(|(key, _)| key == FLUSHES)?.1
        }
        Message::Change(body) => match Change::read(body)? {
            Change::Set(FLUSHES, number) => number.to_vec(),
            _ => return None,
        },
        Message::BatchUpTo(_) => return None,
    };
    number.try_into().ok().map(u64::from_be_bytes)
}

struct Found<'a> {
    kind: u8,
    /// Of its segment.
    number: u64,
    page: u64,
    body: &'a [u8],
    /// Where it ends in the segment.
    end: usize,
}

/// The messages of a segment and their offsets; `None` for a place where something cannot be read.
fn messages(segment: &[u8], number: u64) -> impl Iterator<Item = (usize, Option<Found<'_>>)> {
    let mut offset = SEGMENT_HEADER;
    let mut is_at_message = true;
    std::iter::from_fn(move || {
        while offset + MIN_MESSAGE <= segment.len() {
            let begin = offset;
            if let Some(found) = message_at(segment, offset).filter(|found| found.number == number) {
                (offset, is_at_message) = (found.end, true);
                return (found.kind != CAP).then_some((begin, Some(found)));
            }
            offset += 1;
            // The rest of a segment that is still being filled is zeros, or what was in it before.
            if std::mem::take(&mut is_at_message) && has_more(segment, begin, number) {
                return Some((begin, None));
            }
        }
        None
    })
}

/// Whether a message of the segment follows.
fn has_more(segment: &[u8], from: usize, number: u64) -> bool {
    (from..segment.len()).any(|offset| message_at(segment, offset).is_some_and(|found| found.number == number))
}

/// The message at `offset`, if there is one.
fn message_at(segment: &[u8], offset: usize) -> Option<Found<'_>> {
    let rest = &segment[offset..];
    let mut bytes = Bytes(rest.get(4..)?);
    let kind = bytes.byte()?;
    if kind == 0 || kind > LAST_KIND {
        return None;
    }
    let (len, number, page) = (bytes.number()?, bytes.number()?, bytes.number()?);
    let header = rest.len() - bytes.0.len();
    let body = bytes.take(usize::try_from(len).ok()?)?;
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(body);
    checksum.update(&rest[4..header]);
    let fits = u32::from_le_bytes(rest[..4].try_into().ok()?) == checksum.finalize() ^ u32::MAX;
    fits.then_some(Found { kind, number, page, body, end: offset + header + body.len() })
}
