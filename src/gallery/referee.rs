//! The referee: repeats a share of the searches exactly, in spare time, and says which plan can be trusted.
//!
//! A search that does not look at every sample may miss the best one without anybody noticing. So some searches are
//! kept, with the gallery as they saw it, and repeated over all rows when nothing else wants the compute pool. A plan
//! whose recall lies under the floor, beyond what chance explains, is no longer taken by `auto` for that gallery.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::mpsc, time::timeout};

use super::{
    exact,
    planner::Plan,
    ranking::{Best, Hit},
    view::View,
};
use runtime::{CancelToken, ComputeError, ComputePool, JobSpec, ServiceClass, Turn};

/// Searches that wait to be repeated; more are let go. Each holds on to its gallery's rows.
const WAITING: usize = 16;
/// A search that could not be repeated for so long is let go, and its gallery's rows with it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Rows compared in one task: about ten milliseconds of 512 numbers each.
const ROWS_A_TASK: usize = 65_536;
/// The label of the referee's work in the compute pool's figures.
const STAGE: &str = "referee";
/// How much more similar the exact best must be to have been missed: the same product differs by as much when it is
/// added up in another order.
pub(super) const ROUNDING: f32 = 1e-5;
/// Fewer repeated searches than this say nothing.
const MIN_CHECKED: u32 = 100;
/// How unlikely the misses must be for a plan that reaches the floor, before it is distrusted.
const CHANCE: f64 = 1e-4;
/// After so many both counts are halved, so that what was long ago weighs less.
const MAX_CHECKED: u32 = 1 << 20;

/// How often a plan was asked and how often it missed the best sample.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    checked: u32,
    missed: u32,
}

impl Tally {
    fn add(&mut self, missed: bool) {
        if self.checked == MAX_CHECKED {
            (self.checked, self.missed) = (self.checked / 2, self.missed / 2);
        }
        self.checked += 1;
        self.missed += u32::from(missed);
    }
}

/// Whether `missed` of `searches` can hardly be chance for a plan whose recall is `floor`. Such a plan's misses come
/// close to a Poisson distribution, whose tail Chernoff's bound keeps under `exp(k - λ + k ln(λ ÷ k))`.
pub fn falls_short(searches: u32, missed: u32, floor: f64) -> bool {
    let (expected, misses) = (f64::from(searches) * (1.0 - floor), f64::from(missed));
    searches >= MIN_CHECKED && misses > expected && misses - expected + misses * (expected / misses).ln() < CHANCE.ln()
}

/// How the plans of one gallery did.
#[derive(Debug, Default)]
pub(super) struct Record {
    tallies: Mutex<[Tally; Plan::ALL.len()]>,
    /// A bit for each plan that lost its trust. It gets it back when the gallery is loaded anew.
    distrusted: AtomicU8,
}

impl Record {
    /// Whether `auto` may take the plan.
    pub(super) fn trusts(&self, plan: Plan) -> bool {
        self.distrusted.load(Ordering::Relaxed) & bit(plan) == 0
    }

    fn add(&self, plan: Plan, missed: bool, floor: f64) {
        let tally = {
            let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
            tallies[plan as usize].add(missed);
            tallies[plan as usize]
        };
        if missed
            && falls_short(tally.checked, tally.missed, floor)
            && self.distrusted.fetch_or(bit(plan), Ordering::Relaxed) & bit(plan) == 0
        {
            let Tally { checked, missed } = tally;
            tracing::warn!(
                plan = plan.name(),
                checked,
                missed,
                "a search plan misses people that an exact search finds, so auto no longer takes it for this gallery"
            );
        }
    }
}

fn bit(plan: Plan) -> u8 {
    1 << plan as u8
}

/// Told of every repeated search: its plan, and whether that had missed the best sample.
pub type RefereeObserver = Arc<dyn Fn(Plan, bool) + Send + Sync>;

/// What the referee goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RefereeOptions {
    /// The share of searches that is repeated, 0 to 1.
    pub share: f64,
    /// The least recall, 0 to 1, of a plan that `auto` may take.
    pub recall_floor: f64,
}

/// See the module. Its work ends when it is dropped.
pub struct Referee {
    cases: mpsc::Sender<Case>,
    share: f64,
    seen: AtomicU64,
}

/// A search that is to be repeated.
struct Case {
    view: View,
    record: Arc<Record>,
    plan: Plan,
    query: Vec<f32>,
    /// The similarity of the best sample that was found.
    found: f32,
}

