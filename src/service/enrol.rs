//! Enrolment: photos of one person become face samples. Partial success, with a reason for each refused image.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Service, is_the_images_fault,
    people::{PersonView, SampleView},
    to_completion,
    view::ProblemView,
    wanted,
};
use crate::{
    domain::{FaceId, FaceSample, GroupId, Person, PersonId, Quality, TenantScope, ids::checked_name},
    error::{Error, ErrorKind, Result},
    gallery::check_vector,
    pipeline::{
        messages::{EncodedImage, OutcomeFace, PhotoOutcome},
        request::{FaceChoice, Wanted},
    },
};

/// What a new person takes beside their photos.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// Unique in the tenant; made up if missing.
    pub id: Option<PersonId>,
    /// 1–200 characters.
    pub name: String,
    /// The groups to put them in; each must exist.
    #[serde(default)]
    pub groups: Vec<GroupId>,
    /// Which face of each photo is meant.
    #[serde(default)]
    pub faces: FaceChoice,
}

/// Which face of each photo is meant, where the person is known already.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoreFaces {
    /// Which face of each photo is meant.
    #[serde(default)]
    pub faces: FaceChoice,
}

/// An image that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RejectedImage {
    /// Its place in the request, from 0.
    pub image: usize,
    /// For machines: `no_face`, `several_faces`, `not_an_image`, …
    pub reason: String,
    /// For people.
    pub message: String,
}

/// A person after enrolment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Enrolled {
    /// The person with all their samples.
    #[serde(flatten)]
    pub person: PersonView,
    /// The images that could not be used.
    pub rejected: Vec<RejectedImage>,
}

/// The samples that were added to a person.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FacesAdded {
    /// The new samples.
    pub faces: Vec<SampleView>,
    /// The images that could not be used.
    pub rejected: Vec<RejectedImage>,
}

impl Service {
    /// Enrols a new person from their photos.
    ///
    /// # Errors
    /// `Conflict` if the id is taken; `NotFound` for an unknown group; `Unprocessable` with the code
    /// `no_usable_image` and every reason in the details if no photo could be used: then no person is made.
    pub async fn enrol(&self, scope: &TenantScope, new: NewPerson, images: Vec<EncodedImage>) -> Result<Enrolled> {
        let person = Person {
            id: new.id.unwrap_or_else(PersonId::generate),
            name: checked_name(&new.name)?,
            created_at: self.clock.now(),
        };
        self.check_before_work(scope, &person.id, &new.groups).await?;
        let (samples, rejected) = self.samples(scope, &person.id, new.faces, images).await?;
        let (service, scope) = (self.clone(), scope.clone());
        to_completion(async move {
            let _turn = service.galleries.person_lock(&scope, &person.id).await;
            let record = service.store.create_person(&scope, person, &new.groups, samples.clone()).await?;
            service.galleries.insert(&scope, &samples).await?;
            Ok(Enrolled { person: record.into(), rejected })
        })
        .await
    }

    /// Replaces all samples of a person, or none.
    pub async fn replace_faces(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        choice: FaceChoice,
        images: Vec<EncodedImage>,
    ) -> Result<Enrolled> {
        self.store.person(scope, person).await?;
        let (samples, rejected) = self.samples(scope, person, choice, images).await?;
        let (service, scope, person) = (self.clone(), scope.clone(), person.clone());
        to_completion(async move {
            let _turn = service.galleries.person_lock(&scope, &person).await;
            service.store.replace_faces(&scope, &person, samples.clone()).await?;
            service.galleries.replace(&scope, &person, &samples).await?;
            Ok(Enrolled { person: service.store.person(&scope, &person).await?.into(), rejected })
        })
        .await
    }

    /// Adds samples to a person.
    pub async fn add_faces(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        choice: FaceChoice,
        images: Vec<EncodedImage>,
    ) -> Result<FacesAdded> {
        self.store.person(scope, person).await?;
        let (samples, rejected) = self.samples(scope, person, choice, images).await?;
        let (service, scope, person) = (self.clone(), scope.clone(), person.clone());
        to_completion(async move {
            let _turn = service.galleries.person_lock(&scope, &person).await;
            let all = service.store.add_faces(&scope, &person, samples.clone()).await?;
            service.galleries.insert(&scope, &samples).await?;
            let new = all.into_iter().filter(|face| samples.iter().any(|sample| sample.id == face.id));
            Ok(FacesAdded { faces: new.map(Into::into).collect(), rejected })
        })
        .await
    }

    /// Refuses what the store would refuse anyway before photos are worked on.
    async fn check_before_work(&self, scope: &TenantScope, person: &PersonId, groups: &[GroupId]) -> Result<()> {
        for group in groups {
            self.store.group(scope, group).await?;
        }
        match self.store.person(scope, person).await {
            Ok(_) => Err(Error::new(ErrorKind::Conflict, "a person with this id exists").with_code("person_exists")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One sample a usable image, and the reasons for the others.
    async fn samples(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        choice: FaceChoice,
        images: Vec<EncodedImage>,
    ) -> Result<(Vec<FaceSample>, Vec<RejectedImage>)> {
        let wanted = Wanted { embed: true, measure: true, pose: true, ..wanted(scope, choice) };
        let (mut samples, mut rejected) = (Vec::new(), Vec::new());
        for (image, reply) in self.run(images, wanted).await?.into_iter().enumerate() {
            match reply {
                Ok(outcome) => samples.push(self.sample(person, outcome)?),
                Err(failure) if is_the_images_fault(&failure.error) => {
                    let ProblemView { code, message } = ProblemView::from(&failure);
                    rejected.push(RejectedImage { image, reason: code, message });
                }
                Err(failure) => return Err(failure.error),
            }
        }
        if samples.is_empty() {
            return Err(Error::new(ErrorKind::Unprocessable, "none of the images could be used")
                .with_code("no_usable_image")
                .with_details(serde_json::json!({ "rejected": rejected })));
        }
        Ok((samples, rejected))
    }

    fn sample(&self, person: &PersonId, outcome: PhotoOutcome) -> Result<FaceSample> {
        let model = self.pipeline.tools().networks.get().embedder.model_id().clone();
        let missing = || Error::internal("an image came back without its face");
        let face = outcome.faces.into_iter().next().ok_or_else(missing)?;
        let quality = quality(&face)?;
        let assessed = face.face.face;
        let appearance = assessed.face.appearance.ok_or_else(missing)?;
        // Before the store sees it: what is stored must be searchable.
        check_vector(&appearance.embedding.vector, model.dimension as usize)?;
        Ok(FaceSample {
            id: FaceId::generate(),
            person: person.clone(),
            model,
            vector: appearance.embedding.vector,
            score: assessed.face.detection.score,
            quality,
        })
    }
}

/// The measures of an embedded face with a pose.
pub(super) fn quality(face: &OutcomeFace) -> Result<Quality> {
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
