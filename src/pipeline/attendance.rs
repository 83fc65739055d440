//! attendance: writes the records of named faces durably, and only then answers.

use std::{sync::Arc, time::Instant};

use super::{
    messages::{Frame, Matched, MatchedFace, OutcomeFace, PhotoOutcome},
    request::{Marking, Ticket},
    station::Station,
    tools::Tools,
};
use crate::{
    domain::{AttendanceRecord, Mark, ModelId, RecordId, attendance::liveness_allows},
    error::Result,
    runtime::{Stage, StageContext},
    store::MarkOutcome,
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
        let Matched { mut ticket, frame, faces } = message;
        self.tools.faults.hit_async(HERE.actor_fault()).await;
        match self.finish(&mut ticket, frame, faces).await {
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
    async fn finish(&self, ticket: &mut Ticket, frame: Frame, faces: Vec<MatchedFace>) -> Result<PhotoOutcome> {
        let request = Arc::clone(ticket.request());
        let faces = match &request.wanted().mark {
            Some(marking) => self.mark(ticket, marking, faces).await?,
            None => faces.into_iter().map(unmarked).collect(),
        };
        let Frame { width, height, photo } = frame;
        let annotated = match photo {
            Some(photo) => Some(self.tools.annotated(ticket, photo, &faces).await?),
            None => None,
        };
        Ok(PhotoOutcome { width, height, annotated, faces, timings: std::mem::take(&mut ticket.timings) })
    }

    /// One transaction for all faces of the photo; the unique key of session and person makes a mark happen once.
    async fn mark(&self, ticket: &mut Ticket, marking: &Marking, faces: Vec<MatchedFace>) -> Result<Vec<OutcomeFace>> {
        let (model, marking) = (self.tools.networks.get().embedder.model_id().clone(), marking.clone());
        let (mut outcomes, records) =
            self.tools.work(ticket, HERE, move || Ok(apply_rules(faces, &marking, &model))).await?;
        if records.is_empty() {
            return Ok(outcomes);
        }
        let started = Instant::now();
        let (indices, records): (Vec<usize>, Vec<AttendanceRecord>) = records.into_iter().unzip();
        for (index, marked) in
            indices.into_iter().zip(self.tools.store.mark_many(&ticket.wanted().scope, records).await?)
        {
            outcomes[index].mark = match marked {
                MarkOutcome::Marked(_) => Mark::Marked,
                MarkOutcome::Already(_) => Mark::AlreadyMarked,
            };
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

fn unmarked(face: MatchedFace) -> OutcomeFace {
    OutcomeFace { face, mark: Mark::NotMarked, refused_as_not_live: false }
}

/// Every face, and the record that each named face shall have unless the liveness policy forbids it.
fn apply_rules(
    faces: Vec<MatchedFace>,
    marking: &Marking,
    model: &ModelId,
) -> (Vec<OutcomeFace>, Vec<(usize, AttendanceRecord)>) {
    let mut outcomes: Vec<OutcomeFace> = faces.into_iter().map(unmarked).collect();
    let mut records = Vec::new();
    for (index, outcome) in outcomes.iter_mut().enumerate() {
        let assessed = &outcome.face.face;
        let Some(decision) = &outcome.face.decision else { continue };
        let (Ok(person), Some(similarity)) = (&decision.verdict, decision.similarity) else { continue };
        let liveness = assessed.liveness.map(|(verdict, _)| verdict);
        if !liveness_allows(marking.policy, liveness) {
            outcome.refused_as_not_live = true;
            continue;
        }
        let record = AttendanceRecord {
            id: RecordId::generate(),
            group: marking.group.clone(),
            person: person.clone(),
            date: marking.date,
            at: marking.at,
            similarity,
            margin: decision.margin,
            width_px: assessed.face.detection.bbox.width(),
            liveness,
            model: model.clone(),
        };
        records.push((index, record));
    }
    (outcomes, records)
}
