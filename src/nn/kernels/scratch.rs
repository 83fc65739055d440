//! Memory of the networks: cache-line aligned, recycled within a thread, so a forward pass allocates nothing
//! once its thread has run it before.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut, Range},
};

use super::{LANE_ALIGN, padded};

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LANE_ALIGN]);

/// A slice of `f32` that starts on a cache line; its length is a multiple of [`LANE_ALIGN`].
#[derive(Debug, Default)]
pub struct Lines(Vec<Line>);

impl Lines {
    /// `len` zeros, rounded up to whole lines.
    pub fn zeroed(len: usize) -> Self {
        Self(vec![Line([0.0; LANE_ALIGN]); len.div_ceil(LANE_ALIGN)])
    }

    /// A copy of `values`, padded with zeros.
    pub fn padded(values: &[f32]) -> Self {
        let mut lines = Self::zeroed(values.len());
        lines[..values.len()].copy_from_slice(values);
        lines
    }

    /// Appends a row of `values` padded with zeros to whole lines.
    pub fn push_row(&mut self, values: &[f32]) {
        let start = self.len();
        self.0.resize(self.0.len() + values.len().div_ceil(LANE_ALIGN), Line([0.0; LANE_ALIGN]));
        self[start..start + values.len()].copy_from_slice(values);
    }
}

impl Deref for Lines {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: a Line is LANE_ALIGN consecutive f32 without padding (64 bytes, alignment 64).
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LANE_ALIGN) }
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as for deref; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LANE_ALIGN) }
    }
}

thread_local! {
    static POOL: RefCell<Vec<Lines>> = const { RefCell::new(Vec::new()) };
}

/// Scratch numbers of unspecified content, given back to the thread's pool when dropped.
#[derive(Debug)]
pub struct Buffer {
    lines: Lines,
    len: usize,
}

impl Buffer {
    /// At least the tightest recycled buffer that holds `len` numbers, or a new one in place of the largest that does
    /// not: a thread keeps as many buffers as it ever used at once, however many sizes it met.
    pub fn take(len: usize) -> Self {
        let recycled = POOL.with_borrow_mut(|pool| {
            let fits = pool.iter().enumerate().filter(|(_, lines)| lines.len() >= len);
            let tightest = fits.min_by_key(|(_, lines)| lines.len()).map(|(index, _)| index);
            let largest = || (0..pool.len()).max_by_key(|&index| pool[index].len());
            tightest.or_else(largest).map(|index| pool.swap_remove(index))
        });
        let lines = recycled.filter(|lines| lines.len() >= len).unwrap_or_else(|| Lines::zeroed(len));
        Self { lines, len }
    }

    /// Frees what the current thread keeps for later.
    pub fn release_kept() {
        POOL.with_borrow_mut(Vec::clear);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        // A thread that is ending has no pool any more; then the memory is simply freed.
        let _ = POOL.try_with(|pool| pool.borrow_mut().push(lines));
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.lines[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.lines[..self.len]
    }
}

/// A feature map of one image in scratch memory: `[height, width, padded(channels)]`.
#[derive(Debug)]
pub struct Map {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channels that mean something.
    pub channels: usize,
    data: Buffer,
}

impl Map {
    /// A map of unspecified content.
    pub fn new(height: usize, width: usize, channels: usize) -> Self {
        Self { height, width, channels, data: Buffer::take(height * width * padded(channels)) }
    }

    /// Numbers from one pixel to the next.
    pub fn stride(&self) -> usize {
        padded(self.channels)
    }

    /// The pixels of some rows.
    pub fn rows(&self, rows: Range<usize>) -> &[f32] {
        let pitch = self.width * self.stride();
        &self.data[rows.start * pitch..rows.end * pitch]
    }

    /// The pixels of some rows, to be written.
    pub fn rows_mut(&mut self, rows: Range<usize>) -> &mut [f32] {
        let pitch = self.width * self.stride();
        &mut self.data[rows.start * pitch..rows.end * pitch]
    }

    /// All pixels.
    pub fn pixels(&self) -> &[f32] {
        &self.data
    }

    /// All pixels, to be written.
    pub fn pixels_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again() {
        std::thread::spawn(|| {
            let first = Buffer::take(1000);
            let address = first.as_ptr();
            drop(first);
            let second = Buffer::take(900);
            assert_eq!((second.as_ptr(), second.len()), (address, 900));
            assert_eq!(second.as_ptr() as usize % 64, 0);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_larger_buffer_takes_the_place_of_a_smaller_one() {
        std::thread::spawn(|| {
            for len in [1000, 2000, 1500, 3000] {
                drop(Buffer::take(len));
            }
            assert_eq!(kept(), [padded(3000)]);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn what_is_released_is_kept_no_longer() {
        std::thread::spawn(|| {
            drop((Buffer::take(1000), Buffer::take(2000)));
            assert_eq!(kept().len(), 2);
            Buffer::release_kept();
            assert!(kept().is_empty());
        })
        .join()
        .unwrap();
    }

    fn kept() -> Vec<usize> {
        POOL.with_borrow(|pool| pool.iter().map(|lines| lines.len()).collect())
    }
}
