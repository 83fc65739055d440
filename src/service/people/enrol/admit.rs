//! What is done with photos that were judged, whoever they are of: files before records, and nobody twice.

use crate::{
    domain::{DuplicatePolicy, FaceId, KeptPhoto, PersonId, TenantScope},
    error::{ErrorKind, Result},
    runtime::ServiceClass,
    service::{
        Visit,
        people::Service,
        people::{duplicates::Twin, photos::NewPhoto},
    },
    store::{NewFaces, PersonPhotos},
};

use super::judge::Judged;

/// Whose new samples these are, and what goes for them.
pub(in crate::service) struct Admission<'a> {
    pub(in crate::service) visit: &'a Visit,
    pub(in crate::service) person: &'a PersonId,
    /// What is done about faces that are someone else's.
    pub(in crate::service) policy: DuplicatePolicy,
    /// Who waits for it.
    pub(in crate::service) class: ServiceClass,
    /// The samples that go, with their photos.
    pub(in crate::service) leaving: Leaving,
}

impl<'a> Admission<'a> {
    /// Of somebody who keeps what they have, for a caller who waits.
    pub(in crate::service) fn of(visit: &'a Visit, person: &'a PersonId) -> Self {
        let (policy, class) = (DuplicatePolicy::Off, ServiceClass::Interactive);
        Self { visit, person, policy, class, leaving: Leaving::None }
    }
}

/// Which of a person's samples go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service) enum Leaving {
    None,
    These(Vec<FaceId>),
    All,
}

impl Leaving {
    fn has(&self, photo: &KeptPhoto) -> bool {
        match self {
            Self::None => false,
            Self::These(faces) => faces.contains(&photo.face),
            Self::All => true,
        }
    }
}

/// What was admitted.
pub(in crate::service) struct Admitted<T> {
    /// What was written.
    pub(in crate::service) written: T,
    /// Others who look the same.
    pub(in crate::service) twins: Vec<Twin>,
}

impl Service {
    /// Writes what was judged of a person by `write`, which is given the samples with the records of their photos, and the
    /// twins that may be told of.
    ///
    /// # Errors
    /// `Unprocessable` `duplicate_of` where the policy refuses twins; `Overloaded` `rules_changed`, and the others of
    /// `write`. Nothing is kept then.
    pub(in crate::service) async fn admit<T, W: Future<Output = Result<T>>>(
        &self,
        admission: Admission<'_>,
        judged: &mut Judged,
        write: impl FnOnce(NewFaces, &[Twin]) -> W,
    ) -> Result<Admitted<T>> {
        let Admission { visit, person, policy, class, leaving } = admission;
        let _locks = self.locks(visit, person, policy).await;
        let twins = self.twins(visit, person, &judged.samples, &judged.accepted, policy, class).await?;
        let new: Vec<NewPhoto> = std::mem::take(&mut judged.photos);
        let needs_old = !new.is_empty() || leaving != Leaving::None;
        let old = if needs_old { self.photos_if_any(visit, person).await? } else { PersonPhotos::default() };
        let photos = self.write_photos(visit, person, old.clone(), new).await?;
        let judged_under = Some(visit.shared_settings());
        let faces = NewFaces { samples: judged.samples.clone(), photos: photos.records(), judged_under };
        let written = photos.settled(write(faces, &twins).await)?;
        let twins = self.still_there(visit, twins).await?;
        self.remove_files(visit, old.photos.into_iter().filter(|photo| leaving.has(photo)).collect()).await;
        Ok(Admitted { written, twins })
    }

    async fn photos_if_any(&self, scope: &TenantScope, person: &PersonId) -> Result<PersonPhotos> {
        match self.store.photos(scope, person).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(PersonPhotos::default()),
            photos => photos,
        }
    }
}
