//! Who is who in one photo: the rules that turn similarities into names.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    assignment::{Pair, assign},
    decision::Decision,
    vector::cosine,
};
use crate::ids::{FaceId, PersonId, Pseudonym};

/// A person who may be behind a face, with the best of their samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Who.
    pub person: PersonId,
    /// Their sample nearest to the face.
    pub face: FaceId,
    /// Raw cosine to that sample.
    pub similarity: f32,
}

impl Candidate {
    /// By the inner product of two unit vectors: of equal ones it adds up to a little more than a cosine can be.
    pub fn new(person: PersonId, face: FaceId, product: f32) -> Self {
        Self { person, face, similarity: product.clamp(-1.0, 1.0) }
    }
}

/// A person who may be behind a face, as it is kept: who is erased is named nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Likeness {
    /// Who.
    pub who: Pseudonym,
    /// Raw cosine of the face to their best sample.
    pub similarity: f32,
}

/// What a face needs to be named.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NamingRules {
    /// The least similarity, raw cosine.
    pub threshold: f32,
    /// The least lead over the next person.
    pub margin: f32,
    /// The least width of the face in pixels of the photo.
    pub min_width_px: f32,
    /// The least detection score.
    pub min_score: f32,
    /// From which similarity of their own samples on two people look like one; raw cosine.
    pub one_look: f32,
}

/// Why a face was not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownReason {
    /// Nobody is similar enough.
    BelowThreshold,
    /// Two people are too close to call.
    BelowMargin,
    /// The face is too small.
    TooSmall,
    /// The detector is not sure enough that it is a face.
    LowScore,
    /// Everybody similar enough was given to a face that fits them better.
    Taken,
    /// Those who are too close to call look like one person: somebody who was enrolled twice, or twins.
    EnrolledTwice,
}

impl UnknownReason {
    /// Whether the face may be a stranger's and shows enough to be known again.
    pub const fn is_of_stranger(self) -> bool {
        match self {
            Self::BelowThreshold | Self::BelowMargin | Self::Taken => true,
            Self::TooSmall | Self::LowScore | Self::EnrolledTwice => false,
        }
    }

    /// The reason as it stands in answers and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BelowThreshold => "below_threshold",
            Self::BelowMargin => "below_margin",
            Self::TooSmall => "too_small",
            Self::LowScore => "low_score",
            Self::Taken => "taken",
            Self::EnrolledTwice => "enrolled_twice",
        }
    }
}

/// A face as the rules see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// Width of the face in pixels of the photo.
    pub width_px: f32,
    /// The detection score.
    pub score: f32,
    /// People, best first, ties by id. With F faces in the photo the best [`candidates_wanted`] are enough for an exact
    /// answer.
    pub candidates: Vec<Candidate>,
}

/// How many candidates of each face are enough in a photo of so many faces: at most all but one can be given to other
/// faces, two may look like one person, and there is the next.
pub const fn candidates_wanted(num_faces: usize) -> usize {
    num_faces + 2
}

/// Names the faces of one photo: a maximum-weight matching of faces and people over the pairs at or above the
/// threshold, so that a person is named at most once and a face has at most one person. A face whose lead over the
/// next free person is under the margin is then left unknown; since that frees its person, leads are taken anew
/// until nothing changes. Ties go by id.
///
/// `likeness` says how similar the samples of two people are at best, raw cosine: a face between people of one look, and
/// nobody else, is `EnrolledTwice`.
pub fn name_faces(
    sightings: &[Sighting],
    rules: &NamingRules,
    likeness: impl Fn(&PersonId, &PersonId) -> f32,
) -> Vec<Decision> {
    let unfit: Vec<Option<UnknownReason>> = sightings.iter().map(|sighting| unfit(sighting, rules)).collect();
    let mut given = assign_people(sightings, &unfit, rules.threshold);
    let matched = given.clone();
    loop {
        let free_again: Vec<usize> = given
            .iter()
            .filter(|&(&face, _)| lead(&sightings[face], face, &given).is_some_and(|lead| lead < rules.margin))
            .map(|(&face, _)| face)
            .collect();
        if free_again.is_empty() {
            break;
        }
        for face in free_again {
            given.remove(&face);
        }
    }
    let decide = |face: usize| {
        let decision = decide(face, sightings, unfit[face], &matched, &given, rules);
        let free = matched.get(&face).filter(|_| decision.verdict == Err(UnknownReason::BelowMargin));
        let twin = free.and_then(|own| second_self(&sightings[face], face, own, &given, rules, &likeness));
        match (free, twin) {
            (Some(&own), Some(twin)) => decision.of_one_enrolled_twice(own, twin),
            _ => decision,
        }
    };
    (0..sightings.len()).map(decide).collect()
}

