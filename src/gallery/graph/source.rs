//! The graph as a source of candidates.

use std::collections::HashSet;

use super::Graph;
use crate::{
    candidates::{Candidate, CandidateSource, Candidates},
    codes::ByCodes,
    products::products,
    view::View,
};

/// The rows that a graph finds near a query, joined with those of the codes. So a query loses nobody whom the codes
/// find, whether the graph finds them, has been cut in two by removals, or has not heard of them yet.
pub(crate) struct ByGraph<'a> {
    pub(crate) view: &'a View,
    pub(crate) graph: &'a Graph,
    /// Rows that the graph is asked for.
    pub(crate) ef_search: usize,
}

impl CandidateSource for ByGraph<'_> {
    fn candidates(&self, queries: &[&[f32]], top: usize, at_most: usize) -> Vec<Candidates> {
        let Self { view, graph, ef_search } = *self;
        let mut all = ByCodes(view).candidates(queries, top, at_most);
        for (query, candidates) in queries.iter().zip(&mut all) {
            let near = near(view, graph, query, ef_search);
            let known: HashSet<u32> = near.iter().copied().collect();
            candidates.rows.retain(|candidate| !known.contains(&candidate.row));
            // The first to be compared: the better the best are, the fewer of the codes' candidates have to be.
            candidates.rows.splice(0..0, near.into_iter().map(|row| Candidate { row, ceiling: f32::INFINITY }));
        }
        all
    }
}

/// About the `wanted` rows most similar to a query that the graph finds, the most similar first, removed ones as well.
pub(crate) fn near(view: &View, graph: &Graph, query: &[f32], wanted: usize) -> Vec<u32> {
    let mut vectors = Vec::new();
    graph.search(wanted, |rows, similarities| {
        vectors.clear();
        vectors.extend(rows.iter().map(|&row| view.vector(row)));
        similarities.resize(rows.len(), 0.0);
        products(&[query], &vectors, similarities);
    })
}
