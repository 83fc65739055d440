//! Searches that compare only the rows which something cheaper has chosen.

use super::{
    exact,
    ranking::{Best, Hit},
    view::View,
};

/// Chooses rows that may be among a query's best.
pub(super) trait CandidateSource {
    /// The candidates of each query for its best `top` people, about `at_most` rows; removed ones are fine.
    fn candidates(&self, queries: &[&[f32]], top: usize, at_most: usize) -> Vec<Candidates>;
}

/// The rows to compare with a query.
pub(super) struct Candidates {
    /// Each row once, the highest ceilings first.
    pub(super) rows: Vec<Candidate>,
    /// The ceiling of all rows left out: negative infinity if none was, infinity if the source cannot say.
    pub(super) others: f32,
}

/// A row that may be among the best.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Its number.
    pub(super) row: u32,
    /// It should not be more similar than this: infinity if the source cannot say.
    pub(super) ceiling: f32,
}

/// Of fewer rows, all are compared.
pub(super) const FEWEST_ROWS: usize = 1024;
/// Candidates of a first try, which bounds the memory that a query takes. Another is seldom needed, and most of them
/// are not compared.
const FIRST_AT_MOST: usize = 4096;
/// The same for each person wanted, who may have several samples.
const AT_MOST_A_PERSON: usize = 64;
/// How many times more candidates the next try takes.
const GROWTH: usize = 8;
/// Candidates compared at a time.
const STRIDE: usize = 32;

/// What a search found and what it took.
pub(super) struct Found {
    /// For each query the best people.
    pub(super) hits: Vec<Vec<Hit>>,
    /// Candidates that were compared, all queries and tries together.
    pub(super) compared: usize,
}

/// The best `top` people of each query among the candidates of `source`, all of them compared exactly.
///
/// While a row that was left out could still be among the best, the query is tried again with more candidates, in the
/// end with all rows.
pub(super) fn search(view: &View, source: &dyn CandidateSource, queries: &[&[f32]], top: usize) -> Found {
    let mut found = Found { hits: vec![Vec::new(); queries.len()], compared: 0 };
    let mut open: Vec<usize> = (0..queries.len()).collect();
    let mut at_most = FIRST_AT_MOST.max(AT_MOST_A_PERSON * top);
    let mut is_hopeless = view.live() < FEWEST_ROWS;
    while !open.is_empty() {
        let asked: Vec<&[f32]> = open.iter().map(|&query| queries[query]).collect();
        if is_hopeless {
            found.compared += open.len() * view.live();
            for (query, hits) in open.drain(..).zip(exact::scan(view, &asked, top)) {
                found.hits[query] = hits;
            }
            break;
        }
        let candidates = source.candidates(&asked, top, at_most);
        let mut again = Vec::new();
        for (query, candidates) in open.into_iter().zip(candidates) {
            let mut best = Best::new(view, top);
            found.compared += compare(view, &candidates.rows, queries[query], &mut best);
            if best.worst() < candidates.others {
                again.push(query);
            } else {
                found.hits[query] = best.into_hits();
            }
        }
        open = again;
        at_most *= GROWTH;
        is_hopeless = at_most >= view.live();
    }
    found
}

/// Compares candidates until no other can be among the best; returns how many it compared.
fn compare(view: &View, candidates: &[Candidate], query: &[f32], best: &mut Best<'_>) -> usize {
    let mut compared = 0;
    for some in candidates.chunks(STRIDE) {
        if some[0].ceiling < best.worst() {
            break;
        }
        let rows: Vec<u32> = some.iter().map(|candidate| candidate.row).collect();
        exact::compare_rows(view, &rows, &[query], std::slice::from_mut(best));
        compared += rows.len();
    }
    compared
}
