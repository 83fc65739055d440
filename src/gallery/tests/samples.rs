//! Made-up samples, for the tests of galleries and of what keeps them.

use domain::{FaceId, FaceSample, ModelId, PersonId, Quality};

pub(crate) const DIMENSION: usize = 32;

pub(crate) fn model() -> ModelId {
    ModelId { name: "test".into(), dimension: DIMENSION as u32, postprocessing: 1 }
}

pub(crate) fn id(text: &str) -> PersonId {
    text.parse().unwrap()
}

pub(crate) fn face(number: u64) -> FaceId {
    FaceId::from_bytes(u128::from(number).to_be_bytes())
}

/// A unit vector that `seed` decides.
pub(crate) fn vector(seed: u64) -> Vec<f32> {
    vector_of(DIMENSION, seed)
}

pub(crate) fn vector_of(dimension: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let raw: Vec<f32> = (0..dimension).map(|_| next()).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
    raw.into_iter().map(|x| x / length).collect()
}

pub(crate) fn sample(person: &str, number: u64, seed: u64) -> FaceSample {
    let quality =
        Quality { width_px: 80.0, sharpness: 200.0, brightness: 120.0, norm: 3.9, yaw: 0.0, pitch: 0.0, roll: 0.0 };
    FaceSample {
        id: face(number),
        person: id(person),
        model: model(),
        vector: vector(seed),
        score: 0.9,
        quality,
        source: None,
    }
}

/// One that does not have the model's dimension.
pub(crate) fn short_sample() -> FaceSample {
    let mut short = sample("p", 9, 9);
    short.vector.truncate(DIMENSION / 2);
    short
}
