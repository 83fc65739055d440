//! One bit a number: codes that choose the rows worth comparing.
//!
//! A vector is rotated at random and only the signs are kept, 64 bytes of 512 numbers. The query keeps its numbers, in
//! small steps, and its product with a row is estimated from the row's signs: without bias, and with an error that
//! depends on the dimension alone (Gao and Long, "`RaBitQ`: Quantizing High-Dimensional Vectors with a Theoretical Error
//! Bound for Approximate Nearest Neighbor Search", SIGMOD 2024, here with the origin as the only centre). So the rows
//! of the best estimates hold the best rows, and the error's bound says whether more of them must be compared.
//!
//! Codes are made and kept for whole groups of 64 rows, interleaved so that one instruction works on all of them.
//! The rows behind the last whole group have none: they are always compared.
//!
//! | module | holds |
//! |---|---|
//! | `rotation` | the random rotation |
//! | `coder` | vectors to codes |
//! | `lookup` | a query as tables |
//! | `sums` | the inner loop, by instruction set |
//! | `scan` | all codes, many queries |
//! | `shortlist` | the best estimates |

mod coder;
mod lookup;
mod rotation;
mod scan;
mod shortlist;
mod sums;
#[cfg(test)]
mod test_vectors;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

pub(super) use self::coder::{Coder, GROUP_ROWS};
use self::{
    coder::Correction,
    lookup::Lookup,
    scan::{Codes, Search},
    shortlist::Shortlist,
};
use super::{
    candidates::{Candidate, CandidateSource, Candidates},
    column::{Column, ColumnView},
    exact,
    ranking::Best,
    view::View,
};
use nn::kernels::Isa;

/// Groups in the first chunk of a column, and how often chunks double: as those of rows do.
const GROUP_CHUNKS: (usize, u32) = (1, 8);

/// How many standard deviations an estimate may be wrong by: a row is missed once in seven hundred times if it is
/// just as similar as the last one wanted, and practically never if it stands out.
const DEVIATIONS: f32 = 3.0;

/// Rows after which the best of them are compared for the first time, and how many times more each next time. The
/// worst of the best so far, which only gets better, says how high an estimate must be from there on.
const FIRST_LOOK: usize = 1024;
const NEXT_LOOK: usize = 4;
/// Rows compared at such a look, and more for each person wanted.
const LOOKED_AT: usize = 14;
const LOOKED_AT_A_PERSON: usize = 2;

/// The codes of an index.
pub(super) struct CodeColumns {
    coder: Arc<Coder>,
    lines: Column<u8>,
    corrections: Column<Correction>,
}

/// The codes as they were when the view was taken.
#[derive(Clone)]
pub(super) struct CodesView {
    coder: Arc<Coder>,
    lines: ColumnView<u8>,
    corrections: ColumnView<Correction>,
}

impl CodeColumns {
    /// No codes yet, of vectors of `dimension` numbers.
    pub(super) fn new(dimension: usize) -> Self {
        let coder = shared_coder(dimension);
        let (first, doublings) = GROUP_CHUNKS;
        let lines = Column::new(first * coder.group_bytes(), doublings);
        Self { coder, lines, corrections: Column::new(first * GROUP_ROWS, doublings) }
    }

    /// Adds the codes of the next [`GROUP_ROWS`] rows.
    pub(super) fn push(&mut self, vectors: &[f32]) {
        let group = self.coder.encode(vectors);
        self.lines.push(&group.lines);
        self.corrections.push(&group.corrections);
    }

    /// The codes as they are now.
    pub(super) fn view(&self) -> CodesView {
        let (lines, corrections) = (self.lines.view(), self.corrections.view());
        CodesView { coder: Arc::clone(&self.coder), lines, corrections }
    }

    /// Bytes of memory.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.lines.capacity_bytes() + self.corrections.capacity_bytes()
    }
}

/// The one coder of a dimension: what it needs is the same for all galleries.
fn shared_coder(dimension: usize) -> Arc<Coder> {
    static CODERS: LazyLock<Mutex<HashMap<usize, Arc<Coder>>>> = LazyLock::new(Mutex::default);
    let mut coders = CODERS.lock().unwrap_or_else(PoisonError::into_inner);
    // An instruction set that the processor lacks was refused when the networks were loaded.
    let isa = || Isa::chosen().unwrap_or(Isa::PORTABLE);
    Arc::clone(coders.entry(dimension).or_insert_with(|| Arc::new(Coder::new(dimension, isa()))))
}

impl CodesView {
    /// The standard deviation of an estimate. The product of a code and its vector, both of unit length, is close to
    /// √(2 ÷ π) whatever the vector.
    fn deviation(&self) -> f32 {
        let product = std::f32::consts::FRAC_2_PI;
        ((1.0 / product - 1.0) / (self.coder.rotated_dimension() as f32 - 1.0)).sqrt()
    }
}

/// The codes of a view as a source of candidates.
pub(super) struct ByCodes<'a>(pub(super) &'a View);

impl CandidateSource for ByCodes<'_> {
    fn candidates(&self, queries: &[&[f32]], top: usize, at_most: usize) -> Vec<Candidates> {
        let Self(view) = self;
        let codes = &view.codes;
        let margin = DEVIATIONS * codes.deviation();
        let search =
            |query: &&[f32]| Search { lookup: Lookup::new(&codes.coder, query), shortlist: Shortlist::new(at_most) };
        let mut searches: Vec<Search> = queries.iter().map(search).collect();
        let (mut first_row, mut next_look) = (0, FIRST_LOOK);
        for (lines, corrections) in codes.lines.chunks().zip(codes.corrections.chunks()) {
            let part = Codes { lines, corrections, group_bytes: codes.coder.group_bytes(), first_row };
            scan::scan(codes.coder.isa(), part, &view.removed, &mut searches);
            first_row += corrections.len();
            if first_row >= next_look {
                next_look *= NEXT_LOOK;
                for (search, query) in searches.iter_mut().zip(queries) {
                    let least = self.least_worth_keeping(&mut search.shortlist, query, top, margin);
                    search.shortlist.raise(least);
                }
            }
        }
        let without_codes = first_row as u32..view.len as u32;
        searches
            .into_iter()
            .map(|search| {
                let (chosen, cut_at) = search.shortlist.into_rows();
                let must = without_codes.clone().map(|row| Candidate { row, ceiling: f32::INFINITY });
                let may = chosen.into_iter().map(|(estimate, row)| Candidate { row, ceiling: estimate + margin });
                Candidates { rows: must.chain(may).collect(), others: cut_at + margin }
            })
            .collect()
    }
}

impl ByCodes<'_> {
    /// The least estimate that one of the best `top` people can have. It is no more than the estimates of the best rows
    /// that are known, however low these turned out: a row that was just found must not be dropped.
    fn least_worth_keeping(&self, shortlist: &mut Shortlist, query: &[f32], top: usize, margin: f32) -> f32 {
        let looked_at = shortlist.best(LOOKED_AT + LOOKED_AT_A_PERSON * top);
        let rows: Vec<u32> = looked_at.iter().map(|(_, row)| *row).collect();
        let mut best = [Best::new(self.0, top)];
        exact::compare_rows(self.0, &rows, &[query], &mut best);
        let [mut best] = best;
        let worst = best.worst();
        let best = best.into_hits();
        let known = looked_at.iter().filter(|(_, row)| best.iter().any(|hit| hit.row == *row));
        known.map(|(estimate, _)| *estimate).fold(worst - margin, f32::min)
    }
}
