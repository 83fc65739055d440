//! Bilinear resampling, to the bit as `OpenCV`'s `INTER_LINEAR` does it on bytes: two samples a direction whatever the
//! factor, no averaging over areas.
//!
//! The networks were measured behind it, and they notice: where every eighth pixel is one level off, the head pose of a
//! small face moves by up to eight degrees. Libraries that round after each direction differ by as much.

use std::borrow::Cow;

use super::{
    lanes::{between, weighted},
    photo::Photo,
};
use error::{Error, Result};

/// Weights are 11-bit fixed point.
const ONE: f32 = 2048.0;

/// A rectangle of whole pixels inside a photo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
}

impl Region {
    /// The whole photo.
    pub fn whole(photo: &Photo) -> Self {
        Self { left: 0, top: 0, width: photo.width(), height: photo.height() }
    }
}

/// Resamples `region` of `photo` to `width × height` RGB pixels in `out`, which must hold exactly `width × height × 3`
/// bytes. Pixels outside the region are never looked at: its edges repeat.
///
/// Errors: `internal` for a region that is empty or outside the photo, or a buffer of another length.
pub fn resample(photo: &Photo, region: Region, width: u32, height: u32, out: &mut [u8]) -> Result<()> {
    let Region { left, top, width: columns, height: rows } = region;
    let inside = |start: u32, length: u32, limit: u32| length > 0 && start < limit && length <= limit - start;
    if !inside(left, columns, photo.width()) || !inside(top, rows, photo.height()) {
        return Err(Error::internal("the region to resample is not in the photo"));
    }
    if width == 0 || height == 0 || out.len() != width as usize * height as usize * Photo::CHANNELS {
        return Err(Error::internal("the buffer does not fit the size to resample to"));
    }
    // From the row's first pixel to the end of the photo.
    let source =
        |row: usize| &photo.pixels()[(top as usize + row) * photo.stride() + left as usize * Photo::CHANNELS..];
    let columns = taps(columns, width);
    let length = width as usize * Photo::CHANNELS;
    let (mut upper, mut lower) = (Stretched::new(length), Stretched::new(length));
    for (tap, target) in taps(rows, height).iter().zip(out.chunks_exact_mut(length)) {
        let row = tap.first as usize;
        let next = (row + 1).min(rows as usize - 1);
        if lower.row == Some(row) {
            std::mem::swap(&mut upper, &mut lower);
        }
        upper.hold(row, &columns, source);
        lower.hold(next, &columns, source);
        blend(&upper.values, &lower.values, tap.weights, target);
    }
    Ok(())
}

/// A sample and its follower, by the first one's index, and their weights, which add up to 2048. The last sample has no
/// follower; the weight of one is then 0.
#[derive(Clone, Copy)]
struct Tap {
    first: u32,
    weights: [i16; 2],
}

/// For each of `to` samples, where it lies among `from`. Beyond the centres of the outermost samples they repeat.
fn taps(from: u32, to: u32) -> Vec<Tap> {
    let scale = 1.0 / (f64::from(to) / f64::from(from));
    (0..to)
        .map(|index| {
            let position = ((f64::from(index) + 0.5) * scale - 0.5) as f32;
            let position = position.clamp(0.0, (from - 1) as f32);
            let first = position as u32;
            let share = position - first as f32;
            let weights = [1.0 - share, share].map(|weight| (weight * ONE).round_ties_even() as i16);
            Tap { first, weights }
        })
        .collect()
}

/// A row of the source, stretched to the target's width.
struct Stretched {
    row: Option<usize>,
    /// Levels times 128, and one more value, so that pixels can be written four values at a time.
    values: Vec<i16>,
}

impl Stretched {
    fn new(length: usize) -> Self {
        Self { row: None, values: vec![0; length + 1] }
    }

    /// Makes this `row`, unless it is already. `source` gives the bytes from a row's first pixel on.
    fn hold<'a>(&mut self, row: usize, columns: &[Tap], source: impl Fn(usize) -> &'a [u8]) {
        if self.row.replace(row) == Some(row) {
            return;
        }
        let source = source(row);
        let mut start = 0;
        for tap in columns {
            let four = weighted(neighbours(source, tap.first as usize * Photo::CHANNELS), tap.weights);
            self.values[start..start + 4].copy_from_slice(&four);
            start += Photo::CHANNELS;
        }
    }
}

