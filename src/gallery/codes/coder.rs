//! Vectors to codes.
#![expect(unsafe_code, reason = "vectors are read and written by pointers")]

use super::rotation::Rotation;
use nn::kernels::{Isa, LANE_ALIGN, simd::Kernel, simd::Simd};

/// Rows whose codes lie together.
pub(crate) const GROUP_ROWS: usize = 64;
/// The most rows that are rotated side by side: a vector of the widest instruction set.
const MOST_LANES: usize = LANE_ALIGN;

/// Makes codes of vectors of one dimension.
#[derive(Debug)]
pub(crate) struct Coder {
    dimension: usize,
    rotation: Rotation,
    isa: Isa,
}

/// The codes of [`GROUP_ROWS`] rows.
pub(crate) struct Group {
    /// Line `j` holds byte `j` of each row's code, see [`place`]. Bit `k` of byte `j` is 1 where number `8j + k` of
    /// the rotated vector is not negative.
    pub(crate) lines: Vec<u8>,
    /// Of each row.
    pub(crate) corrections: [Correction; GROUP_ROWS],
}

/// 1 ÷ ⟨code, vector⟩ of a row, the code being taken as a unit vector of equal numbers: what an estimate is multiplied by
/// to be right on average. Kept as the upper half of an f32, which is off by a 512th at most: a tenth of what the code
/// itself leaves open, at the highest similarity.
#[derive(Debug, Clone, Copy, Default)]
#[repr(transparent)]
pub(crate) struct Correction(u16);

impl Correction {
    /// Bits of an f32 that are not kept.
    pub(super) const SHIFT: u32 = 16;

    fn of(exact: f32) -> Self {
        let half = 1 << (Self::SHIFT - 1);
        Self((exact.to_bits().saturating_add(half) >> Self::SHIFT) as u16)
    }

    /// The factor.
    #[inline]
    pub(super) fn factor(self) -> f32 {
        f32::from_bits(u32::from(self.0) << Self::SHIFT)
    }
}

/// Where in a line a row's byte lies. Pairs of bytes are taken apart while scanning; so placed, the first of all
/// pairs are the first half of the rows, in order.
const fn place(row: usize) -> usize {
    2 * (row % (GROUP_ROWS / 2)) + row / (GROUP_ROWS / 2)
}

impl Coder {
    /// A coder of vectors of `dimension` numbers, working with `isa`.
    pub(super) fn new(dimension: usize, isa: Isa) -> Self {
        Self { dimension, rotation: Rotation::new(dimension.next_multiple_of(8)), isa }
    }

    /// What its kernels run on.
    pub(super) fn isa(&self) -> Isa {
        self.isa
    }

    /// Numbers of a rotated vector: the vector's, up to a whole byte of signs.
    pub(super) fn rotated_dimension(&self) -> usize {
        self.rotation.dimension()
    }

    /// Bytes of a group's codes.
    pub(crate) fn group_bytes(&self) -> usize {
        GROUP_ROWS * self.rotated_dimension() / 8
    }

    /// Rotates one vector.
    pub(super) fn rotate(&self, vector: &[f32]) -> Vec<f32> {
        let mut rotated = vector.to_vec();
        rotated.resize(self.rotated_dimension(), 0.0);
        self.isa.run(Rotate { rotation: &self.rotation, vector: &mut rotated });
        rotated
    }

    /// The codes of [`GROUP_ROWS`] vectors that lie one after the other.
    pub(crate) fn encode(&self, vectors: &[f32]) -> Group {
        let mut group = Group { lines: vec![0; self.group_bytes()], corrections: [Correction::default(); GROUP_ROWS] };
        self.isa.run(Encode { coder: self, vectors, group: &mut group });
        group
    }
}

struct Rotate<'a> {
    rotation: &'a Rotation,
    vector: &'a mut [f32],
}

impl Kernel for Rotate<'_> {
    #[expect(clippy::inline_always, reason = "compiled for the instruction set of the caller")]
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut numbers: Vec<S::V> = self.vector.iter().map(|&x| simd.splat(x)).collect();
        self.rotation.apply(simd, &mut numbers);
        for (number, lanes) in self.vector.iter_mut().zip(numbers) {
            *number = to_array(simd, lanes)[0];
        }
    }
}

struct Encode<'a> {
    coder: &'a Coder,
    vectors: &'a [f32],
    group: &'a mut Group,
}

