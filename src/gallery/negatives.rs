//! The faces that are known not to be a person's, beside the index: they are few, and only looked at for people who were
//! found.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLockReadGuard},
};

use super::tenant::TenantGallery;
use domain::{Candidate, FaceId, Negative, PersonId, recognition::matching::is_disowned};

/// People whom one face is known not to be, at most: beyond that a rival may be missed.
const MAX_DISOWNED: usize = 100;

/// By whom they are not.
#[derive(Debug, Default)]
pub(super) struct Negatives(HashMap<PersonId, Vec<Negative>>);

impl Negatives {
    /// How many people have some.
    pub(super) fn people(&self) -> usize {
        self.0.len()
    }

    /// Adds one; one of the same id makes room for it.
    pub(super) fn add(&mut self, negative: Negative) {
        self.remove(&negative.person, negative.id);
        self.0.entry(negative.person.clone()).or_default().push(negative);
    }

    /// Removes one of a person.
    pub(super) fn remove(&mut self, person: &PersonId, face: FaceId) {
        self.keep(|negative| (&negative.person, negative.id) != (person, face));
    }

    /// Removes a person's, and those made of the person's samples.
    pub(super) fn forget(&mut self, person: &PersonId) {
        self.keep(|negative| negative.person != *person && negative.of.as_ref() != Some(person));
    }

    /// See [`is_disowned`].
    pub(super) fn disown(&self, face: &[f32], candidate: &Candidate) -> bool {
        let negatives = self.0.get(&candidate.person).into_iter().flatten();
        is_disowned(face, candidate.similarity, negatives.map(|negative| negative.vector.as_slice()))
    }

    /// Whether a negative of one of two people was made of a sample of the other.
    fn tell_apart(&self, one: &PersonId, other: &PersonId) -> bool {
        let is_of = |person: &PersonId, of: &PersonId| {
            self.0.get(person).into_iter().flatten().any(|negative| negative.of.as_ref() == Some(of))
        };
        is_of(one, other) || is_of(other, one)
    }

    fn keep(&mut self, is_kept: impl Fn(&Negative) -> bool) {
        self.0.retain(|_, negatives| {
            negatives.retain(&is_kept);
            !negatives.is_empty()
        });
    }
}

impl TenantGallery {
    /// Takes in a face that is not its person's; one of another model says nothing here.
    pub fn add_negative(&self, negative: Negative) {
        if negative.model == *self.model() {
            self.change_negatives(|negatives| negatives.add(negative));
        }
    }

    /// Forgets a negative.
    pub fn remove_negative(&self, person: &PersonId, face: FaceId) {
        self.change_negatives(|negatives| negatives.remove(person, face));
    }

    /// How many candidates more than without negatives have to be searched for, so that enough are left when those who
    /// are disowned have gone.
    pub fn may_be_disowned(&self) -> usize {
        self.negatives().people().min(MAX_DISOWNED)
    }

    /// Takes out the candidates whom a face is known not to be, see [`is_disowned`](domain::recognition::matching::is_disowned).
    pub fn disown(&self, face: &[f32], candidates: &mut Vec<Candidate>) {
        let negatives = self.negatives();
        candidates.retain(|candidate| !negatives.disown(face, candidate));
    }

    /// Whether somebody said that one of two people is not the other.
    pub(super) fn are_told_apart(&self, one: &PersonId, other: &PersonId) -> bool {
        self.negatives().tell_apart(one, other)
    }

    fn negatives(&self) -> RwLockReadGuard<'_, Negatives> {
        self.negatives.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change_negatives(&self, change: impl FnOnce(&mut Negatives)) {
        change(&mut self.negatives.write().unwrap_or_else(PoisonError::into_inner));
    }
}
