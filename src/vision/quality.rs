//! How good an aligned crop is to the eye.

use super::{
    align::{ALIGNED_INPUT, ALIGNED_SIDE},
    photo::Photo,
};
use error::{Error, Result};

/// Figures of one aligned crop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CropQuality {
    /// Variance of the Laplacian over the grey crop (Pech-Pacheco et al., 2000); higher is sharper.
    pub sharpness: f32,
    /// Mean grey level, 0..=255.
    pub brightness: f32,
}

/// Judges a crop made by [`super::align::align_rgb8`].
///
/// Errors: `internal` if `crop` does not hold `112 × 112 × 3` bytes.
pub fn crop_quality(crop: &[u8]) -> Result<CropQuality> {
    if crop.len() != ALIGNED_INPUT {
        return Err(Error::internal("an aligned crop has another length"));
    }
    let grey: Vec<i32> = crop.chunks_exact(Photo::CHANNELS).map(luma).collect();
    let count = grey.len() as f64;
    let brightness = grey.iter().map(|&level| f64::from(level)).sum::<f64>() / count;
    let (mut sum, mut squares) = (0.0, 0.0);
    for row in 0..ALIGNED_SIDE {
        for column in 0..ALIGNED_SIDE {
            let at = |row: usize, column: usize| grey[row * ALIGNED_SIDE + column];
            let [above, below] = beside(row);
            let [left, right] = beside(column);
            let around = at(above, column) + at(below, column) + at(row, left) + at(row, right);
            let laplacian = f64::from(around - 4 * at(row, column));
            sum += laplacian;
            squares += laplacian * laplacian;
        }
    }
    let mean = sum / count;
    Ok(CropQuality { sharpness: (squares / count - mean * mean) as f32, brightness: brightness as f32 })
}

/// The positions before and after `index`, mirrored at the crop's edges.
fn beside(index: usize) -> [usize; 2] {
    let after = if index + 1 == ALIGNED_SIDE { index - 1 } else { index + 1 };
    [index.checked_sub(1).unwrap_or(1), after]
}

/// Grey level of an RGB pixel: ITU-R BT.601, in 15-bit fixed point as `OpenCV` rounds it.
fn luma(rgb: &[u8]) -> i32 {
    let [red, green, blue] = [rgb[0], rgb[1], rgb[2]].map(i32::from);
    (9798 * red + 19235 * green + 3735 * blue + (1 << 14)) >> 15
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{align::align_rgb8, golden};

    #[test]
    fn like_opencv() {
        let photo = golden::synthetic();
        for case in golden::opencv().align {
            let quality = crop_quality(&align_rgb8(&photo, &case.landmarks).unwrap()).unwrap();
            assert!((quality.brightness - case.brightness).abs() < 0.01, "{} {}", quality.brightness, case.brightness);
            let difference = (quality.sharpness / case.sharpness - 1.0).abs();
            assert!(difference < 0.001, "{} {}", quality.sharpness, case.sharpness);
        }
    }

    #[test]
    fn another_length_is_an_error() {
        assert!(crop_quality(&[0; 12]).is_err());
    }
}
