//! Levels side by side in a vector register.
//!
//! SSE2 is part of every `x86_64`, so nothing needs detecting; elsewhere an array does the same sums in the
//! same order. (Compilers do not put the arrays into registers by
//! themselves: alignment took nearly twice as long.)

#[cfg(not(target_arch = "x86_64"))]
pub(super) use array::{Lanes, between, weighted};
#[cfg(target_arch = "x86_64")]
pub(super) use sse2::{Lanes, between, weighted};

/// Floats from 2²³ on are spaced by one: adding and subtracting it rounds, ties to even.
const SPACED_BY_ONE: f32 = 8_388_608.0;

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "instructions that every x86_64 has, on values and on arrays")]
mod sse2 {
    use std::arch::x86_64::{
        __m128, _mm_add_epi16, _mm_add_ps, _mm_cvtepi32_ps, _mm_cvtsi32_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64,
        _mm_cvtss_f32, _mm_loadu_si128, _mm_madd_epi16, _mm_mul_ps, _mm_mulhi_epi16, _mm_packs_epi32, _mm_packus_epi16,
        _mm_set1_epi16, _mm_set1_epi32, _mm_set1_ps, _mm_setzero_si128, _mm_shuffle_ps, _mm_srai_epi16, _mm_srai_epi32,
        _mm_srli_si128, _mm_sub_ps, _mm_unpacklo_epi8, _mm_unpacklo_epi16,
    };

    /// Red, green, blue, and a fourth of no meaning.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Lanes(__m128);

    impl Lanes {
        #[inline]
        pub(in super::super) fn new(bytes: [u8; 4]) -> Self {
            // SAFETY: SSE2 is part of every x86_64.
            unsafe {
                let zero = _mm_setzero_si128();
                let words = _mm_unpacklo_epi8(_mm_cvtsi32_si128(i32::from_le_bytes(bytes)), zero);
                Self(_mm_cvtepi32_ps(_mm_unpacklo_epi16(words, zero)))
            }
        }

        /// From here to `to`, as far as `share` says.
        #[inline]
        pub(in super::super) fn lerp(self, to: Self, share: f32) -> Self {
            // SAFETY: SSE2 is part of every x86_64.
            unsafe { Self(_mm_add_ps(self.0, _mm_mul_ps(_mm_sub_ps(to.0, self.0), _mm_set1_ps(share)))) }
        }

        /// To whole levels.
        #[inline]
        pub(in super::super) fn round(self) -> Self {
            // SAFETY: SSE2 is part of every x86_64.
            unsafe {
                let spaced = _mm_set1_ps(super::SPACED_BY_ONE);
                Self(_mm_sub_ps(_mm_add_ps(self.0, spaced), spaced))
            }
        }

        /// (level − `centre`) · `factor`.
        #[inline]
        pub(in super::super) fn centred(self, centre: f32, factor: f32) -> Self {
            // SAFETY: SSE2 is part of every x86_64.
            unsafe { Self(_mm_mul_ps(_mm_sub_ps(self.0, _mm_set1_ps(centre)), _mm_set1_ps(factor))) }
        }

        #[inline]
        pub(in super::super) fn rgb(self) -> [f32; 3] {
            // SAFETY: SSE2 is part of every x86_64.
            unsafe {
                let green = _mm_shuffle_ps::<1>(self.0, self.0);
                let blue = _mm_shuffle_ps::<2>(self.0, self.0);
                [_mm_cvtss_f32(self.0), _mm_cvtss_f32(green), _mm_cvtss_f32(blue)]
            }
        }
    }

    /// Two neighbouring pixels (six bytes; the rest does not matter) by their weights, which add up to 2048: red, green and
    /// blue times 128, and a fourth of no meaning.
    #[inline]
    pub(in super::super) fn weighted(neighbours: [u8; 8], weights: [i16; 2]) -> [i16; 4] {
        let pair = i32::from(weights[0]) | (i32::from(weights[1]) << 16);
        // SAFETY: SSE2 is part of every x86_64.
        let packed = unsafe {
            let first = _mm_cvtsi64_si128(i64::from_le_bytes(neighbours));
            let pairs = _mm_unpacklo_epi8(_mm_unpacklo_epi8(first, _mm_srli_si128::<3>(first)), _mm_setzero_si128());
            let sums = _mm_srai_epi32::<4>(_mm_madd_epi16(pairs, _mm_set1_epi32(pair)));
            _mm_cvtsi128_si64(_mm_packs_epi32(sums, sums))
        };
        [packed as i16, (packed >> 16) as i16, (packed >> 32) as i16, (packed >> 48) as i16]
    }

