//! Photos of people, where their tenant keeps them.

mod keeper;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(in crate::service) use self::keeper::unreadable_photos;
use crate::{
    domain::{FaceId, KeptPhoto, PersonId, PhotoForm, TenantScope},
    error::{Error, ErrorKind, Result},
    runtime::spawn_blocking,
    service::{people::Service, people::locks::Held},
    store::PersonPhotos,
    vault::{ArrivingFile, Stored, Vault},
};

/// A photo that is kept; its pixels are at `/people/{person}/photo?face={face}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PhotoView {
    /// The sample that was made of it.
    pub face: FaceId,
    /// How much it shows.
    pub form: PhotoForm,
    /// Since when it is kept.
    #[schema(value_type = String, format = DateTime)]
    pub kept_at: Timestamp,
}

impl From<KeptPhoto> for PhotoView {
    fn from(KeptPhoto { face, form, kept_at, .. }: KeptPhoto) -> Self {
        Self { face, form, kept_at }
    }
}

/// A JPEG that is to be kept.
pub(in crate::service) struct NewPhoto {
    /// The sample that was made of it.
    pub(in crate::service) face: FaceId,
    pub(in crate::service) form: PhotoForm,
    pub(in crate::service) jpeg: Vec<u8>,
}

/// Photos whose files are written and whose records are not.
#[derive(Default)]
pub(in crate::service) struct Arriving {
    photos: PersonPhotos,
    files: Vec<ArrivingFile>,
}

impl Arriving {
    /// The records that are to be written.
    pub(in crate::service) fn records(&self) -> PersonPhotos {
        self.photos.clone()
    }

    /// Keeps the files, or removes them where their records were not written.
    pub(in crate::service) fn settled<T>(self, outcome: Result<T>) -> Result<T> {
        // After a failure of the store nobody knows: the next start sees whether a record names them.
        if outcome.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::Storage) {
            self.files.into_iter().for_each(ArrivingFile::keep);
        }
        outcome
    }
}

impl Service {
    /// A JPEG of a person: the photo behind the sample `face`, or the newest.
    ///
    /// # Errors
    /// `NotFound` `person_not_found` or `photo_not_found`; `Storage` `damaged_photo`.
    pub async fn photo(&self, scope: &TenantScope, person: &PersonId, face: Option<FaceId>) -> Result<Vec<u8>> {
        let PersonPhotos { key, photos } = self.store.photos(scope, person).await?;
        let wanted = photos.into_iter().filter(|photo| face.is_none_or(|face| photo.face == face));
        let newest = wanted.max_by_key(|photo| (photo.kept_at, photo.face));
        let missing = || Error::not_found("no such photo of the person is kept").with_code("photo_not_found");
        let (photo, key) = newest.zip(key).ok_or_else(missing)?;
        let tenant = scope.tenant().clone();
        self.in_vault(move |vault| vault.load(&tenant, &photo, &key)).await?.ok_or_else(missing)
    }

    /// Waits until nobody else changes the photos of these people, and keeps others waiting until what it returns is
    /// dropped.
    pub(in crate::service) async fn people_locks<const N: usize>(
        &self,
        scope: &TenantScope,
        people: [&PersonId; N],
    ) -> Vec<Held> {
        self.people_locks.of_all(people.map(|person| (scope.tenant(), person))).await
    }

