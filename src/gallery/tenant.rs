//! One tenant's gallery.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    admission::Admission,
    candidates::{FEWEST_ROWS, Found},
    exact,
    graph::{Graph, GraphOptions},
    index::Index,
    negatives::Negatives,
    planner::{self, Plan, Situation},
    products::products,
    ranking::{Best, named},
    rebuild::{Rebuilt, rebuild},
    referee::{Record, Referee},
    upkeep::Upkeep,
    vector::check_vector,
    view::View,
};
use domain::{Candidate, FaceId, FaceSample, GalleryPlan, ModelId, PersonId};
use error::Result;
use runtime::{Clock, SystemClock};

/// Told of every search which plan it took and how long.
pub type SearchObserver = Arc<dyn Fn(Plan, Duration) + Send + Sync>;

/// How a gallery goes about its work.
#[derive(Clone)]
pub struct GalleryOptions {
    /// How the whole gallery is searched, to begin with.
    pub plan: GalleryPlan,
    /// The share of removed samples over which the gallery is rebuilt without them.
    pub rebuild_share: f32,
    /// How its graph is built, where the plan is `hnsw`.
    pub graph: GraphOptions,
    /// Rows that a graph is asked for.
    pub ef_search: usize,
    /// Told of every search.
    pub observer: Option<SearchObserver>,
    /// Repeats some searches.
    pub referee: Option<Arc<Referee>>,
    /// Does what nobody waits for.
    pub upkeep: Upkeep,
    /// By which consents end.
    pub clock: Arc<dyn Clock>,
}

impl Default for GalleryOptions {
    fn default() -> Self {
        Self {
            plan: GalleryPlan::Auto,
            rebuild_share: 0.2,
            graph: GraphOptions::default(),
            ef_search: 256,
            observer: None,
            referee: None,
            upkeep: Upkeep::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// What to search for.
#[derive(Debug, Clone, Copy)]
pub struct SearchRequest<'a> {
    /// Unit vectors, one after the other.
    pub queries: &'a [f32],
    /// At most this many people for each query.
    pub top: usize,
    /// Only these people; nobody else is looked at. Ids that the gallery does not know, and repeated ones, are fine.
    pub roster: Option<&'a [PersonId]>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchResult {
    /// For each query its people, best first, ties by person id.
    pub per_query: Vec<Vec<Candidate>>,
    /// What it took.
    pub effort: Effort,
}

/// What a search took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// How it went about it.
    pub plan: Plan,
    /// Samples that were looked at for each query: their vectors or their codes.
    pub rows_scanned: usize,
    /// Vectors that were compared, all queries together.
    pub rows_compared: usize,
}

/// A tenant's samples of one model, ready to be searched. A change is in force for every search that begins after
/// the change has returned.
pub struct TenantGallery {
    model: ModelId,
    live: Arc<Live>,
    /// Nothing where no consent is needed. Taken before the index.
    pub(super) admission: Option<Mutex<Admission>>,
    pub(super) negatives: RwLock<Negatives>,
    of_other_models: AtomicUsize,
    plan: Mutex<GalleryPlan>,
    options: GalleryOptions,
    record: Arc<Record>,
    /// Whether somebody looks after the graph already.
    graph_is_tended: AtomicBool,
}

impl TenantGallery {
    /// An empty gallery for samples of `model`.
    pub fn new(model: ModelId, options: GalleryOptions) -> Self {
        let live = Arc::new(Live::new(Index::new(model.dimension as usize), options.rebuild_share));
        Self {
            model,
            live,
            admission: None,
            negatives: RwLock::default(),
            of_other_models: AtomicUsize::new(0),
            plan: Mutex::new(options.plan),
            options,
            record: Arc::default(),
            graph_is_tended: AtomicBool::new(false),
        }
    }

