//! The faces' surroundings that the liveness and head pose networks look at.
//!
//! The rectangles repeat, in `f32` and with the same truncations, the arithmetic that the networks were measured with.

use super::{
    detector_input::bgr_floats,
    orientation::turn,
    photo::Photo,
    resize::{Region, resample},
};
use domain::{FaceBox, Turned};
use error::{Error, Result};

/// Side of the liveness network's input.
pub const LIVENESS_SIDE: usize = 128;
/// Numbers in the liveness network's input for one face.
pub const LIVENESS_INPUT: usize = LIVENESS_SIDE * LIVENESS_SIDE * Photo::CHANNELS;
/// Side of the head pose network's input.
pub const HEAD_POSE_SIDE: usize = 224;
/// Numbers in the head pose network's input for one face.
pub const HEAD_POSE_INPUT: usize = HEAD_POSE_SIDE * HEAD_POSE_SIDE * Photo::CHANNELS;

/// MiniFASNet V2 was trained on boxes grown by this factor.
const LIVENESS_GROWTH: f32 = 2.7;
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Writes the liveness network's input for `face` into `out`, `[128, 128, 3]`: BGR, 0..=255. The box is grown 2.7 times
/// about its centre, moved to stay inside the photo, never larger than the photo; the crop is turned with the photo.
///
/// Errors: `internal` if `out` does not hold [`LIVENESS_INPUT`] numbers.
pub fn liveness_crop_into(photo: &Photo, face: &FaceBox, turned: Turned, out: &mut [f32]) -> Result<()> {
    let crop = resampled(photo, grown(photo, face), LIVENESS_SIDE, out.len())?;
    bgr_floats(turn(&crop, turned)?.pixels(), out);
    Ok(())
}

/// Writes the head pose network's input for `face` into `out`, `[224, 224, 3]`: RGB with `ImageNet`'s mean and deviation
/// taken out. The box is grown by a quarter of its size on each side and clipped to the photo; the crop is turned with
/// the photo.
///
/// Errors: `internal` if `out` does not hold [`HEAD_POSE_INPUT`] numbers.
pub fn head_pose_crop_into(photo: &Photo, face: &FaceBox, turned: Turned, out: &mut [f32]) -> Result<()> {
    let crop = resampled(photo, widened(photo, face), HEAD_POSE_SIDE, out.len())?;
    let crop = turn(&crop, turned)?;
    let scale = IMAGENET_DEVIATION.map(|deviation| 1.0 / (255.0 * deviation));
    let offset: [f32; 3] = std::array::from_fn(|channel| IMAGENET_MEAN[channel] / IMAGENET_DEVIATION[channel]);
    for (target, source) in out.chunks_exact_mut(3).zip(crop.pixels().chunks_exact(3)) {
        for channel in 0..3 {
            target[channel] = f32::from(source[channel]) * scale[channel] - offset[channel];
        }
    }
    Ok(())
}

fn resampled(photo: &Photo, region: Region, side: usize, room: usize) -> Result<Photo> {
    let length = side * side * Photo::CHANNELS;
    if room != length {
        return Err(Error::internal("the slice does not fit the network's input"));
    }
    let mut crop = vec![0; length];
    resample(photo, region, side as u32, side as u32, &mut crop)?;
    Photo::new(side as u32, side as u32, crop)
}

/// The liveness rectangle.
fn grown(photo: &Photo, face: &FaceBox) -> Region {
    let (last_x, last_y) = (photo.width() as f32 - 1.0, photo.height() as f32 - 1.0);
    let factor = (last_y / face.height()).min(last_x / face.width()).min(LIVENESS_GROWTH);
    let (width, height) = (face.width() * factor, face.height() * factor);
    let left = ((face.x1 + face.x2 - width) / 2.0).max(0.0).min(last_x - width);
    let top = ((face.y1 + face.y2 - height) / 2.0).max(0.0).min(last_y - height);
    region(photo, [left, top], [(left + width) as u32 + 1, (top + height) as u32 + 1])
}

/// The head pose rectangle.
fn widened(photo: &Photo, face: &FaceBox) -> Region {
    let (dx, dy) = (face.width() / 4.0, face.height() / 4.0);
    let right = (face.x2 + dx).min(photo.width() as f32) as u32;
    let bottom = (face.y2 + dy).min(photo.height() as f32) as u32;
    region(photo, [(face.x1 - dx).max(0.0), (face.y1 - dy).max(0.0)], [right, bottom])
}

