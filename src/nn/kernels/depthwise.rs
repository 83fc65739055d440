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
        assert!(rows.iter().any(Option::is_some), "depthwise 3×3: no row");
        // By division: a product could wrap around. From here on none of a width does.
        assert!(rows.iter().flatten().all(|row| row.len() / columns >= width), "depthwise 3×3: row too short");
        assert!(width > 0 && out.len() >= self.out_size(width) * columns, "depthwise 3×3: out too short");
        self.isa.run(Row { layer: self, rows, width, out });
    }

    /// Stride 1: two output rows, one after the other, from the four input rows of `width` pixels under their windows;
    /// rows outside the map are zeros. Reads four rows where two calls of [`Self::run_row`] read six.
    pub fn run_pair(&self, rows: [&[f32]; 4], width: usize, out: &mut [f32]) {
        self.check_pair(rows, width);
        assert!(out.len() >= 2 * width * self.bias.len(), "depthwise 3×3: out too short");
        self.isa.run(Pair { layer: self, rows, width, out });
    }

    /// As [`Self::run_pair`] for an even `width`, and of each 2×2 outputs only the largest: one row of half the width.
    pub fn run_pair_pooled(&self, rows: [&[f32]; 4], width: usize, out: &mut [f32]) {
        self.check_pair(rows, width);
        let fits = width.is_multiple_of(2) && out.len() >= width / 2 * self.bias.len();
        assert!(fits, "depthwise 3×3: odd width, or out too short");
        self.isa.run(PooledPair(Pair { layer: self, rows, width, out }));
    }

    fn check_pair(&self, rows: [&[f32]; 4], width: usize) {
        assert!(self.stride == 1 && width > 0, "depthwise 3×3: pairs need stride 1");
        // By division: a product could wrap around.
        assert!(rows.iter().all(|row| row.len() / self.bias.len() >= width), "depthwise 3×3: row too short");
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

struct Pair<'a> {
    layer: &'a Depthwise3x3,
    rows: [&'a [f32]; 4],
    width: usize,
    out: &'a mut [f32],
}

struct PooledPair<'a>(Pair<'a>);

/// The upper and the lower sum of an output column.
type Sums<S> = [<S as Simd>::V; 2];

/// What a vector of channels needs to slide along two output rows.
struct Window<S: Simd> {
    weights: [[S::V; 3]; 3],
    bias: S::V,
    rows: [*const f32; 4],
    /// Numbers from pixel to pixel.
    columns: usize,
}

impl<S: Simd> Window<S> {
    /// # Safety
    /// `channel` plus a vector lies within the padded channels.
    #[inline(always)]
    unsafe fn new(simd: S, pair: &Pair<'_>, channel: usize) -> Self {
        let columns = pair.layer.bias.len();
        let mut weights = [[simd.splat(0.0); 3]; 3];
        // SAFETY: the caller's promise; nine rows of `columns` weights.
        unsafe {
            for (y, row) in weights.iter_mut().enumerate() {
                for (x, weight) in row.iter_mut().enumerate() {
                    *weight = simd.load(pair.layer.weight.as_ptr().add((y * 3 + x) * columns + channel));
                }
            }
            let bias = simd.load(pair.layer.bias.as_ptr().add(channel));
            Self { weights, bias, rows: pair.rows.map(|row| row.as_ptr().wrapping_add(channel)), columns }
        }
    }

    /// Adds input column `x` to the output column left of it, which is complete then, to its own, and to the one right
    /// of it; returns them in that order.
    ///
    /// # Safety
    /// `x` is within the rows.
    #[inline(always)]
    unsafe fn slide(&self, simd: S, x: usize, mut left: Sums<S>, mut centre: Sums<S>) -> [Sums<S>; 3] {
        let (w, mut right) = (&self.weights, [self.bias; 2]);
        for y in 0..4 {
            // SAFETY: the caller's promise.
            let value = unsafe { simd.load(self.rows[y].add(x * self.columns)) };
            // Input row y is under window row y of the upper output, y - 1 of the lower.
            if y < 3 {
                left[0] = simd.mul_add(value, w[y][2], left[0]);
                centre[0] = simd.mul_add(value, w[y][1], centre[0]);
                right[0] = simd.mul_add(value, w[y][0], right[0]);
            }
            if y > 0 {
                left[1] = simd.mul_add(value, w[y - 1][2], left[1]);
                centre[1] = simd.mul_add(value, w[y - 1][1], centre[1]);
                right[1] = simd.mul_add(value, w[y - 1][0], right[1]);
            }
        }
        [left, centre, right]
    }
}

impl Pair<'_> {
    /// Stores both sums of an output column, activated.
    ///
    /// # Safety
    /// `upper` is in the upper of two output rows, at `channel`.
    #[inline(always)]
    unsafe fn store<S: Simd>(&self, simd: S, sums: Sums<S>, channel: usize, upper: *mut f32) {
        let activation = &self.layer.activation;
        // SAFETY: the caller's promise.
        unsafe {
            simd.store(upper, activation.apply(simd, sums[0], channel));
            let lower = upper.add(self.width * self.layer.bias.len());
            simd.store(lower, activation.apply(simd, sums[1], channel));
        }
    }

    /// The largest of two output columns, activated.
    ///
    /// # Safety
    /// `channel` plus a vector lies within the padded channels.
    #[inline(always)]
    unsafe fn largest<S: Simd>(&self, simd: S, columns: [Sums<S>; 2], channel: usize) -> S::V {
        let [[a, b], [c, d]] = columns;
        let activation = &self.layer.activation;
        // SAFETY: the caller's promise.
        unsafe {
            let even = simd.max(activation.apply(simd, a, channel), activation.apply(simd, b, channel));
            let odd = simd.max(activation.apply(simd, c, channel), activation.apply(simd, d, channel));
            simd.max(even, odd)
        }
    }
}

impl Kernel for Pair<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for channel in (0..self.layer.bias.len()).step_by(S::LANES) {
            // SAFETY: check_pair checked the rows, run_pair the output of two rows.
            unsafe {
                let window = Window::new(simd, &self, channel);
                let out = self.out.as_mut_ptr().add(channel);
                let bias = [window.bias; 2];
                let [_, mut left, mut centre] = window.slide(simd, 0, bias, bias);
                for x in 1..self.width {
                    let [complete, next, last] = window.slide(simd, x, left, centre);
                    self.store(simd, complete, channel, out.add((x - 1) * window.columns));
                    (left, centre) = (next, last);
                }
                self.store(simd, left, channel, out.add((self.width - 1) * window.columns));
            }
        }
    }
}

impl Kernel for PooledPair<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let pair = self.0;
        for channel in (0..pair.layer.bias.len()).step_by(S::LANES) {
            // SAFETY: check_pair checked the rows, run_pair_pooled the even width and the output of half of it.
            unsafe {
                let window = Window::new(simd, &pair, channel);
                let out = pair.out.as_mut_ptr().add(channel);
                let bias = [window.bias; 2];
                let [_, mut left, mut centre] = window.slide(simd, 0, bias, bias);
                for x in (1..pair.width - 1).step_by(2) {
                    let [even, next, last] = window.slide(simd, x, left, centre);
                    let [odd, next, last] = window.slide(simd, x + 1, next, last);
                    simd.store(out.add(x / 2 * window.columns), pair.largest(simd, [even, odd], channel));
                    (left, centre) = (next, last);
                }
                let [even, odd, _] = window.slide(simd, pair.width - 1, left, centre);
                let at = (pair.width / 2 - 1) * window.columns;
                simd.store(out.add(at), pair.largest(simd, [even, odd], channel));
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
