//! One face that was named, and what it is worth as evidence.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Rules, Window};
use crate::{
    ids::PhotoId,
    recognition::{
        face::{LivenessVerdict, ModelId},
        liveness::liveness_allows,
        matching::Likeness,
    },
};

/// The most sightings that a record keeps.
pub const MAX_SIGHTINGS: usize = 20;

/// A person, named in a photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// In which photo.
    pub photo: PhotoId,
    /// Which of its faces, from 0 in the order of the answer.
    pub face: u32,
    /// When the photo was taken, or when it arrived.
    pub at: Timestamp,
    /// Raw cosine of the face to the person's best sample.
    pub similarity: f32,
    /// How far the person was ahead of the next free one; `None` when there was no other. 0 where the two look like one.
    pub margin: Option<f32>,
    /// That next one.
    pub runner_up: Option<Likeness>,
    /// Width of the face in pixels.
    pub width_px: f32,
    /// What the liveness check said, where it was asked.
    pub liveness: Option<LivenessVerdict>,
    /// Which network recognised the face.
    pub model: ModelId,
    /// Somebody looked and said that it is not them.
    pub refuted: bool,
    /// How far `at` is trusted.
    pub time: TimeTrust,
}

impl Sighting {
    /// Whether it is as much another's: somebody was enrolled twice, or twins were.
    pub fn is_of_two(&self) -> bool {
        self.margin.is_some_and(|margin| margin <= 0.0)
    }
}

/// How far the time of a photo is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeTrust {
    /// The server saw it come, or somebody who may say so said it.
    Trusted,
    /// A kiosk said it that was without the server, within the allowance of its key.
    Offline,
    /// A kiosk said it, out of its session and its allowance.
    Doubted,
}

/// What a sighting is worth; the later, the more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Nothing, and why.
    Nothing(Reason),
    /// It is to be confirmed, and so is its time: beside others that says nothing.
    Doubted,
    /// It is to be confirmed, however many there are.
    Weak,
    /// One of those that make it sure together.
    Full,
    /// It makes it sure alone.
    Strong,
}

/// Why a sighting is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Somebody said that it is not them.
    Refuted,
    /// It was too early or too late for the session.
    OutsideWindow,
    /// The liveness check does not let it pass.
    NotLive,
}

impl Rules {
    /// What a sighting is worth in a session with this window. Similarity and margin are compared unrounded; a margin
    /// that there is not, for want of another person, is large enough. Who is not ahead of another is to be confirmed,
    /// whatever the rules.
    pub fn weigh(&self, window: &Window, sighting: &Sighting) -> Weight {
        if sighting.refuted {
            return Weight::Nothing(Reason::Refuted);
        }
        if !window.holds(sighting.at) {
            return Weight::Nothing(Reason::OutsideWindow);
        }
        if !liveness_allows(self.liveness, sighting.liveness) {
            return Weight::Nothing(Reason::NotLive);
        }
        if sighting.time == TimeTrust::Doubted {
            return Weight::Doubted;
        }
        let is_similar = self.min_similarity.is_none_or(|least| sighting.similarity >= least);
        let is_ahead =
            !sighting.is_of_two() && self.min_margin.zip(sighting.margin).is_none_or(|(least, margin)| margin >= least);
        let is_strong = self.sure_similarity.is_some_and(|enough| sighting.similarity >= enough);
        match (is_similar && is_ahead, is_strong) {
            (false, _) => Weight::Weak,
            (true, false) => Weight::Full,
            (true, true) => Weight::Strong,
        }
    }
}

/// A face in a photo that says something.
pub trait Evidence {
    /// In which photo, and which of its faces.
    fn face(&self) -> (PhotoId, u32);
    /// When the photo was taken.
    fn at(&self) -> Timestamp;
    /// The more, the better it is.
    fn worth(&self) -> f32;
}

impl Evidence for Sighting {
    fn face(&self) -> (PhotoId, u32) {
        (self.photo, self.face)
    }

    fn at(&self) -> Timestamp {
        self.at
    }

    fn worth(&self) -> f32 {
        self.similarity
    }
}

