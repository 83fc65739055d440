//! What is known of the photos that are kept of people. Their files are the vault's.

use std::sync::Arc;

use super::pseudonyms::{pseudonym, require_person};
use crate::{
    domain::{
        ConsentPolicy, EnrolmentPolicy, FaceId, FaceSample, KeptPhoto, PersonId, PhotoKey, Pseudonym, TenantId,
        TenantScope, TenantSettings,
    },
    error::Result,
    store::{Store, access::tenants, codec, engine::Read, keys, transaction::Transaction},
};

/// Photos read under one view: writes wait for no more than this.
const READ_AT_ONCE: usize = 256;

/// The photos of one person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonPhotos {
    /// What they are encrypted with; where photos are added, a new one if there is one.
    pub key: Option<PhotoKey>,
    /// By their samples, oldest first.
    pub photos: Vec<KeptPhoto>,
}

/// New samples of a person, and the photos behind them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewFaces {
    /// The samples.
    pub samples: Vec<FaceSample>,
    /// Their photos, where they are kept.
    pub photos: PersonPhotos,
    /// What was set for the tenant when they were judged, where they were.
    pub judged_under: Option<Arc<TenantSettings>>,
}

impl NewFaces {
    /// Errors: `Overloaded` `rules_changed` where they were judged by other rules than hold now.
    pub(in crate::store) fn require_rules(&self, read: &impl Read, tenant: &TenantId) -> Result<()> {
        match &self.judged_under {
            Some(settings) if !self.samples.is_empty() => {
                // Consents are required by themselves.
                let enrolment = |settings: &TenantSettings| EnrolmentPolicy {
                    consent: ConsentPolicy::default(),
                    ..settings.enrolment
                };
                let rules =
                    |settings: &TenantSettings| (enrolment(settings), settings.matching, settings.photos.policy);
                tenants::require_same(read, tenant, settings, rules)
            }
            _ => Ok(()),
        }
    }
}

/// Without photos.
impl From<Vec<FaceSample>> for NewFaces {
    fn from(samples: Vec<FaceSample>) -> Self {
        Self { samples, photos: PersonPhotos::default(), judged_under: None }
    }
}

impl Store {
    /// What is kept of a person's photos. Errors: `NotFound` `person_not_found`.
    pub async fn photos(&self, scope: &TenantScope, person: &PersonId) -> Result<PersonPhotos> {
        let (tenant, person) = (scope.tenant().clone(), person.clone());
        self.read(move |view| {
            let who = require_person(view, &tenant, &person)?;
            let key = view.get(&keys::photo_key(&tenant, who))?;
            Ok(PersonPhotos { key, photos: of_person(view, &tenant, who)? })
        })
        .await
    }

    /// Some of the tenant's photos, in no order of time, from the beginning or on from `after`; with where to go on,
    /// which is none where there are no more. A photo that is kept throughout a walk is met once, as its record stays
    /// where it is: what goes to another person is a new photo.
    pub async fn some_photos(
        &self,
        scope: &TenantScope,
        after: Option<Vec<u8>>,
    ) -> Result<(Vec<KeptPhoto>, Option<Vec<u8>>)> {
        let prefix = keys::kept_photos(scope.tenant());
        let after = after.map(|after| [&prefix[..], &after].concat());
        self.read(move |view| {
            let (mut photos, mut last) = (Vec::new(), None);
            for entry in view.scan_bytes(&prefix, after.as_deref()).take(READ_AT_ONCE) {
                let (key, bytes) = entry?;
                photos.push(codec::decode(&bytes)?);
                last = Some(key[prefix.len()..].to_vec());
            }
            Ok((photos, last))
        })
        .await
    }

    /// Removes those of `photos` that are still there.
    pub async fn forget_photos(&self, scope: &TenantScope, photos: Vec<KeptPhoto>) -> Result<()> {
        let tenant = scope.tenant().clone();
        self.write(scope.right(), move |transaction| {
            for photo in &photos {
                let Some(who) = pseudonym(transaction, &tenant, &photo.person)? else { continue };
                let at = keys::kept_photo(&tenant, who, photo.face);
                if transaction.get(&at)?.as_ref() == Some(photo) {
                    transaction.remove(at);
                }
            }
            Ok(())
        })
        .await
    }
}

pub(in crate::store) fn of_person(read: &impl Read, tenant: &TenantId, who: Pseudonym) -> Result<Vec<KeptPhoto>> {
    read.scan(&keys::kept_photos_of(tenant, who), None).collect()
}

pub(in crate::store) fn put(transaction: &mut Transaction<'_>, tenant: &TenantId, new: &PersonPhotos) -> Result<()> {
    if let Some(key) = &new.key {
        let who = require_person(transaction, tenant, &key.person)?;
        transaction.put(keys::photo_key(tenant, who), key)?;
    }
    for photo in &new.photos {
        let who = require_person(transaction, tenant, &photo.person)?;
        transaction.put(keys::kept_photo(tenant, who, photo.face), photo)?;
    }
    Ok(())
}

/// Removes the photo of a sample, if there is one.
pub(in crate::store) fn remove(transaction: &mut Transaction<'_>, tenant: &TenantId, who: Pseudonym, face: FaceId) {
    transaction.remove(keys::kept_photo(tenant, who, face));
}

/// Removes all photos of a person. The key stays.
pub(in crate::store) fn remove_all(transaction: &mut Transaction<'_>, tenant: &TenantId, who: Pseudonym) -> Result<()> {
    let photos = transaction.scan_keys(&keys::kept_photos_of(tenant, who)).collect::<Result<Vec<_>>>()?;
    for photo in photos {
        transaction.remove(photo);
    }
    Ok(())
}

/// Removes the key of a person who goes: whatever is left of their photos anywhere stays closed.
pub(in crate::store) fn remove_key(transaction: &mut Transaction<'_>, tenant: &TenantId, who: Pseudonym) {
    transaction.remove(keys::photo_key(tenant, who));
}

/// Puts the photos of `moved`, which were made of those of `from`, in their places; one that was removed meanwhile is
/// not brought back. Errors: `Overloaded` `rules_changed` where the tenant does not keep them any more.
pub(in crate::store) fn give(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    from: Pseudonym,
    photos: &PersonPhotos,
) -> Result<()> {
    let old = of_person(transaction, tenant, from)?;
    let mut moved = photos.clone();
    moved.photos.retain(|photo| old.iter().any(|old| old.face == photo.face));
    let (rules, now) = (tenants::settings(transaction, tenant)?.photos, transaction.origin().at);
    if moved.photos.iter().any(|photo| rules.is_over(photo, now)) {
        return Err(tenants::rules_changed());
    }
    for photo in &moved.photos {
        remove(transaction, tenant, from, photo.face);
    }
    put(transaction, tenant, &moved)
}
