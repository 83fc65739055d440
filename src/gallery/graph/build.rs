//! Making a graph with `hnsw_rs`.

use std::sync::Arc;

use hnsw_rs::{
    anndists::dist::Distance,
    hnsw::{Hnsw, Point},
};
use rayon::ThreadPoolBuilder;

use super::{Graph, GraphOptions, Layer};
use crate::upkeep::lower_priority;
use error::{Error, Result};

/// `hnsw_rs` has no more than this.
const MAX_LAYERS: usize = 16;

/// Cosine distance between the places that two nodes have in the list that a graph is built of.
struct Cosine<S>(S);

impl<S: Fn(u32, u32) -> f32> Distance<u32> for Cosine<S> {
    fn eval(&self, a: &[u32], b: &[u32]) -> f32 {
        // Rounding takes a product of unit vectors past 1, and hnsw_rs asserts that no distance is negative.
        (1.0 - (self.0)(a[0], b[0])).max(0.0)
    }
}

/// Builds a graph over `rows` on one thread of its own, at low priority; blocks until it is built. `similarity` is that
/// of two rows and finite. None where `is_cancelled` said so in between.
///
/// Takes some two kilobytes a row while it builds: `hnsw_rs` keeps every neighbour in an allocation of its own.
///
/// Errors: `Internal` where the system gives no thread.
pub(crate) fn build(
    options: GraphOptions,
    rows: &[u32],
    similarity: impl Fn(u32, u32) -> f32 + Send + Sync,
    is_cancelled: impl Fn() -> bool + Send + Sync,
) -> Result<Option<Graph>> {
    // A pool of one, because hnsw_rs, when it is dropped, takes the pool of the thread it is on: rayon's global one
    // would have a thread a core and no low priority.
    let pool = ThreadPoolBuilder::new()
        .num_threads(1)
        .thread_name(|_| "gallery-graph".into())
        .start_handler(|_| lower_priority())
        .build()
        .map_err(|error| Error::internal("cannot start the thread that builds a graph").with_source(error))?;
    Ok(pool.install(|| {
        let hnsw = Hnsw::new(options.m, rows.len(), MAX_LAYERS, options.ef_construction, Cosine(&similarity));
        for (place, &row) in rows.iter().enumerate() {
            if is_cancelled() {
                return None;
            }
            hnsw.insert((&[row], place));
        }
        freeze(options, rows, &hnsw)
    }))
}

/// The bare lists of neighbours of what `hnsw_rs` has built.
fn freeze<S: Fn(u32, u32) -> f32 + Send + Sync>(
    options: GraphOptions,
    rows: &[u32],
    hnsw: &Hnsw<'_, u32, Cosine<&S>>,
) -> Option<Graph> {
    let points = hnsw.get_point_indexation();
    // A point is listed in its top layer alone. From the top down, so that each layer holds the first so many nodes.
    let mut nodes: Vec<Arc<Point<'_, u32>>> = Vec::with_capacity(rows.len());
    let mut node_of = vec![0; rows.len()];
    let mut sizes = Vec::new();
    for layer in (0..=hnsw.get_max_level_observed() as usize).rev() {
        for point in points.get_layer_iterator(layer) {
            node_of[point.get_origin_id()] = nodes.len() as u32;
            nodes.push(point);
        }
        sizes.push(nodes.len());
    }
    sizes.reverse();
    let mut lists: Vec<(Vec<u32>, Vec<u32>)> = sizes.iter().map(|_| (vec![0], Vec::new())).collect();
    for (node, point) in nodes.iter().enumerate() {
        let neighbourhood = point.get_neighborhood_id();
        for (((offsets, lists), &size), neighbours) in lists.iter_mut().zip(&sizes).zip(neighbourhood) {
            if node < size {
                let neighbours = neighbours.iter().map(|neighbour| node_of[neighbour.d_id]);
                lists.extend(neighbours.filter(|&neighbour| (neighbour as usize) < size));
                offsets.push(lists.len() as u32);
            }
        }
    }
    for (offsets, lists) in &mut lists {
        offsets.shrink_to_fit();
        lists.shrink_to_fit();
    }
    let rows = nodes.iter().map(|point| rows[point.get_origin_id()]).collect();
    let layers = lists.into_iter().map(|(offsets, lists)| Layer::new(offsets, lists)).collect::<Option<_>>()?;
    Graph::new(options, rows, layers)
}
