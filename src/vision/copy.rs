//! Copies of photos for people to look at: pixels alone, so nothing of what a file says beside them (place, time,
//! camera, a thumbnail) comes along.

use image::{ImageBuffer, Rgb, imageops};

use super::{crops::region, jpeg, orientation::turn, photo::Photo, resize::Region};
use domain::{FaceBox, Turned};
use error::{Error, Result};

/// Longest side of a whole photo's copy.
pub const ORIGINAL_SIDE: u32 = 2048;
/// Longest side of a face's copy.
pub const CROP_SIDE: u32 = 640;

/// What is shown of a face's surroundings: a square with this many times the longer side of its box.
const CROP_GROWTH: f32 = 2.0;

/// A JPEG of the whole photo, turned upright and scaled down where it is larger than [`ORIGINAL_SIDE`].
///
/// Errors: `internal` if the encoder fails.
pub fn original(photo: &Photo, turned: Turned) -> Result<Vec<u8>> {
    copy(photo, Region::whole(photo), ORIGINAL_SIDE, turned)
}

/// A JPEG of a face with its surroundings, as far as the photo shows them, turned upright with the photo and scaled down
/// where it is larger than [`CROP_SIDE`].
///
/// Errors: `internal` if the encoder fails.
pub fn crop(photo: &Photo, face: &FaceBox, turned: Turned) -> Result<Vec<u8>> {
    let reach = face.width().max(face.height()) * CROP_GROWTH / 2.0;
    let centre = [f32::midpoint(face.x1, face.x2), f32::midpoint(face.y1, face.y2)];
    let [from, to] = [-reach, reach].map(|reach| centre.map(|coordinate| (coordinate + reach).max(0.0)));
    copy(photo, region(photo, from, to.map(|coordinate| coordinate as u32)), CROP_SIDE, turned)
}

fn copy(photo: &Photo, region: Region, side: u32, turned: Turned) -> Result<Vec<u8>> {
    let whole = ImageBuffer::<Rgb<u8>, _>::from_raw(photo.width(), photo.height(), photo.pixels());
    let whole = whole.ok_or_else(|| Error::internal("a photo has fewer pixels than it says"))?;
    let Region { left, top, width, height } = region;
    let part = imageops::crop_imm(&whole, left, top, width, height);
    let scale = (f64::from(side) / f64::from(width.max(height))).min(1.0);
    let scaled = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    let (width, height) = (scaled(width), scaled(height));
    let small = Photo::new(width, height, imageops::thumbnail(&*part, width, height).into_raw())?;
    let upright = turn(&small, turned)?;
    jpeg::encode(&[upright.pixels()], upright.width())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DecodeLimits, decode, golden, read_header};

    fn decoded(jpeg: &[u8]) -> Photo {
        let limits = DecodeLimits { max_bytes: 1 << 24, max_side: 10_000, max_pixels: 1 << 24 };
        decode(jpeg, &read_header(jpeg, &limits).unwrap(), &limits).unwrap()
    }

    #[test]
    fn a_face_comes_with_its_surroundings_and_a_photo_whole() {
        let photo = Photo::new(1000, 400, vec![120; 1_200_000]).unwrap();
        let size = |jpeg: Vec<u8>| (decoded(&jpeg).width(), decoded(&jpeg).height());
        assert_eq!(size(original(&photo, Turned::No).unwrap()), (1000, 400));
        let inside = FaceBox { x1: 450.0, y1: 150.0, x2: 530.0, y2: 250.0 };
        assert_eq!(size(crop(&photo, &inside, Turned::No).unwrap()), (200, 200));
        let at_the_edge = FaceBox { x1: -50.0, y1: 0.0, x2: 50.0, y2: 100.0 };
        assert_eq!(size(crop(&photo, &at_the_edge, Turned::No).unwrap()), (100, 150));
        let huge = FaceBox { x1: 0.0, y1: 0.0, x2: 900.0, y2: 400.0 };
        assert_eq!(size(crop(&photo, &huge, Turned::No).unwrap()), (CROP_SIDE, 256));
        let large = Photo::new(4096, 1024, vec![9; 4096 * 1024 * 3]).unwrap();
        assert_eq!(size(original(&large, Turned::No).unwrap()), (ORIGINAL_SIDE, 512));
        assert_eq!(size(original(&photo, Turned::By90).unwrap()), (400, 1000));
        assert_eq!(size(crop(&photo, &at_the_edge, Turned::By270).unwrap()), (150, 100));
    }

    #[test]
    fn copies_look_like_their_photos_and_say_nothing_else() {
        let levels = (0..200_u32).flat_map(|row| (0..300_u32).flat_map(move |column| [row, column / 2, 100]));
        let photo = Photo::new(300, 200, levels.map(|level| level as u8).collect()).unwrap();
        let jpeg = original(&photo, Turned::No).unwrap();
        let copied = decoded(&jpeg);
        let apart = copied.pixels().iter().zip(photo.pixels()).map(|(one, other)| u64::from(one.abs_diff(*other)));
        assert!(apart.sum::<u64>() < 8 * photo.pixels().len() as u64, "8 levels apart on average");
        for mark in [&b"Exif"[..], b"http", b"ICC_"] {
            assert!(!jpeg.windows(mark.len()).any(|window| window == mark));
        }
    }

    #[test]
    fn boxes_beside_the_photo_are_survived() {
        let photo = golden::synthetic();
        let beside = FaceBox { x1: 9e5, y1: 9e5, x2: 1e6, y2: 1e6 };
        let lost = FaceBox { x1: f32::NAN, y1: 0.0, x2: f32::INFINITY, y2: 10.0 };
        for face in [beside, lost] {
            crop(&photo, &face, Turned::No).unwrap();
        }
    }
}
