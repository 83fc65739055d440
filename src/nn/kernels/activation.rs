//! What follows a convolution, applied while its result is still in registers.
#![expect(clippy::inline_always, reason = "bodies take their target features from the caller they are inlined into")]

use super::{scratch::Lines, simd::Simd};

/// An elementwise function; slopes are stored padded with zeros.
#[derive(Debug)]
pub enum Activation {
    /// x
    Identity,
    /// max(x, 0)
    Relu,
    /// max(x, 0) + slope · min(x, 0), one slope a channel.
    PRelu(Lines),
}

impl Activation {
    /// PReLU with one slope a channel.
    pub fn prelu(slopes: &[f32]) -> Self {
        Self::PRelu(Lines::padded(slopes))
    }

    /// Applies it to the channels that start at `channel`.
    ///
    /// # Safety
    /// `channel` plus a vector lies within the padded channels that the slopes were made for.
    #[inline(always)]
    pub(super) unsafe fn apply<S: Simd>(&self, simd: S, value: S::V, channel: usize) -> S::V {
        let zero = simd.splat(0.0);
        match self {
            Self::Identity => value,
            Self::Relu => simd.max(value, zero),
            Self::PRelu(slopes) => {
                debug_assert!(channel + S::LANES <= slopes.len());
                // SAFETY: the caller's promise.
                let slope = unsafe { simd.load(slopes.as_ptr().add(channel)) };
                simd.mul_add(slope, simd.min(value, zero), simd.max(value, zero))
            }
        }
    }

    /// Applies it to a tile whose first vector starts at channel `column`.
    ///
    /// # Safety
    /// As for [`Self::apply`], for all vectors of a row.
    #[inline(always)]
    pub(super) unsafe fn apply_tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &self,
        simd: S,
        tile: &mut [[S::V; VECTORS]; ROWS],
        column: usize,
    ) {
        let zero = simd.splat(0.0);
        match self {
            Self::Identity => {}
            Self::Relu => {
                for row in tile {
                    for value in row {
                        *value = simd.max(*value, zero);
                    }
                }
            }
            Self::PRelu(slopes) => {
                let mut slope = [zero; VECTORS];
                for (v, slope) in slope.iter_mut().enumerate() {
                    // SAFETY: the caller's promise.
                    *slope = unsafe { simd.load(slopes.as_ptr().add(column + v * S::LANES)) };
                }
                for row in tile {
                    for (value, &slope) in row.iter_mut().zip(&slope) {
                        *value = simd.mul_add(slope, simd.min(*value, zero), simd.max(*value, zero));
                    }
                }
            }
        }
    }

    /// Whether it covers `channels` stored channels.
    pub(super) fn covers(&self, channels: usize) -> bool {
        match self {
            Self::Identity | Self::Relu => true,
            Self::PRelu(slopes) => slopes.len() == channels,
        }
    }
}
