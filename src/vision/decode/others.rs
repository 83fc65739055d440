//! All formats but JPEG, through the decoders of `image`.

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageResult, Limits,
    codecs::{bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder},
};

use super::{DecodeLimits, PhotoFormat, PhotoHeader, check_size, corrupt, rgb_bytes, unsupported};
use crate::orientation::Orientation;
use error::{Error, Result};

/// The widest pixel: four channels of 32 bits, as TIFF may have.
const WIDEST_PIXEL_BYTES: u64 = 16;

pub(super) fn read_header(bytes: &[u8], format: PhotoFormat, limits: &DecodeLimits) -> Result<PhotoHeader> {
    let mut decoder = open(bytes, format, limits).map_err(refused)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    // GIF, WebP and TIFF are put together in a buffer of the decoder's own, and all but RGB is converted.
    let decoding_bytes = 2 * decoder.total_bytes() + rgb_bytes(width, height);
    // Damaged metadata is no reason to refuse a good picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok(PhotoHeader { format, width, height, orientation, decoding_bytes })
}

pub(super) fn decode(bytes: &[u8], header: &PhotoHeader, limits: &DecodeLimits) -> Result<Vec<u8>> {
    let mut decoder = open(bytes, header.format, limits).map_err(refused)?;
    if decoder.dimensions() != (header.width, header.height) {
        return Err(corrupt("these are not the bytes that the header was read from"));
    }
    decoder.set_limits(image_limits(limits)).map_err(refused)?;
    Ok(DynamicImage::from_decoder(decoder).map_err(refused)?.into_rgb8().into_raw())
}

fn open<'a>(bytes: &'a [u8], format: PhotoFormat, limits: &DecodeLimits) -> ImageResult<Box<dyn ImageDecoder + 'a>> {
    let reader = Cursor::new(bytes);
    Ok(match format {
        PhotoFormat::WebP => Box::new(WebPDecoder::new(reader)?),
        PhotoFormat::Gif => Box::new(GifDecoder::new(reader)?),
        PhotoFormat::Bmp => Box::new(BmpDecoder::new(reader)?),
        PhotoFormat::Tiff => Box::new(TiffDecoder::new(reader)?),
        PhotoFormat::Png | PhotoFormat::Jpeg => Box::new(PngDecoder::with_limits(reader, allocation(limits))?),
    })
}

fn image_limits(limits: &DecodeLimits) -> Limits {
    let mut strict = allocation(limits);
    strict.max_image_width = Some(limits.max_side);
    strict.max_image_height = Some(limits.max_side);
    strict
}

/// Only the allocation is limited: sides are checked by [`check_size`], whose errors say which limit it was.
fn allocation(limits: &DecodeLimits) -> Limits {
    let mut loose = Limits::no_limits();
    loose.max_alloc = Some(limits.max_pixels.saturating_mul(WIDEST_PIXEL_BYTES));
    loose
}

fn refused(cause: ImageError) -> Error {
    match cause {
        ImageError::Unsupported(_) => unsupported("this kind of image is not read"),
        _ => corrupt("the image is damaged or breaks off"),
    }
    .with_source(cause)
}
