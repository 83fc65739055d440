//! The report: every pair of people that look the same, and every sample that looks more like someone else.
//!
//! Every sample is compared with every other, exactly. The people are gone through in batches, and a batch is compared
//! with one block of people after the other, each a short task of the compute pool's lowest class: nobody who waits is
//! held up, and memory holds one batch, the tenant's ids and the findings.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, future, stream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::gallery_job;
use crate::{
    domain::{Candidate, FaceId, FaceSample, PersonId, TenantScope, recognition::vector::cosine},
    error::{Error, Result},
    gallery::{SearchRequest, TenantGallery},
    runtime::ServiceClass,
    service::people::Service,
};

/// Samples of a batch: with [`BLOCK_PEOPLE`] of a sample or two each, a task takes a few milliseconds.
const BATCH_SAMPLES: usize = 64;
/// People that a batch is compared with at a time.
const BLOCK_PEOPLE: usize = 1000;
/// Candidates of a sample in a block, unless more of them are above the threshold.
const FEW: usize = 4;
/// After so many comparisons a page ends: about a minute's work on one thread.
const PAGE_COMPARISONS: usize = 2_000_000_000;

/// Two people who look the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DuplicatePair {
    /// The two, by id.
    #[schema(min_items = 2, max_items = 2)]
    pub people: Vec<PersonId>,
    /// The sample of each that is nearest to the other.
    #[schema(min_items = 2, max_items = 2)]
    pub faces: Vec<FaceId>,
    /// Raw cosine of the two samples.
    pub similarity: f32,
}

/// A sample that looks more like someone else than like the other samples of its person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MisplacedSample {
    /// Whose it is.
    pub person: PersonId,
    /// The sample.
    pub face: FaceId,
    /// Raw cosine to the nearest other sample of this person.
    pub similarity: f32,
    /// The person whom it looks like.
    pub other: PersonId,
    /// Raw cosine to the nearest of their samples.
    pub other_similarity: f32,
}

/// What was found among some of a tenant's people, each compared with everybody.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DuplicatesPage {
    /// The least similarity of a pair.
    pub threshold: f32,
    /// How many people were compared with everybody.
    pub people: usize,
    /// Each pair once, with the first of the two, in the order of their ids.
    pub pairs: Vec<DuplicatePair>,
    /// In the order of their people's ids.
    pub misplaced: Vec<MisplacedSample>,
    /// Give it as `after` to go on; null at the end.
    pub next: Option<PersonId>,
}

/// The best match of a sample among the people of a block, and the pairs above the threshold.
#[derive(Default)]
struct Found {
    /// By the place of the sample in the batch.
    nearest: BTreeMap<usize, Candidate>,
    /// By sample and person.
    above: Vec<(usize, Candidate)>,
}

impl Service {
    /// Sweeps the tenant's people after the id `after`, until the end, about `limit` findings or a minute's work.
    /// `threshold` is the one for naming in the whole gallery if missing.
    ///
    /// # Errors
    /// `Invalid` `invalid_threshold`.
    pub async fn duplicates(
        &self,
        scope: &TenantScope,
        threshold: Option<f32>,
        after: Option<&PersonId>,
        limit: usize,
    ) -> Result<DuplicatesPage> {
        let threshold = match threshold {
            Some(threshold) => threshold,
            None => self.recognition.naming(scope).await?.gallery.threshold,
        };
        if !(-1.0..=1.0).contains(&threshold) {
            return Err(Error::invalid("threshold is a cosine between -1 and 1").with_code("invalid_threshold"));
        }
        let everybody = self.store.everybody(scope).await?;
        let blocks: Arc<[Arc<[PersonId]>]> = everybody.chunks(BLOCK_PEOPLE).map(Arc::from).collect();
        let start = after.map_or(0, |after| everybody.partition_point(|id| id.as_str() <= after.as_str()));
        let mut rest = &everybody[start..];
        let mut page = DuplicatesPage { threshold, people: 0, pairs: Vec::new(), misplaced: Vec::new(), next: None };
        let mut comparisons = 0;
        while !rest.is_empty() {
            let (people, batch) = self.batch(scope, rest).await?;
            rest = &rest[people..];
            page.people += people;
            // Asked for anew: after an unload an old gallery is no longer kept up to date.
            let gallery = self.galleries.tenant(scope).await?;
            comparisons += batch.len() * gallery.len();
            let found = self.compare_batch(scope, &gallery, &batch, &blocks, threshold).await?;
            page.add(&batch, found);
            if page.pairs.len() + page.misplaced.len() >= limit || comparisons >= PAGE_COMPARISONS {
                page.next = if rest.is_empty() { None } else { everybody.get(start + page.people - 1).cloned() };
                break;
            }
        }
        // It took long, and it is of people.
        self.store.require_right(scope.right()).await?;
        Ok(page)
    }

