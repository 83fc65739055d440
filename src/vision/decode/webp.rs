//! WebP's chunks (RFC 9649, section 2.3), for what cameras say beside the pixels.

/// The form's name, its length, and the format's name.
const HEAD_BYTES: usize = 12;

/// The block of EXIF.
pub(super) fn exif(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(HEAD_BYTES..)?;
    loop {
        let (kind, length) = (rest.get(..4)?, *rest.get(4..)?.first_chunk()?);
        let length = u32::from_le_bytes(length) as usize;
        let body = rest.get(8..)?;
        if kind == b"EXIF" {
            return body.get(..length);
        }
        // Each begins at an even place.
        rest = body.get(length.checked_next_multiple_of(2)?..)?;
    }
}
