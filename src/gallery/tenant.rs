//! One tenant's gallery.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    exact,
    planner::{self, Plan},
    rows::Rows,
    vector::check_vector,
};
use crate::{
    domain::{Candidate, FaceId, FaceSample, ModelId, PersonId},
    error::Result,
};

/// Told of every search which plan it took and how long.
pub type SearchObserver = Arc<dyn Fn(Plan, Duration) + Send + Sync>;

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
    /// How it was searched.
    pub plan: Plan,
    /// Samples that each query was compared with.
    pub rows_scanned: usize,
}

/// A tenant's samples of one model, ready to be searched. A change is in force for every search that begins after
/// the change has returned.
pub struct TenantGallery {
    model: ModelId,
    index: RwLock<Index>,
    of_other_models: AtomicUsize,
    observer: Option<SearchObserver>,
}

struct Index {
    rows: Rows,
    /// The numbers of each person's rows; nobody is here without one. The key is the copy of the id that rows share.
    people: HashMap<PersonId, Vec<u32>>,
}

impl TenantGallery {
    /// An empty gallery for samples of `model`.
    pub fn new(model: ModelId, observer: Option<SearchObserver>) -> Self {
        let rows = Rows::new(model.dimension as usize);
        let index = RwLock::new(Index { rows, people: HashMap::new() });
        Self { model, index, of_other_models: AtomicUsize::new(0), observer }
    }

    /// Samples that can be found.
    pub fn len(&self) -> usize {
        self.read().rows.len()
    }

    /// Whether nobody can be found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// People that can be found.
    pub fn people(&self) -> usize {
        self.read().people.len()
    }

    /// Samples that were left out so far because another model made them.
    pub fn of_other_models(&self) -> usize {
        self.of_other_models.load(Ordering::Relaxed)
    }

    /// Adds samples, all or none; one with a known id takes its sample's place. Samples of other models are left out
    /// and counted.
    ///
    /// Errors: `Invalid` `bad_vector`, see [`check_vector`].
    pub fn insert(&self, samples: &[FaceSample]) -> Result<()> {
        let samples = self.checked(samples)?;
        let mut index = self.write();
        for sample in samples {
            index.insert(sample);
        }
        Ok(())
    }

    /// Removes all samples of a person.
    pub fn remove_person(&self, person: &PersonId) {
        self.write().remove(person, |_| true);
    }

    /// Removes some samples of a person; those that they do not have are passed over.
    pub fn remove_faces(&self, person: &PersonId, faces: &[FaceId]) {
        self.write().remove(person, |face| faces.contains(&face));
    }

    /// Puts samples in the place of all that a person has, in one step. Errors as for [`Self::insert`].
    pub fn replace(&self, person: &PersonId, samples: &[FaceSample]) -> Result<()> {
        let samples = self.checked(samples)?;
        let mut index = self.write();
        index.remove(person, |_| true);
        for sample in samples {
            index.insert(sample);
        }
        Ok(())
    }

    /// Searches on the caller's thread, which is pure computation: some 50 µs for 30 faces and a roster of 60, and
    /// 0.16 µs a sample for one face and the whole gallery.
    ///
    /// Errors: `Invalid` `bad_vector` for queries that are no unit vectors of the model's dimension.
    pub fn search(&self, request: &SearchRequest<'_>) -> Result<SearchResult> {
        let dimension = self.model.dimension as usize;
        let queries: Vec<&[f32]> = request.queries.chunks(dimension).collect();
        queries.iter().try_for_each(|query| check_vector(query, dimension))?;
        let started = Instant::now();
        let plan = planner::choose(request.roster.is_some());
        let (per_query, rows_scanned) = match request.roster {
            Some(roster) => self.search_roster(roster, &queries, request.top),
            None => self.search_gallery(&queries, request.top),
        };
        if let Some(observer) = &self.observer {
            observer(plan, started.elapsed());
        }
        Ok(SearchResult { per_query, plan, rows_scanned })
    }

    /// Holds the lock while it computes: a roster takes microseconds, a copy of its rows would take as long.
    fn search_roster(&self, roster: &[PersonId], queries: &[&[f32]], top: usize) -> (Vec<Vec<Candidate>>, usize) {
        let mut roster: Vec<&PersonId> = roster.iter().collect();
        roster.sort_unstable();
        roster.dedup();
        let index = self.read();
        let people: Vec<&[u32]> =
            roster.into_iter().filter_map(|person| index.people.get(person).map(Vec::as_slice)).collect();
        let found = exact::gather(&index.rows, &people, queries, top);
        (found, people.iter().map(|rows| rows.len()).sum())
    }

    /// Takes the blocks as they are and lets go of the lock.
    fn search_gallery(&self, queries: &[&[f32]], top: usize) -> (Vec<Vec<Candidate>>, usize) {
        let blocks = self.read().rows.blocks().to_vec();
        let found = exact::scan(&blocks, self.model.dimension as usize, queries, top);
        (found, blocks.iter().map(|block| block.len()).sum())
    }

    /// The samples of this gallery's model, if all of them are good.
    fn checked<'a>(&self, samples: &'a [FaceSample]) -> Result<Vec<&'a FaceSample>> {
        let (ours, others): (Vec<_>, Vec<_>) = samples.iter().partition(|sample| sample.model == self.model);
        ours.iter().try_for_each(|sample| check_vector(&sample.vector, self.model.dimension as usize))?;
        self.of_other_models.fetch_add(others.len(), Ordering::Relaxed);
        Ok(ours)
    }

    // A panic under the lock would be a bug in this folder; the rows it leaves are still consistent enough to be
    // searched, and a restart makes them anew.
    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn insert(&mut self, sample: &FaceSample) {
        let shared = self.people.get_key_value(&sample.person).map_or(&sample.person, |(person, _)| person).clone();
        let numbers = self.people.entry(shared.clone()).or_default();
        match numbers.iter().find(|&&row| self.rows.face(row) == sample.id) {
            Some(&row) => self.rows.set_vector(row, &sample.vector),
            None => numbers.push(self.rows.push(shared, sample.id, &sample.vector)),
        }
    }

    /// Removes those of a person's rows whose sample `is_removed`.
    fn remove(&mut self, person: &PersonId, is_removed: impl Fn(FaceId) -> bool) {
        let Some(numbers) = self.people.get_mut(person) else { return };
        let mut removed: Vec<u32> = numbers.iter().copied().filter(|&row| is_removed(self.rows.face(row))).collect();
        numbers.retain(|row| !removed.contains(row));
        if numbers.is_empty() {
            self.people.remove(person);
        }
        // From the last on: a row that takes a removed one's place is then never one that is still to be removed.
        removed.sort_unstable();
        for row in removed.into_iter().rev() {
            let Some(moved) = self.rows.swap_remove(row) else { continue };
            let old_number = self.rows.len() as u32;
            if let Some(number) =
                self.people.get_mut(&moved).and_then(|numbers| numbers.iter_mut().find(|n| **n == old_number))
            {
                *number = row;
            }
        }
    }
}
