//! Two looks at one photo: at the detector's full size, and small, for faces that fill the frame.
//!
//! The network is made for faces of [10 to 300 pixels](LARGEST_FACE_PX). A larger one becomes several boxes, a weak one
//! or none; seen small it is a face like any other. What both looks find is one list of [`Find`]s, in which each face
//! counts for more in the look where it has the size that the network is made for.

use super::nms::Find;
use domain::Detection;

/// Longest side of the photo in the small look, in pixels.
pub const SMALL_SIDE_PX: u32 = 320;

/// Width of the largest face that the network is made for, in pixels of the look.
pub const LARGEST_FACE_PX: f32 = 300.0;

/// The narrowest face that is taken from the small look, in its pixels: the other one sees those better.
const LEAST_SMALL_PX: f32 = 48.0;

/// What a find counts less, as a score, in the look where its face has not the size that the network is made for.
const UNFIT: f32 = 0.15;

/// The finds of the large look, or of a tile; `scale` is its pixels for each pixel of the photo.
pub fn large(found: Vec<Detection>, scale: f32) -> impl Iterator<Item = Find> {
    found.into_iter().map(move |detection| {
        let fills_frame = detection.width_px() * scale > LARGEST_FACE_PX;
        Find { weight: weight(&detection, !fills_frame), detection, fills_frame }
    })
}

/// The finds of the small look that count beside a large look of `large_scale`.
pub fn small(found: Vec<Detection>, scale: f32, large_scale: f32) -> impl Iterator<Item = Find> {
    let is_wide = move |detection: &Detection| detection.width_px() * scale >= LEAST_SMALL_PX;
    found.into_iter().filter(is_wide).map(move |detection| {
        let fills_frame = detection.width_px() * large_scale > LARGEST_FACE_PX;
        Find { weight: weight(&detection, fills_frame), detection, fills_frame }
    })
}

fn weight(detection: &Detection, is_fit: bool) -> f32 {
    if is_fit { detection.score } else { detection.score - UNFIT }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nms::nms;
    use domain::{FaceBox, Turned};

    /// Width and score, at the left edge of the photo, below `y`.
    fn face(y: f32, width: f32, score: f32) -> Detection {
        let bbox = FaceBox { x1: 0.0, y1: y, x2: width, y2: y + width * 1.3 };
        Detection { score, bbox, landmarks: [[0.0; 2]; 5], turned: Turned::No }
    }

    /// What is kept of the finds of a large look at full size and of a small one at a quarter of it.
    fn kept(in_large: Vec<Detection>, in_small: Vec<Detection>) -> Vec<Detection> {
        nms(large(in_large, 1.0).chain(small(in_small, 0.25, 1.0)).collect(), 0.3)
    }

    #[test]
    fn a_face_that_fills_the_frame_is_the_small_looks_and_its_parts_are_none() {
        let (whole, upper, lower) = (face(0.0, 600.0, 0.8), face(0.0, 450.0, 0.9), face(300.0, 500.0, 0.7));
        let ear = face(10.0, 120.0, 0.75);
        assert_eq!(kept(vec![upper, lower, ear], vec![whole]), [whole]);
    }

    #[test]
    fn a_face_of_the_right_size_is_the_large_looks() {
        let (sharp, coarse) = (face(0.0, 250.0, 0.85), face(10.0, 240.0, 0.95));
        assert_eq!(kept(vec![sharp], vec![coarse]), [sharp]);
    }

    #[test]
    fn what_one_look_alone_finds_is_kept_with_its_score() {
        let (masked, huge) = (face(0.0, 220.0, 0.8), face(400.0, 400.0, 0.7));
        assert_eq!(kept(vec![huge], vec![masked]), [masked, huge]);
        assert_eq!(kept(vec![], vec![face(0.0, 180.0, 0.9)]), [], "45 pixels of the small look");
    }

    #[test]
    fn a_face_before_another_of_the_right_size_stays() {
        let (behind, before) = (face(0.0, 200.0, 0.9), face(100.0, 60.0, 0.8));
        assert_eq!(kept(vec![behind, before], vec![]), [behind, before]);
    }

    #[test]
    fn the_width_of_a_face_on_its_side_is_its_height_in_the_photo() {
        let on_its_side = Detection { turned: Turned::By90, ..face(0.0, 240.0, 0.9) };
        let find = large(vec![on_its_side], 1.0).next().unwrap();
        assert!(find.fills_frame, "240 × 1.3 pixels wide");
    }
}
