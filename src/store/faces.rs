//! Face samples.

use std::collections::BTreeMap;

use super::{
    Store, blocking,
    codec::Record,
    db::{Read, Transaction},
    groups::require_person,
    keys,
};
use crate::{
    domain::{FaceId, FaceSample, ModelId, PersonId, Quality, TenantId, TenantScope, person::MAX_FACES_A_PERSON},
    error::{Error, ErrorKind, Result},
};

/// Samples read under one view: writes wait for no more than this.
const FOLD_PAGE: usize = 256;

impl Record for FaceSample {
    const KIND: u8 = 7;
}

/// A face sample without its vector.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceInfo {
    /// Its identity.
    pub id: FaceId,
    /// What made the vector.
    pub model: ModelId,
    /// The detector's confidence in the face.
    pub score: f32,
    /// How good the face was.
    pub quality: Quality,
}

impl From<&FaceSample> for FaceInfo {
    fn from(sample: &FaceSample) -> Self {
        Self { id: sample.id, model: sample.model.clone(), score: sample.score, quality: sample.quality }
    }
}

impl Store {
    /// A person's samples with their vectors, oldest first. Errors: `NotFound` `person_not_found`.
    pub async fn faces(&self, scope: &TenantScope, person: &PersonId) -> Result<Vec<FaceSample>> {
        let (tenant, person) = (scope.tenant().clone(), person.clone());
        self.read(move |view| {
            require_person(view, &tenant, &person)?;
            view.scan(&keys::faces_of(&tenant, &person), None).collect()
        })
        .await
    }

    /// Adds samples to a person, all or none; returns all that they have then.
    ///
    /// Errors: `NotFound` `person_not_found`; `Conflict` `too_many_faces` over [`MAX_FACES_A_PERSON`]; `Internal`
    /// for a sample of another person.
    pub async fn add_faces(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        faces: Vec<FaceSample>,
    ) -> Result<Vec<FaceInfo>> {
        let (tenant, person) = (scope.tenant().clone(), person.clone());
        self.write(move |transaction| {
            require_person(transaction, &tenant, &person)?;
            let mut all = infos(transaction, &tenant, &person)?;
            all.retain(|old| faces.iter().all(|new| new.id != old.id));
            all.extend(put_all(transaction, &tenant, &person, &faces, all.len())?);
            all.sort_by_key(|face| face.id);
            Ok(all)
        })
        .await
    }

    /// Puts samples in the place of all that a person has, all or none; returns the new ones. Errors as for
    /// [`Self::add_faces`].
    pub async fn replace_faces(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        faces: Vec<FaceSample>,
    ) -> Result<Vec<FaceInfo>> {
        let (tenant, person) = (scope.tenant().clone(), person.clone());
        self.write(move |transaction| {
            require_person(transaction, &tenant, &person)?;
            remove_all(transaction, &tenant, &person)?;
            put_all(transaction, &tenant, &person, &faces, 0)
        })
        .await
    }

    /// Removes one sample. Errors: `NotFound` `person_not_found` or `face_not_found`.
    pub async fn delete_face(&self, scope: &TenantScope, person: &PersonId, face: FaceId) -> Result<()> {
        let (tenant, person) = (scope.tenant().clone(), person.clone());
        self.write(move |transaction| {
            require_person(transaction, &tenant, &person)?;
            let key = keys::face(&tenant, &person, face);
            if !transaction.has(&key)? {
                return Err(Error::not_found("the person has no such face sample").with_code("face_not_found"));
            }
            transaction.remove(key);
            Ok(())
        })
        .await
    }

    /// How many samples the tenant has. Reads all of their pages: for rare questions.
    pub async fn face_count(&self, scope: &TenantScope) -> Result<usize> {
        let prefix = keys::faces(scope.tenant());
        self.read(move |view| view.scan_keys(&prefix).try_fold(0, |count, key| key.map(|_| count + 1))).await
    }

    /// Folds all of the tenant's samples into `state`, in the order of their people's ids.
    ///
    /// Writes go on meanwhile: a sample that is added or removed during the fold may or may not be seen.
    pub async fn fold_faces<S: Send + 'static>(
        &self,
        scope: &TenantScope,
        mut state: S,
        mut step: impl FnMut(&mut S, FaceSample) -> Result<()> + Send + 'static,
    ) -> Result<S> {
        let (db, prefix) = (std::sync::Arc::clone(&self.inner.db), keys::faces(scope.tenant()));
        blocking(move || {
            let mut after = None;
            loop {
                let page =
                    db.view().scan_bytes(&prefix, after.as_deref()).take(FOLD_PAGE).collect::<Result<Vec<_>>>()?;
                let Some((last, _)) = page.last() else { return Ok(state) };
                after = Some(last.clone());
                for (_, bytes) in page {
                    step(&mut state, super::codec::decode(&bytes)?)?;
                }
            }
        })
        .await
    }
}

pub(super) fn infos(read: &impl Read, tenant: &TenantId, person: &PersonId) -> Result<Vec<FaceInfo>> {
    read.scan::<FaceSample>(&keys::faces_of(tenant, person), None).map(|sample| Ok(FaceInfo::from(&sample?))).collect()
}

/// Writes samples of a person who keeps `kept` others.
pub(super) fn put_all(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    person: &PersonId,
    faces: &[FaceSample],
    kept: usize,
) -> Result<Vec<FaceInfo>> {
    let by_id: BTreeMap<FaceId, &FaceSample> = faces.iter().map(|face| (face.id, face)).collect();
    if kept + by_id.len() > MAX_FACES_A_PERSON {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("a person has at most {MAX_FACES_A_PERSON} face samples: remove some first"),
        )
        .with_code("too_many_faces"));
    }
    for face in by_id.values() {
        if &face.person != person {
            return Err(Error::internal("a face sample names another person than the one it is stored for"));
        }
        transaction.put(keys::face(tenant, person, face.id), *face)?;
    }
    Ok(by_id.into_values().map(FaceInfo::from).collect())
}

pub(super) fn remove_all(transaction: &mut Transaction<'_>, tenant: &TenantId, person: &PersonId) -> Result<()> {
    let keys = transaction.scan_keys(&keys::faces_of(tenant, person)).collect::<Result<Vec<_>>>()?;
    for key in keys {
        transaction.remove(key);
    }
    Ok(())
}
