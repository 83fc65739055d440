//! Images of one person on their way to become samples: measured, compared with each other, and refused with a reason.

use sha2::{Digest, Sha256};

use super::views::{AcceptedImage, Measured, RejectedImage};
use crate::{
    domain::{
        EnrolmentPolicy, FaceId, FaceSample, PersonId, PhotoForm, Quality, QualityGate,
        people::enrolment::{Flaw, agreeing},
        recognition::liveness::liveness_allows,
    },
    error::{Error, ErrorKind, Result},
    gallery::check_vector,
    pipeline::{
        messages::{EncodedImage, Face, PhotoOutcome},
        request::{FaceChoice, Wanted},
    },
    runtime::{ServiceClass, spawn_blocking},
    service::{
        Visit, people::Service, people::photos::NewPhoto, recognition::is_the_images_fault, recognition::wanted,
        view::ProblemView,
    },
};

/// Whose images come in, and by which rules.
pub(in crate::service) struct Entrance<'a> {
    pub(in crate::service) visit: &'a Visit,
    pub(in crate::service) person: &'a PersonId,
    /// Which face of each photo is meant.
    pub(in crate::service) faces: FaceChoice,
    /// The stricter of the tenant's gate and the request's.
    pub(in crate::service) gate: QualityGate,
    pub(in crate::service) policy: EnrolmentPolicy,
    /// Who waits for it.
    pub(in crate::service) class: ServiceClass,
    /// What is kept of each photo.
    pub(in crate::service) keeps: Option<PhotoForm>,
    /// How similar the images of one person are, raw cosine.
    pub(in crate::service) threshold: f32,
    /// The person's samples that stay.
    pub(in crate::service) stored: Vec<FaceSample>,
}

/// An image file on its way in.
pub(in crate::service) struct Shot {
    pub(in crate::service) image: EncodedImage,
    /// SHA-256 of the file.
    pub(in crate::service) digest: [u8; 32],
}

/// The images with their digests, taken off the caller's thread.
pub(in crate::service) async fn shots(images: Vec<EncodedImage>) -> Result<Vec<Shot>> {
    let digest = |image: EncodedImage| Shot { digest: Sha256::digest(&image.bytes).into(), image };
    spawn_blocking(move || images.into_iter().map(digest).collect())
        .await
        .map_err(|lost| Error::internal("images were not digested").with_source(lost))
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
pub(in crate::service) struct Judged {
    /// In the order of the images.
    pub(in crate::service) samples: Vec<FaceSample>,
    /// Those of the photos behind `samples` that are to be kept.
    pub(in crate::service) photos: Vec<NewPhoto>,
    /// The images behind `samples`.
    pub(in crate::service) accepted: Vec<AcceptedImage>,
    /// The others, in order.
    pub(in crate::service) rejected: Vec<RejectedImage>,
}

impl Service {
    /// Makes samples of the images that pass.
    ///
    /// # Errors
    /// `Unprocessable` `no_usable_image`, with every reason in the details, if none does.
    pub(super) async fn judge(&self, entrance: Entrance<'_>, images: Vec<EncodedImage>) -> Result<Judged> {
        let judged = self.sift(&entrance, shots(images).await?).await?;
        if judged.samples.is_empty() {
            return Err(Error::new(ErrorKind::Unprocessable, "none of the images could be used")
                .with_code("no_usable_image")
                .with_details(serde_json::json!({ "rejected": judged.rejected })));
        }
        Ok(judged)
    }

    /// The same where none has to pass.
    pub(in crate::service) async fn sift(&self, entrance: &Entrance<'_>, shots: Vec<Shot>) -> Result<Judged> {
        let (EnrolmentPolicy { liveness, .. }, class) = (entrance.policy, entrance.class);
        let wanted = Wanted {
            class,
            embed: true,
            measure: true,
            pose: true,
            liveness,
            copy: entrance.keeps,
            ..wanted(entrance.visit, entrance.faces)
        };
        let (images, digests): (Vec<_>, Vec<_>) = shots.into_iter().map(|shot| (shot.image, shot.digest)).unzip();
        let (mut taken, mut rejected) = (Vec::new(), Vec::new());
        for (image, (reply, digest)) in
            self.recognition.run(entrance.visit, images, wanted).await?.into_iter().zip(digests).enumerate()
        {
            match reply {
                Ok(outcome) => {
                    let face = self.take(entrance.person, image, digest, outcome)?;
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
        let mut judged = Judged { samples: Vec::new(), photos: Vec::new(), accepted: Vec::new(), rejected };
        for Taken { image, sample, measured, copy } in taken {
            let kept = copy.zip(entrance.keeps);
            judged.photos.extend(kept.map(|(jpeg, form)| NewPhoto { face: sample.id, form, jpeg }));
            judged.accepted.push(AcceptedImage { image, face: sample.id, measured });
            judged.samples.push(sample);
        }
        Ok(judged)
    }

    fn take(&self, person: &PersonId, image: usize, digest: [u8; 32], outcome: PhotoOutcome) -> Result<Taken> {
        let model = self.pipeline.tools().networks.get().embedder.model_id().clone();
        let missing = || Error::internal("an image came back without its face");
        let turned = outcome.turned().degrees();
        let face = outcome.faces.into_iter().next().ok_or_else(missing)?;
        let quality = quality(&face)?;
        let Face { detection, appearance, liveness, .. } = face;
        let appearance = appearance.ok_or_else(missing)?;
        // Before the store sees it: what is stored must be searchable.
        check_vector(&appearance.embedding.vector, model.dimension as usize)?;
        let score = detection.score;
        let measured = Measured { score, quality, liveness: liveness.map(Into::into), turned };
        let (id, person, vector) = (FaceId::generate(), person.clone(), appearance.embedding.vector);
        let sample = FaceSample { id, person, model, vector, score, quality, source: Some(digest) };
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
        let Measured { score, quality, liveness, .. } = &face.measured;
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
pub(in crate::service) fn quality(face: &Face) -> Result<Quality> {
    let measured = face.appearance.as_ref().and_then(|seen| Some((seen.embedding.norm, seen.quality?)));
    let (Some((norm, crop)), Some(pose)) = (measured, face.pose) else {
        return Err(Error::internal("a face came back without the measures that were asked for"));
    };
    Ok(Quality {
        width_px: face.detection.width_px(),
        sharpness: crop.sharpness,
        brightness: crop.brightness,
        norm,
        yaw: pose.yaw,
        pitch: pose.pitch,
        roll: pose.roll,
    })
}
