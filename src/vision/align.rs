//! From five landmarks to the upright 112×112 crop that face recognition networks are trained on.

use super::{lanes::Lanes, photo::Photo};
use domain::Landmarks;
use error::{Error, ErrorKind, Result};

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
    let map = Similarity::to_photo(landmarks)?;
    let (rows, _) = out.as_chunks_mut::<{ ALIGNED_SIDE * Photo::CHANNELS }>();
    for (row, target) in rows.iter_mut().enumerate() {
        warp_row(photo, &map, row, target, |bgr, levels| {
            let [red, green, blue] = levels.centred(127.5, 1.0 / 128.0).rgb();
            *bgr = [blue, green, red];
        });
    }
    Ok(())
}

/// The aligned crop as RGB bytes, `112 × 112 × 3`. Errors as [`align_into`].
pub fn align_rgb8(photo: &Photo, landmarks: &Landmarks) -> Result<Vec<u8>> {
    let map = Similarity::to_photo(landmarks)?;
    let mut crop = vec![0; ALIGNED_INPUT];
    for (row, target) in crop.chunks_exact_mut(ALIGNED_SIDE * Photo::CHANNELS).enumerate() {
        warp_row(photo, &map, row, target, |rgb, levels| *rgb = levels.rgb().map(|level| level as u8));
    }
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

/// Hands each pixel of one row of the crop to `put`, with its place in `target`.
fn warp_row<T>(photo: &Photo, map: &Similarity, row: usize, target: &mut [T], put: impl Fn(&mut [T; 3], Lanes)) {
    let (a, b) = (map.a as f32, map.b as f32);
    let x0 = (map.tx - map.b * row as f64) as f32;
    let y0 = (map.ty + map.a * row as f64) as f32;
    let (pixels, _) = target.as_chunks_mut();
    for (column, pixel) in pixels.iter_mut().enumerate() {
        let column = column as f32;
        put(pixel, bilinear(photo, x0 + a * column, y0 + b * column));
    }
}

/// The photo at (`x`, `y`), where whole numbers are centres of pixels, rounded to the nearest level; black outside.
#[inline]
fn bilinear(photo: &Photo, x: f32, y: f32) -> Lanes {
    let (left, top) = (floor(x), floor(y));
    let (right_share, bottom_share) = (x - left as f32, y - top as f32);
    let [upper, lower] = inside(photo, left, top).unwrap_or_else(|| at_the_edge(photo, left, top));
    let upper = upper[0].lerp(upper[1], right_share);
    let lower = lower[0].lerp(lower[1], right_share);
    upper.lerp(lower, bottom_share).round()
}

/// `f32::floor` without SSE4.1 is a call of the C library; truncating is one instruction everywhere.
#[inline]
fn floor(value: f32) -> i32 {
    let truncated = value as i32;
    truncated.saturating_sub(i32::from((truncated as f32) > value))
}

/// The two pixels from (`left`, `top`) to the right and the two below them, if they and a third of each row are inside.
#[inline]
fn inside(photo: &Photo, left: i32, top: i32) -> Option<[[Lanes; 2]; 2]> {
    let (left, top) = (usize::try_from(left).ok()?, usize::try_from(top).ok()?);
    if left + 2 >= photo.width() as usize || top + 1 >= photo.height() as usize {
        return None;
    }
    let offset = top * photo.stride() + left * Photo::CHANNELS;
    let row = |offset: usize| {
        let seven = photo.pixels().get(offset..)?.first_chunk::<7>()?;
        Some([
            Lanes::new([seven[0], seven[1], seven[2], seven[3]]),
            Lanes::new([seven[3], seven[4], seven[5], seven[6]]),
        ])
    };
    Some([row(offset)?, row(offset + photo.stride())?])
}

/// The same four pixels, black where there is no photo.
#[cold]
fn at_the_edge(photo: &Photo, left: i32, top: i32) -> [[Lanes; 2]; 2] {
    let (right, bottom) = (left.saturating_add(1), top.saturating_add(1));
    [top, bottom].map(|y| [left, right].map(|x| pixel_or_black(photo, x, y)))
}

fn pixel_or_black(photo: &Photo, x: i32, y: i32) -> Lanes {
    if x < 0 || y < 0 || x >= photo.width() as i32 || y >= photo.height() as i32 {
        return Lanes::new([0; 4]);
    }
    let offset = y as usize * photo.stride() + x as usize * Photo::CHANNELS;
    let pixel = &photo.pixels()[offset..offset + Photo::CHANNELS];
    Lanes::new([pixel[0], pixel[1], pixel[2], 0])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::golden;

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
