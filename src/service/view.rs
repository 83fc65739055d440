//! The parts that answers share: faces, candidates, problems, timings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{Candidate, Detection, FaceBox, Landmarks, LivenessVerdict, PersonId},
    error::Error,
    pipeline::{Station, messages::PhotoFailure, request::Timings},
};

/// Where a face is in its photo.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FaceView {
    /// In pixels of the upright photo; of one whose faces lie on their side or upside down, as it came.
    #[serde(rename = "box")]
    pub bbox: FaceBox,
    /// The box in shares of the photo's width and height.
    pub normalized: FaceBox,
    /// Eye, eye, nose, mouth corner, mouth corner, left to right as the viewer of the upright face sees them, in pixels.
    #[schema(value_type = Vec<Vec<f32>>)]
    pub landmarks: Landmarks,
    /// The detector's confidence, 0..=1.
    pub score: f32,
    /// Width of the face in pixels: of its box, or the height of that where the face lies on its side.
    pub width_px: f32,
}

impl FaceView {
    /// The view of a detection in a photo of `width` × `height` pixels.
    pub fn new(detection: &Detection, width: u32, height: u32) -> Self {
        Self {
            bbox: detection.bbox,
            normalized: detection.bbox.normalized(width, height),
            landmarks: detection.landmarks,
            score: detection.score,
            width_px: detection.width_px(),
        }
    }
}

/// A person who may be behind a face.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CandidateView {
    /// Who.
    pub person: PersonId,
    /// Raw cosine to the best of their samples.
    pub similarity: f32,
}

impl From<&Candidate> for CandidateView {
    fn from(candidate: &Candidate) -> Self {
        Self { person: candidate.person.clone(), similarity: candidate.similarity }
    }
}

/// A person who may be behind a face, by id and name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NamedCandidate {
    /// Who.
    pub person: PersonId,
    /// Their name.
    pub name: Option<String>,
    /// Raw cosine to the best of their samples.
    pub similarity: f32,
}

/// What the liveness check says of a face.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LivenessView {
    /// The verdict.
    pub verdict: LivenessVerdict,
    /// Probability of a live face, 0..=1; null where the face is too small to tell.
    pub score: Option<f32>,
}

impl From<(LivenessVerdict, Option<f32>)> for LivenessView {
    fn from((verdict, score): (LivenessVerdict, Option<f32>)) -> Self {
        Self { verdict, score }
    }
}

/// Why an image or a photo could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemView {
    /// For machines.
    pub code: String,
    /// For people.
    pub message: String,
}

impl From<&Error> for ProblemView {
    fn from(error: &Error) -> Self {
        Self { code: error.code().to_owned(), message: error.message().to_owned() }
    }
}

impl From<&PhotoFailure> for ProblemView {
    fn from(failure: &PhotoFailure) -> Self {
        Self::from(&failure.error)
    }
}

/// Where the time of a request's photos went, in milliseconds, all photos added up.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct TimingsView(pub BTreeMap<String, StageTimeView>);

/// Time in one stage, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
pub struct StageTimeView {
    /// Waiting for room or for a thread.
    pub queue: f64,
    /// Being worked on.
    pub work: f64,
}

impl TimingsView {
    /// Adds a photo's times.
    pub fn add(&mut self, timings: &Timings) {
        for time in &timings.0 {
            let sum = self.0.entry(time.stage.to_owned()).or_default();
            sum.queue += time.queued.as_secs_f64() * 1e3;
            sum.work += time.worked.as_secs_f64() * 1e3;
        }
    }

    /// The times in flow order.
    pub fn in_order(&self) -> impl Iterator<Item = (&'static str, StageTimeView)> {
        Station::ALL.into_iter().filter_map(|station| Some((station.name(), *self.0.get(station.name())?)))
    }
}
