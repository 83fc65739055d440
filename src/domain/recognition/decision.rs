//! What the rules of naming answer for one face.

use super::matching::{Candidate, UnknownReason};
use crate::ids::PersonId;

/// The rules' answer for one face.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Who it is, or why nobody was named.
    pub verdict: Result<PersonId, UnknownReason>,
    /// Similarity to the named person, or to the best candidate; `None` when there was nobody to compare with.
    pub similarity: Option<f32>,
    /// Lead over the next person who was not given to another face; `None` when there is no other.
    pub margin: Option<f32>,
    /// That next person.
    pub runner_up: Option<Candidate>,
    /// The two best candidates; of a face that is nobody's because of `EnrolledTwice`, the two who look like one.
    pub candidates: Vec<Candidate>,
}

/// To whom a face is attributed.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution<'a> {
    /// Who.
    pub person: &'a PersonId,
    /// Raw cosine to their best sample.
    pub similarity: f32,
    /// Lead over the runner-up. 0 where the two look like one: neither is ahead.
    pub margin: Option<f32>,
    /// Whom else the face could show.
    pub runner_up: Option<&'a Candidate>,
}

impl Decision {
    /// Everybody of whom it speaks.
    pub fn people(&self) -> impl Iterator<Item = &PersonId> {
        let candidates = self.candidates.iter().chain(&self.runner_up).map(|candidate| &candidate.person);
        self.verdict.iter().chain(candidates)
    }

    /// The same decision where those are not known of whom `is_gone` holds.
    #[must_use]
    pub fn without(self, is_gone: impl Fn(&PersonId) -> bool) -> Self {
        if !self.people().any(&is_gone) {
            return self;
        }
        let is_nobodys = self.attribution().is_none_or(|attribution| is_gone(attribution.person));
        let Self { verdict, similarity, margin, runner_up, mut candidates } = self;
        candidates.retain(|candidate| !is_gone(&candidate.person));
        let runner_up = runner_up.filter(|next| !is_gone(&next.person));
        let reason = match verdict {
            Ok(person) if !is_gone(&person) => {
                // Over whom else they led is not known.
                let margin = margin.filter(|_| runner_up.is_some());
                return Self { verdict: Ok(person), similarity, margin, runner_up, candidates };
            }
            // Whoever is left is similar enough for the next photo, perhaps.
            Ok(_) if candidates.is_empty() => UnknownReason::BelowThreshold,
            Ok(_) => UnknownReason::BelowMargin,
            // The one whose it is counts as in doubt as before.
            Err(UnknownReason::EnrolledTwice) if is_nobodys => UnknownReason::BelowMargin,
            Err(reason) => reason,
        };
        let similarity = candidates.first().map(|candidate| candidate.similarity);
        Self { verdict: Err(reason), similarity, margin: None, runner_up, candidates }
    }

    /// The same for a face between two who look like one.
    pub(super) fn of_one_enrolled_twice(self, own: &Candidate, twin: &Candidate) -> Self {
        let mut candidates = vec![own.clone(), twin.clone()];
        candidates.sort_by(|one, other| other.similarity.total_cmp(&one.similarity));
        Self { verdict: Err(UnknownReason::EnrolledTwice), candidates, ..self }
    }

    /// To whom the face is attributed: whoever was named; of two who look like one the first by id, so that all photos of
    /// the one person make one record, whichever of the two they are nearer to. Any other face to nobody.
    pub fn attribution(&self) -> Option<Attribution<'_>> {
        match (&self.verdict, self.candidates.as_slice()) {
            (Ok(person), _) => Some(Attribution {
                person,
                similarity: self.similarity?,
                margin: self.margin,
                runner_up: self.runner_up.as_ref(),
            }),
            (Err(UnknownReason::EnrolledTwice), [one, other]) => {
                let (first, second) = if one.person <= other.person { (one, other) } else { (other, one) };
                let (person, similarity) = (&first.person, first.similarity);
                Some(Attribution { person, similarity, margin: Some(0.0), runner_up: Some(second) })
            }
            (Err(_), _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::FaceId;

    fn decision(verdict: Result<&str, UnknownReason>, candidates: &[&str], next: Option<&str>) -> Decision {
        let candidate = |id: &&str| Candidate::new(id.parse().unwrap(), FaceId::from_bytes([0; 16]), 0.5);
        Decision {
            verdict: verdict.map(|id| id.parse().unwrap()),
            similarity: Some(0.5),
            margin: next.map(|_| 0.2),
            runner_up: next.as_ref().map(candidate),
            candidates: candidates.iter().map(candidate).collect(),
        }
    }

    #[test]
    fn who_is_gone_is_in_no_decision() {
        use UnknownReason::{BelowMargin, BelowThreshold, EnrolledTwice, TooSmall};
        for (before, after) in [
            // The named one, and the next.
            (decision(Ok("x"), &["x"], None), decision(Err(BelowThreshold), &[], None)),
            (decision(Ok("x"), &["x", "b"], Some("b")), decision(Err(BelowMargin), &["b"], Some("b"))),
            (decision(Ok("a"), &["a", "x"], Some("x")), decision(Ok("a"), &["a"], None)),
            (decision(Ok("a"), &["a", "b"], Some("b")), decision(Ok("a"), &["a", "b"], Some("b"))),
            // Of two who look like one, the one whose the face is, which is the first by id, the other, and a third.
            (decision(Err(EnrolledTwice), &["x", "y"], None), decision(Err(BelowMargin), &["y"], None)),
            (decision(Err(EnrolledTwice), &["b", "x"], None), decision(Err(EnrolledTwice), &["b"], None)),
            (decision(Err(EnrolledTwice), &["a", "b"], Some("x")), decision(Err(EnrolledTwice), &["a", "b"], None)),
            (decision(Err(TooSmall), &["x"], None), decision(Err(TooSmall), &[], None)),
        ] {
            let found = before.clone().without(|person| person.as_str() == "x");
            assert_eq!((&found.verdict, &found.candidates), (&after.verdict, &after.candidates), "{before:?}");
            assert!(found.people().all(|person| person.as_str() != "x"), "{found:?}");
            assert_eq!(found.similarity.is_some(), !after.candidates.is_empty());
            assert!(found.margin.is_none() || found.verdict.is_ok() && found.runner_up.is_some(), "{found:?}");
        }
    }
}
