//! What `OpenCV` makes of one synthetic photo; see `tests/fixtures/images/make_goldens.py`.

use serde::Deserialize;

use super::photo::Photo;
use domain::{FaceBox, Landmarks};

#[derive(Deserialize)]
pub(super) struct Golden {
    pub(super) align: Vec<AlignCase>,
    pub(super) liveness: Vec<CropCase>,
    pub(super) head_pose: Vec<CropCase>,
    pub(super) resize: Vec<ResizeCase>,
}

#[derive(Deserialize)]
pub(super) struct AlignCase {
    pub(super) landmarks: Landmarks,
    pub(super) values: Vec<u8>,
    pub(super) brightness: f32,
    pub(super) sharpness: f32,
}

#[derive(Deserialize)]
pub(super) struct CropCase {
    #[serde(rename = "box")]
    corners: [f32; 4],
    pub(super) values: Vec<u8>,
}

impl CropCase {
    pub(super) fn face(&self) -> FaceBox {
        let [x1, y1, x2, y2] = self.corners;
        FaceBox { x1, y1, x2, y2 }
    }
}

#[derive(Deserialize)]
pub(super) struct ResizeCase {
    pub(super) side: u32,
    pub(super) values: Vec<u8>,
}

pub(super) fn opencv() -> Golden {
    serde_json::from_str(include_str!("../../tests/fixtures/images/opencv.json")).unwrap()
}

/// The photo of `make_goldens.py`.
pub(super) fn synthetic() -> Photo {
    let (width, height) = (403_u32, 301_u32);
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                let curves = (x * x * 3 + y * y * 5 + x * y * 7) / 64;
                pixels.push(((curves + x * (c + 1) + y * (3 - c) * 2 + (x ^ y) * c) % 256) as u8);
            }
        }
    }
    Photo::new(width, height, pixels).unwrap()
}

/// Every `step`-th of `values` must lie within `levels` of `expected`, and seven in ten be the same.
pub(super) fn assert_close(values: impl Iterator<Item = f32>, step: usize, expected: &[u8], levels: f32) {
    let kept: Vec<f32> = values.step_by(step).collect();
    assert_eq!(kept.len(), expected.len());
    let differences: Vec<f32> = kept.iter().zip(expected).map(|(a, b)| (a - f32::from(*b)).abs()).collect();
    let worst = differences.iter().copied().fold(0.0, f32::max);
    let exact = differences.iter().filter(|difference| **difference < 0.5).count() as f32 / kept.len() as f32;
    assert!(worst <= levels, "off by {worst} levels");
    assert!(exact > 0.7, "only {exact} of the values are the same");
}
