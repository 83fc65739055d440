//! JPEG files made here.

use image::{ExtendedColorType, codecs::jpeg::JpegEncoder};

use error::{Error, Result};

const QUALITY: u8 = 85;

/// A JPEG of `width × height` RGB pixels, and nothing beside them.
///
/// Errors: `internal` if the encoder fails.
pub(super) fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode(pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(|cause| Error::internal("cannot encode a photo").with_source(cause))?;
    Ok(jpeg)
}
