//! What a file may ask of the decoder, which asks little itself: a container may list nothing a million times, name the
//! same bytes again and again, and hold a piece that is far larger than it says, or whose blocks are coded many times
//! over. What is let through costs about as much time and memory as a picture of its size.

use std::collections::BTreeSet;

use heifer::{
    heifer_hevc_dec::{
        nal::{NalUnit, split_annex_b},
        params::{ParameterSets, Sps},
    },
    heifer_isobmff::{FourCC, HeifFile, ItemId, boxes::Property},
};

use super::{corrupt, not_read, refused};
use error::Result;

/// The most pieces: one of 65 megapixels has some 250.
const MAX_PIECES: usize = 1024;
/// The most units of a piece, with its parameters and what is said beside the picture.
const MAX_UNITS: usize = 64;
/// The most slices of a piece. Each may code the whole of it again.
const MAX_SLICES: usize = 8;
/// The most blocks of metadata that speak of a picture.
const MAX_METADATA: usize = 8;
/// What parts units in the stream that the decoder makes of a piece.
const START: &[u8] = &[0, 0, 1];

/// Errors where places of items take no bytes in the list of them, so that one of 128 KB would name more than memory
/// holds. Looked for in all of the file: another reader might find the list elsewhere.
pub(super) fn require_sized_places(bytes: &[u8]) -> Result<()> {
    // Behind its name the list has a version, then the sizes of its fields in halves of bytes: offset, length, base, index.
    let takes_none =
        |at: &[u8]| at.starts_with(b"iloc") && at.get(8) == Some(&0) && at.get(9).is_some_and(|two| two % 16 == 0);
    if bytes.windows(10).any(takes_none) { Err(corrupt("the HEIC lists places of no size")) } else { Ok(()) }
}

/// Errors where more speaks of a picture than of any photo.
pub(super) fn require_little_metadata(file: &HeifFile<'_>) -> Result<()> {
    let speaking = file.referencing_items(file.primary_id, b"cdsc").len();
    if speaking > MAX_METADATA { Err(corrupt("the HEIC has more metadata than any photo needs")) } else { Ok(()) }
}

/// Errors unless each of the pieces of a picture is one and is decoded once, and the picture and its pieces are
/// cropped, turned and mirrored once at most.
pub(super) fn require_plain(file: &HeifFile<'_>, pieces: &[ItemId]) -> Result<()> {
    let (primary, different) = (file.primary_id, pieces.iter().collect::<BTreeSet<_>>().len());
    if pieces.len() > MAX_PIECES || different < pieces.len() {
        return Err(corrupt("the HEIC has too many pieces, or one of them twice"));
    }
    let alphas = |item: ItemId| file.referencing_items(item, b"auxl").len();
    let transformations = |item: ItemId| -> Result<[usize; 3]> {
        let mut counts = [0; 3];
        for property in file.item_properties(item).map_err(|cause| refused(cause.into()))? {
            match property {
                Property::CleanAperture { .. } => counts[0] += 1,
                Property::Rotation(_) => counts[1] += 1,
                Property::Mirror(_) => counts[2] += 1,
                _ => {}
            }
        }
        Ok(counts)
    };
    for &item in pieces.iter().chain([&primary]) {
        let is_once = transformations(item)?.iter().all(|&count| count <= 1);
        if !is_once || item != primary && alphas(item) > 0 {
            return Err(not_read());
        }
    }
    Ok(())
}

/// Bytes of a piece. Errors where it is coded larger than `width` × `height`, or more often than once.
pub(super) fn compressed_bytes(file: &HeifFile<'_>, piece: ItemId, width: u32, height: u32) -> Result<usize> {
    let stream = file.hevc_bitstream(piece).map_err(|cause| refused(cause.into()))?;
    require_coded_once(&stream, width, height)?;
    Ok(stream.len())
}

