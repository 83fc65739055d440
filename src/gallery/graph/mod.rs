//! A small-world graph over a gallery's rows (HNSW: Malkov and Yashunin, 2016, <https://arxiv.org/abs/1603.09320>).
//!
//! The graph never answers alone: on face-like vectors it loses people that an exact scan finds. It proposes rows,
//! which are joined with those of the codes and compared exactly.
//!
//! `hnsw_rs` builds the graph and is gone when it is built: what stays is [`Graph`], the bare lists of neighbours,
//! over which the search here runs. So a built graph takes a tenth of the builder's memory, holds no copy of a vector,
//! and nothing that was stored ever reaches `hnsw_rs`, which ends the process on some dumps and panics on NaN.
//!
//! | module | holds |
//! |---|---|
//! | `build` | making a graph with `hnsw_rs`, off every pool |
//! | `layer` | the lists of neighbours of one layer |
//! | `search` | finding the rows near a query |
//! | `source` | the graph as a source of candidates |

mod build;
mod layer;
mod search;
mod source;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(super) use self::{
    build::build,
    layer::Layer,
    source::{ByGraph, near},
};

/// The row of a node whose sample is no longer in the gallery.
pub(super) const GONE: u32 = u32::MAX;

/// How a graph is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphOptions {
    /// Neighbours of a node in an upper layer; twice as many in the lowest. From [`Self::M`].
    pub m: usize,
    /// Candidates that are kept while a node's neighbours are looked for: more is better and slower.
    pub ef_construction: usize,
}

impl Default for GraphOptions {
    fn default() -> Self {
        Self { m: 16, ef_construction: 200 }
    }
}

impl GraphOptions {
    /// The values of [`Self::m`] that make sense; `hnsw_rs` ends the process above 256.
    pub const M: std::ops::RangeInclusive<usize> = 4..=64;
    /// The values of [`Self::ef_construction`] that make sense.
    pub const EF_CONSTRUCTION: std::ops::RangeInclusive<usize> = 16..=2000;
}

/// A built graph: nodes, each a row of the gallery, and who is near whom in every layer.
///
/// Nodes are numbered from the top layer down, so that a layer holds the first so many of them and node 0 is where
/// every search begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Graph {
    options: GraphOptions,
    /// The row of each node, or [`GONE`].
    rows: Vec<u32>,
    /// The lowest first, which holds all nodes.
    layers: Arc<[Layer]>,
}

impl Graph {
    /// A graph of `layers`, the lowest first, whose node `i` is row `rows[i]` or [`GONE`]. None where they do not fit
    /// each other, so that no search can leave them.
    pub(super) fn new(options: GraphOptions, rows: Vec<u32>, layers: Vec<Layer>) -> Option<Self> {
        let shrinking = layers.windows(2).all(|pair| pair[0].num_nodes() >= pair[1].num_nodes());
        let lowest = layers.first().map_or(0, Layer::num_nodes);
        let none_empty = layers.iter().all(|layer| layer.num_nodes() > 0);
        (shrinking && none_empty && lowest == rows.len()).then(|| Self { options, rows, layers: layers.into() })
    }

    /// How it was built.
    pub(super) fn options(&self) -> GraphOptions {
        self.options
    }

    /// The row of each node, or [`GONE`].
    pub(super) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Nodes whose sample is in the gallery.
    pub(super) fn present(&self) -> usize {
        self.rows.iter().filter(|&&row| row != GONE).count()
    }

    /// The layers, the lowest first.
    pub(super) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The same graph after its rows were renumbered: `renumber` gives a row's new number, or [`GONE`].
    pub(super) fn renumbered(&self, renumber: impl Fn(u32) -> u32) -> Self {
        let rows = self.rows.iter().map(|&row| if row == GONE { GONE } else { renumber(row) }).collect();
        Self { options: self.options, rows, layers: Arc::clone(&self.layers) }
    }

    /// Bytes that it takes in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.rows.capacity() * size_of::<u32>() + self.layers.iter().map(Layer::memory_bytes).sum::<usize>()
    }
}
