//! attendance: writes the sightings of named faces durably, and the unknown ones where they are kept, and only then
//! answers.

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;

use super::{
    messages::{AssessedFace, Frame, Matched, MatchedFace, OutcomeFace, PhotoOutcome},
    request::{Marking, Ticket},
    station::Station,
    tools::Tools,
};
use crate::{
    domain::{
        Candidate, Decision, Mark, ModelId, PhotoId, SessionOrigin, Sighting, TimeTrust,
        attendance::{LivenessPolicy, liveness_allows},
        matching::Attribution,
        stranger::{Glimpse, Keeping, UnknownFace, UnknownFaces},
    },
    error::{Error, Result},
    gallery::Effort,
    runtime::{Stage, StageContext},
    store::{PhotoMarks, Seen},
};

const HERE: Station = Station::Attendance;

/// The stage; see the module.
#[derive(Clone)]
pub(super) struct Attendance {
    pub(super) tools: Tools,
}

impl Stage for Attendance {
    type Message = Matched;

    fn handle(&self, message: Matched, context: StageContext) -> impl Future<Output = ()> + 'static {
        let stage = self.clone();
        async move { stage.record(message, &context).await }
    }
}

impl Attendance {
    async fn record(&self, message: Matched, context: &StageContext) {
        let Matched { mut ticket, frame, faces, searched } = message;
        self.tools.faults.hit_async(HERE.actor_fault()).await;
        match self.finish(&mut ticket, frame, faces, searched).await {
            Ok(outcome) => {
                self.count(&outcome.faces);
                ticket.answer(Ok(outcome));
            }
            Err(error) => self.tools.fail(context, ticket, HERE, error),
        }
    }
}

impl Attendance {
    /// Marks and draws what was asked. The pixels end here: answers that wait for each other hold none.
    async fn finish(
        &self,
        ticket: &mut Ticket,
        frame: Frame,
        faces: Vec<MatchedFace>,
        searched: Option<Effort>,
    ) -> Result<PhotoOutcome> {
        let request = Arc::clone(ticket.request());
        let policy = request.wanted().liveness;
        let faces: Vec<OutcomeFace> = faces.into_iter().map(|face| unmarked(face, policy)).collect();
        let faces = match &request.wanted().mark {
            Some(marking) => self.mark(ticket, marking, &frame, faces).await?,
            None => faces,
        };
        let Frame { width, height, photo } = frame;
        let wanted = request.wanted();
        let copy = match photo.clone().zip(wanted.copy) {
            Some((photo, form)) => Some(self.tools.copied(ticket, photo, &faces, form).await?),
            None => None,
        };
        let annotated = match photo.filter(|_| wanted.annotate) {
            Some(photo) => Some(self.tools.annotated(ticket, photo, &faces).await?),
            None => None,
        };
        let timings = std::mem::take(&mut ticket.timings);
        Ok(PhotoOutcome { photo: ticket.photo, width, height, annotated, copy, faces, searched, timings })
    }

    /// One transaction for all faces of the photo; the unique key of session and person makes a mark happen once.
    async fn mark(
        &self,
        ticket: &mut Ticket,
        marking: &Marking,
        frame: &Frame,
        faces: Vec<OutcomeFace>,
    ) -> Result<Vec<OutcomeFace>> {
        let model = self.tools.networks.get().embedder.model_id().clone();
        let Marking { session, at, time, source, unknown } = marking.clone();
        let photo = ticket.photo.ok_or_else(|| Error::internal("a photo came to be marked without its id"))?;
        let taken = Taken { photo, at, time, width: frame.width, height: frame.height, model };
        let prepare = move || {
            let seen = taken.seen(&faces);
            let unknown = unknown.map(|keeping| taken.unknown(&faces, keeping));
            Ok((faces, seen, unknown))
        };
        let (mut outcomes, seen, unknown) = self.tools.work(ticket, HERE, prepare).await?;
        let is_empty = seen.is_empty() && unknown.as_ref().is_none_or(|unknown| unknown.faces.is_empty());
        if is_empty && session.origin == SessionOrigin::Day {
            return Ok(outcomes);
        }
        let started = Instant::now();
        let (indices, seen): (Vec<usize>, Vec<Seen>) = seen.into_iter().unzip();
        let marks = PhotoMarks { session, at, time, source, seen, unknown };
        for (index, mark) in indices.into_iter().zip(self.tools.store.mark_photo(&ticket.wanted().scope, marks).await?)
        {
            outcomes[index].mark = mark;
        }
        ticket.note_time(HERE.name(), started.elapsed());
        Ok(outcomes)
    }

