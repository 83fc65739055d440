//! How alike a gallery's samples are to each other: those of one person, those of different people, and each one's
//! nearest other person.
//!
//! All in short tasks over one view: memory holds the rows' numbers, the counts, and one finding a sample.

use std::{collections::HashSet, ops::Range, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, future, stream};

use super::{planner, products::products, ranking::Hit, tenant::TenantGallery, view::View};
use domain::{Candidate, recognition::calibration::Histogram};
use error::Result;
use runtime::{ComputePool, JobSpec};

/// Rows of a block, which is compared with others: both stay in the cache.
const BLOCK_ROWS: usize = 256;
/// Rows of a block that are compared at a time.
const STRIPE_ROWS: usize = 16;
/// Blocks that a block is compared with in one task of a few milliseconds.
const BLOCKS_A_TASK: usize = 4;
/// Pairs of one person's samples in a task.
const GENUINE_PAIRS_A_TASK: u64 = 50_000;
/// Nearest people searched for in a task: at most so many, and not longer than this.
const SEARCHES_A_TASK: usize = 32;
const SEARCH_TIME: Duration = Duration::from_millis(10);

/// How much is looked at in a large gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairLimits {
    /// About so many pairs of different people.
    pub impostor_pairs: u64,
    /// So many samples have their nearest other person searched for.
    pub searches: usize,
    /// So many look-alikes are kept.
    pub look_alikes: usize,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pairs {
    /// People in the gallery.
    pub people: usize,
    /// Samples in the gallery.
    pub samples: usize,
    /// All pairs of samples of one person.
    pub genuine: Histogram,
    /// Pairs of samples of different people.
    pub impostor: Histogram,
    /// How many of those there are in all.
    pub impostor_pairs: u64,
    /// How many samples had their nearest other person searched for.
    pub searches: usize,
    /// The most similar of those pairs, best first, each pair of people once. The two are in the order of their ids.
    pub look_alikes: Vec<[Candidate; 2]>,
}

/// A sample and the nearest sample of another person.
#[derive(Debug, Clone, Copy)]
struct Nearest {
    rows: [u32; 2],
    similarity: f32,
}

/// Compares the samples of a gallery with each other. Where there are more than the limits allow, samples are chosen by
/// a checksum of their ids: always the same ones.
///
/// # Errors
/// `Unavailable` while the service stops.
pub async fn pairs(
    pool: &ComputePool,
    job: &JobSpec,
    gallery: &Arc<TenantGallery>,
    limits: PairLimits,
) -> Result<Pairs> {
    let view = Arc::new(gallery.view());
    let on = Tasks { pool, job };
    let laid_out = Arc::clone(&view);
    let Layout { people, mixed, genuine_tasks, genuine_pairs } = on.one(move || Layout::of(&laid_out)).await?;
    let mut found = Pairs {
        people,
        samples: mixed.len(),
        impostor_pairs: pairs_among(mixed.len()) - genuine_pairs,
        searches: mixed.len().min(limits.searches),
        ..Pairs::default()
    };

    let tasks = genuine_tasks.into_iter().map(|rows| {
        let view = Arc::clone(&view);
        move || genuine(&view, &rows)
    });
    on.all(tasks, |part| found.genuine.merge(&part)).await?;

    let tasks = block_tasks(mixed.len(), limits.impostor_pairs).into_iter().map(|(block, others)| {
        let (view, rows) = (Arc::clone(&view), Arc::clone(&mixed));
        move || impostor(&view, &rows, block, others)
    });
    on.all(tasks, |part| found.impostor.merge(&part)).await?;

    let at_once = searches_a_task(gallery);
    let searched = 0..found.searches;
    let tasks = searched.clone().step_by(at_once).map(|start| {
        let (view, gallery, rows) = (Arc::clone(&view), Arc::clone(gallery), Arc::clone(&mixed));
        let end = searched.end.min(start + at_once);
        move || nearest(&view, &gallery, &rows[start..end])
    });
    let mut nearest = Vec::with_capacity(found.searches);
    on.all(tasks, |part| nearest.extend(part)).await?;
    found.look_alikes = on.one(move || look_alikes(&view, nearest, limits.look_alikes)).await?;
    Ok(found)
}

