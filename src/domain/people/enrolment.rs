//! What a face must be like before it stands for a person.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::consent::ConsentPolicy;
use crate::recognition::{face::Quality, liveness::LivenessPolicy, vector::cosine};

/// How strict the door is. The later, the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QualityGate {
    /// Every face that is found goes in.
    Off,
    /// Refuses what would be recognised badly.
    #[default]
    Standard,
    /// Refuses what is no portrait.
    Strict,
}

/// Which faces of a photo are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaceChoice {
    /// The largest, if it is clearly the largest.
    #[default]
    Clear,
    /// The only one.
    One,
    /// The largest.
    Largest,
    /// Every face; last, so that those that are stored keep their numbers.
    #[serde(skip)]
    All,
}

/// What happens to a face that is already someone else's in the tenant. The later, the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DuplicatePolicy {
    /// Nobody looks.
    Off,
    /// It goes in, and the answer names the other person.
    #[default]
    Flag,
    /// The request is refused.
    Refuse,
}

/// A tenant's rules of enrolment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnrolmentPolicy {
    /// What an image must be like; a request may be stricter.
    pub quality: QualityGate,
    /// What happens to a face that is already someone else's.
    pub duplicates: DuplicatePolicy,
    /// Whether the face must be live.
    pub liveness: LivenessPolicy,
    /// Whether the person needs a consent.
    pub consent: ConsentPolicy,
}

/// Why a face does not go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Too few pixels.
    TooSmall,
    /// Too little light.
    TooDark,
    /// Too much light.
    TooBright,
    /// Out of focus, shaken, or enlarged from a small picture.
    Blurred,
    /// The head is turned, nodded or tilted too far.
    TurnedAway,
    /// The networks are not sure that it is a whole face: hidden, cut or of poor quality.
    LowScore,
    /// The liveness check does not let it pass.
    NotLive,
    /// It is another person than on the other images, or than in the samples that are stored.
    Inconsistent,
}

impl Flaw {
    /// The reason as it stands in answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooSmall => "too_small",
            Self::TooDark => "too_dark",
            Self::TooBright => "too_bright",
            Self::Blurred => "blurred",
            Self::TurnedAway => "turned_away",
            Self::LowScore => "low_score",
            Self::NotLive => "not_live",
            Self::Inconsistent => "inconsistent",
        }
    }

    /// What a person can do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::TooSmall => "the face is too small: come closer or send a larger picture",
            Self::TooDark => "the face is too dark: put more light on it",
            Self::TooBright => "the face is too bright: take light away",
            Self::Blurred => "the face is blurred: hold still, clean the lens, or send the original picture",
            Self::TurnedAway => "the face is turned away: look into the camera, the head upright",
            Self::LowScore => "the face is hidden, cut off or unclear: show all of it",
            Self::NotLive => "this looks like a picture of a picture, or is too small to tell",
            Self::Inconsistent => "this looks like another person than the other images or the stored samples",
        }
    }
}

/// The figures that a face needs, set by 39 sharp photos of people who look at the camera, and by the same ones spoilt.
/// The good ones have: width 90–689 px, sharpness 551–5420, brightness 85–184, yaw −18–19°, pitch −20–11°, roll −7–15°,
/// score 0.75–0.96, norm 2.9–4.9.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Needs {
    /// Portraits shrunk to 30 px are still named by full-size ones without a miss, but a sample is met by worse photos
    /// than itself: a third more for `standard`. 80 px is where the liveness check begins.
    min_width_px: f32,
    /// Portraits blurred with a deviation of 3 % of the face's width, where the norm has fallen by a fifth, have 8–19; of
    /// 2 %, 18–58; of 1 %, 86–298. Sharp ones shrunk to 30 px have 44–153, to 80 px 225–1236.
    min_sharpness: f32,
    /// Portraits at a seventh of their light have 17–21 and a norm lower by a quarter; at a quarter 28–35; at a third
    /// 40–49. Skin may be dark where the light is good, so the figures are low.
    min_brightness: f32,
    /// Portraits at two and a half times their light have 190–243, at three times 196–248.
    max_brightness: f32,
    /// Of six people around a table, those who turn to each other have 39°.
    max_yaw: f32,
    /// From [`LEVEL_PITCH`].
    max_pitch: f32,
    /// Alignment takes a tilt away, but portraits turned by 45° lose 0.5 to 1.7 of their norm.
    max_roll: f32,
    /// Falls where a face is hidden or cut; that of one portrait is 0.75, all others have 0.88 or more.
    min_score: f32,
    /// Faces under 12 px have 2.1; what is hidden or overexposed falls below as well.
    min_norm: f32,
}

/// What the head pose network reads on faces that look straight ahead, in degrees.
const LEVEL_PITCH: f32 = -10.0;

const STANDARD: Needs = Needs {
    min_width_px: 40.0,
    min_sharpness: 25.0,
    min_brightness: 25.0,
    max_brightness: 240.0,
    max_yaw: 35.0,
    max_pitch: 30.0,
    max_roll: 40.0,
    min_score: 0.7,
    min_norm: 2.2,
};

const STRICT: Needs = Needs {
    min_width_px: 80.0,
    min_sharpness: 80.0,
    min_brightness: 40.0,
    max_brightness: 220.0,
    max_yaw: 25.0,
    max_pitch: 22.0,
    max_roll: 25.0,
    min_score: 0.75,
    min_norm: 2.7,
};

