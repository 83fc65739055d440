//! Bilinear resampling to the bit as `OpenCV`'s `INTER_LINEAR` does it on bytes: two samples a direction, weights in
//! steps of 1/2048, four bits dropped between the directions, one rounding at the end.
//!
//! A level more or less looks like nothing, but it decides between two detector cells that are nearly tied for a face,
//! and their boxes differ by several per cent; libraries that round differently choose the other one.

use super::{photo::Photo, resize::Region};

/// Weights are shares of this.
const ONE: f32 = 2048.0;
/// Bits dropped after the horizontal pass, so that sums fit 16 bits.
const DROPPED_BITS: u32 = 4;

/// What one output position takes from its two neighbours.
#[derive(Clone, Copy)]
struct Tap {
    first: usize,
    second: usize,
    /// Of 2048; they add up to it within a rounding.
    weights: [i16; 2],
}

/// Where each of `target` positions lies among `source` ones, centres on centres.
fn taps(target: usize, source: usize) -> Vec<Tap> {
    let step = source as f64 / target as f64;
    let last = source - 1;
    let tap = |position: usize| {
        let centre = ((position as f64 + 0.5) * step - 0.5) as f32;
        let (first, share) = match centre.floor() {
            before if before < 0.0 => (0, 0.0),
            before if before as usize >= last => (last, 0.0),
            before => (before as usize, centre - before),
        };
        let weights = [(1.0 - share) * ONE, share * ONE].map(|weight| weight.round_ties_even() as i16);
        Tap { first, second: (first + 1).min(last), weights }
    };
    (0..target).map(tap).collect()
}

/// Resamples `region`, which lies inside `photo`, to `width × height` RGB bytes in `out`.
pub(super) fn resample(photo: &Photo, region: Region, width: usize, height: usize, out: &mut [u8]) {
    let columns = taps(width, region.width as usize);
    let rows = taps(height, region.height as usize);
    let mut lines = Lines::new(photo, region, &columns);
    for (row, target) in rows.iter().zip(out.chunks_exact_mut(width * Photo::CHANNELS)) {
        let [above, below] = lines.get(row.first, row.second);
        let [w0, w1] = row.weights.map(i32::from);
        for ((level, &a), &b) in target.iter_mut().zip(above).zip(below) {
            let sum = ((w0 * i32::from(a)) >> 16) + ((w1 * i32::from(b)) >> 16);
            *level = ((sum + 2) >> 2) as u8;
        }
    }
}

/// The last two source rows, resampled horizontally.
struct Lines<'a> {
    photo: &'a Photo,
    region: Region,
    columns: &'a [Tap],
    kept: [(Option<usize>, Vec<i16>); 2],
}

impl<'a> Lines<'a> {
    fn new(photo: &'a Photo, region: Region, columns: &'a [Tap]) -> Self {
        // One lane more than the row: a pixel is written four lanes at a time.
        let line = || (None, vec![0; columns.len() * Photo::CHANNELS + 1]);
        Self { photo, region, columns, kept: [line(), line()] }
    }

    /// The rows `first` and `second` of the region, the same line twice if they are one row.
    fn get(&mut self, first: usize, second: usize) -> [&[i16]; 2] {
        for row in [first, second] {
            if self.kept.iter().all(|(kept, _)| *kept != Some(row)) {
                let free = usize::from(self.kept[0].0 == Some(first) || self.kept[0].0 == Some(second));
                self.fill(free, row);
            }
        }
        [first, second].map(|row| self.kept[usize::from(self.kept[0].0 != Some(row))].1.as_slice())
    }

    fn fill(&mut self, line: usize, row: usize) {
        let stride = self.photo.stride();
        let start = (self.region.top as usize + row) * stride + self.region.left as usize * Photo::CHANNELS;
        let source = &self.photo.pixels()[start..start + self.region.width as usize * Photo::CHANNELS];
        let (kept, target) = &mut self.kept[line];
        *kept = Some(row);
        for (index, tap) in self.columns.iter().enumerate() {
            let at = index * Photo::CHANNELS;
            mix(source, tap, &mut target[at..]);
        }
    }
}

/// One pixel between two of `source`, into the first three lanes of `target`; a fourth may be overwritten.
#[cfg(target_arch = "x86_64")]
#[inline]
fn mix(source: &[u8], tap: &Tap, target: &mut [i16]) {
    use std::arch::x86_64::{
        _mm_cvtsi32_si128, _mm_cvtsi128_si64, _mm_madd_epi16, _mm_packs_epi32, _mm_set1_epi32, _mm_setzero_si128,
        _mm_srai_epi32, _mm_unpacklo_epi8,
    };
    let (first, second) = (tap.first * Photo::CHANNELS, tap.second * Photo::CHANNELS);
    let (Some(a), Some(b), Some(out)) =
        (source.get(first..first + 4), source.get(second..second + 4), target.first_chunk_mut::<4>())
    else {
        // The last pixel of a row has no fourth byte.
        return mix_by_channel(source, tap, target);
    };
    let [a, b] = [a, b].map(|pixel| i32::from_le_bytes([pixel[0], pixel[1], pixel[2], 0]));
    let weights = i32::from(tap.weights[1]) << 16 | i32::from(tap.weights[0]);
    // SAFETY: SSE2 is part of every x86_64.
    let levels = unsafe {
        let pairs = _mm_unpacklo_epi8(_mm_cvtsi32_si128(a), _mm_cvtsi32_si128(b));
        let pairs = _mm_unpacklo_epi8(pairs, _mm_setzero_si128());
        let sums = _mm_srai_epi32::<{ DROPPED_BITS as i32 }>(_mm_madd_epi16(pairs, _mm_set1_epi32(weights)));
        _mm_cvtsi128_si64(_mm_packs_epi32(sums, sums))
    };
    for (lane, level) in out.iter_mut().enumerate() {
        *level = (levels >> (16 * lane)) as i16;
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn mix(source: &[u8], tap: &Tap, target: &mut [i16]) {
    mix_by_channel(source, tap, target);
}

fn mix_by_channel(source: &[u8], tap: &Tap, target: &mut [i16]) {
    let [w0, w1] = tap.weights.map(i32::from);
    for (channel, level) in target.iter_mut().take(Photo::CHANNELS).enumerate() {
        let a = i32::from(source[tap.first * Photo::CHANNELS + channel]);
        let b = i32::from(source[tap.second * Photo::CHANNELS + channel]);
        *level = ((w0 * a + w1 * b) >> DROPPED_BITS) as i16;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn four_lanes_at_a_time_are_one_by_one(source in prop::collection::vec(any::<u8>(), 6..60), target in 1_usize..40) {
            let width = source.len() / 3;
            for tap in taps(target, width) {
                let (mut fast, mut plain) = ([0; 4], [0; 4]);
                mix(&source[..width * 3], &tap, &mut fast);
                mix_by_channel(&source[..width * 3], &tap, &mut plain);
                prop_assert_eq!(fast[..3].to_vec(), plain[..3].to_vec());
            }
        }
    }
}
