//! ISO base media files (ISO/IEC 14496-12): HEIC, AVIF and videos, none of which are read, told apart for the answer.

use super::unsupported;
use error::Error;

const HEIC_BRANDS: [&[u8; 4]; 8] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"];
const AVIF_BRANDS: [&[u8; 4]; 2] = [b"avif", b"avis"];
/// The type of a file's first box.
const FILE_TYPE: [u8; 4] = *b"ftyp";
/// HEIF (ISO/IEC 23008-12) whatever codes its pictures.
const HEIF_BRANDS: [&[u8; 4]; 4] = [b"mif1", b"mif2", b"msf1", b"miaf"];

/// The error for a file that begins like one of these; `None` for all others.
pub(super) fn refusal(bytes: &[u8]) -> Option<Error> {
    let brands = brands(bytes)?;
    let has = |names: &[&[u8; 4]]| brands.iter().any(|brand| names.contains(&brand));
    let (format, message) = if has(&HEIC_BRANDS) {
        ("heic", "HEIC is not read: let the camera store JPEG (\"most compatible\"), or send JPEG, PNG or WebP")
    } else if has(&AVIF_BRANDS) {
        ("avif", "AVIF is not read: send JPEG, PNG or WebP")
    } else if has(&HEIF_BRANDS) {
        ("heif", "HEIF is not read: send JPEG, PNG or WebP")
    } else {
        ("video", "this is a video: send a photo as JPEG, PNG or WebP")
    };
    Some(unsupported(message).with_details(serde_json::json!({ "format": format })))
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
        let details = refusal(bytes)?.details()?.clone();
        Some(details["format"].as_str()?.to_owned())
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
            assert!(refusal(other).is_none(), "{other:?}");
        }
    }
}