impl Referee {
    /// Starts to repeat searches on `pool`. To be called on a tokio runtime.
    pub fn start(options: RefereeOptions, pool: ComputePool, observer: RefereeObserver) -> Arc<Self> {
        let (cases, mut waiting) = mpsc::channel::<Case>(WAITING);
        tokio::spawn(async move {
            while let Some(case) = waiting.recv().await {
                let Case { view, record, plan, query, found } = case;
                let (view, queries) = (Arc::new(view), Arc::new(vec![query]));
                let repeated = timeout(PATIENCE, exact_best(&pool, &view, &queries, STAGE)).await;
                let Ok(Ok(best)) = repeated else { continue };
                let missed = best.iter().any(|&best| best > found + ROUNDING);
                observer(plan, missed);
                record.add(plan, missed, options.recall_floor);
            }
        });
        Arc::new(Self { cases, share: options.share, seen: AtomicU64::new(0) })
    }

    /// Keeps some of the queries of a search, with what was found for each, to be repeated.
    pub(super) fn consider(
        &self,
        (view, record): (&View, &Arc<Record>),
        plan: Plan,
        queries: &[&[f32]],
        hits: &[Vec<Hit>],
    ) {
        if matches!(plan, Plan::ExactRoster | Plan::ExactGallery) {
            return;
        }
        for (query, hits) in queries.iter().zip(hits) {
            if !self.takes_next() {
                continue;
            }
            // A full queue means that there is no spare time now.
            let Ok(place) = self.cases.try_reserve() else { return };
            let found = hits.first().map_or(f32::NEG_INFINITY, |best| best.similarity);
            let (view, record) = (view.clone(), Arc::clone(record));
            place.send(Case { view, record, plan, query: query.to_vec(), found });
        }
    }

    /// Whether the next query is one of the share. Multiples of the golden ratio are spread evenly and do not follow
    /// the order of faces in photos.
    fn takes_next(&self) -> bool {
        let number = self.seen.fetch_add(1, Ordering::Relaxed) as f64;
        (number * 0.618_033_988_749_894_9).fract() < self.share
    }
}

/// The similarity of each query's exact best sample, in small tasks of the lowest class, counted under `stage`.
pub(super) async fn exact_best(
    pool: &ComputePool,
    view: &Arc<View>,
    queries: &Arc<Vec<Vec<f32>>>,
    stage: &'static str,
) -> Result<Vec<f32>, ComputeError> {
    let mut best = vec![f32::NEG_INFINITY; queries.len()];
    // Many queries cost less each, but not less together.
    let rows_a_task = ROWS_A_TASK / queries.len().clamp(1, ROWS_A_TASK);
    for start in (0..view.len).step_by(rows_a_task) {
        let part = start..view.len.min(start + rows_a_task);
        let (view, queries) = (Arc::clone(view), Arc::clone(queries));
        let spec = JobSpec {
            turn: Turn::new(ServiceClass::Bulk, stage),
            stage,
            stage_rank: 0,
            cancel: CancelToken::default(),
        };
        let found = pool.run(spec, move || best_of(&view, part, &queries)).await?.value;
        best.iter_mut().zip(found).for_each(|(best, found)| *best = best.max(found));
    }
    Ok(best)
}