    /// Has the whole gallery searched in another way from now on.
    pub fn set_plan(&self, plan: GalleryPlan) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// How the whole gallery is searched.
    pub fn plan(&self) -> GalleryPlan {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers in a vector.
    pub fn dimension(&self) -> usize {
        self.model.dimension as usize
    }

    /// Samples that can be found.
    pub fn len(&self) -> usize {
        self.live.read().live()
    }

    /// Whether nobody can be found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// People that can be found.
    pub fn people(&self) -> usize {
        self.live.read().people()
    }

    /// Samples that were left out so far because another model made them.
    pub fn of_other_models(&self) -> usize {
        self.of_other_models.load(Ordering::Relaxed)
    }

    /// Bytes of memory, about. Room for rows to come counts, though the system need not have given it yet.
    pub fn memory_bytes(&self) -> usize {
        self.live.read().capacity_bytes()
    }

    /// Adds samples, all or none; one with a known id takes its sample's place. Samples of other models are left out
    /// and counted, those of people without the consent that is needed are left out.
    ///
    /// Errors: `Invalid` `bad_vector`, see [`check_vector`].
    pub fn insert(&self, samples: &[FaceSample]) -> Result<()> {
        let admission = self.admission();
        let samples = self.checked(samples, admission.as_deref())?;
        self.change(|index| samples.into_iter().for_each(|sample| index.insert(sample)));
        Ok(())
    }

    /// Removes all samples of a person, and the negatives that are theirs or made of their samples.
    pub fn remove_person(&self, person: &PersonId) {
        let mut admission = self.admission();
        if let Some(admission) = &mut admission {
            admission.forget(person);
        }
        self.change_negatives(|negatives| negatives.forget(person));
        self.change(|index| index.remove(person.as_str(), |_| true));
    }

    /// Removes some samples of a person; those that they do not have are passed over.
    pub fn remove_faces(&self, person: &PersonId, faces: &[FaceId]) {
        self.change(|index| index.remove(person.as_str(), |face| faces.contains(&face)));
    }

    /// Removes some samples of a person and adds others, in one step. Errors as for [`Self::insert`].
    pub fn exchange(&self, person: &PersonId, gone: &[FaceId], samples: &[FaceSample]) -> Result<()> {
        let admission = self.admission();
        let samples = self.checked(samples, admission.as_deref())?;
        self.change(|index| {
            index.remove(person.as_str(), |face| gone.contains(&face));
            for sample in samples {
                index.insert(sample);
            }
        });
        Ok(())
    }

    /// Searches on the caller's thread, which is pure computation: some 20 µs for 30 faces and a roster of 60. Of the
    /// plans for the whole gallery, the one that the options name, or the one that was measured to be fastest.
    ///
    /// Errors: `Invalid` `bad_vector` for queries that are no unit vectors of the model's dimension.
    pub fn search(&self, request: &SearchRequest<'_>) -> Result<SearchResult> {
        let dimension = self.dimension();
        let queries: Vec<&[f32]> = request.queries.chunks(dimension).collect();
        queries.iter().try_for_each(|query| check_vector(query, dimension))?;
        let started = Instant::now();
        let result = match request.roster {
            Some(roster) => self.search_roster(roster, &queries, request.top),
            None => self.search_gallery(&queries, request.top),
        };
        if let Some(observer) = &self.options.observer {
            observer(result.effort.plan, started.elapsed());
        }
        Ok(result)
    }

    fn search_roster(&self, roster: &[PersonId], queries: &[&[f32]], top: usize) -> SearchResult {
        let (mut ids, mut rows) = (HashMap::with_capacity(roster.len()), Vec::with_capacity(roster.len()));
        let view = {
            let index = self.live.read();
            for id in roster {
                let Some(person) = index.person(id.as_str()) else { continue };
                if ids.insert(person, id.clone()).is_none() {
                    rows.extend(index.rows_of(person));
                }
            }
            index.view()
        };
        let mut best: Vec<Best<'_>> = queries.iter().map(|_| Best::new(&view, top)).collect();
        exact::compare_rows(&view, &rows, queries, &mut best);
        let per_query = named(&view, best.into_iter().map(Best::into_hits).collect(), ids);
        let rows_compared = queries.len() * rows.len();
        SearchResult { per_query, effort: Effort { plan: Plan::ExactRoster, rows_scanned: rows.len(), rows_compared } }
    }

    fn search_gallery(&self, queries: &[&[f32]], top: usize) -> SearchResult {
        let view = self.view();
        let plan = self.plan_for(&view, queries.len());
        let Found { hits, compared } = planner::search(&view, plan, queries, top, self.options.ef_search);
        if let Some(referee) = &self.options.referee {
            referee.consider((&view, &self.record), plan, queries, &hits);
        }
        let per_query = named(&view, hits, HashMap::new());
        SearchResult { per_query, effort: Effort { plan, rows_scanned: view.len, rows_compared: compared } }
    }

    /// How similar the samples of two people are at best, raw cosine; -1 where one has none, and where somebody said by a
    /// negative that the one is not the other.
    pub fn likeness(&self, one: &PersonId, other: &PersonId) -> f32 {
        if self.are_told_apart(one, other) {
            return -1.0;
        }
        let (view, rows) = {
            let index = self.live.read();
            let rows_of = |id: &PersonId| -> Vec<u32> {
                index.person(id.as_str()).map_or_else(Vec::new, |person| index.rows_of(person).collect())
            };
            let rows = [one, other].map(rows_of);
            (index.view(), rows)
        };
        let [ones, others] = rows.map(|rows| rows.into_iter().map(|row| view.vector(row)).collect::<Vec<&[f32]>>());
        let mut similarities = vec![0.0; ones.len() * others.len()];
        products(&ones, &others, &mut similarities);
        // Of equal vectors the product may be a little more than a cosine can be.
        similarities.into_iter().fold(-1.0, f32::max).min(1.0)
    }

    /// The plan for so many queries of the whole of a view.
    pub(super) fn plan_for(&self, view: &View, num_queries: usize) -> Plan {
        planner::choose(self.plan(), &self.situation(view.len, view.graph.is_some(), num_queries))
    }

    /// How long a search of the whole gallery should take on one thread.
    pub(super) fn expected_cost(&self, num_queries: usize) -> Duration {
        let situation = {
            let index = self.live.read();
            self.situation(index.rows(), index.has_graph(), num_queries)
        };
        planner::expected(planner::choose(self.plan(), &situation), &situation)
    }

    fn situation(&self, rows: usize, has_graph: bool, num_queries: usize) -> Situation {
        let trusts_codes = self.record.trusts(Plan::Codes);
        Situation { rows, dimension: self.dimension(), num_queries, has_graph, trusts_codes }
    }

    /// Whether a graph is wanted and too far behind the rows, or not there. So few rows as are compared anyway want
    /// none.
    pub fn needs_graph(&self) -> bool {
        self.plan() == GalleryPlan::Hnsw && {
            let index = self.live.read();
            index.live() >= FEWEST_ROWS && index.graph_lag() > self.options.rebuild_share
        }
    }

    /// Whether the graph is to be looked after by whoever asks. Then nobody else is told so before
    /// [`Self::graph_was_tended`].
    pub fn asks_for_graph(&self) -> bool {
        self.needs_graph() && !self.graph_is_tended.swap(true, Ordering::Relaxed)
    }

    /// See [`Self::asks_for_graph`].
    pub fn graph_was_tended(&self) {
        self.graph_is_tended.store(false, Ordering::Relaxed);
    }

    /// Takes a graph over the rows of `view`; returns whether it fits, which it does not if the rows were renumbered.
    pub(super) fn set_graph(&self, graph: Graph, view: &View) -> bool {
        self.live.write().set_graph(graph, view)
    }

    /// How it goes about its work.
    pub(super) fn options(&self) -> &GalleryOptions {
        &self.options
    }

    /// The model whose samples it holds.
    pub fn model(&self) -> &ModelId {
        &self.model
    }

    /// The gallery as it is now.
    pub(super) fn view(&self) -> View {
        self.live.read().view()
    }

    /// The samples of this gallery's model whose people may be found, if all of them are good.
    fn checked<'a>(&self, samples: &'a [FaceSample], admission: Option<&Admission>) -> Result<Vec<&'a FaceSample>> {
        let (mut ours, others): (Vec<_>, Vec<_>) = samples.iter().partition(|sample| sample.model == self.model);
        ours.iter().try_for_each(|sample| check_vector(&sample.vector, self.dimension()))?;
        self.of_other_models.fetch_add(others.len(), Ordering::Relaxed);
        ours.retain(|sample| admission.is_none_or(|admission| admission.admits(&sample.person)));
        Ok(ours)
    }

