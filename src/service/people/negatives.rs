//! "That was not Ada": faces that a person is not to be taken for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{FaceId, Negative, PersonId, TenantScope},
    error::{Error, Result},
    gallery::check_vector,
    pipeline::{messages::EncodedImage, request::FaceChoice},
    service::{Visit, people::Service, recognition::analyse::vector},
};

/// Which face is not the person's: the one of the image, or a sample of somebody else.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNegative {
    /// Which face of the image is meant.
    #[serde(default)]
    pub faces: FaceChoice,
    /// Somebody else, such as a twin.
    pub of: Option<PersonId>,
    /// The sample of theirs that is meant.
    pub face: Option<FaceId>,
}

/// A face that is not the person's; the vector itself is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NegativeView {
    /// The negative.
    pub id: FaceId,
    /// Whose sample it was made of; null for one that came as an image.
    pub of: Option<PersonId>,
    /// The network that made the vector.
    pub model: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// The faces that are not a person's.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NegativesView {
    /// Oldest first.
    pub negatives: Vec<NegativeView>,
}

impl From<Negative> for NegativeView {
    fn from(negative: Negative) -> Self {
        let Negative { id, of, model, created_at, .. } = negative;
        Self { id, of, model: model.name.to_string(), created_at }
    }
}

impl Service {
    /// Keeps a face that is not the person's: from then on no face that is at least as near to it as to the person's
    /// samples is given to the person.
    ///
    /// # Errors
    /// `NotFound` `person_not_found` or `face_not_found`; `Invalid` `one_face_wanted` unless there is either one image or
    /// `of` and `face`, or `same_person`; `Conflict` `too_many_negatives` or `limit_reached`; the image's own error.
    pub async fn add_negative(
        &self,
        visit: &Visit,
        person: &PersonId,
        new: NewNegative,
        images: Vec<EncodedImage>,
    ) -> Result<NegativeView> {
        self.store.person(visit, person).await?;
        let negative = match (images.len(), new.of, new.face) {
            (1, None, None) => self.negative_from_image(visit, person, new.faces, images).await?,
            (0, Some(of), Some(face)) => self.negative_from_sample(visit, person, of, face).await?,
            _ => return Err(Error::invalid("send one image, or of and face").with_code("one_face_wanted")),
        };
        self.store.add_negative(visit, negative.clone()).await?;
        Ok(negative.into())
    }

    async fn negative_from_image(
        &self,
        visit: &Visit,
        person: &PersonId,
        faces: FaceChoice,
        images: Vec<EncodedImage>,
    ) -> Result<Negative> {
        let found = self.recognition.single_faces(visit, faces, images).await?;
        let (face, _) = found.first().ok_or_else(|| Error::internal("an image came back without its face"))?;
        let (model, vector) =
            (self.pipeline.tools().networks.get().embedder.model_id().clone(), vector(face)?.to_vec());
        check_vector(&vector, model.dimension as usize)?;
        let (id, created_at) = (FaceId::generate(), self.clock.now());
        Ok(Negative { id, person: person.clone(), of: None, model, vector, created_at })
    }

    async fn negative_from_sample(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        of: PersonId,
        face: FaceId,
    ) -> Result<Negative> {
        if of == *person {
            return Err(Error::invalid("this is the person's own sample").with_code("same_person"));
        }
        let sample = self.store.face(scope, &of, face).await?;
        // Under the sample's id, so that saying it twice is saying it once.
        Ok(Negative {
            id: sample.id,
            person: person.clone(),
            of: Some(of),
            model: sample.model,
            vector: sample.vector,
            created_at: self.clock.now(),
        })
    }

    /// The faces that are not a person's.
    ///
    /// # Errors
    /// `NotFound` `person_not_found`.
    pub async fn negatives(&self, scope: &TenantScope, person: &PersonId) -> Result<NegativesView> {
        let negatives = self.store.negatives(scope, person).await?;
        Ok(NegativesView { negatives: negatives.into_iter().map(Into::into).collect() })
    }

    /// Forgets that a face is not the person's.
    ///
    /// # Errors
    /// `NotFound` `person_not_found` or `negative_not_found`.
    pub async fn delete_negative(&self, scope: &TenantScope, person: &PersonId, face: FaceId) -> Result<()> {
        self.store.delete_negative(scope, person, face).await
    }
}
