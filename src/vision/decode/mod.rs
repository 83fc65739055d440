//! From bytes to an upright photo.
//!
//! Anyone may send anything: the format comes from the first bytes, never from a name; the size from the header, before
//! a pixel is decoded; and what decoding will cost is known beforehand ([`PhotoHeader::decoded_bytes`]). A picture that
//! breaks off is an error, never a photo that is grey from the middle on. Decoders are other people's: the panic of one
//! is an error of its photo.

mod container;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg(feature = "heic")]
mod heic;
mod jpeg;
mod others;
mod png;
mod tiff;
mod webp;

use std::borrow::Cow;

use image::ImageFormat;
use jiff::{civil::DateTime, tz::Offset};
use runtime::contain;

use super::{
    exif::Exif,
    orientation::{Orientation, turning_bytes, upright},
    photo::Photo,
};
use error::{Error, ErrorKind, Result};

/// What a photo may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Longest file, in bytes.
    pub max_bytes: usize,
    /// Longest side, in pixels.
    pub max_side: u32,
    /// Most pixels.
    pub max_pixels: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_bytes: 20_000_000, max_side: 20_000, max_pixels: 65_000_000 }
    }
}

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhotoFormat {
    /// Baseline and progressive, grey, colour and CMYK.
    Jpeg,
    /// All colour types; of an animation its still image.
    Png,
    /// Lossy and lossless; of an animation the first frame.
    WebP,
    /// The first frame.
    Gif,
    /// Windows bitmaps.
    Bmp,
    /// The first page.
    Tiff,
    /// Of one piece or of a grid, 8 to 12 bits; of a burst the first picture.
    #[cfg(feature = "heic")]
    Heic,
}

impl PhotoFormat {
    /// Whether a photo takes many times as long to decode as a JPEG of its size.
    pub const fn is_slow(self) -> bool {
        match self {
            #[cfg(feature = "heic")]
            Self::Heic => true,
            Self::Jpeg | Self::Png | Self::WebP | Self::Gif | Self::Bmp | Self::Tiff => false,
        }
    }
}

/// What the first bytes say of a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhotoHeader {
    /// Its format.
    pub format: PhotoFormat,
    /// Columns as stored, before it is turned upright.
    pub width: u32,
    /// Rows as stored.
    pub height: u32,
    /// How the camera was held.
    pub orientation: Orientation,
    /// Bytes held at once while the stored pixels are made.
    decoding_bytes: u64,
}

impl PhotoHeader {
    /// The most bytes that decoding holds at once, the photo included: pixels, the decoder's own buffers, and what
    /// turning needs.
    pub fn decoded_bytes(&self) -> usize {
        let turning = turning_bytes(self.width, self.height, self.orientation);
        usize::try_from(self.decoding_bytes.max(turning)).unwrap_or(usize::MAX)
    }
}

/// Reads the header of a photo without decoding it.
///
/// Errors: `too_large` (`too_many_bytes`, `side_too_long`, `too_many_pixels`), `unsupported` (`unsupported_format`),
/// `invalid` (`empty`, `not_an_image`, `corrupt_image`).
pub fn read_header(bytes: &[u8], limits: &DecodeLimits) -> Result<PhotoHeader> {
    if bytes.is_empty() {
        return Err(Error::invalid("the image is empty").with_code("empty"));
    }
    if bytes.len() > limits.max_bytes {
        let message = format!("the image has {} bytes, more than {}", bytes.len(), limits.max_bytes);
        return Err(Error::new(ErrorKind::TooLarge, message).with_code("too_many_bytes"));
    }
    let format = sniff(bytes)?;
    let header = guarded(|| match format {
        PhotoFormat::Jpeg => jpeg::read_header(bytes),
        #[cfg(feature = "heic")]
        PhotoFormat::Heic => heic::read_header(bytes, limits),
        _ => others::read_header(bytes, format, limits),
    })?;
    check_size(header.width, header.height, limits)?;
    Ok(header)
}

