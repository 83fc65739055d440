//! Best people first: by similarity, ties by the bytes of the person's id, then by the sample's id.

use std::cmp::Ordering;

use crate::domain::{Candidate, FaceId, PersonId};

/// A candidate that is still in the gallery's hands.
#[derive(Clone, Copy)]
pub(super) struct Hit<'a> {
    pub(super) similarity: f32,
    pub(super) person: &'a PersonId,
    pub(super) face: FaceId,
}

impl Hit<'_> {
    /// Better hits are less.
    pub(super) fn rank(&self, other: &Self) -> Ordering {
        other
            .similarity
            .total_cmp(&self.similarity)
            .then_with(|| self.person.as_str().cmp(other.person.as_str()))
            .then_with(|| self.face.cmp(&other.face))
    }

    /// A gallery keeps a person's id once, so where it lies tells people apart without reading it.
    pub(super) fn is_of(&self, person: &PersonId) -> bool {
        self.person.as_str().as_ptr() == person.as_str().as_ptr()
    }
}

impl From<Hit<'_>> for Candidate {
    fn from(hit: Hit<'_>) -> Self {
        Self { person: hit.person.clone(), face: hit.face, similarity: hit.similarity }
    }
}

/// The best `limit` people of what has been offered, each with their best sample.
///
/// A list without order: of rows in no order few pass its worst entry, about `limit × ln(rows ÷ limit)`.
pub(super) struct Best<'a> {
    limit: usize,
    hits: Vec<Hit<'a>>,
    /// Where the worst hit is, once the list is full.
    worst: usize,
}

impl<'a> Best<'a> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, hits: Vec::new(), worst: 0 }
    }

    /// Whether a sample this similar can change the list.
    #[inline]
    pub(super) fn may_take(&self, similarity: f32) -> bool {
        self.hits.len() < self.limit || self.hits.get(self.worst).is_some_and(|worst| similarity >= worst.similarity)
    }

    /// Takes the hit if it belongs into the list.
    pub(super) fn offer(&mut self, hit: Hit<'a>) {
        if let Some(known) = self.hits.iter_mut().find(|known| known.is_of(hit.person)) {
            if hit.rank(known).is_lt() {
                *known = hit;
            }
        } else if self.hits.len() < self.limit {
            self.hits.push(hit);
        } else if let Some(worst) = self.hits.get_mut(self.worst).filter(|worst| hit.rank(worst).is_lt()) {
            *worst = hit;
        }
        if self.hits.len() == self.limit {
            let worst = self.hits.iter().enumerate().max_by(|(_, a), (_, b)| a.rank(b));
            self.worst = worst.map_or(0, |(at, _)| at);
        }
    }

    /// Best first.
    pub(super) fn into_candidates(self) -> Vec<Candidate> {
        ranked(self.hits, self.limit)
    }
}

/// The best `limit` of `hits`, one hit a person, best first.
pub(super) fn ranked(mut hits: Vec<Hit<'_>>, limit: usize) -> Vec<Candidate> {
    if limit < hits.len() {
        hits.select_nth_unstable_by(limit, Hit::rank);
        hits.truncate(limit);
    }
    hits.sort_unstable_by(Hit::rank);
    hits.into_iter().map(Candidate::from).collect()
}
