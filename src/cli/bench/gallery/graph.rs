//! The graph: how long it takes to build and to restore, and what it finds with the codes and without them.

use std::{sync::Arc, time::Instant};

use super::{
    super::{Parts, round},
    SearchFigures, TIME_A_MEASURE, measure as measure_plan,
    vectors::{VectorFiles, person},
};
use crate::{
    domain::{GalleryPlan, TenantScope},
    error::{Error, Result},
    gallery::TenantGallery,
    service::access::first_start::DEFAULT_TENANT,
};

/// What a graph takes.
#[derive(Clone, Copy)]
pub(super) struct GraphFigures {
    /// Beside the rows and their codes.
    pub(super) bytes_per_row: f64,
    pub(super) build_s: f64,
    /// From its snapshot in the store.
    pub(super) load_s: f64,
}

/// The plan hnsw, and the graph alone.
pub(super) async fn measure(
    parts: &Parts,
    gallery: &Arc<TenantGallery>,
    files: &VectorFiles,
) -> Result<[(&'static str, SearchFigures, GraphFigures); 2]> {
    let before = gallery.memory_bytes();
    let start = Instant::now();
    let snapshot = gallery.build_graph()?;
    let build_s = round(start.elapsed().as_secs_f64(), 1);
    let bytes_per_row = (gallery.memory_bytes() - before) as f64 / files.rows as f64;
    let (store, scope) = (&parts.tools().store, TenantScope::granted(DEFAULT_TENANT.parse()?));
    store.put_snapshot(&scope, snapshot.into()).await?;
    let start = Instant::now();
    let stored = store.snapshot(&scope).await?.ok_or_else(|| Error::internal("the store lost a snapshot"))?;
    gallery.restore_graph(&stored)?;
    let figures = GraphFigures { bytes_per_row, build_s, load_s: round(start.elapsed().as_secs_f64(), 2) };
    store.remove_snapshot(&scope).await?;
    gallery.set_plan(GalleryPlan::Hnsw);
    let together = measure_plan(parts, gallery, files).await?;
    Ok([("hnsw", together, figures), ("graph", alone(gallery, files)?, figures)])
}

/// The graph's own recall, one query at a time.
fn alone(gallery: &TenantGallery, files: &VectorFiles) -> Result<SearchFigures> {
    let (mut asked, mut right, start) = (0, 0, Instant::now());
    for query in files.queries.chunks(files.dimension) {
        let best = gallery.search_graph_alone(query).map(|best| best.person);
        right += usize::from(best == Some(person(files.nearest[asked])?));
        asked += 1;
        if start.elapsed() > TIME_A_MEASURE {
            break;
        }
    }
    let single_ms = round(start.elapsed().as_secs_f64() * 1e3 / asked as f64, 4);
    let recall_at_1 = round(right as f64 / asked as f64, 4);
    Ok(SearchFigures { recall_at_1, single_ms, batch32_ms_per_query: single_ms })
}
