//! What is known of a face: where it is, how good it is, and the vector that stands for it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::turned::Turned;
use crate::ids::{FaceId, PersonId};

/// Five points in pixels of the upright photo: the eye on the viewer's left, the other eye, the nose,
/// the mouth corner on the viewer's left, the other; left as one sees it who has turned the photo so that the face
/// stands upright.
pub type Landmarks = [[f32; 2]; 5];

/// A rectangle in pixels of the upright photo; `x2`, `y2` lie just outside. It may reach beyond the photo.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FaceBox {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
}

impl FaceBox {
    /// Width in pixels.
    pub fn width(&self) -> f32 {
        self.x2 - self.x1
    }

    /// Height in pixels.
    pub fn height(&self) -> f32 {
        self.y2 - self.y1
    }

    /// Area in square pixels; 0 for an empty box.
    pub fn area(&self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// The box in shares of the width and height of a photo of so many pixels.
    #[must_use]
    pub fn normalized(&self, width: u32, height: u32) -> Self {
        let (width, height) = (width as f32, height as f32);
        Self { x1: self.x1 / width, y1: self.y1 / height, x2: self.x2 / width, y2: self.y2 / height }
    }

    /// Intersection over union with `other`, 0..=1.
    pub fn iou(&self, other: &Self) -> f32 {
        let shared = self.shared(other);
        shared / (self.area() + other.area() - shared + 1e-9)
    }

    /// The share of the smaller one of this and `other` that lies in the larger one, 0..=1.
    pub fn containment(&self, other: &Self) -> f32 {
        self.shared(other) / (self.area().min(other.area()) + 1e-9)
    }

    /// The area that this and `other` have in common.
    fn shared(&self, other: &Self) -> f32 {
        let width = (self.x2.min(other.x2) - self.x1.max(other.x1)).max(0.0);
        let height = (self.y2.min(other.y2) - self.y1.max(other.y1)).max(0.0);
        width * height
    }
}

/// A face as the detector sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// The detector's confidence, 0..=1.
    pub score: f32,
    /// Where it is.
    pub bbox: FaceBox,
    /// Its five points.
    pub landmarks: Landmarks,
    /// How the photo has to be turned for the face to stand upright; box and points lie in the photo as it came.
    pub turned: Turned,
}

impl Detection {
    /// Width of the face in pixels, from one of its sides to the other, however the photo lies.
    pub fn width_px(&self) -> f32 {
        if self.turned.is_on_side() { self.bbox.height() } else { self.bbox.width() }
    }

    /// Whether the eyes stand above the mouth once the photo is turned: within 45 degrees of straight above it.
    pub fn is_upright(&self) -> bool {
        let [eye, other_eye, _, corner, other_corner] = self.landmarks;
        let down = [0, 1].map(|axis| corner[axis] + other_corner[axis] - eye[axis] - other_eye[axis]);
        let [x, y] = self.turned.direction(down);
        y > x.abs()
    }

    /// A face found in a photo that was turned before, in the photo as it came, of `width` × `height` pixels.
    #[must_use]
    pub fn turned_back(self, turned: Turned, width: u32, height: u32) -> Self {
        // Boxes end at the outer edge of the last pixel, points lie at most on its centre.
        let (edge, centre) = ([width as f32, height as f32], [width as f32 - 1.0, height as f32 - 1.0]);
        let FaceBox { x1, y1, x2, y2 } = self.bbox;
        let [one, other] = [[x1, y1], [x2, y2]].map(|corner| turned.point_back(corner, edge));
        let bbox = FaceBox {
            x1: one[0].min(other[0]),
            y1: one[1].min(other[1]),
            x2: one[0].max(other[0]),
            y2: one[1].max(other[1]),
        };
        Self { bbox, landmarks: self.landmarks.map(|point| turned.point_back(point, centre)), turned, ..self }
    }

    /// Multiplies every coordinate by `factor`: from a scaled copy's pixels to the photo's.
    pub fn scale(&mut self, factor: f32) {
        let FaceBox { x1, y1, x2, y2 } = self.bbox;
        self.bbox = FaceBox { x1: x1 * factor, y1: y1 * factor, x2: x2 * factor, y2: y2 * factor };
        self.landmarks = self.landmarks.map(|point| point.map(|coordinate| coordinate * factor));
    }
}

