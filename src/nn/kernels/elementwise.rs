//! Passes over whole maps that do not fit into a neighbour's epilogue.
#![expect(clippy::inline_always, reason = "bodies take their target features from the caller they are inlined into")]

use super::{
    Isa, Map,
    simd::{Kernel, Simd},
};

/// The mean over all pixels, for each stored channel.
pub fn mean(isa: Isa, map: &Map, out: &mut [f32]) {
    assert!(out.len() >= map.stride(), "mean: out too short");
    isa.run(Mean { map, out });
}

struct Mean<'a> {
    map: &'a Map,
    out: &'a mut [f32],
}

impl Kernel for Mean<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (pixels, stride) = (self.map.pixels(), self.map.stride());
        let scale = simd.splat(1.0 / (self.map.height * self.map.width) as f32);
        for channel in (0..stride).step_by(S::LANES) {
            // SAFETY: `channel` plus a vector lies within a pixel, and `mean` checked `out`.
            unsafe {
                let mut sum = simd.splat(0.0);
                for pixel in pixels.chunks_exact(stride) {
                    sum = simd.add(sum, simd.load(pixel.as_ptr().add(channel)));
                }
                simd.store(self.out.as_mut_ptr().add(channel), simd.mul_add(sum, scale, simd.splat(0.0)));
            }
        }
    }
}

/// map = map · gate + residual, with one gate a stored channel.
pub fn gate_add(isa: Isa, map: &mut Map, gate: &[f32], residual: &Map) {
    assert!(gate.len() >= map.stride() && residual.pixels().len() == map.pixels().len(), "gate: shapes");
    isa.run(GateAdd { map, gate, residual });
}

struct GateAdd<'a> {
    map: &'a mut Map,
    gate: &'a [f32],
    residual: &'a Map,
}

impl Kernel for GateAdd<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let stride = self.map.stride();
        let residual = self.residual.pixels().chunks_exact(stride);
        for (pixel, residual) in self.map.pixels_mut().chunks_exact_mut(stride).zip(residual) {
            for channel in (0..stride).step_by(S::LANES) {
                // SAFETY: pixel and residual are `stride` long, and gate_add checked the gate.
                unsafe {
                    let gate = simd.load(self.gate.as_ptr().add(channel));
                    let kept = simd.load(residual.as_ptr().add(channel));
                    let value = simd.mul_add(simd.load(pixel.as_ptr().add(channel)), gate, kept);
                    simd.store(pixel.as_mut_ptr().add(channel), value);
                }
            }
        }
    }
}

/// out = row `y` of `map` + `coarse` doubled by nearest neighbour; `coarse` has half of `map`'s rows and columns.
pub fn add_doubled(isa: Isa, (map, coarse): (&Map, &Map), y: usize, out: &mut [f32]) {
    let fits = map.height == 2 * coarse.height && map.width == 2 * coarse.width && map.channels == coarse.channels;
    let row = map.rows(y..y + 1);
    assert!(fits && out.len() >= row.len(), "doubling: shapes");
    isa.run(AddDoubled { row, coarse: coarse.rows(y / 2..y / 2 + 1), stride: map.stride(), out });
}

struct AddDoubled<'a> {
    row: &'a [f32],
    coarse: &'a [f32],
    stride: usize,
    out: &'a mut [f32],
}

impl Kernel for AddDoubled<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let stride = self.stride;
        let pairs = self.row.chunks_exact(2 * stride).zip(self.out.chunks_exact_mut(2 * stride));
        for ((pair, out), coarse) in pairs.zip(self.coarse.chunks_exact(stride)) {
            for channel in (0..stride).step_by(S::LANES) {
                // SAFETY: a pair is two pixels of `stride` numbers, coarse is one.
                unsafe {
                    let add = simd.load(coarse.as_ptr().add(channel));
                    for at in [channel, stride + channel] {
                        simd.store(out.as_mut_ptr().add(at), simd.add(simd.load(pair.as_ptr().add(at)), add));
                    }
                }
            }
        }
    }
}
