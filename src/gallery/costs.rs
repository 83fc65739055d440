//! What a search costs on this machine: measured once, when the first gallery is large enough for a choice.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{candidates, codes::ByCodes, exact, index::Index, planner::Plan, view::View};
use domain::FaceId;

/// Rows of the two galleries that are timed. What a choice has to tell apart lies between them or not far off.
const TIMED_ROWS: [usize; 2] = [1280, 4096];
/// Queries that are timed together: one face, a small group, a class.
const TIMED_QUERIES: [usize; 3] = [1, 4, 16];
/// Runs of each, of which the fastest counts: others were disturbed.
const RUNS: usize = 3;
/// People asked for in a timed search.
const TOP: usize = 2;

/// Nanoseconds of one query: `fixed`, and `a_row` for every row.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    fixed: f64,
    a_row: f64,
}

impl Line {
    fn through(rows: [usize; 2], nanoseconds: [f64; 2]) -> Self {
        let a_row = (nanoseconds[1] - nanoseconds[0]).max(0.0) / (rows[1] - rows[0]) as f64;
        Self { fixed: (nanoseconds[0] - a_row * rows[0] as f64).max(0.0), a_row }
    }

    fn at(self, rows: usize) -> f64 {
        self.fixed + self.a_row * rows as f64
    }
}

/// What each plan costs for each of [`TIMED_QUERIES`].
#[derive(Debug, Default)]
pub(super) struct Costs {
    exact: [Line; TIMED_QUERIES.len()],
    codes: [Line; TIMED_QUERIES.len()],
}

/// The costs for vectors of `dimension` numbers, measured at the first call, which takes some milliseconds.
pub(super) fn of_dimension(dimension: usize) -> Arc<Costs> {
    static COSTS: LazyLock<Mutex<HashMap<usize, Arc<Costs>>>> = LazyLock::new(Mutex::default);
    let mut costs = COSTS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(costs.entry(dimension).or_insert_with(|| Arc::new(Costs::measure(dimension))))
}

impl Costs {
    fn measure(dimension: usize) -> Self {
        let vectors = face_like(TIMED_ROWS[1] + TIMED_QUERIES[2], dimension);
        let (queries, rows) = vectors.split_at(TIMED_QUERIES[2]);
        let galleries = TIMED_ROWS.map(|len| filled(&rows[..len]).view());
        let time = |num_queries: usize, search: &dyn Fn(&View, &[&[f32]])| {
            let queries: Vec<&[f32]> = queries[..num_queries].iter().map(Vec::as_slice).collect();
            Line::through(TIMED_ROWS, galleries.each_ref().map(|view| fastest(|| search(view, &queries), num_queries)))
        };
        Self {
            exact: TIMED_QUERIES.map(|queries| time(queries, &|view, queries| drop(exact::scan(view, queries, TOP)))),
            codes: TIMED_QUERIES.map(|queries| {
                time(queries, &|view, queries| drop(candidates::search(view, &ByCodes(view), queries, TOP)))
            }),
        }
    }

    /// The cheapest plan for a gallery of `rows`.
    pub(super) fn cheapest(&self, rows: usize, num_queries: usize) -> Plan {
        let cost = |plan| self.of(plan, rows, num_queries);
        if cost(Plan::Codes) < cost(Plan::ExactGallery) { Plan::Codes } else { Plan::ExactGallery }
    }

    /// What a search by a plan should cost on one thread.
    pub(super) fn of(&self, plan: Plan, rows: usize, num_queries: usize) -> Duration {
        let lines = match plan {
            // What the graph adds is less than the codes' own time wherever time matters.
            Plan::Codes | Plan::Hnsw => &self.codes,
            Plan::ExactGallery | Plan::ExactRoster => &self.exact,
        };
        let like = TIMED_QUERIES.iter().rposition(|&timed| timed <= num_queries).unwrap_or(0);
        Duration::from_nanos((lines[like].at(rows) * num_queries as f64) as u64)
    }
}

/// Nanoseconds a query of the fastest of some runs.
fn fastest(search: impl Fn(), num_queries: usize) -> f64 {
    let run = |_| {
        let start = Instant::now();
        search();
        start.elapsed().as_nanos() as f64 / num_queries as f64
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}

fn filled(vectors: &[Vec<f32>]) -> Index {
    let mut index = Index::new(vectors.first().map_or(0, Vec::len));
    for (n, vector) in vectors.iter().enumerate() {
        index.append(&format!("{n}"), FaceId::from_bytes((n as u128).to_be_bytes()), vector);
    }
    index
}

/// Unit vectors most of whose length lies in few directions, as that of embeddings does: so many rows are about as
/// similar to a query, and have to be compared, as in a gallery of people.
fn face_like(count: usize, dimension: usize) -> Vec<Vec<f32>> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let weights: Vec<f32> = (1..=dimension).map(|k| (k as f32).powf(-0.45)).collect();
    let mut vector = || {
        let raw: Vec<f32> = weights.iter().map(|weight| weight * next()).collect();
        let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt();
        raw.into_iter().map(|x| x / length).collect()
    };
    (0..count).map(|_| vector()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheaper_plan_is_taken_on_either_side_of_where_they_cross() {
        let exact =
            [Line { fixed: 0.0, a_row: 100.0 }, Line { fixed: 0.0, a_row: 50.0 }, Line { fixed: 0.0, a_row: 20.0 }];
        let codes = [Line { fixed: 198_000.0, a_row: 1.0 }; 3];
        let costs = Costs { exact, codes };
        for (rows, queries, plan) in [
            (1_999, 1, Plan::ExactGallery),
            (2_001, 1, Plan::Codes),
            (2_001, 3, Plan::Codes),
            (4_000, 5, Plan::ExactGallery),
            (4_100, 15, Plan::Codes),
            (10_000, 1000, Plan::ExactGallery),
            (1_000_000, 1000, Plan::Codes),
        ] {
            assert_eq!(costs.cheapest(rows, queries), plan, "{rows} rows, {queries} queries");
        }
    }

    #[test]
    fn a_line_goes_through_both_timings() {
        let line = Line::through([100, 300], [50.0, 90.0]);
        assert!((line.at(100) - 50.0).abs() < 1e-9 && (line.at(300) - 90.0).abs() < 1e-9);
    }

    #[test]
    fn a_million_rows_are_cheaper_by_codes_here() {
        assert_eq!(of_dimension(512).cheapest(1_000_000, 1), Plan::Codes);
    }
}