/// The best of the people who are too close to `own` to call, if all of them look like `own`.
fn second_self<'a>(
    sighting: &'a Sighting,
    face: usize,
    own: &Candidate,
    given: &BTreeMap<usize, &'a Candidate>,
    rules: &NamingRules,
    likeness: impl Fn(&PersonId, &PersonId) -> f32,
) -> Option<&'a Candidate> {
    let is_close = |next: &&Candidate| own.similarity - next.similarity < rules.margin;
    let mut close = free_others(sighting, face, own, given).take_while(is_close).peekable();
    let best = close.peek().copied();
    close.all(|next| likeness(&own.person, &next.person) >= rules.one_look).then_some(best).flatten()
}

/// Whether a face is known not to be the person to whose best sample it has this similarity: one of their negatives,
/// unit vectors of faces that are not theirs, is at least as near. So a twin's photo keeps the twin's other photos away
/// and not the person's own, which are nearer to the person's samples than to the twin's.
pub fn is_disowned<'n>(face: &[f32], similarity: f32, negatives: impl IntoIterator<Item = &'n [f32]>) -> bool {
    negatives.into_iter().any(|negative| cosine(face, negative) >= similarity)
}

/// Why a face may not be named whoever it is.
fn unfit(sighting: &Sighting, rules: &NamingRules) -> Option<UnknownReason> {
    if sighting.width_px < rules.min_width_px {
        Some(UnknownReason::TooSmall)
    } else if sighting.score < rules.min_score {
        Some(UnknownReason::LowScore)
    } else {
        None
    }
}

fn decide(
    face: usize,
    sightings: &[Sighting],
    unfit: Option<UnknownReason>,
    matched: &BTreeMap<usize, &Candidate>,
    given: &BTreeMap<usize, &Candidate>,
    rules: &NamingRules,
) -> Decision {
    let sighting = &sightings[face];
    let best = sighting.candidates.first();
    let verdict = match (unfit, given.get(&face), matched.get(&face)) {
        (Some(reason), _, _) => Err(reason),
        (None, Some(candidate), _) => Ok(candidate.person.clone()),
        (None, None, Some(_)) => Err(UnknownReason::BelowMargin),
        (None, None, None) if best.is_some_and(|best| best.similarity >= rules.threshold) => Err(UnknownReason::Taken),
        (None, None, None) => Err(UnknownReason::BelowThreshold),
    };
    Decision {
        verdict,
        similarity: given.get(&face).copied().or(best).map(|candidate| candidate.similarity),
        margin: lead(sighting, face, given),
        runner_up: rivals(sighting, face, given).map(|(_, next)| next.clone()),
        candidates: sighting.candidates.iter().take(2).cloned().collect(),
    }
}

/// How far the first of the [`rivals`] is ahead.
fn lead(sighting: &Sighting, face: usize, given: &BTreeMap<usize, &Candidate>) -> Option<f32> {
    rivals(sighting, face, given).map(|(own, next)| own.similarity - next.similarity)
}

/// A face's person (or, for a face without one, its best candidate), and the best other person who was not given to
/// another face; `None` where there is no such other.
fn rivals<'a>(
    sighting: &'a Sighting,
    face: usize,
    given: &BTreeMap<usize, &'a Candidate>,
) -> Option<(&'a Candidate, &'a Candidate)> {
    let own = given.get(&face).copied().or(sighting.candidates.first())?;
    let next = free_others(sighting, face, own, given).next()?;
    Some((own, next))
}