/// Degrees; 0, 0, 0 looks into the camera.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeadPose {
    /// Turned to the viewer's left is positive.
    pub yaw: f32,
    /// Looking up is positive. Reads about 10 degrees low on upright faces.
    pub pitch: f32,
    /// Tilted clockwise, as the viewer sees it, is positive.
    pub roll: f32,
}

/// What the passive liveness check says of a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LivenessVerdict {
    /// A person before the camera.
    Live,
    /// A photograph or a screen.
    Spoof,
    /// Too small to judge.
    NotAssessable,
}

/// How good a face is for recognition.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quality {
    /// Width of the box in pixels of the photo.
    pub width_px: f32,
    /// Variance of the Laplacian over the aligned grey crop; higher is sharper.
    pub sharpness: f32,
    /// Mean grey level of the aligned crop, 0..=255.
    pub brightness: f32,
    /// Norm of the raw embedding: 3.9 on sharp portraits, 2.9 at 16 px.
    pub norm: f32,
    /// Turn of the head in degrees; to the viewer's left is positive.
    pub yaw: f32,
    /// Nod of the head in degrees; up is positive.
    pub pitch: f32,
    /// Tilt of the head in degrees; clockwise, as the viewer sees it, is positive.
    pub roll: f32,
}

/// Which network and post-processing made a vector. Samples of different models are never compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelId {
    /// Name and version of the network.
    pub name: Arc<str>,
    /// Numbers in a vector.
    pub dimension: u32,
    /// Version of what is done to the raw output.
    pub postprocessing: u32,
}

/// One enrolled embedding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaceSample {
    /// Its identity.
    pub id: FaceId,
    /// Whose it is.
    pub person: PersonId,
    /// What made the vector.
    pub model: ModelId,
    /// Unit length, finite.
    pub vector: Vec<f32>,
    /// The detector's confidence in the face.
    pub score: f32,
    /// How good the face was.
    pub quality: Quality,
    /// SHA-256 of the image file that it was made of, by which the same file is known when it comes again; none where
    /// it was made of no file.
    pub source: Option<[u8; 32]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_of_equal_half_and_apart() {
        let a = FaceBox { x1: 0.0, y1: 0.0, x2: 10.0, y2: 10.0 };
        let half = FaceBox { x1: 0.0, y1: 0.0, x2: 10.0, y2: 5.0 };
        let apart = FaceBox { x1: 20.0, y1: 0.0, x2: 30.0, y2: 10.0 };
        assert!((a.iou(&a) - 1.0).abs() < 1e-6);
        assert!((a.iou(&half) - 0.5).abs() < 1e-6);
        assert!(a.iou(&apart) < 1e-6);
        assert!((a.containment(&half) - 1.0).abs() < 1e-6 && (half.containment(&a) - 1.0).abs() < 1e-6);
        assert!(a.containment(&apart) < 1e-6);
    }

    /// An upright face, and what is seen of it in a photo of 100 × 60 pixels that was turned for it.
    #[test]
    fn a_face_found_in_a_turned_photo_lies_in_the_photo_as_it_came() {
        let bbox = FaceBox { x1: 10.0, y1: 20.0, x2: 18.0, y2: 32.0 };
        let landmarks = [[12.0, 24.0], [16.0, 24.0], [14.0, 26.0], [12.0, 29.0], [16.0, 29.0]];
        let seen = Detection { score: 0.9, bbox, landmarks, turned: Turned::No };
        assert!(seen.is_upright());
        let in_the_photo = [
            (Turned::No, [10.0, 20.0, 18.0, 32.0], [12.0, 24.0]),
            (Turned::By90, [20.0, 42.0, 32.0, 50.0], [24.0, 47.0]),
            (Turned::By180, [82.0, 28.0, 90.0, 40.0], [87.0, 35.0]),
            (Turned::By270, [68.0, 10.0, 80.0, 18.0], [75.0, 12.0]),
        ];
        for (turned, [x1, y1, x2, y2], eye) in in_the_photo {
            let face = seen.turned_back(turned, 100, 60);
            assert_eq!((face.bbox, face.landmarks[0]), (FaceBox { x1, y1, x2, y2 }, eye), "{turned:?}");
            assert!((face.width_px() - 8.0).abs() < 1e-6 && face.is_upright(), "{turned:?}");
            let as_it_came = Detection { turned: Turned::No, ..face };
            assert_eq!(as_it_came.is_upright(), turned == Turned::No, "{turned:?}");
        }
    }
}
