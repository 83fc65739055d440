//! Looking after a tenant's gallery.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{FaceId, FaceSample, PersonId, TenantScope},
    error::{Error, Result},
    gallery::{Checked, TenantGallery, WayChecked, check},
    service::recognition::Service,
    store::FacePage,
};

/// Samples looked for in one request: under a second's work of one core at a million samples.
const SAMPLES_A_PAGE: usize = 32;

/// What to look after.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GalleryCheckParams {
    /// About how many samples of the whole gallery to look for, always the same ones; all if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<usize>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A part of the samples, looked after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GalleryCheckPage {
    /// Samples that were looked for.
    pub checked: usize,
    /// Samples that were passed over, because they were not chosen.
    pub passed_over: usize,
    /// Samples of other models, which nothing can find.
    pub of_other_models: usize,
    /// Enrolled samples that a search for themselves does not find.
    pub lost: Vec<LostSample>,
    /// How often each way of searching found the best sample.
    pub ways: Vec<WayView>,
    /// Where the next page begins; missing where this was the last.
    pub next: Option<String>,
}

/// An enrolled sample that does not find itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LostSample {
    /// Whose it is.
    pub person: PersonId,
    /// Which.
    pub face: FaceId,
}

/// How often a way of searching found the sample that an exact search finds, for queries made of samples (cosine 0.6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WayView {
    /// A plan's name, or `graph`: the graph without the codes beside it, which no search goes by.
    pub way: String,
    /// Searches.
    pub searches: usize,
    /// Those that found the best sample.
    pub right: usize,
}

impl From<WayChecked> for WayView {
    fn from(WayChecked { way, searches, right }: WayChecked) -> Self {
        Self { way: way.into(), searches, right }
    }
}

impl Service {
    /// Looks for enrolled samples in the tenant's gallery, a page at a time.
    ///
    /// # Errors
    /// `Invalid` `invalid_cursor` for an `after` that no page gave.
    pub async fn check_gallery(&self, scope: &TenantScope, params: GalleryCheckParams) -> Result<GalleryCheckPage> {
        let after = params.after.map(hex::decode).transpose();
        let after =
            after.map_err(|_| Error::invalid("after is the next of another page").with_code("invalid_cursor"))?;
        let gallery = self.galleries.tenant(scope).await?;
        let chosen = chosen(params.sample, gallery.len());
        let page = self.store.chosen_faces(scope, after.as_deref(), SAMPLES_A_PAGE, chosen).await?;
        let FacePage { mut chosen, passed, next } = page;
        // Whoever lacks a consent that is needed is found by nobody.
        chosen.retain(|sample| gallery.admits(&sample.person));
        let passed_over = passed - chosen.len();
        let (ours, others): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|sample| sample.model == *gallery.model());
        let (checked, lost) = self.check_samples(scope, &gallery, ours).await?;
        self.store.require_right(scope.right()).await?;
        Ok(GalleryCheckPage {
            checked: checked.samples,
            passed_over,
            of_other_models: others.len(),
            lost,
            ways: checked.ways.into_iter().map(WayView::from).collect(),
            next: next.map(hex::encode),
        })
    }

    /// Looks for samples; of the lost ones, those that are still enrolled.
    async fn check_samples(
        &self,
        scope: &TenantScope,
        gallery: &TenantGallery,
        samples: Vec<FaceSample>,
    ) -> Result<(Checked, Vec<LostSample>)> {
        let whose: Vec<(FaceId, PersonId)> = samples.iter().map(|sample| (sample.id, sample.person.clone())).collect();
        let checked = check(&self.pipeline.tools().pool, gallery, samples).await?;
        let mut lost = Vec::new();
        for (face, person) in whose.into_iter().filter(|(face, _)| checked.lost.contains(face)) {
            // It may have been removed since the page was read.
            let kept = self.store.faces(scope, &person).await.unwrap_or_default();
            if kept.iter().any(|sample| sample.id == face) {
                lost.push(LostSample { person, face });
            }
        }
        Ok((checked, lost))
    }
}

/// Chooses about `wanted` of `all` samples by their ids.
fn chosen(wanted: Option<usize>, all: usize) -> impl Fn(FaceId) -> bool + Send + 'static {
    let share = wanted.map_or(1.0, |wanted| wanted as f64 / all.max(1) as f64);
    move |face| f64::from(crc32c::crc32c(face.as_bytes())) < share * (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_as_many_are_chosen_as_were_wanted() {
        let faces: Vec<FaceId> = (0..10_000_u128).map(|n| FaceId::from_bytes((n * 7919).to_be_bytes())).collect();
        let count = |wanted| faces.iter().filter(|&&face| chosen(wanted, faces.len())(face)).count();
        assert_eq!((count(None), count(Some(0)), count(Some(10_000))), (10_000, 0, 10_000));
        assert!(count(Some(1000)).abs_diff(1000) < 150, "{}", count(Some(1000)));
    }
}
