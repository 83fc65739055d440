//! HEIC, the format of iPhones (ISO/IEC 23008-12 with HEVC), through `heifer`: a picture of one piece, or of a grid of
//! them.

mod bounds;

use heifer::{
    Error as HeicError, Image, Options, decode_rgba8,
    heifer_isobmff::{FourCC, HeifFile, ItemId, boxes::Property},
};

use self::bounds::type_of;
use super::{DecodeLimits, PhotoFormat, PhotoHeader, check_size, container, corrupt, rgb_bytes, unsupported};
use crate::orientation::Orientation;
use error::{Error, Result};

/// Bytes of a pixel as `heifer` gives it.
const RGBA_BYTES: usize = 4;
/// Of a pixel of a piece while it is decoded: three samples of 16 bits, and what is known of each block.
const PIECE_BYTES: u64 = 8;
/// Beside pixels: tables, and what the longest lists become.
const TABLES_BYTES: u64 = 16 << 20;
/// A piece's sides are multiples of a block's.
const LARGEST_BLOCK: u32 = 64;
/// Of the parameters that come before a piece's own bytes, so many are expected.
const MAX_PARAMETER_BYTES: usize = 4096;
/// The most bytes of the container's lists: they are searched once for each of their entries.
const MAX_LISTS_BYTES: usize = 128 << 10;

const CODED: FourCC = FourCC(*b"hvc1");
const GRID: FourCC = FourCC(*b"grid");

/// What is known of a file before it is decoded.
struct Head {
    /// Upright.
    width: u32,
    height: u32,
    /// As coded, all pieces together.
    pixels: u64,
    /// Of the largest piece, filled up to whole blocks.
    piece_pixels: u64,
    /// Whether it is cropped or turned, for which it is copied.
    is_copied: bool,
}

pub(super) fn read_header(bytes: &[u8], limits: &DecodeLimits) -> Result<PhotoHeader> {
    let head = read_head(bytes, limits)?;
    let rgba_bytes = head.pixels * RGBA_BYTES as u64;
    let decoding_bytes = rgba_bytes + head.piece_pixels * PIECE_BYTES;
    let held = if head.is_copied { decoding_bytes.max(2 * rgba_bytes) } else { decoding_bytes };
    Ok(PhotoHeader {
        format: PhotoFormat::Heic,
        width: head.width,
        height: head.height,
        // The decoder turns it as the container says. EXIF says the same again, for those who do not read that.
        orientation: Orientation::NoTransforms,
        // The compressed pieces are copied twice.
        decoding_bytes: held + 4 * bytes.len() as u64 + TABLES_BYTES,
    })
}

pub(super) fn decode(bytes: &[u8], header: &PhotoHeader, limits: &DecodeLimits) -> Result<Vec<u8>> {
    let head = read_head(bytes, limits)?;
    let options = Options { max_threads: 1, max_pixels: head.pixels.max(head.piece_pixels) };
    let Image { width, height, mut data, .. } = decode_rgba8(bytes, &options).map_err(refused)?;
    if (width, height) != (header.width, header.height) {
        return Err(corrupt("the HEIC gives its size twice, differently"));
    }
    // In place: without alpha, each pixel moves towards the front.
    for pixel in 0..data.len() / RGBA_BYTES {
        data.copy_within(RGBA_BYTES * pixel..RGBA_BYTES * pixel + 3, 3 * pixel);
    }
    data.truncate(rgb_bytes(width, height) as usize);
    data.shrink_to_fit();
    Ok(data)
}

/// The block of EXIF.
pub(super) fn exif(bytes: &[u8]) -> Option<Vec<u8>> {
    let file = open(bytes).ok()?;
    bounds::require_little_metadata(&file).ok()?;
    file.exif(file.primary_id).ok()?
}

fn open(bytes: &[u8]) -> Result<HeifFile<'_>> {
    if container::lists_bytes(bytes) > MAX_LISTS_BYTES {
        return Err(corrupt("the HEIC lists more than any photo needs"));
    }
    bounds::require_sized_places(bytes)?;
    HeifFile::parse(bytes).map_err(|cause| refused(cause.into()))
}

fn read_head(bytes: &[u8], limits: &DecodeLimits) -> Result<Head> {
    let file = open(bytes)?;
    let primary = file.primary_id;
    let (width, height) = size_of(&file, primary)?;
    check_size(width, height, limits)?;
    let mut head = Head { width, height, pixels: pixels(width, height), piece_pixels: 0, is_copied: false };
    head.turn(&file)?;
    check_size(head.width, head.height, limits)?;

    let mut pieces = match type_of(&file, primary)? {
        CODED => vec![primary],
        GRID => file.referenced_items(primary, b"dimg").to_vec(),
        _ => return Err(not_read()),
    };
    pieces.extend(file.referencing_items(primary, b"auxl").into_iter().filter(|&item| is_alpha(&file, item)));
    bounds::require_plain(&file, &pieces)?;
    // Parameters may be those of many pieces.
    let mut left = bytes.len() + pieces.len() * MAX_PARAMETER_BYTES;
    for piece in pieces {
        if type_of(&file, piece)? != CODED {
            return Err(not_read());
        }
        let (width, height) = size_of(&file, piece)?;
        check_size(width, height, limits)?;
        let (width, height) = (width.next_multiple_of(LARGEST_BLOCK), height.next_multiple_of(LARGEST_BLOCK));
        let compressed_bytes = bounds::compressed_bytes(&file, piece, width, height)?;
        left = left.checked_sub(compressed_bytes).ok_or_else(|| corrupt("pieces of the HEIC overlap"))?;
        head.piece_pixels = head.piece_pixels.max(pixels(width, height));
    }
    Ok(head)
}

impl Head {
    /// Makes the size that of the picture once it is cropped and turned, in the container's order.
    fn turn(&mut self, file: &HeifFile<'_>) -> Result<()> {
        for property in file.item_properties(file.primary_id).map_err(|cause| refused(cause.into()))? {
            match *property {
                Property::CleanAperture { width, height, .. } => {
                    let rounded =
                        |(over, under): (u32, u32)| (f64::from(over) / f64::from(under.max(1))).round() as u32;
                    (self.width, self.height) = (rounded(width).min(self.width), rounded(height).min(self.height));
                    self.is_copied = true;
                }
                Property::Rotation(quarters) if quarters > 0 => {
                    if quarters % 2 == 1 {
                        (self.width, self.height) = (self.height, self.width);
                    }
                    self.is_copied = true;
                }
                Property::Mirror(_) => self.is_copied = true,
                _ => {}
            }
        }
        Ok(())
    }
}

fn pixels(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height)
}

fn size_of(file: &HeifFile<'_>, item: ItemId) -> Result<(u32, u32)> {
    let size = file.image_size(item).map_err(|cause| refused(cause.into()))?;
    size.ok_or_else(|| corrupt("the HEIC does not say how large it is"))
}

fn is_alpha(file: &HeifFile<'_>, item: ItemId) -> bool {
    let says_so = |property: &Property| match property {
        Property::AuxiliaryType(kind) => kind.ends_with(":alpha") || kind.ends_with("auxid:1"),
        _ => false,
    };
    file.item_properties(item).is_ok_and(|mut properties| properties.any(says_so))
}

fn not_read() -> Error {
    unsupported("this kind of HEIC is not read: send JPEG")
}

fn refused(cause: HeicError) -> Error {
    match cause {
        HeicError::Unsupported(_) => not_read(),
        _ => corrupt("the HEIC is damaged or breaks off"),
    }
    .with_source(cause)
}

#[cfg(test)]
mod tests;
