//! The matrix product under every 1×1 convolution, linear layer and dense 3×3 convolution.
//!
//! Weights are packed once into panels two vectors wide; a register tile of up to [`Simd::TILE_ROWS`] pixels by one
//! panel runs over all inputs with the pixels broadcast from where they lie, so activations are never copied.
//! Bias, activation and what follows (residual, channel shuffle) happen while the tile is in registers.
#![expect(clippy::inline_always, reason = "bodies take their target features from the caller they are inlined into")]

use super::{
    Activation, Isa, LANE_ALIGN, pairs,
    scratch::{Buffer, Lines},
    simd::{Kernel, Simd},
};

/// Tiles that share a panel before the next one is fetched: their pixels stay in the first cache.
const TILES_PER_CHUNK: usize = 4;

/// Weights `[inputs, outputs]` with bias and activation, packed for one instruction set.
#[derive(Debug)]
pub struct Product {
    isa: Isa,
    /// Inputs go in two by two, rounded to bf16.
    is_paired: bool,
    inputs: usize,
    outputs: usize,
    panels: Lines,
    bias: Lines,
    activation: Activation,
}

/// The left side of a product. A pixel's inputs are `runs` stretches of `run_len` consecutive numbers,
/// `run_stride` apart: one for a 1×1 convolution, one a row of the window for a 3×3.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Starts at the first pixel's first number.
    pub data: &'a [f32],
    /// From one pixel to the next.
    pub stride: usize,
    /// Stretches a pixel.
    pub runs: usize,
    /// Numbers in a stretch.
    pub run_len: usize,
    /// From one stretch to the next.
    pub run_stride: usize,
    /// Inputs before the first stretch that are zero (a window that reaches above the image).
    pub skipped: usize,
}

impl<'a> Rows<'a> {
    /// Pixels of `channels` consecutive numbers, `stride` apart.
    pub const fn pixels(data: &'a [f32], stride: usize, channels: usize) -> Self {
        Self { data, stride, runs: 1, run_len: channels, run_stride: 0, skipped: 0 }
    }

    /// Inputs of a pixel; none where that is more than can be counted.
    fn inputs(&self) -> Option<usize> {
        self.runs.checked_mul(self.run_len)?.checked_add(self.skipped)
    }

    /// One past the last number that `count` pixels touch.
    fn reach(&self, count: usize) -> Option<usize> {
        reach(count, self.stride, reach(self.runs, self.run_stride, self.run_len)?)
    }
}

/// One past the last number of `count` stretches of `len`, `stride` apart; none where that is more than can be counted,
/// which wrapped around would look like little.
fn reach(count: usize, stride: usize, len: usize) -> Option<usize> {
    count.checked_sub(1)?.checked_mul(stride)?.checked_add(len)
}

