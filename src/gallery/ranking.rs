//! Best people first: by similarity, ties by the bytes of the person's id, then by the sample's id.

use std::{cmp::Ordering, collections::HashMap};

use super::view::View;
use domain::{Candidate, PersonId};

/// A row that matches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub(super) similarity: f32,
    pub(super) row: u32,
    pub(super) person: u32,
}

/// Better hits are less. Ids are only looked at where similarities are the same.
fn rank(view: &View, a: &Hit, b: &Hit) -> Ordering {
    b.similarity.total_cmp(&a.similarity).then_with(|| {
        let names = || view.names.text(a.person).cmp(view.names.text(b.person));
        let people = if a.person == b.person { Ordering::Equal } else { names() };
        people.then_with(|| view.face(a.row).cmp(&view.face(b.row)))
    })
}

/// Hits that are kept beyond the limit before the list is cut back to it.
const SLACK: usize = 16;

/// The best `limit` people of what has been offered, each with their best sample.
///
/// Hits are gathered and cut back now and then: of rows in no order few pass the worst of the list, about
/// `limit × ln(rows ÷ limit)`.
pub(super) struct Best<'a> {
    view: &'a View,
    limit: usize,
    hits: Vec<Hit>,
    worst: f32,
}

impl<'a> Best<'a> {
    pub(super) fn new(view: &'a View, limit: usize) -> Self {
        let worst = if limit == 0 { f32::INFINITY } else { f32::NEG_INFINITY };
        Self { view, limit, hits: Vec::new(), worst }
    }

    /// Whether a sample this similar can change the list.
    #[inline]
    pub(super) fn may_take(&self, similarity: f32) -> bool {
        similarity >= self.worst
    }

    /// Takes the row, unless it was removed or cannot change the list.
    pub(super) fn offer(&mut self, row: u32, similarity: f32) {
        if self.may_take(similarity) && !self.view.removed.contains(row) {
            self.hits.push(Hit { similarity, row, person: self.view.owner(row) });
            if self.hits.len() >= 2 * self.limit + SLACK {
                self.cut_back();
            }
        }
    }

    /// Leaves the best hit of each of the best people, best first.
    fn cut_back(&mut self) {
        let view = self.view;
        self.hits.sort_unstable_by(|a, b| rank(view, a, b));
        let mut kept = 0;
        for at in 0..self.hits.len() {
            if kept == self.limit {
                break;
            }
            let hit = self.hits[at];
            if self.hits[..kept].iter().all(|better| better.person != hit.person) {
                self.hits[kept] = hit;
                kept += 1;
            }
        }
        self.hits.truncate(kept);
        if let Some(last) = self.hits.last().filter(|_| kept == self.limit) {
            self.worst = last.similarity;
        }
    }

    /// The similarity that a further sample must have to change the list: negative infinity while people are missing.
    pub(super) fn worst(&mut self) -> f32 {
        self.cut_back();
        self.worst
    }

    /// Best first, one a person.
    pub(super) fn into_hits(mut self) -> Vec<Hit> {
        self.cut_back();
        self.hits
    }
}

/// Hits of many queries with the ids of their people, each of which is made once. `known` ids are taken as they are.
pub(super) fn named(view: &View, hits: Vec<Vec<Hit>>, mut known: HashMap<u32, PersonId>) -> Vec<Vec<Candidate>> {
    let mut name = |hit: Hit| {
        let person = known.entry(hit.person).or_insert_with(|| view.names.id(hit.person)).clone();
        Candidate::new(person, view.face(hit.row), hit.similarity)
    };
    hits.into_iter().map(|hits| hits.into_iter().map(&mut name).collect()).collect()
}