    /// Leaves removed samples out, now and on the caller's thread, which takes about as long as a load; searches and
    /// changes go on meanwhile. The gallery does so by itself in the background when enough were removed.
    ///
    /// `None` if it is being done already.
    pub fn rebuild(&self) -> Option<Rebuilt> {
        if !self.live.claim_rebuild() {
            return None;
        }
        let rebuilt = rebuild(&self.live, || true);
        self.live.release_rebuild();
        self.options.upkeep.rebuild_if_worn(&self.live);
        rebuilt
    }

    /// Whether enough samples were removed for a rebuild.
    pub fn is_worn(&self) -> bool {
        self.live.is_worn()
    }

    /// Changes the index, and has it rebuilt if that left too many tombstones.
    pub(super) fn change(&self, change: impl FnOnce(&mut Index)) {
        change(&mut self.live.write());
        self.options.upkeep.rebuild_if_worn(&self.live);
    }
}

/// What a gallery shares with the thread that rebuilds it.
pub(super) struct Live {
    index: RwLock<Index>,
    rebuild_share: f32,
    is_rebuilt: AtomicBool,
}

impl Live {
    fn new(index: Index, rebuild_share: f32) -> Self {
        Self { index: RwLock::new(index), rebuild_share, is_rebuilt: AtomicBool::new(false) }
    }

    /// Whether enough samples were removed for a rebuild.
    pub(super) fn is_worn(&self) -> bool {
        self.read().is_worn(self.rebuild_share)
    }

    // A panic under the lock would be a bug in this folder; the rows it leaves are still consistent enough to be
    // searched, and a restart makes them anew.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller is the one to rebuild it, and has to release it afterwards.
    pub(super) fn claim_rebuild(&self) -> bool {
        !self.is_rebuilt.swap(true, Ordering::AcqRel)
    }

    /// Lets others rebuild it again.
    pub(super) fn release_rebuild(&self) {
        self.is_rebuilt.store(false, Ordering::Release);
    }
}
