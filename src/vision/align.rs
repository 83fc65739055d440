//! From five landmarks to the upright 112×112 crop that face recognition networks are trained on.

use super::photo::Photo;
use crate::{
    domain::Landmarks,
    error::{Error, ErrorKind, Result},
};

/// Side of the aligned crop.
pub const ALIGNED_SIDE: usize = 112;
/// Numbers in one aligned crop.
pub const ALIGNED_INPUT: usize = ALIGNED_SIDE * ALIGNED_SIDE * Photo::CHANNELS;

/// Where the five landmarks lie in the crop: the template of `ArcFace` (Deng et al., 2019).
const TEMPLATE: [[f64; 2]; 5] =
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]];

/// Writes the embedding network's input for a face into `out`, `[112, 112, 3]`: BGR, (v − 127.5) / 128, black outside
/// the photo.
///
/// Errors: `unprocessable` (`degenerate_landmarks`) if the points are not finite or all the same; `internal` if `out`
/// does not hold [`ALIGNED_INPUT`] numbers.
pub fn align_into(photo: &Photo, landmarks: &Landmarks, out: &mut [f32]) -> Result<()> {
    if out.len() != ALIGNED_INPUT {
        return Err(Error::internal("the slice does not fit the network's input"));
    }
    let mut target = out.chunks_exact_mut(3);
    warp(photo, &Similarity::to_photo(landmarks)?, |rgb| {
        if let Some(bgr) = target.next() {
            for (value, level) in bgr.iter_mut().zip(rgb.iter().rev()) {
                *value = (f32::from(*level) - 127.5) / 128.0;
            }
        }
    });
    Ok(())
}

/// The aligned crop as RGB bytes, `112 × 112 × 3`. Errors as [`align_into`].
pub fn align_rgb8(photo: &Photo, landmarks: &Landmarks) -> Result<Vec<u8>> {
    let mut crop = Vec::with_capacity(ALIGNED_INPUT);
    warp(photo, &Similarity::to_photo(landmarks)?, |rgb| crop.extend_from_slice(&rgb));
    Ok(crop)
}

/// Turning, scaling and moving: `(x, y) → (a·x − b·y + tx, b·x + a·y + ty)`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Similarity {
    a: f64,
    b: f64,
    tx: f64,
    ty: f64,
}

impl Similarity {
    /// The map from the crop to the photo: the inverse of the least-squares similarity from the landmarks onto
    /// [`TEMPLATE`] (Umeyama, 1991). In two dimensions that has a closed form: with points as complex numbers about
    /// their means, the factor is `Σ conj(s)·d / Σ |s|²`.
    fn to_photo(landmarks: &Landmarks) -> Result<Self> {
        let points = landmarks.map(|point| point.map(f64::from));
        let (from, to) = (mean(&points), mean(&TEMPLATE));
        let (mut a, mut b, mut spread) = (0.0, 0.0, 0.0);
        for (point, target) in points.iter().zip(&TEMPLATE) {
            let (sx, sy) = (point[0] - from[0], point[1] - from[1]);
            let (dx, dy) = (target[0] - to[0], target[1] - to[1]);
            a += sx * dx + sy * dy;
            b += sx * dy - sy * dx;
            spread += sx * sx + sy * sy;
        }
        // The factor is (a + bi) / spread; its inverse is the conjugate over the squared length, times the spread.
        let inverse = spread / (a * a + b * b);
        let (a, b) = (a * inverse, -b * inverse);
        let map = Self { a, b, tx: from[0] - (a * to[0] - b * to[1]), ty: from[1] - (b * to[0] + a * to[1]) };
        if [map.a, map.b, map.tx, map.ty].iter().all(|value| value.is_finite()) {
            Ok(map)
        } else {
            let message = "the five points of the face do not span it";
            Err(Error::new(ErrorKind::Unprocessable, message).with_code("degenerate_landmarks"))
        }
    }
}

fn mean(points: &[[f64; 2]; 5]) -> [f64; 2] {
    [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / 5.0)
}

/// Hands the crop's pixels, row by row, to `put`.
fn warp(photo: &Photo, map: &Similarity, mut put: impl FnMut([u8; 3])) {
    let (a, b) = (map.a as f32, map.b as f32);
    for row in 0..ALIGNED_SIDE {
        let x0 = (map.tx - map.b * row as f64) as f32;
        let y0 = (map.ty + map.a * row as f64) as f32;
        for column in 0..ALIGNED_SIDE {
            let column = column as f32;
            put(bilinear(photo, x0 + a * column, y0 + b * column));
        }
    }
}

/// The photo at (`x`, `y`), where whole numbers are centres of pixels, rounded to the nearest level; black outside.
fn bilinear(photo: &Photo, x: f32, y: f32) -> [u8; 3] {
    let (left, top) = (floor(x), floor(y));
    let (right_share, bottom_share) = (x - left as f32, y - top as f32);
    let [upper_left, upper_right, lower_left, lower_right] = neighbours(photo, left, top);
    std::array::from_fn(|channel| {
        let upper = lerp(upper_left[channel], upper_right[channel], right_share);
        let lower = lerp(lower_left[channel], lower_right[channel], right_share);
        round_level(lerp(upper, lower, bottom_share))
    })
}

