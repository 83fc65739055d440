//! `rollcall bench gallery`: searches of ready vectors by each plan, and the same vectors through a real store.
//!
//! Takes the folder that `benches/peer/gallery.py make` writes: `gallery.f32` and `queries.f32` (little-endian, row
//! after row) and `truth.u32`, the ten nearest rows of each query, best first.

mod graph;
mod through_store;
mod vectors;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use serde::Serialize;

use self::{
    through_store::StoreFigures,
    vectors::{VectorFiles, person, sample},
};
use super::{super::Common, Parts, report, round, with_parts};
use crate::{
    domain::{GalleryPlan, PersonId},
    error::{Error, Result},
    gallery::{GalleryOptions, SearchRequest, SharedRequest, TenantGallery},
    runtime::{CancelToken, JobSpec, ServiceClass, Turn},
};

/// A plan is timed for so long with single queries, and so long with batches, or until all queries were made.
const TIME_A_MEASURE: Duration = Duration::from_secs(10);
/// Queries searched together.
const BATCH: usize = 32;
/// People asked for: whom a single face is named after, and the next.
const TOP: usize = 2;
/// A class: its samples, and the faces of a photo.
const ROSTER: (usize, usize) = (60, 30);
/// Runs of a roster's search, of which the median counts.
const ROSTER_RUNS: usize = 201;

#[derive(Debug, Args)]
pub(super) struct GalleryArgs {
    /// The folder with gallery.f32, queries.f32 and truth.u32.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Threads that share a batch. A single query runs on one.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    threads: u16,
    /// Builds a graph as well, which takes minutes, and measures the plan hnsw and, as `graph`, the graph alone.
    #[arg(long)]
    hnsw: bool,
    /// Leaves the store out: the figures that take one are null.
    #[arg(long)]
    no_store: bool,
}

/// What is printed of a plan.
#[derive(Serialize)]
struct Line {
    what: &'static str,
    rows: usize,
    threads: u16,
    #[serde(flatten)]
    search: SearchFigures,
    #[serde(flatten)]
    gallery: GalleryFigures,
    #[serde(flatten)]
    store: StoreFigures,
}

/// Of one plan.
#[derive(Serialize)]
struct SearchFigures {
    /// The lower of single queries and batches.
    recall_at_1: f64,
    single_ms: f64,
    batch32_ms_per_query: f64,
}

/// Of the gallery, whatever the plan.
#[derive(Clone, Serialize)]
struct GalleryFigures {
    bytes_per_row: f64,
    build_s: f64,
    swap_pause_ms: f64,
    roster_us: f64,
}

pub(super) fn run(common: &Common, args: &GalleryArgs) -> Result<()> {
    let files = VectorFiles::open(&args.folder)?;
    // Each row is another person's.
    let limits = ["tenants.max_people", "tenants.max_samples"].map(|limit| (limit, files.rows.to_string()));
    let changes = [("pipeline.compute_threads", args.threads.to_string())].into_iter().chain(limits).collect();
    with_parts(common, changes, async |parts| {
        let (gallery, bytes_per_row, build_s) = fill(parts, &files)?;
        let roster_us = round(roster_us(&gallery, &files)?, 1);
        let mut searches = Vec::new();
        for (what, plan) in
            [("exact", GalleryPlan::Exact), ("codes", GalleryPlan::Codes), ("planner", GalleryPlan::Auto)]
        {
            gallery.set_plan(plan);
            searches.push((what, measure(parts, &gallery, &files).await?));
        }
        let graph = if args.hnsw { Some(graph::measure(parts, &gallery, &files).await?) } else { None };
        let swap_pause_ms = round(swap_pause_ms(&gallery, files.rows)?, 3);
        drop(gallery);
        let figures = GalleryFigures { bytes_per_row, build_s, swap_pause_ms, roster_us };
        let store = if args.no_store { StoreFigures::default() } else { through_store::measure(parts, &files).await? };
        for (what, search) in searches {
            let (gallery, store) = (figures.clone(), store.clone());
            report(&Line { what, rows: files.rows, threads: args.threads, search, gallery, store })?;
        }
        for (what, search, graph) in graph.into_iter().flatten() {
            let bytes_per_row = round(figures.bytes_per_row + graph.bytes_per_row, 1);
            let gallery = GalleryFigures { bytes_per_row, build_s: graph.build_s, ..figures.clone() };
            let store = StoreFigures { load_s: Some(graph.load_s), ..StoreFigures::default() };
            report(&Line { what, rows: files.rows, threads: args.threads, search, gallery, store })?;
        }
        Ok(())
    })
}

