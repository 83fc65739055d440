//! From a photo to the detector's input.

use super::{
    photo::Photo,
    resize::{Region, fitted_size, resample},
};
use error::Result;

/// The detector halves its input five times: sides are multiples of this.
pub const DETECTOR_MULTIPLE: usize = 32;

/// What YuNet looks at.
#[derive(Debug, Clone, Default)]
pub struct DetectorInput {
    /// `[1, rows, cols, 3]`: BGR, 0..=255, zeros right of and below the photo.
    pub tensor: Vec<f32>,
    /// A multiple of [`DETECTOR_MULTIPLE`].
    pub rows: usize,
    /// A multiple of [`DETECTOR_MULTIPLE`].
    pub cols: usize,
    /// Detector pixels a photo pixel, at most 1: divide by it to get back to the photo.
    pub scale: f32,
}

/// Scales `photo` down to at most `longest_side` (never up) and pads it. `buffer` becomes the tensor: pass the last
/// tensor to spare the allocation, or an empty vector.
pub fn detector_input(photo: &Photo, longest_side: u32, mut buffer: Vec<f32>) -> Result<DetectorInput> {
    let (width, height, scale) = fitted_size(photo, longest_side);
    let resampled;
    let pixels = if (width, height) == (photo.width(), photo.height()) {
        photo.pixels()
    } else {
        let mut small = vec![0; width as usize * height as usize * Photo::CHANNELS];
        resample(photo, Region::whole(photo), width, height, &mut small)?;
        resampled = small;
        &resampled
    };
    let (rows, cols) = (padded(height), padded(width));
    buffer.resize(rows * cols * Photo::CHANNELS, 0.0);
    let row_length = cols * Photo::CHANNELS;
    let filled = width as usize * Photo::CHANNELS;
    for (row, source) in buffer.chunks_exact_mut(row_length).zip(pixels.chunks_exact(filled)) {
        bgr_floats(source, &mut row[..filled]);
        row[filled..].fill(0.0);
    }
    buffer[height as usize * row_length..].fill(0.0);
    Ok(DetectorInput { tensor: buffer, rows, cols, scale: scale as f32 })
}

fn padded(length: u32) -> usize {
    (length as usize).next_multiple_of(DETECTOR_MULTIPLE)
}

/// RGB bytes to BGR floats 0..=255; the slices are equally long.
pub(super) fn bgr_floats(rgb: &[u8], bgr: &mut [f32]) {
    for (target, source) in bgr.chunks_exact_mut(3).zip(rgb.chunks_exact(3)) {
        target[0] = f32::from(source[2]);
        target[1] = f32::from(source[1]);
        target[2] = f32::from(source[0]);
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole numbers travel through unchanged")]
mod tests {
    use super::*;
    use crate::{golden, resize::fit_longest_side};

    #[test]
    fn bgr_padded_and_scaled() {
        let photo = golden::synthetic();
        let stale = vec![7.0; 1_000_000];
        let input = detector_input(&photo, 320, stale).unwrap();
        let small = fit_longest_side(&photo, 320).unwrap();
        assert_eq!((input.rows, input.cols), (256, 320));
        assert_eq!(input.tensor.len(), 256 * 320 * 3);
        assert!((input.scale - 320.0 / 403.0).abs() < 1e-6);
        for (index, value) in input.tensor.iter().enumerate() {
            let (row, column, channel) = (index / 960, index / 3 % 320, index % 3);
            let expected = if row < small.height() as usize {
                f32::from(small.pixels()[row * small.stride() + column * 3 + 2 - channel])
            } else {
                0.0
            };
            assert_eq!(*value, expected, "row {row} column {column} channel {channel}");
        }
    }

    #[test]
    fn a_small_photo_keeps_its_size() {
        let photo = Photo::new(33, 5, vec![9; 33 * 5 * 3]).unwrap();
        let input = detector_input(&photo, 1280, Vec::new()).unwrap();
        assert_eq!((input.rows, input.cols, input.scale), (32, 64, 1.0));
        assert_eq!(input.tensor.iter().filter(|value| **value == 9.0).count(), 33 * 5 * 3);
        assert_eq!(input.tensor.iter().filter(|value| **value == 0.0).count(), (32 * 64 - 33 * 5) * 3);
    }
}