impl QualityGate {
    /// The first reason to refuse a face with these figures: what explains others comes first, for a small or dark face
    /// looks blurred too, and of a blurred one nobody can tell where it looks.
    pub fn flaw(self, score: f32, quality: &Quality) -> Option<Flaw> {
        let needs = match self {
            Self::Off => return None,
            Self::Standard => STANDARD,
            Self::Strict => STRICT,
        };
        let turned = quality.yaw.abs() > needs.max_yaw
            || (quality.pitch - LEVEL_PITCH).abs() > needs.max_pitch
            || quality.roll.abs() > needs.max_roll;
        let checks = [
            (quality.width_px < needs.min_width_px, Flaw::TooSmall),
            (quality.brightness < needs.min_brightness, Flaw::TooDark),
            (quality.brightness > needs.max_brightness, Flaw::TooBright),
            (quality.sharpness < needs.min_sharpness, Flaw::Blurred),
            (turned, Flaw::TurnedAway),
            (score < needs.min_score || quality.norm < needs.min_norm, Flaw::LowScore),
        ];
        checks.into_iter().find_map(|(fails, flaw)| fails.then_some(flaw))
    }
}

/// Which of `new` agree with what is known of their person: the median of their similarities to the others, which are
/// the rest of `new` and all of `stored`, reaches `threshold`. With an even number of others the upper median counts, so
/// an image agrees that matches half of the others. One without others agrees. All are unit vectors of one model.
pub fn agreeing(new: &[&[f32]], stored: &[&[f32]], threshold: f32) -> Vec<bool> {
    let agrees = |(place, image): (usize, &&[f32])| {
        let rest = new.iter().enumerate().filter(|&(other, _)| other != place).map(|(_, vector)| vector);
        let mut similarities: Vec<f32> = rest.chain(stored).map(|other| cosine(image, other)).collect();
        similarities.sort_unstable_by(f32::total_cmp);
        similarities.get(similarities.len() / 2).is_none_or(|&median| median >= threshold)
    };
    new.iter().enumerate().map(agrees).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn portrait() -> Quality {
        Quality { width_px: 200.0, sharpness: 900.0, brightness: 130.0, norm: 3.9, yaw: 3.0, pitch: -11.0, roll: 2.0 }
    }

    #[test]
    fn each_measure_has_its_reason_and_strict_refuses_more() {
        use Flaw::{Blurred, LowScore, TooBright, TooDark, TooSmall, TurnedAway};
        use QualityGate::{Off, Standard, Strict};
        let good = portrait();
        let cases = [
            (Quality { width_px: 30.0, sharpness: 5.0, ..good }, Some(TooSmall), Some(TooSmall)),
            (Quality { width_px: 60.0, ..good }, None, Some(TooSmall)),
            (Quality { sharpness: 19.0, yaw: 50.0, ..good }, Some(Blurred), Some(Blurred)),
            (Quality { sharpness: 50.0, ..good }, None, Some(Blurred)),
            (Quality { brightness: 20.0, sharpness: 15.0, ..good }, Some(TooDark), Some(TooDark)),
            (Quality { brightness: 35.0, ..good }, None, Some(TooDark)),
            (Quality { brightness: 246.0, ..good }, Some(TooBright), Some(TooBright)),
            (Quality { brightness: 230.0, ..good }, None, Some(TooBright)),
            (Quality { yaw: -39.0, ..good }, Some(TurnedAway), Some(TurnedAway)),
            (Quality { yaw: 30.0, ..good }, None, Some(TurnedAway)),
            (Quality { pitch: 25.0, ..good }, Some(TurnedAway), Some(TurnedAway)),
            (Quality { pitch: -38.0, ..good }, None, Some(TurnedAway)),
            (Quality { roll: 45.0, ..good }, Some(TurnedAway), Some(TurnedAway)),
            (Quality { norm: 2.0, ..good }, Some(LowScore), Some(LowScore)),
            (Quality { norm: 2.5, ..good }, None, Some(LowScore)),
            (good, None, None),
        ];
        for (quality, standard, strict) in cases {
            assert_eq!(Standard.flaw(0.9, &quality), standard, "{quality:?}");
            assert_eq!(Strict.flaw(0.9, &quality), strict, "{quality:?}");
            assert_eq!(Off.flaw(0.1, &quality), None);
        }
        assert_eq!([Standard.flaw(0.65, &good), Strict.flaw(0.72, &good)], [Some(LowScore); 2]);
        assert_eq!(Standard.flaw(0.72, &good), None);
    }

    #[test]
    fn a_majority_of_the_images_speaks_for_the_person() {
        type Case<'a> = (&'a [[f32; 2]], &'a [[f32; 2]], &'a [bool]);
        let [a, a2, b, b2] = [[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0], [-0.8, -0.6]];
        let table: [Case<'_>; 9] = [
            (&[a], &[], &[true]),
            (&[a, a2], &[], &[true, true]),
            (&[a, b], &[], &[false, false]),
            (&[a, b, a2], &[], &[true, false, true]),
            (&[a, b, a2, b2], &[], &[false; 4]),
            (&[a, a2, a, b, b2], &[], &[true, true, true, false, false]),
            (&[b], &[a, a2], &[false]),
            (&[b, a], &[a2], &[false, true]),
            // One bad sample that is stored does not keep good ones out.
            (&[a, a2, a], &[b], &[true, true, true]),
        ];
        for (new, stored, expected) in table {
            let [images, samples] = [new, stored].map(|list| list.iter().map(|vector| &vector[..]).collect::<Vec<_>>());
            assert_eq!(agreeing(&images, &samples, 0.4), expected, "{new:?} {stored:?}");
        }
    }
}
