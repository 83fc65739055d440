//! attendance: writes the sightings of named faces durably, and only then answers.

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;

use super::{
    messages::{Frame, Matched, MatchedFace, OutcomeFace, PhotoOutcome},
    request::{Marking, Ticket},
    station::Station,
    tools::Tools,
};
use crate::{
    domain::{
        Mark, ModelId, PersonId, PhotoId, SessionOrigin, Sighting,
        attendance::{LivenessPolicy, liveness_allows},
    },
    error::{Error, Result},
    gallery::Effort,
    runtime::{Stage, StageContext},
    store::PhotoMarks,
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
            Some(marking) => self.mark(ticket, marking, faces).await?,
            None => faces,
        };
        let Frame { width, height, photo } = frame;
        let wanted = request.wanted();
        let annotated = match photo.clone().filter(|_| wanted.annotate) {
            Some(photo) => Some(self.tools.annotated(ticket, photo, &faces).await?),
            None => None,
        };
        let copy = match photo.zip(wanted.copy) {
            Some((photo, form)) => Some(self.tools.copied(ticket, photo, &faces, form).await?),
            None => None,
        };
        let timings = std::mem::take(&mut ticket.timings);
        Ok(PhotoOutcome { photo: ticket.photo, width, height, annotated, copy, faces, searched, timings })
    }

    /// One transaction for all faces of the photo; the unique key of session and person makes a mark happen once.
    async fn mark(&self, ticket: &mut Ticket, marking: &Marking, faces: Vec<OutcomeFace>) -> Result<Vec<OutcomeFace>> {
        let (model, at) = (self.tools.networks.get().embedder.model_id().clone(), marking.at);
        let photo = ticket.photo.ok_or_else(|| Error::internal("a photo came to be marked without its id"))?;
        let prepare = move || {
            let seen = seen(&faces, photo, at, &model);
            Ok((faces, seen))
        };
        let (mut outcomes, seen) = self.tools.work(ticket, HERE, prepare).await?;
        let Marking { session, at, source } = marking.clone();
        if seen.is_empty() && session.origin == SessionOrigin::Day {
            return Ok(outcomes);
        }
        let started = Instant::now();
        let (indices, seen): (Vec<usize>, Vec<(PersonId, Sighting)>) = seen.into_iter().unzip();
        let marks = PhotoMarks { session, at, source, seen };
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
    let is_named = face.decision.as_ref().is_some_and(|decision| decision.verdict.is_ok());
    let verdict = face.face.liveness.map(|(verdict, _)| verdict);
    OutcomeFace { refused_as_not_live: is_named && !liveness_allows(policy, verdict), face, mark: Mark::NotMarked }
}

/// The sighting that each named face is unless it was refused as not live, by the face's place.
fn seen(faces: &[OutcomeFace], photo: PhotoId, at: Timestamp, model: &ModelId) -> Vec<(usize, (PersonId, Sighting))> {
    let mut seen = Vec::new();
    for (index, outcome) in faces.iter().enumerate().filter(|(_, outcome)| !outcome.refused_as_not_live) {
        let assessed = &outcome.face.face;
        let Some(decision) = &outcome.face.decision else { continue };
        let (Ok(person), Some(similarity)) = (&decision.verdict, decision.similarity) else { continue };
        let sighting = Sighting {
            photo,
            face: index as u32,
            at,
            similarity,
            margin: decision.margin,
            width_px: assessed.face.detection.bbox.width(),
            liveness: assessed.liveness.map(|(verdict, _)| verdict),
            model: model.clone(),
            refuted: false,
        };
        seen.push((index, (person.clone(), sighting)));
    }
    seen
}
