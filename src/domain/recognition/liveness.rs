//! How live a face must be.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::face::LivenessVerdict;

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
