//! Depthwise convolutions: each channel with a window of its own.
#![expect(clippy::inline_always, reason = "bodies take their target features from the caller they are inlined into")]

use super::{
    Activation, Isa,
    scratch::Lines,
    simd::{Kernel, Simd},
};

/// A depthwise 3×3 convolution with padding 1, stride 1 or 2, one output row at a time.
#[derive(Debug)]
pub struct Depthwise3x3 {
    isa: Isa,
    stride: usize,
    channels: usize,
    weight: Lines,
    bias: Lines,
    activation: Activation,
}

impl Depthwise3x3 {
    /// From `weight` `[3, 3, channels]` (row-major) and `bias` `[channels]`.
    pub fn new(isa: Isa, weight: &[f32], bias: &[f32], activation: Activation, stride: usize) -> Self {
        let channels = bias.len();
        assert!(weight.len() == 9 * channels && (stride == 1 || stride == 2), "depthwise 3×3: shape");
        let bias = Lines::padded(bias);
        assert!(activation.covers(bias.len()), "slopes and bias disagree");
        let mut packed = Lines::default();
        for tap in weight.chunks_exact(channels) {
            packed.push_row(tap);
        }
        Self { isa, stride, channels, weight: packed, bias, activation }
    }

    /// Channels in and out.
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// Step of the window.
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// Rows or columns that come out of `size`.
    pub const fn out_size(&self, size: usize) -> usize {
        (size - 1) / self.stride + 1
    }

    /// One output row from the three input rows of `width` pixels under the window; a row outside the map is `None`.
    pub fn run_row(&self, rows: [Option<&[f32]>; 3], width: usize, out: &mut [f32]) {
        let columns = self.bias.len();
        assert!(rows.iter().flatten().all(|row| row.len() >= width * columns), "depthwise 3×3: row too short");
        assert!(width > 0 && out.len() >= self.out_size(width) * columns, "depthwise 3×3: out too short");
        self.isa.run(Row { layer: self, rows, width, out });
    }
}

struct Row<'a> {
    layer: &'a Depthwise3x3,
    rows: [Option<&'a [f32]>; 3],
    width: usize,
    out: &'a mut [f32],
}

impl Kernel for Row<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        for channel in (0..self.layer.bias.len()).step_by(S::LANES) {
            // SAFETY: run_row checked the rows and the output; `channel` plus a vector lies within a pixel.
            unsafe {
                if self.layer.stride == 1 {
                    self.slide(simd, channel);
                } else {
                    self.step(simd, channel);
                }
            }
        }
    }
}

