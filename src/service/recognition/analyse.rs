//! Looking at faces without a gallery: detection, embeddings, and one face against another.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::recognize::usable;
use crate::{
    domain::{PersonId, Quality},
    error::{Error, Result},
    gallery::SearchRequest,
    pipeline::{
        messages::{EncodedImage, Face, PhotoOutcome},
        request::{FaceChoice, Wanted},
    },
    service::{
        Visit,
        people::enrol::quality,
        recognition::Service,
        recognition::wanted,
        view::{FaceView, ProblemView, TimingsView},
    },
};

/// A photo with faces of kind `F`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AnalysedPhoto<F> {
    /// Its place in the request, from 0.
    pub image: usize,
    /// Width of the upright photo in pixels; 0 if it could not be read.
    pub width: u32,
    /// Height of the upright photo in pixels; 0 if it could not be read.
    pub height: u32,
    /// By how many degrees it was turned clockwise to find its faces upright: 90, 180 or 270; null where they are so as
    /// it came. Boxes and landmarks lie in the photo as it came.
    pub turned: Option<u16>,
    /// Its faces, best detection first.
    pub faces: Vec<F>,
    /// Why the photo could not be used.
    pub error: Option<ProblemView>,
}

/// Faces found in photos.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Detections {
    /// One entry a photo, in the order of the request.
    pub photos: Vec<AnalysedPhoto<FaceView>>,
    /// Where the time went.
    pub timings_ms: TimingsView,
}

/// A face with its vector.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EmbeddedView {
    /// Where it is.
    #[serde(flatten)]
    pub face: FaceView,
    /// Unit length; compare by dot product.
    pub embedding: Vec<f32>,
    /// How good it is for recognition.
    pub quality: Quality,
}

/// Vectors of the faces in photos.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Embeddings {
    /// The network that made them; vectors of different networks cannot be compared.
    pub model: String,
    /// Numbers in a vector.
    pub dimension: u32,
    /// One entry a photo, in the order of the request.
    pub photos: Vec<AnalysedPhoto<EmbeddedView>>,
    /// Where the time went.
    pub timings_ms: TimingsView,
}

/// The one face of an image.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SingleFace {
    /// Where it is.
    #[serde(flatten)]
    pub face: FaceView,
    /// By how many degrees the image was turned clockwise to find it upright: 90, 180 or 270; null where it is so as the
    /// image came.
    pub turned: Option<u16>,
}

/// Two faces compared.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// Raw cosine.
    pub similarity: f32,
    /// The face of each image.
    pub faces: Vec<SingleFace>,
}

/// A face compared with one person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    /// Who it is said to be.
    pub person: PersonId,
    /// Raw cosine to the best of their samples.
    pub similarity: f32,
    /// The least similarity that verifies.
    pub threshold: f32,
    /// Whether it is them: similar enough, and not nearer to a face that is known not to be theirs.
    pub verified: bool,
    /// The face.
    pub face: SingleFace,
}

/// Which face of each image is meant.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CompareParams {
    /// Which face of each image is meant.
    #[serde(default)]
    pub faces: FaceChoice,
}

/// What a verification may set.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyParams {
    /// Which face of the image is meant.
    #[serde(default)]
    pub faces: FaceChoice,
    /// The least similarity that verifies, raw cosine.
    pub threshold: Option<f32>,
}

/// Nothing can be set.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

impl Service {
    /// The faces in photos.
    pub async fn detect(&self, visit: &Visit, images: Vec<EncodedImage>) -> Result<Detections> {
        let (photos, timings_ms) =
            self.analyse(visit, images, wanted(visit, FaceChoice::All), |_, view| Ok(view)).await?;
        Ok(Detections { photos, timings_ms })
    }

    /// The vectors of the faces in photos.
    pub async fn embeddings(&self, visit: &Visit, images: Vec<EncodedImage>) -> Result<Embeddings> {
        let wanted = Wanted { embed: true, measure: true, pose: true, ..wanted(visit, FaceChoice::All) };
        let (photos, timings_ms) = self
            .analyse(visit, images, wanted, |face, view| {
                Ok(EmbeddedView { face: view, quality: quality(face)?, embedding: vector(face)?.to_vec() })
            })
            .await?;
        let model = self.pipeline.tools().networks.get().embedder.model_id().clone();
        Ok(Embeddings { model: model.name.to_string(), dimension: model.dimension, photos, timings_ms })
    }

