//! A random rotation that takes no matrix: signs flipped at random, then a Hadamard transform, four times over.
//!
//! It spreads what a vector says over all numbers alike, whatever the vector; the sign of each then says the same
//! amount. It is the same in every process: codes made elsewhere can be compared.

use nn::kernels::simd::Simd;

/// Times that signs are flipped and numbers mixed. After one, vectors of few large numbers are not spread enough.
const ROUNDS: usize = 4;
/// Codes of another seed have nothing to do with ours.
const SEED: u64 = 0x726F_6C6C_6361_6C6C;

/// See the module.
#[derive(Debug)]
pub(super) struct Rotation {
    dimension: usize,
    /// 1 or −1 for each number, one round after the other.
    signs: Vec<f32>,
}

impl Rotation {
    /// A rotation of vectors of `dimension` numbers.
    pub(super) fn new(dimension: usize) -> Self {
        let mut state = SEED;
        let signs = (0..ROUNDS * dimension).map(|_| if split_mix(&mut state) >> 63 == 0 { 1.0 } else { -1.0 });
        Self { dimension, signs: signs.collect() }
    }

    /// Numbers of a vector.
    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    /// Rotates vectors that lie side by side, one a lane: `numbers[k]` holds number `k` of each.
    ///
    /// The transform takes a power of two; of other dimensions it mixes as many numbers as it can, from the front
    /// and from the back in turn.
    #[expect(clippy::inline_always, reason = "compiled for the instruction set of the caller")]
    #[inline(always)]
    pub(super) fn apply<S: Simd>(&self, simd: S, numbers: &mut [S::V]) {
        assert_eq!(numbers.len(), self.dimension, "a vector of the rotation's dimension");
        let width = 1 << self.dimension.ilog2();
        let scale = 1.0 / (width as f32).sqrt();
        for (round, signs) in self.signs.chunks_exact(self.dimension).enumerate() {
            let start = if round % 2 == 0 { 0 } else { self.dimension - width };
            for (k, (number, sign)) in numbers.iter_mut().zip(signs).enumerate() {
                let factor = if (start..start + width).contains(&k) { sign * scale } else { *sign };
                *number = simd.mul_add(*number, simd.splat(factor), simd.splat(0.0));
            }
            hadamard(simd, &mut numbers[start..start + width]);
        }
    }
}

/// The Hadamard transform without its scale, in place. Two of its steps are taken at a time, for it waits for memory.
#[expect(clippy::inline_always, reason = "compiled for the instruction set of the caller")]
#[inline(always)]
fn hadamard<S: Simd>(simd: S, numbers: &mut [S::V]) {
    let minus = simd.splat(-1.0);
    let mixed = |a: S::V, b: S::V| (simd.add(a, b), simd.mul_add(b, minus, a));
    let mut quarter = 1;
    while 4 * quarter <= numbers.len() {
        for block in numbers.chunks_exact_mut(4 * quarter) {
            let (low, high) = block.split_at_mut(2 * quarter);
            let ((a, b), (c, d)) = (low.split_at_mut(quarter), high.split_at_mut(quarter));
            for ((a, b), (c, d)) in a.iter_mut().zip(b).zip(c.iter_mut().zip(d)) {
                let ((ab, a_b), (cd, c_d)) = (mixed(*a, *b), mixed(*c, *d));
                ((*a, *c), (*b, *d)) = (mixed(ab, cd), mixed(a_b, c_d));
            }
        }
        quarter *= 4;
    }
    if 2 * quarter <= numbers.len() {
        let (left, right) = numbers.split_at_mut(quarter);
        for (a, b) in left.iter_mut().zip(right) {
            (*a, *b) = mixed(*a, *b);
        }
    }
}

/// Steele, Lea and Flood's generator: the next number of a state.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::kernels::simd::Portable;

    /// The rotated vector, by the plainest instruction set.
    fn rotated(rotation: &Rotation, vector: &[f32]) -> Vec<f32> {
        let mut numbers: Vec<[f32; 4]> = vector.iter().map(|&x| [x, 0.0, 0.0, 0.0]).collect();
        rotation.apply(Portable, &mut numbers);
        numbers.into_iter().map(|lanes| lanes[0]).collect()
    }

    #[test]
    fn lengths_and_angles_stay_and_every_number_takes_part() {
        for dimension in [1, 2, 8, 24, 32, 40, 96, 128, 200, 512, 768] {
            let rotation = Rotation::new(dimension);
            let unit = |k: usize| (0..dimension).map(|at| if at == k { 1.0 } else { 0.0 }).collect::<Vec<f32>>();
            let rotated: Vec<Vec<f32>> = (0..dimension).map(|k| rotated(&rotation, &unit(k))).collect();
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
            for (k, a) in rotated.iter().enumerate() {
                for (l, b) in rotated.iter().enumerate().skip(k.saturating_sub(2)).take(5) {
                    let expected = if k == l { 1.0 } else { 0.0 };
                    assert!((dot(a, b) - expected).abs() < 1e-4, "{dimension}: {k} and {l}");
                }
                let largest = a.iter().map(|x| x.abs()).fold(0.0, f32::max);
                assert!(dimension < 96 || largest < 0.8, "{dimension}: number {k} stays where it was");
            }
        }
    }

    #[test]
    fn side_by_side_is_one_by_one() {
        let rotation = Rotation::new(40);
        let number = |k: usize, lane: usize| ((k * 7 + lane * 13) % 11) as f32 - 5.0;
        let mut together: Vec<[f32; 4]> = (0..40).map(|k| [0, 1, 2, 3].map(|lane| number(k, lane))).collect();
        rotation.apply(Portable, &mut together);
        for lane in 0..4 {
            let alone = rotated(&rotation, &(0..40).map(|k| number(k, lane)).collect::<Vec<f32>>());
            assert!(alone.iter().zip(&together).all(|(a, b)| (a - b[lane]).abs() < 1e-4));
        }
    }
}
