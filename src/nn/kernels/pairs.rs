//! Numbers rounded to bf16, two in the place of one f32: the first in the lower half.
#![expect(clippy::inline_always, reason = "bodies take their target features from the caller they are inlined into")]

/// The nearest bf16, ties to even.
#[inline(always)]
const fn nearest(value: f32) -> u32 {
    let bits = value.to_bits();
    bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16
}

/// Two finite numbers in the place of one.
#[inline(always)]
pub(super) const fn pair(first: f32, second: f32) -> f32 {
    f32::from_bits(nearest(second) << 16 | nearest(first))
}

/// Packs an even number of finite numbers into half as many places: each of the first half with its fellow of the
/// second, so that both are read where they lie.
#[inline(always)]
pub(super) fn pack(values: &[f32], pairs: &mut [f32]) {
    let (first, second) = values.split_at(values.len() / 2);
    for ((pair_of, &first), &second) in pairs.iter_mut().zip(first).zip(second) {
        *pair_of = pair(first, second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_the_nearest_and_ties_to_even() {
        let rounded = |value: f32| f32::from_bits(nearest(value) << 16);
        let step = 1.0 / 128.0;
        for (value, expected) in [
            (1.0, 1.0),
            (-2.5, -2.5),
            (1.0 + 0.4 * step, 1.0),
            (1.0 + 0.6 * step, 1.0 + step),
            (1.0 + 0.5 * step, 1.0),
            (1.0 + 1.5 * step, 1.0 + 2.0 * step),
            (-1.0 - 0.6 * step, -1.0 - step),
        ] {
            assert_eq!(rounded(value).to_bits(), expected.to_bits(), "{value}");
        }
    }
}
