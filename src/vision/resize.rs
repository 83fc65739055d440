//! Bilinear resampling as `OpenCV`'s `INTER_LINEAR` does it: two samples a direction whatever the factor, no averaging over
//! areas. The detector was measured behind it; smoother reductions change which small faces it finds.

use std::borrow::Cow;

use super::{bilinear, photo::Photo};
use crate::error::{Error, Result};

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
/// Errors: `internal` for a region outside the photo or a buffer of another length.
pub fn resample(photo: &Photo, region: Region, width: u32, height: u32, out: &mut [u8]) -> Result<()> {
    if out.len() != width as usize * height as usize * Photo::CHANNELS {
        return Err(Error::internal("the buffer does not fit the size to resample to"));
    }
    let fits = |start: u32, length: u32, end: u32| length > 0 && start.checked_add(length).is_some_and(|to| to <= end);
    if !fits(region.left, region.width, photo.width()) || !fits(region.top, region.height, photo.height()) {
        return Err(Error::internal("the region to resample lies outside the photo"));
    }
    if !out.is_empty() {
        bilinear::resample(photo, region, width as usize, height as usize, out);
    }
    Ok(())
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
    use crate::vision::golden;

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