    /// The samples of the first of `people`, and how many people that is. Those who have gone have none.
    async fn batch(&self, scope: &TenantScope, people: &[PersonId]) -> Result<(usize, Arc<[FaceSample]>)> {
        let model = self.pipeline.tools().networks.get().embedder.model_id().clone();
        let (mut count, mut samples) = (0, Vec::new());
        for person in people {
            match self.store.faces(scope, person).await {
                Ok(faces) => samples.extend(faces.into_iter().filter(|face| face.model == model)),
                Err(error) if error.code() == "person_not_found" => {}
                Err(error) => return Err(error),
            }
            count += 1;
            if samples.len() >= BATCH_SAMPLES {
                break;
            }
        }
        Ok((count, samples.into()))
    }

    /// Compares a batch with all blocks, as many at a time as there are compute threads.
    async fn compare_batch(
        &self,
        scope: &TenantScope,
        gallery: &Arc<TenantGallery>,
        batch: &Arc<[FaceSample]>,
        blocks: &Arc<[Arc<[PersonId]>]>,
        threshold: f32,
    ) -> Result<Found> {
        let pool = &self.pipeline.tools().pool;
        let queries: Arc<[f32]> = batch.iter().flat_map(|sample| sample.vector.iter().copied()).collect();
        let tasks = blocks.iter().map(|block| {
            let (gallery, batch, queries, block) =
                (Arc::clone(gallery), Arc::clone(batch), Arc::clone(&queries), Arc::clone(block));
            async move {
                let job = gallery_job(ServiceClass::Bulk, scope);
                pool.run(job, move || compare_block(&gallery, &batch, &queries, &block, threshold)).await?.value
            }
        });
        let merge = |mut all: Found, part| {
            all.take(part);
            future::ready(Ok(all))
        };
        stream::iter(tasks).buffer_unordered(pool.num_threads()).try_fold(Found::default(), merge).await
    }
}

/// What a batch finds in one block. A roster is always compared exactly, whatever the gallery's plan.
fn compare_block(
    gallery: &TenantGallery,
    batch: &[FaceSample],
    queries: &[f32],
    block: &[PersonId],
    threshold: f32,
) -> Result<Found> {
    let mut found = Found::default();
    if queries.is_empty() {
        return Ok(found);
    }
    let search = |queries, top| gallery.search(&SearchRequest { queries, top, roster: Some(block) });
    let few = search(queries, FEW)?.per_query;
    let dimension = queries.len() / batch.len();
    for (place, (mut candidates, sample)) in few.into_iter().zip(batch).enumerate() {
        if candidates.len() == FEW && candidates.iter().all(|candidate| candidate.similarity >= threshold) {
            let query = &queries[place * dimension..][..dimension];
            candidates = search(query, block.len())?.per_query.into_iter().flatten().collect();
        }
        let mut others = candidates.into_iter().filter(|candidate| candidate.person != sample.person).peekable();
        if let Some(nearest) = others.peek() {
            found.nearest.insert(place, nearest.clone());
        }
        // A pair is found from both of its people: the first by id reports it.
        let reported = others
            .take_while(|candidate| candidate.similarity >= threshold)
            .filter(|candidate| candidate.person.as_str() > sample.person.as_str());
        found.above.extend(reported.map(|candidate| (place, candidate)));
    }
    Ok(found)
}

impl Found {
    fn take(&mut self, part: Self) {
        for (place, candidate) in part.nearest {
            match self.nearest.get(&place) {
                Some(known) if !is_nearer(&candidate, known) => {}
                _ => {
                    self.nearest.insert(place, candidate);
                }
            }
        }
        self.above.extend(part.above);
    }
}

/// Ties go by id, whatever the order in which blocks were done.
fn is_nearer(candidate: &Candidate, known: &Candidate) -> bool {
    let by_id = || known.person.as_str().cmp(candidate.person.as_str());
    candidate.similarity.total_cmp(&known.similarity).then_with(by_id).is_gt()
}

impl DuplicatesPage {
    fn add(&mut self, batch: &[FaceSample], found: Found) {
        // All samples of a person are in one batch, so a pair's best is known here.
        let mut best: BTreeMap<(&str, String), (usize, Candidate)> = BTreeMap::new();
        for (place, candidate) in found.above {
            let pair = (batch[place].person.as_str(), candidate.person.as_str().to_owned());
            let is_better = best.get(&pair).is_none_or(|(_, known)| candidate.similarity > known.similarity);
            if is_better {
                best.insert(pair, (place, candidate));
            }
        }
        self.pairs.extend(best.into_values().map(|(place, Candidate { person, face, similarity })| {
            let FaceSample { person: first, id, .. } = &batch[place];
            DuplicatePair { people: vec![first.clone(), person], faces: vec![*id, face], similarity }
        }));
        for (place, other) in found.nearest {
            let sample = &batch[place];
            let own = batch.iter().filter(|own| own.person == sample.person && own.id != sample.id);
            let nearest_own = own.map(|own| cosine(&own.vector, &sample.vector).min(1.0)).max_by(f32::total_cmp);
            if let Some(similarity) = nearest_own.filter(|&similarity| similarity < other.similarity) {
                let (person, face) = (sample.person.clone(), sample.id);
                let (other, other_similarity) = (other.person, other.similarity);
                self.misplaced.push(MisplacedSample { person, face, similarity, other, other_similarity });
            }
        }
    }
}
