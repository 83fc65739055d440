//! A random rotation that takes no matrix: signs flipped at random, then a Hadamard transform, four times over.
//!
//! It spreads what a vector says over all numbers alike, whatever the vector; the sign of each then says the same
//! amount. It is the same in every process: codes made elsewhere can be compared.

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

    /// Rotates `N` vectors that lie side by side: `numbers[k]` holds number `k` of each.
    ///
    /// The transform takes a power of two; of other dimensions it mixes as many numbers as it can, from the front
    /// and from the back in turn.
    #[expect(clippy::inline_always, reason = "compiled for the instruction set of the caller")]
    #[inline(always)]
    pub(super) fn apply<const N: usize>(&self, numbers: &mut [[f32; N]]) {
        assert_eq!(numbers.len(), self.dimension, "a vector of the rotation's dimension");
        let width = 1 << self.dimension.ilog2();
        let scale = 1.0 / (width as f32).sqrt();
        for (round, signs) in self.signs.chunks_exact(self.dimension).enumerate() {
            let start = if round % 2 == 0 { 0 } else { self.dimension - width };
            for (k, (number, sign)) in numbers.iter_mut().zip(signs).enumerate() {
                let factor = if (start..start + width).contains(&k) { sign * scale } else { *sign };
                *number = number.map(|x| x * factor);
            }
            hadamard(&mut numbers[start..start + width]);
        }
    }
}

/// The Hadamard transform without its scale, in place.
#[expect(clippy::inline_always, reason = "compiled for the instruction set of the caller")]
#[inline(always)]
fn hadamard<const N: usize>(numbers: &mut [[f32; N]]) {
    let mut half = 1;
    while half < numbers.len() {
        for pair in numbers.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (a, b) in left.iter_mut().zip(right) {
                for lane in 0..N {
                    (a[lane], b[lane]) = (a[lane] + b[lane], a[lane] - b[lane]);
                }
            }
        }
        half *= 2;
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

    fn unit(dimension: usize, k: usize) -> Vec<[f32; 1]> {
        (0..dimension).map(|at| [if at == k { 1.0 } else { 0.0 }]).collect()
    }

    #[test]
    fn lengths_and_angles_stay_and_every_number_takes_part() {
        for dimension in [1, 2, 8, 24, 32, 40, 96, 128, 200, 512, 768] {
            let rotation = Rotation::new(dimension);
            let rotated: Vec<Vec<[f32; 1]>> = (0..dimension)
                .map(|k| {
                    let mut vector = unit(dimension, k);
                    rotation.apply(&mut vector);
                    vector
                })
                .collect();
            let dot = |a: &[[f32; 1]], b: &[[f32; 1]]| a.iter().zip(b).map(|(x, y)| x[0] * y[0]).sum::<f32>();
            for (k, a) in rotated.iter().enumerate() {
                for (l, b) in rotated.iter().enumerate().skip(k.saturating_sub(2)).take(5) {
                    let expected = if k == l { 1.0 } else { 0.0 };
                    assert!((dot(a, b) - expected).abs() < 1e-4, "{dimension}: {k} and {l}");
                }
                let largest = a.iter().map(|x| x[0].abs()).fold(0.0, f32::max);
                assert!(dimension < 96 || largest < 0.8, "{dimension}: number {k} stays where it was");
            }
        }
    }

    #[test]
    fn side_by_side_is_one_by_one() {
        let rotation = Rotation::new(40);
        let number = |k: usize, lane: usize| ((k * 7 + lane * 13) % 11) as f32 - 5.0;
        let mut together: Vec<[f32; 3]> = (0..40).map(|k| [0, 1, 2].map(|lane| number(k, lane))).collect();
        rotation.apply(&mut together);
        for lane in 0..3 {
            let mut alone: Vec<[f32; 1]> = (0..40).map(|k| [number(k, lane)]).collect();
            rotation.apply(&mut alone);
            assert!(alone.iter().zip(&together).all(|(a, b)| (a[0] - b[lane]).abs() < 1e-4));
        }
    }
}
