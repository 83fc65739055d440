//! The inverse cosine transform in whole numbers: Loeffler, Ligtenberg and Moschytz, "Practical fast 1-D DCT algorithms
//! with 11 multiplications" (1989), to the bits that libjpeg's accurate one keeps.

use std::num::Wrapping;

/// Damaged files hold numbers beyond all bounds, which wrap.
type Number = Wrapping<i32>;

const SIDE: usize = 8;
/// Bits behind the point of the factors.
const FACTOR_BITS: usize = 13;
/// Bits more that the first pass keeps.
const FIRST_PASS_BITS: usize = 2;

const fn factor(number: i32) -> Number {
    Wrapping(number)
}

/// Samples of a block of coefficients, both in rows.
pub(super) fn transformed(coefficients: &[i32; SIDE * SIDE]) -> [u8; SIDE * SIDE] {
    let mut block = coefficients.map(Wrapping);
    for column in 0..SIDE {
        let line = std::array::from_fn(|row| block[row * SIDE + column]);
        for (row, sum) in line_of(line, FACTOR_BITS - FIRST_PASS_BITS).into_iter().enumerate() {
            block[row * SIDE + column] = sum;
        }
    }
    let mut samples = [0; SIDE * SIDE];
    for (row, samples) in block.chunks_exact(SIDE).zip(samples.chunks_exact_mut(SIDE)) {
        let line = std::array::from_fn(|column| row[column]);
        // Three bits more: the sums of both passes are eight times too large.
        let sums = line_of(line, FACTOR_BITS + FIRST_PASS_BITS + 3);
        for (sample, sum) in samples.iter_mut().zip(sums) {
            *sample = (sum.0.saturating_add(128)).clamp(0, 255) as u8;
        }
    }
    samples
}

/// One row or column, without its last `bits`.
fn line_of(line: [Number; SIDE], bits: usize) -> [Number; SIDE] {
    let [x0, x1, x2, x3, x4, x5, x6, x7] = line;
    let even = {
        let z1 = (x2 + x6) * factor(4433);
        let (low, high) = (z1 - x6 * factor(15137), z1 + x2 * factor(6270));
        let (sum, difference) = ((x0 + x4) << FACTOR_BITS, (x0 - x4) << FACTOR_BITS);
        [sum + high, difference + low, difference - low, sum - high]
    };
    let odd = {
        let (z3, z4) = (x7 + x3, x5 + x1);
        let z5 = (z3 + z4) * factor(9633);
        let z1 = (x7 + x1) * factor(-7373);
        let z2 = (x5 + x3) * factor(-20995);
        let z3 = z3 * factor(-16069) + z5;
        let z4 = z4 * factor(-3196) + z5;
        [
            x1 * factor(12299) + z1 + z4,
            x3 * factor(25172) + z2 + z3,
            x5 * factor(16819) + z2 + z4,
            x7 * factor(2446) + z1 + z3,
        ]
    };
    let half = Wrapping(1_i32 << (bits - 1));
    let at = |place: usize| {
        let sum = if place < 4 { even[place] + odd[place] } else { even[7 - place] - odd[7 - place] };
        (sum + half) >> bits
    };
    std::array::from_fn(at)
}