/// Decodes the photo that `header` was read from: upright, RGB, 8 bits. Alpha is dropped, not composited.
///
/// Errors: `invalid` (`corrupt_image`) for a photo that breaks off or is damaged, `unsupported` (`unsupported_format`)
/// for a rare kind of its format.
pub fn decode(bytes: &[u8], header: &PhotoHeader, limits: &DecodeLimits) -> Result<Photo> {
    check_size(header.width, header.height, limits)?;
    let pixels = guarded(|| match header.format {
        PhotoFormat::Jpeg => jpeg::decode(bytes, header),
        #[cfg(feature = "heic")]
        PhotoFormat::Heic => heic::decode(bytes, header, limits),
        _ => others::decode(bytes, header),
    })?;
    upright(header.width, header.height, pixels, header.orientation)
}

/// When the photo was taken by the camera's clock, and that one's distance from UTC, as far as its EXIF data says so.
pub fn taken(bytes: &[u8]) -> Option<(DateTime, Option<Offset>)> {
    let format = sniff(bytes).ok()?;
    guarded(|| Ok(exif(bytes, format).and_then(|block| Exif::new(&block)?.taken()))).ok()?
}

/// The block of EXIF.
fn exif(bytes: &[u8], format: PhotoFormat) -> Option<Cow<'_, [u8]>> {
    match format {
        PhotoFormat::Jpeg => jpeg::exif(bytes).map(Cow::Borrowed),
        PhotoFormat::Png => png::exif(bytes).map(Cow::Borrowed),
        PhotoFormat::WebP => webp::exif(bytes).map(Cow::Borrowed),
        // Its own first directory.
        PhotoFormat::Tiff => Some(Cow::Borrowed(bytes)),
        #[cfg(feature = "heic")]
        PhotoFormat::Heic => heic::exif(bytes).map(Cow::Owned),
        PhotoFormat::Gif | PhotoFormat::Bmp => None,
    }
}

/// What a decoder makes of a photo. Errors: its own; `unsupported` where it panics, which a good photo can make it do.
fn guarded<T>(codec: impl FnOnce() -> Result<T>) -> Result<T> {
    contain(codec).unwrap_or_else(|site| {
        tracing::warn!(%site, "a decoder panicked");
        Err(unsupported("the image is of a kind that is not read, or damaged: store it as JPEG or PNG"))
    })
}

/// The format by its magic number.
fn sniff(bytes: &[u8]) -> Result<PhotoFormat> {
    if let Some(sniffed) = container::sniff(bytes) {
        return sniffed;
    }
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => Ok(PhotoFormat::Jpeg),
        Ok(ImageFormat::Png) => Ok(PhotoFormat::Png),
        Ok(ImageFormat::WebP) => Ok(PhotoFormat::WebP),
        Ok(ImageFormat::Gif) => Ok(PhotoFormat::Gif),
        Ok(ImageFormat::Bmp) => Ok(PhotoFormat::Bmp),
        Ok(ImageFormat::Tiff) => Ok(PhotoFormat::Tiff),
        Ok(_) => Err(unsupported("this image format is not read; send JPEG, PNG or WebP")),
        Err(_) => Err(Error::invalid("these bytes are not an image").with_code("not_an_image")),
    }
}

fn check_size(width: u32, height: u32, limits: &DecodeLimits) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(corrupt("the image has no pixels"));
    }
    if width.max(height) > limits.max_side {
        let message =
            format!("the image is {width}×{height} pixels; no side may be over {}: send it smaller", limits.max_side);
        return Err(Error::new(ErrorKind::TooLarge, message).with_code("side_too_long"));
    }
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        let message = format!(
            "the image is {width}×{height} pixels, and at most {} megapixels are read: send it smaller",
            limits.max_pixels / 1_000_000
        );
        return Err(Error::new(ErrorKind::TooLarge, message).with_code("too_many_pixels"));
    }
    Ok(())
}

fn rgb_bytes(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height) * Photo::CHANNELS as u64
}

fn corrupt(message: &'static str) -> Error {
    Error::invalid(message).with_code("corrupt_image")
}

fn unsupported(message: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, message).with_code("unsupported_format")
}

#[cfg(test)]
mod tests;