impl Row<'_> {
    /// The nine weights of a vector of channels, zero for rows outside the map, and a readable pointer for each row.
    ///
    /// # Safety
    /// `channel` plus a vector lies within the padded channels.
    #[inline(always)]
    unsafe fn window<S: Simd>(&self, simd: S, channel: usize) -> ([[S::V; 3]; 3], [*const f32; 3]) {
        let columns = self.layer.bias.len();
        let mut weights = [[simd.splat(0.0); 3]; 3];
        // Any readable row will do for one outside the map, since its weights are zero.
        let inside = self.rows.iter().flatten().next().map_or(std::ptr::null(), |row| row.as_ptr());
        let mut pointers = [inside; 3];
        for (y, row) in self.rows.iter().enumerate() {
            let Some(row) = row else { continue };
            // SAFETY: the caller's promise; nine rows of `columns` weights.
            unsafe {
                pointers[y] = row.as_ptr();
                for (x, weight) in weights[y].iter_mut().enumerate() {
                    *weight = simd.load(self.layer.weight.as_ptr().add((y * 3 + x) * columns + channel));
                }
            }
        }
        (weights, pointers.map(|pointer| pointer.wrapping_add(channel)))
    }

    /// Stride 1: each input column is read once and adds to the three outputs that see it.
    ///
    /// # Safety
    /// As for [`Self::window`]; rows and output hold `width` pixels.
    #[inline(always)]
    unsafe fn slide<S: Simd>(&mut self, simd: S, channel: usize) {
        let columns = self.layer.bias.len();
        // SAFETY: the caller's promise.
        unsafe {
            let (w, rows) = self.window(simd, channel);
            let bias = simd.load(self.layer.bias.as_ptr().add(channel));
            let out = self.out.as_mut_ptr().add(channel);
            let (mut left, mut centre) = (bias, bias);
            for x in 0..self.width {
                let mut right = bias;
                for y in 0..3 {
                    let value = simd.load(rows[y].add(x * columns));
                    left = simd.mul_add(value, w[y][2], left);
                    centre = simd.mul_add(value, w[y][1], centre);
                    right = simd.mul_add(value, w[y][0], right);
                }
                if x > 0 {
                    simd.store(out.add((x - 1) * columns), self.layer.activation.apply(simd, left, channel));
                }
                (left, centre) = (centre, right);
            }
            simd.store(out.add((self.width - 1) * columns), self.layer.activation.apply(simd, left, channel));
        }
    }

    /// Stride 2.
    ///
    /// # Safety
    /// As for [`Self::slide`].
    #[inline(always)]
    unsafe fn step<S: Simd>(&mut self, simd: S, channel: usize) {
        let columns = self.layer.bias.len();
        // SAFETY: the caller's promise.
        unsafe {
            let (w, rows) = self.window(simd, channel);
            let bias = simd.load(self.layer.bias.as_ptr().add(channel));
            for x in 0..self.layer.out_size(self.width) {
                let mut sum = bias;
                for (tap, column) in [(2 * x).wrapping_sub(1), 2 * x, 2 * x + 1].into_iter().enumerate() {
                    if column < self.width {
                        for y in 0..3 {
                            sum = simd.mul_add(simd.load(rows[y].add(column * columns)), w[y][tap], sum);
                        }
                    }
                }
                let y = self.layer.activation.apply(simd, sum, channel);
                simd.store(self.out.as_mut_ptr().add(x * columns + channel), y);
            }
        }
    }
}

/// A depthwise convolution whose window is the whole map: a weighted sum of all pixels, channel by channel.
#[derive(Debug)]
pub struct DepthwiseGlobal {
    isa: Isa,
    channels: usize,
    weight: Lines,
    bias: Lines,
}

impl DepthwiseGlobal {
    /// From `weight` `[height, width, channels]` (row-major) and `bias` `[channels]`.
    pub fn new(isa: Isa, weight: &[f32], bias: &[f32]) -> Self {
        let channels = bias.len();
        assert!(weight.len().is_multiple_of(channels), "global depthwise: shape");
        let mut packed = Lines::default();
        for tap in weight.chunks_exact(channels) {
            packed.push_row(tap);
        }
        Self { isa, channels, weight: packed, bias: Lines::padded(bias) }
    }

    /// Channels in and out.
    pub const fn channels(&self) -> usize {
        self.channels
    }

    /// One pixel from all `pixels` of a map as large as the window.
    pub fn run(&self, pixels: &[f32], out: &mut [f32]) {
        assert!(pixels.len() == self.weight.len() && out.len() >= self.bias.len(), "global depthwise: map");
        self.isa.run(Global { layer: self, pixels, out });
    }
}

struct Global<'a> {
    layer: &'a DepthwiseGlobal,
    pixels: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Global<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        /// Sums in flight, to hide the latency of the addition.
        const CHAINS: usize = 4;
        let columns = self.layer.bias.len();
        let taps = self.layer.weight.len() / columns;
        for channel in (0..columns).step_by(S::LANES) {
            // SAFETY: DepthwiseGlobal::run checked that pixels and weights are taps · columns long and out holds columns.
            unsafe {
                let mut sums = [simd.splat(0.0); CHAINS];
                sums[0] = simd.load(self.layer.bias.as_ptr().add(channel));
                for tap in (0..taps).step_by(CHAINS) {
                    for (chain, sum) in sums.iter_mut().enumerate() {
                        if tap + chain < taps {
                            let at = (tap + chain) * columns + channel;
                            let pixel = simd.load(self.pixels.as_ptr().add(at));
                            *sum = simd.mul_add(pixel, simd.load(self.layer.weight.as_ptr().add(at)), *sum);
                        }
                    }
                }
                let total = simd.add(simd.add(sums[0], sums[1]), simd.add(sums[2], sums[3]));
                simd.store(self.out.as_mut_ptr().add(channel), total);
            }
        }
    }
}