fn best_of(view: &View, rows: Range<usize>, queries: &[Vec<f32>]) -> Vec<f32> {
    let queries: Vec<&[f32]> = queries.iter().map(Vec::as_slice).collect();
    let mut best: Vec<Best<'_>> = queries.iter().map(|_| Best::new(view, 1)).collect();
    exact::scan_rows(view, rows, &queries, &mut best);
    let similarity = |hits: Vec<Hit>| hits.first().map_or(f32::NEG_INFINITY, |best| best.similarity);
    best.into_iter().map(|best| similarity(best.into_hits())).collect()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::{
        index::Index,
        planner::{self, Situation},
    };
    use domain::{FaceId, GalleryPlan};
    use runtime::{ComputeOptions, Lingers, NoObserver, Rest};

    const DIMENSION: usize = 16;

    /// The unit vector along one axis, tilted a little along the next.
    fn vector(n: usize) -> Vec<f32> {
        let mut vector = vec![0.0; DIMENSION];
        let tilt = n as f32 / 10_000.0;
        (vector[n % DIMENSION], vector[(n + 1) % DIMENSION]) = (tilt.cos(), tilt.sin());
        vector
    }

    #[tokio::test]
    async fn searches_are_repeated_over_all_rows_as_they_were_and_a_plan_that_misses_is_no_longer_taken() {
        let options = ComputeOptions {
            threads: NonZeroUsize::MIN,
            lingers: Lingers::default(),
            observer: Arc::new(NoObserver),
            rest: Rest::default(),
        };
        let pool = ComputePool::new(options).unwrap();
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let observer: RefereeObserver = {
            let outcomes = Arc::clone(&outcomes);
            Arc::new(move |plan, missed| outcomes.lock().unwrap().push((plan, missed)))
        };
        let referee = Referee::start(RefereeOptions { share: 1.0, recall_floor: 0.999 }, pool.clone(), observer);
        let mut index = Index::new(DIMENSION);
        for n in 0..3000 {
            index.append(&format!("p{n}"), FaceId::generate(), &vector(n));
        }
        let (view, record) = (index.view(), Arc::new(Record::default()));
        index.append("later", FaceId::generate(), &vector(7000));
        let later = vector(7000);
        let repeat = async |plan, hits: Vec<Hit>| {
            let before = outcomes.lock().unwrap().len();
            referee.consider((&view, &record), plan, &[&later], &[hits]);
            while outcomes.lock().unwrap().len() == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        referee.consider((&view, &record), Plan::ExactGallery, &[&later], &[Vec::new()]);
        let right = exact::scan(&view, &[&later], 1).remove(0);
        for _ in 0..120 {
            repeat(Plan::Hnsw, right.clone()).await;
            repeat(Plan::Codes, vec![Hit { similarity: right[0].similarity - 0.1, ..right[0] }]).await;
        }
        let outcomes = outcomes.lock().unwrap();
        assert_eq!(outcomes.iter().filter(|&&outcome| outcome == (Plan::Hnsw, false)).count(), 120);
        assert_eq!(outcomes.iter().filter(|&&outcome| outcome == (Plan::Codes, true)).count(), 120);
        assert!(record.trusts(Plan::Hnsw) && !record.trusts(Plan::Codes));
        let choose = |trusts_codes| {
            let situation =
                Situation { rows: 1_000_000, dimension: 512, num_queries: 1, has_graph: false, trusts_codes };
            planner::choose(GalleryPlan::Auto, &situation)
        };
        assert_eq!((choose(true), choose(false)), (Plan::Codes, Plan::ExactGallery));
        pool.shut_down();
    }

    #[test]
    fn chance_is_told_from_a_bad_plan() {
        let is_under = |checked, missed| falls_short(checked, missed, 0.999);
        for (checked, missed) in
            [(0, 0), (10, 1), (99, 99), (100, 0), (100, 1), (100, 2), (1000, 4), (100_000, 130), (1 << 20, 1100)]
        {
            assert!(!is_under(checked, missed), "{missed} of {checked}");
        }
        for (checked, missed) in [(100, 4), (1000, 8), (100_000, 150), (1 << 20, 1250)] {
            assert!(is_under(checked, missed), "{missed} of {checked}");
        }
        assert!(falls_short(100, 1, 1.0) && !falls_short(100, 0, 1.0));
    }

    #[test]
    fn a_plan_that_misses_loses_its_trust_and_the_others_keep_theirs() {
        let record = Record::default();
        for n in 0..1000 {
            record.add(Plan::Codes, n % 100 == 0, 0.999);
            record.add(Plan::Hnsw, n == 0, 0.999);
        }
        assert!(!record.trusts(Plan::Codes) && record.trusts(Plan::Hnsw));
    }

    #[test]
    fn old_counts_fade() {
        let mut tally = Tally { checked: MAX_CHECKED, missed: 100 };
        tally.add(true);
        assert_eq!(tally, Tally { checked: MAX_CHECKED / 2 + 1, missed: 51 });
    }

    #[test]
    fn the_share_of_searches_is_kept() {
        for share in [0.0, 0.01, 0.25, 1.0] {
            let (cases, _waiting) = mpsc::channel(1);
            let referee = Referee { cases, share, seen: AtomicU64::new(0) };
            let taken = (0..10_000).filter(|_| referee.takes_next()).count() as f64;
            assert!((taken - share * 10_000.0).abs() < 5.0, "{taken} of {share}");
        }
    }
}
