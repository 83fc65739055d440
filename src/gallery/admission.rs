//! Who may be found where a consent is needed: those whose consent has not ended.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use crate::domain::PersonId;

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