    /// Writes the files of a person's new photos, of whom `known` is stored. To be called under the person's lock.
    ///
    /// # Errors
    /// `Storage` if they cannot be written.
    pub(in crate::service) async fn write_photos(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        known: PersonPhotos,
        new: Vec<NewPhoto>,
    ) -> Result<Arriving> {
        if new.is_empty() {
            return Ok(Arriving::default());
        }
        let (tenant, person, kept_at) = (scope.tenant().clone(), person.clone(), self.clock.now());
        let arriving = self.in_vault(move |vault| {
            let (kinds, images): (Vec<_>, Vec<_>) =
                new.into_iter().map(|NewPhoto { face, form, jpeg }| ((face, form), jpeg)).unzip();
            let own = (known.key.as_ref(), known.photos.as_slice());
            let Stored { key, files } = vault.store(&tenant, &person, own, &images)?;
            let kept = |((face, form), file): ((FaceId, PhotoForm), &ArrivingFile)| KeptPhoto {
                face,
                person: person.clone(),
                file: file.file(),
                form,
                kept_at,
            };
            let photos = kinds.into_iter().zip(&files).map(kept).collect();
            Ok(Arriving { photos: PersonPhotos { key, photos }, files })
        });
        let arriving = arriving.await?;
        self.pipeline.tools().faults.hit_async("photos.written").await;
        Ok(arriving)
    }

    /// The photos of `from`, or the one behind the sample `only`, written anew with the key of `to`. One that cannot be
    /// read any more, or whose time is over, is left behind. To be called under the locks of both.
    ///
    /// # Errors
    /// `NotFound` `person_not_found`; `Storage` if they cannot be written.
    pub(in crate::service) async fn write_photos_over(
        &self,
        scope: &TenantScope,
        from: &PersonId,
        to: &PersonId,
        only: Option<FaceId>,
    ) -> Result<(Arriving, Vec<KeptPhoto>)> {
        let PersonPhotos { key, photos: mut old } = self.store.photos(scope, from).await?;
        old.retain(|photo| only.is_none_or(|face| photo.face == face));
        let (rules, now) = (self.store.tenant_settings(scope).await?.photos, self.clock.now());
        let photos: Vec<KeptPhoto> = old.iter().filter(|photo| !rules.is_over(photo, now)).cloned().collect();
        let (Some(key), false) = (key, photos.is_empty()) else { return Ok((Arriving::default(), old)) };
        let PersonPhotos { key: mut own, photos: theirs } = self.store.photos(scope, to).await?;
        let (tenant, to) = (scope.tenant().clone(), to.clone());
        let arriving = self.in_vault(move |vault| {
            let mut arriving = Arriving::default();
            for photo in photos {
                let jpeg = match vault.load(&tenant, &photo, &key) {
                    Ok(Some(jpeg)) => jpeg,
                    Ok(None) => continue,
                    Err(error) if error.code() == "damaged_photo" => continue,
                    Err(error) => return Err(error),
                };
                let Stored { key, files } = vault.store(&tenant, &to, (own.as_ref(), &theirs), &[jpeg])?;
                if key.is_some() {
                    own.clone_from(&key);
                    arriving.photos.key = key;
                }
                let moved =
                    files.iter().map(|file| KeptPhoto { person: to.clone(), file: file.file(), ..photo.clone() });
                arriving.photos.photos.extend(moved);
                arriving.files.extend(files);
            }
            Ok(arriving)
        });
        Ok((arriving.await?, old))
    }

    /// Removes the files of photos whose records are gone. One that cannot be removed is tried again with those that no
    /// record names.
    pub(in crate::service) async fn remove_files(&self, scope: &TenantScope, photos: Vec<KeptPhoto>) {
        if photos.is_empty() {
            return;
        }
        let tenant = scope.tenant().clone();
        let files = photos.into_iter().map(|photo| photo.file);
        if let Err(error) = self.in_vault(move |vault| vault.remove(&tenant, files)).await {
            tracing::error!(%error, "photos cannot be removed: this is tried again every hour");
        }
    }

    /// Runs `work` on a blocking thread.
    async fn in_vault<T: Send + 'static>(&self, work: impl FnOnce(&Vault) -> Result<T> + Send + 'static) -> Result<T> {
        let vault = self.vault.clone();
        spawn_blocking(move || work(&vault))
            .await
            .unwrap_or_else(|lost| Err(Error::internal("work on photos was cut short").with_source(lost)))
    }
}
