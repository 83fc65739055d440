//! What somebody before a kiosk can do to be marked.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{face::LivenessVerdict, matching::UnknownReason};
use crate::{attendance::record::Mark, people::enrolment::Flaw};

/// What the person behind a face can do to be marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hint {
    /// The face is too small.
    ComeCloser,
    /// The face is turned away, hidden or blurred.
    LookHere,
    /// Somebody else in the photo was taken for the same person.
    OneAtATime,
    /// The group has nobody who looks like this, or several.
    NotKnown,
    /// It is a picture of a face.
    HoldNoPicture,
    /// The face has too little light.
    TooDark,
}

/// What became of a face where marks were asked, and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Glance {
    /// What became of it.
    pub mark: Mark,
    /// Why nobody was named; `None` for a named face.
    pub reason: Option<UnknownReason>,
    /// What is wrong with the face itself, where that was looked at.
    pub flaw: Option<Flaw>,
    /// What the liveness check said, where it was asked.
    pub liveness: Option<LivenessVerdict>,
    /// Whether that alone kept it from being marked.
    pub is_refused_as_not_live: bool,
}

impl Glance {
    /// What the person can do; nothing where they are marked, or their face is kept to be confirmed. Whoever holds a
    /// picture is not told whether the person on it is known. Of what is wrong with a face, what explains the others comes
    /// first; only of a good face it is said that nobody knows it.
    pub fn hint(self) -> Option<Hint> {
        if self.mark != Mark::NotMarked {
            return None;
        }
        Some(match (self.liveness, self.reason, self.flaw) {
            (Some(LivenessVerdict::Spoof), ..) => Hint::HoldNoPicture,
            (_, Some(UnknownReason::TooSmall), _) | (.., Some(Flaw::TooSmall)) => Hint::ComeCloser,
            // The check can tell nothing of a small face.
            _ if self.is_refused_as_not_live => Hint::ComeCloser,
            (_, Some(UnknownReason::Taken), _) => Hint::OneAtATime,
            (.., Some(Flaw::TooDark)) => Hint::TooDark,
            (_, Some(UnknownReason::LowScore), _)
            | (.., Some(Flaw::TurnedAway | Flaw::Blurred | Flaw::TooBright | Flaw::LowScore)) => Hint::LookHere,
            _ => Hint::NotKnown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_face_has_its_hint() {
        use Hint::{ComeCloser, HoldNoPicture, LookHere, NotKnown, OneAtATime, TooDark};
        use LivenessVerdict::{Live, NotAssessable, Spoof};
        use UnknownReason::{BelowMargin, BelowThreshold, EnrolledTwice, LowScore, Taken, TooSmall};
        let named =
            Glance { mark: Mark::NotMarked, reason: None, flaw: None, liveness: None, is_refused_as_not_live: false };
        let unknown = |reason, flaw| Glance { reason: Some(reason), flaw, ..named };
        let marked = |mark| Glance { mark, flaw: Some(Flaw::TooDark), ..named };
        let live = |liveness, is_refused_as_not_live| Glance { liveness, is_refused_as_not_live, ..named };
        let table = [
            ("marked", marked(Mark::Marked), None),
            ("marked before", marked(Mark::AlreadyMarked), None),
            ("to be confirmed", marked(Mark::ToConfirm), None),
            ("one of two, to be confirmed", Glance { reason: Some(EnrolledTwice), ..marked(Mark::ToConfirm) }, None),
            ("one of two, not taken", unknown(EnrolledTwice, None), Some(NotKnown)),
            ("left the roster meanwhile", named, Some(NotKnown)),
            ("a stranger", unknown(BelowThreshold, None), Some(NotKnown)),
            ("two alike", unknown(BelowMargin, None), Some(NotKnown)),
            ("too far away", unknown(TooSmall, None), Some(ComeCloser)),
            ("far away and dark", unknown(TooSmall, Some(Flaw::TooDark)), Some(ComeCloser)),
            ("a little far away", unknown(BelowThreshold, Some(Flaw::TooSmall)), Some(ComeCloser)),
            ("hidden", unknown(LowScore, None), Some(LookHere)),
            ("hidden in the dark", unknown(LowScore, Some(Flaw::TooDark)), Some(TooDark)),
            ("turned away", unknown(BelowThreshold, Some(Flaw::TurnedAway)), Some(LookHere)),
            ("blurred", unknown(BelowMargin, Some(Flaw::Blurred)), Some(LookHere)),
            ("in glaring light", unknown(BelowThreshold, Some(Flaw::TooBright)), Some(LookHere)),
            ("hardly a face", unknown(BelowThreshold, Some(Flaw::LowScore)), Some(LookHere)),
            ("dark", unknown(BelowThreshold, Some(Flaw::TooDark)), Some(TooDark)),
            ("beside whom they look like", unknown(Taken, Some(Flaw::TooDark)), Some(OneAtATime)),
            ("a picture of somebody known", live(Some(Spoof), true), Some(HoldNoPicture)),
            (
                "a picture of a stranger",
                Glance { liveness: Some(Spoof), ..unknown(BelowThreshold, Some(Flaw::TooDark)) },
                Some(HoldNoPicture),
            ),
            ("too small to tell", live(Some(NotAssessable), true), Some(ComeCloser)),
            ("live and marked", Glance { liveness: Some(Live), ..marked(Mark::Marked) }, None),
        ];
        for (what, glance, hint) in table {
            assert_eq!(glance.hint(), hint, "{what}");
        }
    }
}
