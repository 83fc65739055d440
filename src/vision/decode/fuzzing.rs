//! What fuzzing asks of the readers of photos: `tests/fuzz/parsers` with what libFuzzer thinks of, the test below with
//! the inputs that are kept of it.

#![expect(unsafe_code, reason = "so are allocators made")]
#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "to panic is how it says no")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::Cursor,
};

use image::{
    ImageDecoder,
    codecs::{png::PngDecoder, tiff::TiffDecoder},
};

use super::{DecodeLimits, PhotoFormat, decode, read_header};
use crate::orientation::is_transposed;

/// Small, so that an input takes milliseconds.
const LIMITS: DecodeLimits = DecodeLimits { max_bytes: 1 << 20, max_side: 4096, max_pixels: 1 << 19 };
/// What decoders hold beside what grows with the pixels: rows of the longest side, tables, the text of an error.
pub(super) const SLACK_BYTES: usize = 2 << 20;
/// Lists of the most numbers that an index may have, one for each tag that a decoder reads, and what it makes of them.
const MAX_INDEX_BYTES: usize = 64 << 20;

/// Of the bytes of a HEIC: lists that become structs, and pieces as the decoder sees them.
const MAX_COPIES: usize = 8;

/// A photo is refused, or has the size that its header says, and takes no more memory than its header promised.
pub fn photo(bytes: &[u8]) {
    let (header, reading_bytes) = peak_bytes(|| read_header(bytes, &LIMITS));
    let most = match super::sniff(bytes) {
        Ok(PhotoFormat::Tiff) => MAX_INDEX_BYTES,
        Ok(PhotoFormat::Heic) => SLACK_BYTES + MAX_COPIES * bytes.len(),
        _ => SLACK_BYTES,
    };
    assert!(reading_bytes <= most, "reading the header took {reading_bytes} bytes");
    let Ok(header) = header else { return };
    let (width, height) = (header.width, header.height);
    assert!(bytes.len() <= LIMITS.max_bytes && width.max(height) <= LIMITS.max_side);
    assert!((1..=LIMITS.max_pixels).contains(&(u64::from(width) * u64::from(height))));
    let (photo, decoding_bytes) = peak_bytes(|| decode(bytes, &header, &LIMITS));
    let promised = header.decoded_bytes();
    assert!(decoding_bytes <= promised + SLACK_BYTES, "{decoding_bytes} bytes to decode {header:?}: {promised}");
    let Ok(photo) = photo else { return };
    let upright = if is_transposed(header.orientation) { (height, width) } else { (width, height) };
    assert_eq!((photo.width(), photo.height()), upright);
    assert_eq!(photo.pixels().len() as u64, 3 * u64::from(width) * u64::from(height));
}

/// A JPEG that is read is of the size that its head says, also where the limits of a photo do not ask.
pub fn jpeg(bytes: &[u8]) {
    let Ok(PhotoFormat::Jpeg) = super::sniff(bytes) else { return };
    if let Ok(header) = super::jpeg::read_header(bytes) {
        assert!(header.width.max(header.height) <= u16::MAX.into());
        assert!(header.decoded_bytes() as u64 >= 3 * u64::from(header.width) * u64::from(header.height));
    }
    photo(bytes);
}

/// What is left of a PNG has nothing more to leave out, and says of itself what the whole says, as its head does.
pub fn png(bytes: &[u8]) {
    let matters = super::png::that_matters(bytes);
    assert!(matters.len() <= bytes.len());
    assert!(*super::png::that_matters(&matters) == *matters);
    let head = super::png::head(bytes);
    assert!(matters.starts_with(&head));
    let of_head = PngDecoder::new(Cursor::new(&head)).ok().map(|decoder| (decoder.dimensions(), decoder.color_type()));
    let of_all = PngDecoder::new(Cursor::new(&*matters)).ok();
    let of_all = of_all.map(|decoder| (decoder.dimensions(), decoder.color_type()));
    assert!(of_all.is_none() || of_all == of_head, "{of_head:?} of the head, {of_all:?} of the whole");
}

/// An index that is let through is none that fills the memory of its decoder.
pub fn tiff(bytes: &[u8]) {
    if super::tiff::check_index(bytes).is_ok() {
        let (_, opening_bytes) = peak_bytes(|| TiffDecoder::new(Cursor::new(bytes)).map(drop));
        assert!(opening_bytes <= MAX_INDEX_BYTES, "{opening_bytes} bytes to open {} bytes", bytes.len());
    }
}

/// Runs `work`, and tells the most bytes that it held at once.
pub(crate) fn peak_bytes<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD_BYTES.get();
    PEAK_BYTES.set(before);
    let done = work();
    (done, usize::try_from(PEAK_BYTES.get() - before).unwrap_or_default())
}

/// Counts what a thread holds.
struct Counting;

thread_local! {
    /// Below zero where others' memory was given back.
    static HELD_BYTES: Cell<isize> = const { Cell::new(0) };
    static PEAK_BYTES: Cell<isize> = const { Cell::new(0) };
}

impl Counting {
    fn note(more: usize, less: usize) {
        // A thread that is ending has no counters any more.
        let _ = HELD_BYTES.try_with(|held| {
            held.set(held.get() + more as isize - less as isize);
            let _ = PEAK_BYTES.try_with(|peak| peak.set(peak.get().max(held.get())));
        });
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::note(layout.size(), 0);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::note(size, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::note(0, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[cfg(test)]
#[path = "../../../tests/fuzz/parsers/replay.rs"]
mod replay;

#[test]
fn what_fuzzing_found_once_is_read_as_it_should() {
    replay::replay(&[("jpeg", jpeg), ("photo", photo), ("png", png), ("tiff", tiff)]);
}