/// A gallery of all rows, each another person's; the bytes of a row above its vector, and the seconds it took.
fn fill(parts: &Parts, files: &VectorFiles) -> Result<(Arc<TenantGallery>, f64, f64)> {
    let model = parts.tools().networks.get().embedder.model_id().clone();
    files.check_dimension(model.dimension as usize)?;
    let gallery = TenantGallery::new(model.clone(), GalleryOptions::default());
    let (before, start) = (resident_bytes()?, Instant::now());
    for (row, vector) in files.rows()?.enumerate() {
        gallery.insert(&[sample(person(row)?, &model, vector?)])?;
    }
    let build_s = start.elapsed().as_secs_f64();
    let a_row = (resident_bytes()? - before) / files.rows as f64;
    let bytes_per_row = round(a_row - (size_of::<f32>() * files.dimension) as f64, 1);
    Ok((Arc::new(gallery), bytes_per_row, round(build_s, 2)))
}

/// Resident memory of this process.
fn resident_bytes() -> Result<f64> {
    let unknown = || Error::internal("the system does not tell how much memory this process has");
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| unknown().with_source(error))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or_else(unknown)?;
    let kilobytes: f64 = line.split_whitespace().next().and_then(|word| word.parse().ok()).ok_or_else(unknown)?;
    Ok(kilobytes * 1024.0)
}

/// How long searches and changes wait when a fifth of the rows was removed and the gallery is rebuilt without them.
fn swap_pause_ms(gallery: &TenantGallery, rows: usize) -> Result<f64> {
    for row in (0..rows).step_by(5) {
        gallery.remove_person(&person(row)?);
    }
    let unfinished = || Error::internal("the gallery is being rebuilt already");
    Ok(gallery.rebuild().ok_or_else(unfinished)?.pause.as_secs_f64() * 1e3)
}

/// Microseconds of the similarities of a photo's faces with a class.
fn roster_us(gallery: &TenantGallery, files: &VectorFiles) -> Result<f64> {
    let (samples, faces) = ROSTER;
    let step = (files.rows / samples).max(1);
    let roster: Vec<PersonId> = (0..samples.min(files.rows)).map(|n| person(n * step)).collect::<Result<_>>()?;
    let queries = &files.queries[..(faces * files.dimension).min(files.queries.len())];
    let request = SearchRequest { queries, top: TOP, roster: Some(&roster) };
    let mut times = Vec::with_capacity(ROSTER_RUNS);
    for _ in 0..ROSTER_RUNS {
        let start = Instant::now();
        gallery.search(&request)?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[ROSTER_RUNS / 2])
}

async fn measure(parts: &Parts, gallery: &Arc<TenantGallery>, files: &VectorFiles) -> Result<SearchFigures> {
    let single = timed(parts, gallery, files, 1).await?;
    let batch = timed(parts, gallery, files, BATCH).await?;
    Ok(SearchFigures {
        recall_at_1: round(single.recall.min(batch.recall), 4),
        single_ms: round(single.milliseconds, 4),
        batch32_ms_per_query: round(batch.milliseconds, 4),
    })
}

struct Timed {
    recall: f64,
    /// Of one query.
    milliseconds: f64,
}

/// Searches for the queries, `at_once` at a time.
async fn timed(parts: &Parts, gallery: &Arc<TenantGallery>, files: &VectorFiles, at_once: usize) -> Result<Timed> {
    let batches: Vec<Arc<[f32]>> = files.queries.chunks(at_once * files.dimension).map(Arc::from).collect();
    let warm_up = batches.first().ok_or_else(|| Error::invalid("queries.f32 is empty"))?;
    search(parts, gallery, Arc::clone(warm_up)).await?;
    let (mut asked, mut right, start) = (0, 0, Instant::now());
    for queries in batches {
        let found = search(parts, gallery, queries).await?;
        for best in found {
            right += usize::from(best == Some(person(files.nearest[asked])?));
            asked += 1;
        }
        if start.elapsed() > TIME_A_MEASURE {
            break;
        }
    }
    let milliseconds = start.elapsed().as_secs_f64() * 1e3 / asked as f64;
    Ok(Timed { recall: right as f64 / asked as f64, milliseconds })
}

/// The best person of each query, as the server searches.
async fn search(parts: &Parts, gallery: &Arc<TenantGallery>, queries: Arc<[f32]>) -> Result<Vec<Option<PersonId>>> {
    let turn = Turn::new(ServiceClass::Interactive, "bench");
    let job = JobSpec { turn, stage: "bench", stage_rank: 0, cancel: CancelToken::default() };
    let request = SharedRequest { queries, top: TOP, roster: None };
    let found = gallery.search_on(&parts.tools().pool, job, request, |found| found).await?.value?;
    Ok(found.per_query.into_iter().map(|people| people.into_iter().next().map(|best| best.person)).collect())
}
