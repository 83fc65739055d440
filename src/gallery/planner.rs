//! Which plan a search takes.

use std::time::Duration;

use super::{
    candidates::{self, FEWEST_ROWS, Found},
    codes::ByCodes,
    costs, exact,
    graph::ByGraph,
    view::View,
};
use domain::GalleryPlan;

/// A way to search. Every plan is timed under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plan {
    /// All samples of the roster's people, exactly.
    ExactRoster,
    /// All samples of the gallery, exactly.
    ExactGallery,
    /// The samples that one-bit codes choose, exactly.
    Codes,
    /// The samples that a graph and one-bit codes choose, exactly.
    Hnsw,
}

impl Plan {
    /// All plans.
    pub const ALL: [Self; 4] = [Self::ExactRoster, Self::ExactGallery, Self::Codes, Self::Hnsw];

    /// The name for metrics and explanations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExactRoster => "exact_roster",
            Self::ExactGallery => "exact_gallery",
            Self::Codes => "codes",
            Self::Hnsw => "hnsw",
        }
    }
}

/// What a choice goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    /// Rows of the gallery, removed ones included.
    pub(super) rows: usize,
    pub(super) dimension: usize,
    pub(super) num_queries: usize,
    pub(super) has_graph: bool,
    /// Whether the referee trusts the codes.
    pub(super) trusts_codes: bool,
}

/// The plan for a search of a whole gallery. `auto` never takes the graph: its candidates come on top of those of the
/// codes, so it can only be slower.
pub(super) fn choose(wanted: GalleryPlan, situation: &Situation) -> Plan {
    let &Situation { rows, dimension, num_queries, has_graph, trusts_codes } = situation;
    match wanted {
        GalleryPlan::Exact => Plan::ExactGallery,
        GalleryPlan::Hnsw if has_graph => Plan::Hnsw,
        GalleryPlan::Codes | GalleryPlan::Hnsw => Plan::Codes,
        GalleryPlan::Auto if !trusts_codes => Plan::ExactGallery,
        // So few rows would all be compared anyway.
        GalleryPlan::Auto if rows < FEWEST_ROWS => Plan::ExactGallery,
        GalleryPlan::Auto => costs::of_dimension(dimension).cheapest(rows, num_queries),
    }
}

/// How long such a search should take on one thread.
pub(super) fn expected(plan: Plan, situation: &Situation) -> Duration {
    if situation.rows < FEWEST_ROWS {
        return Duration::ZERO;
    }
    costs::of_dimension(situation.dimension).of(plan, situation.rows, situation.num_queries)
}

/// The best `top` people of each query of the whole gallery, by `plan`; by the codes where that is the graph and there is
/// none. `ef_search`: rows that the graph is asked for.
pub(super) fn search(view: &View, plan: Plan, queries: &[&[f32]], top: usize, ef_search: usize) -> Found {
    match (plan, &view.graph) {
        (Plan::Hnsw, Some(graph)) => {
            candidates::search(view, &ByGraph { view, graph, ef_search: ef_search.max(top) }, queries, top)
        }
        (Plan::Hnsw | Plan::Codes, _) => candidates::search(view, &ByCodes(view), queries, top),
        (Plan::ExactGallery | Plan::ExactRoster, _) => {
            Found { hits: exact::scan(view, queries, top), compared: queries.len() * view.len }
        }
    }
}