/// The rows that can be found, as they are compared.
struct Layout {
    people: usize,
    /// In an order that has nothing to do with who they are, and is always the same.
    mixed: Arc<[u32]>,
    /// The rows of each person with several samples, some people a task.
    genuine_tasks: Vec<Vec<Vec<u32>>>,
    genuine_pairs: u64,
}

impl Layout {
    fn of(view: &View) -> Self {
        let mut rows: Vec<u32> = view.live_rows().collect();
        rows.sort_unstable_by_key(|&row| (view.owner(row), row));
        let (mut people, mut genuine_pairs) = (0, 0);
        let (mut genuine_tasks, mut task, mut pairs) = (Vec::new(), Vec::new(), 0);
        for run in rows.chunk_by(|&a, &b| view.owner(a) == view.owner(b)) {
            people += 1;
            if run.len() > 1 {
                task.push(run.to_vec());
                pairs += pairs_among(run.len());
            }
            if pairs >= GENUINE_PAIRS_A_TASK {
                genuine_tasks.push(std::mem::take(&mut task));
                genuine_pairs += std::mem::take(&mut pairs);
            }
        }
        genuine_tasks.push(task);
        genuine_pairs += pairs;
        rows.sort_by_cached_key(|&row| crc32c::crc32c(view.face(row).as_bytes()));
        Self { people, mixed: rows.into(), genuine_tasks, genuine_pairs }
    }
}

/// Where tasks run.
struct Tasks<'a> {
    pool: &'a ComputePool,
    job: &'a JobSpec,
}

impl Tasks<'_> {
    async fn one<T: Send + 'static>(&self, task: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        Ok(self.pool.run(self.job.clone(), task).await?.value)
    }

    /// Runs all tasks, as many at a time as there are threads. Without a caller, those that have not started never do.
    async fn all<T: Send + 'static>(
        &self,
        tasks: impl Iterator<Item = impl FnOnce() -> T + Send + 'static>,
        mut take: impl FnMut(T),
    ) -> Result<()> {
        let started = tasks.map(|task| self.one(task));
        let taken = |part| {
            take(part);
            future::ready(Ok(()))
        };
        stream::iter(started).buffer_unordered(self.pool.num_threads()).try_for_each(taken).await
    }
}

fn pairs_among(samples: usize) -> u64 {
    let samples = samples as u64;
    samples * samples.saturating_sub(1) / 2
}

fn genuine(view: &View, people: &[Vec<u32>]) -> Histogram {
    let mut histogram = Histogram::default();
    for rows in people {
        let vectors: Vec<&[f32]> = rows.iter().map(|&row| view.vector(row)).collect();
        let mut similarities = vec![0.0; vectors.len() * vectors.len()];
        products(&vectors, &vectors, &mut similarities);
        for (at, similarities) in similarities.chunks_exact(vectors.len()).enumerate() {
            similarities[at + 1..].iter().for_each(|&similarity| histogram.add(similarity));
        }
    }
    histogram
}

/// Each block of rows with the blocks from itself on that it is compared with: all of them, or so many of the next
/// ones that the pairs are about `limit`. As the rows are mixed, those are a random choice in which every sample is.
fn block_tasks(rows: usize, limit: u64) -> Vec<(usize, Range<usize>)> {
    let blocks = rows.div_ceil(BLOCK_ROWS);
    let is_within = pairs_among(rows) <= limit;
    let band = if is_within { blocks } else { ((limit / (rows * BLOCK_ROWS) as u64) as usize).max(1) };
    let tasks_of = |block: usize| {
        let end = blocks.min(block + band);
        (block..end).step_by(BLOCKS_A_TASK).map(move |start| (block, start..end.min(start + BLOCKS_A_TASK)))
    };
    (0..blocks).flat_map(tasks_of).collect()
}

