//! ISO base media files (ISO/IEC 14496-12): HEIC, which is read where the feature `heic` is, told from AVIF and videos,
//! which are not.

use super::{PhotoFormat, unsupported};
use error::{Error, Result};

const HEIC_BRANDS: [&[u8; 4]; 8] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"];
const AVIF_BRANDS: [&[u8; 4]; 2] = [b"avif", b"avis"];
/// HEIC where it is read.
const READ_HEIC: Option<PhotoFormat> = {
    #[cfg(feature = "heic")]
    let format = Some(PhotoFormat::Heic);
    #[cfg(not(feature = "heic"))]
    let format = None;
    format
};
const HEIC_REFUSAL: &str =
    "HEIC is not read: let the camera store JPEG (\"most compatible\"), or send JPEG, PNG or WebP";
/// The type of a file's first box.
const FILE_TYPE: [u8; 4] = *b"ftyp";
/// That of the box with lists.
#[cfg(feature = "heic")]
const LISTS: &[u8] = b"meta";
/// HEIF (ISO/IEC 23008-12) whatever codes its pictures.
const HEIF_BRANDS: [&[u8; 4]; 4] = [b"mif1", b"mif2", b"msf1", b"miaf"];

/// The format of a file that begins like one of these; `None` for all others. Errors for those that are not read.
pub(super) fn sniff(bytes: &[u8]) -> Option<Result<PhotoFormat>> {
    let brands = brands(bytes)?;
    let has = |names: &[&[u8; 4]]| brands.iter().any(|brand| names.contains(&brand));
    Some(if has(&HEIC_BRANDS) {
        READ_HEIC.ok_or_else(|| refusal("heic", HEIC_REFUSAL))
    } else if has(&AVIF_BRANDS) {
        Err(refusal("avif", "AVIF is not read: send JPEG, PNG or WebP"))
    } else if has(&HEIF_BRANDS) {
        Err(refusal("heif", "HEIF is not read: send JPEG, PNG or WebP"))
    } else {
        Err(refusal("video", "this is a video: send a photo as JPEG, PNG or WebP"))
    })
}

fn refusal(format: &'static str, message: &'static str) -> Error {
    unsupported(message).with_details(serde_json::json!({ "format": format }))
}

/// Bytes of the largest box with lists of what is in the file.
#[cfg(feature = "heic")]
pub(super) fn lists_bytes(mut bytes: &[u8]) -> usize {
    let mut largest = 0;
    while let Some((size, kind)) = bytes.first_chunk::<4>().zip(bytes.get(4..8)) {
        let size = match u32::from_be_bytes(*size) {
            0 => bytes.len(),
            // Longer than 32 bits tell.
            1 => bytes.get(8..).and_then(<[u8]>::first_chunk).map_or(0, |size| u64::from_be_bytes(*size) as usize),
            size => size as usize,
        };
        let size = size.clamp(8, bytes.len());
        if kind == LISTS {
            largest = largest.max(size);
        }
        bytes = &bytes[size..];
    }
    largest
}

/// The brands of the first box: the major one, then the compatible ones after the minor version. A size that reaches
/// beyond the file ends with it.
fn brands(bytes: &[u8]) -> Option<Vec<[u8; 4]>> {
    let (head, _) = bytes.as_chunks::<4>();
    let [size, FILE_TYPE, major, rest @ ..] = head else { return None };
    let box_words = (u32::from_be_bytes(*size) / 4) as usize;
    let compatible = rest.iter().take(box_words.saturating_sub(3)).skip(1);
    Some(std::iter::once(major).chain(compatible).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format_of(bytes: &[u8]) -> Option<String> {
        match sniff(bytes)? {
            Ok(format) => Some(format!("{format:?}").to_lowercase()),
            Err(refusal) => Some(refusal.details()?["format"].as_str()?.to_owned()),
        }
    }

    #[test]
    fn each_kind_is_named() {
        let file = |major: &[u8; 4], compatible: &[u8]| {
            let size = (16 + compatible.len() as u32).to_be_bytes();
            [&size[..], b"ftyp", major, &[0; 4], compatible, b"\0\0\0\x08mdatavif"].concat()
        };
        let table: [(&[u8; 4], &[u8], &str); 6] = [
            (b"heic", b"mif1heic", "heic"),
            (b"mif1", b"mif1heicmiaf", "heic"),
            (b"mif1", b"miafavif", "avif"),
            (b"avif", b"", "avif"),
            (b"mif1", b"miaf", "heif"),
            // What follows the first box is not one of its brands.
            (b"isom", b"iso2avc1mp41", "video"),
        ];
        for (major, compatible, expected) in table {
            assert_eq!(format_of(&file(major, compatible)).as_deref(), Some(expected), "{major:?}");
        }
        assert_eq!(format_of(b"\xFF\xFF\xFF\xFFftypheic").as_deref(), Some("heic"), "a size beyond the end");
        assert_eq!(format_of(b"\0\0\0\0ftypheic").as_deref(), Some("heic"));
        for other in [&b""[..], b"ftyp", b"\0\0\0\x18ftyp", b"\xFF\xD8\xFF\xE0\0\x10JFIF", b"GIF89a......"] {
            assert!(sniff(other).is_none(), "{other:?}");
        }
    }
}
