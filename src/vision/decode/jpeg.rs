//! JPEG, decoded straight to RGB by zune-jpeg without image's wrapper, which copies the file and hides truncation.

use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use super::{PhotoFormat, PhotoHeader, corrupt, rgb_bytes, unsupported};
use crate::orientation::Orientation;
use error::Result;

/// Bytes of one coefficient, which the decoder keeps for the whole picture if it comes in several scans.
const COEFFICIENT_BYTES: u64 = 2;

/// zune-jpeg takes missing rows before an end marker for grey ones, even in strict mode, but complains of rows that are
/// missing at the end of the bytes: so from this width on it is not shown the marker. It reads 32 bits ahead, which in
/// narrower pictures can be the whole last row; those keep their marker.
const HIDE_END_FROM_WIDTH: u16 = 512;

/// The parts of a JPEG's head that matter before decoding (ITU-T T.81, annex B).
struct Head<'a> {
    frame: Frame,
    exif: Option<&'a [u8]>,
    /// Components in the first scan.
    scan_components: u8,
    /// Where the first scan's data begins.
    data_start: usize,
}

impl Head<'_> {
    /// Whether the picture comes in several scans, so that the decoder must keep coefficients until the last.
    fn keeps_coefficients(&self) -> bool {
        self.frame.progressive || self.scan_components != self.frame.components
    }
}

#[derive(Clone, Copy)]
struct Frame {
    width: u16,
    height: u16,
    components: u8,
    progressive: bool,
}

pub(super) fn read_header(bytes: &[u8]) -> Result<PhotoHeader> {
    let head = read_head(bytes)?;
    let (width, height) = (u32::from(head.frame.width), u32::from(head.frame.height));
    let pixels = u64::from(width) * u64::from(height);
    let keeps_coefficients = head.frame.progressive || head.scan_components != head.frame.components;
    let coefficients =
        if keeps_coefficients { u64::from(head.frame.components) * COEFFICIENT_BYTES * pixels } else { 0 };
    Ok(PhotoHeader {
        format: PhotoFormat::Jpeg,
        width,
        height,
        orientation: head.exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms),
        decoding_bytes: rgb_bytes(width, height) + coefficients,
    })
}

pub(super) fn decode(bytes: &[u8], header: &PhotoHeader) -> Result<Vec<u8>> {
    let head = read_head(bytes)?;
    let end = end_marker(&bytes[head.data_start..]).ok_or_else(|| corrupt("the JPEG breaks off before its end"))?;
    let hide_end = !head.keeps_coefficients() && head.frame.width >= HIDE_END_FROM_WIDTH;
    let readable = if hide_end { &bytes[..head.data_start + end] } else { bytes };
    // Strict: otherwise missing and damaged rows come out grey and nothing is said.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(readable), options);
    decoder.decode_headers().map_err(refused)?;
    if decoder.dimensions() != Some((header.width as usize, header.height as usize)) {
        return Err(corrupt("the JPEG gives its size twice, differently"));
    }
    let mut pixels = vec![0; rgb_bytes(header.width, header.height) as usize];
    decoder.decode_into(&mut pixels).map_err(refused)?;
    Ok(pixels)
}

fn refused(cause: DecodeErrors) -> error::Error {
    match cause {
        DecodeErrors::Unsupported(_) => unsupported("this kind of JPEG is not read"),
        _ => corrupt("the JPEG is damaged or breaks off"),
    }
    .with_source(cause)
}

/// Where the end marker stands; inside compressed data a 0xFF is never followed by 0xD9.
fn end_marker(data: &[u8]) -> Option<usize> {
    data.windows(2).position(|pair| pair == [0xFF, 0xD9])
}

/// Walks the segments up to the first scan.
fn read_head(bytes: &[u8]) -> Result<Head<'_>> {
    let broken = || corrupt("the JPEG's header is damaged or breaks off");
    let (mut frame, mut exif) = (None, None);
    let mut position = 2;
    loop {
        position += bytes.get(position..).and_then(|rest| rest.iter().position(|&b| b == 0xFF)).ok_or_else(broken)?;
        position += bytes[position..].iter().position(|&b| b != 0xFF).ok_or_else(broken)?;
        let marker = bytes[position];
        if matches!(marker, 0x00 | 0x01 | 0xD0..=0xD8) {
            continue; // Stuffing and markers without a segment.
        }
        let segment = segment(bytes, position + 1).ok_or_else(broken)?;
        position += 3 + segment.len();
        match marker {
            0xC0..=0xC2 => frame = Some(read_frame(segment, marker == 0xC2)?),
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => return Err(unsupported("this kind of JPEG is not read")),
            0xD9 => return Err(broken()),
            0xDA => {
                let (frame, scan_components) = frame.zip(segment.first().copied()).ok_or_else(broken)?;
                return Ok(Head { frame, exif, scan_components, data_start: position });
            }
            0xE1 if exif.is_none() => exif = segment.strip_prefix(b"Exif\0\0"),
            _ => {}
        }
    }
}

/// The segment whose length field stands at `position`, without the field.
fn segment(bytes: &[u8], position: usize) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes([*bytes.get(position)?, *bytes.get(position + 1)?]));
    bytes.get(position + 2..position + length)
}

fn read_frame(segment: &[u8], progressive: bool) -> Result<Frame> {
    let &[precision, height_high, height_low, width_high, width_low, components, ..] = segment else {
        return Err(corrupt("the JPEG's frame header is damaged"));
    };
    if precision != 8 {
        return Err(unsupported("JPEG with more than 8 bits a channel is not read"));
    }
    let height = u16::from_be_bytes([height_high, height_low]);
    let width = u16::from_be_bytes([width_high, width_low]);
    Ok(Frame { width, height, components, progressive })
}
