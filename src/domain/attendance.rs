//! Attendance records and the rule that decides whether a recognised face is marked.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    face::{LivenessVerdict, ModelId},
    ids::{GroupId, PersonId, RecordId},
};

/// One person marked present in one session, with the sighting that did it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttendanceRecord {
    /// Its identity.
    pub id: RecordId,
    /// Where.
    pub group: GroupId,
    /// Who.
    pub person: PersonId,
    /// The session's local date.
    pub date: Date,
    /// When the photo was taken, or when it arrived.
    pub at: Timestamp,
    /// Raw cosine of the face to the person's best sample.
    pub similarity: f32,
    /// How far the person was ahead of the next free one; `None` when there was no other.
    pub margin: Option<f32>,
    /// Width of the face in pixels.
    pub width_px: f32,
    /// What the liveness check said, where it was asked.
    pub liveness: Option<LivenessVerdict>,
    /// Which network recognised the face.
    pub model: ModelId,
}

/// How strictly the liveness verdict decides over a mark; the later, the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LivenessPolicy {
    /// Not checked.
    #[default]
    Off,
    /// A spoof is not marked; a face too small to judge is.
    Passive,
    /// Only a live face is marked.
    Strict,
}

/// What became of a recognised face; the later, the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// No record: nobody was named, marking was not asked for, or the liveness policy forbids it.
    NotMarked,
    /// The session had one already.
    AlreadyMarked,
    /// A new record.
    Marked,
}

/// Whether a named face may be marked under `policy`.
pub fn liveness_allows(policy: LivenessPolicy, verdict: Option<LivenessVerdict>) -> bool {
    match (policy, verdict) {
        (LivenessPolicy::Off, _)
        | (_, Some(LivenessVerdict::Live))
        | (LivenessPolicy::Passive, Some(LivenessVerdict::NotAssessable)) => true,
        (LivenessPolicy::Passive | LivenessPolicy::Strict, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn liveness_table() {
        use LivenessPolicy::{Off, Passive, Strict};
        use LivenessVerdict::{Live, NotAssessable, Spoof};
        let table = [
            (Off, None, true),
            (Off, Some(Spoof), true),
            (Passive, Some(Live), true),
            (Passive, Some(Spoof), false),
            (Passive, Some(NotAssessable), true),
            (Passive, None, false),
            (Strict, Some(Live), true),
            (Strict, Some(Spoof), false),
            (Strict, Some(NotAssessable), false),
        ];
        for (policy, verdict, expected) in table {
            assert_eq!(liveness_allows(policy, verdict), expected, "{policy:?} {verdict:?}");
        }
    }
}
