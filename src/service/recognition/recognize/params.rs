//! What a recognition may set.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{GroupSessionId, recognition::liveness::LivenessPolicy},
    error::{Error, ErrorKind, Result},
    runtime::ServiceClass,
    service::fields::strict_bool,
};

/// What a recognition may set.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecognizeParams {
    /// Whether the people found are marked present; true if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub mark: Option<bool>,
    /// When the photos were taken; now if missing. Not in the future.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub at: Option<Timestamp>,
    /// The least similarity, raw cosine; where people are marked, never less than the tenant's.
    pub threshold: Option<f32>,
    /// The least lead over the next person; where people are marked, never less than the tenant's.
    pub margin: Option<f32>,
    /// Whether faces must be live to be marked; never laxer than the tenant's, which it is if missing.
    pub liveness: Option<LivenessPolicy>,
    /// Whether head poses are estimated; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub pose: Option<bool>,
    /// Whether annotated copies come back; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub annotate: Option<bool>,
    /// Whether each photo says how its people were searched for; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub explain: Option<bool>,
    /// How urgent it is; interactive if missing.
    pub class: Option<RequestClass>,
    /// The session that is marked; the one at that time if missing.
    pub session: Option<GroupSessionId>,
    /// What took the photos: a session may wait for it. Its photos are taken to hang upright.
    pub source: Option<String>,
}

impl RecognizeParams {
    /// Errors: `Forbidden` where it would show more than a mark, or name people by other rules than the server's.
    pub(super) fn require_plain(&self) -> Result<()> {
        let shows = [self.annotate, self.explain, self.pose].contains(&Some(true));
        if self.mark == Some(false) || self.threshold.is_some() || self.margin.is_some() || shows {
            let message = "a kiosk may set at, session, source, liveness and class alone";
            return Err(Error::new(ErrorKind::Forbidden, message));
        }
        Ok(())
    }
}

/// How urgent a recognition is.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestClass {
    /// Somebody waits for the answer.
    #[default]
    Interactive,
    /// One of many photos that are worked off: whoever waits goes first.
    Bulk,
}

impl From<RequestClass> for ServiceClass {
    fn from(class: RequestClass) -> Self {
        match class {
            RequestClass::Interactive => Self::Interactive,
            RequestClass::Bulk => Self::Bulk,
        }
    }
}

/// What an identification may set.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentifyParams {
    /// The least similarity, raw cosine.
    pub threshold: Option<f32>,
    /// The least lead over the next person.
    pub margin: Option<f32>,
    /// Whether the passive liveness check runs; never laxer than the tenant's, which it is if missing.
    pub liveness: Option<LivenessPolicy>,
    /// Whether head poses are estimated; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub pose: Option<bool>,
    /// Whether annotated copies come back; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub annotate: Option<bool>,
    /// Whether each photo says how its people were searched for; false if missing.
    #[serde(default, deserialize_with = "strict_bool")]
    pub explain: Option<bool>,
}
