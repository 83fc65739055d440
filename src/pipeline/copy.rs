//! The copy of a photo that is to be kept: made at the end of the flow, while its pixels are there.

use super::{
    messages::{Face, HeldPhoto},
    request::Ticket,
    tools::{Tools, while_wanted},
};
use crate::{
    domain::PhotoForm,
    error::{Error, Result},
    runtime::{CancelToken, JobSpec},
    vision::copy,
};

/// The step's name in timings.
const STEP: &str = "copy";

impl Tools {
    /// A JPEG of the photo, or of its first face.
    pub(super) async fn copied(
        &self,
        ticket: &mut Ticket,
        photo: HeldPhoto,
        faces: &[Face],
        form: PhotoForm,
    ) -> Result<Vec<u8>> {
        let face = faces.first().map(|face| face.detection);
        let turn = ticket.request().turn().clone();
        let job = JobSpec { turn, stage: STEP, stage_rank: u8::MAX, cancel: CancelToken::default() };
        let copied = self.pool.run(job, move || match (form, face) {
            (PhotoForm::Original, face) => {
                copy::original(&photo.photo, face.map(|face| face.turned).unwrap_or_default())
            }
            (PhotoForm::Crop, Some(face)) => copy::crop(&photo.photo, &face.bbox, face.turned),
            (PhotoForm::Crop, None) => Err(Error::internal("a photo of nobody is to be kept")),
        });
        while_wanted(ticket, STEP, copied).await?
    }
}
