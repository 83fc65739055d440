//! Looking after a gallery's graph, for whoever has a thread for it: a build takes minutes of one core.

use std::{collections::HashMap, slice, sync::Weak};

use domain::{Candidate, FaceId};
use error::{Error, Result};

use super::{
    exact,
    graph::{self, Graph, GraphOptions},
    planner::{self, Plan},
    products::products,
    ranking::{Best, named},
    snapshot::{self, Doubt, Fingerprint},
    tenant::TenantGallery,
    view::View,
};

/// What a gallery's graph reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphReach {
    /// Rows that it was built over.
    pub nodes: usize,
    /// Those of them that can still be found.
    pub present: usize,
}

impl TenantGallery {
    /// What its graph reaches, where it has one.
    pub fn graph_reach(&self) -> Option<GraphReach> {
        let graph = self.view().graph?;
        Some(GraphReach { nodes: graph.rows().len(), present: graph.present() })
    }

    /// Builds a graph over the rows of the gallery as it is now, gives it to it, and returns its snapshot; `None` where
    /// `is_called_off`, or where the gallery has gone meanwhile. Blocks for minutes where there are many rows.
    ///
    /// # Errors
    /// `Internal` where there is no thread to build on.
    pub fn grow_graph(gallery: &Weak<Self>, is_called_off: impl Fn() -> bool + Send + Sync) -> Result<Option<Vec<u8>>> {
        let Some(present) = gallery.upgrade() else { return Ok(None) };
        let (options, view) = (present.options().graph, present.view());
        drop(present);
        let Some(graph) = built(options, &view, || is_called_off() || gallery.strong_count() == 0)? else {
            return Ok(None);
        };
        Ok(gallery.upgrade().map(|gallery| gallery.take_graph(graph, &view)))
    }

    /// Builds the graph now, whatever the plan, and returns its snapshot: for measurements. Blocks for minutes where
    /// there are many rows.
    pub fn build_graph(&self) -> Result<Vec<u8>> {
        let view = self.view();
        let graph = built(self.options().graph, &view, || false)?;
        let graph = graph.ok_or_else(|| Error::invalid("an empty gallery has no graph"))?;
        Ok(self.take_graph(graph, &view))
    }

    /// Takes the graph of a snapshot, over the rows that the gallery has now.
    ///
    /// # Errors
    /// `Storage` for a snapshot that cannot be used.
    pub fn restore_graph(&self, snapshot: &[u8]) -> Result<()> {
        self.take_snapshot(snapshot).map_err(|doubt| Error::storage(format!("the snapshot is not used: {doubt}")))
    }

    /// The best that the graph finds without the codes beside it: for measurements, as no search goes by it.
    pub fn search_graph_alone(&self, query: &[f32]) -> Option<Candidate> {
        let view = self.view();
        let rows = graph::near(&view, view.graph.as_ref()?, query, self.options().ef_search);
        let mut best = Best::new(&view, 1);
        exact::compare_rows(&view, &rows, &[query], slice::from_mut(&mut best));
        named(&view, vec![best.into_hits()], HashMap::new()).into_iter().flatten().next()
    }

    /// The best `top` people for a query by an exact scan, whatever the plan: the truth that plans are held to.
    pub fn search_exactly(&self, query: &[f32], top: usize) -> Vec<Candidate> {
        let view = self.view();
        let hits = planner::search(&view, Plan::ExactGallery, &[query], top, 0).hits;
        named(&view, hits, HashMap::new()).into_iter().flatten().collect()
    }

    /// Takes a graph that was built over `view`; its snapshot.
    fn take_graph(&self, graph: Graph, view: &View) -> Vec<u8> {
        let bytes = snapshot::encode(&graph, self.model(), |row| fingerprint(view, row));
        if !self.set_graph(graph, view) {
            // The rows were renumbered meanwhile. The snapshot knows them by their samples.
            let _ = self.take_snapshot(&bytes);
        }
        bytes
    }

    fn take_snapshot(&self, bytes: &[u8]) -> Result<(), Doubt> {
        let view = self.view();
        let rows: HashMap<FaceId, u32> = view.live_rows().map(|row| (view.face(row), row)).collect();
        let graph = snapshot::decode(bytes, self.model(), self.options().graph, |found| {
            rows.get(&found.face).copied().filter(|&row| fingerprint(&view, row) == found)
        })?;
        // If the rows are renumbered just now, the graph is built anew.
        self.set_graph(graph, &view);
        Ok(())
    }
}

/// A graph over the rows of `view`; see [`graph::build`].
fn built(options: GraphOptions, view: &View, is_called_off: impl Fn() -> bool + Send + Sync) -> Result<Option<Graph>> {
    let similarity = |a: u32, b: u32| {
        let mut similarity = [0.0];
        products(&[view.vector(a)], &[view.vector(b)], &mut similarity);
        similarity[0]
    };
    let rows: Vec<u32> = view.live_rows().collect();
    graph::build(options, &rows, similarity, is_called_off)
}

/// What names a row in a snapshot.
fn fingerprint(view: &View, row: u32) -> Fingerprint {
    Fingerprint::new(view.face(row), view.vector(row))
}