/// What is done with a product's activated result y.
#[derive(Debug, Clone, Copy)]
pub enum Fuse<'a> {
    /// out = y
    Store,
    /// out = y + residual, which is laid out as out is.
    Add(&'a [f32]),
    /// out = left0 y0 left1 y1 …: `ShuffleNet`'s concatenation and shuffle of two halves. `left` has the given stride.
    Interleave(&'a [f32], usize),
}

impl Product {
    /// Packs `weight` `[inputs, outputs]` (row-major) and `bias` `[outputs]`. An instruction set that works on pairs of
    /// inputs does so where their number is even.
    pub fn new(isa: Isa, weight: &[f32], bias: &[f32], activation: Activation) -> Self {
        let outputs = bias.len();
        let inputs = weight.len() / outputs;
        assert_eq!(weight.len(), inputs * outputs, "weight and bias disagree");
        let bias = Lines::padded(bias);
        assert!(activation.covers(bias.len()), "slopes and bias disagree");
        let is_paired = isa.takes_pairs() && inputs.is_multiple_of(2);
        let isa = if is_paired { isa } else { isa.with_f32_products() };
        let paired: Vec<f32>;
        let weight = if is_paired {
            let (first, second) = weight.split_at(weight.len() / 2);
            paired = first.iter().zip(second).map(|(&first, &second)| pairs::pair(first, second)).collect();
            &paired
        } else {
            weight
        };
        let mut panels = Lines::zeroed(weight.len() / outputs * bias.len());
        let width = 2 * isa.lanes();
        let mut at = 0;
        for first in (0..bias.len()).step_by(width) {
            let stored = width.min(bias.len() - first);
            let given = first.min(outputs)..(first + stored).min(outputs);
            for row in weight.chunks_exact(outputs) {
                panels[at..at + given.len()].copy_from_slice(&row[given.clone()]);
                at += stored;
            }
        }
        Self { isa, is_paired, inputs, outputs, panels, bias, activation }
    }

    /// Channels that come out, without padding.
    pub const fn outputs(&self) -> usize {
        self.outputs
    }

    /// Rows of a panel.
    const fn steps(&self) -> usize {
        if self.is_paired { self.inputs / 2 } else { self.inputs }
    }

    /// Channels that go in.
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// out[i] = fuse(activation(input[i] · weight + bias)) for `count` pixels, `out_stride` apart in `out`.
    /// Padding channels of `out` get zeros, or `left`'s where interleaved.
    pub fn run(&self, input: Rows<'_>, count: usize, out: &mut [f32], out_stride: usize, fuse: Fuse<'_>) {
        if count == 0 {
            return;
        }
        let columns = self.bias.len();
        let fits = |reach: Option<usize>, slice: &[f32]| reach.is_some_and(|reach| reach <= slice.len());
        assert!(input.runs > 0, "product: runs");
        assert_eq!(input.inputs(), Some(self.inputs), "product: inputs");
        assert!(fits(input.reach(count), input.data), "product: input too short");
        let is_interleaved = matches!(fuse, Fuse::Interleave(..));
        assert!(!is_interleaved || out_stride.is_multiple_of(LANE_ALIGN), "product: stride of what is interleaved");
        let written = if is_interleaved { out_stride } else { columns };
        assert!(written <= out_stride && fits(reach(count, out_stride, written), out), "product: out too short");
        match fuse {
            Fuse::Store => {}
            Fuse::Add(residual) => assert!(fits(reach(count, out_stride, columns), residual), "product: residual"),
            Fuse::Interleave(left, stride) => assert!(fits(reach(count, stride, columns), left), "product: left"),
        }
        if self.is_paired {
            self.run_paired(input, count, out, out_stride, fuse);
        } else {
            self.isa.run(Run { product: self, input, count, out, out_stride, fuse });
        }
    }

    /// A few pixels at a time: their pairs stay in the first cache.
    fn run_paired(&self, input: Rows<'_>, count: usize, out: &mut [f32], out_stride: usize, fuse: Fuse<'_>) {
        assert!(input.runs == 1, "product: pairs are made of one stretch");
        let steps = self.steps();
        let mut pairs = Buffer::take(PAIRED_PIXELS.min(count) * steps);
        for first in (0..count).step_by(PAIRED_PIXELS) {
            let count = PAIRED_PIXELS.min(count - first);
            self.isa.run(Pack { input, first, pairs: &mut pairs[..count * steps], steps });
            let input = Rows::pixels(&pairs, steps, steps);
            let fuse = match fuse {
                Fuse::Store => Fuse::Store,
                Fuse::Add(residual) => Fuse::Add(&residual[first * out_stride..]),
                Fuse::Interleave(left, stride) => Fuse::Interleave(&left[first * stride..], stride),
            };
            self.isa.run(Run { product: self, input, count, out: &mut out[first * out_stride..], out_stride, fuse });
        }
    }
}

/// Pixels of one chunk of a paired product: four tiles of fourteen.
const PAIRED_PIXELS: usize = 56;

/// Rounds pixels to pairs.
struct Pack<'a> {
    input: Rows<'a>,
    first: usize,
    pairs: &'a mut [f32],
    steps: usize,
}

impl Kernel for Pack<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        for (pixel, pairs) in self.pairs.chunks_exact_mut(self.steps).enumerate() {
            let inputs = &self.input.data[(self.first + pixel) * self.input.stride..][..2 * self.steps];
            pairs::pack(inputs, pairs);
        }
    }
}

struct Run<'a> {
    product: &'a Product,
    input: Rows<'a>,
    count: usize,
    out: &'a mut [f32],
    out_stride: usize,
    fuse: Fuse<'a>,
}

impl Kernel for Run<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        let columns = self.product.bias.len();
        let tiles = self.count.div_ceil(S::TILE_ROWS);
        for chunk in (0..tiles).step_by(TILES_PER_CHUNK) {
            for column in (0..columns).step_by(2 * S::LANES) {
                for tile in chunk..(chunk + TILES_PER_CHUNK).min(tiles) {
                    // Even shares: 49 pixels are tiles of 12 and 13, not three of 14 and one of 7.
                    let first = tile * self.count / tiles;
                    let rows = (tile + 1) * self.count / tiles - first;
                    // SAFETY: Product::run checked that all `count` pixels lie within the slices.
                    unsafe {
                        if column + S::LANES < columns {
                            self.rows_of_tile::<S, 2>(simd, first, rows, column);
                        } else {
                            self.rows_of_tile::<S, 1>(simd, first, rows, column);
                        }
                    }
                }
            }
        }
    }
}