    /// Eight values (levels times 128) between two rows by weights that add up to 2048, back to levels.
    #[inline]
    pub(in super::super) fn between(upper: &[i16; 8], lower: &[i16; 8], weights: [i16; 2]) -> [u8; 8] {
        // SAFETY: SSE2 is part of every x86_64, and both arrays hold the 16 bytes that are read.
        let packed = unsafe {
            let upper = _mm_mulhi_epi16(_mm_loadu_si128(upper.as_ptr().cast()), _mm_set1_epi16(weights[0]));
            let lower = _mm_mulhi_epi16(_mm_loadu_si128(lower.as_ptr().cast()), _mm_set1_epi16(weights[1]));
            let sums = _mm_srai_epi16::<2>(_mm_add_epi16(_mm_add_epi16(upper, lower), _mm_set1_epi16(2)));
            _mm_cvtsi128_si64(_mm_packus_epi16(sums, sums))
        };
        packed.to_le_bytes()
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod array {
    /// Red, green and blue.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Lanes([f32; 3]);

    impl Lanes {
        pub(in super::super) fn new(bytes: [u8; 4]) -> Self {
            Self([f32::from(bytes[0]), f32::from(bytes[1]), f32::from(bytes[2])])
        }

        pub(in super::super) fn lerp(self, to: Self, share: f32) -> Self {
            Self(std::array::from_fn(|channel| self.0[channel] + (to.0[channel] - self.0[channel]) * share))
        }

        pub(in super::super) fn round(self) -> Self {
            Self(self.0.map(|level| (level + super::SPACED_BY_ONE) - super::SPACED_BY_ONE))
        }

        pub(in super::super) fn centred(self, centre: f32, factor: f32) -> Self {
            Self(self.0.map(|level| (level - centre) * factor))
        }

        pub(in super::super) fn rgb(self) -> [f32; 3] {
            self.0
        }
    }

    /// Two neighbouring pixels by their weights, which add up to 2048: red, green and blue times 128, and a zero.
    pub(in super::super) fn weighted(neighbours: [u8; 8], weights: [i16; 2]) -> [i16; 4] {
        let level =
            |channel: usize, pixel: usize| i32::from(neighbours[channel + 3 * pixel]) * i32::from(weights[pixel]);
        let sum = |channel: usize| ((level(channel, 0) + level(channel, 1)) >> 4) as i16;
        [sum(0), sum(1), sum(2), 0]
    }

    /// Eight values (levels times 128) between two rows by weights that add up to 2048, back to levels.
    pub(in super::super) fn between(upper: &[i16; 8], lower: &[i16; 8], weights: [i16; 2]) -> [u8; 8] {
        let weigh = |value: i16, weight: i16| (i32::from(value) * i32::from(weight)) >> 16;
        std::array::from_fn(|index| {
            ((weigh(upper[index], weights[0]) + weigh(lower[index], weights[1]) + 2) >> 2) as u8
        })
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the same sums in the same order")]
mod tests {
    use proptest::prelude::*;
    use testing::Fenced;

    use super::{Lanes, array, between, weighted};

    proptest! {
        #[test]
        fn the_register_and_the_array_agree(from in any::<[u8; 4]>(), to in any::<[u8; 4]>(), share in 0.0_f32..1.0) {
            let register = Lanes::new(from).lerp(Lanes::new(to), share);
            let array = array::Lanes::new(from).lerp(array::Lanes::new(to), share);
            prop_assert_eq!(register.rgb(), array.rgb());
            prop_assert_eq!(register.round().rgb(), array.round().rgb());
            prop_assert_eq!(register.centred(127.5, 0.25).rgb(), array.centred(127.5, 0.25).rgb());

            let right = (share * 2048.0) as i16;
            let weights = [2048 - right, right];
            let neighbours = [from[0], from[1], from[2], to[0], to[1], to[2], from[3], to[3]];
            prop_assert_eq!(&weighted(neighbours, weights)[..3], &array::weighted(neighbours, weights)[..3]);
            let upper = [0, 128, 32_640, i16::from(from[0]) * 128, i16::from(from[1]) * 128, 77, 5000, 32_000];
            let lower = [32_640, 0, 128, i16::from(to[0]) * 128, i16::from(to[1]) * 128, 32_111, 5001, 1];
            let [upper, lower] = [upper, lower].map(|values| Fenced::filled(values, 1));
            let (upper, lower) = (&upper[0], &lower[0]);
            prop_assert_eq!(between(upper, lower, weights), array::between(upper, lower, weights));
        }
    }
}
