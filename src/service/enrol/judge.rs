//! Images of one person on their way to become samples: measured, compared with each other, and refused with a reason.

use super::views::{AcceptedImage, Measured, RejectedImage};
use crate::{
    domain::{
        EnrolmentPolicy, FaceId, FaceSample, PersonId, PhotoForm, Quality, QualityGate, TenantScope,
        attendance::liveness_allows,
        enrolment::{Flaw, agreeing},
    },
    error::{Error, ErrorKind, Result},
    gallery::check_vector,
    pipeline::{
        messages::{EncodedImage, OutcomeFace, PhotoOutcome},
        request::{FaceChoice, Wanted},
    },
    service::{Service, is_the_images_fault, photos::NewPhoto, view::ProblemView, wanted},
};

/// Whose images come in, and by which rules.
pub(super) struct Entrance<'a> {
    pub(super) scope: &'a TenantScope,
    pub(super) person: &'a PersonId,
    /// Which face of each photo is meant.
    pub(super) faces: FaceChoice,
    /// The stricter of the tenant's gate and the request's.
    pub(super) gate: QualityGate,
    pub(super) policy: EnrolmentPolicy,
    /// What is kept of each photo.
    pub(super) keeps: Option<PhotoForm>,
    /// How similar the images of one person are, raw cosine.
    pub(super) threshold: f32,
    /// The person's samples that stay.
    pub(super) stored: Vec<FaceSample>,
}

/// A face that may become a sample.
struct Taken {
    image: usize,
    sample: FaceSample,
    measured: Measured,
    /// The photo that is to be kept.
    copy: Option<Vec<u8>>,
}

/// What became of a request's images.
pub(super) struct Judged {
    /// In the order of the images; never empty.
    pub(super) samples: Vec<FaceSample>,
    /// Those of the photos behind `samples` that are to be kept.
    pub(super) photos: Vec<NewPhoto>,
    /// The images behind `samples`.
    pub(super) accepted: Vec<AcceptedImage>,
    /// The others, in order.
    pub(super) rejected: Vec<RejectedImage>,
}

impl Service {
    /// Makes samples of the images that pass.
    ///
    /// # Errors
    /// `Unprocessable` `no_usable_image`, with every reason in the details, if none does.
    pub(super) async fn judge(&self, entrance: Entrance<'_>, images: Vec<EncodedImage>) -> Result<Judged> {
        let EnrolmentPolicy { liveness, .. } = entrance.policy;
        let wanted = Wanted {
            embed: true,
            measure: true,
            pose: true,
            liveness,
            copy: entrance.keeps,
            ..wanted(entrance.scope, entrance.faces)
        };
        let (mut taken, mut rejected) = (Vec::new(), Vec::new());
        for (image, reply) in self.run(images, wanted).await?.into_iter().enumerate() {
            match reply {
                Ok(outcome) => {
                    let face = self.take(entrance.person, image, outcome)?;
                    match entrance.flaw(&face) {
                        Some(flaw) => rejected.push(face.refused(flaw)),
                        None => taken.push(face),
                    }
                }
                Err(failure) if is_the_images_fault(&failure.error) => {
                    let ProblemView { code, message } = ProblemView::from(&failure);
                    rejected.push(RejectedImage { image, reason: code, message, measured: None });
                }
                Err(failure) => return Err(failure.error),
            }
        }
        if entrance.gate != QualityGate::Off {
            taken = entrance.agreed(taken, &mut rejected);
        }
        rejected.sort_by_key(|image| image.image);
        if taken.is_empty() {
            return Err(Error::new(ErrorKind::Unprocessable, "none of the images could be used")
                .with_code("no_usable_image")
                .with_details(serde_json::json!({ "rejected": rejected })));
        }
        let mut judged = Judged { samples: Vec::new(), photos: Vec::new(), accepted: Vec::new(), rejected };
        for Taken { image, sample, measured, copy } in taken {
            let kept = copy.zip(entrance.keeps);
            judged.photos.extend(kept.map(|(jpeg, form)| NewPhoto { face: sample.id, form, jpeg }));
            judged.accepted.push(AcceptedImage { image, face: sample.id, measured });
            judged.samples.push(sample);
        }
        Ok(judged)
    }

    fn take(&self, person: &PersonId, image: usize, outcome: PhotoOutcome) -> Result<Taken> {
        let model = self.pipeline.tools().networks.get().embedder.model_id().clone();
        let missing = || Error::internal("an image came back without its face");
        let face = outcome.faces.into_iter().next().ok_or_else(missing)?;
        let quality = quality(&face)?;
        let assessed = face.face.face;
        let appearance = assessed.face.appearance.ok_or_else(missing)?;
        // Before the store sees it: what is stored must be searchable.
        check_vector(&appearance.embedding.vector, model.dimension as usize)?;
        let score = assessed.face.detection.score;
        let measured = Measured { score, quality, liveness: assessed.liveness.map(Into::into) };
        let (id, person, vector) = (FaceId::generate(), person.clone(), appearance.embedding.vector);
        let sample = FaceSample { id, person, model, vector, score, quality };
        Ok(Taken { image, sample, measured, copy: outcome.copy })
    }
}

impl Entrance<'_> {
    /// Those that agree with the others and with the stored samples of their model.
    fn agreed(&self, taken: Vec<Taken>, rejected: &mut Vec<RejectedImage>) -> Vec<Taken> {
        let images: Vec<&[f32]> = taken.iter().map(|face| face.sample.vector.as_slice()).collect();
        let ours = |sample: &&FaceSample| taken.iter().all(|face| face.sample.model == sample.model);
        let stored: Vec<&[f32]> = self.stored.iter().filter(ours).map(|sample| sample.vector.as_slice()).collect();
        let agree = agreeing(&images, &stored, self.threshold);
        let (kept, strange): (Vec<_>, Vec<_>) = taken.into_iter().zip(agree).partition(|&(_, agrees)| agrees);
        rejected.extend(strange.into_iter().map(|(face, _)| face.refused(Flaw::Inconsistent)));
        kept.into_iter().map(|(face, _)| face).collect()
    }

    /// What is wrong with a face by itself.
    fn flaw(&self, face: &Taken) -> Option<Flaw> {
        let Measured { score, quality, liveness } = &face.measured;
        let is_live = liveness_allows(self.policy.liveness, liveness.map(|liveness| liveness.verdict));
        self.gate.flaw(*score, quality).or((!is_live).then_some(Flaw::NotLive))
    }
}

impl Taken {
    fn refused(self, flaw: Flaw) -> RejectedImage {
        let (reason, message) = (flaw.code().to_owned(), flaw.advice().to_owned());
        RejectedImage { image: self.image, reason, message, measured: Some(self.measured) }
    }
}

/// The measures of an embedded face with a pose.
pub(in crate::service) fn quality(face: &OutcomeFace) -> Result<Quality> {
    let assessed = &face.face.face;
    let measured = assessed.face.appearance.as_ref().and_then(|seen| Some((seen.embedding.norm, seen.quality?)));
    let (Some((norm, crop)), Some(pose)) = (measured, assessed.pose) else {
        return Err(Error::internal("a face came back without the measures that were asked for"));
    };
    Ok(Quality {
        width_px: assessed.face.detection.bbox.width(),
        sharpness: crop.sharpness,
        brightness: crop.brightness,
        norm,
        yaw: pose.yaw,
        pitch: pose.pitch,
        roll: pose.roll,
    })
}
