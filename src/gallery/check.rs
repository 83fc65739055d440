//! Looking after a gallery on demand: does every sample find itself, and how often is each plan right?

use std::sync::Arc;

use super::{
    exact,
    graph::near,
    planner::{self, Plan},
    ranking::{Best, Hit},
    referee::{ROUNDING, exact_best},
    tenant::TenantGallery,
    vector::check_vector,
    view::View,
};
use domain::{FaceId, FaceSample};
use error::{Error, Result};
use runtime::{CancelToken, ComputePool, JobSpec, ServiceClass, Turn};

/// Queries searched for in one task.
const QUERIES_A_TASK: usize = 4;
/// The label of this work in the compute pool's figures.
const STAGE: &str = "gallery_check";
/// Cosine of a sample and the query made of it: a hard classroom case.
const QUERY_COSINE: f32 = 0.6;
/// Samples of others that the rest of such a query is mixed of, so that it is as near to strangers as faces are.
const MIXED: u32 = 8;

/// What was found out about some samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Samples that were looked for.
    pub samples: usize,
    /// Those that did not find themselves.
    pub lost: Vec<FaceId>,
    /// How each way of searching did on queries of about cosine 0.6 to a sample.
    pub ways: Vec<WayChecked>,
}

/// How often a way of searching found the sample that an exact search finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayChecked {
    /// A plan's name, or `graph`: the graph without the codes beside it, which no search goes by.
    pub way: &'static str,
    /// Queries.
    pub searches: usize,
    /// Those whose best sample was as similar as the exact best.
    pub right: usize,
}

/// How the best sample is found.
#[derive(Debug, Clone, Copy)]
enum Way {
    Plan(Plan),
    GraphAlone,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Plan(plan) => plan.name(),
            Self::GraphAlone => "graph",
        }
    }
}

/// Looks for `samples`, which are those of the gallery's model, in every way that the gallery offers, in small tasks of
/// the lowest class.
///
/// # Errors
/// `Invalid` `bad_vector` for a sample that cannot be searched for; `Unavailable` while the service stops.
pub async fn check(pool: &ComputePool, gallery: &TenantGallery, samples: Vec<FaceSample>) -> Result<Checked> {
    let view = Arc::new(gallery.view());
    samples.iter().try_for_each(|sample| check_vector(&sample.vector, view.dimension))?;
    let mut ways = vec![Way::Plan(Plan::Codes)];
    if view.graph.is_some() {
        ways.extend([Way::Plan(Plan::Hnsw), Way::GraphAlone]);
    }
    let mut checked = Checked { samples: samples.len(), ..Checked::default() };
    let themselves: Arc<Vec<Vec<f32>>> = Arc::new(samples.iter().map(|sample| sample.vector.clone()).collect());
    let noisy: Arc<Vec<Vec<f32>>> = Arc::new(samples.iter().map(|sample| noisy(&view, sample)).collect());
    let exact = exact_best(pool, &view, &noisy, STAGE).await?;
    let ef_search = gallery.options().ef_search;
    for way in ways {
        // Alone, the graph may lose samples: nobody relies on it.
        if !matches!(way, Way::GraphAlone) {
            let found = best_of_each(pool, &view, &themselves, way, ef_search).await?;
            let lost = samples.iter().zip(found).filter(|(_, similarity)| *similarity < 1.0 - 1e-3);
            checked.lost.extend(lost.map(|(sample, _)| sample.id));
        }
        let found = best_of_each(pool, &view, &noisy, way, ef_search).await?;
        let right = found.iter().zip(&exact).filter(|(found, exact)| **exact <= **found + ROUNDING).count();
        checked.ways.push(WayChecked { way: way.name(), searches: noisy.len(), right });
    }
    checked.lost.sort_unstable();
    checked.lost.dedup();
    Ok(checked)
}

/// The similarity of the best sample that each query finds this way.
async fn best_of_each(
    pool: &ComputePool,
    view: &Arc<View>,
    queries: &Arc<Vec<Vec<f32>>>,
    way: Way,
    ef_search: usize,
) -> Result<Vec<f32>> {
    let mut best = Vec::with_capacity(queries.len());
    for start in (0..queries.len()).step_by(QUERIES_A_TASK) {
        let (view, queries) = (Arc::clone(view), Arc::clone(queries));
        let spec = JobSpec {
            turn: Turn::new(ServiceClass::Bulk, STAGE),
            stage: STAGE,
            stage_rank: 0,
            cancel: CancelToken::default(),
        };
        let search = move || {
            let end = queries.len().min(start + QUERIES_A_TASK);
            let queries: Vec<&[f32]> = queries[start..end].iter().map(Vec::as_slice).collect();
            queries_by(&view, way, &queries, ef_search)
        };
        best.extend(pool.run(spec, search).await.map_err(Error::from)?.value);
    }
    Ok(best)
}

fn queries_by(view: &View, way: Way, queries: &[&[f32]], ef_search: usize) -> Vec<f32> {
    let best = |hits: &Vec<Hit>| hits.first().map_or(f32::NEG_INFINITY, |best| best.similarity);
    match (way, &view.graph) {
        (Way::GraphAlone, Some(graph)) => {
            let alone = |&query: &&[f32]| {
                let mut found = [Best::new(view, 1)];
                exact::compare_rows(view, &near(view, graph, query, ef_search), &[query], &mut found);
                let [found] = found;
                best(&found.into_hits())
            };
            queries.iter().map(alone).collect()
        }
        (Way::GraphAlone, None) => vec![f32::NEG_INFINITY; queries.len()],
        (Way::Plan(plan), _) => planner::search(view, plan, queries, 1, ef_search).hits.iter().map(best).collect(),
    }
}

/// A query as a photo of the sample's person might make it: at [`QUERY_COSINE`] to the sample, the rest mixed of other
/// samples, the same at every check.
fn noisy(view: &View, sample: &FaceSample) -> Vec<f32> {
    let own = &sample.vector;
    let mut rest = vec![0.0; own.len()];
    let seed = crc32c::crc32c(sample.id.as_bytes());
    for number in 0..MIXED {
        let bits = crc32c::crc32c_append(seed, &number.to_le_bytes());
        let (row, sign) = ((bits >> 1) as usize % view.len.max(1), if bits & 1 == 0 { 1.0 } else { -1.0 });
        if row < view.len {
            rest.iter_mut().zip(view.vector(row as u32)).for_each(|(rest, x)| *rest += sign * x);
        }
    }
    let along: f32 = rest.iter().zip(own).map(|(rest, own)| rest * own).sum();
    rest.iter_mut().zip(own).for_each(|(rest, own)| *rest -= along * own);
    let length = rest.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length < 1e-3 {
        // A gallery of one sample, or of copies of it.
        return own.clone();
    }
    let scale = (1.0 - QUERY_COSINE * QUERY_COSINE).sqrt() / length;
    own.iter().zip(rest).map(|(own, rest)| QUERY_COSINE * own + scale * rest).collect()
}
