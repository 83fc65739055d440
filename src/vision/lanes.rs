//! The levels of one pixel side by side in a vector register.
//!
//! SSE2 is part of every `x86_64`, so nothing needs detecting; elsewhere an array does the same sums in the
//! same order. (Compilers do not put the array into a register by themselves: alignment took three times as long.)

#[cfg(not(target_arch = "x86_64"))]
pub(super) use array::Lanes;
#[cfg(target_arch = "x86_64")]
pub(super) use sse2::Lanes;

/// Floats from 2²³ on are spaced by one: adding and subtracting it rounds, ties to even.
const SPACED_BY_ONE: f32 = 8_388_608.0;

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128, _mm_add_ps, _mm_cvtepi32_ps, _mm_cvtsi32_si128, _mm_cvtss_f32, _mm_mul_ps, _mm_set1_ps,
        _mm_setzero_si128, _mm_shuffle_ps, _mm_sub_ps, _mm_unpacklo_epi8, _mm_unpacklo_epi16,
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
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the same sums in the same order")]
mod tests {
    use proptest::prelude::*;

    use super::{Lanes, array};

    proptest! {
        #[test]
        fn the_register_and_the_array_agree(from in any::<[u8; 4]>(), to in any::<[u8; 4]>(), share in 0.0_f32..1.0) {
            let register = Lanes::new(from).lerp(Lanes::new(to), share);
            let array = array::Lanes::new(from).lerp(array::Lanes::new(to), share);
            prop_assert_eq!(register.rgb(), array.rgb());
            prop_assert_eq!(register.round().rgb(), array.round().rgb());
            prop_assert_eq!(register.centred(127.5, 0.25).rgb(), array.centred(127.5, 0.25).rgb());
        }
    }
}