/// Adds evidence to that which is kept, in the order of its times, and says whether it is kept; the same face again
/// changes nothing. Of more than [`MAX_SIGHTINGS`] the one that is worth least goes, but never the first nor the last:
/// they say who was late. To be called for what is worth something, so that nothing worthless crowds evidence out.
pub fn keep<E: Evidence>(kept: &mut Vec<E>, new: E) -> bool {
    if kept.iter().any(|known| known.face() == new.face()) {
        return false;
    }
    let place = kept.partition_point(|known| known.at() <= new.at());
    kept.insert(place, new);
    if kept.len() <= MAX_SIGHTINGS {
        return true;
    }
    let inner = 1..kept.len() - 1;
    let least = inner.min_by(|&a, &b| kept[a].worth().total_cmp(&kept[b].worth())).unwrap_or(0);
    kept.remove(least);
    least != place
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{attendance::rules::judge::tests::meeting, recognition::liveness::LivenessPolicy};

    /// A time of day in minutes.
    pub(crate) fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    /// A sighting in a photo of its own.
    pub(crate) fn sighting(minute: i64, similarity: f32) -> Sighting {
        Sighting {
            photo: PhotoId::generate(),
            face: 0,
            at: at(minute),
            similarity,
            margin: Some(0.2),
            runner_up: None,
            width_px: 60.0,
            liveness: None,
            model: ModelId { name: "m".into(), dimension: 4, postprocessing: 1 },
            refuted: false,
            time: TimeTrust::Trusted,
        }
    }

    #[test]
    fn what_a_sighting_is_worth() {
        use LivenessPolicy::{Passive, Strict};
        use LivenessVerdict::{Live, NotAssessable, Spoof};
        use Reason::{NotLive, OutsideWindow, Refuted};
        use Weight::{Doubted, Full, Nothing, Strong, Weak};
        let rules = Rules::default;
        let least = Rules { min_similarity: Some(0.5), min_margin: Some(0.1), ..rules() };
        let strong = Rules { sure_similarity: Some(0.8), ..least.clone() };
        let passive = Rules { liveness: Passive, ..rules() };
        let strict = Rules { liveness: Strict, ..rules() };
        let good = sighting(100, 0.6);
        let with = |similarity, margin| Sighting { similarity, margin, ..good.clone() };
        let live = |verdict| Sighting { liveness: verdict, ..good.clone() };
        let table = [
            (rules(), good.clone(), Full),
            (rules(), with(0.1, Some(0.001)), Full),
            (rules(), with(0.9, Some(0.0)), Weak),
            (Rules { sure_similarity: Some(0.8), ..rules() }, with(0.9, Some(0.0)), Weak),
            (rules(), Sighting { refuted: true, ..good.clone() }, Nothing(Refuted)),
            (rules(), Sighting { time: TimeTrust::Offline, ..good.clone() }, Full),
            (rules(), Sighting { time: TimeTrust::Doubted, ..good.clone() }, Doubted),
            (strong.clone(), Sighting { time: TimeTrust::Doubted, ..with(0.9, None) }, Doubted),
            (rules(), Sighting { time: TimeTrust::Doubted, ..sighting(84, 0.6) }, Nothing(OutsideWindow)),
            (rules(), sighting(84, 0.6), Nothing(OutsideWindow)),
            (rules(), sighting(85, 0.6), Full),
            (rules(), sighting(164, 0.6), Full),
            (rules(), sighting(165, 0.6), Nothing(OutsideWindow)),
            (least.clone(), with(0.5, Some(0.1)), Full),
            (least.clone(), with(0.499_99, Some(0.1)), Weak),
            (least.clone(), with(0.5, Some(0.099_99)), Weak),
            (least, with(0.5, None), Full),
            (strong.clone(), with(0.8, Some(0.1)), Strong),
            (strong.clone(), with(0.79, Some(0.1)), Full),
            (strong, with(0.9, Some(0.05)), Weak),
            (rules(), live(Some(Spoof)), Full),
            (passive.clone(), live(Some(Spoof)), Nothing(NotLive)),
            (passive.clone(), live(Some(NotAssessable)), Full),
            (passive, live(None), Nothing(NotLive)),
            (strict.clone(), live(Some(NotAssessable)), Nothing(NotLive)),
            (strict, live(Some(Live)), Full),
        ];
        for (rules, sighting, weight) in table {
            assert_eq!(rules.weigh(&rules.window(&meeting()), &sighting), weight, "{rules:?} {sighting:?}");
        }
    }

    #[test]
    fn a_record_keeps_the_first_the_last_and_the_best() {
        let mut kept = Vec::new();
        let (first, last) = (sighting(0, 0.1), sighting(99, 0.1));
        keep(&mut kept, last.clone());
        for minute in (1..60).rev() {
            keep(&mut kept, sighting(minute, minute as f32 / 100.0));
        }
        assert!(keep(&mut kept, first.clone()));
        assert!(!keep(&mut kept, first.clone()), "it is there");
        assert!(!keep(&mut kept, sighting(30, 0.2)), "the least of all");
        let minutes: Vec<i64> = kept.iter().map(|sighting| sighting.at.as_second() / 60).collect();
        let expected: Vec<i64> = [0].into_iter().chain(42..60).chain([99]).collect();
        assert_eq!(minutes, expected);
        assert_eq!((kept.first(), kept.last()), (Some(&first), Some(&last)));
    }
}