impl Kernel for Encode<'_> {
    #[expect(clippy::inline_always, reason = "compiled for the instruction set of the caller")]
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { coder, vectors, group } = self;
        let mut numbers = vec![simd.splat(0.0); coder.rotated_dimension()];
        for (part, vectors) in vectors.chunks_exact(S::LANES * coder.dimension).enumerate() {
            numbers[coder.dimension..].fill(simd.splat(0.0));
            for (k, number) in numbers[..coder.dimension].iter_mut().enumerate() {
                let mut lanes = [0.0; MOST_LANES];
                for (lane, vector) in lanes.iter_mut().zip(vectors.chunks_exact(coder.dimension)) {
                    *lane = vector[k];
                }
                const { assert!(S::LANES <= MOST_LANES) };
                // SAFETY: there are `MOST_LANES` numbers, which are at least `S::LANES`.
                *number = unsafe { simd.load(lanes.as_ptr()) };
            }
            coder.rotation.apply(simd, &mut numbers);
            group.take_signs(simd, part * S::LANES, &numbers);
        }
    }
}

#[expect(clippy::inline_always, reason = "compiled for the instruction set of the caller")]
#[inline(always)]
fn to_array<S: Simd>(simd: S, lanes: S::V) -> [f32; MOST_LANES] {
    const { assert!(S::LANES <= MOST_LANES) };
    let mut array = [0.0; MOST_LANES];
    // SAFETY: there are `MOST_LANES` numbers, which are at least `S::LANES`.
    unsafe { simd.store(array.as_mut_ptr(), lanes) };
    array
}

impl Group {
    /// Sets the codes of [`Simd::LANES`] rows from `first` on.
    #[expect(clippy::inline_always, reason = "compiled for the instruction set of the caller")]
    #[inline(always)]
    fn take_signs<S: Simd>(&mut self, simd: S, first: usize, numbers: &[S::V]) {
        let (zero, minus) = (simd.splat(0.0), simd.splat(-1.0));
        let mut sums = zero;
        for (line, numbers) in self.lines.chunks_exact_mut(GROUP_ROWS).zip(numbers.chunks_exact(8)) {
            let mut bytes = [0_u32; MOST_LANES];
            for (bit, &number) in numbers.iter().enumerate() {
                sums = simd.add(sums, simd.max(number, simd.mul_add(number, minus, zero)));
                for (byte, x) in bytes.iter_mut().zip(to_array(simd, number)) {
                    *byte |= u32::from(x >= 0.0) << bit;
                }
            }
            for (lane, byte) in bytes.into_iter().take(S::LANES).enumerate() {
                line[place(first + lane)] = byte as u8;
            }
        }
        let root = (numbers.len() as f32).sqrt();
        for (lane, sum) in to_array(simd, sums).into_iter().take(S::LANES).enumerate() {
            self.corrections[first + lane] = Correction::of(root / sum);
        }
    }

    /// A row's code, byte after byte.
    #[cfg(test)]
    pub(super) fn code(&self, row: usize) -> Vec<u8> {
        self.lines.chunks_exact(GROUP_ROWS).map(|line| line[place(row)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::test_vectors::unit_vectors, *};

    #[test]
    fn codes_are_the_signs_of_the_rotated_vectors_on_every_instruction_set() {
        for dimension in [3, 8, 32, 50, 512] {
            let vectors = unit_vectors(GROUP_ROWS, dimension, 7);
            for isa in Isa::available() {
                let coder = Coder::new(dimension, isa);
                let group = coder.encode(&vectors);
                for (row, vector) in vectors.chunks_exact(dimension).enumerate() {
                    let rotated = Coder::new(dimension, Isa::PORTABLE).rotate(vector);
                    let code = group.code(row);
                    for (k, x) in rotated.iter().enumerate().filter(|(_, x)| x.abs() > 1e-5) {
                        assert_eq!(code[k / 8] >> (k % 8) & 1 == 1, *x > 0.0, "{dimension}, {}: {row}", isa.name());
                    }
                    let product = rotated.iter().map(|x| x.abs()).sum::<f32>() / (rotated.len() as f32).sqrt();
                    assert!((group.corrections[row].factor() * product - 1.0).abs() < 1.0 / 256.0);
                }
            }
        }
    }
}
