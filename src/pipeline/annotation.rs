//! The annotated copy of a photo: drawn at the end of the flow, so that no answer holds pixels.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ingest::full,
    messages::{EncodedImage, Face, HeldPhoto, number},
    request::Ticket,
    tools::{Tools, while_wanted},
};
use crate::{
    domain::{LivenessVerdict, PersonId},
    error::Result,
    runtime::{CancelToken, JobSpec},
    vision::annotate::{Annotation, AnnotationKind, annotate, legend_bytes},
};

/// The step's name in timings.
const STEP: &str = "annotate";

impl Tools {
    /// A JPEG of the photo with its faces framed and numbered, the people named, and a legend under it. The photo's own
    /// pixels are drawn on where nobody else has it. Errors: `Overloaded` where there is no memory for the answer that
    /// the JPEG is sent in.
    pub(super) async fn annotated(
        &self,
        ticket: &mut Ticket,
        photo: HeldPhoto,
        faces: &[Face],
    ) -> Result<EncodedImage> {
        let people: Vec<PersonId> = faces.iter().filter_map(Face::person).cloned().collect();
        let names = self.store.names(&ticket.wanted().scope, people.clone()).await?;
        let names: BTreeMap<PersonId, Option<String>> = people.into_iter().zip(names).collect();
        let numbered = faces.iter().enumerate();
        let annotations: Vec<Annotation> = numbered.map(|(place, face)| annotation(place, face, &names)).collect();
        let turn = ticket.request().turn().clone();
        let legend = legend_bytes(&photo.photo, &annotations) as u64;
        // The people are marked by now: without memory for a legend there is a copy without one.
        let legend_held = self.budget.reserve_past_line(&turn, legend).ok();
        let fonts = self.options.annotation_fonts.clone();
        let job = JobSpec { turn: turn.clone(), stage: STEP, stage_rank: u8::MAX, cancel: CancelToken::default() };
        let drawn = self
            .pool
            .run(job, move || annotate(Arc::unwrap_or_clone(photo.photo), &annotations, &fonts, legend_held.is_some()));
        let jpeg = while_wanted(ticket, STEP, drawn).await??;
        let held = self.budget.reserve_past_line(&turn, (jpeg.len().div_ceil(3) * 4) as u64).map_err(full)?;
        Ok(EncodedImage { bytes: jpeg.into(), held })
    }
}

fn annotation(place: usize, face: &Face, names: &BTreeMap<PersonId, Option<String>>) -> Annotation {
    let person = face.person();
    let spoof = face.liveness.is_some_and(|(verdict, _)| verdict == LivenessVerdict::Spoof);
    let kind = match person {
        _ if spoof || face.refused_as_not_live => AnnotationKind::NotLive,
        Some(_) => AnnotationKind::Named,
        None => AnnotationKind::Unknown,
    };
    // The id where no font has the letters of the name.
    let name = |person: &PersonId| names.get(person).cloned().flatten().into_iter().chain([person.to_string()]);
    Annotation {
        bbox: face.detection.bbox,
        number: number(place),
        names: person.into_iter().flat_map(name).collect(),
        similarity: face.decision.as_ref().and_then(|decision| decision.similarity),
        kind,
    }
}
