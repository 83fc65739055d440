//! Vectors for the tests of codes.

use testing::Fenced;

/// `count` unit vectors of `dimension` numbers, one after the other, that `seed` decides.
pub(super) fn unit_vectors(count: usize, dimension: usize, seed: u64) -> Fenced<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let mut vectors: Fenced<f32> = (0..count * dimension).map(|_| next()).collect();
    for vector in vectors.chunks_exact_mut(dimension) {
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        for x in vector {
            *x /= length;
        }
    }
    vectors
}
