//! Enrolment: photos of one person become face samples. Partial success, with a reason for each refused image.

mod judge;
mod views;

pub(super) use self::judge::{Entrance, Judged, Shot, quality, shots};
pub use self::views::{AcceptedImage, Enrolled, FacesAdded, Measured, MoreFaces, NewPerson, RejectedImage};
use super::{Service, to_completion};
use crate::{
    domain::{
        FaceSample, GroupId, Metadata, Person, PersonId, QualityGate, TenantScope, ids::checked_name, metadata,
        person::checked_email,
    },
    error::{Error, ErrorKind, Result},
    pipeline::{messages::EncodedImage, request::FaceChoice},
    runtime::ServiceClass,
    store::{Growth, NewFaces, PersonPhotos},
};

impl Service {
    /// Enrols a new person from their photos.
    ///
    /// # Errors
    /// `Conflict` if the id is taken, or `limit_reached`; `NotFound` for an unknown group; `Unprocessable` with the code
    /// `no_usable_image` and every reason in the details if no photo could be used, or `duplicate_of` where the tenant or
    /// the request refuses faces that are someone else's, or `consent_required`: then no person is made.
    pub async fn enrol(&self, scope: &TenantScope, new: NewPerson, images: Vec<EncodedImage>) -> Result<Enrolled> {
        let NewPerson { id, name, email, metadata, consent, groups, faces, quality, duplicates: asked } = new;
        let now = self.clock.now();
        let person = Person {
            email: email.as_deref().map(checked_email).transpose()?,
            metadata: metadata::changed(Metadata::new(), metadata)?,
            consent: consent.map(|consent| consent.checked(now)).transpose()?,
            ..Person::new(id.unwrap_or_else(PersonId::generate), checked_name(&name)?, now)
        };
        self.check_before_work(scope, &person.id, &groups).await?;
        let entrance = self.entrance(scope, &person, faces, quality, Vec::new()).await?;
        let policy = asked.map_or(entrance.policy.duplicates, |asked| asked.max(entrance.policy.duplicates));
        let judged = self.judge(entrance, images).await?;
        let (service, scope) = (self.clone(), scope.clone());
        to_completion(async move {
            let Judged { samples, photos, accepted, rejected } = judged;
            let _turns = service.turns(&scope, &person.id, policy).await;
            let duplicates =
                service.twins(&scope, &person.id, &samples, &accepted, policy, ServiceClass::Interactive).await?;
            let photos = service.write_photos(&scope, &person.id, PersonPhotos::default(), photos).await?;
            let faces = NewFaces { samples: samples.clone(), photos: photos.records() };
            let record = photos.settled(service.store.create_person(&scope, person, &groups, faces).await)?;
            service.galleries.set_consent(&scope, &record.person.id, record.person.consent.as_ref()).await;
            service.galleries.insert(&scope, &samples).await?;
            Ok(Enrolled { person: record.into(), accepted, rejected, duplicates })
        })
        .await
    }

    /// Replaces all samples of a person, or none. Errors as for [`Self::add_faces`].
    pub async fn replace_faces(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        more: MoreFaces,
        images: Vec<EncodedImage>,
    ) -> Result<Enrolled> {
        let known = self.store.person(scope, person).await?.person;
        let entrance = self.entrance(scope, &known, more.faces, more.quality, Vec::new()).await?;
        let policy = entrance.policy.duplicates;
        let judged = self.judge(entrance, images).await?;
        let (service, scope, person) = (self.clone(), scope.clone(), person.clone());
        to_completion(async move {
            let Judged { samples, photos, accepted, rejected } = judged;
            let _turns = service.turns(&scope, &person, policy).await;
            let duplicates =
                service.twins(&scope, &person, &samples, &accepted, policy, ServiceClass::Interactive).await?;
            let old = service.store.photos(&scope, &person).await?;
            let photos = service.write_photos(&scope, &person, old.clone(), photos).await?;
            let faces = NewFaces { samples: samples.clone(), photos: photos.records() };
            photos.settled(service.store.replace_faces(&scope, &person, faces).await)?;
            service.galleries.replace(&scope, &person, &samples).await?;
            service.remove_files(&scope, old.photos).await;
            let person = service.store.person(&scope, &person).await?.into();
            Ok(Enrolled { person, accepted, rejected, duplicates })
        })
        .await
    }

    /// Adds samples to a person; they have to agree with those that the person has.
    ///
    /// # Errors
    /// `NotFound` `person_not_found`, `Conflict` `too_many_faces` or `limit_reached`; `Unprocessable` as for
    /// [`Self::enrol`].
    pub async fn add_faces(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        more: MoreFaces,
        images: Vec<EncodedImage>,
    ) -> Result<FacesAdded> {
        let stored = self.store.faces(scope, person).await?;
        self.store.require_room(scope, Growth { samples: 1, ..Growth::default() }).await?;
        let known = self.store.person(scope, person).await?.person;
        let entrance = self.entrance(scope, &known, more.faces, more.quality, stored).await?;
        let policy = entrance.policy.duplicates;
        let judged = self.judge(entrance, images).await?;
        let (service, scope, person) = (self.clone(), scope.clone(), person.clone());
        to_completion(async move {
            let Judged { samples, photos, accepted, rejected } = judged;
            let _turns = service.turns(&scope, &person, policy).await;
            let duplicates =
                service.twins(&scope, &person, &samples, &accepted, policy, ServiceClass::Interactive).await?;
            let known = service.store.photos(&scope, &person).await?;
            let photos = service.write_photos(&scope, &person, known, photos).await?;
            let faces = NewFaces { samples: samples.clone(), photos: photos.records() };
            let all = photos.settled(service.store.add_faces(&scope, &person, faces).await)?;
            service.galleries.insert(&scope, &samples).await?;
            let new = all.into_iter().filter(|face| samples.iter().any(|sample| sample.id == face.id));
            Ok(FacesAdded { faces: new.map(Into::into).collect(), accepted, rejected, duplicates })
        })
        .await
    }

    /// The rules for a person's images: the tenant's, and the request's gate where it is stricter.
    ///
    /// # Errors
    /// `Unprocessable` `consent_required`.
    pub(super) async fn entrance<'a>(
        &self,
        scope: &'a TenantScope,
        person: &'a Person,
        faces: FaceChoice,
        quality: Option<QualityGate>,
        stored: Vec<FaceSample>,
    ) -> Result<Entrance<'a>> {
        let own = self.store.tenant_settings(scope).await?;
        let (policy, threshold) = (own.enrolment, self.naming.with(own.matching).roster.threshold);
        let gate = quality.map_or(policy.quality, |gate| gate.max(policy.quality));
        policy.consent.require(person.consent.as_ref(), self.clock.now())?;
        let (class, keeps) = (ServiceClass::Interactive, own.photos.policy.form());
        Ok(Entrance { scope, person: &person.id, faces, gate, policy, class, keeps, threshold, stored })
    }

    /// Refuses what the store would refuse anyway before photos are worked on.
    async fn check_before_work(&self, scope: &TenantScope, person: &PersonId, groups: &[GroupId]) -> Result<()> {
        self.store.require_room(scope, Growth { people: 1, samples: 1, groups: 0 }).await?;
        for group in groups {
            self.store.group(scope, group).await?;
        }
        match self.store.person(scope, person).await {
            Ok(_) => Err(Error::new(ErrorKind::Conflict, "a person with this id exists").with_code("person_exists")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}