    /// One face against another.
    ///
    /// # Errors
    /// `Invalid` unless there are exactly two images; the image's own error if one cannot be used.
    pub async fn compare(&self, visit: &Visit, choice: FaceChoice, images: Vec<EncodedImage>) -> Result<Comparison> {
        if images.len() != 2 {
            return Err(Error::invalid("send exactly two images").with_code("two_images_wanted"));
        }
        let faces = self.single_faces(visit, choice, images).await?;
        let [(a, first), (b, second)] = <[_; 2]>::try_from(faces)
            .map_err(|_| Error::internal("two images came back as another number of faces"))?;
        let similarity = vector(&a)?.iter().zip(vector(&b)?).map(|(x, y)| x * y).sum();
        Ok(Comparison { similarity, faces: vec![first, second] })
    }

    /// One face against one person (1:1).
    ///
    /// # Errors
    /// `NotFound` for an unknown person, `Invalid` unless there is exactly one image, `Unprocessable` `consent_required`,
    /// the image's own error if it cannot be used.
    pub async fn verify(
        &self,
        visit: &Visit,
        person: &PersonId,
        params: &VerifyParams,
        images: Vec<EncodedImage>,
    ) -> Result<Verification> {
        let known = self.store.person(visit, person).await?.person;
        visit.settings().enrolment.consent.require(known.consent.as_ref(), self.clock.now())?;
        if images.len() != 1 {
            return Err(Error::invalid("send exactly one image").with_code("one_image_wanted"));
        }
        let changes = crate::service::RuleChanges { threshold: params.threshold, margin: None };
        let threshold = changes.apply(self.naming_under(visit.settings()).roster)?.threshold;
        let faces = self.single_faces(visit, params.faces, images).await?;
        let (outcome, face) =
            faces.into_iter().next().ok_or_else(|| Error::internal("an image came back without its face"))?;
        let roster = [person.clone()];
        let request = SearchRequest { queries: vector(&outcome)?, top: 1, roster: Some(&roster) };
        let gallery = self.galleries.tenant(visit).await?;
        let mut best = gallery.search(&request)?.per_query.into_iter().next().unwrap_or_default();
        let Some(similarity) = best.first().map(|best| best.similarity) else {
            // They may have gone meanwhile, or their consent.
            let known = self.store.person(visit, person).await?.person;
            visit.settings().enrolment.consent.require(known.consent.as_ref(), self.clock.now())?;
            return Err(Error::invalid("this person has no face sample").with_code("no_samples"));
        };
        gallery.disown(request.queries, &mut best);
        let verified = similarity >= threshold && !best.is_empty();
        Ok(Verification { person: person.clone(), similarity, threshold, verified, face })
    }

    /// The one face of each image, embedded; the first image's error if one cannot be used.
    pub(in crate::service) async fn single_faces(
        &self,
        visit: &Visit,
        choice: FaceChoice,
        images: Vec<EncodedImage>,
    ) -> Result<Vec<(Face, SingleFace)>> {
        let wanted = Wanted { embed: true, ..wanted(visit, choice) };
        let mut faces = Vec::with_capacity(images.len());
        for (image, reply) in self.run(visit, images, wanted).await?.into_iter().enumerate() {
            let outcome = reply.map_err(|failure| failure.error.with_details(serde_json::json!({ "image": image })))?;
            let (width, height, turned) = (outcome.width, outcome.height, outcome.turned().degrees());
            let face = outcome
                .faces
                .into_iter()
                .next()
                .ok_or_else(|| Error::internal("an image came back without its face"))?;
            let view = SingleFace { face: FaceView::new(&face.detection, width, height), turned };
            faces.push((face, view));
        }
        Ok(faces)
    }

    async fn analyse<F>(
        &self,
        visit: &Visit,
        images: Vec<EncodedImage>,
        wanted: Wanted,
        view: impl Fn(&Face, FaceView) -> Result<F>,
    ) -> Result<(Vec<AnalysedPhoto<F>>, TimingsView)> {
        let mut timings = TimingsView::default();
        let mut photos = Vec::new();
        for (image, reply) in usable(self.run(visit, images, wanted).await?)?.into_iter().enumerate() {
            photos.push(match reply {
                Ok(outcome) => {
                    timings.add(&outcome.timings);
                    let turned = outcome.turned().degrees();
                    let PhotoOutcome { width, height, faces, .. } = outcome;
                    let faces = faces
                        .iter()
                        .map(|face| view(face, FaceView::new(&face.detection, width, height)))
                        .collect::<Result<_>>()?;
                    AnalysedPhoto { image, width, height, turned, faces, error: None }
                }
                Err(failure) => AnalysedPhoto {
                    image,
                    width: 0,
                    height: 0,
                    turned: None,
                    faces: Vec::new(),
                    error: Some(ProblemView::from(&failure)),
                },
            });
        }
        Ok((photos, timings))
    }
}

pub(in crate::service) fn vector(face: &Face) -> Result<&[f32]> {
    face.appearance
        .as_ref()
        .map(|appearance| appearance.embedding.vector.as_slice())
        .ok_or_else(|| Error::internal("a face came back without the vector that was asked for"))
}
