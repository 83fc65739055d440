//! JPEG. What cameras write is decoded straight to RGB by zune-jpeg, without image's wrapper, which copies the file and
//! hides truncation; the kinds that zune-jpeg takes for other pictures are decoded here ([`sequential`]) or refused.

mod frame;
mod huffman;
mod inverse;
mod planes;
mod segments;
mod sequential;

use std::borrow::Cow;

use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use self::{
    frame::{Frame, read_scan},
    segments::{APP_0, APP_1, APP_14, END, HUFFMAN, QUANTISATION, RESTART_INTERVAL, SCAN, START, Segment, segments},
};
use super::{PhotoFormat, PhotoHeader, corrupt, rgb_bytes, unsupported};
use crate::{
    exif::{self, Exif},
    orientation::Orientation,
};
use error::Result;

/// Bytes of one coefficient, which zune-jpeg keeps for the whole picture if it is progressive.
const COEFFICIENT_BYTES: u64 = 2;

/// zune-jpeg takes missing rows before an end marker for grey ones, even in strict mode, but complains of rows that are
/// missing at the end of the bytes: so from this width on it is not shown the marker. It reads 32 bits ahead, which in
/// narrower pictures can be the whole last row; those are gone through beforehand.
const HIDE_END_FROM_WIDTH: u16 = 512;

/// The parts of a JPEG's head that matter before decoding.
pub(super) struct Head<'a> {
    frame: Frame,
    exif: Option<&'a [u8]>,
    is_jfif: bool,
    /// Adobe's number for how colours are stored.
    adobe: Option<u8>,
    /// Whether all components come together in the first scan, in the frame's order.
    is_interleaved: bool,
    /// Whether it has Huffman tables, and no bytes between its segments.
    is_strict: bool,
    /// Where the first scan's marker stands.
    scan_start: usize,
}

/// Who decodes a picture.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Zune,
    Sequential,
}

impl Head<'_> {
    /// Errors where nobody gives the right pixels: `unsupported` (`unsupported_format`).
    fn reader(&self) -> Result<Reader> {
        let Frame { is_progressive, .. } = self.frame;
        if self.frame.is_common() && (is_progressive || self.is_interleaved) {
            return Ok(Reader::Zune);
        }
        if is_progressive {
            return Err(unsupported(
                "this rare kind of progressive JPEG is not read: store it as a plain JPEG or as PNG",
            ));
        }
        Ok(Reader::Sequential)
    }

    /// As libjpeg guesses it.
    fn is_rgb(&self) -> bool {
        let has_letters = || self.frame.components.iter().map(|component| component.id).eq(*b"RGB");
        match self.adobe {
            _ if self.is_jfif => false,
            Some(transform) => transform == 0,
            None => has_letters(),
        }
    }

    /// Whether zune-jpeg is given the file as it came, and not what [`plain`] makes of it.
    fn is_plain(&self, bytes: &[u8]) -> bool {
        self.is_strict && bytes.ends_with(&[0xFF, END])
    }

    /// What is held while the pixels are made.
    fn decoding_bytes(&self, bytes: &[u8]) -> u64 {
        let (width, height) = (u32::from(self.frame.width), u32::from(self.frame.height));
        let coefficients =
            || self.frame.components.len() as u64 * COEFFICIENT_BYTES * u64::from(width) * u64::from(height);
        let held = match self.reader() {
            Ok(Reader::Sequential) => sequential::planes_bytes(&self.frame),
            _ if self.frame.is_progressive => coefficients(),
            _ => 0,
        };
        let copied = if self.is_plain(bytes) { 0 } else { bytes.len() as u64 };
        rgb_bytes(width, height) + held + copied
    }
}

pub(super) fn read_header(bytes: &[u8]) -> Result<PhotoHeader> {
    let head = read_head(bytes)?;
    head.reader()?;
    Ok(PhotoHeader {
        format: PhotoFormat::Jpeg,
        width: head.frame.width.into(),
        height: head.frame.height.into(),
        orientation: head.exif.and_then(Exif::new).and_then(Exif::orientation).unwrap_or(Orientation::NoTransforms),
        decoding_bytes: head.decoding_bytes(bytes),
    })
}

/// The first block of EXIF.
pub(super) fn exif(bytes: &[u8]) -> Option<&[u8]> {
    segments(bytes).take_while(|segment| segment.marker != SCAN).find_map(|segment| exif_of(&segment))
}

fn exif_of<'a>(segment: &Segment<'a>) -> Option<&'a [u8]> {
    (segment.marker == APP_1 && segment.body.starts_with(exif::PREFIX)).then_some(segment.body)
}

