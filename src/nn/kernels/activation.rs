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

    /// Whether it covers `channels` stored channels.
    pub(super) fn covers(&self, channels: usize) -> bool {
        match self {
            Self::Identity | Self::Relu => true,
            Self::PRelu(slopes) => slopes.len() == channels,
        }
    }
}
