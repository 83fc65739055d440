//! Max pooling with stride 2.
#![expect(clippy::inline_always, reason = "bodies take their target features from the caller they are inlined into")]

use std::ops::Range;

use super::{
    Isa, LANE_ALIGN,
    simd::{Kernel, Simd},
};

/// The largest of each square window, stride 2; a window of 3 has padding 1, a window of 2 none.
#[derive(Debug, Clone, Copy)]
pub struct MaxPool {
    isa: Isa,
    size: usize,
}

impl MaxPool {
    /// A window of `size` 2 or 3.
    pub fn new(isa: Isa, size: usize) -> Self {
        assert!(size == 2 || size == 3, "max pool: size");
        Self { isa, size }
    }

    const fn padding(self) -> usize {
        (self.size - 1) / 2
    }

    /// Rows or columns that come out of `size`.
    pub const fn out_size(self, size: usize) -> usize {
        (size + 2 * self.padding() - self.size) / 2 + 1
    }

    /// The rows of a map of `height` that output row `row` looks at.
    pub fn window(self, row: usize, height: usize) -> Range<usize> {
        let start = 2 * row;
        start.saturating_sub(self.padding())..(start + self.size - self.padding()).min(height)
    }

    /// One output row from `rows`: the rows of its [`Self::window`], each of `width` pixels of `stride` numbers.
    pub fn run_row(self, rows: &[f32], width: usize, stride: usize, out: &mut [f32]) {
        assert!(stride > 0 && stride.is_multiple_of(LANE_ALIGN), "max pool: stride");
        // By division first: a product could wrap around.
        assert!(!rows.is_empty() && rows.len() / stride >= width, "max pool: rows");
        assert!(width + 2 * self.padding() >= self.size, "max pool: width");
        assert!(rows.len().is_multiple_of(width * stride), "max pool: rows");
        assert!(out.len() >= self.out_size(width) * stride, "max pool: out too short");
        self.isa.run(Row { pool: self, rows, width, stride, out });
    }
}

struct Row<'a> {
    pool: MaxPool,
    rows: &'a [f32],
    width: usize,
    stride: usize,
    out: &'a mut [f32],
}

impl Kernel for Row<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let pitch = self.width * self.stride;
        let count = self.rows.len() / pitch;
        for x in 0..self.pool.out_size(self.width) {
            // A column outside the map is replaced by its neighbour, which the window holds anyway.
            let first = (2 * x).saturating_sub(self.pool.padding());
            let last = (2 * x + self.pool.size - self.pool.padding()).min(self.width);
            for channel in (0..self.stride).step_by(S::LANES) {
                // SAFETY: rows are whole rows of `width` pixels, columns lie below `width`, and run_row checked `out`.
                unsafe {
                    let pixels = self.rows.as_ptr().add(channel);
                    let mut largest = simd.load(pixels.add(first * self.stride));
                    for row in 0..count {
                        for column in first..last {
                            let value = simd.load(pixels.add(row * pitch + column * self.stride));
                            largest = simd.max(largest, value);
                        }
                    }
                    simd.store(self.out.as_mut_ptr().add(x * self.stride + channel), largest);
                }
            }
        }
    }
}
