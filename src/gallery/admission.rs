//! Who may be found where a consent is needed: those whose consent has not ended.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use super::tenant::TenantGallery;
use domain::PersonId;

/// When a consent ends; never if `None`.
pub type ConsentEnd = Option<Timestamp>;

/// The people with a consent, and when it ends.
#[derive(Debug, Default)]
pub(super) struct Admission {
    ends: HashMap<PersonId, ConsentEnd>,
    /// Those that end, in the order of their ends.
    by_end: BTreeSet<(Timestamp, PersonId)>,
}

impl Admission {
    /// Whether a person may be found.
    pub(super) fn admits(&self, person: &PersonId) -> bool {
        self.ends.contains_key(person)
    }

    /// Takes a person in until their consent ends, whatever was said before.
    pub(super) fn admit(&mut self, person: PersonId, end: ConsentEnd) {
        self.forget(&person);
        if let Some(end) = end {
            self.by_end.insert((end, person.clone()));
        }
        self.ends.insert(person, end);
    }

    /// Takes a person out.
    pub(super) fn forget(&mut self, person: &PersonId) {
        if let Some(Some(end)) = self.ends.remove(person) {
            self.by_end.remove(&(end, person.clone()));
        }
    }

    /// Takes out those whose consent has ended, and says who they are.
    pub(super) fn take_ended(&mut self, now: Timestamp) -> Vec<PersonId> {
        let mut ended = Vec::new();
        while self.by_end.first().is_some_and(|&(end, _)| end <= now) {
            let Some((_, person)) = self.by_end.pop_first() else { break };
            self.ends.remove(&person);
            ended.push(person);
        }
        ended
    }
}

impl TenantGallery {
    /// Has only those found who have a consent, which are these so far; to be called before the first sample comes.
    #[must_use]
    pub fn with_consent(mut self, people: Vec<(PersonId, ConsentEnd)>) -> Self {
        let mut admission = Admission::default();
        for (person, end) in people {
            admission.admit(person, end);
        }
        admission.take_ended(self.options().clock.now());
        self.admission = Some(Mutex::new(admission));
        self
    }

    /// Whether a consent is needed to be found.
    pub fn needs_consent(&self) -> bool {
        self.admission.is_some()
    }

    /// Whether this person may be found at all.
    pub fn admits(&self, person: &PersonId) -> bool {
        self.admission().is_none_or(|admission| admission.admits(person))
    }

    /// Takes note of a person's consent, or that there is none; whether their samples could be found until now. Where one
    /// is needed, samples that come after it can be found until it ends, and without it none can any more.
    pub fn set_consent(&self, person: &PersonId, end: Option<ConsentEnd>) -> bool {
        let Some(mut admission) = self.admission() else { return true };
        let was_admitted = admission.admits(person);
        if let Some(end) = end {
            admission.admit(person.clone(), end);
        } else {
            admission.forget(person);
            self.change(|index| index.remove(person.as_str(), |_| true));
        }
        was_admitted
    }

    /// Leaves out those whose consent has ended.
    pub fn drop_ended(&self) {
        let Some(mut admission) = self.admission() else { return };
        for person in admission.take_ended(self.options().clock.now()) {
            self.change(|index| index.remove(person.as_str(), |_| true));
        }
    }

    pub(super) fn admission(&self) -> Option<MutexGuard<'_, Admission>> {
        self.admission.as_ref().map(|admission| admission.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consents_end_in_their_order_and_can_be_given_anew() {
        let (at, id) =
            (|second| Timestamp::from_second(second).unwrap(), |text: &str| text.parse::<PersonId>().unwrap());
        let mut admission = Admission::default();
        for (person, end) in [("late", Some(at(9))), ("soon", Some(at(5))), ("always", None), ("anew", Some(at(5)))] {
            admission.admit(id(person), end);
        }
        admission.admit(id("anew"), Some(at(7)));
        assert!(admission.take_ended(at(4)).is_empty());
        assert_eq!(admission.take_ended(at(5)), [id("soon")]);
        assert!(!admission.admits(&id("soon")) && admission.admits(&id("anew")));
        admission.forget(&id("late"));
        assert_eq!(admission.take_ended(at(100)), [id("anew")]);
        assert!(admission.admits(&id("always")) && !admission.admits(&id("nobody")));
    }
}