fn impostor(view: &View, rows: &[u32], block: usize, others: Range<usize>) -> Histogram {
    let rows_of = |block: usize| &rows[block * BLOCK_ROWS..rows.len().min((block + 1) * BLOCK_ROWS)];
    let vectors_of = |rows: &[u32]| -> Vec<&[f32]> { rows.iter().map(|&row| view.vector(row)).collect() };
    let owners_of = |rows: &[u32]| -> Vec<u32> { rows.iter().map(|&row| view.owner(row)).collect() };
    let (vectors, owners) = (vectors_of(rows_of(block)), owners_of(rows_of(block)));
    let (mut histogram, mut similarities) = (Histogram::default(), vec![0.0; STRIPE_ROWS * BLOCK_ROWS]);
    for other in others {
        let (other_vectors, other_owners) = (vectors_of(rows_of(other)), owners_of(rows_of(other)));
        let width = other_vectors.len();
        for (stripe, queries) in vectors.chunks(STRIPE_ROWS).enumerate() {
            let similarities = &mut similarities[..queries.len() * width];
            products(queries, &other_vectors, similarities);
            for (at, similarities) in similarities.chunks_exact(width).enumerate() {
                let row = stripe * STRIPE_ROWS + at;
                // Within a block each pair once.
                let from = if other == block { row + 1 } else { 0 };
                for (&similarity, &owner) in similarities.iter().zip(&other_owners).skip(from) {
                    if owner != owners[row] {
                        histogram.add(similarity);
                    }
                }
            }
        }
    }
    histogram
}

/// So many that a task is short.
fn searches_a_task(gallery: &TenantGallery) -> usize {
    let mut searches = SEARCHES_A_TASK;
    while searches > 1 && gallery.expected_cost(searches) > SEARCH_TIME {
        searches /= 2;
    }
    searches
}

/// The nearest other person of each row that has one.
fn nearest(view: &View, gallery: &TenantGallery, rows: &[u32]) -> Vec<Nearest> {
    let queries: Vec<&[f32]> = rows.iter().map(|&row| view.vector(row)).collect();
    let plan = gallery.plan_for(view, queries.len());
    // Two: the nearest is the person themselves, as a rule.
    let found = planner::search(view, plan, &queries, 2, gallery.options().ef_search).hits;
    let other = |(&row, hits): (&u32, Vec<Hit>)| {
        let hit = hits.into_iter().find(|hit| hit.person != view.owner(row))?;
        Some(Nearest { rows: [row, hit.row], similarity: hit.similarity })
    };
    rows.iter().zip(found).filter_map(other).collect()
}

/// The most similar pairs of people.
fn look_alikes(view: &View, nearest: Vec<Nearest>, limit: usize) -> Vec<[Candidate; 2]> {
    let id = |row: u32| view.names.text(view.owner(row));
    let in_order = |mut pair: Nearest| {
        pair.rows.sort_unstable_by_key(|&row| id(row));
        pair
    };
    let mut pairs: Vec<Nearest> = nearest.into_iter().map(in_order).collect();
    let by_ids = |pair: &Nearest| pair.rows.map(|row| (id(row), view.face(row)));
    pairs.sort_unstable_by(|a, b| b.similarity.total_cmp(&a.similarity).then_with(|| by_ids(a).cmp(&by_ids(b))));
    let mut seen = HashSet::new();
    pairs.retain(|pair| seen.len() < limit && seen.insert(pair.rows.map(|row| view.owner(row))));
    let candidate = |row: u32, similarity| Candidate::new(view.names.id(view.owner(row)), view.face(row), similarity);
    pairs.into_iter().map(|pair| pair.rows.map(|row| candidate(row, pair.similarity))).collect()
}
