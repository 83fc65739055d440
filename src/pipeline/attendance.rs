//! attendance: writes the sightings of named faces durably, and the unknown ones where they are kept, and only then
//! answers.

use std::{sync::Arc, time::Instant};

use super::{
    evidence::Evidence,
    messages::{Face, Frame, Matched, PhotoOutcome},
    request::{Marking, Ticket},
    station::Station,
    tools::Tools,
};
use crate::{
    domain::SessionOrigin,
    error::Result,
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
        let Matched { mut ticket, frame, mut faces, evidence, searched } = message;
        self.tools.faults.hit_async(HERE.actor_fault()).await;
        let finished = async {
            self.mark(&mut ticket, evidence, &mut faces).await?;
            self.outcome(&mut ticket, frame, faces, searched).await
        };
        match finished.await {
            Ok(outcome) => {
                self.count(&outcome.faces);
                ticket.answer(Ok(outcome));
            }
            Err(error) => self.tools.fail(context, ticket, HERE, error),
        }
    }
}

impl Attendance {
    /// One transaction for all faces of the photo; the unique key of session and person makes a mark happen once.
    async fn mark(&self, ticket: &mut Ticket, evidence: Evidence, faces: &mut [Face]) -> Result<()> {
        let request = Arc::clone(ticket.request());
        let Some(marking) = &request.wanted().mark else { return Ok(()) };
        let started = Instant::now();
        if !evidence.is_empty() || marking.session.origin != SessionOrigin::Day {
            let Marking { session, at, time, source, judged_under, .. } = marking.clone();
            let Evidence { seen, unknown } = evidence;
            let (places, seen): (Vec<usize>, Vec<Seen>) = seen.into_iter().unzip();
            let liveness = request.wanted().liveness;
            let marks = PhotoMarks { session, at, time, source, seen, unknown, judged_under, liveness };
            let marked = self.tools.store.mark_photo(&request.wanted().scope, marks).await?;
            for (place, mark) in places.into_iter().zip(marked) {
                faces[place].mark = mark;
            }
        }
        let worked = started.elapsed();
        ticket.note_time(HERE.name(), worked);
        // No task of the pool, which would tell this by itself.
        self.tools.metrics.stage_seconds.with_label_values(&[HERE.name(), "work"]).observe(worked.as_secs_f64());
        Ok(())
    }

    /// Draws what was asked. The pixels end here: answers that wait for each other hold none.
    async fn outcome(
        &self,
        ticket: &mut Ticket,
        frame: Frame,
        faces: Vec<Face>,
        searched: Option<Effort>,
    ) -> Result<PhotoOutcome> {
        let request = Arc::clone(ticket.request());
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
        self.tools.faults.hit_async("attendance.done").await;
        let timings = std::mem::take(&mut ticket.timings);
        Ok(PhotoOutcome { photo: ticket.photo, width, height, annotated, copy, faces, searched, timings })
    }

    fn count(&self, faces: &[Face]) {
        self.tools.metrics.photos.with_label_values(&["done"]).inc();
        for decision in faces.iter().filter_map(|face| face.decision.as_ref()) {
            let outcome = decision.verdict.as_ref().err().map_or("named", |reason| reason.code());
            self.tools.metrics.faces.with_label_values(&[outcome]).inc();
        }
    }
}