/// The pixel that starts at `start` and the one after it; zeros behind the end of the photo.
#[inline]
fn neighbours(source: &[u8], start: usize) -> [u8; 8] {
    match source.get(start..start + 8).and_then(<[u8]>::first_chunk) {
        Some(eight) => *eight,
        None => std::array::from_fn(|index| source.get(start + index).copied().unwrap_or(0)),
    }
}

/// Between two stretched rows, back to levels; the rows hold at least as many values as `target`.
fn blend(upper: &[i16], lower: &[i16], weights: [i16; 2], target: &mut [u8]) {
    let (upper, upper_rest) = upper[..target.len()].as_chunks();
    let (lower, lower_rest) = lower[..target.len()].as_chunks();
    let (target, target_rest) = target.as_chunks_mut();
    for ((eight, upper), lower) in target.iter_mut().zip(upper).zip(lower) {
        *eight = between(upper, lower, weights);
    }
    let padded = |rest: &[i16]| std::array::from_fn(|index| rest.get(index).copied().unwrap_or(0));
    let eight = between(&padded(upper_rest), &padded(lower_rest), weights);
    target_rest.copy_from_slice(&eight[..target_rest.len()]);
}

/// The size of `photo` with its longest side brought down to `side` pixels, and the factor that does it. Never scales
/// up: the factor is at most 1. No side goes below one pixel.
pub fn fitted_size(photo: &Photo, side: u32) -> (u32, u32, f64) {
    let scale = (f64::from(side) / f64::from(photo.longest_side())).min(1.0);
    let fit = |length: u32| ((f64::from(length) * scale).round_ties_even() as u32).max(1);
    (fit(photo.width()), fit(photo.height()), scale)
}

/// `photo` with its longest side at most `side` pixels; the very same photo if it is small enough already.
pub fn fit_longest_side(photo: &Photo, side: u32) -> Result<Cow<'_, Photo>> {
    let (width, height, _) = fitted_size(photo, side);
    if (width, height) == (photo.width(), photo.height()) {
        return Ok(Cow::Borrowed(photo));
    }
    let mut pixels = vec![0; width as usize * height as usize * Photo::CHANNELS];
    resample(photo, Region::whole(photo), width, height, &mut pixels)?;
    Photo::new(width, height, pixels).map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    #[test]
    fn like_opencv() {
        let photo = golden::synthetic();
        for case in golden::opencv().resize {
            let small = fit_longest_side(&photo, case.side).unwrap();
            assert_eq!(small.width(), case.side);
            golden::assert_close(small.pixels().iter().map(|&v| f32::from(v)), 101, &case.values, 0.0);
        }
    }

    #[test]
    fn never_scales_up() {
        let photo = golden::synthetic();
        assert!(matches!(fit_longest_side(&photo, 403).unwrap(), Cow::Borrowed(_)));
        assert!(matches!(fit_longest_side(&photo, 4000).unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn no_side_vanishes() {
        let photo = Photo::new(3000, 1, vec![9; 9000]).unwrap();
        let small = fit_longest_side(&photo, 100).unwrap();
        assert_eq!((small.width(), small.height()), (100, 1));
    }

    #[test]
    fn a_region_does_not_see_beyond_its_edges() {
        let mut pixels = vec![0; 4 * 4 * 3];
        for row in 1..3 {
            pixels[(row * 4 + 1) * 3..(row * 4 + 3) * 3].fill(255);
        }
        let photo = Photo::new(4, 4, pixels).unwrap();
        let mut out = vec![0; 8 * 8 * 3];
        resample(&photo, Region { left: 1, top: 1, width: 2, height: 2 }, 8, 8, &mut out).unwrap();
        assert!(out.iter().all(|&level| level == 255));
    }

    #[test]
    fn regions_outside_and_wrong_buffers_are_errors() {
        let photo = golden::synthetic();
        let mut out = vec![0; 12];
        assert!(resample(&photo, Region { left: 400, top: 0, width: 10, height: 1 }, 2, 2, &mut out).is_err());
        assert!(resample(&photo, Region::whole(&photo), 2, 3, &mut out).is_err());
    }
}
