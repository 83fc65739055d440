//! Enrolment: photos of one person become face samples. Partial success, with a reason for each refused image.

mod admit;
mod judge;
mod views;

pub use self::views::{AcceptedImage, Enrolled, FacesAdded, Measured, MoreFaces, NewPerson, RejectedImage};
pub(in crate::service) use self::{
    admit::{Admission, Admitted, Leaving},
    judge::{Entrance, Judged, Shot, quality, shots},
};
use crate::{
    domain::{
        FaceSample, Metadata, Person, PersonId, QualityGate,
        ids::checked_name,
        people::{metadata, person::checked_email},
    },
    error::Result,
    pipeline::{messages::EncodedImage, request::FaceChoice},
    runtime::ServiceClass,
    service::{Visit, people::Service, to_completion},
};

impl Service {
    /// Enrols a new person from their photos.
    ///
    /// # Errors
    /// `Conflict` if the id is taken, or `limit_reached`; `NotFound` for an unknown group; `Unprocessable` with the code
    /// `no_usable_image` and every reason in the details if no photo could be used, or `duplicate_of` where the tenant or
    /// the request refuses faces that are someone else's, or `consent_required`; `Overloaded` `rules_changed`: then no
    /// person is made.
    pub async fn enrol(&self, visit: &Visit, new: NewPerson, images: Vec<EncodedImage>) -> Result<Enrolled> {
        let NewPerson { id, name, email, metadata, consent, groups, faces, quality, duplicates: asked } = new;
        let now = visit.at();
        let person = Person {
            email: email.as_deref().map(checked_email).transpose()?,
            metadata: metadata::changed(Metadata::new(), metadata)?,
            consent: consent.map(|consent| consent.checked(now)).transpose()?,
            ..Person::new(id.unwrap_or_else(PersonId::generate), checked_name(&name)?, now)
        };
        self.store.require_enrollable(visit, &person.id, &groups).await?;
        let entrance = self.entrance(visit, &person, faces, quality, Vec::new())?;
        let policy = asked.map_or(entrance.policy.duplicates, |asked| asked.max(entrance.policy.duplicates));
        let judged = self.judge(entrance, images).await?;
        let (service, visit) = (self.clone(), visit.clone());
        to_completion(async move {
            let (id, mut judged) = (person.id.clone(), judged);
            let admission = Admission { policy, ..Admission::of(&visit, &id) };
            let write = |faces, _: &[_]| service.store.create_person(&visit, person, &groups, faces);
            let Admitted { written, twins } = service.admit(admission, &mut judged, write).await?;
            let Judged { accepted, rejected, .. } = judged;
            Ok(Enrolled { person: written.into(), accepted, rejected, duplicates: twins })
        })
        .await
    }

    /// Replaces all samples of a person, or none. Errors as for [`Self::add_faces`].
    pub async fn replace_faces(
        &self,
        visit: &Visit,
        person: &PersonId,
        more: MoreFaces,
        images: Vec<EncodedImage>,
    ) -> Result<Enrolled> {
        let known = self.store.person(visit, person).await?.person;
        let entrance = self.entrance(visit, &known, more.faces, more.quality, Vec::new())?;
        let policy = entrance.policy.duplicates;
        let judged = self.judge(entrance, images).await?;
        let (service, visit, person) = (self.clone(), visit.clone(), person.clone());
        to_completion(async move {
            let mut judged = judged;
            let admission = Admission { policy, leaving: Leaving::All, ..Admission::of(&visit, &person) };
            let write = |faces, _: &[_]| service.store.replace_faces(&visit, &person, faces);
            let Admitted { twins, .. } = service.admit(admission, &mut judged, write).await?;
            let Judged { accepted, rejected, .. } = judged;
            let person = service.store.person(&visit, &person).await?.into();
            Ok(Enrolled { person, accepted, rejected, duplicates: twins })
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
        visit: &Visit,
        person: &PersonId,
        more: MoreFaces,
        images: Vec<EncodedImage>,
    ) -> Result<FacesAdded> {
        let (known, stored) = self.store.person_to_add_to(visit, person).await?;
        let entrance = self.entrance(visit, &known, more.faces, more.quality, stored)?;
        let policy = entrance.policy.duplicates;
        let judged = self.judge(entrance, images).await?;
        let (service, visit, person) = (self.clone(), visit.clone(), person.clone());
        to_completion(async move {
            let mut judged = judged;
            let admission = Admission { policy, ..Admission::of(&visit, &person) };
            let write = |faces, _: &[_]| service.store.add_faces(&visit, &person, faces);
            let Admitted { written: all, twins } = service.admit(admission, &mut judged, write).await?;
            let Judged { samples, accepted, rejected, .. } = judged;
            let new = all.into_iter().filter(|face| samples.iter().any(|sample| sample.id == face.id));
            Ok(FacesAdded { faces: new.map(Into::into).collect(), accepted, rejected, duplicates: twins })
        })
        .await
    }

    /// The rules for a person's images: the tenant's, and the request's gate where it is stricter.
    ///
    /// # Errors
    /// `Unprocessable` `consent_required`.
    pub(in crate::service) fn entrance<'a>(
        &self,
        visit: &'a Visit,
        person: &'a Person,
        faces: FaceChoice,
        quality: Option<QualityGate>,
        stored: Vec<FaceSample>,
    ) -> Result<Entrance<'a>> {
        let own = visit.settings();
        let (policy, threshold) = (own.enrolment, self.recognition.naming_under(own).roster.threshold);
        let gate = quality.map_or(policy.quality, |gate| gate.max(policy.quality));
        policy.consent.require(person.consent.as_ref(), visit.at())?;
        let (class, keeps) = (ServiceClass::Interactive, own.photos.policy.form());
        Ok(Entrance { visit, person: &person.id, faces, gate, policy, class, keeps, threshold, stored })
    }
}