    fn count(&self, faces: &[OutcomeFace]) {
        self.tools.metrics.photos.with_label_values(&["done"]).inc();
        for decision in faces.iter().filter_map(|face| face.face.decision.as_ref()) {
            let outcome = decision.verdict.as_ref().err().map_or("named", |reason| reason.code());
            self.tools.metrics.faces.with_label_values(&[outcome]).inc();
        }
    }
}

/// A face before marking. What the liveness policy forbids shows even where no marks are asked.
fn unmarked(face: MatchedFace, policy: LivenessPolicy) -> OutcomeFace {
    let is_attributed = face.decision.as_ref().is_some_and(|decision| decision.attribution().is_some());
    let verdict = face.face.liveness.map(|(verdict, _)| verdict);
    OutcomeFace { refused_as_not_live: is_attributed && !liveness_allows(policy, verdict), face, mark: Mark::NotMarked }
}

/// What the evidence says of the photo that it is in.
struct Taken {
    photo: PhotoId,
    at: Timestamp,
    time: TimeTrust,
    /// In pixels, upright.
    width: u32,
    height: u32,
    model: ModelId,
}

impl Taken {
    /// The sighting that each attributed face is unless it was refused as not live, by the face's place.
    fn seen(&self, faces: &[OutcomeFace]) -> Vec<(usize, Seen)> {
        let mut seen = Vec::new();
        for (index, outcome) in faces.iter().enumerate().filter(|(_, outcome)| !outcome.refused_as_not_live) {
            let assessed = &outcome.face.face;
            let Some(attribution) = outcome.face.decision.as_ref().and_then(Decision::attribution) else { continue };
            let Attribution { person, similarity, margin, runner_up } = attribution;
            let sighting = Sighting {
                photo: self.photo,
                face: index as u32,
                at: self.at,
                similarity,
                margin,
                runner_up: None,
                width_px: assessed.face.detection.width_px(),
                liveness: assessed.liveness.map(|(verdict, _)| verdict),
                model: self.model.clone(),
                refuted: false,
                time: self.time,
            };
            seen.push((index, Seen { person: person.clone(), sighting, runner_up: runner_up.cloned() }));
        }
        seen
    }

    /// The faces that nobody was named for. One that is too small or hardly a face says nothing of whose it is.
    fn unknown(&self, faces: &[OutcomeFace], keeping: Keeping) -> UnknownFaces<Candidate> {
        let mut unknown = Vec::new();
        for (index, outcome) in faces.iter().enumerate() {
            let AssessedFace { face, liveness, .. } = &outcome.face.face;
            let (Some(decision), Some(appearance)) = (&outcome.face.decision, &face.appearance) else { continue };
            if !decision.verdict.as_ref().is_err_and(|reason| reason.is_of_stranger()) {
                continue;
            }
            let glimpse = Glimpse {
                photo: self.photo,
                face: index as u32,
                at: self.at,
                normalized: face.detection.bbox.normalized(self.width, self.height),
                width_px: face.detection.width_px(),
                liveness: liveness.map(|(verdict, _)| verdict),
            };
            let vector = appearance.embedding.vector.clone();
            unknown.push(UnknownFace { glimpse, vector, candidates: decision.candidates.clone() });
        }
        UnknownFaces { keeping, model: self.model.clone(), faces: unknown }
    }
}
