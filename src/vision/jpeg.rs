//! JPEG files made here.

use image::{GenericImageView, Rgb, codecs::jpeg::JpegEncoder};

use super::photo::Photo;
use error::{Error, Result};

const QUALITY: u8 = 85;

/// A JPEG of RGB pixels, `width` a row, and nothing beside them. The bands, of whole rows each, stand below each other.
///
/// Errors: `internal` if the encoder fails.
pub(super) fn encode(bands: &[&[u8]], width: u32) -> Result<Vec<u8>> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode_image(&Bands { bands, width })
        .map_err(|cause| Error::internal("cannot encode a photo").with_source(cause))?;
    Ok(jpeg)
}

/// Pixels of several buffers as one picture: nothing is copied to put them together.
struct Bands<'p> {
    bands: &'p [&'p [u8]],
    width: u32,
}

impl GenericImageView for Bands<'_> {
    type Pixel = Rgb<u8>;

    fn dimensions(&self) -> (u32, u32) {
        let bytes: usize = self.bands.iter().map(|band| band.len()).sum();
        (self.width, (bytes / (self.width as usize * Photo::CHANNELS)) as u32)
    }

    /// Panics outside the picture, as the trait says.
    fn get_pixel(&self, x: u32, y: u32) -> Self::Pixel {
        let mut offset = (y as usize * self.width as usize + x as usize) * Photo::CHANNELS;
        let mut bands = self.bands;
        while let [band, below @ ..] = bands
            && offset >= band.len()
        {
            (offset, bands) = (offset - band.len(), below);
        }
        let band = bands[0];
        Rgb([band[offset], band[offset + 1], band[offset + 2]])
    }
}
