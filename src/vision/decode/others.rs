//! All formats but JPEG and HEIC, through the decoders of `image`.

use std::{borrow::Cow, io::Cursor};

use image::{
    DynamicImage, ImageDecoder, ImageError, ImageResult, Limits,
    codecs::{bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, tiff::TiffDecoder, webp::WebPDecoder},
};

use super::{DecodeLimits, PhotoFormat, PhotoHeader, check_size, corrupt, png, rgb_bytes, tiff, unsupported};
use crate::{exif::Exif, orientation::Orientation};
use error::{Error, Result};

/// What a decoder may hold beside pixels: tables, and the compressed form of a picture that is smaller than it.
const TABLES_BYTES: u64 = 1 << 20;

pub(super) fn read_header(bytes: &[u8], format: PhotoFormat, limits: &DecodeLimits) -> Result<PhotoHeader> {
    let head = match format {
        PhotoFormat::Png => Cow::Owned(png::head(bytes)),
        _ => Cow::Borrowed(bytes),
    };
    let decoder = open(&head, format)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, limits)?;
    let decoding_bytes = held_by(&*decoder) + rgb_bytes(width, height) + copied(bytes, format);
    // Damaged metadata is no reason to refuse a good picture.
    let orientation = super::exif(bytes, format).and_then(|block| Exif::new(&block)?.orientation());
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    Ok(PhotoHeader { format, width, height, orientation, decoding_bytes })
}

pub(super) fn decode(bytes: &[u8], header: &PhotoHeader) -> Result<Vec<u8>> {
    let matters = match header.format {
        PhotoFormat::Png => png::that_matters(bytes),
        _ => Cow::Borrowed(bytes),
    };
    let mut decoder = open(&matters, header.format)?;
    if decoder.dimensions() != (header.width, header.height) {
        return Err(corrupt("these are not the bytes that the header was read from"));
    }
    let allowance = held_by(&*decoder);
    decoder.set_limits(at_most(allowance)).map_err(refused)?;
    Ok(DynamicImage::from_decoder(decoder).map_err(refused)?.into_rgb8().into_raw())
}

/// The most that a decoder holds: GIF, WebP and TIFF are put together in a buffer of the decoder's own beside the
/// picture.
fn held_by(decoder: &dyn ImageDecoder) -> u64 {
    2 * decoder.total_bytes() + TABLES_BYTES
}

/// The most that a decoder, whatever the picture's size, holds of the file. `image-webp` 0.2 makes room for a partition
/// before it reads it, for as many bytes as 24 bits say, and holds the last one three times while it grows.
fn copied(bytes: &[u8], format: PhotoFormat) -> u64 {
    let file = bytes.len() as u64;
    match format {
        PhotoFormat::Png => file,
        PhotoFormat::WebP => 3 * file + (1 << 24),
        _ => 0,
    }
}

fn open<'a>(bytes: &'a [u8], format: PhotoFormat) -> Result<Box<dyn ImageDecoder + 'a>> {
    if format == PhotoFormat::Tiff {
        tiff::check_index(bytes)?;
    }
    open_checked(bytes, format).map_err(refused)
}

fn open_checked<'a>(bytes: &'a [u8], format: PhotoFormat) -> ImageResult<Box<dyn ImageDecoder + 'a>> {
    let reader = Cursor::new(bytes);
    Ok(match format {
        PhotoFormat::WebP => Box::new(WebPDecoder::new(reader)?),
        PhotoFormat::Gif => Box::new(GifDecoder::new(reader)?),
        PhotoFormat::Bmp => Box::new(BmpDecoder::new(reader)?),
        PhotoFormat::Tiff => Box::new(TiffDecoder::new(reader)?),
        _ => Box::new(PngDecoder::new(reader)?),
    })
}

/// Only the allocation is limited: sides are checked by [`check_size`], whose errors say which limit it was.
fn at_most(bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bytes);
    limits
}

fn refused(cause: ImageError) -> Error {
    match cause {
        ImageError::Unsupported(_) => unsupported("this kind of image is not read"),
        _ => corrupt("the image is damaged or breaks off"),
    }
    .with_source(cause)
}
