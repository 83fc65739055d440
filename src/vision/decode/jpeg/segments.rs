//! A JPEG's segments in their order (ITU-T T.81, annex B), each with the compressed data behind it. Bytes between
//! segments that belong to none are passed over, as libjpeg does.

pub(super) const START: u8 = 0xD8;
pub(super) const END: u8 = 0xD9;
pub(super) const SCAN: u8 = 0xDA;
pub(super) const QUANTISATION: u8 = 0xDB;
pub(super) const HUFFMAN: u8 = 0xC4;
pub(super) const RESTART_INTERVAL: u8 = 0xDD;
/// JFIF.
pub(super) const APP_0: u8 = 0xE0;
/// EXIF, among others.
pub(super) const APP_1: u8 = 0xE1;
/// Adobe's word on colours.
pub(super) const APP_14: u8 = 0xEE;

/// Behind the start marker.
const FIRST_AT: usize = 2;
/// Before each marker's number.
const PREFIX: u8 = 0xFF;

/// A marker with what belongs to it.
#[derive(Clone, Copy)]
pub(super) struct Segment<'a> {
    /// Its number, behind 0xFF.
    pub(super) marker: u8,
    /// Its parameters, without their length.
    pub(super) body: &'a [u8],
    /// Where the marker stands.
    pub(super) start: usize,
    /// Bytes before the marker that belong to no segment.
    pub(super) strays: usize,
    /// All that follows.
    behind: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Compressed data behind the parameters of a scan, with its restart markers. Goes through it.
    pub(super) fn data(&self) -> &'a [u8] {
        if self.marker == SCAN { &self.behind[..compressed_bytes(self.behind)] } else { &[] }
    }

    /// Where what belongs to it ends.
    pub(super) fn end(&self) -> usize {
        let length_bytes = if self.marker == END { 0 } else { 2 };
        self.start + 2 + length_bytes + self.body.len() + self.data().len()
    }
}

/// All segments up to the end marker, which is the last; none where the bytes break off.
pub(super) fn segments(bytes: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let first = next(bytes, FIRST_AT);
    std::iter::successors(first, move |last| if last.marker == END { None } else { next(bytes, last.end()) })
}

fn next(bytes: &[u8], from: usize) -> Option<Segment<'_>> {
    let mut at = from;
    let marker = loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == PREFIX)?;
        let behind = at + bytes[at..].iter().position(|&byte| byte != PREFIX)?;
        if !matches!(bytes[behind], 0x00 | 0x01 | 0xD0..=START) {
            at = behind - 1;
            break bytes[behind];
        }
        at = behind; // Stuffing and markers without a segment.
    };
    let strays = bytes[from..at].iter().filter(|&&byte| byte != PREFIX).count();
    if marker == END {
        return Some(Segment { marker, body: &[], start: at, strays, behind: &[] });
    }
    let length = usize::from(u16::from_be_bytes(*bytes.get(at + 2..)?.first_chunk()?));
    let body = bytes.get(at + 4..at + 2 + length)?;
    Some(Segment { marker, body, start: at, strays, behind: &bytes[at + 2 + length..] })
}

/// How many bytes there are before the next marker that is none of a restart.
fn compressed_bytes(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(step) = bytes[at..].iter().position(|&byte| byte == PREFIX) {
        at += step;
        match bytes.get(at + 1) {
            Some(0x00 | 0xD0..=0xD7) => at += 2,
            Some(&PREFIX) => at += 1,
            Some(_) => return at,
            None => break,
        }
    }
    bytes.len()
}
