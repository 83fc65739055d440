//! PNG's chunks (ISO/IEC 15948, clause 5): only those that pixels and orientation are made of reach the decoder. Colour
//! profiles and texts are compressed, so some kilobytes of file can be gigabytes of them.

use std::borrow::Cow;

const SIGNATURE_BYTES: usize = 8;
/// A chunk's length, type and checksum.
const FRAME_BYTES: usize = 12;
/// Of which there may be one each, and the most bytes that it may have: camera's words are no longer than in a JPEG.
const SINGLE: [([u8; 4], usize); 4] = [(*b"IHDR", 13), (*b"PLTE", 3 * 256), (*b"eXIf", 64 << 10), (*b"IEND", 0)];
/// The picture that an animation falls back to is among them; its frames are not.
const PIXELS: [u8; 4] = *b"IDAT";
/// As much of the pixels as shows a decoder that they begin.
const PIXELS_BEGIN_BYTES: usize = 64;

/// A file as far as it matters, copied where something is left out. A chunk that breaks off stays, for the decoder to
/// complain of.
pub(super) fn that_matters(bytes: &[u8]) -> Cow<'_, [u8]> {
    let matters_bytes = kept(bytes).map(<[u8]>::len).sum();
    if matters_bytes == bytes.len() {
        return Cow::Borrowed(bytes);
    }
    let mut matters = Vec::with_capacity(matters_bytes);
    for part in kept(bytes) {
        matters.extend_from_slice(part);
    }
    Cow::Owned(matters)
}

/// What a file says before its pixels, and where they begin.
pub(super) fn head(bytes: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for part in kept(bytes) {
        if part.get(4..8) == Some(&PIXELS) {
            head.extend_from_slice(&part[..part.len().min(PIXELS_BEGIN_BYTES)]);
            break;
        }
        head.extend_from_slice(part);
    }
    head
}

/// The block of EXIF, wherever it stands.
pub(super) fn exif(bytes: &[u8]) -> Option<&[u8]> {
    let (_, chunk) = chunks(bytes).find(|(kind, _)| kind == b"eXIf")?;
    chunk.get(8..chunk.len().checked_sub(4)?)
}

/// The signature and the chunks that matter.
fn kept(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut has_come = [false; SINGLE.len()];
    let matters = chunks(bytes).filter(move |(kind, chunk)| {
        let place = SINGLE.iter().position(|(single, _)| single == kind);
        place.map_or(*kind == PIXELS, |place| {
            chunk.len() <= SINGLE[place].1 + FRAME_BYTES && !std::mem::replace(&mut has_come[place], true)
        })
    });
    std::iter::once(&bytes[..SIGNATURE_BYTES.min(bytes.len())]).chain(matters.map(|(_, chunk)| chunk))
}

/// Types and whole chunks; the last one as far as it goes.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes.get(SIGNATURE_BYTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, kind) = (rest.first_chunk()?, rest.get(4..)?.first_chunk()?);
        let length = (u32::from_be_bytes(*length) as usize).saturating_add(FRAME_BYTES);
        let (chunk, behind) = rest.split_at(length.min(rest.len()));
        rest = behind;
        Some((*kind, chunk))
    })
}
