//! From a photo to the detector's input.

use super::photo::Photo;

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
}

/// Pads `photo`. `buffer` becomes the tensor: pass the last tensor to spare the allocation, or an empty vector.
pub fn detector_input(photo: &Photo, mut buffer: Vec<f32>) -> DetectorInput {
    let (rows, cols) = (padded(photo.height()), padded(photo.width()));
    buffer.resize(rows * cols * Photo::CHANNELS, 0.0);
    let row_length = cols * Photo::CHANNELS;
    for (row, source) in buffer.chunks_exact_mut(row_length).zip(photo.pixels().chunks_exact(photo.stride())) {
        bgr_floats(source, &mut row[..photo.stride()]);
        row[photo.stride()..].fill(0.0);
    }
    buffer[photo.height() as usize * row_length..].fill(0.0);
    DetectorInput { tensor: buffer, rows, cols }
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
    fn bgr_and_padded() {
        let photo = fit_longest_side(&golden::synthetic(), 310).unwrap().into_owned();
        let stale = vec![7.0; 1_000_000];
        let input = detector_input(&photo, stale);
        assert_eq!((input.rows, input.cols), (256, 320));
        assert_eq!(input.tensor.len(), 256 * 320 * 3);
        for (index, value) in input.tensor.iter().enumerate() {
            let (row, column, channel) = (index / 960, index / 3 % 320, index % 3);
            let expected = if row < photo.height() as usize && column < photo.width() as usize {
                f32::from(photo.pixels()[row * photo.stride() + column * 3 + 2 - channel])
            } else {
                0.0
            };
            assert_eq!(*value, expected, "row {row} column {column} channel {channel}");
        }
    }

    #[test]
    fn a_photo_smaller_than_a_multiple() {
        let photo = Photo::new(33, 5, vec![9; 33 * 5 * 3]).unwrap();
        let input = detector_input(&photo, Vec::new());
        assert_eq!((input.rows, input.cols), (32, 64));
        assert_eq!(input.tensor.iter().filter(|value| **value == 9.0).count(), 33 * 5 * 3);
        assert_eq!(input.tensor.iter().filter(|value| **value == 0.0).count(), (32 * 64 - 33 * 5) * 3);
    }
}