/// The pixels from `from` (truncated) up to `to` (outside), clipped, and at least one pixel even for a box that lies
/// beside the photo.
pub(super) fn region(photo: &Photo, from: [f32; 2], to: [u32; 2]) -> Region {
    let left = (from[0] as u32).min(photo.width() - 1);
    let top = (from[1] as u32).min(photo.height() - 1);
    let width = to[0].min(photo.width()).saturating_sub(left).max(1);
    let height = to[1].min(photo.height()).saturating_sub(top).max(1);
    Region { left, top, width, height }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use domain::Detection;

    #[test]
    fn liveness_like_opencv() {
        let photo = golden::synthetic();
        for case in golden::opencv().liveness {
            let mut out = vec![0.0; LIVENESS_INPUT];
            liveness_crop_into(&photo, &case.face(), Turned::No, &mut out).unwrap();
            let rgb = out.chunks_exact(3).flat_map(|bgr| [bgr[2], bgr[1], bgr[0]]);
            golden::assert_close(rgb, 101, &case.values, 0.0);
        }
    }

    #[test]
    fn head_pose_like_opencv() {
        let photo = golden::synthetic();
        for case in golden::opencv().head_pose {
            let mut out = vec![0.0; HEAD_POSE_INPUT];
            head_pose_crop_into(&photo, &case.face(), Turned::No, &mut out).unwrap();
            let levels = out
                .iter()
                .enumerate()
                .map(|(index, value)| (value * IMAGENET_DEVIATION[index % 3] + IMAGENET_MEAN[index % 3]) * 255.0);
            golden::assert_close(levels, 401, &case.values, 0.001);
        }
    }

    /// The networks see the same face, but for a pixel at the edges, however the photo lies.
    #[test]
    fn the_crop_of_a_turned_photo_is_upright() {
        let levels = (0..300_u32).flat_map(|y| (0..400_u32).flat_map(move |x| [x / 2, y * 4 / 5, (x + y) / 3]));
        let photo = Photo::new(400, 300, levels.map(|level| level as u8).collect()).unwrap();
        let bbox = FaceBox { x1: 110.0, y1: 120.0, x2: 150.0, y2: 172.0 };
        let [live, pose] = crops(&photo, &bbox, Turned::No);
        let seen = Detection { score: 1.0, bbox, landmarks: [[0.0; 2]; 5], turned: Turned::No };
        for (turned, back) in Turned::TURNS.into_iter().zip([Turned::By270, Turned::By180, Turned::By90]) {
            let lying = turn(&photo, back).unwrap();
            let face = seen.turned_back(turned, lying.width(), lying.height());
            let [turned_live, turned_pose] = crops(&lying, &face.bbox, turned);
            assert!(apart(&live, &turned_live) < 2.0, "{turned:?}");
            assert!(apart(&pose, &turned_pose) < 2.0 / 255.0 / 0.22, "{turned:?}");
        }
    }

    /// The mean difference.
    fn apart(one: &[f32], other: &[f32]) -> f32 {
        one.iter().zip(other).map(|(one, other)| (one - other).abs()).sum::<f32>() / one.len() as f32
    }

    fn crops(photo: &Photo, face: &FaceBox, turned: Turned) -> [Vec<f32>; 2] {
        let (mut live, mut pose) = (vec![0.0; LIVENESS_INPUT], vec![0.0; HEAD_POSE_INPUT]);
        liveness_crop_into(photo, face, turned, &mut live).unwrap();
        head_pose_crop_into(photo, face, turned, &mut pose).unwrap();
        [live, pose]
    }

    #[test]
    fn boxes_beside_the_photo_or_without_size_are_survived() {
        let photo = golden::synthetic();
        let beside = FaceBox { x1: 900.0, y1: 900.0, x2: 950.0, y2: 950.0 };
        let empty = FaceBox { x1: 10.0, y1: 10.0, x2: 10.0, y2: 10.0 };
        let huge = FaceBox { x1: -1e30, y1: -1e30, x2: 1e30, y2: 1e30 };
        let lost = FaceBox { x1: f32::NAN, y1: 0.0, x2: f32::INFINITY, y2: 10.0 };
        for face in [beside, empty, huge, lost] {
            liveness_crop_into(&photo, &face, Turned::No, &mut vec![0.0; LIVENESS_INPUT]).unwrap();
            head_pose_crop_into(&photo, &face, Turned::No, &mut vec![0.0; HEAD_POSE_INPUT]).unwrap();
        }
    }

    #[test]
    fn a_photo_of_one_pixel() {
        let photo = Photo::new(1, 1, vec![10, 20, 30]).unwrap();
        let face = FaceBox { x1: 0.0, y1: 0.0, x2: 1.0, y2: 1.0 };
        let mut out = vec![0.0; LIVENESS_INPUT];
        liveness_crop_into(&photo, &face, Turned::No, &mut out).unwrap();
        assert_eq!(out[..3], [30.0, 20.0, 10.0]);
        assert!(liveness_crop_into(&photo, &face, Turned::No, &mut out[3..]).is_err());
    }
}