pub(super) fn decode(bytes: &[u8], header: &PhotoHeader) -> Result<Vec<u8>> {
    let head = read_head(bytes)?;
    if (u32::from(head.frame.width), u32::from(head.frame.height)) != (header.width, header.height) {
        return Err(corrupt("these are not the bytes that the header was read from"));
    }
    match head.reader()? {
        Reader::Sequential => sequential::decode(bytes, &head),
        Reader::Zune => decode_by_zune(bytes, header, &head),
    }
}

fn decode_by_zune(bytes: &[u8], header: &PhotoHeader, head: &Head<'_>) -> Result<Vec<u8>> {
    let is_narrow = head.frame.width < HIDE_END_FROM_WIDTH;
    let last = segments(bytes).last().filter(|last| last.marker == END);
    let hides_end = !head.frame.is_progressive && !is_narrow;
    let readable = match last {
        // Of a progressive picture nobody can tell whether all of it is there.
        None if head.frame.is_progressive => return Err(corrupt("the JPEG breaks off before its end")),
        Some(end) if hides_end => &bytes[..end.start],
        Some(end) => &bytes[..end.end()],
        None => bytes,
    };
    if !head.frame.is_progressive && is_narrow {
        sequential::require_whole(bytes, &head.frame)?;
    }
    let needs_end = last.is_none() && !hides_end;
    let readable = if head.is_strict && !needs_end {
        Cow::Borrowed(readable)
    } else {
        Cow::Owned(plain(readable, head, needs_end))
    };
    // Strict: otherwise missing and damaged rows come out grey and nothing is said.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&*readable), options);
    decoder.decode_headers().map_err(refused)?;
    if decoder.dimensions() != Some((header.width as usize, header.height as usize)) {
        return Err(corrupt("the JPEG gives its size twice, differently"));
    }
    let mut pixels = vec![0; rgb_bytes(header.width, header.height) as usize];
    decoder.decode_into(&mut pixels).map_err(refused)?;
    Ok(pixels)
}

/// The same picture as a decoder wants it that is stricter than libjpeg: with the standard Huffman tables where there are
/// none, without stray bytes, and with an end.
fn plain(bytes: &[u8], head: &Head<'_>, needs_end: bool) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len() + huffman::STANDARD.len() + 8);
    plain.extend([0xFF, START]);
    let mut put = |marker: u8, body: &[u8]| {
        plain.extend([0xFF, marker]);
        plain.extend((body.len() as u16 + 2).to_be_bytes());
        plain.extend(body);
    };
    put(HUFFMAN, &huffman::STANDARD);
    for segment in segments(bytes).take_while(|segment| segment.marker != SCAN) {
        if matches!(segment.marker, APP_0 | APP_14 | 0xC0..=0xC2 | HUFFMAN | QUANTISATION | RESTART_INTERVAL) {
            put(segment.marker, segment.body);
        }
    }
    plain.extend(&bytes[head.scan_start..]);
    plain.extend([0xFF, END].iter().filter(|_| needs_end));
    plain
}

fn refused(cause: DecodeErrors) -> error::Error {
    match cause {
        DecodeErrors::Unsupported(_) => unsupported("this kind of JPEG is not read"),
        _ => corrupt("the JPEG is damaged or breaks off"),
    }
    .with_source(cause)
}

/// Walks the segments up to the first scan.
fn read_head(bytes: &[u8]) -> Result<Head<'_>> {
    let broken = || corrupt("the JPEG's header is damaged or breaks off");
    let (mut frame, mut exif, mut adobe) = (None, None, None);
    let (mut is_jfif, mut has_huffman, mut has_strays) = (false, false, false);
    for segment in segments(bytes) {
        has_strays |= segment.strays > 0;
        match segment.marker {
            0xC0..=0xC2 if frame.is_some() => return Err(broken()),
            0xC0..=0xC2 => frame = Some(Frame::read(segment.body, segment.marker == 0xC2)?),
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => {
                return Err(unsupported("this kind of JPEG is not read: store it as a plain JPEG or as PNG"));
            }
            HUFFMAN => has_huffman = true,
            APP_0 => is_jfif |= segment.body.starts_with(b"JFIF\0"),
            APP_1 if exif.is_none() => exif = exif_of(&segment),
            APP_14 if segment.body.starts_with(b"Adobe") => adobe = segment.body.get(11).copied(),
            END => break,
            SCAN => {
                let frame = frame.ok_or_else(broken)?;
                let parts = read_scan(segment.body, &frame)?;
                let is_interleaved = parts.iter().map(|part| part.component).eq(0..frame.components.len());
                let scan_start = segment.start;
                let is_strict = has_huffman && !has_strays;
                return Ok(Head { frame, exif, is_jfif, adobe, is_interleaved, is_strict, scan_start });
            }
            _ => {}
        }
    }
    Err(broken())
}
