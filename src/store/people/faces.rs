//! Face samples.

use std::{collections::BTreeMap, mem, num::NonZeroUsize, sync::Arc};

use serde_json::json;

use super::{
    consent,
    photos::{self, NewFaces},
    pseudonyms::require_person,
};
use crate::{
    domain::{
        FaceId, FaceSample, ModelId, PersonId, Pseudonym, Quality, TenantId, TenantScope,
        people::person::MAX_FACES_A_PERSON,
    },
    error::{Error, ErrorKind, Result},
    store::{
        Alias, Store,
        access::{
            audit,
            usage::{Growth, grow},
        },
        blocking,
        codec::{self, FaceSampleRef},
        engine::Read,
        keys,
        operations::sweep::{Visitor, sweep},
        transaction::Transaction,
    },
};

/// Samples read under one view: writes wait for no more than this.
const READ_AT_ONCE: usize = 256;

/// Samples passed over for one page of [`Store::chosen_faces`], so that a page of few chosen ones ends too.
const PASSED_A_PAGE: usize = 16 * 1024;

/// Some of a tenant's samples, see [`Store::chosen_faces`].
#[derive(Debug, Clone, PartialEq)]
pub struct FacePage {
    /// Those that were chosen.
    pub chosen: Vec<FaceSample>,
    /// How many there were on the way, chosen or not.
    pub passed: usize,
    /// Where the next page begins; none where this was the last.
    pub next: Option<Vec<u8>>,
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
            let who = require_person(view, &tenant, &person)?;
            view.scan(&keys::faces_of(&tenant, who), None).collect()
        })
        .await
    }

    /// Adds samples to a person, all or none; returns all that they have then.
    ///
    /// Errors: `NotFound` `person_not_found`; `Conflict` `too_many_faces` over [`MAX_FACES_A_PERSON`] or
    /// `limit_reached`; `Unprocessable` `consent_required`; `Internal` for a sample of another person.
    pub async fn add_faces(
        &self,
        scope: &TenantScope,
        person: &PersonId,
        faces: impl Into<NewFaces>,
    ) -> Result<Vec<FaceInfo>> {
        let (author, tenant, person) = (scope.author(), scope.tenant().clone(), person.clone());
        let limits = self.inner.default_limits;
        let new: NewFaces = faces.into();
        self.write(scope.right(), move |transaction| {
            new.require_rules(transaction, &tenant)?;
            let NewFaces { samples: faces, photos, .. } = &new;
            let who = require_person(transaction, &tenant, &person)?;
            let mut all = infos(transaction, &tenant, who)?;
            let before = all.len();
            all.retain(|old| faces.iter().all(|new| new.id != old.id));
            all.extend(put_all(transaction, &tenant, who, &person, faces, all.len())?);
            all.sort_by_key(|face| face.id);
            photos::put(transaction, &tenant, photos)?;
            grow(transaction, &tenant, limits, of_samples(before, all.len()))?;
            let added = audit::faces(faces.iter().map(|face| face.id));
            audit::note(transaction, &author, "face.add", |it| it.person(&person).after(&added))?;
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
        faces: impl Into<NewFaces>,
    ) -> Result<Vec<FaceInfo>> {
        let (author, tenant, person) = (scope.author(), scope.tenant().clone(), person.clone());
        let limits = self.inner.default_limits;
        let new: NewFaces = faces.into();
        self.write(scope.right(), move |transaction| {
            new.require_rules(transaction, &tenant)?;
            let NewFaces { samples: faces, photos, .. } = &new;
            let who = require_person(transaction, &tenant, &person)?;
            let before = remove_all(transaction, &tenant, who)?;
            let all = put_all(transaction, &tenant, who, &person, faces, 0)?;
            photos::put(transaction, &tenant, photos)?;
            grow(transaction, &tenant, limits, of_samples(before, all.len()))?;
            let (was, is) = (json!({ "faces": before }), audit::faces(all.iter().map(|face| face.id)));
            audit::note(transaction, &author, "face.replace", |it| it.person(&person).before(&was).after(&is))?;
            Ok(all)
        })
        .await
    }

    /// Removes one sample and its photo. Errors: `NotFound` `person_not_found` or `face_not_found`.
    pub async fn delete_face(&self, scope: &TenantScope, person: &PersonId, face: FaceId) -> Result<()> {
        let (author, tenant, person) = (scope.author(), scope.tenant().clone(), person.clone());
        let limits = self.inner.default_limits;
        self.write(scope.right(), move |transaction| {
            let who = require_person(transaction, &tenant, &person)?;
            let key = keys::face(&tenant, who, face);
            if !transaction.has(&key)? {
                return Err(face_not_found());
            }
            transaction.remove(key);
            photos::remove(transaction, &tenant, who, face);
            audit::note(transaction, &author, "face.delete", |it| it.person(&person).face(face))?;
            grow(transaction, &tenant, limits, of_samples(1, 0))
        })
        .await
    }

    /// Shows all of the tenant's samples to `step`, page by page with the people whose they are, on `threads` threads at
    /// once and in no order.
    ///
    /// Writes go on meanwhile: a sample that is added or removed during it may or may not be seen. An error, the
    /// store's or `step`'s, ends it.
    pub async fn each_face(
        &self,
        scope: &TenantScope,
        threads: NonZeroUsize,
        step: impl Fn(&[FaceSample], &[Alias]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<()> {
        let (engine, prefix) = (Arc::clone(self.engine()), keys::faces(scope.tenant()));
        blocking(move || {
            let reader = || FaceReader { step: &step, page: Vec::new(), filled: 0, model: None, people: Vec::new() };
            sweep(&*engine, &prefix, threads.get(), reader)
        })
        .await
    }
}

impl Store {
    /// Up to `limit` of the tenant's samples, those that are `chosen`, in the order of their people's enrolment; from the
    /// beginning, or on from `next` of the page before.
    pub async fn chosen_faces(
        &self,
        scope: &TenantScope,
        after: Option<&[u8]>,
        limit: usize,
        is_chosen: impl Fn(FaceId) -> bool + Send + 'static,
    ) -> Result<FacePage> {
        let (engine, prefix) = (Arc::clone(self.engine()), keys::faces(scope.tenant()));
        let mut after = after.map(|after| [prefix.as_slice(), after].concat());
        blocking(move || {
            let mut page = FacePage { chosen: Vec::new(), passed: 0, next: None };
            while page.passed < PASSED_A_PAGE {
                let some = engine
                    .view()?
                    .scan_bytes(&prefix, after.as_deref())
                    .take(READ_AT_ONCE)
                    .collect::<Result<Vec<_>>>()?;
                if some.is_empty() {
                    page.next = None;
                    break;
                }
                for (key, bytes) in some {
                    page.passed += 1;
                    page.next = Some(key[prefix.len()..].to_vec());
                    if key.last_chunk().is_some_and(|face| is_chosen(FaceId::from_bytes(*face))) {
                        page.chosen.push(codec::decode(&bytes)?);
                    }
                    if page.chosen.len() >= limit {
                        return Ok(page);
                    }
                    after = Some(key);
                }
            }
            Ok(page)
        })
        .await
    }
}

/// Decodes samples; those of one model, and of one person where they follow each other, share its name.
struct FaceReader<'a, F> {
    step: &'a F,
    /// The first `filled` are the page's; what lies behind keeps its memory for the next page.
    page: Vec<FaceSample>,
    filled: usize,
    model: Option<ModelId>,
    /// Of the page, in its order.
    people: Vec<Alias>,
}

impl<F: Fn(&[FaceSample], &[Alias]) -> Result<()>> Visitor for FaceReader<'_, F> {
    fn visit(&mut self, key: &[u8], bytes: &[u8]) -> Result<()> {
        let stored = codec::decode_face(bytes)?;
        let who = keys::owner_of_face(key).ok_or_else(codec::damaged)?;
        let person = match self.people.last() {
            Some((last, person)) if *last == who && person.as_str() == stored.person => person.clone(),
            _ => {
                let person: PersonId = stored.person.parse().map_err(|_| codec::damaged())?;
                self.people.push((who, person.clone()));
                person
            }
        };
        let model = match &self.model {
            Some(model) if is_model(model, &stored) => model.clone(),
            _ => ModelId {
                name: stored.model_name.into(),
                dimension: stored.model_dimension,
                postprocessing: stored.model_postprocessing,
            },
        };
        let [width_px, sharpness, brightness, norm, yaw, pitch, roll] = stored.quality;
        self.model = Some(model.clone());
        let mut vector = self.page.get_mut(self.filled).map(|old| mem::take(&mut old.vector)).unwrap_or_default();
        stored.vector.copy_to(&mut vector);
        let sample = FaceSample {
            id: FaceId::from_bytes(stored.id.try_into().map_err(|_| codec::damaged())?),
            person,
            model,
            vector,
            score: stored.score,
            quality: Quality { width_px, sharpness, brightness, norm, yaw, pitch, roll },
            source: stored.source,
        };
        match self.page.get_mut(self.filled) {
            Some(old) => *old = sample,
            None => self.page.push(sample),
        }
        self.filled += 1;
        Ok(())
    }

    fn page_ends(&mut self) -> Result<()> {
        let outcome = (self.step)(&self.page[..mem::take(&mut self.filled)], &self.people);
        self.people.clear();
        outcome
    }
}

fn is_model(model: &ModelId, stored: &FaceSampleRef<'_>) -> bool {
    let same = (&*model.name, model.dimension) == (stored.model_name, stored.model_dimension);
    same && model.postprocessing == stored.model_postprocessing
}

pub(in crate::store) fn infos(read: &impl Read, tenant: &TenantId, who: Pseudonym) -> Result<Vec<FaceInfo>> {
    read.scan::<FaceSample>(&keys::faces_of(tenant, who), None).map(|sample| Ok(FaceInfo::from(&sample?))).collect()
}

/// Writes new samples of a person who keeps `kept` others. Errors: as for [`give_all`], and as for [`consent::require`].
pub(in crate::store) fn put_all(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    who: Pseudonym,
    person: &PersonId,
    faces: &[FaceSample],
    kept: usize,
) -> Result<Vec<FaceInfo>> {
    if !faces.is_empty() {
        consent::require(transaction, tenant, who)?;
    }
    give_all(transaction, tenant, who, person, faces, kept)
}

/// Writes samples of a person who keeps `kept` others, which were stored of them before under another record. Errors:
/// `Conflict` `too_many_faces`.
pub(in crate::store) fn give_all(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    who: Pseudonym,
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
        transaction.put(keys::face(tenant, who, face.id), *face)?;
    }
    Ok(by_id.into_values().map(FaceInfo::from).collect())
}

/// Removes all samples of a person, with their photos; how many there were.
pub(in crate::store) fn remove_all(
    transaction: &mut Transaction<'_>,
    tenant: &TenantId,
    who: Pseudonym,
) -> Result<usize> {
    let keys = transaction.scan_keys(&keys::faces_of(tenant, who)).collect::<Result<Vec<_>>>()?;
    let count = keys.len();
    for key in keys {
        transaction.remove(key);
    }
    photos::remove_all(transaction, tenant, who)?;
    Ok(count)
}

pub(in crate::store) fn face_not_found() -> Error {
    Error::not_found("the person has no such face sample").with_code("face_not_found")
}

fn of_samples(before: usize, after: usize) -> Growth {
    Growth { samples: after as i64 - before as i64, ..Growth::default() }
}
