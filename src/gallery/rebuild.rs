//! A gallery without its tombstones, made beside it while it is searched and changed, and put in its place.
//!
//! Rows are never changed, so what happened meanwhile can be read off two views: rows that were added, and rows that
//! were removed. It is caught up with again and again until little is left; only that little is done under the lock.
//! While it lasts, the gallery takes twice its memory.

use std::time::{Duration, Instant};

use super::{graph::GONE, index::Index, tenant::Live, view::View};

/// Rows that are copied before asking whether the gallery is still there.
const ROWS_A_STEP: usize = 1024;
/// Changes that may be left for the time under the lock: a fraction of a millisecond.
const FEW: usize = 128;
/// Changes that come as fast as they are caught up with are not followed for ever.
const MAX_ROUNDS: usize = 16;

/// What a rebuild did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// Rows that were left out.
    pub removed: usize,
    /// How long searches and changes had to wait.
    pub pause: Duration,
}

struct Rebuild {
    /// The state up to which `new` has all rows.
    from: View,
    new: Index,
    /// The new number of each row of `from`, or [`GONE`].
    numbers: Vec<u32>,
}

impl Rebuild {
    /// Copies the rows of `view` that were not removed, unless `is_wanted` says that nobody wants them any more.
    fn of(view: View, is_wanted: &impl Fn() -> bool) -> Option<Self> {
        let mut rebuild = Self { new: Index::new(view.dimension), from: view, numbers: Vec::new() };
        rebuild.copy_from(0, is_wanted).then_some(rebuild)
    }

    fn copy_from(&mut self, first: usize, is_wanted: &impl Fn() -> bool) -> bool {
        let Self { from, new, numbers } = self;
        for row in first..from.len {
            if row % ROWS_A_STEP == 0 && !is_wanted() {
                return false;
            }
            let row = row as u32;
            if from.removed.contains(row) {
                numbers.push(GONE);
            } else {
                numbers.push(new.rows() as u32);
                new.append(from.names.text(from.owner(row)), from.face(row), from.vector(row));
            }
        }
        true
    }

    /// Takes the graph along, under the new numbers.
    fn take_graph(&mut self) {
        if let Some(graph) = &self.from.graph {
            let graph = graph.renumbered(|row| self.numbers[row as usize]);
            let view = self.new.view();
            self.new.set_graph(graph, &view);
        }
    }

    /// How many changes there were up to a later view.
    fn behind(&self, later: &View) -> usize {
        later.len - self.from.len + later.removed.count() - self.from.removed.count()
    }

    /// Does what was done up to a later view.
    fn catch_up(&mut self, later: View, is_wanted: &impl Fn() -> bool) -> bool {
        let known = self.from.len;
        let gone = later.removed.since(&self.from.removed).take_while(|&row| (row as usize) < known);
        for row in gone {
            self.new.remove(later.names.text(later.owner(row)), |face| face == later.face(row));
        }
        self.from = later;
        self.copy_from(known, is_wanted)
    }
}

/// Rebuilds a gallery for as long as `is_wanted`.
pub(super) fn rebuild(live: &Live, is_wanted: impl Fn() -> bool) -> Option<Rebuilt> {
    let mut rebuild = Rebuild::of(live.read().view(), &is_wanted)?;
    for _ in 0..MAX_ROUNDS {
        let later = live.read().view();
        if rebuild.behind(&later) <= FEW {
            break;
        }
        if !rebuild.catch_up(later, &is_wanted) {
            return None;
        }
    }
    rebuild.take_graph();
    let mut index = live.write();
    let start = Instant::now();
    rebuild.catch_up(index.view(), &|| true);
    let old = std::mem::replace(&mut *index, rebuild.new);
    drop(index);
    let pause = start.elapsed();
    // What follows takes a while for a large gallery: its memory is given back.
    Some(Rebuilt { removed: old.rows() - old.live(), pause })
}