impl Run<'_> {
    /// # Safety
    /// Pixels `first..first + rows` lie within the slices and `rows` is 1 to [`Simd::TILE_ROWS`].
    #[inline(always)]
    unsafe fn rows_of_tile<S: Simd, const VECTORS: usize>(
        &mut self,
        simd: S,
        first: usize,
        rows: usize,
        column: usize,
    ) {
        macro_rules! by_rows {
            ($($n:literal)*) => {
                match rows {
                    // SAFETY: the caller's promise. The guard leaves out tiles that overflow the registers.
                    $($n if $n <= S::TILE_ROWS => unsafe { self.tile::<S, $n, VECTORS>(simd, first, column) },)*
                    _ => unreachable!("tiles have 1 to TILE_ROWS rows"),
                }
            };
        }
        by_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }

    /// One register tile: `ROWS` pixels from `first`, `VECTORS` vectors of outputs from `column`.
    ///
    /// # Safety
    /// The pixels and outputs lie within the slices.
    #[inline(always)]
    unsafe fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(&mut self, simd: S, first: usize, column: usize) {
        let (product, input) = (self.product, self.input);
        // SAFETY: pixels within `count` and columns within the padded outputs, which
        // Product::run checked; a panel's weights start at column · steps and are steps · width long.
        unsafe {
            let bias = product.bias.as_ptr().add(column);
            let mut acc = [[simd.splat(0.0); VECTORS]; ROWS];
            for row in &mut acc {
                for (v, sum) in row.iter_mut().enumerate() {
                    *sum = simd.load(bias.add(v * S::LANES));
                }
            }
            let width = VECTORS * S::LANES;
            let mut weight = product.panels.as_ptr().add(column * product.steps() + input.skipped * width);
            let mut pixel = input.data.as_ptr().add(first * input.stride);
            for _ in 0..input.runs {
                let mut at = pixel;
                for _ in 0..input.run_len {
                    let mut w = [simd.splat(0.0); VECTORS];
                    for (v, w) in w.iter_mut().enumerate() {
                        *w = simd.load(weight.add(v * S::LANES));
                    }
                    for (r, row) in acc.iter_mut().enumerate() {
                        let x = simd.splat(*at.add(r * input.stride));
                        for (v, sum) in row.iter_mut().enumerate() {
                            *sum = simd.step(x, w[v], *sum);
                        }
                    }
                    weight = weight.add(width);
                    at = at.add(1);
                }
                // Behind the last stretch this may point anywhere; it is not read there.
                pixel = pixel.wrapping_add(input.run_stride);
            }
            product.activation.apply_tile(simd, &mut acc, column);
            self.finish(simd, &acc, first, column);
        }
    }

    /// Writes a tile of results. Each way has a loop of its own, small enough to be unrolled: a tile that is indexed
    /// at run time would lie in memory instead of registers, during the sums too.
    ///
    /// # Safety
    /// As for [`Self::tile`].
    #[inline(always)]
    unsafe fn finish<S: Simd, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        tile: &[[S::V; VECTORS]; ROWS],
        first: usize,
        column: usize,
    ) {
        // SAFETY: the caller's promise; an interleaved vector beyond the pixel's stride is not written.
        unsafe {
            let stride = self.out_stride;
            let out = self.out.as_mut_ptr().add(first * stride);
            match self.fuse {
                Fuse::Store => {
                    for (r, row) in tile.iter().enumerate() {
                        for (v, &y) in row.iter().enumerate() {
                            simd.store(out.add(r * stride + column + v * S::LANES), y);
                        }
                    }
                }
                Fuse::Add(residual) => {
                    let residual = residual.as_ptr().add(first * stride);
                    for (r, row) in tile.iter().enumerate() {
                        for (v, &y) in row.iter().enumerate() {
                            let at = r * stride + column + v * S::LANES;
                            simd.store(out.add(at), simd.add(y, simd.load(residual.add(at))));
                        }
                    }
                }
                Fuse::Interleave(left, left_stride) => {
                    let left = left.as_ptr().add(first * left_stride);
                    // This loop is too large to be unrolled, so it gets a copy.
                    let mut copy = [[simd.splat(0.0); VECTORS]; ROWS];
                    for (row, copy) in tile.iter().zip(&mut copy) {
                        for (&y, copy) in row.iter().zip(copy) {
                            *copy = y;
                        }
                    }
                    for (r, row) in copy.iter().enumerate() {
                        for (v, &y) in row.iter().enumerate() {
                            let column = column + v * S::LANES;
                            let (low, high) = simd.interleave(simd.load(left.add(r * left_stride + column)), y);
                            let out = out.add(r * stride);
                            if 2 * column < stride {
                                simd.store(out.add(2 * column), low);
                            }
                            if 2 * column + S::LANES < stride {
                                simd.store(out.add(2 * column + S::LANES), high);
                            }
                        }
                    }
                }
            }
        }
    }
}