/// The same of what the decoder sees of it: in the container units have lengths, which a start inside of one belies.
fn require_coded_once(stream: &[u8], width: u32, height: u32) -> Result<()> {
    if stream.windows(START.len()).filter(|bytes| *bytes == START).count() > MAX_UNITS {
        return Err(not_read());
    }
    let (mut sets, mut slices) = (ParameterSets::default(), 0);
    for unit in split_annex_b(stream) {
        let unit = NalUnit::parse(unit).map_err(|cause| refused(cause.into()))?;
        if unit.header.unit_type.is_slice() {
            slices += 1;
        } else {
            sets.add(&unit).map_err(|cause| refused(cause.into()))?;
        }
        // Of those of one number the later counts, so each is looked at when it comes.
        let is_larger = |sps: &Sps| sps.pic_width_in_luma_samples > width || sps.pic_height_in_luma_samples > height;
        if sets.sps.iter().flatten().any(is_larger) {
            return Err(corrupt("a piece of the HEIC is larger than it should be"));
        }
    }
    if slices > MAX_SLICES { Err(not_read()) } else { Ok(()) }
}

/// What a piece is.
pub(super) fn type_of(file: &HeifFile<'_>, item: ItemId) -> Result<FourCC> {
    Ok(file.item(item).map_err(|cause| refused(cause.into()))?.item_type)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::fixture, *};
    use crate::decode::{DecodeLimits, fuzzing, read_header, taken};

    const LIMITS: DecodeLimits = DecodeLimits { max_bytes: 1 << 20, max_side: 4096, max_pixels: 1 << 19 };

    /// What the decoder sees of the only piece of a fixture.
    fn stream() -> Vec<u8> {
        let bytes = fixture("plain.heic");
        let file = HeifFile::parse(&bytes).unwrap();
        file.hevc_bitstream(file.primary_id).unwrap()
    }

    fn units(stream: &[u8]) -> Vec<&[u8]> {
        split_annex_b(stream).collect()
    }

    fn joined(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [START, unit].concat()).collect()
    }

    fn is_slice(unit: &[u8]) -> bool {
        NalUnit::parse(unit).unwrap().header.unit_type.is_slice()
    }

    fn boxed(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
        [&(8 + content.len() as u32).to_be_bytes()[..], &kind, content].concat()
    }

    #[test]
    fn places_that_take_no_bytes_are_refused_before_they_are_listed() {
        let item = [0, 1, 0, 0, 0xFF, 0xFF];
        let list = [&[0, 0, 0, 0, 0, 0, 0x50, 0][..], &item.repeat(20_000)].concat();
        let bytes = [
            boxed(*b"ftyp", b"heic\0\0\0\0mif1heic"),
            boxed(*b"meta", &[&[0; 4][..], &boxed(*b"iloc", &list)].concat()),
        ];
        let bytes = bytes.concat();
        assert!(bytes.len() < 128 << 10);
        let (header, held) = fuzzing::peak_bytes(|| read_header(&bytes, &LIMITS));
        assert_eq!((header.unwrap_err().code(), held < 64 << 10), ("corrupt_image", true), "{held} bytes");
        let (time, held) = fuzzing::peak_bytes(|| taken(&bytes));
        assert_eq!((time, held < 64 << 10), (None, true), "{held} bytes");
    }

    #[test]
    fn a_piece_is_looked_at_as_the_decoder_sees_it() {
        let stream = stream();
        require_coded_once(&stream, 64, 64).unwrap();
        assert!(require_coded_once(&stream, 16, 16).unwrap_err().message().contains("larger"));
        // A second size inside of a unit that says nothing of it.
        let all = units(&stream);
        let sps = *all.iter().find(|unit| unit[0] >> 1 == 33).unwrap();
        let hidden = joined(&[&[&[78, 1, 5, 0xFF][..], START, sps].concat()]);
        assert!(require_coded_once(&hidden, 16, 16).unwrap_err().message().contains("larger"));
    }

    #[test]
    fn a_piece_is_of_few_units_and_fewer_slices() {
        let stream = stream();
        let all = units(&stream);
        let (slices, others): (Vec<&[u8]>, Vec<&[u8]>) = all.into_iter().partition(|unit| is_slice(unit));
        for (count, is_read) in [(1, true), (MAX_SLICES, true), (MAX_SLICES + 1, false)] {
            let again = joined(&[&others[..], &slices.repeat(count)].concat());
            assert_eq!(require_coded_once(&again, 64, 64).is_ok(), is_read, "{count} slices");
        }
        let many = START.repeat(1 << 20);
        let (refused, held) = fuzzing::peak_bytes(|| require_coded_once(&many, 64, 64));
        assert!(refused.is_err() && held < 64 << 10, "{held} bytes");
    }
}