/// `f32::floor` without SSE4.1 is a call of the C library; truncating is one instruction everywhere.
fn floor(value: f32) -> i32 {
    let truncated = value as i32;
    truncated - i32::from((truncated as f32) > value)
}

fn lerp(from: f32, to: f32, share: f32) -> f32 {
    from + (to - from) * share
}

/// Rounds 0.0..=255.0 to the nearest level, ties to even as `OpenCV` does: at 2²³ the spacing of floats is one, so the
/// sum's low bits are the rounded number.
fn round_level(value: f32) -> u8 {
    (value + 8_388_608.0).to_bits() as u8
}

/// The four pixels from (`left`, `top`) to the lower right of it.
fn neighbours(photo: &Photo, left: i32, top: i32) -> [[f32; 3]; 4] {
    let inside = left >= 0 && top >= 0 && left + 1 < photo.width() as i32 && top + 1 < photo.height() as i32;
    if inside {
        let offset = top as usize * photo.stride() + left as usize * Photo::CHANNELS;
        let upper = &photo.pixels()[offset..offset + 6];
        let lower = &photo.pixels()[offset + photo.stride()..offset + photo.stride() + 6];
        [&upper[..3], &upper[3..], &lower[..3], &lower[3..]].map(levels)
    } else {
        [(0, 0), (1, 0), (0, 1), (1, 1)]
            .map(|(dx, dy)| pixel_or_black(photo, left.saturating_add(dx), top.saturating_add(dy)))
    }
}

fn pixel_or_black(photo: &Photo, x: i32, y: i32) -> [f32; 3] {
    if x < 0 || y < 0 || x >= photo.width() as i32 || y >= photo.height() as i32 {
        return [0.0; 3];
    }
    let offset = y as usize * photo.stride() + x as usize * Photo::CHANNELS;
    levels(&photo.pixels()[offset..offset + Photo::CHANNELS])
}

fn levels(pixel: &[u8]) -> [f32; 3] {
    [f32::from(pixel[0]), f32::from(pixel[1]), f32::from(pixel[2])]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vision::golden;

    #[test]
    fn like_opencv() {
        let photo = golden::synthetic();
        for case in golden::opencv().align {
            let crop = align_rgb8(&photo, &case.landmarks).unwrap();
            golden::assert_close(crop.iter().map(|&v| f32::from(v)), 101, &case.values, 1.0);
        }
    }

    #[test]
    fn the_network_sees_the_crop() {
        let photo = golden::synthetic();
        let landmarks = golden::opencv().align[1].landmarks;
        let crop = align_rgb8(&photo, &landmarks).unwrap();
        let mut input = vec![0.0; ALIGNED_INPUT];
        align_into(&photo, &landmarks, &mut input).unwrap();
        for (bgr, rgb) in input.chunks_exact(3).zip(crop.chunks_exact(3)) {
            let expected = [rgb[2], rgb[1], rgb[0]].map(|level| (f32::from(level) - 127.5) / 128.0);
            assert_eq!(bgr, expected);
        }
        assert!(align_into(&photo, &landmarks, &mut input[1..]).is_err());
    }

    #[test]
    fn the_template_itself_is_copied() {
        let pixels: Vec<u8> = (0..ALIGNED_INPUT).map(|index| (index * 31 % 251) as u8).collect();
        let photo = Photo::new(112, 112, pixels.clone()).unwrap();
        let landmarks = TEMPLATE.map(|point| point.map(|v| v as f32));
        let crop = align_rgb8(&photo, &landmarks).unwrap();
        assert!(crop.iter().zip(&pixels).all(|(a, b)| a.abs_diff(*b) <= 1));
    }

    #[test]
    fn far_outside_is_black() {
        let photo = golden::synthetic();
        let landmarks = TEMPLATE.map(|[x, y]| [x as f32 + 3e9, y as f32 - 3e9]);
        assert!(
            align_rgb8(&photo, &TEMPLATE.map(|[x, y]| [x as f32 + 5000.0, y as f32])).unwrap().iter().all(|&v| v == 0)
        );
        // So far out that the points lose their shape in f32: an error or black, never a panic.
        let _ = align_rgb8(&photo, &landmarks);
    }

    #[test]
    fn points_that_span_nothing_are_refused() {
        let photo = golden::synthetic();
        for bad in [[[5.0, 5.0]; 5], [[f32::NAN, 1.0]; 5], [[f32::INFINITY, 1.0]; 5]] {
            assert_eq!(align_rgb8(&photo, &bad).unwrap_err().code(), "degenerate_landmarks");
        }
    }

    proptest! {
        #[test]
        fn a_known_similarity_is_recovered(
            scale in 0.05_f64..20.0, degrees in -180.0_f64..180.0, tx in -500.0_f64..500.0, ty in -500.0_f64..500.0,
        ) {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let known = Similarity { a: scale * cos, b: scale * sin, tx, ty };
            let landmarks = TEMPLATE.map(|[x, y]| {
                [(known.a * x - known.b * y + tx) as f32, (known.b * x + known.a * y + ty) as f32]
            });
            let found = Similarity::to_photo(&landmarks).unwrap();
            prop_assert!((found.a - known.a).abs() < 1e-3 && (found.b - known.b).abs() < 1e-3, "{found:?} {known:?}");
            prop_assert!((found.tx - tx).abs() < 0.05 && (found.ty - ty).abs() < 0.05, "{found:?} {known:?}");
        }
    }
}