/// A face's candidates besides `own` who were not given to another face, best first.
fn free_others<'a>(
    sighting: &'a Sighting,
    face: usize,
    own: &Candidate,
    given: &BTreeMap<usize, &'a Candidate>,
) -> impl Iterator<Item = &'a Candidate> {
    let given_away: BTreeSet<&PersonId> =
        given.iter().filter(|&(&other, _)| other != face).map(|(_, candidate)| &candidate.person).collect();
    let own = own.person.clone();
    let is_free = move |candidate: &&Candidate| candidate.person != own && !given_away.contains(&candidate.person);
    sighting.candidates.iter().filter(is_free)
}

/// The maximum-weight matching over the pairs at or above the threshold, by face.
fn assign_people<'a>(
    sightings: &'a [Sighting],
    unfit: &[Option<UnknownReason>],
    threshold: f32,
) -> BTreeMap<usize, &'a Candidate> {
    let (candidates, pairs): (Vec<&Candidate>, Vec<Pair<&PersonId>>) = sightings
        .iter()
        .enumerate()
        .filter(|(face, _)| unfit[*face].is_none())
        .flat_map(|(face, sighting)| sighting.candidates.iter().map(move |candidate| (face, candidate)))
        .filter(|(_, candidate)| candidate.similarity >= threshold)
        .map(|(face, candidate)| (candidate, Pair { face, who: &candidate.person, similarity: candidate.similarity }))
        .unzip();
    assign(&pairs).into_iter().map(|place| (pairs[place].face, candidates[place])).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: NamingRules =
        NamingRules { threshold: 0.4, margin: 0.1, min_width_px: 30.0, min_score: 0.75, one_look: 0.5 };

    /// The same where no two people look like one.
    fn named(sightings: &[Sighting], rules: &NamingRules) -> Vec<Decision> {
        name_faces(sightings, rules, |_, _| 0.0)
    }

    fn sighting(people: &[(&str, f32)]) -> Sighting {
        let mut candidates: Vec<Candidate> = people
            .iter()
            .map(|&(person, similarity)| Candidate {
                person: person.parse().unwrap(),
                face: FaceId::from_bytes([0; 16]),
                similarity,
            })
            .collect();
        candidates.sort_by(|a, b| b.similarity.total_cmp(&a.similarity).then_with(|| a.person.cmp(&b.person)));
        Sighting { width_px: 60.0, score: 0.9, candidates }
    }

    fn verdicts(sightings: &[Sighting]) -> Vec<Result<String, UnknownReason>> {
        named(sightings, &RULES).into_iter().map(|decision| decision.verdict.map(|person| person.to_string())).collect()
    }

    #[test]
    fn each_reason_has_its_case() {
        let small = Sighting { width_px: 29.9, ..sighting(&[("a", 0.9)]) };
        let doubtful = Sighting { score: 0.74, ..sighting(&[("a", 0.9)]) };
        assert_eq!(verdicts(&[small]), [Err(UnknownReason::TooSmall)]);
        assert_eq!(verdicts(&[doubtful]), [Err(UnknownReason::LowScore)]);
        assert_eq!(verdicts(&[sighting(&[("a", 0.39)])]), [Err(UnknownReason::BelowThreshold)]);
        assert_eq!(verdicts(&[sighting(&[])]), [Err(UnknownReason::BelowThreshold)]);
        assert_eq!(verdicts(&[sighting(&[("a", 0.60), ("b", 0.55)])]), [Err(UnknownReason::BelowMargin)]);
        assert_eq!(
            verdicts(&[sighting(&[("a", 0.9)]), sighting(&[("a", 0.8)])]),
            [Ok("a".into()), Err(UnknownReason::Taken)]
        );
    }

    #[test]
    fn the_sum_decides_not_the_greedy_choice() {
        // Greedy would give a to the first face (0.80) and leave the second one with nobody.
        let faces = [sighting(&[("a", 0.80), ("b", 0.78)]), sighting(&[("a", 0.75), ("b", 0.10)])];
        assert_eq!(verdicts(&faces), [Ok("b".into()), Ok("a".into())]);
    }

    #[test]
    fn a_rival_given_to_another_face_does_not_count_against_the_margin() {
        let faces = [sighting(&[("a", 0.70), ("b", 0.65), ("c", 0.30)]), sighting(&[("b", 0.90), ("a", 0.20)])];
        assert_eq!(verdicts(&faces), [Ok("a".into()), Ok("b".into())]);
        let runners_up: Vec<Option<String>> = named(&faces, &RULES)
            .into_iter()
            .map(|decision| decision.runner_up.map(|next| next.person.to_string()))
            .collect();
        assert_eq!(runners_up, [Some("c".to_owned()), None], "nor is a rival whom else it could be");
    }

    #[test]
    fn a_rival_freed_by_the_margin_counts_again() {
        // The second face cannot choose between b and c, so b is free, so the first cannot choose between a and b.
        let faces = [sighting(&[("a", 0.70), ("b", 0.65)]), sighting(&[("b", 0.90), ("c", 0.89)])];
        assert_eq!(verdicts(&faces), [Err(UnknownReason::BelowMargin), Err(UnknownReason::BelowMargin)]);
    }

    /// What it is about, the candidates of each face, who look like one, and the first face's verdict.
    type Case<'a> = (&'a str, &'a [&'a [(&'a str, f32)]], &'a [&'a str], Result<&'a str, UnknownReason>);

    #[test]
    fn a_face_between_people_of_one_look_is_of_one_enrolled_twice() {
        use UnknownReason::{BelowMargin, BelowThreshold, EnrolledTwice};
        let table: [Case<'_>; 9] = [
            ("the same photo twice", &[&[("a", 0.8), ("b", 0.8)]], &["a", "b"], Err(EnrolledTwice)),
            ("other photos of one", &[&[("b", 0.8), ("a", 0.75)]], &["a", "b"], Err(EnrolledTwice)),
            ("merely similar people", &[&[("a", 0.8), ("b", 0.75)]], &[], Err(BelowMargin)),
            ("one of them well ahead", &[&[("a", 0.8), ("b", 0.6)]], &["a", "b"], Ok("a")),
            ("three times", &[&[("a", 0.8), ("b", 0.8), ("c", 0.75)]], &["a", "b", "c"], Err(EnrolledTwice)),
            ("somebody else as near", &[&[("a", 0.8), ("b", 0.79), ("c", 0.75)]], &["a", "b"], Err(BelowMargin)),
            ("somebody else far away", &[&[("a", 0.8), ("b", 0.79), ("c", 0.6)]], &["a", "b"], Err(EnrolledTwice)),
            ("nobody similar enough", &[&[("a", 0.3), ("b", 0.3)]], &["a", "b"], Err(BelowThreshold)),
            ("the other is in the photo", &[&[("a", 0.8), ("b", 0.8)], &[("b", 0.9)]], &["a", "b"], Ok("a")),
        ];
        for (what, faces, one, expected) in table {
            let faces: Vec<Sighting> = faces.iter().map(|people| sighting(people)).collect();
            let likeness = |a: &PersonId, b: &PersonId| {
                if one.contains(&a.as_str()) && one.contains(&b.as_str()) { 0.5 } else { 0.49 }
            };
            let decision = name_faces(&faces, &RULES, likeness).remove(0);
            assert_eq!(decision.verdict.as_ref().map(PersonId::as_str).map_err(|reason| *reason), expected, "{what}");
        }
    }

    #[test]
    fn whoever_of_the_two_is_nearer_the_face_is_attributed_to_the_first() {
        for (people, best) in [([("a", 0.8), ("b", 0.75)], "a"), ([("a", 0.7), ("b", 0.75)], "b")] {
            let decision = name_faces(&[sighting(&people)], &RULES, |_, _| 1.0).remove(0);
            let shown: Vec<&str> = decision.candidates.iter().map(|candidate| candidate.person.as_str()).collect();
            assert_eq!((shown.len(), shown[0]), (2, best));
            let attribution = decision.attribution().unwrap();
            assert_eq!((attribution.person.as_str(), attribution.margin), ("a", Some(0.0)));
            assert!((attribution.similarity - people[0].1).abs() < 1e-6);
            assert_eq!(attribution.runner_up.unwrap().person.as_str(), "b");
        }
        let plain = |people| named(&[sighting(people)], &RULES).remove(0);
        assert_eq!(plain(&[("a", 0.8), ("b", 0.75)]).attribution(), None);
        let named = plain(&[("a", 0.8), ("b", 0.6)]);
        let attribution = named.attribution().unwrap();
        assert_eq!((attribution.person.as_str(), attribution.runner_up), ("a", named.runner_up.as_ref()));
        assert_eq!(attribution.margin, named.margin);
    }

    #[test]
    fn a_negative_keeps_away_what_is_nearer_to_it_than_to_the_person() {
        let (ada, twin, stranger) = ([1.0, 0.0], [0.8, 0.6], [-1.0, 0.0]);
        let similarity = |face: &[f32]| cosine(face, &ada);
        let disowned =
            |face: &[f32], negatives: &[&[f32]]| is_disowned(face, similarity(face), negatives.iter().copied());
        assert!(disowned(&twin, &[&stranger, &twin]) && disowned(&[0.7, 0.714], &[&twin]));
        assert!(!disowned(&ada, &[&twin]) && !disowned(&[0.99, 0.14], &[&twin, &stranger]));
        assert!(!disowned(&twin, &[]) && !disowned(&twin, &[&stranger]));
        assert!(disowned(&ada, &[&ada]), "as near is near enough");
    }

    #[test]
    fn ties_go_by_id() {
        let rules = NamingRules { margin: 0.0, ..RULES };
        let decision = named(&[sighting(&[("b", 0.5), ("a", 0.5)])], &rules);
        assert_eq!(decision[0].verdict.as_ref().unwrap().as_str(), "a");
        let both = [sighting(&[("b", 0.5), ("a", 0.5)]), sighting(&[("b", 0.5), ("a", 0.5)])];
        let named: BTreeSet<String> =
            named(&both, &rules).into_iter().map(|decision| decision.verdict.unwrap().to_string()).collect();
        assert_eq!(named.len(), 2);
    }

    #[test]
    fn a_lone_person_needs_no_margin() {
        let decision = named(&[sighting(&[("a", 0.41)])], &RULES).remove(0);
        assert_eq!(decision.verdict.unwrap().as_str(), "a");
        assert_eq!(decision.margin, None);
    }

    /// The best total over all ways to give people to faces, by trying every one.
    fn best_total(sightings: &[Sighting], taken: &mut Vec<PersonId>) -> f64 {
        let Some((first, rest)) = sightings.split_first() else { return 0.0 };
        let mut best = best_total(rest, taken);
        for candidate in first.candidates.iter().filter(|candidate| candidate.similarity >= RULES.threshold) {
            if !taken.contains(&candidate.person) {
                taken.push(candidate.person.clone());
                best = best.max(f64::from(candidate.similarity) + best_total(rest, taken));
                taken.pop();
            }
        }
        best
    }

    proptest! {
        #[test]
        fn the_matching_is_the_best_of_all(similarities in prop::collection::vec(prop::collection::vec(0.0_f32..1.0, 4), 1..5)) {
            let faces: Vec<Sighting> = similarities
                .iter()
                .map(|row| sighting(&["a", "b", "c", "d"].into_iter().zip(row.iter().copied()).collect::<Vec<_>>()))
                .collect();
            let rules = NamingRules { margin: -1.0, ..RULES };
            let decisions = named(&faces, &rules);
            let total: f64 = decisions.iter().filter(|d| d.verdict.is_ok()).map(|d| f64::from(d.similarity.unwrap())).sum();
            let people: Vec<_> = decisions.iter().filter_map(|d| d.verdict.as_ref().ok()).collect();
            prop_assert_eq!(people.iter().collect::<BTreeSet<_>>().len(), people.len());
            prop_assert!((total - best_total(&faces, &mut Vec::new())).abs() < 1e-6);
        }
    }
}
