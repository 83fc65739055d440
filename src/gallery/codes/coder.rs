//! Vectors to codes.

use super::rotation::Rotation;
use crate::nn::kernels::{Isa, simd::Kernel, simd::Simd};

/// Rows whose codes lie together.
pub(in crate::gallery) const GROUP_ROWS: usize = 64;
/// Rows that are rotated side by side: a vector of the widest instruction set.
const LANES: usize = 16;

/// Makes codes of vectors of one dimension.
#[derive(Debug)]
pub(in crate::gallery) struct Coder {
    dimension: usize,
    rotation: Rotation,
    isa: Isa,
}

/// The codes of [`GROUP_ROWS`] rows.
pub(in crate::gallery) struct Group {
    /// Line `j` holds byte `j` of each row's code, see [`place`]. Bit `k` of byte `j` is 1 where number `8j + k` of
    /// the rotated vector is not negative.
    pub(in crate::gallery) lines: Vec<u8>,
    /// For each row 1 ÷ ⟨code, vector⟩, the code being taken as a unit vector of equal numbers: what an estimate is
    /// multiplied by to be right on average.
    pub(in crate::gallery) corrections: [f32; GROUP_ROWS],
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
    pub(in crate::gallery) fn group_bytes(&self) -> usize {
        GROUP_ROWS * self.rotated_dimension() / 8
    }

    /// Rotates one vector.
    pub(super) fn rotate(&self, vector: &[f32]) -> Vec<f32> {
        let mut numbers: Vec<[f32; 1]> = vector.iter().map(|&x| [x]).collect();
        numbers.resize(self.rotated_dimension(), [0.0]);
        self.isa.run(Rotate { rotation: &self.rotation, numbers: &mut numbers });
        numbers.into_iter().map(|[x]| x).collect()
    }

    /// The codes of [`GROUP_ROWS`] vectors that lie one after the other.
    pub(in crate::gallery) fn encode(&self, vectors: &[f32]) -> Group {
        let mut group = Group { lines: vec![0; self.group_bytes()], corrections: [0.0; GROUP_ROWS] };
        self.isa.run(Encode { coder: self, vectors, group: &mut group });
        group
    }
}

struct Rotate<'a> {
    rotation: &'a Rotation,
    numbers: &'a mut [[f32; 1]],
}

impl Kernel for Rotate<'_> {
    #[expect(clippy::inline_always, reason = "compiled for the instruction set of the caller")]
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        self.rotation.apply(self.numbers);
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
    fn run<S: Simd>(self, _simd: S) {
        let Self { coder, vectors, group } = self;
        let mut numbers = vec![[0.0_f32; LANES]; coder.rotated_dimension()];
        for (part, vectors) in vectors.chunks_exact(LANES * coder.dimension).enumerate() {
            numbers[coder.dimension..].fill([0.0; LANES]);
            for (lane, vector) in vectors.chunks_exact(coder.dimension).enumerate() {
                for (number, &x) in numbers.iter_mut().zip(vector) {
                    number[lane] = x;
                }
            }
            coder.rotation.apply(&mut numbers);
            group.take_signs(part * LANES, &numbers);
        }
    }
}

impl Group {
    /// Sets the codes of [`LANES`] rows from `first` on.
    #[expect(clippy::inline_always, reason = "compiled for the instruction set of the caller")]
    #[inline(always)]
    fn take_signs(&mut self, first: usize, numbers: &[[f32; LANES]]) {
        let mut sums = [0.0; LANES];
        for (line, numbers) in self.lines.chunks_exact_mut(GROUP_ROWS).zip(numbers.chunks_exact(8)) {
            let mut bytes = [0_u32; LANES];
            for (bit, number) in numbers.iter().enumerate() {
                for lane in 0..LANES {
                    sums[lane] += number[lane].abs();
                    bytes[lane] |= u32::from(number[lane] >= 0.0) << bit;
                }
            }
            for (lane, byte) in bytes.into_iter().enumerate() {
                line[place(first + lane)] = byte as u8;
            }
        }
        let root = (numbers.len() as f32).sqrt();
        for (lane, sum) in sums.into_iter().enumerate() {
            self.corrections[first + lane] = root / sum;
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
                    assert!((group.corrections[row] * product - 1.0).abs() < 1e-4);
                }
            }
        }
    }
}
