//! What a photo is evidence of, in the session that its people are marked in. Put together with their names, in
//! matching's task; attendance writes it.

use jiff::Timestamp;

use super::{
    messages::{Face, Frame},
    request::{Marking, Ticket},
    tools::Tools,
};
use crate::{
    domain::{
        Attribution, Candidate, Decision, ModelId, PhotoId, Sighting, TimeTrust,
        attendance::stranger::{Glimpse, Keeping, UnknownFace, UnknownFaces},
    },
    error::{Error, Result},
    store::Seen,
};

/// See the module.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The sighting that each attributed face is unless it was refused as not live, by the face's place.
    pub seen: Vec<(usize, Seen)>,
    /// The faces that nobody was named for, where they are to be kept.
    pub unknown: Option<UnknownFaces<Candidate>>,
}

impl Evidence {
    /// Whether it says nothing of anybody.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.unknown.as_ref().is_none_or(|unknown| unknown.faces.is_empty())
    }
}

/// What the evidence says of the photo that it is in.
pub(super) struct Taken {
    photo: PhotoId,
    at: Timestamp,
    time: TimeTrust,
    /// In pixels, upright.
    width: u32,
    height: u32,
    model: ModelId,
    keeping: Option<Keeping>,
}

impl Taken {
    /// That of a photo whose people are marked as `marking` says.
    pub(super) fn new(ticket: &Ticket, marking: &Marking, frame: &Frame, tools: &Tools) -> Result<Self> {
        let photo = ticket.photo.ok_or_else(|| Error::internal("a photo came to be marked without its id"))?;
        let &Frame { width, height, .. } = frame;
        let model = tools.networks.get().embedder.model_id().clone();
        Ok(Self { photo, at: marking.at, time: marking.time, width, height, model, keeping: marking.unknown })
    }

    /// All that its faces tell, once they are named.
    pub(super) fn evidence(&self, faces: &[Face]) -> Evidence {
        Evidence { seen: self.seen(faces), unknown: self.keeping.map(|keeping| self.unknown(faces, keeping)) }
    }

    fn seen(&self, faces: &[Face]) -> Vec<(usize, Seen)> {
        let mut seen = Vec::new();
        for (index, face) in faces.iter().enumerate().filter(|(_, face)| !face.refused_as_not_live) {
            let Some(attribution) = face.decision.as_ref().and_then(Decision::attribution) else { continue };
            let Attribution { person, similarity, margin, runner_up } = attribution;
            let sighting = Sighting {
                photo: self.photo,
                face: index as u32,
                at: self.at,
                similarity,
                margin,
                runner_up: None,
                width_px: face.detection.width_px(),
                liveness: face.liveness.map(|(verdict, _)| verdict),
                model: self.model.clone(),
                refuted: false,
                time: self.time,
            };
            seen.push((index, Seen { person: person.clone(), sighting, runner_up: runner_up.cloned() }));
        }
        seen
    }

    /// The faces that nobody was named for. One that is too small or hardly a face says nothing of whose it is.
    fn unknown(&self, faces: &[Face], keeping: Keeping) -> UnknownFaces<Candidate> {
        let mut unknown = Vec::new();
        for (index, face) in faces.iter().enumerate() {
            let (Some(decision), Some(appearance)) = (&face.decision, &face.appearance) else { continue };
            if !decision.verdict.as_ref().is_err_and(|reason| reason.is_of_stranger()) {
                continue;
            }
            let glimpse = Glimpse {
                photo: self.photo,
                face: index as u32,
                at: self.at,
                normalized: face.detection.bbox.normalized(self.width, self.height),
                width_px: face.detection.width_px(),
                liveness: face.liveness.map(|(verdict, _)| verdict),
            };
            let vector = appearance.embedding.vector.clone();
            unknown.push(UnknownFace { glimpse, vector, candidates: decision.candidates.clone() });
        }
        UnknownFaces { keeping, model: self.model.clone(), faces: unknown }
    }
}
