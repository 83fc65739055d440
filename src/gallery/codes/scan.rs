//! The scan: all codes for many queries, each code read once for as many of them as the cache allows.
#![expect(unsafe_code, reason = "what the sums are for is compiled for the instruction set, too")]
#![expect(
    clippy::inline_always,
    reason = "a function that is not inlined into the one with the target feature is compiled without it"
)]

use super::{
    coder::{Correction, GROUP_ROWS},
    lookup::Lookup,
    shortlist::Shortlist,
    sums::{ByteKernel, Bytes, Line, run, sums},
};
use crate::view::Removed;
use nn::kernels::Isa;

/// Groups that stay in the cache while all queries go over them: 256 KiB of 512 bits a code.
const BLOCK_GROUPS: usize = 64;

/// A query on its way through the codes.
pub(super) struct Search {
    pub(super) lookup: Lookup,
    pub(super) shortlist: Shortlist,
}

impl Search {
    fn line(&self) -> Line {
        Line { step: self.lookup.step, base: self.lookup.base, least: self.shortlist.least() }
    }
}

/// Codes that lie together.
#[derive(Clone, Copy)]
pub(super) struct Codes<'a> {
    pub(super) lines: &'a [u8],
    pub(super) corrections: &'a [Correction],
    /// Bytes of a group.
    pub(super) group_bytes: usize,
    /// The number of the first row.
    pub(super) first_row: usize,
}

/// Offers the rows of `codes` that were not `removed` to the shortlists of all searches.
pub(super) fn scan(isa: Isa, codes: Codes<'_>, removed: &Removed, searches: &mut [Search]) {
    run(isa, Scan { codes, removed, searches });
}

struct Scan<'a> {
    codes: Codes<'a>,
    removed: &'a Removed,
    searches: &'a mut [Search],
}

impl ByteKernel for Scan<'_> {
    #[inline(always)]
    unsafe fn run<B: Bytes>(self) {
        // SAFETY: the caller's promise.
        unsafe { blocks::<B>(self.codes, self.removed, self.searches) }
    }
}

/// # Safety
/// The processor has the instructions of `B`.
#[inline(always)]
unsafe fn blocks<B: Bytes>(codes: Codes<'_>, removed: &Removed, searches: &mut [Search]) {
    let lines = codes.lines.chunks(BLOCK_GROUPS * codes.group_bytes);
    let corrections = codes.corrections.chunks(BLOCK_GROUPS * GROUP_ROWS);
    for (block, (lines, corrections)) in lines.zip(corrections).enumerate() {
        let first_row = codes.first_row + block * BLOCK_GROUPS * GROUP_ROWS;
        let block = Codes { lines, corrections, first_row, ..codes };
        for some in searches.chunks_mut(B::QUERIES) {
            // SAFETY: the caller's promise.
            unsafe {
                match some {
                    [a, b, c, d] => groups::<B, 4>(block, removed, &mut [a, b, c, d]),
                    [a, b, c] => groups::<B, 3>(block, removed, &mut [a, b, c]),
                    [a, b] => groups::<B, 2>(block, removed, &mut [a, b]),
                    some => some.iter_mut().for_each(|a| groups::<B, 1>(block, removed, &mut [a])),
                }
            }
        }
    }
}

/// # Safety
/// As for [`blocks`].
#[inline(always)]
unsafe fn groups<B: Bytes, const Q: usize>(codes: Codes<'_>, removed: &Removed, searches: &mut [&mut Search; Q]) {
    let mut totals = [[0; GROUP_ROWS]; Q];
    let mut lines = searches.each_ref().map(|search| search.line());
    let corrections = codes.corrections.as_chunks::<GROUP_ROWS>().0;
    for (group, (bytes, corrections)) in codes.lines.chunks_exact(codes.group_bytes).zip(corrections).enumerate() {
        let tables = searches.each_ref().map(|search| search.lookup.tables.as_slice());
        // SAFETY: the caller's promise.
        unsafe { sums::<B, Q>(bytes, tables, &mut totals) };
        for query in 0..Q {
            // SAFETY: as above.
            let mut reaching = unsafe { B::reaching(&totals[query], corrections, &lines[query]) };
            while reaching != 0 {
                let at = reaching.trailing_zeros() as usize;
                reaching &= reaching - 1;
                let row = (codes.first_row + group * GROUP_ROWS + at) as u32;
                if !removed.contains(row) {
                    let estimate = lines[query].estimate(totals[query][at], corrections[at].factor());
                    searches[query].shortlist.offer(row, estimate);
                    lines[query].least = searches[query].shortlist.least();
                }
            }
        }
    }
}
